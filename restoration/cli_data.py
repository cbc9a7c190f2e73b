"""The commands about data: pack, check, identify, status."""

import sys
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from restoration.cli_options import DataRoot, Json, Quiet

if TYPE_CHECKING:
    from restoration.curation.checking import Findings
    from restoration.curation.cutting import Item
    from restoration.curation.identify import Verdict
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
    items = _items(_place(source), degraded)
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
    """Find broken files, odd ones, duplicates and test images; exit code 1 where a file is broken or a test image's.

    Test images are known by their pixels, their picture or their names.
    """
    from restoration.benchmarks.datasets import pixels_sha256
    from restoration.benchmarks.known import published_files, reserved_names, reserved_pixels
    from restoration.curation.checking import Known, images_of
    from restoration.curation.checking import check as run
    from restoration.curation.tally import Tally

    place, others = _place(folder), [_place(other) for other in against or []]
    total = sum(len(images_of(each)) for each in [place, *others])
    known = Known(reserved_pixels(), reserved_names(), published_files())
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
        typer.echo(_said(verdict))
    raise typer.Exit(1 if verdict.problems else 0)


@data.command()
def status(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Data sets or protocols; all sets by default."),
    ] = None,
    root: DataRoot = None,
    json: Json = False,
) -> None:
    """Say which data sets of the benchmarks are here, whether they are the published files, and where to get them.

    Exit code 1 where a file is not the published one, or a set that was named is not complete.
    """
    from restoration.benchmarks.known import holdings, other_folders, remedies, sets_of, table
    from restoration.data import data_root
    from restoration.errors import RequestError

    place = root.expanduser() if root else data_root()
    if root and not place.is_dir():
        raise RequestError(f"--data {root}: no such folder")
    wanted = list(dict.fromkeys(each for name in names or () for each in sets_of(name)))
    found = holdings(place, wanted, compare=True)
    others = [] if names else other_folders(place)
    counts = {state: sum(h.state == state for h in found) for state in ("complete", "partly", "missing")}
    if json:
        sets = [vars(holding) | {"state": holding.state, "get": holding.where} for holding in found]
        _print_json({"root": str(place), **counts, "sets": sets, "others": others})
    else:
        told = [line for h in found if names or h.other for line in remedies(h, place, SHOWN)]
        for line in [*table(found), *told]:
            typer.echo(line)
        if others:
            typer.echo(f"other folders here, without a manifest: {', '.join(others)}")
        typer.echo(", ".join(f"{count} {state}" for state, count in counts.items()) + f" in {place}")
    raise typer.Exit(int(any(h.other or (names and h.state != "complete") for h in found)))


def _place(name: str) -> Path:
    """Return a path; a relative one that is not here may lie in the data root."""
    from restoration.data.files import located
    from restoration.errors import ConfigError

    try:
        return located(name)
    except ConfigError:
        return Path(name).expanduser()  # what it is needed for refuses it in its own words


def _items(clean: Path, degraded: str | None) -> "list[Item]":
    """Return the images of a folder, or refuse those that have no degraded partner."""
    from restoration.curation.checking import images_of
    from restoration.curation.cutting import Item
    from restoration.curation.pairing import partners

    paths = images_of(clean)
    names = [path.relative_to(clean).as_posix() for path in paths]
    if degraded is None:
        return [Item(name, path) for name, path in zip(names, paths, strict=True)]
    pairs = partners(paths, images_of(_place(degraded)), degraded)
    return [Item(*entry) for entry in zip(names, paths, pairs, strict=True)]


def _identified(degraded: Path, clean: Path, workers: int | None, quiet: bool) -> "Verdict":
    from restoration.curation.checking import images_of
    from restoration.curation.identify import MOST_PAIRS
    from restoration.curation.identify import identify as run
    from restoration.curation.pairing import pairs_of
    from restoration.curation.tally import Tally

    pairs, by_order = pairs_of(images_of(degraded), images_of(clean), degraded)
    with Tally("comparing", min(len(pairs), MOST_PAIRS), quiet) as tally:
        verdict = run(pairs, workers=workers, on_pair=tally)
    return replace(verdict, by_order=by_order)


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
    from restoration.printing import listed

    for line in findings.broken.values():
        print(f"restoration: {line}", file=sys.stderr)
    for copy in findings.leaks:
        like = f" (likeness {copy.likeness:.2f})" if copy.likeness < 1 else ""
        print(f"restoration: {copy.path}: is test image {copy.other}: {copy.how}{like}", file=sys.stderr)
    for dataset, paths in findings.named.items():
        named = f"named as those of test set {dataset}: {listed([Path(path).name for path in paths], SHOWN)}"
        print(f"restoration: {_count(len(paths), 'file')} {named}", file=sys.stderr)
    for line in verdict.problems if verdict else ():
        print(f"restoration: {line}", file=sys.stderr)
    if quiet:
        return
    if verdict:
        typer.echo(f"made with {_said(verdict)}")
    _lines("odd", (f"{path}: {why}" for path, why in findings.odd.items()))
    copies = (f"{c.path}: {c.how} as {c.other} (likeness {c.likeness:.2f})" for c in findings.duplicates)
    _lines("twice", copies)
    counts = {
        "broken": findings.broken, "odd": findings.odd, "twice": findings.duplicates,
        "of a test set": findings.leaks, "named as of a test set": {*chain(*findings.named.values())},
    }  # fmt: skip
    found = ", ".join(f"{len(items)} {what}" for what, items in counts.items() if items) or "nothing wrong"
    typer.echo(f"{_count(findings.files, 'file')}: {found}")


def _lines(kind: str, lines: Iterable[str]) -> None:
    every = list(lines)
    for line in every[:SHOWN]:
        typer.echo(f"{kind:<6} {line}")
    if len(every) > SHOWN:
        typer.echo(f"{kind:<6} and {len(every) - SHOWN} more; --json names all")


def _said(verdict: "Verdict") -> str:
    return verdict.text + ("; pairs are by order: no names agree" if verdict.by_order else "")


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


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
