"""Options that several commands share."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

SMALLEST_TILE = 16  # pixels: smaller ones are all margin
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one key; repeatable.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
DataRoot = Annotated[Path | None, typer.Option("--data", help="Data root; else RESTORATION_DATA.")]
Tile = Annotated[str, typer.Option(help="auto, off, or the side of a tile in input pixels.")]
Precision = Annotated[str, typer.Option(help="auto, fp32 or bf16.")]
Wrap = Annotated[
    str, typer.Option(help="off, x, y or both: edges that join, as those of seamless textures do.")
]
Compile = Annotated[
    bool | None,
    typer.Option(
        "--compile/--no-compile",
        show_default="tried where a picture takes half an hour",
        help="Have PyTorch compile the network.",
    ),
]


def file_counter(quiet: bool) -> Callable[[Path, str], None]:
    """Return what is called with each finished file: prints a line for it."""

    def note(path: Path, status: str) -> None:
        if not quiet and status != "failed":
            print(f"{status}  {path}", file=sys.stderr)

    return note


def use_data_root(folder: Path | None) -> None:
    """Let ``--data`` hold for this process and those it starts."""
    if folder is not None:
        os.environ["RESTORATION_DATA"] = str(folder.expanduser())


def inference(tile: str, precision: str, ensemble: bool, on: str) -> "Inference":  # noqa: F821
    """Return how restorers are run, as the options of a command say."""
    from restoration.apply import Inference
    from restoration.errors import RequestError

    if tile not in ("auto", "off") and not (tile.isdecimal() and int(tile) >= SMALLEST_TILE):
        raise RequestError(f"--tile {tile}: expected auto, off or a number of pixels from {SMALLEST_TILE}")
    return Inference(int(tile) if tile.isdecimal() else tile, precision, ensemble, device(on))


def device(name: str) -> "torch.device":  # noqa: F821
    """Return a device by name, or refuse one that is not here."""
    from restoration import distributed

    return distributed.named(name)
