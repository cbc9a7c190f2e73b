"""Options of `apply` that are about videos, and what shows how far one is."""

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

PANEL = "Videos"

Frames = Annotated[
    str,
    typer.Option(
        metavar="A:B", help="Of a video: frames from A to before B, counted from 0.", rich_help_panel=PANEL
    ),
]
Codec = Annotated[
    str,
    typer.Option(
        help="Of videos: h264, h265, vp9, av1, ffv1 (lossless); auto: h264, in WebM vp9.",
        rich_help_panel=PANEL,
    ),
]
Crf = Annotated[
    int | None,
    typer.Option(
        help="Of videos: quality from 0, lossless, to 51 or 63; 16 for h264.", rich_help_panel=PANEL
    ),
]
Segment = Annotated[
    int,
    typer.Option(help="Of videos: frames after which an interrupted run can go on.", rich_help_panel=PANEL),
]
Noise = Annotated[
    str,
    typer.Option(
        help="Of videos: still, the same noise in every frame, which does not flicker; or moving.",
        rich_help_panel=PANEL,
    ),
]
EVERY = 10.0  # seconds between lines


def films(frames: str, codec: str, crf: int | None, segment: int, noise: str, quiet: bool) -> "Films":  # noqa: F821
    """Return what the command line says about videos."""
    from restoration.video import Films, Settings

    return Films(Settings(frames, codec, crf, segment, noise), Counter(quiet))


class Counter:
    """Prints, for each video, how many frames are done, the rate and the time left."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.source: Path | None = None

    def __call__(self, source: Path, done: int, total: int) -> None:
        """Take note of a finished frame."""
        now = time.monotonic()
        if source != self.source:
            self.source, self.began, self.shown, self.before = source, now, now, done
            if done and not self.quiet:
                print(f"{source}: goes on after {done} of {total} frames", file=sys.stderr, flush=True)
        if self.quiet or now - self.shown < EVERY:
            return
        self.shown = now
        rate = (done - self.before) / (now - self.began)
        left = (total - done) / rate if rate else 0.0
        text = (
            f"{left / 3600:.1f} h"
            if left > 5400
            else f"{left / 60:.0f} min"
            if left > 90
            else f"{left:.0f} s"
        )
        line = f"{source}: {done} of {total} frames, {rate:.2f} a second, {text} left"
        print(line, file=sys.stderr, flush=True)
