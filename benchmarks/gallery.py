"""Pictures for the page and for disk, taken while images stream past."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d

from restoration.benchmarks.protocol import Protocol
from restoration.benchmarks.samples import Sample
from restoration.files import atomic
from restoration.image import to_samples

SHOWN = 6  # images per protocol, spread over the set
VIEW = 512  # pixels: side of the part that the slider shows
DETAIL = 96  # pixels: side of the magnified part


@dataclass(frozen=True)
class Window:
    """A part of an image, in pixels of the clean one."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, image: Tensor, shrink: int = 1) -> Tensor:
        """Return this part of an image that is 1/``shrink`` as large as the one the window belongs to."""
        top, left, height, width = (n // shrink for n in (self.top, self.left, self.height, self.width))
        return image[..., top : top + height, left : left + width]


@dataclass(frozen=True)
class Version:
    """One image of a scene: as JPEG for the slider, and its detail without loss."""

    label: str
    view: bytes
    detail: bytes


@dataclass
class Scene:
    """All versions of one image, degraded, restored by each restorer, clean; which part is shown, which magnified."""

    protocol: str
    name: str
    view: Window
    detail: Window
    versions: list[Version] = field(default_factory=list)


class Gallery:
    """A watcher that keeps encoded pictures of some images, the same places for every restorer.

    Memory stays below a few megabytes per protocol, however many images it has. Shown is the part of the image with
    most detail in the clean version.
    """

    def __init__(self, shown: int = SHOWN) -> None:
        self.shown = shown
        self.scenes: dict[tuple[str, str], Scene] = {}

    def __call__(self, protocol: Protocol, restorer: str, sample: Sample, restored: Tensor) -> None:
        """Keep the restored image, and with the first restorer also the degraded and the clean one."""
        if sample.position not in _spread(sample.total, self.shown):
            return
        key = (protocol.name, sample.name)
        if key not in self.scenes:
            self.scenes[key] = _scene(protocol, sample)
        scene = self.scenes[key]
        scene.versions.insert(-1, _version(restorer, restored, scene.view, scene.detail))

    def of(self, protocol: str) -> Iterator[Scene]:
        """Yield the scenes of a protocol in the order of its images."""
        return (scene for scene in self.scenes.values() if scene.protocol == protocol)


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
        with atomic(path) as stream:
            _pillow(restored).save(stream, "PNG")


def _scene(protocol: Protocol, sample: Sample) -> Scene:
    view, detail = _windows(sample.clean, protocol.scale)
    degraded = _version("degraded", sample.degraded, view, detail, protocol.scale)
    clean = _version("clean", sample.clean, view, detail)
    return Scene(protocol.name, sample.name, view, detail, [degraded, clean])


def _version(label: str, image: Tensor, view: Window, detail: Window, shrink: int = 1) -> Version:
    shown = _pillow(view.cut(image, shrink))
    if shrink > 1:  # a small image is shown as its pixels are: without loss, enlarged by the browser
        return Version(label, _encoded(shown, "PNG"), _encoded(_pillow(detail.cut(image, shrink)), "PNG"))
    return Version(label, _encoded(shown, "JPEG"), _encoded(_pillow(detail.cut(image)), "PNG"))


def _windows(clean: Tensor, scale: int) -> tuple[Window, Window]:
    """Return the part to show and the part to magnify, on the pixel grid of the degraded image."""
    height, width = clean.shape[-2:]
    side = min(DETAIL, height, width) // scale * scale
    grey = clean.mean(1, keepdim=True)
    slopes = torch.zeros_like(grey)
    slopes[..., 1:, :] += grey.diff(dim=-2).abs()
    slopes[..., :, 1:] += grey.diff(dim=-1).abs()
    rows = avg_pool2d(slopes, (side, 1), stride=(scale, 1))  # a square window is two passes of a line
    energy = avg_pool2d(rows, (1, side), stride=(1, scale))[0, 0]
    row, column = divmod(int(energy.argmax()), energy.shape[1])
    detail = Window(row * scale, column * scale, side, side)
    tall, wide = (min(VIEW // scale * scale, n) for n in (height, width))
    top = _centred(detail.top + side // 2, tall, height) // scale * scale
    left = _centred(detail.left + side // 2, wide, width) // scale * scale
    return Window(top, left, tall, wide), detail


def _centred(middle: int, length: int, limit: int) -> int:
    return max(0, min(middle - length // 2, limit - length))


def _spread(total: int, count: int) -> set[int]:
    if total <= count:
        return set(range(total))
    return {round(i * (total - 1) / max(1, count - 1)) for i in range(count)}


def _pillow(image: Tensor) -> Image.Image:
    samples = to_samples(image.nan_to_num())
    return Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)


def _encoded(image: Image.Image, format_: str) -> bytes:
    stream = io.BytesIO()
    if format_ == "JPEG":
        image.save(stream, "JPEG", quality=90, subsampling=0)
    else:
        image.save(stream, "PNG", optimize=True)
    return stream.getvalue()
