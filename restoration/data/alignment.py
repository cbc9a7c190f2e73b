"""Whether a degraded image shows the same pixels as its clean one: their shift, by phase correlation."""

from dataclasses import dataclass

import numpy as np

from restoration.data.source import Source
from restoration.errors import ConfigError, ImageError

CHECKED = 4  # pairs, evenly spread
SIDE = 256  # pixels of the degraded image that are looked at
BAND = 0.25  # cycles per pixel: above it, what degradations add hides what they keep
SMOOTH = 1.5  # periods over the whole side: below it, exposure and shading
# Pixels of the degraded image. Taking one pixel of each cell shifts by (s - 1) / 2s at scale s, cameras' own pairs by
# up to 0.5 in published sets; a whole pixel is found to within 0.05.
TOLERANCE = 0.75
# Share of the highest peak there can be: unrelated pictures stay below 0.25, noise of sigma 50 above 0.3; at scale 4,
# bicubic, noisy and JPEG pairs above 0.45.
CLEAR = 0.4
STEPS = (0.1, 0.02)  # of the search below a pixel


@dataclass(frozen=True)
class Shift:
    """How far a degraded image lies from its clean one, in its own pixels; ``clear`` is from 0 to 1."""

    down: float
    right: float
    clear: float


def check_alignment(source: Source) -> None:
    """Refuse pairs whose degraded image is shifted by a pixel; a few of them are looked at.

    Where the two have too little in common to tell, as behind a mask of most pixels, nothing is refused.
    """
    for index in sorted({round(i) for i in np.linspace(0, len(source) - 1, CHECKED)}):
        try:
            clean, degraded = source.samples(index), source.partner(index)
        except ImageError:
            continue  # met again when it is drawn, and treated as data.damaged says
        found = shift(reduced(_grey(clean), source.scale), _grey(degraded))
        if found.clear >= CLEAR and max(abs(found.down), abs(found.right)) >= TOLERANCE:
            raise ConfigError(
                f"{source.name(index)}: degraded is shifted by ({found.down:.1f}, {found.right:.1f}) pixels "
                '(down, right); expected aligned pairs, or data.shifted = "keep"'
            )


def shift(clean: np.ndarray, degraded: np.ndarray) -> Shift:
    """Return the shift of ``degraded`` against ``clean``, (H, W) each, by their middle parts.

    With F and G their windowed spectra, the phase correlation is the inverse transform of G F* / |G F*|: a peak at the
    shift (Kuglin & Hines, 1975). Frequencies outside [SMOOTH / side, BAND] count nothing. Between pixels the
    transform is summed at the places themselves.
    """
    common = np.minimum(clean.shape, degraded.shape)
    sides = np.minimum(common, SIDE)
    middle = tuple(
        slice(first, first + side) for first, side in zip((common - sides) // 2, sides, strict=True)
    )
    window = np.hanning(sides[0])[:, None] * np.hanning(sides[1])
    spectra = [np.fft.fft2((part - part.mean()) * window) for part in (clean[middle], degraded[middle])]
    down, right = (np.fft.fftfreq(side) for side in sides)
    used = (down[:, None] ** 2 + right**2 < BAND**2) & (
        (np.abs(down[:, None]) * sides[0] > SMOOTH) | (np.abs(right) * sides[1] > SMOOTH)
    )
    cross = spectra[1] * spectra[0].conj()
    phases = np.where(used, cross / np.maximum(np.abs(cross), 1e-12), 0) / max(1, used.sum())
    peak = np.unravel_index(np.fft.ifft2(phases).real.argmax(), phases.shape)
    place = [(int(p) + side // 2) % side - side // 2 for p, side in zip(peak, sides, strict=True)]
    reach, value = 1.0, 0.0
    for step in STEPS:
        tried = [p + np.arange(-reach, reach + step / 2, step) for p in place]
        waves = np.exp(2j * np.pi * np.outer(tried[0], down)), np.exp(2j * np.pi * np.outer(right, tried[1]))
        values = (waves[0] @ phases @ waves[1]).real
        best = np.unravel_index(values.argmax(), values.shape)
        place, reach, value = [t[b] for t, b in zip(tried, best, strict=True)], step, float(values[best])
    return Shift(float(place[0]), float(place[1]), value)


def reduced(image: np.ndarray, scale: int) -> np.ndarray:
    """Return the mean of each cell of ``scale`` x ``scale`` pixels; what is left over at the end is dropped."""
    height, width = (side // scale for side in image.shape)
    cells = image[: height * scale, : width * scale].reshape(height, scale, width, scale)
    return cells.mean((1, 3))


def _grey(samples: np.ndarray) -> np.ndarray:
    return samples.mean(2, dtype=np.float64)
