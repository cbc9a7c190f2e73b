"""Options that several commands share."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

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
