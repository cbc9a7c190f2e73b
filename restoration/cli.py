"""The command ``restoration``: the one place that joins training, application and measurement."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from restoration import cli_dials as dials
from restoration import cli_video as video
from restoration.cli_data import data
from restoration.cli_degrade import degrade
from restoration.cli_import import import_
from restoration.cli_options import Compile, DataRoot, Device, Json, Precision, Quiet, Set, Tile, Wrap
from restoration.cli_parts import list_, show
from restoration.cli_weights import weights
from restoration.errors import RestorationError

UsageError = typer.BadParameter.__base__  # click's own class, wherever this typer keeps it
app = typer.Typer(
    name="restoration",
    help="Train, apply and benchmark image restorers.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command line; every failure is one line and an exit code."""
    try:
        code = app(standalone_mode=False)
        if code == 130:  # what typer makes of Ctrl-C
            code = _fail("interrupted", code)
    except (typer.Abort, KeyboardInterrupt):
        code = _fail("interrupted", 130)
    except UsageError as error:
        code = _fail(" ".join(error.format_message().split()), 2)  # typer lists choices on lines of their own
    except RestorationError as error:
        code = _fail(str(error), error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        code = _fail(f"{error.filename}: {error.strerror}", 2)
    except OSError as error:
        code = _fail(f"{error.filename or 'the system'}: {error.strerror or error}", 1)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        # torch's threads of sharded modules may outlive the group, and then abort a rank that has done its work
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code or 0)
    sys.exit(code or 0)


@app.callback(invoke_without_command=True)
def about(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Train, apply and benchmark image restorers."""
    from restoration import __version__

    if version:
        typer.echo(__version__)
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command()
def train(
    experiment: Annotated[
        str, typer.Argument(help="A shipped experiment (`list experiments`) or a TOML file.")
    ],
    set_: Set = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; runs/<experiment> by default.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would run, and stop.")] = False,
    device: Device = "auto",
    data: DataRoot = None,
    quiet: Quiet = False,
) -> None:
    """Train a restorer; the same command again resumes. Under torchrun it trains on every rank."""
    _use_data_root(data)
    from restoration import distributed
    from restoration.benchmarks.validation import validator
    from restoration.experiment import load
    from restoration.runs import dry_run as describe
    from restoration.runs import run

    settings = load(experiment, set_ or [])
    validate = validator(settings)
    on, folder = _device(device), out or Path("runs") / settings.name
    with distributed.process_group(on):
        if dry_run:
            typer.echo(describe(settings, folder, on))
        else:
            run(settings, folder, on, validate, quiet)


@app.command()
def apply(
    restorer: Annotated[
        str, typer.Argument(help="A weights file, a name of `list restorers`, or hf:OWNER/NAME.")
    ],
    inputs: Annotated[list[str], typer.Argument(metavar="INPUT...", help="Images, videos, folders, globs.")],
    out: Annotated[Path, typer.Option(help="Folder; or a file, for one input.")],
    tile: Tile = "auto",
    precision: Precision = "auto",
    device: Device = "auto",
    wrap: Wrap = "off",
    compile_: Compile = None,
    self_ensemble: Annotated[
        bool, typer.Option("--self-ensemble", help="Average over eight flips and turns.")
    ] = False,
    perception: dials.Perception = None,
    with_: dials.With = None,
    interpolate: dials.Interpolate = "outputs",
    steps: dials.Steps = None,
    seed: dials.Seed = None,
    consistent: dials.Consistent = False,
    mask: dials.Mask = None,
    hole: dials.Hole = "white",
    frames: video.Frames = "",
    codec: video.Codec = "auto",
    crf: video.Crf = None,
    segment: video.Segment = 96,
    set_: Set = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing outputs.")] = False,
    suffix: Annotated[str, typer.Option(help="Added to every output's name.")] = "",
    format_: Annotated[
        str, typer.Option("--format", help="keep, png, jpg, webp, avif, tif, bmp, ppm or gif.")
    ] = "keep",
    quality: Annotated[
        int | None, typer.Option(help="Of JPEG, WebP and AVIF, 1 to 100; a JPEG keeps its own by default.")
    ] = None,
    max_pixels: Annotated[
        int, typer.Option(help="Refuse larger images by their header.", min=1)
    ] = 512_000_000,
    shard: Annotated[str, typer.Option(help="i/n: the i-th of n shares of the files, from 0.")] = "",
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Restore images, videos, folders or globs; existing outputs are kept, one unreadable file stops nothing."""
    from restoration import distributed
    from restoration.apply import apply as run
    from restoration.applying.pace import Pace
    from restoration.printing import applied

    how = _inference(tile, precision, self_ensemble, device)
    how = replace(how, consistent=consistent, wrap=wrap, compile=compile_)
    chosen = dials.dialled(restorer, set_ or [], perception, with_, interpolate, steps, seed)
    report = run(
        chosen, inputs, out, **vars(how), masks=dials.masks(mask, hole),
        films=video.films(frames, codec, crf, segment, quiet or json), overwrite=overwrite, suffix=suffix,
        format=format_, quality=quality, max_pixels=max_pixels, shard=_shard(shard), pace=Pace(quiet or json),
    )  # fmt: skip
    if distributed.rank() == 0:
        applied(report, quiet, json)
    raise typer.Exit(report.exit_code)


@app.command()
def benchmark(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="PROTOCOL[,PROTOCOL] RESTORER...", help="See `list protocols`."),
    ] = None,
    pairs: Annotated[
        tuple[Path, Path] | None, typer.Option("--pairs", metavar="RESTORED CLEAN", help="Score two folders.")
    ] = None,
    table: Annotated[
        bool, typer.Option("--table", help="Write the committed results into README.md.")
    ] = False,
    metrics: Annotated[str, typer.Option(help="Comma-separated; the protocol's own by default.")] = "",
    compare: Annotated[str | None, typer.Option(help="The restorer that others are compared with.")] = None,
    set_: Set = None,
    data: DataRoot = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for result.json, table.md and report.html.")
    ] = None,
    save_images: Annotated[
        bool, typer.Option("--save-images", help="Keep every restored image, as PNG.")
    ] = False,
    tile: Tile = "auto",
    precision: Precision = "fp32",
    self_ensemble: Annotated[
        bool, typer.Option("--self-ensemble", help="Average over eight flips and turns.")
    ] = False,
    device: Device = "auto",
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Score restorers by protocols, or two folders of images, and write a page to look at."""
    _use_data_root(data)
    from restoration.benchmarks import command

    wanted = [name.strip() for name in metrics.split(",") if name.strip()]
    if metrics and not wanted:
        raise typer.BadParameter(f"--metrics {metrics}: names no metric")
    if (pairs or table) and (arguments or compare):
        words = " ".join([*(arguments or []), *(["--compare"] if compare else [])])
        raise typer.BadParameter(f"{words}: has no meaning beside {'--pairs' if pairs else '--table'}")
    if table:
        command.fill_readme(Path("README.md"))
        return
    if save_images and out is None:
        raise typer.BadParameter("--save-images needs --out")
    command.ready(out)
    if pairs:
        result, gallery = command.scored_pairs(*pairs, wanted, set_ or [])
    else:
        how = _inference(tile, precision, self_ensemble, device)
        images = out if save_images else None
        result, gallery = command.scored(
            arguments or [], set_ or [], wanted, compare, how, images, quiet or json
        )
    raise typer.Exit(command.show(result, gallery, out, quiet, json))


@app.command()
def doctor() -> None:
    """Check this installation: versions, devices, known values, weights found."""
    from restoration.doctor import findings

    fine = True
    for what, found, good in findings():
        typer.echo(f"{'ok ' if good else 'BAD'}  {what:<13} {found}")
        fine &= good
    raise typer.Exit(0 if fine else 1)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything the demonstration makes.")] = Path("demo"),
    device: Device = "auto",
) -> None:
    """Train, apply and benchmark on shipped photographs, in about two minutes."""
    from restoration.demo import run

    run(out, _device(device))


def _fail(message: str, code: int) -> int:
    first, *rest = message.splitlines() or [""]
    print(
        "\n".join([f"restoration: {first}", *(f"             {line.strip()}" for line in rest)]),
        file=sys.stderr,
    )
    return code


def _use_data_root(folder: Path | None) -> None:
    """Let ``--data`` hold for this process and those it starts."""
    if folder is not None:
        os.environ["RESTORATION_DATA"] = str(folder.expanduser())


def _inference(tile: str, precision: str, ensemble: bool, device: str) -> "Inference":  # noqa: F821
    from restoration.apply import Inference
    from restoration.errors import RequestError

    if tile not in ("auto", "off") and not (tile.isdecimal() and int(tile)):
        raise RequestError(f"--tile {tile}: expected auto, off or a number of pixels")
    return Inference(int(tile) if tile.isdecimal() else tile, precision, ensemble, _device(device))


def _shard(text: str) -> tuple[int, int] | None:
    """Return (which, of how many) as asked; None leaves it to the ranks under torchrun to share the work."""
    from restoration.errors import RequestError

    if not text:
        return None
    if "RANK" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1":
        raise RequestError(
            f"--shard {text}: the ranks of torchrun share the files; expected one or the other"
        )
    which, _, total = text.partition("/")
    if not (which.isdecimal() and total.isdecimal() and int(which) < int(total)):
        raise RequestError(f"--shard {text}: expected i/n with i from 0 to n-1")
    return int(which), int(total)


def _device(name: str) -> "torch.device":  # noqa: F821
    from restoration import distributed
    from restoration.errors import RequestError

    try:
        return distributed.usable(distributed.device(name))
    except (RuntimeError, AssertionError, NotImplementedError):
        raise RequestError(
            f"--device {name}: not to be had here; expected auto, {distributed.choices()}"
        ) from None


app.command()(degrade)
app.command(name="import")(import_)
app.add_typer(data)
app.command(name="list")(list_)
app.command()(show)
app.add_typer(weights)


if __name__ == "__main__":
    main()
