"""Pictures for the page and for disk, taken while images stream past."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from restoration.benchmarks import pictures
from restoration.benchmarks.pictures import Window
from restoration.benchmarks.protocol import Protocol
from restoration.benchmarks.samples import Sample
from restoration.files import atomic
from restoration.image import to_samples

SHOWN = 100  # images per protocol, spread over the set
BUDGET = 16 * 2**20  # bytes of pictures that are kept per protocol
PIXELS = 6_000_000  # that the parts shown of one protocol's images have together, about
NARROWEST, WIDEST = 256, 768  # pixels: sides that such a part may have
FEW = 30  # images up to which crops are many and large


@dataclass(frozen=True)
class Version:
    """One image of a scene: the part shown, its crops without loss, and how far it is from the clean one there."""

    label: str
    view: bytes
    crops: tuple[bytes, ...]
    errors: bytes | None = None  # none of the clean image, nor of a degraded one of another size

    @property
    def size(self) -> int:
        """Return how many bytes its pictures have."""
        return len(self.view) + sum(map(len, self.crops)) + len(self.errors or b"")


@dataclass(frozen=True)
class Scene:
    """All versions of one image: degraded, restored by each restorer, clean; which parts are shown and magnified."""

    protocol: str
    name: str
    view: Window
    crops: tuple[Window, ...]
    versions: tuple[Version, ...]
    peak: int  # levels of 8 bits at which its error maps end

    @property
    def size(self) -> int:
        """Return how many bytes its pictures have."""
        return sum(version.size for version in self.versions)


@dataclass
class _Open:
    """The image at hand, as pixels, while restorers are still at work on it."""

    protocol: Protocol
    sample: Sample
    restored: dict[str, np.ndarray] = field(default_factory=dict)


class Gallery:
    """A watcher that keeps encoded pictures of some images, the same places for every restorer.

    Shown is the part around the place where the restorers differ most; the crops are the places where they do. Memory
    is bounded by ``budget`` per protocol and one image, however many images there are: when the pictures of a protocol
    have more bytes, those of every second image are dropped, and from there on half as many are taken.
    """

    def __init__(self, shown: int = SHOWN, budget: int = BUDGET) -> None:
        self.shown = shown
        self.budget = budget
        self.scenes: dict[tuple[str, str], Scene] = {}
        self._open: _Open | None = None
        self._met: dict[str, list[str]] = {}  # protocol → images that were candidates, in order
        self._stride: dict[str, int] = {}

    def __call__(self, protocol: Protocol, restorer: str, sample: Sample, restored: Tensor) -> None:
        """Note the restored image; its pictures are made when the next image comes."""
        if sample.position not in _spread(sample.total, self.shown):
            return
        met = self._met.setdefault(protocol.name, [])
        if not met or met[-1] != sample.name:
            self.finish()
            met.append(sample.name)
            if (len(met) - 1) % self._stride.setdefault(protocol.name, 1) == 0:
                self._open = _Open(protocol, sample)
        if self._open is not None:
            self._open.restored[restorer] = _pixels(restored)

    def of(self, protocol: str) -> Iterator[Scene]:
        """Yield the scenes of a protocol in the order of its images."""
        self.finish()
        return (scene for scene in self.scenes.values() if scene.protocol == protocol)

    def finish(self) -> None:
        """Make the pictures of the image at hand."""
        if self._open is None:
            return
        scene, self._open = _scene(self._open, self.shown), None
        self.scenes[scene.protocol, scene.name] = scene
        own = [key for key in self.scenes if key[0] == scene.protocol]
        while len(own) > 1 and sum(self.scenes[key].size for key in own) > self.budget:
            for key in own[1::2]:
                del self.scenes[key]
            own = own[::2]
            self._stride[scene.protocol] *= 2

    def __getstate__(self) -> dict[str, Any]:
        """Return what travels to another rank: pictures, no pixels."""
        self.finish()
        return self.__dict__


class Folder:
    """A watcher that writes every restored image as PNG: ``FOLDER/PROTOCOL/RESTORER/NAME.png``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, protocol: Protocol, restorer: str, sample: Sample, restored: Tensor) -> None:
        """Write one restored image, whole or not at all."""
        path = (
            self.folder
            / protocol.name.replace("/", "_")
            / restorer
            / f"{Path(sample.name).with_suffix('')}.png"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        samples = _pixels(restored)
        with atomic(path) as stream:
            Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples).save(stream, "PNG")


def _scene(taken: _Open, most: int) -> Scene:
    protocol, sample = taken.protocol, taken.sample
    clean = None if sample.clean is None else _pixels(sample.clean)
    degraded, whole = _pixels(sample.degraded), next(iter(taken.restored.values()))
    shown = min(sample.total, most)
    side = int(min(WIDEST, max(NARROWEST, math.sqrt(PIXELS / shown))))
    crop, count = (96, 3) if shown <= FEW else (64, 1)
    worth = pictures.interest(list(taken.restored.values()), clean, protocol.border)
    view, crops = pictures.windows(worth, side, crop, count, protocol.scale)

    def version(label: str, image: np.ndarray, errors: bytes | None = None) -> Version:
        shrink = whole.shape[0] // image.shape[0]  # a small image is shown as its pixels are, without loss
        small = [pictures.encoded(part.cut(image, shrink), lossless=True) for part in crops]
        return Version(label, pictures.encoded(view.cut(image, shrink), shrink > 1), tuple(small), errors)

    errors = _errors({"degraded": degraded} | taken.restored, clean, view)
    peak = pictures.peak([found for label, found in errors.items() if label != "degraded"])
    maps = {label: pictures.error_map(found, peak) for label, found in errors.items()}
    labelled = {"degraded": degraded} | taken.restored
    versions = [version(label, image, maps.get(label)) for label, image in labelled.items()]
    versions += [] if clean is None else [version("clean", clean)]
    return Scene(protocol.name, sample.name, view, tuple(crops), tuple(versions), peak)


def _errors(images: dict[str, np.ndarray], clean: np.ndarray | None, view: Window) -> dict[str, np.ndarray]:
    """Return how far each image of the clean one's size is from it, in the part shown."""
    return {
        label: pictures.error(view.cut(image), view.cut(clean))
        for label, image in images.items() if clean is not None and image.shape == clean.shape
    }  # fmt: skip


def _spread(total: int, count: int) -> set[int]:
    if total <= count:
        return set(range(total))
    return {round(i * (total - 1) / max(1, count - 1)) for i in range(count)}


def _pixels(image: Tensor) -> np.ndarray:
    """Return an image (1, C, H, W) as 8-bit samples (H, W, C)."""
    return to_samples(image.nan_to_num())
