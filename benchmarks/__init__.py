"""Protocols, metrics and results: what restorers reach, by which convention, and how sure that is."""

from restoration.benchmarks.gallery import Folder, Gallery
from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.pairs import score_pairs
from restoration.benchmarks.protocol import Protocol, load_protocol, load_protocols, protocol_names
from restoration.benchmarks.readme import fill_markers, ledger_tables, readme_tables
from restoration.benchmarks.report import write_result
from restoration.benchmarks.result import Comparison, Result, Row, merge, read_result
from restoration.benchmarks.run import Inference, benchmark, evaluate
from restoration.benchmarks.table import run_table

__all__ = [
    "METRICS",
    "Comparison",
    "Folder",
    "Gallery",
    "Inference",
    "Protocol",
    "Result",
    "Row",
    "benchmark",
    "evaluate",
    "fill_markers",
    "ledger_tables",
    "load_protocol",
    "load_protocols",
    "merge",
    "protocol_names",
    "read_result",
    "readme_tables",
    "run_table",
    "score_pairs",
    "write_result",
]
