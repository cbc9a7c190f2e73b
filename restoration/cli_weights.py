"""The commands about weights: list, fetch, verify what others published; import and export restorers."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from restoration.cli_options import Json, Set

Format = Literal["basicsr", "hub", "onnx", "spandrel"]
Published = Annotated[str, typer.Argument(metavar="NAME", help="A name of `weights list`.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
weights = typer.Typer(
    name="weights", help="Weights that others published; restorers imported, exported.", no_args_is_help=False
)


@weights.callback(invoke_without_command=True)
def weights_(context: typer.Context) -> None:
    """List, fetch or verify the published weights that some losses and metrics need; import or export restorers."""
    if context.invoked_subcommand is None:
        list_()


@weights.command(name="list")
def list_() -> None:
    """List the published weights that some losses and metrics need, one line each."""
    from restoration import catalogue
    from restoration.printing import columns

    typer.echo(columns(catalogue.lines()))


@weights.command()
def fetch(name: Published) -> None:
    """Download published weights and check them."""
    from restoration import catalogue

    typer.echo(catalogue.fetch(name))


@weights.command()
def verify(
    name: Annotated[str | None, typer.Argument(help="A name of `weights list`; all that are here.")] = None,
) -> None:
    """Check that weights on this machine are the published ones."""
    from restoration import catalogue

    here = [name] if name else [n for n in catalogue.CATALOGUE if catalogue.find(n)]
    if not here:
        typer.echo(f"none of the published weights is on this machine: {', '.join(catalogue.CATALOGUE)}")
    for entry in here:
        typer.echo(f"{entry}: {catalogue.require(entry)} is as published")


@weights.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .pth, .pt, .ckpt or .safetensors.")],
    out: Annotated[Path | None, typer.Option(help="A .safetensors; beside FILE by default.")] = None,
    name: Annotated[
        str | None, typer.Option(help="The restorer's name; that of the file by default.")
    ] = None,
    licence: Annotated[
        str | None, typer.Option(help="The licence of the weights; unknown by default.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="What it restores, as denoising.")] = None,
    autoencoder: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Of a denoiser of latents, as ResShift's and SinSR's.")
    ] = None,
    posterior_mean: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The predictor before a flow, as PMRF's.")
    ] = None,
    set_: Set = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Turn a checkpoint that others made into a file of ours with a card; --set says what its shapes cannot tell.

    Two files of one system become one restorer: a denoiser with its --autoencoder, a flow with its --posterior-mean.
    """
    from dataclasses import asdict

    from restoration.config import override
    from restoration.exporting.adoption import adopt
    from restoration.printing import dump

    settings = override({}, set_ or [])
    seconds = {"autoencoder": autoencoder, "posterior-mean": posterior_mean}
    joins = {option: second for option, second in seconds.items() if second is not None}
    adopted = adopt(
        file, out, name=name, licence=licence, task=task, settings=settings, joins=joins, overwrite=overwrite
    )
    card = adopted.card
    if json:
        typer.echo(dump({**asdict(adopted), "path": str(adopted.path)}))
        return
    plain = {
        key: value for key, value in card.network.items() if key != "name" and not isinstance(value, dict)
    }
    keywords = ", ".join(f"{key} = {value}" for key, value in plain.items())
    typer.echo(
        f"{adopted.path}: {card.network['name']} ({keywords})\n"
        f"scale {card.scale}, {adopted.parameters:,} parameters, licence: {card.licence}\n"
        f"from {file}, sha256 {adopted.sha256}"
    )


@weights.command()
def export(
    restorer: Annotated[
        str, typer.Argument(help="A file, a shipped name (`list restorers`), hf:owner/name.")
    ],
    format_: Annotated[Format, typer.Option("--format", help="Who is to read it.")],
    out: Annotated[Path, typer.Option(help="A file: .onnx, .pth, .safetensors; for hub a folder.")],
    push: Annotated[str | None, typer.Option(metavar="OWNER/NAME", help="Upload a hub folder.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Push to a private repository.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Write a restorer as a file that others read, after reading it back: nothing appears that restores otherwise."""
    from restoration.exporting.formats import export as run

    if push and format_ != "hub":
        raise typer.BadParameter(f"--push {push}: only with --format hub")
    if private and not push:
        raise typer.BadParameter("--private: only with --push")
    for line in run(restorer, format_, out, push=push, private=private, overwrite=overwrite):
        typer.echo(line)
