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
    from restoration.benchmarks.matching import Folders

Words = Annotated[
    list[str] | None, typer.Argument(metavar="PROTOCOL[,PROTOCOL] RESTORER...", help="See `list protocols`.")
]
Pairs = Annotated[
    tuple[Path, Path] | None,
    typer.Option(
        metavar="RESTORED[...] CLEAN",
        help="Score folders against the last one: --pairs A,B CLEAN or A B CLEAN.",
    ),
]
Alone = Annotated[
    Path | None, typer.Option(metavar="RESTORED[...]", help="Score folders without clean images.")
]
Degraded = Annotated[
    Path | None,
    typer.Option(help="Beside --pairs or --alone: the folder that the images were restored from."),
]
Mask = Annotated[
    Path | None, typer.Option(help="Beside --pairs: where holes were, one file or a folder by name.")
]
Hole = Annotated[str, typer.Option(help="The colour of what was missing: white or black.")]
Clips = Annotated[
    bool, typer.Option("--clips", help="Beside --pairs: each folder's images are frames of a clip.")
]
Table = Annotated[
    bool, typer.Option("--table", help="Write committed results into README.md, docs/ledger.md.")
]
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
Reference = Annotated[
    Path | None,
    typer.Option(
        help="Images that metrics of sets, such as fid, compare with; else the protocol's clean ones."
    ),
]
NoCache = Annotated[
    bool, typer.Option("--no-cache", help="Restore every image again; else those restored before are reused.")
]


def benchmark(
    arguments: Words = None,
    pairs: Pairs = None,
    alone: Alone = None,
    degraded: Degraded = None,
    mask: Mask = None,
    hole: Hole = "white",
    clips: Clips = False,
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
    reference: Reference = None,
    no_cache: NoCache = False,
    tile: Tile = "auto",
    precision: Precision = "fp32",
    self_ensemble: Ensemble = False,
    device: Device = "auto",
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Score restorers by protocols, or folders of images, and write a page to look at."""
    use_data_root(data)
    from restoration.benchmarks import command, plane_command

    wanted, words, settings = _names(metrics), arguments or [], _settings(set_, reference)
    chosen = [name for name, given in (("--pairs", pairs), ("--alone", alone), ("--table", table)) if given]
    _refuse_beside(chosen, words if table else [], {"--compare": compare, "--plane": plane} if table else {})
    if table:
        _alone("--table", {"--conventions": conventions, "--reference": reference})
        command.fill_readme(Path("README.md"))
        return
    if save_images and (out is None or chosen):
        raise typer.BadParameter("--save-images needs --out, and restorers")
    axes, how = plane_command.chosen_axes(plane or []), inference(tile, precision, self_ensemble, device)
    beside = {"--metrics": metrics, "--compare": compare, "--plane": plane, "--force-fid": force_fid}
    beside |= {"--save-images": save_images, "--reference": reference}
    if not chosen and words and words[0].partition(",")[0] == plane_command.TOY:
        beside |= {"--conventions": conventions}
        raise typer.Exit(_self_tested(words, settings, beside, out, quiet, json))
    folders = _folders(words, pairs, alone, degraded, mask, hole, clips)
    command.ready(out)
    if conventions:
        _alone("--conventions", {"--alone": alone, "--degraded": degraded, "--mask": mask} | beside)
        raise typer.Exit(_compared(words, settings, conventions, folders, how, out, quiet, json))
    if folders:
        result, gallery = command.scored_folders(
            folders, wanted, settings, compare, quiet or json, force_fid=force_fid, axes=axes
        )
    else:
        result, gallery = command.scored(
            words, settings, wanted, compare, how, out if save_images else None, quiet or json,
            force_fid=force_fid, cached=not no_cache, axes=axes,
        )  # fmt: skip
    raise typer.Exit(command.show(result, gallery, out, quiet, json))


def _folders(
    words: list[str], pairs: tuple[Path, Path] | None, alone: Path | None, degraded: Path | None, mask: Path | None,
    hole: str, clips: bool,
) -> "Folders | None":  # fmt: skip
    """Return the folders to score, where the command names such; ``words`` are those after what an option took."""
    if not (pairs or alone):
        for name, given in (("--degraded", degraded), ("--mask", mask), ("--clips", clips)):
            if given:
                raise typer.BadParameter(f"{name} has a meaning beside --pairs or --alone only")
        return None
    from restoration.benchmarks import command

    further = [Path(word) for word in words]
    ours, others = ([*pairs, *further], []) if pairs else ([], [*([alone] if alone else []), *further])
    return command.named_folders(ours, others, degraded, mask, hole, clips)


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
    words: list[str], settings: list[str], names: str, folders: "Folders | None",
    how: "Inference", out: Path | None, quiet: bool, json: bool,
) -> int:  # fmt: skip
    """Score by several conventions, show them side by side, and return the exit code."""
    from restoration.benchmarks import side_by_side

    result, gallery = side_by_side.compared(words, settings, names, folders, how)
    return side_by_side.show(result, gallery, out, quiet, json)


def _refuse_beside(chosen: list[str], words: list[str], others: Mapping[str, object]) -> None:
    """Refuse words and options that have no meaning beside a mode such as --pairs, and two modes at once."""
    given = [*words, *(name for name, value in others.items() if value), *chosen[1:]]
    if chosen and given:
        raise typer.BadParameter(f"{' '.join(given)}: has no meaning beside {chosen[0]}")


def _alone(option: str, others: Mapping[str, object]) -> None:
    """Refuse options that have no meaning beside another."""
    if given := [name for name, value in others.items() if value]:
        raise typer.BadParameter(f"{', '.join(given)}: has no meaning beside {option}")


def _settings(given: list[str] | None, reference: Path | None) -> list[str]:
    """Return the settings of protocols, that of --reference among them."""
    return [*(given or []), *([f"reference={reference.absolute()}"] if reference else [])]


def _names(metrics: str) -> list[str]:
    """Return the metrics of a comma-separated list."""
    wanted = [name.strip() for name in metrics.split(",") if name.strip()]
    if metrics and not wanted:
        raise typer.BadParameter(f"--metrics {metrics}: names no metric")
    return wanted
