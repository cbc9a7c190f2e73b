"""Clips of known motion, made of photographs."""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from restoration.degradations.chain import channels_of, refuse_clips
from restoration.degradations.degraded import Degradation, Degraded, Draw, of_each, one_per_image, united
from restoration.degradations.draws import Key, Keys, Range, check_range, generator, part_key, uniform
from restoration.degradations.smooth import mirrored
from restoration.degradations.taps import cubic

BAND = 64  # rows that are interpolated at a time


@dataclass(frozen=True)
class MovingClip(Degradation):
    """A clip of ``frames`` frames of a photograph over which the camera moves evenly, each degraded by ``of``.

    ``of`` draws once per clip, so that blur, size and the like stay as they are from frame to frame, and whatever it
    paints stands still; ``fresh`` then acts with draws of its own on each frame: noise, files, rain.
    Sample s of a key (seed, s) is frame ``s mod frames`` of clip ``s div frames``. The frames of a clip share their
    motion; they have to be given the same photograph, which is the middle frame. From frame to frame the camera moves
    ``shift`` pixels in a direction that is drawn, turns by ``rotation`` degrees and nears by the part ``zoom``, or the
    other way. It moves by whole pixels, parts of those of the degraded image, and a frame is then as sharp as the
    photograph; with ``subpixel``, or where it turns or nears, frames are interpolated bicubically. Beyond its border
    the photograph goes on mirrored about the border pixels, so that every place of a frame has a source.

    ``clean`` is the frame itself. Layers: "flow" (N, 2, H, W) leads to the next frame, in pixels of clean, horizontal
    then vertical: ``next(x + flow(x)) = this(x)``; with ``neighbours``, "frames" (N, frames, C, h, w) holds the
    degraded frames of the whole clip.
    """

    of: Degradation
    fresh: Degradation | None = None
    frames: int = 5
    shift: Range = (0.0, 4.0)
    rotation: Range = 0.0
    zoom: Range = 0.0
    subpixel: bool = False
    neighbours: bool = False

    def __post_init__(self) -> None:
        if self.frames < 2:
            raise ValueError(f"frames = {self.frames}; expected a whole number from 2")
        refuse_clips(self._parts)
        check_range("shift", self.shift)
        check_range("rotation", self.rotation, most=45)
        check_range("zoom", self.zoom, most=0.5)
        for name, part in zip(("of", "fresh"), self._parts, strict=False):
            if part.varies:
                raise ValueError(
                    f"{name} gives images sizes of their own; expected a chain that fits them to one size"
                )
        if self.fresh is not None and self.fresh.aims:
            raise ValueError(
                "fresh makes what restorers shall reach, of a degraded frame; expected that in of"
            )

    @property
    def scale(self) -> int:
        """The product of the scales of ``of`` and ``fresh``."""
        return math.prod(part.scale for part in self._parts)

    @property
    def multiple(self) -> int:
        """Of what the sides have to be multiples for both parts."""
        return math.lcm(self.of.multiple, self.of.scale * self.fresh.multiple if self.fresh else 1)

    @property
    def channels(self) -> int | None:
        """How many channels some part needs."""
        return channels_of(self._parts)

    @property
    def aims(self) -> bool:
        """Always: what restorers shall reach is the frame."""
        return True

    @property
    def together(self) -> int:
        """How many consecutive samples are the frames of one clip."""
        return self.frames

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return each sample's frame, degraded; its clean one; its flow; and the motion per frame of its clip."""
        one_per_image(clean, keys)
        size = tuple(clean.shape[-2:])
        motions = [self._motion((seed, sample // self.frames)) for seed, sample in keys]
        numbers = [sample % self.frames for _, sample in keys]
        frames = self._frames(clean, motions, numbers)
        degraded = self._degraded(frames, keys)
        flow = torch.stack([self._flow(m, f, size) for m, f in zip(motions, numbers, strict=True)]).to(clean)
        layers = {**degraded.layers, "flow": flow}
        if self.neighbours:
            layers["frames"] = self._neighbours(clean, motions, keys)
        drawn = [m.draw() | {"frame": f} for m, f in zip(motions, numbers, strict=True)]
        target = frames if degraded.clean is None else degraded.clean
        return Degraded(degraded.image, degraded.mask, layers, of_each(drawn) | degraded.draw, target)

    @property
    def _parts(self) -> list[Degradation]:
        return [self.of] if self.fresh is None else [self.of, self.fresh]

    def _degraded(self, frames: Tensor, keys: Keys) -> Degraded:
        """Return frames after ``of``, keyed by their clips, and ``fresh``, keyed by their samples."""
        of_clips = [part_key((seed, sample // self.frames), "moving-clip.of") for seed, sample in keys]
        made = self.of(frames, of_clips)
        draw = {f"of.{name}": values for name, values in made.draw.items()}
        if self.fresh is None:
            return replace(made, draw=draw)
        last = self.fresh(made.image, [part_key(key, "moving-clip.fresh") for key in keys])
        draw |= {f"fresh.{name}": values for name, values in last.draw.items()}
        return Degraded(
            last.image, united(made.mask, last.mask), {**made.layers, **last.layers}, draw, made.clean
        )

    def _motion(self, clip: Key) -> "_Motion":
        rng = generator(clip, "moving-clip")
        speed, direction = uniform(rng, self.shift), rng.uniform(0, 2 * math.pi)
        turn, zoom = (
            uniform(rng, of) * (1 if rng.random() < 0.5 else -1) for of in (self.rotation, self.zoom)
        )
        still = self.rotation == 0 and self.zoom == 0
        return _Motion(
            speed * math.cos(direction), speed * math.sin(direction), turn, zoom, still and not self.subpixel
        )

    def _frames(self, clean: Tensor, motions: list["_Motion"], numbers: list[int]) -> Tensor:
        """Return frame ``numbers[i]`` of the clip of each image."""
        middle = self.frames // 2
        moved = [m.frame(c, n - middle) for c, m, n in zip(clean, motions, numbers, strict=True)]
        return torch.stack(moved)

    def _flow(self, motion: "_Motion", number: int, size: tuple[int, int]) -> Tensor:
        place = motion.seen(number - self.frames // 2, size)
        return (motion.shown(place, number + 1 - self.frames // 2, size) - _pixels(size)).float()

    def _neighbours(self, clean: Tensor, motions: list["_Motion"], keys: Keys) -> Tensor:
        """Return all frames of each image's clip, each as its own sample has it: (N, frames, C, h, w)."""
        clip = []
        for number in range(self.frames):
            own = [(seed, sample - sample % self.frames + number) for seed, sample in keys]
            clip.append(self._degraded(self._frames(clean, motions, [number] * len(keys)), own).image)
        return torch.stack(clip, 1)


@dataclass(frozen=True)
class _Motion:
    """The way of the camera per frame: pixels, degrees, and the part by which it nears; ``whole`` rounds the pixels."""

    right: float
    down: float
    turn: float
    zoom: float
    whole: bool

    def draw(self) -> Draw:
        """Return the motion as what was drawn."""
        return {"shift": [self.right, self.down], "rotation": self.turn, "zoom": self.zoom}

    def seen(self, time: int, size: tuple[int, int]) -> Tensor:
        """Return the places (2, H, W) of the photograph, horizontal then vertical, that a frame's pixels show."""
        centre, shift, matrix = self._camera(time, size)
        return centre + shift + torch.einsum("ij,jyx->iyx", matrix, _pixels(size) - centre)

    def shown(self, place: Tensor, time: int, size: tuple[int, int]) -> Tensor:
        """Return where a frame shows places of the photograph: the inverse of ``seen``."""
        centre, shift, matrix = self._camera(time, size)
        return centre + torch.einsum("ij,jyx->iyx", torch.linalg.inv(matrix), place - centre - shift)

    def frame(self, photograph: Tensor, time: int) -> Tensor:
        """Return the frame ``time`` frames after the photograph (C, H, W) was taken."""
        if time == 0:
            return photograph
        height, width = size = tuple(photograph.shape[1:])
        if self.whole:
            right, down = (int(n) for n in self._camera(time, size)[1].flatten())
            rows, columns = torch.arange(height) + down, torch.arange(width) + right
            rows, columns = (
                mirrored(i, n).to(photograph.device) for i, n in ((rows, height), (columns, width))
            )
            return photograph.index_select(1, rows).index_select(2, columns)
        return torch.cat([sampled(photograph, part) for part in self.seen(time, size).split(BAND, 1)], 1)

    def _camera(self, time: int, size: tuple[int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """Return the image's centre and the camera's shift, (2, 1, 1) each, and its turn and zoom as a matrix."""
        shift = torch.tensor([self.right, self.down], dtype=torch.float64).view(2, 1, 1) * time
        shift = shift.round() if self.whole else shift
        angle, smaller = math.radians(self.turn * time), (1 + self.zoom) ** -time
        rows = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
        centre = torch.tensor([(size[1] - 1) / 2, (size[0] - 1) / 2], dtype=torch.float64).view(2, 1, 1)
        return centre, shift, torch.tensor(rows, dtype=torch.float64) * smaller


def _pixels(size: tuple[int, int]) -> Tensor:
    """Return the places (2, H, W) of all pixels, horizontal then vertical."""
    rows, columns = (torch.arange(n, dtype=torch.float64) for n in size)
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"))


def sampled(photograph: Tensor, place: Tensor) -> Tensor:
    """Return the samples (C, h, w) at places (2, h, w), horizontal then vertical, by Keys' cubic kernel, in [0, 1].

    torch's own bicubic sampling has a = −3/4, which does not even keep ramps; a = −1/2 keeps parabolas.
    """
    height, width = photograph.shape[1:]
    first = place.floor()
    taps = torch.arange(-1, 3).view(4, 1, 1, 1) + first.long()  # (4, 2, h, w)
    weights = torch.from_numpy(cubic((place - taps).numpy())).to(photograph)
    columns, rows = mirrored(taps[:, 0], width), mirrored(taps[:, 1], height)
    near = (rows[:, None] * width + columns).to(photograph.device)
    shares = weights[:, None, 1] * weights[:, 0]
    return (photograph.flatten(1)[:, near] * shares).sum((1, 2)).clamp_(0, 1)
