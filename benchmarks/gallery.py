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
from restoration.benchmarks.profiles import Profile
from restoration.benchmarks.protocol import Protocol
from restoration.benchmarks.samples import Sample
from restoration.benchmarks.sources import Frames
from restoration.files import atomic
from restoration.image import to_samples

SHOWN = 100  # images per protocol, spread over the set
BUDGET = 16 * 2**20  # bytes of pictures that are kept per protocol
PIXELS = 6_000_000  # that the parts shown of one protocol's images have together, about
NARROWEST, WIDEST = 256, 768  # pixels: sides that such a part may have
FEW = 30  # images up to which crops are many and large
DEGRADED, CLEAN = OTHERS = "degraded", "clean"  # labels of versions that no restorer made


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
    peak: int  # levels of 8 bits at which its error maps end; 0 where it has none
    clip: str | None = None  # of which it is a frame

    @property
    def size(self) -> int:
        """Return how many bytes its pictures have."""
        return sum(version.size for version in self.versions)


@dataclass(frozen=True)
class Shot:
    """What a picture is made of beside the restored image: its name and place, (1, C, H, W) in [0, 1] or nothing."""

    name: str
    position: int
    total: int
    clean: Tensor | None
    degraded: Tensor | None


@dataclass
class _Open:
    """The image at hand, as pixels, while restorers are still at work on it."""

    protocol: Protocol
    shot: Shot
    clip: str | None
    shown: bool  # else it only adds to its clip's profile
    restored: dict[str, np.ndarray] = field(default_factory=dict)


class Gallery:
    """A watcher that keeps encoded pictures of some images, the same places for every restorer.

    Shown is the part around the place where the restorers differ most; the crops are the places where they do. The
    frames of a clip are all shown by the part that its first one has, and have a profile. Memory is bounded by
    ``budget`` per protocol and one image, however many images there are: when the pictures of a protocol have more
    bytes, those of every second image are dropped, and from there on half as many are taken.
    """

    def __init__(self, shown: int = SHOWN, budget: int = BUDGET) -> None:
        self.shown = shown
        self.budget = budget
        self.scenes: dict[tuple[str, str], Scene] = {}
        self.profiles: dict[tuple[str, str], Profile] = {}  # by protocol and clip
        self._open: _Open | None = None
        self._met: dict[str, list[str]] = {}  # protocol → images that were candidates, in order
        self._stride: dict[str, int] = {}
        self._views: dict[
            tuple[str, str], tuple[Window, Window]
        ] = {}  # of clips: the view, and its best crop

    def __call__(self, protocol: Protocol, restorer: str, sample: Sample, restored: Tensor) -> None:
        """Note the restored image; its pictures are made when the next image comes."""
        shot = Shot(sample.name, sample.position, sample.total, sample.clean, sample.degraded)
        self.note(protocol, restorer, shot, restored)

    def note(self, protocol: Protocol, restorer: str, shot: Shot, restored: Tensor) -> None:
        """Note the restored image of a shot; its pictures are made when the next image comes."""
        clip = str(Path(shot.name).parent) if isinstance(protocol.source, Frames) else None
        if self._open is None or (self._open.protocol.name, self._open.shot.name) != (
            protocol.name,
            shot.name,
        ):
            self.finish()
            shown = self._chosen(protocol.name, shot)
            if shown or clip is not None:
                self._open = _Open(protocol, shot, clip, shown)
        if self._open is not None:
            samples, others = _pixels(restored), self._open.restored.values()
            if all(
                samples.shape[:2] == other.shape[:2] for other in others
            ):  # others have no place beside them
                self._open.restored[restorer] = samples

    def of(self, protocol: str) -> Iterator[Scene]:
        """Yield the scenes of a protocol in the order of its images."""
        self.finish()
        return (scene for scene in self.scenes.values() if scene.protocol == protocol)

    def profiles_of(self, protocol: str) -> dict[str, Profile]:
        """Return the profiles of a protocol by clip."""
        self.finish()
        return {clip: profile for (name, clip), profile in self.profiles.items() if name == protocol}

    def finish(self) -> None:
        """Make the pictures of the image at hand."""
        if self._open is None:
            return
        taken, self._open = self._open, None
        key = (taken.protocol.name, taken.clip or "")
        fixed = self._views.get(key)
        if taken.shown or fixed is None:
            scene = _scene(taken, self.shown, fixed and fixed[0])
            fixed = fixed or (scene.view, scene.crops[0])
            if taken.shown:
                self._keep(scene)
        if taken.clip is not None:
            self._views[key] = fixed
            self.profiles.setdefault(key, Profile(*fixed)).add(_images(taken))

    def join(self, other: "Gallery") -> None:
        """Take in the pictures of another rank."""
        other.finish()
        self.scenes = dict(sorted((self.scenes | other.scenes).items(), key=lambda item: item[0]))
        self.profiles = dict(sorted((self.profiles | other.profiles).items(), key=lambda item: item[0]))

    def _chosen(self, protocol: str, shot: Shot) -> bool:
        """Return whether an image that comes for the first time is one of those that are shown."""
        met = self._met.setdefault(protocol, [])
        if shot.name in met[-1:] or shot.position not in _spread(shot.total, self.shown):
            return False
        met.append(shot.name)
        return (len(met) - 1) % self._stride.setdefault(protocol, 1) == 0

    def _keep(self, scene: Scene) -> None:
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


def _scene(taken: _Open, most: int, fixed: Window | None) -> Scene:
    """Return the pictures of one image; ``fixed`` is the part to show where that is settled."""
    protocol, shot = taken.protocol, taken.shot
    images = _images(taken)
    clean, whole = images.get(CLEAN), next(iter(taken.restored.values()))
    shown = min(shot.total, most)
    side = int(min(WIDEST, max(NARROWEST, math.sqrt(PIXELS / shown))))
    crop, count = (96, 3) if shown <= FEW else (64, 1)
    worth = pictures.interest(list(taken.restored.values()), clean, protocol.border)
    view, crops = pictures.windows(worth, side, crop, count, protocol.scale, fixed)

    def version(label: str, image: np.ndarray, errors: bytes | None = None) -> Version:
        shrink = max(
            1, whole.shape[0] // image.shape[0]
        )  # a small image is shown as its pixels are, without loss
        small = [pictures.encoded(part.cut(image, shrink), lossless=True) for part in crops]
        return Version(label, pictures.encoded(view.cut(image, shrink), shrink > 1), tuple(small), errors)

    errors = _errors({label: image for label, image in images.items() if label != CLEAN}, clean, view)
    peak = pictures.peak([found for label, found in errors.items() if label != DEGRADED]) if errors else 0
    maps = {label: pictures.error_map(found, peak) for label, found in errors.items()}
    versions = tuple(version(label, image, maps.get(label)) for label, image in images.items())
    return Scene(protocol.name, shot.name, view, tuple(crops), versions, peak, taken.clip)


def _images(taken: _Open) -> dict[str, np.ndarray]:
    """Return every version of an image as samples, in the order in which pages show them."""
    found = {} if taken.shot.degraded is None else {DEGRADED: _pixels(taken.shot.degraded)}
    found |= taken.restored
    return found if taken.shot.clean is None else found | {CLEAN: _pixels(taken.shot.clean)}


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
