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
from restoration.benchmarks.matching import Folders
from restoration.benchmarks.pairs import score_pairs, usual
from restoration.benchmarks.plane_command import Axes, brief, planned, with_axes, write_appendix
from restoration.benchmarks.protocol import load_protocols
from restoration.benchmarks.readme import fill_markers, ledger_tables, readme_tables
from restoration.benchmarks.report import write_result
from restoration.benchmarks.result import Result, merge
from restoration.benchmarks.run import Progress, benchmark
from restoration.benchmarks.table import gaps, run_table
from restoration.errors import RequestError
from restoration.files import atomic
from restoration.restorers.network import Restorer


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
            "benchmark: expected PROTOCOL[,PROTOCOL] RESTORER..., or --pairs RESTORED... CLEAN, or --table"
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
        result, gallery = merge([part for part, _ in parts], compare), joined([shown for _, shown in parts])
    return planned(result, axes), gallery


def joined(galleries: Sequence[Gallery]) -> Gallery:
    """Return the pictures of all ranks as one gallery, in the order of their names."""
    whole = Gallery()
    for gallery in galleries:
        whole.join(gallery)
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


def named_folders(
    pairs: Sequence[Path],
    alone: Sequence[Path],
    degraded: Path | None,
    mask: Path | None,
    hole: str,
    clips: bool,
) -> Folders | None:
    """Return the folders of ``--pairs A B … CLEAN`` or ``--alone A B …``, or None where neither is asked for.

    A word may be several folders with commas between them, unless it is one itself.
    """
    words = [Path(part) for word in (pairs or alone) for part in _parted(word)]
    if not words:
        return None
    restored, clean = (words[:-1], words[-1]) if pairs else (words, None)
    return Folders.of(restored, clean, degraded=degraded, mask=mask, hole=hole, clips=clips)


def scored_folders(
    folders: Folders,
    metrics: Sequence[str],
    settings: Sequence[str],
    compare: str | None = None,
    quiet: bool = True,
    *,
    force_fid: bool = False,
    axes: Axes = (),
) -> tuple[Result, Gallery]:
    """Return the scores of images that somebody else restored, and the pictures for their page."""
    gallery, wanted = Gallery(), [name for pair in axes for name in pair]
    metrics = list(dict.fromkeys([*(metrics or usual(folders)), *wanted]))
    rank, world = distributed.rank(), distributed.world()
    with distributed.process_group(torch.device("cpu")), _bar(quiet or rank > 0) as progress:
        result = score_pairs(
            folders, None, metrics, settings, None, force_fid, gallery,
            baseline=compare, progress=progress, rank=rank, world=world,
        )  # fmt: skip
        parts = distributed.gather((result, gallery))
    if world > 1:
        result, gallery = merge([part for part, _ in parts], compare), joined([shown for _, shown in parts])
    return planned(result, axes), gallery


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
    unscored = lacking(result)
    for line in dict.fromkeys([*result.problems, *unscored]):
        print(f"restoration: {line}", file=sys.stderr)
    return 1 if result.problems or unscored else 0


def lacking(result: Result) -> list[str]:
    """Return one line per reason for which values are missing."""
    return [": ".join(gap) for gap in gaps(result.rows)]


def _parted(word: Path) -> list[str]:
    """Return the folders that a word names."""
    whole = word.expanduser()
    if whole.exists() or "," not in str(word):
        return [str(whole)]
    return [str(Path(part.strip()).expanduser()) for part in str(word).split(",") if part.strip()]


def ready(out: Path | None) -> None:
    """Make the output folder before anything is measured, or refuse it."""
    if out is None:
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(f"--out {out}: {error.strerror.lower()}; expected a folder") from None


def fill_readme(readme: Path) -> None:
    """Write the tables of the committed results between the markers of the README, and of ``docs/ledger.md``."""
    results = Path(str(files("restoration.benchmarks"))) / "results"
    pages = {readme: readme_tables, readme.parent / "docs" / "ledger.md": ledger_tables}
    for page in pages:
        if not page.is_file():
            raise RequestError(f"--table: no {page} in this folder")
    filled = {
        page: fill_markers(page.read_text("utf-8"), made(results), str(page)) for page, made in pages.items()
    }
    for page, text in filled.items():
        with atomic(page) as stream:
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
