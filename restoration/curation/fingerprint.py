"""Which images are the same picture: re-encoded, resized, slightly cropped, mirrored or turned."""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from PIL import Image

SIDE = 32  # of a thumbnail
KEPT = 16  # lowest frequencies a side that are compared
HASHED = 8  # of them, those whose signs are the hash
# Measured on 524 photographs, eight versions of each of 136,931 pairs: different scenes differ in 12 or more of 63 bits
# and have a likeness up to 0.50. JPEG at quality 30 and 75, a quarter of the size, noise of 25 levels, +20 % contrast
# and grey differ in at most 10, with a likeness from 0.96; with 8 to 15 pixels cropped, 509 of 524 are still found.
MOST_BITS = 16
LEAST_LIKENESS = 0.75
# Different pages of text with the same margins have a likeness up to 0.90, for few frequencies hold most of them: 17 to
# 31, of photographs 21 to 100. Re-encoded and resized pages have 0.98.
FEW, LEAST_OF_FEW = 32.0, 0.95
# Mean colours differ by at most 1.5 steps after JPEG at quality 30 and by a fifth after 20 % more contrast.
COLOUR, COLOUR_SHARE = 3.0, 0.25
FLAT = 2.0  # standard deviation in steps of 1/255 below which there is nothing to compare
BLOCK, PART, MOST_ROWS = 2**21, 2**13, 2**10  # hashes, correlations and images at a time
VERSIONS = (
    "", "mirrored left to right", "mirrored top to bottom", "turned by 180 degrees", "mirrored along a diagonal",
    "turned by 90 degrees", "turned by 90 degrees", "mirrored along a diagonal",
)  # fmt: skip


@dataclass(frozen=True)
class Matches:
    """Pairs of the same picture: their places, how ours is turned against theirs, bits that differ, likeness."""

    ours: np.ndarray  # (P,), as all of them
    theirs: np.ndarray
    version: np.ndarray  # place in VERSIONS
    bits: np.ndarray
    likeness: np.ndarray  # correlation from -1 to 1

    def only(self, which: np.ndarray) -> "Matches":
        """Return some of the pairs."""
        return Matches(*(getattr(self, each.name)[which] for each in fields(self)))


class Prints:
    """What is compared of N images: spectra (N, 16, 16) and mean colours (N, 2), which are NaN where not known."""

    def __init__(self, spectra: np.ndarray, colours: np.ndarray | None = None) -> None:
        self.spectra = spectra
        self.colours = np.full((len(spectra), 2), np.nan) if colours is None else colours
        self.flat = flat(spectra)
        self.codes = _hashes(spectra)
        self.weighted = _weighted(spectra)
        energies = np.square(self.weighted)
        self.few = (
            np.square(energies).sum(-1) > 1 / FEW
        )  # how many frequencies share the energy: 1 / Σ energy²

    def __len__(self) -> int:
        return len(self.spectra)


def thumbnail(samples: np.ndarray) -> np.ndarray:
    """Return the luma of samples (H, W, 1 or 3) averaged over 32 x 32 areas, as uint8."""
    samples = _eight_bits(samples)
    image = Image.fromarray(np.ascontiguousarray(samples[..., 0] if samples.shape[2] == 1 else samples))
    return np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX))


def colour(samples: np.ndarray) -> np.ndarray:
    """Return the means of red - green and blue - green of samples (H, W, 1 or 3), steps of 1/255; NaN of grey ones."""
    if samples.shape[2] == 1 or (samples[..., 1:] == samples[..., :1]).all():
        return np.full(2, np.nan)
    red, green, blue = _eight_bits(samples).mean((0, 1))
    return np.array([red - green, blue - green])


def _eight_bits(samples: np.ndarray) -> np.ndarray:
    if samples.dtype == np.uint16:
        return (samples >> 8).astype(np.uint8)
    if samples.dtype.kind == "f":
        return (np.nan_to_num(samples).clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return samples


def spectrum(thumbnails: np.ndarray) -> np.ndarray:
    """Return the lowest 16 x 16 coefficients of the cosine transform (DCT-II) of thumbnails (N, 32, 32)."""
    return np.einsum("ui,nij,vj->nuv", COSINES, thumbnails.astype(np.float32), COSINES, optimize=True)


def flat(spectra: np.ndarray) -> np.ndarray:
    """Return for each image whether it is nearly of one colour, (N,) of bool."""
    energy = np.square(spectra).sum((1, 2)) - np.square(spectra[:, 0, 0])
    return np.sqrt(energy.clip(0)) / SIDE < FLAT


def matches(ours: Prints, theirs: Prints | None = None) -> Matches:
    """Return all pairs of the same picture between two sets of images, or within one."""
    found = [of_some(ours, rows, theirs) for rows in blocks(ours, theirs)] or [NONE]
    return Matches(
        *(np.concatenate([getattr(part, each.name) for part in found]) for each in fields(Matches))
    )


def blocks(ours: Prints, theirs: Prints | None = None) -> Iterator[np.ndarray]:
    """Yield the places of ours that are compared at a time, so that memory does not grow with their number."""
    step = BLOCK // (len(VERSIONS) * max(1, len(ours if theirs is None else theirs)))
    step = min(max(step, 1), MOST_ROWS)
    yield from (np.arange(start, min(start + step, len(ours))) for start in range(0, len(ours), step))


def of_some(ours: Prints, rows: np.ndarray, theirs: Prints | None = None) -> Matches:
    """Return the pairs of the same picture of some images with ``theirs``, or with later ones of their own set.

    Hashes are 63 signs of low frequencies; they choose pairs, which count if all 255 frequencies, weighted with their
    distance from zero (as the spectra of photographs fall by it), correlate, the more where few of them hold most of
    the picture, and if mean colours agree where neither is grey. Of a pair its likest version is taken.
    """
    within, theirs = theirs is None, ours if theirs is None else theirs
    turned = _versions(ours.spectra[rows])
    weighted = _weighted(turned)
    bits = np.bitwise_count(_hashes(turned)[:, :, None] ^ theirs.codes)
    near = (bits <= MOST_BITS) & ~ours.flat[rows][:, None] & ~theirs.flat
    if within:  # each pair once, no image with itself
        near &= rows[:, None] < np.arange(len(theirs))
    version, row, second = np.nonzero(near)
    likeness = np.concatenate([
        np.einsum("pf,pf->p", weighted[version[part], row[part]], theirs.weighted[second[part]])
        for part in np.array_split(np.arange(len(row)), len(row) // PART + 1)
    ])  # fmt: skip
    found = Matches(rows[row], second, version, bits[version, row, second], likeness)
    few = ours.few[found.ours] | theirs.few[second]
    found = found.only(
        (likeness >= np.where(few, LEAST_OF_FEW, LEAST_LIKENESS)) & _coloured(ours, theirs, found)
    )
    best = np.lexsort((-found.likeness, found.theirs, found.ours))
    pairs = found.ours[best] * len(theirs) + found.theirs[best]
    return found.only(best[np.diff(pairs, prepend=-1) != 0])


def _coloured(ours: Prints, theirs: Prints, found: Matches) -> np.ndarray:
    """Whether the mean colours of pairs agree, (P,) of bool; they do where one is not known."""
    first, second = ours.colours[found.ours], theirs.colours[found.theirs]
    strongest = np.maximum(np.abs(first), np.abs(second)).max(1)
    return ~(np.abs(first - second).max(1) > COLOUR + COLOUR_SHARE * strongest)


def _versions(spectra: np.ndarray) -> np.ndarray:
    """Return the spectra of images turned into each of VERSIONS, (8, N, 16, 16).

    Mirroring changes the sign of odd frequencies along its axis, transposing transposes.
    """
    odd = np.where(np.arange(KEPT) % 2, -1, 1).astype(spectra.dtype)
    plain = [spectra, spectra * odd, spectra * odd[:, None], spectra * odd * odd[:, None]]
    turned = spectra.transpose(0, 2, 1)
    return np.stack([*plain, turned, turned * odd, turned * odd[:, None], turned * odd * odd[:, None]])


def _hashes(spectra: np.ndarray) -> np.ndarray:
    """Return the signs of (…, 16, 16) low frequencies as one uint64 each; the mean brightness has no part in it."""
    signs = spectra[..., :HASHED, :HASHED].reshape(*spectra.shape[:-2], HASHED**2) > 0
    signs[..., 0] = False
    return np.packbits(signs, -1).view(np.uint64)[..., 0]


def _weighted(spectra: np.ndarray) -> np.ndarray:
    """Return (…, 16, 16) frequencies times their distance from zero, as unit vectors (…, 256)."""
    vectors = (spectra * DISTANCES).reshape(*spectra.shape[:-2], KEPT**2)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True).clip(1e-6)


def _cosines() -> np.ndarray:
    """Return the first rows of the orthonormal DCT-II matrix, (16, 32)."""
    frequency, place = np.arange(KEPT)[:, None], np.arange(SIDE)
    rows = np.cos(np.pi * frequency * (place + 0.5) / SIDE) * np.sqrt(2 / SIDE)
    rows[0] /= np.sqrt(2)
    return rows.astype(np.float32)


NONE = Matches(*np.zeros((5, 0), int))
COSINES = _cosines()
DISTANCES = np.hypot(np.arange(KEPT)[:, None], np.arange(KEPT)).astype(np.float32)
