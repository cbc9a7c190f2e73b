"""One image of a protocol in memory: clean and degraded as the convention wants them, loaded ahead of use."""

import hashlib
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from torch import Tensor

from restoration.benchmarks.datasets import Case, pixels_sha256
from restoration.benchmarks.flows import read_flow
from restoration.benchmarks.protocol import Protocol
from restoration.degradations.plain import GREY
from restoration.errors import ImageError
from restoration.image import quantise, read_samples, rgb, to_float
from restoration.losses.colour import luma

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True)
class Sample:
    """A clean and a degraded image, with hashes of their files and of the clean pixels.

    ``clean`` is None where there is nothing to compare with; the hashes are those of the degraded image then. ``mask``
    (1, 1, H, W) is 1 in holes; ``flow`` (1, 2, H, W) leads from the clean frame before to this one, where it is known.
    ``cluster`` is that of the `Case`.
    """

    name: str
    position: int  # in the protocol, from 0
    total: int
    clean: Tensor | None
    degraded: Tensor
    sha256: str
    pixels_sha256: str
    degraded_sha256: str | None = None
    mask: Tensor | None = None
    flow: Tensor | None = None
    cluster: str = ""


def load_sample(protocol: Protocol, case: Case, position: int = 0, total: int = 1) -> Sample:
    """Return one image of a protocol, degraded; draws depend on nothing but the protocol and the image's name."""
    if case.clean is None:
        return _without_clean(protocol, case, position, total)
    samples = read_samples(case.clean)
    if min(samples.shape[:2]) < protocol.scale:
        raise ImageError(
            f"{case.clean}: {samples.shape[1]}x{samples.shape[0]} pixels, smaller than the scale {protocol.scale}"
        )
    clean = cropped(in_colour(samples, protocol.colour), protocol.scale)
    given = None if case.degraded is None else in_colour(read_samples(case.degraded), protocol.colour)
    made = protocol.source.degrade(clean, given, protocol.scale, zlib.crc32(case.name.encode()))
    clean = clean if made.clean is None else made.clean
    if tuple(n * protocol.scale for n in made.image.shape[-2:]) != tuple(clean.shape[-2:]):
        raise ImageError(
            f"{case.degraded or case.clean}: {_size(made.image)} pixels; "
            f"expected 1/{protocol.scale} of the {_size(clean)} of {case.clean}"
        )
    hashes = [None if path is None else file_sha256(path) for path in (case.clean, case.degraded)]
    return Sample(
        case.name, position, total, clean, made.image, hashes[0] or "", pixels_sha256(samples), hashes[1],
        made.mask, _flow(protocol, case, samples), case.cluster,
    )  # fmt: skip


def _without_clean(protocol: Protocol, case: Case, position: int, total: int) -> Sample:
    assert case.degraded is not None, "a case has a clean file or a given one"
    samples = read_samples(case.degraded)
    degraded, digest = in_colour(samples, protocol.colour), file_sha256(case.degraded)
    return Sample(
        case.name, position, total, None, degraded, digest, pixels_sha256(samples), cluster=case.cluster
    )


def _flow(protocol: Protocol, case: Case, clean: np.ndarray) -> Tensor | None:
    """Return the known flow that leads to a frame, cut as its clean image (H, W, C) is; None where none is known."""
    if case.flow is None:
        return None
    flow = read_flow(case.flow)
    if flow.shape[-2:] != clean.shape[:2]:
        expected = f"{clean.shape[1]}x{clean.shape[0]}"
        raise ImageError(f"{case.flow}: {_size(flow)} pixels; expected the {expected} of {case.clean}")
    return cropped(flow, protocol.scale)


def in_colour(samples: np.ndarray, colour: str) -> Tensor:
    """Return samples (H, W, C) as an image in the colour that a protocol's restorers see."""
    if colour == "rgb":
        return rgb(to_float(samples))
    if samples.shape[2] == 1:
        return to_float(samples)
    if colour == "grey":
        grey = np.floor(samples @ np.array(GREY) + 0.5).astype(samples.dtype)
        return to_float(grey[..., None])
    return quantise(luma(to_float(samples).double())).float()


def cropped(image: Tensor, scale: int) -> Tensor:
    """Return the image cut at the bottom and right to a multiple of ``scale``."""
    height, width = (n - n % scale for n in image.shape[-2:])
    return image[..., :height, :width]


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def loaded_ahead(load: Callable[[T], U], items: Sequence[T]) -> Iterator[U]:
    """Yield ``load(item)`` in order; the next one is loaded in another thread while the caller works."""
    with ThreadPoolExecutor(1, thread_name_prefix="images") as pool:
        waiting = None
        for item in items:
            ready, waiting = waiting, pool.submit(load, item)
            if ready is not None:
                yield ready.result()
        if waiting is not None:
            yield waiting.result()


def _size(image: Tensor) -> str:
    return f"{image.shape[-1]}x{image.shape[-2]}"
