"""Where a protocol's degraded images come from: given files, or made from the clean ones."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import interpolate

from restoration.degradations.degraded import Degradation, Degraded
from restoration.degradations.mask import masked
from restoration.degradations.noise import protocol_noise
from restoration.degradations.pictures import read_mask
from restoration.degradations.resize import resize
from restoration.errors import ImageError
from restoration.image import PEAKS

Natural = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Source(ABC):
    """How the degraded image of one clean image is had.

    ``given`` is the folder of files that it takes, below the data root, or their names with a ``*`` for what pairs
    them with the clean ones; None where it takes none.
    """

    by_order = False  # given files go round: image i has the i-th of them, and after the last the first again

    @property
    def given(self) -> str | None:
        """Return the folder or the names of given files, below the data root; None where they are made."""
        return None

    def takes(self, path: Path) -> bool:
        """Return whether one of the given files is used."""
        return True

    @abstractmethod
    def degrade(self, clean: Tensor, given: Tensor | None, scale: int, sample: int) -> Degraded:
        """Return the degraded image, 1/``scale`` as large as ``clean``; ``sample`` is what draws are keyed by."""


@dataclass(frozen=True)
class Files(Source):
    """Files of a folder below the data root, matched with the clean ones by name.

    ``folder`` may hold a ``*``: those in ``clean`` and here stand for the same text, and where there are more of them
    here, as in ``im*_kernel*_img.png`` beside ``im*.png``, one clean image has several degraded ones.
    """

    folder: str

    @property
    def given(self) -> str | None:
        """Return the folder."""
        return self.folder

    def degrade(self, clean: Tensor, given: Tensor | None, scale: int, sample: int) -> Degraded:
        """Return the given image."""
        assert given is not None, "the data set pairs every clean file with a given one"
        return Degraded(given)


@dataclass(frozen=True)
class Frames(Source):
    """Files as `Files` has them, of clips with a folder each; ``skip`` frames at their start and end are not scored.

    ``flow`` is a folder below the data root of Middlebury's .flo files, named as the frames are in results: each leads
    from its clean frame to the next one of the clip. Without it, the flow is estimated where a metric needs it.
    """

    folder: str
    skip: tuple[Natural, Natural] = (0, 0)
    flow: str = ""

    @property
    def given(self) -> str | None:
        """Return the folder."""
        return self.folder

    def degrade(self, clean: Tensor, given: Tensor | None, scale: int, sample: int) -> Degraded:
        """Return the given frame."""
        assert given is not None, "the data set pairs every clean frame with a given one"
        return Degraded(given)


@dataclass(frozen=True)
class Masks(Source):
    """Holes of mask files: image i has mask i, and after the last the first again, both in the order of their names.

    ``hole`` is the colour of what is missing. Only masks with a share of hole within ``ratio`` = (a, b] are used. They
    are fitted to the image by nearest neighbour, and the holes painted with ``fill``. ``turned`` flips and turns each
    by one of the eight ways, which the image's name decides: few masks are then not the same hole again and again.
    """

    folder: str
    hole: Literal["white", "black"]
    ratio: tuple[Share, Share] = (0.0, 1.0)
    fill: Share = 0.0
    turned: bool = False

    by_order = True

    @property
    def given(self) -> str | None:
        """Return the folder of masks."""
        return self.folder

    def takes(self, path: Path) -> bool:
        """Return whether the mask's share of hole lies within ``ratio``."""
        if self.ratio == (0.0, 1.0):
            return True
        try:
            bright = _brightness(path.resolve(), path.stat().st_mtime_ns)
        except (ValueError, OSError):  # the image that it belongs to says why it cannot be read
            return True
        share = bright if self.hole == "white" else 1 - bright
        return self.ratio[0] < share <= self.ratio[1]

    def degrade(self, clean: Tensor, given: Tensor | None, scale: int, sample: int) -> Degraded:
        """Return the image with painted holes, and the mask, 1 in holes."""
        assert given is not None, "every clean image has a mask"
        size = (clean.shape[-2], clean.shape[-1])
        shown = given.mean(1, keepdim=True)
        if self.turned:
            shown = _turned(shown, int(np.random.default_rng(sample).integers(8)))
        bright = interpolate(shown, size=size, mode="nearest-exact") >= 0.5
        holes = bright if self.hole == "white" else ~bright
        return masked(clean, [holes[0, 0].numpy()], self.fill)


@lru_cache(maxsize=1 << 16)
def _brightness(path: Path, changed: int) -> float:
    """Return the mean of a mask file as it was when it was last ``changed``: one file may serve many images."""
    return float(read_mask(path).mean())


@dataclass(frozen=True)
class Made(Source):
    """Any degradation of the package, drawn by ``seed`` and the image's name in results, whatever its place.

    With ``moved``, the clean image is one taken from aside: by up to so many whole pixels down and across, drawn
    likewise. Both images lose as many at each edge.
    """

    degradation: Degradation
    seed: Natural = 0
    moved: Natural = 0

    def degrade(self, clean: Tensor, given: Tensor | None, scale: int, sample: int) -> Degraded:
        """Return what the degradation makes of the image."""
        made = self.degradation(clean, [(self.seed, sample)])
        if not self.moved:
            return made
        if min(clean.shape[-2:]) <= 2 * self.moved:
            raise ImageError(f"{clean.shape[-1]}x{clean.shape[-2]} pixels: too few for moved = {self.moved}")
        down, across = np.random.default_rng((self.seed, sample)).integers(-self.moved, self.moved + 1, 2)
        truth = clean if made.clean is None else made.clean
        return Degraded(
            _within(made.image, self.moved),
            None if made.mask is None else _within(made.mask, self.moved),
            clean=_within(truth, self.moved, int(down), int(across)),
        )


@dataclass(frozen=True)
class Bicubic(Source):
    """MATLAB's imresize; ``rounded`` makes it an 8-bit image as MATLAB does, after each of the two passes."""

    edges: Literal["reflect", "clamp"] = "reflect"
    rounded: bool = True

    def degrade(self, clean: Tensor, given: Tensor | None, scale: int, sample: int) -> Degraded:
        """Return the reduced image."""
        levels = PEAKS[8] if self.rounded else None
        return Degraded(resize(clean, scale=Fraction(1, scale), edges=self.edges, levels=levels))


@dataclass(frozen=True)
class Noise(Source):
    """Gaussian noise of ``sigma`` (of 255) from numpy's legacy generator, seeded afresh for every image.

    The noise is added in float32; the published protocols do not clip it, and clipping costs 0.1 to 0.15 dB.
    """

    sigma: Annotated[float, Field(ge=0)]
    seed: Natural = 0
    clip: bool = False

    def degrade(self, clean: Tensor, given: Tensor | None, scale: int, sample: int) -> Degraded:
        """Return the noisy image."""
        samples = clean[0].permute(1, 2, 0).numpy().copy()
        samples += protocol_noise(samples.shape, self.sigma, self.seed)
        noisy = torch.from_numpy(samples).permute(2, 0, 1)[None].contiguous()
        return Degraded(noisy.clamp(0, 1) if self.clip else noisy)


def _turned(image: Tensor, way: int) -> Tensor:
    """Return the image by one of the eight ways, 0 to 7, to flip and turn it."""
    turned = image.rot90(way % 4, (-2, -1))
    return turned.flip(-1) if way >= 4 else turned


def _within(image: Tensor, edge: int, down: int = 0, across: int = 0) -> Tensor:
    """Return the image less ``edge`` pixels at each side, from a place further down and across."""
    height, width = image.shape[-2:]
    return image[..., edge + down : height - edge + down, edge + across : width - edge + across]


SOURCES: dict[str, Callable[..., Source]] = {
    "bicubic": Bicubic,
    "files": Files,
    "frames": Frames,
    "made": Made,
    "masks": Masks,
    "noise": Noise,
}
