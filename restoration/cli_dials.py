"""The dials of `apply`: what they are called, and the restorer that they make."""

from pathlib import Path
from typing import Annotated

import typer

PANEL = "Dials"

Perception = Annotated[
    float | None,
    typer.Option(
        help="From 0, least distortion, to 1, most perceptual; by what RESTORER offers.",
        rich_help_panel=PANEL,
    ),
]
With = Annotated[
    str | None,
    typer.Option(
        "--with",
        metavar="RESTORER",
        help="The end of --perception at 0; RESTORER is at 1.",
        rich_help_panel=PANEL,
    ),
]
Interpolate = Annotated[
    str, typer.Option(help="outputs, or weights of two networks of one configuration.", rich_help_panel=PANEL)
]
Steps = Annotated[
    int | None, typer.Option(help="Steps of a restorer that takes several.", rich_help_panel=PANEL)
]
Solver = Annotated[
    str | None,
    typer.Option(help="euler, heun or scheduler:NAME of diffusers, for a flow.", rich_help_panel=PANEL),
]
Seed = Annotated[
    int | None, typer.Option(help="Seed of a restorer that starts from noise.", rich_help_panel=PANEL)
]
Consistent = Annotated[
    bool,
    typer.Option(
        "--consistent", help="Correct the result so that reducing it gives the input.", rich_help_panel=PANEL
    ),
]
Mask = Annotated[
    Path | None,
    typer.Option(
        help="Of holes to fill: one file for all inputs, or a folder of masks by name; of videos also a video.",
        rich_help_panel=PANEL,
    ),
]
Hole = Annotated[
    str, typer.Option(help="The colour of holes in masks: white or black.", rich_help_panel=PANEL)
]


def dialled(
    restorer: str,
    settings: list[str],
    perception: float | None,
    with_: str | None,
    interpolate: str,
    steps: int | None,
    seed: int | None,
    solver: str | None = None,
) -> "Restorer":  # noqa: F821
    """Return the restorer that the command line describes."""
    from restoration.config import override
    from restoration.dials.perception import with_perception
    from restoration.dials.sampling import with_sampling
    from restoration.errors import RequestError
    from restoration.foreign.joining import refuse_alone
    from restoration.weights import load

    if perception is None and (with_ or interpolate != "outputs"):
        word = f"--with {with_}" if with_ else f"--interpolate {interpolate}"
        raise RequestError(f"{word}: has a meaning with --perception P alone")
    loaded = load(restorer, override({}, settings))
    refuse_alone(loaded, restorer)
    loaded = with_sampling(loaded, steps, seed, solver)
    if perception is None:
        return loaded
    return with_perception(loaded, perception, load(with_) if with_ else None, interpolate)


def masks(source: Path | None, hole: str) -> "Masks | None":  # noqa: F821
    """Return the masks that the command line names, if it does."""
    from restoration.dials.masks import Masks
    from restoration.errors import RequestError

    if source is None and hole != "white":
        raise RequestError(f"--hole {hole}: has a meaning with --mask alone")
    return None if source is None else Masks(source.expanduser(), hole)
