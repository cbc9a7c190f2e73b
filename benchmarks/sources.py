"""Where a protocol's degraded images come from: given files, or made from the clean ones."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from restoration.degradations.noise import protocol_noise
from restoration.degradations.resize import resize
from restoration.image import PEAKS


class Source(ABC):
    """How the degraded image of one clean image is had."""

    @property
    def given(self) -> str | None:
        """Return the folder of given files, below the data root; None where they are made."""
        return None

    @abstractmethod
    def degrade(self, clean: Tensor, given: Tensor | None, scale: int) -> Tensor:
        """Return the degraded image, 1/``scale`` as large as ``clean``."""


@dataclass(frozen=True)
class Files(Source):
    """Files of a folder below the data root, matched with the clean ones by name."""

    folder: str

    @property
    def given(self) -> str | None:
        """Return the folder."""
        return self.folder

    def degrade(self, clean: Tensor, given: Tensor | None, scale: int) -> Tensor:
        """Return the given image."""
        assert given is not None, "the data set pairs every clean file with a given one"
        return given


@dataclass(frozen=True)
class Bicubic(Source):
    """MATLAB's imresize; ``rounded`` makes it an 8-bit image as MATLAB does, after each of the two passes."""

    edges: Literal["reflect", "clamp"] = "reflect"
    rounded: bool = True

    def degrade(self, clean: Tensor, given: Tensor | None, scale: int) -> Tensor:
        """Return the reduced image."""
        levels = PEAKS[8] if self.rounded else None
        return resize(clean, scale=Fraction(1, scale), edges=self.edges, levels=levels)


@dataclass(frozen=True)
class Noise(Source):
    """Gaussian noise of ``sigma`` (of 255) from numpy's legacy generator, seeded afresh for every image.

    The noise is added in float32; the published protocols do not clip it, and clipping costs 0.1 to 0.15 dB.
    """

    sigma: Annotated[float, Field(ge=0)]
    seed: Annotated[int, Field(ge=0)] = 0
    clip: bool = False

    def degrade(self, clean: Tensor, given: Tensor | None, scale: int) -> Tensor:
        """Return the noisy image."""
        samples = clean[0].permute(1, 2, 0).numpy().copy()
        samples += protocol_noise(samples.shape, self.sigma, self.seed)
        noisy = torch.from_numpy(samples).permute(2, 0, 1)[None].contiguous()
        return noisy.clamp(0, 1) if self.clip else noisy


SOURCES: dict[str, Callable[..., Source]] = {"bicubic": Bicubic, "files": Files, "noise": Noise}
