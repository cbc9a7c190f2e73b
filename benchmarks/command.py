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
from restoration.benchmarks.gallery import Folder, Gallery
from restoration.benchmarks.pairs import score_pairs
from restoration.benchmarks.protocol import load_protocols
from restoration.benchmarks.report import write_result
from restoration.benchmarks.result import Result, merge
from restoration.benchmarks.run import Progress, benchmark
from restoration.benchmarks.table import fill_markers, readme_tables, run_table
from restoration.errors import RequestError
from restoration.files import atomic
from restoration.restorers.network import Restorer
from restoration.weights import load


def scored(
    words: Sequence[str],
    settings: Sequence[str],
    metrics: Sequence[str],
    compare: str | None,
    how: Inference,
    images: Path | None,
    quiet: bool,
) -> tuple[Result, Gallery]:
    """Return what ``PROTOCOL[,PROTOCOL] RESTORER...`` measures, and the pictures for its page."""
    if len(words) < 2:
        raise RequestError(
            "benchmark: expected PROTOCOL[,PROTOCOL] RESTORER..., or --pairs RESTORED CLEAN, or --table"
        )
    protocols = load_protocols(words[0], settings, metrics)
    restorers = named_restorers(words[1:])
    gallery = Gallery()
    watchers = [gallery, *([Folder(images)] if images else [])]
    rank, world = distributed.rank(), distributed.world()
    with distributed.process_group(torch.device(how.device)), _bar(quiet or rank > 0) as progress:
        result = benchmark(
            restorers, protocols, inference=how, baseline=compare, watchers=watchers, progress=progress,
            rank=rank, world=world,
        )  # fmt: skip
        parts = distributed.gather((result, gallery))
    if world > 1:
        result, gallery = merge([part for part, _ in parts], compare), _joined([shown for _, shown in parts])
    return result, gallery


def _joined(galleries: Sequence[Gallery]) -> Gallery:
    """Return the pictures of all ranks as one gallery, in the order of their names."""
    whole = Gallery()
    scenes = [item for gallery in galleries for item in gallery.scenes.items()]
    whole.scenes = dict(sorted(scenes, key=lambda item: item[0]))
    return whole


def named_restorers(sources: Sequence[str]) -> Mapping[str, Restorer]:
    """Return the restorers by the names that results show: shipped names as they are, files without folder."""
    names = [Path(source).name if "." in source else source for source in sources]
    names = [n if names.count(n) == 1 else s for n, s in zip(names, sources, strict=True)]
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise RequestError(f"benchmark: restorer '{twice}' is named twice")
    return {name: load(source) for name, source in zip(names, sources, strict=True)}


def scored_pairs(
    restored: Path, clean: Path, metrics: Sequence[str], settings: Sequence[str]
) -> tuple[Result, None]:
    """Return the scores of images that somebody else restored; there are no pictures."""
    return score_pairs(restored, clean, metrics or ("psnr-y", "ssim-y"), settings), None


def show(result: Result, gallery: Gallery | None, out: Path | None, quiet: bool, json: bool) -> int:
    """Print the table (or JSON), write the files, and return the exit code: 1 where an image could not be scored."""
    if distributed.rank() > 0:
        return 0
    if json:
        print(result.to_json(), end="")
    elif not quiet:
        print(run_table(result))
    if out is not None:
        paths = write_result(out, result, gallery)
        if not quiet and not json:
            print(f"wrote {', '.join(map(str, paths))}")
    unscored = [
        f"{r.protocol}: {r.restorer}: {n}: {why}" for r in result.rows for n, why in r.missing.items()
    ]
    for line in dict.fromkeys([*result.problems, *unscored]):
        print(f"restoration: {line}", file=sys.stderr)
    return 1 if result.problems or unscored else 0


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
