"""What the command ``restoration benchmark`` does: from its words to a result, a table and a page."""

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress as Bar

from restoration import distributed
from restoration.apply import Inference
from restoration.benchmarks.cache import Cache
from restoration.benchmarks.dialled import expanded, label, load_dialled
from restoration.benchmarks.gallery import Folder, Gallery
from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.pairs import score_pairs
from restoration.benchmarks.plane_command import Axes, brief, planned, with_axes, write_appendix
from restoration.benchmarks.protocol import load_protocols
from restoration.benchmarks.report import write_result
from restoration.benchmarks.result import Result, merge
from restoration.benchmarks.run import Progress, benchmark
from restoration.benchmarks.table import fill_markers, readme_tables, run_table
from restoration.errors import RequestError
from restoration.files import atomic
from restoration.restorers.network import Restorer

LISTED = 8  # images that a line about gaps names


def scored(
    words: Sequence[str],
    settings: Sequence[str],
    metrics: Sequence[str],
    compare: str | None,
    how: Inference,
    images: Path | None,
    quiet: bool,
    *,
    force_fid: bool = False,
    cached: bool = True,
    axes: Axes = (),
) -> tuple[Result, Gallery]:
    """Return what ``PROTOCOL[,PROTOCOL] RESTORER...`` measures, and the pictures for its page.

    ``cached`` lets images that were restored before, by the same weights and settings, be found again.
    ``axes`` are pairs of metrics that are measured beside the protocols' own, for planes.
    """
    if len(words) < 2:
        raise RequestError(
            "benchmark: expected PROTOCOL[,PROTOCOL] RESTORER..., or --pairs RESTORED CLEAN, or --table"
        )
    protocols = with_axes(load_protocols(words[0], settings, metrics), axes)
    restorers = named_restorers(words[1:])
    gallery = Gallery()
    watchers = [gallery, *([Folder(images)] if images else [])]
    rank, world = distributed.rank(), distributed.world()
    with distributed.process_group(torch.device(how.device)), _bar(quiet or rank > 0) as progress:
        result = benchmark(
            restorers, protocols, inference=how, baseline=compare, watchers=watchers, progress=progress,
            rank=rank, world=world, force_fid=force_fid, cache=Cache() if cached else None,
        )  # fmt: skip
        parts = distributed.gather((result, gallery))
    if world > 1:
        result, gallery = merge([part for part, _ in parts], compare), _joined([shown for _, shown in parts])
    return planned(result, axes), gallery


def _joined(galleries: Sequence[Gallery]) -> Gallery:
    """Return the pictures of all ranks as one gallery, in the order of their names."""
    whole = Gallery()
    scenes = [item for gallery in galleries for item in gallery.scenes.items()]
    whole.scenes = dict(sorted(scenes, key=lambda item: item[0]))
    return whole


def named_restorers(sources: Sequence[str]) -> Mapping[str, Restorer]:
    """Return the restorers by the names that results show: shipped names as they are, files without folder.

    ``NAME[perception=0|0.5|1]`` is a restorer at each of these settings of its dial.
    """
    sources = [one for source in sources for one in expanded(source)]
    names = [label(source) for source in sources]
    names = [n if names.count(n) == 1 else s for n, s in zip(names, sources, strict=True)]
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise RequestError(f"benchmark: restorer '{twice}' is named twice")
    return {name: load_dialled(source) for name, source in zip(names, sources, strict=True)}


def scored_folder(
    restored: Path,
    clean: Path | None,
    metrics: Sequence[str],
    settings: Sequence[str],
    degraded: Path | None = None,
    force_fid: bool = False,
) -> tuple[Result, None]:
    """Return the scores of images that somebody else restored; there are no pictures."""
    return score_pairs(restored, clean, metrics, settings, degraded, force_fid), None


def show(result: Result, gallery: Gallery | None, out: Path | None, quiet: bool, json: bool) -> int:
    """Print the table (or JSON), write the files, and return the exit code: 1 where an image could not be scored."""
    if distributed.rank() > 0:
        return 0
    if json:
        print(result.to_json(), end="")
    elif not quiet:
        print(run_table(result))
        if further := brief(result):
            print(further)
    if out is not None:
        paths = [*write_result(out, result, gallery), *write_appendix(out, result)]
        if not quiet and not json:
            print(f"wrote {', '.join(map(str, paths))}")
    unscored = _gaps(result)
    for line in dict.fromkeys([*result.problems, *unscored]):
        print(f"restoration: {line}", file=sys.stderr)
    return 1 if result.problems or unscored else 0


def _gaps(result: Result) -> list[str]:
    """Return one line per reason for which values are missing: of every image of a metric, or of some by name."""
    lines = []
    for row in result.rows:
        reasons: dict[str, list[str]] = {}
        for name, why in row.missing.items():
            reasons.setdefault(why, []).append(name)
        for why, names in reasons.items():
            of_set = METRICS[row.metric].kind == "set" and row.mean is None
            whole = of_set or (not row.per_image and len(reasons) == 1 and len(names) > 1)
            more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
            whom = row.metric if whole else ", ".join(names[:LISTED]) + more
            lines.append(": ".join([row.protocol, row.restorer, whom, why]))
    return lines


def ready(out: Path | None) -> None:
    """Make the output folder before anything is measured, or refuse it."""
    if out is None:
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"--out {out}: {error.strerror.lower()}; expected a folder") from None


def fill_readme(readme: Path) -> None:
    """Write the tables of the committed results between the README's markers."""
    if not readme.is_file():
        raise RequestError(f"--table: no {readme} in this folder")
    tables = readme_tables(Path(str(files("restoration.benchmarks"))) / "results")
    text = fill_markers(readme.read_text(encoding="utf-8"), tables)
    with atomic(readme) as stream:
        stream.write(text.encode())


@contextlib.contextmanager
def _bar(quiet: bool) -> Iterator[Progress | None]:
    """Yield what is called with (protocol, images done, images in all); a bar where there is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    with Bar(transient=True, console=Console(stderr=True)) as bar:
        tasks = {}

        def progress(protocol: str, done: int, total: int) -> None:
            if protocol not in tasks:
                tasks[protocol] = bar.add_task(protocol, total=total)
            bar.update(tasks[protocol], completed=done)

        yield progress
