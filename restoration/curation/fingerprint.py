"""Which images are the same picture: re-encoded, resized, slightly cropped, mirrored or turned."""

from collections.abc import Iterator
from dataclasses import dataclass

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
FLAT = 2.0  # standard deviation in steps of 1/255 below which there is nothing to compare
BLOCK = 2**24  # hashes compared at a time
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


def thumbnail(samples: np.ndarray) -> np.ndarray:
    """Return the luma of samples (H, W, 1 or 3) averaged over 32 x 32 areas, as uint8."""
    if samples.dtype == np.uint16:
        samples = (samples >> 8).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(samples[..., 0] if samples.shape[2] == 1 else samples))
    return np.asarray(image.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX))


def spectrum(thumbnails: np.ndarray) -> np.ndarray:
    """Return the lowest 16 x 16 coefficients of the cosine transform (DCT-II) of thumbnails (N, 32, 32)."""
    return np.einsum("ui,nij,vj->nuv", COSINES, thumbnails.astype(np.float32), COSINES, optimize=True)


def flat(spectra: np.ndarray) -> np.ndarray:
    """Return for each image whether it is nearly of one colour, (N,) of bool."""
    energy = np.square(spectra).sum((1, 2)) - np.square(spectra[:, 0, 0])
    return np.sqrt(energy.clip(0)) / SIDE < FLAT


def matches(ours: np.ndarray, theirs: np.ndarray | None = None) -> Matches:
    """Return all pairs of the same picture between two sets of spectra, or within one.

    Hashes are 63 signs of low frequencies; they choose pairs, which count if all 255 frequencies, weighted with
    their distance from zero (as the spectra of photographs fall by it), correlate.
    """
    within = theirs is None
    theirs = ours if theirs is None else theirs
    if not len(ours) or not len(theirs):
        none = np.zeros(0, int)
        return Matches(none, none, none, none, np.zeros(0))
    versions, weighted = _versions(ours), _weighted(theirs)
    codes, own = _hashes(theirs), _hashes(versions)
    found = [part for rows in _blocks(len(ours), len(theirs)) for part in _near(own, codes, rows, within)]
    version, first, second, bits = np.concatenate(found, 1)
    likeness = np.concatenate([
        np.einsum("pf,pf->p", _weighted(versions[version[part], first[part]]), weighted[second[part]])
        for part in np.array_split(np.arange(len(first)), len(first) // 2**16 + 1)
    ])  # fmt: skip
    good = np.flatnonzero((likeness >= LEAST_LIKENESS) & ~flat(ours)[first] & ~flat(theirs)[second])
    best = good[np.lexsort((-likeness[good], second[good], first[good]))]
    _, once = np.unique(np.stack([first[best], second[best]]), axis=1, return_index=True)
    best = best[once]
    return Matches(first[best], second[best], version[best], bits[best], likeness[best])


def groups(count: int, first: np.ndarray, second: np.ndarray) -> list[list[int]]:
    """Return the sets of two or more among ``count`` things that pairs join, each sorted."""
    label = np.arange(count)
    while True:
        lowest = label.copy()
        np.minimum.at(lowest, first, label[second])
        np.minimum.at(lowest, second, label[first])
        lowest = lowest[lowest]
        if (lowest == label).all():
            break
        label = lowest
    order = np.argsort(label, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(label[order])) + 1)
    return [part.tolist() for part in parts if len(part) > 1]


def _near(own: np.ndarray, codes: np.ndarray, rows: slice, within: bool) -> Iterator[np.ndarray]:
    """Yield (version, ours, theirs, bits) of the pairs whose hashes are near, (4, P)."""
    bits = np.bitwise_count(own[:, rows, None] ^ codes[None, None])
    version, first, second = np.nonzero(bits <= MOST_BITS)
    if within:  # each pair once, no image with itself
        once = first + rows.start < second
        version, first, second = version[once], first[once], second[once]
    yield np.stack([version, first + rows.start, second, bits[version, first, second].astype(int)])


def _blocks(ours: int, theirs: int) -> Iterator[slice]:
    step = max(1, BLOCK // (len(VERSIONS) * theirs))
    yield from (slice(start, min(start + step, ours)) for start in range(0, ours, step))


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


COSINES = _cosines()
DISTANCES = np.hypot(np.arange(KEPT)[:, None], np.arange(KEPT)).astype(np.float32)
