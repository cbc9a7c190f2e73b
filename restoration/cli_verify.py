"""The command ``restoration verify``: results measured again."""

import json as json_text
from pathlib import Path
from typing import Annotated

import typer

from restoration.cli_options import DataRoot, Json, Quiet, device, use_data_root

Results = Annotated[
    list[Path] | None, typer.Argument(metavar="RESULT.json...", help="What `benchmark --out` wrote.")
]
Rows = Annotated[
    list[str] | None,
    typer.Option(
        "--row", metavar="PROTOCOL/RESTORER/METRIC", help="These rows alone; * is any text; repeatable."
    ),
]
All = Annotated[bool, typer.Option("--all", help="Every committed result.")]
Weights = Annotated[
    list[Path] | None, typer.Option(help="A folder that holds weights files; repeatable.", show_default=False)
]
On = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, mps; by default that of the result.")]


def verify(
    results: Results = None,
    row: Rows = None,
    all_: All = False,
    weights: Weights = None,
    data: DataRoot = None,
    on: On = "",
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Measure rows of results again and say equal, or what differs; exit code 1 where something does."""
    use_data_root(data)
    if bool(results) == all_:
        raise typer.BadParameter("verify: expected RESULT.json..., or --all")
    from restoration.benchmarks import verify as ledger

    chosen = on and device(on)
    found = {path: ledger.load_rows(path) for path in (ledger.committed() if all_ else results or [])}
    wanted = ledger.wanted_rows(found, row or [])
    reports = []
    for path, rows in wanted.items():
        reports.append(ledger.verify(path, found[path], rows, weights or [], chosen or None))
        if not quiet and not json:
            _show(reports[-1])
    if json:
        typer.echo(json_text.dumps([report.to_dict() for report in reports], indent=1, ensure_ascii=False))
    equal, differs, silent = (
        sum(r.count(word) for r in reports) for word in ("equal", "differs", "not comparable")
    )
    if not quiet and not json:
        rest = f"; {silent} have nothing that could be compared" if silent else ""
        typer.echo(f"{equal} of {equal + differs} rows are equal{rest}")
    raise typer.Exit(0 if all(report.equal for report in reports) else 1)


def _show(report: "ledger.Verification") -> None:  # type: ignore[name-defined]  # noqa: F821
    typer.echo(str(report.path))
    for line in [*(finding.line for finding in report.findings), *report.problems]:
        typer.echo(f"  {line}")
    for note in report.notes:
        typer.echo(f"  {note}")
