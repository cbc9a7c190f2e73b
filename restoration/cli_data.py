"""The commands about data: pack, check, identify, status."""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from restoration.cli_options import DataRoot, Json, Quiet

if TYPE_CHECKING:
    from restoration.curation.checking import Findings
    from restoration.curation.cutting import Item
    from restoration.curation.identify import Pair, Verdict
    from restoration.curation.packing import Packed

SHOWN = 24  # lines of one kind; --json names all
Workers = Annotated[int | None, typer.Option(min=1, help="Threads; one per processor by default.")]
data = typer.Typer(name="data", help="Pack, check, identify data; say what is here.", no_args_is_help=True)


@data.command()
def pack(
    source: Annotated[str, typer.Argument(metavar="IN", help="A folder of images.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder for shards and index.json.")],
    degraded: Annotated[str | None, typer.Option(help="Their degraded images, of the same names.")] = None,
    tile: Annotated[str, typer.Option(help="Side in pixels of the clean image, or off.")] = "256",
    stride: Annotated[int | None, typer.Option(help="Pixels between tiles; the side by default.")] = None,
    codec: Annotated[str, typer.Option(help="ppm (reads fastest), png, webp, or keep.")] = "ppm",
    shard_size: Annotated[str, typer.Option(help="512MB, 1GiB, or a number of samples.")] = "512MB",
    least_detail: Annotated[
        float, typer.Option(min=0, help="Leave out flatter tiles: mean step between neighbours, of 255.")
    ] = 0.0,
    workers: Workers = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Cut images into tiles and pack them into tar shards; the same command again goes on where it was interrupted."""
    from restoration.curation.cutting import Cut
    from restoration.curation.packing import pack as run
    from restoration.curation.sharding import parse_limit
    from restoration.curation.tally import Tally
    from restoration.errors import RequestError

    if tile != "off" and not tile.isdecimal():
        raise RequestError(f"--tile {tile}: expected off or a number of pixels")
    items = _items(_place(source), None if degraded is None else _place(degraded))
    cut = Cut(None if tile == "off" else int(tile), stride, codec, least_detail)
    with Tally("packing", len(items), quiet or json) as tally:
        packed = run(
            items, out, cut, limit=parse_limit(shard_size), source=source, workers=workers,
            on_image=tally, note=tally.note,
        )  # fmt: skip
    _report_pack(packed, quiet, json)
    raise typer.Exit(1 if packed.failed or not packed.tiles else 0)


@data.command()
def check(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A folder of images.")],
    against: Annotated[
        list[str] | None, typer.Option(help="Test images, not to be trained on; repeatable.")
    ] = None,
    pairs: Annotated[str | None, typer.Option(help="Reduced images of DIR: say how they were made.")] = None,
    least_side: Annotated[int, typer.Option(help="Name images with a shorter side, pixels.")] = 64,
    workers: Workers = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Find broken files, odd ones, duplicates and test images; exit code 1 where a file is broken or a test image."""
    from restoration.benchmarks.datasets import pixels_sha256
    from restoration.benchmarks.known import reserved_names, reserved_pixels
    from restoration.curation.checking import Known, images_of
    from restoration.curation.checking import check as run
    from restoration.curation.tally import Tally

    place, others = _place(folder), [_place(other) for other in against or []]
    total = sum(len(images_of(each)) for each in [place, *others])
    known = Known(reserved_pixels(), reserved_names())
    with Tally("checking", total, quiet or json) as tally:
        findings = run(
            place,
            others,
            digest=pixels_sha256,
            known=known,
            least_side=least_side,
            workers=workers,
            on_file=tally,
        )
    verdict = None if pairs is None else _identified(_place(pairs), place, workers, quiet or json)
    if json:
        _print_json(vars(findings) | ({"pairs": _verdict(verdict)} if verdict else {}))
    else:
        _report_findings(findings, verdict, quiet)
    raise typer.Exit(findings.exit_code or int(bool(verdict and verdict.problems)))


@data.command()
def identify(
    degraded: Annotated[str, typer.Argument(metavar="REDUCED", help="A folder of low-resolution images.")],
    clean: Annotated[str, typer.Argument(metavar="CLEAN", help="The images they were made from.")],
    workers: Workers = None,
    json: Json = False,
) -> None:
    """Say what low-resolution images were made with: whose resampling, which edges, exact or how near."""
    verdict = _identified(_place(degraded), _place(clean), workers, json)
    for line in verdict.problems:
        print(f"restoration: {line}", file=sys.stderr)
    if json:
        _print_json(_verdict(verdict))
    else:
        typer.echo(verdict.text)
    raise typer.Exit(1 if verdict.problems else 0)


@data.command()
def status(root: DataRoot = None, json: Json = False) -> None:
    """Say which data sets of the benchmarks are here, with licence and source."""
    from restoration.benchmarks.known import holdings
    from restoration.data import data_root

    place = root.expanduser() if root else data_root()
    found = holdings(place)
    counts = {state: sum(h.state == state for h in found) for state in ("complete", "partly", "missing")}
    if json:
        sets = [vars(holding) | {"state": holding.state} for holding in found]
        _print_json({"root": str(place), **counts, "sets": sets})
        return
    for h in found:
        amount = f"{h.here}/{h.total}" + (" (other names)" if h.renamed else "")
        typer.echo(f"{h.name:<10} {h.state:<9} {amount:<8} {h.licence}; {h.source}")
    typer.echo(", ".join(f"{count} {state}" for state, count in counts.items()) + f" in {place}")


def _place(name: str) -> Path:
    """Return a path; a relative one that is not here may lie in the data root."""
    from restoration.data import data_root

    path = Path(name).expanduser()
    return path if path.exists() or not (data_root() / path).exists() else data_root() / path


def _items(clean: Path, degraded: Path | None) -> "list[Item]":
    """Return the images of a folder, or refuse those that have no degraded partner."""
    from restoration.benchmarks.datasets import partners_of
    from restoration.curation.checking import images_of
    from restoration.curation.cutting import Item
    from restoration.errors import RequestError

    paths = images_of(clean)
    partners = partners_of(paths, images_of(degraded)) if degraded else {}
    lonely = [path.relative_to(clean).as_posix() for path in paths if degraded and path not in partners]
    if lonely:
        raise RequestError(f"--degraded {degraded}: no partner of the same name for {_some(lonely)}")
    return [Item(path.relative_to(clean).as_posix(), path, partners.get(path)) for path in paths]


def _identified(degraded: Path, clean: Path, workers: int | None, quiet: bool) -> "Verdict":
    from restoration.curation.identify import MOST_PAIRS
    from restoration.curation.identify import identify as run
    from restoration.curation.tally import Tally

    pairs = _pairs(degraded, clean)
    with Tally("comparing", min(len(pairs), MOST_PAIRS), quiet) as tally:
        return run(pairs, workers=workers, on_pair=tally)


def _pairs(degraded: Path, clean: Path) -> "list[Pair]":
    """Return (degraded, clean) files by name; by order, where no two names match and there are as many of both."""
    from restoration.benchmarks.datasets import partners_of
    from restoration.curation.checking import images_of
    from restoration.errors import RequestError

    ours, theirs = images_of(degraded), images_of(clean)
    partners = partners_of(ours, theirs)
    if not partners and len(ours) == len(theirs):
        return list(zip(ours, theirs, strict=True))
    if not partners:
        raise RequestError(
            f"{degraded}: no file has a partner of the same name in {clean}; "
            f"expected such as {ours[0].name} for {theirs[0].name}"
        )
    return [(path, partners[path]) for path in ours if path in partners]


def _report_pack(packed: "Packed", quiet: bool, json: bool) -> None:
    """Print what became of the images; those that failed go to the error stream, one line each."""
    for line in packed.failed.values():
        print(f"restoration: {line}; left out", file=sys.stderr)
    if json:
        names = ("images", "tiles", "dropped", "bytes", "scale", "already")
        shards = [shard["file"] for shard in packed.shards]
        found = {name: getattr(packed, name) for name in names}
        _print_json(found | {"seconds": round(packed.seconds, 3), "shards": shards, "failed": packed.failed})
    elif not quiet:
        typer.echo(_pack_line(packed))


def _pack_line(packed: "Packed") -> str:
    if not packed.tiles:
        return f"{packed.out}: nothing was packed"
    counts = {"image": packed.images, "tile": packed.tiles, "shard": len(packed.shards)}
    amounts = ", ".join(_count(n, what) for what, n in counts.items()) + f", {packed.bytes / 1e6:,.1f} MB"
    if packed.already:
        return f"{packed.out}: already packed: {amounts}"
    flat = f", {_count(packed.dropped, 'flat tile')} left out" if packed.dropped else ""
    return f"{packed.out}: {amounts} in {packed.seconds:.1f} s{flat}"


def _report_findings(findings: "Findings", verdict: "Verdict | None", quiet: bool) -> None:
    for line in findings.broken.values():
        print(f"restoration: {line}", file=sys.stderr)
    for copy in findings.leaks:
        like = f" (likeness {copy.likeness:.2f})" if copy.likeness < 1 else ""
        print(f"restoration: {copy.path}: is test image {copy.other}: {copy.how}{like}", file=sys.stderr)
    if verdict:
        for line in verdict.problems:
            print(f"restoration: {line}", file=sys.stderr)
    if quiet:
        return
    if verdict:
        typer.echo(f"made with {verdict.text}")
    _lines("odd", (f"{path}: {why}" for path, why in findings.odd.items()))
    copies = (f"{c.path}: {c.how} as {c.other} (likeness {c.likeness:.2f})" for c in findings.duplicates)
    _lines("twice", copies)
    for dataset, paths in findings.named.items():
        names = _some([Path(path).name for path in paths])
        _lines("named", [f"{_count(len(paths), 'file')} named as those of test set {dataset}: {names}"])
    counts = {
        "broken": findings.broken, "odd": findings.odd, "twice": findings.duplicates, "of a test set": findings.leaks,
    }  # fmt: skip
    found = ", ".join(f"{len(items)} {what}" for what, items in counts.items() if items) or "nothing wrong"
    typer.echo(f"{_count(findings.files, 'file')}: {found}")


def _lines(kind: str, lines: Iterable[str]) -> None:
    every = list(lines)
    for line in every[:SHOWN]:
        typer.echo(f"{kind:<6} {line}")
    if len(every) > SHOWN:
        typer.echo(f"{kind:<6} and {len(every) - SHOWN} more; --json names all")


def _verdict(verdict: "Verdict") -> dict[str, object]:
    ranking = [
        {
            "way": name, "images": found.images, "exact": found.exact, "most": found.most,
            "psnr": found.whole.psnr if found.whole.error else None,  # None: infinite
            "differing": found.whole.differing, "samples": found.whole.samples, "inexact": found.inexact,
        }
        for name, found in verdict.ranking
    ]  # fmt: skip
    return vars(verdict) | {"ranking": ranking}


def _print_json(value: dict[str, object]) -> None:
    import json

    typer.echo(json.dumps(value, default=vars, ensure_ascii=False))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
