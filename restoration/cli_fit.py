"""The commands that fit a restorer without training: transport."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from restoration.cli_options import Device, Json, Quiet, Set
from restoration.cli_options import device as device_named

Degraded = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder of degraded images; not needed with --zero-shot.")
]
Latent = Annotated[
    str,
    typer.Option(help="pixels, haar, dct, kl-vae-small, sd-vae-ft-mse, or the folder of an AutoencoderKL."),
]
ZeroShot = Annotated[
    bool, typer.Option("--zero-shot", help="Each image brings its own statistics of restored patches.")
]
Paired = Annotated[
    bool | None,
    typer.Option(
        "--paired/--unpaired", help="Whether both folders hold the same images. Default: if names match."
    ),
]
MeanFree = Annotated[
    bool | None,
    typer.Option(
        "--mean-free/--no-mean-free", help="Leave the mean of each patch as it is. Default: without pairs."
    ),
]
Posterior = Annotated[
    Literal["sample", "mode"], typer.Option(help="Latents of an autoencoder: drawn, or likeliest.")
]
fit = typer.Typer(name="fit", help="Fit what needs no training: transport.", no_args_is_help=False)


@fit.callback()
def fit_() -> None:
    """Fit what needs no training."""


@fit.command()
def transport(
    restorer: Annotated[
        str, typer.Option(help="A weights file, a name of `list restorers`, or hf:OWNER/NAME.")
    ],
    clean: Annotated[Path, typer.Option(metavar="DIR", help="Folder of clean images; a dozen will do.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="File to write, a .safetensors.")],
    degraded: Degraded = None,
    latent: Latent = "pixels",
    patch: Annotated[int, typer.Option(help="Side of patches, in latents; odd.")] = 5,
    images: Annotated[int, typer.Option(help="How many images of each kind are used, at most.")] = 16,
    crop: Annotated[
        int, typer.Option(help="Side of the middle of each image that is used, in pixels.")
    ] = 512,
    zero_shot: ZeroShot = False,
    paired: Paired = None,
    mean_free: MeanFree = None,
    posterior: Posterior = "sample",
    set_: Set = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    device: Device = "auto",
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Carry a restorer's results to the distribution of clean images: no training, a dozen images.

    --restorer denoise-color-small --clean CLEAN --degraded NOISY --out dot.safetensors, then apply dot.safetensors.

    What is written is a restorer of its own; its --perception goes from -1 to 2: 0 is RESTORER, 1 the transport.

    --unpaired --no-mean-free is the way of the authors; --set alpha=, weighting=, blend=, eps= and seed= say the rest.
    """
    from restoration.config import override
    from restoration.printing import dump, fitted
    from restoration.transport.command import fit_to
    from restoration.transport.fitting import Choice

    choice = Choice(
        latent, patch, images, paired, mean_free, zero_shot, posterior, crop, override({}, set_ or [])
    )
    found = fit_to(restorer, clean, degraded, choice, out, overwrite, device_named(device))
    if json:
        typer.echo(dump({"path": str(out), **found.facts, "notes": list(found.notes)}))
    elif not quiet:
        typer.echo(fitted(out, found.facts))
        for note in found.notes:
            typer.echo(note, err=True)
