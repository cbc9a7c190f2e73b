"""The command ``restoration``: the one place that joins training, application and measurement."""

import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from restoration import cli_dials as dials
from restoration import cli_video as video
from restoration.cli_benchmark import benchmark
from restoration.cli_data import data
from restoration.cli_degrade import degrade
from restoration.cli_fit import fit
from restoration.cli_import import import_
from restoration.cli_options import (
    Compile,
    DataRoot,
    Device,
    Json,
    Precision,
    Quiet,
    Set,
    Tile,
    Wrap,
    inference,
    use_data_root,
)
from restoration.cli_options import device as device_named
from restoration.cli_parts import list_, show
from restoration.cli_verify import verify
from restoration.cli_weights import weights
from restoration.errors import RestorationError
from restoration.ranks import speaks

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
        code = _fail(_usage(error), 2)
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
    use_data_root(data)
    from restoration import distributed
    from restoration.benchmarks.validation import validator
    from restoration.experiment import load
    from restoration.runs import dry_run as describe
    from restoration.runs import run

    settings = load(experiment, set_ or [])
    validate = validator(settings)
    on, folder = device_named(device), out or Path("runs") / settings.name
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
    solver: dials.Solver = None,
    seed: dials.Seed = None,
    consistent: dials.Consistent = False,
    mask: dials.Mask = None,
    hole: dials.Hole = "white",
    frames: video.Frames = "",
    codec: video.Codec = "auto",
    crf: video.Crf = None,
    segment: video.Segment = 96,
    noise: video.Noise = "still",
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

    how = inference(tile, precision, self_ensemble, device)
    how = replace(how, consistent=consistent, wrap=wrap, compile=compile_)
    chosen = dials.dialled(restorer, set_ or [], perception, with_, interpolate, steps, seed, solver)
    report = run(
        chosen, inputs, out, **vars(how), masks=dials.masks(mask, hole),
        films=video.films(frames, codec, crf, segment, noise, quiet or json), overwrite=overwrite, suffix=suffix,
        format=format_, quality=quality, max_pixels=max_pixels, shard=_shard(shard), pace=Pace(quiet or json),
    )  # fmt: skip
    if distributed.rank() == 0:
        applied(report, quiet, json)
    raise typer.Exit(report.exit_code)


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

    run(out, device_named(device))


def _usage(error: Exception) -> str:
    """Return on one line what typer says over several, of choices, and after words of its own."""
    if getattr(error, "option_name", "") == "--scale" and sys.argv[1:2] == ["apply"]:
        return "--scale: each restorer has its own; expected another RESTORER (restoration list restorers)"
    text = error.format_message()  # type: ignore[attr-defined]
    line = " ".join(text.split()).replace("Value error, ", "")
    if chosen := re.search(r"'([^']*)' is not one of (.*)\.$", line):
        from restoration.config import nearest

        hint = nearest(chosen[1], re.findall(r"'([^']+)'", chosen[2]))
        return line.removesuffix(".") + hint if hint else line
    return line


def _fail(message: str, code: int) -> int:
    if code == 2 and not speaks(code):
        return code
    first, *rest = message.splitlines() or [""]
    print(
        "\n".join([f"restoration: {first}", *(f"             {line.strip()}" for line in rest)]),
        file=sys.stderr,
    )
    return code


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


app.command()(benchmark)
app.command()(degrade)
app.add_typer(fit)
app.command(name="import")(import_)
app.add_typer(data)
app.command(name="list")(list_)
app.command()(show)
app.command()(verify)
app.add_typer(weights)


if __name__ == "__main__":
    main()
