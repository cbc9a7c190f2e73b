"""The command ``restoration benchmark``: its words and options."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from restoration.cli_options import (
    DataRoot,
    Device,
    Json,
    Precision,
    Quiet,
    Set,
    Tile,
    inference,
    use_data_root,
)

if TYPE_CHECKING:
    from restoration.apply import Inference

Words = Annotated[
    list[str] | None, typer.Argument(metavar="PROTOCOL[,PROTOCOL] RESTORER...", help="See `list protocols`.")
]
Pairs = Annotated[
    tuple[Path, Path] | None, typer.Option(metavar="RESTORED CLEAN", help="Score one folder against another.")
]
Alone = Annotated[
    Path | None, typer.Option(metavar="RESTORED", help="Score a folder by metrics that need no clean image.")
]
Degraded = Annotated[
    Path | None,
    typer.Option(help="Beside --pairs or --alone: the folder that the images were restored from."),
]
Table = Annotated[bool, typer.Option("--table", help="Write the committed results into README.md.")]
Conventions = Annotated[
    str,
    typer.Option(
        help="all, or some: PSNR and SSIM as MATLAB, BasicSR, piq and others measure, side by side."
    ),
]
Metrics = Annotated[str, typer.Option(help="Comma-separated; the protocol's own by default.")]
Compare = Annotated[str | None, typer.Option(help="The restorer that others are compared with.")]
Planes = Annotated[
    list[str] | None,
    typer.Option(
        "--plane",
        metavar="DISTORTION:PERCEPTION",
        help="Draw the plane of two metrics; may be given several times.",
    ),
]
Out = Annotated[Path | None, typer.Option(help="Folder for result.json, table.md and report.html.")]
SaveImages = Annotated[bool, typer.Option("--save-images", help="Keep every restored image, as PNG.")]
Ensemble = Annotated[bool, typer.Option("--self-ensemble", help="Average over eight flips and turns.")]
ForceFid = Annotated[
    bool, typer.Option("--force-fid", help="Fréchet distances of fewer than 2,048 images too, which mislead.")
]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Restore every image again; else those restored before are reused.")
]


def benchmark(
    arguments: Words = None,
    pairs: Pairs = None,
    alone: Alone = None,
    degraded: Degraded = None,
    table: Table = False,
    metrics: Metrics = "",
    conventions: Conventions = "",
    compare: Compare = None,
    plane: Planes = None,
    set_: Set = None,
    data: DataRoot = None,
    out: Out = None,
    save_images: SaveImages = False,
    force_fid: ForceFid = False,
    no_cache: NoCache = False,
    tile: Tile = "auto",
    precision: Precision = "fp32",
    self_ensemble: Ensemble = False,
    device: Device = "auto",
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Score restorers by protocols, or two folders of images, and write a page to look at."""
    use_data_root(data)
    from restoration.benchmarks import command, plane_command

    wanted, words = _names(metrics), arguments or []
    chosen = [name for name, given in (("--pairs", pairs), ("--alone", alone), ("--table", table)) if given]
    _refuse_beside(chosen, words, {"--compare": compare, "--plane": plane})
    if degraded and not (pairs or alone):
        raise typer.BadParameter("--degraded has a meaning beside --pairs or --alone only")
    if table:
        _alone("--table", {"--conventions": conventions})
        command.fill_readme(Path("README.md"))
        return
    if save_images and (out is None or chosen):
        raise typer.BadParameter("--save-images needs --out, and restorers")
    axes = plane_command.chosen_axes(plane or [])
    settings = set_ or []
    beside = {"--metrics": metrics, "--compare": compare, "--plane": plane, "--save-images": save_images}
    beside |= {"--force-fid": force_fid}
    if words and words[0].partition(",")[0] == plane_command.TOY:
        others = beside | {"--conventions": conventions}
        raise typer.Exit(_self_tested(words, settings, others, out, quiet, json))
    command.ready(out)
    if conventions:
        _alone("--conventions", {"--alone": alone, "--degraded": degraded} | beside)
        how = inference(tile, precision, self_ensemble, device)
        raise typer.Exit(_compared(words, settings, conventions, pairs, how, out, quiet, json))
    if folder := alone or (pairs and pairs[0]):
        clean = pairs[1] if pairs else None
        result, gallery = command.scored_folder(folder, clean, wanted, settings, degraded, force_fid)
    else:
        how = inference(tile, precision, self_ensemble, device)
        images = out if save_images else None
        result, gallery = command.scored(
            words, settings, wanted, compare, how, images, quiet or json,
            force_fid=force_fid, cached=not no_cache, axes=axes,
        )  # fmt: skip
    raise typer.Exit(command.show(result, gallery, out, quiet, json))


def _self_tested(
    words: list[str],
    settings: list[str],
    others: Mapping[str, object],
    out: Path | None,
    quiet: bool,
    json: bool,
) -> int:
    """Test the instrument by Gaussians whose trade-off is known, and return the exit code."""
    from restoration.benchmarks import command, plane_command

    toy = plane_command.asked_toy(words, settings, [name for name, value in others.items() if value])
    command.ready(out)
    return plane_command.self_tested(toy, out, quiet, json)


def _compared(
    words: list[str], settings: list[str], names: str, pairs: tuple[Path, Path] | None,
    how: "Inference", out: Path | None, quiet: bool, json: bool,
) -> int:  # fmt: skip
    """Score by several conventions, show them side by side, and return the exit code."""
    from restoration.benchmarks import side_by_side

    return side_by_side.show(side_by_side.compared(words, settings, names, pairs, how), out, quiet, json)


def _refuse_beside(chosen: list[str], words: list[str], others: Mapping[str, object]) -> None:
    """Refuse words and options that have no meaning beside a mode such as --pairs, and two modes at once."""
    given = [*words, *(name for name, value in others.items() if value), *chosen[1:]]
    if chosen and given:
        raise typer.BadParameter(f"{' '.join(given)}: has no meaning beside {chosen[0]}")


def _alone(option: str, others: Mapping[str, object]) -> None:
    """Refuse options that have no meaning beside another."""
    if given := [name for name, value in others.items() if value]:
        raise typer.BadParameter(f"{', '.join(given)}: has no meaning beside {option}")


def _names(metrics: str) -> list[str]:
    """Return the metrics of a comma-separated list."""
    wanted = [name.strip() for name in metrics.split(",") if name.strip()]
    if metrics and not wanted:
        raise typer.BadParameter(f"--metrics {metrics}: names no metric")
    return wanted
