"""The command ``restoration degrade``."""

from json import dumps
from pathlib import Path
from typing import Annotated

import typer

from restoration.cli_options import Json, Quiet, Set


def degrade(
    degradation: Annotated[
        str | None, typer.Argument(help="A name (`list degradations`), or a TOML file that holds one.")
    ] = None,
    inputs: Annotated[
        list[str] | None, typer.Argument(metavar="INPUT...", help="Images, folders, globs.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder; or a .png file, for one input.")] = None,
    set_: Set = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all draws.")] = 0,
    clean: Annotated[
        Path | None, typer.Option(help="Also write the clean images, cropped to the scale, to this folder.")
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option(
            metavar="SIDECAR", help="Make a file again by its JSON, and compare; INPUT is optional."
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Files at a time.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing outputs.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Degrade images by any degradation, with a sidecar that makes each again, bit for bit."""
    from restoration.cli_options import file_counter
    from restoration.degrade import degrade as run
    from restoration.degrade import described
    from restoration.errors import RequestError
    from restoration.printing import applied
    from restoration.sidecar import replay as again

    if replay is not None:
        if inputs or set_ or clean or seed or workers > 1:
            raise typer.BadParameter(
                "--replay: the sidecar says it all; expected --replay SIDECAR [INPUT] [--out DIR]"
            )
        files = again(replay, Path(degradation).expanduser() if degradation else None, out, overwrite)
        if json:
            typer.echo(dumps({"files": files, "equal": True, "out": str(out) if out else None}))
        elif not quiet:
            typer.echo(
                f"{', '.join(files)}: equal, sample for sample" + (f"; written to {out}" if out else "")
            )
        return
    if not degradation or not inputs or out is None:
        missing = "DEGRADATION" if not degradation else "INPUT" if not inputs else "--out"
        raise RequestError(f"degrade: {missing} missing; expected degrade DEGRADATION INPUT... --out DIR")
    report = run(
        described(degradation, set_ or []), inputs, out.expanduser(), seed=seed, clean=clean,
        overwrite=overwrite, workers=workers, on_file=file_counter(quiet or json),
    )  # fmt: skip
    applied(report, quiet, json)
    raise typer.Exit(report.exit_code)
