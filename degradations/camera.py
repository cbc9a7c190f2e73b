"""Noise of a camera's sensor: photographs taken back to raw, made noisy there, and developed again.

Brooks et al., "Unprocessing images for learned raw denoising" (2019). The order of development, and of its undoing in
reverse, is: white balance and brightness, demosaicing, colour matrix, gamma 1/2.2, smoothstep tone curve.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from restoration.degradations.degraded import Degradation, Degraded, Draw, of_each, one_per_image
from restoration.degradations.draws import Key, Keys, Range, check_range, ends, generator, uniform
from restoration.degradations.mosaic import demosaiced, mosaicked

# XYZ → colours of the sensor, for the cameras of the Darmstadt noise data set (Plötz and Roth, 2017)
CAMERAS = np.array(
    [
        [
            [1.0234, -0.2969, -0.2266],
            [-0.5625, 1.6328, -0.0469],
            [-0.0703, 0.2188, 0.6406],
        ],  # Huawei Nexus 6P
        [[0.4913, -0.0541, -0.0202], [-0.6130, 1.3513, 0.2906], [-0.1564, 0.2151, 0.7183]],  # Sony ILCE-7R
        [[0.8380, -0.2630, -0.0639], [-0.2887, 1.0725, 0.2496], [-0.0627, 0.1427, 0.5438]],  # Olympus E-M10
        [[0.6596, -0.2079, -0.0562], [-0.4782, 1.3016, 0.1933], [-0.0970, 0.1581, 0.5181]],  # Sony RX100 IV
    ]
)
# linear sRGB → XYZ (IEC 61966-2-1)
XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
GAMMA = 2.2
DARK = 1e-8  # under the gamma curve, whose slope is infinite at 0
HIGHLIGHT = 0.9  # from this grey on, undoing the gains spares the highlights more and more


@dataclass(frozen=True)
class Camera(Degradation):
    """Noise of a camera's sensor, by way of raw (Brooks et al., 2019): var = shot · x + read, of linear x in [0, 1].

    ``shot`` is drawn log-uniformly; log read = 2.18 · log shot + 1.20 + N(0, 0.26²), or is ``read`` itself. The colour
    matrix is a random convex combination of four cameras'; ``brightness`` is 1 over the gain of exposure, drawn from
    N(mean, deviation²), ``red`` and ``blue`` are gains of white balance. ``mosaic`` makes the noise in a Bayer pattern
    (RGGB), which is demosaiced bilinearly, and blurs as that does. Images have three channels; the result is in [0, 1].
    """

    scale: ClassVar[int] = 1
    channels: ClassVar[int | None] = 3

    shot: Range = (1e-4, 1.2e-2)
    read: Range | None = None
    brightness: tuple[float, float] = (0.8, 0.1)
    red: Range = (1.9, 2.4)
    blue: Range = (1.5, 1.9)
    mosaic: bool = True

    def __post_init__(self) -> None:
        check_range("shot", self.shot, 1e-12, 1.0)
        if self.read is not None:
            check_range("read", self.read, 0.0, 1.0)
        mean, deviation = self.brightness
        if not (mean > 0 and deviation >= 0 and mean + 4 * deviation < math.inf):
            raise ValueError(
                f"brightness = [{mean:g}, {deviation:g}]; expected a mean above 0 and a deviation from 0"
            )
        check_range("red", self.red, 0.1, 10.0)
        check_range("blue", self.blue, 0.1, 10.0)

    def __call__(self, clean: Tensor, keys: Keys) -> Degraded:
        """Return the developed noisy image; the draw holds shot, read, exposure, red, blue and the cameras' weights."""
        one_per_image(clean, keys)
        if clean.shape[1] != 3:
            raise ValueError(f"clean has {clean.shape[1]} channels; a camera needs 3, red, green and blue")
        drawn = [self._draw(key) for key in keys]
        # one by one: a vectorised sine or power may round otherwise at another place of a batch
        images = [
            self._taken(image.contiguous(), draw, rng)
            for image, (draw, rng) in zip(clean, drawn, strict=True)
        ]
        return Degraded(torch.stack(images), draw=of_each([draw for draw, _ in drawn]))

    def _draw(self, key: Key) -> tuple[Draw, np.random.Generator]:
        rng = generator(key, "camera")
        low, high = ends(self.shot)
        log_shot = uniform(rng, (math.log(low), math.log(high)))
        log_read = 2.18 * log_shot + 1.20 + rng.normal(0, 0.26)
        read = math.exp(log_read) if self.read is None else uniform(rng, self.read)
        # a dark or endless exposure is no photograph: the normal's tail is cut at a tenth of its mean
        exposure = 1 / max(rng.normal(*self.brightness), self.brightness[0] / 10)
        weights = rng.random(len(CAMERAS))
        draw = {
            "shot": math.exp(log_shot),
            "read": read,
            "exposure": exposure,
            "red": uniform(rng, self.red),
            "blue": uniform(rng, self.blue),
            "cameras": (weights / weights.sum()).tolist(),
        }
        return draw, rng

    def _taken(self, image: Tensor, draw: Draw, rng: np.random.Generator) -> Tensor:
        matrix = camera_matrix(draw["cameras"])
        gains = [draw["exposure"] * gain for gain in (draw["red"], 1.0, draw["blue"])]
        raw = unprocess(image, matrix, gains)
        raw = mosaicked(raw[None], "rggb")[0] if self.mosaic else raw
        white = torch.from_numpy(rng.standard_normal(raw.shape, dtype=np.float32)).to(raw)
        raw = raw + white * (raw * draw["shot"] + draw["read"]).sqrt()
        return process(raw, matrix, gains)


def camera_matrix(weights: list[float]) -> np.ndarray:
    """Return linear sRGB → camera, (3, 3) with rows that sum to 1: the mean of ``CAMERAS`` by weights that sum to 1."""
    matrix = np.tensordot(weights, CAMERAS, 1) @ XYZ
    return matrix / matrix.sum(1, keepdims=True)


def unprocess(image: Tensor, matrix: np.ndarray, gains: list[float]) -> Tensor:
    """Return the raw colours, linear in [0, 1], of a developed image; both (3, H, W). ``gains`` are red, green, blue.

    Near white the gains are undone less, so that what is white stays saturated: the paper's highlight-preserving gains.
    """
    linear = (0.5 - torch.sin(torch.asin(1 - 2 * image.clamp(0, 1)) / 3)).clamp(min=DARK) ** GAMMA
    linear = _mixed(linear, matrix)
    inverse = linear.new_tensor([1 / gain for gain in gains]).view(3, 1, 1)
    spared = ((linear.mean(0) - HIGHLIGHT).clamp(min=0) / (1 - HIGHLIGHT)) ** 2
    return (linear * torch.maximum(spared + (1 - spared) * inverse, inverse)).clamp(0, 1)


def process(raw: Tensor, matrix: np.ndarray, gains: list[float]) -> Tensor:
    """Return the developed image, (3, H, W) in [0, 1], of raw colours (3, H, W) or of a Bayer mosaic (1, H, W)."""
    gained = (raw * raw.new_tensor(gains).view(3, 1, 1)).clamp(0, 1)
    if raw.shape[0] == 1:
        gained = demosaiced(mosaicked(gained[None], "rggb"), "rggb")[0]
    linear = _mixed(gained, np.linalg.inv(matrix)).clamp(0, 1)
    encoded = linear.clamp(min=DARK) ** (1 / GAMMA)
    return encoded * encoded * (3 - 2 * encoded)


def _mixed(image: Tensor, matrix: np.ndarray) -> Tensor:
    # no matrix product: a GPU may be set to make those with 10 bits
    return torch.stack([(image * image.new_tensor(row).view(3, 1, 1)).sum(0) for row in matrix])
