"""The command that translates option files of other projects."""

from pathlib import Path
from typing import Annotated

import typer

from restoration.cli_options import Json


def import_(
    options: Annotated[
        Path, typer.Argument(metavar="OPTIONS.yml", help="A BasicSR, traiNNer-redux or neosr option file.")
    ],
    out: Annotated[Path | None, typer.Option(help="The experiment to write; else it is printed.")] = None,
    json: Json = False,
) -> None:
    """Translate another project's option file into an experiment; what has no meaning here is reported."""
    from restoration.errors import RequestError
    from restoration.files import atomic
    from restoration.importing import import_options
    from restoration.printing import dump

    if out is not None and out.suffix != ".toml":
        raise RequestError(f"{out}: expected a name that ends in .toml")
    if out is not None and out.exists():
        raise RequestError(f"{out}: exists already; choose another --out")
    if out is not None and not out.parent.is_dir():
        raise RequestError(f"{out}: no such folder as {out.parent}; choose another --out")
    found = import_options(options)
    if out is not None:
        with atomic(out) as stream:
            stream.write(found.text().encode())
    if json:
        typer.echo(dump(found.as_json()))
    elif out is None:
        typer.echo(found.text(), nl=False)
    else:
        typer.echo(f"{found.report()}\n\nwrote {out}; try: restoration train {out} --dry-run")
