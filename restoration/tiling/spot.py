"""Where the tile that is being computed lies in its image, for functions that must know."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from restoration.tiling.windows import Window


@dataclass(frozen=True)
class Spot:
    """A window of an image of this size, whose rows and columns wrap or not."""

    window: Window
    height: int
    width: int
    rows_wrap: bool = False
    columns_wrap: bool = False

    def turned(self, which: int) -> dict[str, int]:
        """Return where the tile begins in the image once both are turned as `turned` does, and where they repeat."""
        window = self.window
        left = self.width - window.right if which & 1 else window.left
        top = self.height - window.bottom if which & 2 else window.top
        starts, sides = [top, left], [self.height, self.width]
        wraps = [self.rows_wrap, self.columns_wrap]
        if which & 4:
            starts, sides, wraps = starts[::-1], sides[::-1], wraps[::-1]
        places = dict(zip(("top", "left"), starts, strict=True))
        repeats = zip(("rows", "columns"), sides, wraps, strict=True)
        return places | {name: side for name, side, wrap in repeats if wrap}


_HERE: ContextVar[Spot | None] = ContextVar("spot", default=None)


def here() -> Spot | None:
    """Return where the tile at hand lies; None for an image of its own."""
    return _HERE.get()


@contextmanager
def at(spot: Spot) -> Iterator[None]:
    """Let the tile that is computed within lie there."""
    token = _HERE.set(spot)
    try:
        yield
    finally:
        _HERE.reset(token)
