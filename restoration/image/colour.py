"""Colour spaces of files: into sRGB for a network and back, such that what the network leaves alone is unchanged.

ICC profiles of a matrix and curves (ICC.1:2022, 10.6, 10.18, F.3) and of grey are computed in double precision and
without clipping. A network sees values in [0, 1]; what lies outside, colours that sRGB has not and floats beyond
white, is led around it and added to its result. One that does not enlarge sees half a range more at either end of
floats: there is noise there, which is to be removed, and not to be added again.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from restoration.degradations.resize import resize

Function = Callable[[Tensor], Tensor]
Values = Callable[[Tensor], Tensor]
# sRGB's primaries as seen under D50 (IEC 61966-2-1, adapted by Bradford): columns are red, green and blue in XYZ
SRGB = (
    (0.4360747, 0.3850649, 0.1430804),
    (0.2225045, 0.7168786, 0.0606169),
    (0.0139322, 0.0971045, 0.7141733),
)
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045, 0.0, 0.0)
SAME_COLOUR = 2e-3  # profiles that differ less from sRGB, of 1, are taken for it
NOISE = 0.5  # of the range: how far noise goes beyond it, and how far networks stay sane
LEAST_RESIDUE = 1e-6


@dataclass(frozen=True)
class Curve:
    """A tone curve, [0, 1] to linear light: ``(a·x + b)^g + e`` from d on, below it ``c·x + f``; or a table."""

    parameters: tuple[float, ...] = (1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0)  # g a b c d e f
    table: Tensor | None = None

    def linear(self, values: Tensor) -> Tensor:
        """Return linear light; the curve goes on below 0 as its mirror image."""
        sign, values = _sign(values), values.abs()
        if self.table is not None:
            return sign * _interpolated(values.clamp(max=1), self.table)
        g, a, b, c, d, e, f = self.parameters
        return sign * torch.where(values >= d, (a * values + b).clamp(min=0) ** g + e, c * values + f)

    def encoded(self, light: Tensor) -> Tensor:
        """Return the values whose linear light this is."""
        sign, light = _sign(light), light.abs()
        if self.table is not None:
            return sign * _inverted(light.clamp(max=float(self.table[-1])), self.table)
        g, a, b, c, d, e, f = self.parameters
        above = ((light - e).clamp(min=0) ** (1 / g) - b) / a
        below = (light - f) / c if c else torch.full_like(light, d)
        return sign * torch.where(light >= max((a * d + b), 0.0) ** g + e, above, below)


@dataclass(frozen=True)
class Profile:
    """A colour space of RGB (matrix to linear sRGB and three curves) or of grey (one curve)."""

    curves: tuple[Curve, ...]
    matrix: Tensor | None = None  # (3, 3)

    def srgb(self, values: Tensor) -> Tensor:
        """Return values (N, C, H, W) of this space as sRGB, in double precision, unclipped."""
        values = values.double()
        light = torch.stack([c.linear(values[:, i]) for i, c in enumerate(self.curves)], 1)
        return _SRGB.encoded(light if self.matrix is None else _mixed(self.matrix, light))

    def own(self, srgb: Tensor) -> Tensor:
        """Return sRGB (N, C, H, W) as values of this space, clipped to it."""
        light = _SRGB.linear(srgb.double())
        light = light if self.matrix is None else _mixed(torch.linalg.inv(self.matrix), light)
        light = light.clamp(0, 1)
        return torch.stack([c.encoded(light[:, i]) for i, c in enumerate(self.curves)], 1)

    def round_trip_error(self) -> float:
        """Return the largest error, of 1, by which colours of a grid come back from sRGB."""
        if self.matrix is None:
            grid = torch.linspace(0, 1, 4097, dtype=torch.float64).view(1, 1, 1, -1)
        else:
            axis = torch.linspace(0, 1, 17, dtype=torch.float64)
            grid = torch.cartesian_prod(axis, axis, axis).T.reshape(1, 3, 1, -1)
        return float((self.own(self.srgb(grid)) - grid).abs().max())

    def is_srgb(self) -> bool:
        """Whether this space is sRGB, but for rounding."""
        ramp = torch.linspace(0, 1, 65, dtype=torch.float64)
        grid = torch.stack([ramp, ramp.flip(0), (ramp * 3) % 1.0])[: len(self.curves)].view(1, -1, 1, 65)
        return float((self.srgb(grid) - grid).abs().max()) < SAME_COLOUR


def profile_of(icc: bytes | None, channels: int) -> Profile | None:
    """Return the colour space of a picture, None where it is sRGB, unknown, or of another kind than curves."""
    if not icc:
        return None
    try:
        profile = _parsed(icc, channels)
    except (struct.error, ValueError, IndexError, RuntimeError):  # damaged
        return None
    if profile is None or profile.is_srgb() or not profile.round_trip_error() < 0.25 / 255:
        return None
    return profile


def around(function: Function, icc: bytes | None, channels: int, scale: int = 1) -> Function:
    """Return the function of tiles in the file's colours, made of one of sRGB in [0, 1].

    What the function does not see is enlarged bicubically and added to its result: an identity stays one, bit for
    bit. Results in tiles equal those of the whole where tiles have two pixels of margin. Without a profile, a function
    that does not enlarge sees values in [-0.5, 1.5].
    """
    profile = profile_of(icc, channels)
    beyond_range = NOISE if profile is None and scale == 1 else 0.0

    def wrapped(tile: Tensor) -> Tensor:
        inside = tile.clamp(-beyond_range, 1 + beyond_range)
        beyond = tile - inside
        if profile is None:
            return _plus(function(inside), beyond, scale)
        exact = profile.srgb(inside)
        seen = exact.clamp(0, 1).float()
        restored = _plus(function(seen).double(), exact - seen, scale)
        return _plus(profile.own(restored).float(), beyond, scale)

    return wrapped


def to_srgb(image: Tensor, icc: bytes | None) -> Tensor:
    """Return an image of the profile's colours as sRGB, for files that hold no profile."""
    profile = profile_of(icc, image.shape[1])
    return image if profile is None else profile.srgb(image).float().clamp(0, 1)


def _plus(restored: Tensor, residue: Tensor, scale: int) -> Tensor:
    if scale == 1:
        return restored + residue.to(restored.device)
    if residue.abs().max() < LEAST_RESIDUE:
        return restored
    return restored + resize(residue.float(), scale=scale).to(restored)


def _mixed(matrix: Tensor, light: Tensor) -> Tensor:
    return torch.einsum("ij,njhw->nihw", matrix.to(light.device), light)


def _parsed(icc: bytes, channels: int) -> Profile | None:
    tags = _tags(icc)
    space = icc[16:20]
    if space == b"GRAY" and channels == 1 and b"kTRC" in tags:
        return Profile((_curve(tags[b"kTRC"]),))
    names = (b"rTRC", b"gTRC", b"bTRC", b"rXYZ", b"gXYZ", b"bXYZ")
    if space != b"RGB " or channels != 3 or icc[20:24] != b"XYZ " or any(n not in tags for n in names):
        return None
    if b"A2B0" in tags:  # a table, which is meant to be used instead
        return None
    columns = [[v / 65536 for v in struct.unpack_from(">3l", tags[name], 8)] for name in names[3:]]
    to_xyz = torch.tensor(columns, dtype=torch.float64).T
    matrix = torch.linalg.inv(torch.tensor(SRGB, dtype=torch.float64)) @ to_xyz
    return Profile(tuple(_curve(tags[name]) for name in names[:3]), matrix)


def _tags(icc: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">L", icc, 128)
    found = {}
    for i in range(min(count, 200)):
        name, offset, size = struct.unpack_from(">4sLL", icc, 132 + 12 * i)
        found[name] = icc[offset : offset + size]
    return found


def _curve(data: bytes) -> Curve:
    if data[:4] == b"para":
        (kind,) = struct.unpack_from(">H", data, 8)
        count = (1, 3, 4, 5, 7)[kind]
        values = [v / 65536 for v in struct.unpack_from(f">{count}l", data, 12)]
        values += [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0][count:]
        g, a, b, c, d, e, f = values
        if kind in (1, 2):
            a, b, c, d, e, f = a, b, 0.0, -b / a, c, c
        return Curve((g, a, b, c, d, e, f))
    if data[:4] != b"curv":
        raise ValueError("no curve")
    (count,) = struct.unpack_from(">L", data, 8)
    if count == 0:
        return Curve()
    if count == 1:
        return Curve((struct.unpack_from(">H", data, 12)[0] / 256, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0))
    table = np.frombuffer(data, ">u2", count, 12).astype(np.float64) / 65535
    if (np.diff(table) < 0).any():
        raise ValueError("a curve that falls")
    return Curve(table=torch.from_numpy(table))


def _sign(values: Tensor) -> Tensor:
    """Return -1 below 0, else 1: curves need not be 0 at 0."""
    return torch.where(values < 0, -1.0, 1.0).to(values.dtype)


def _interpolated(values: Tensor, table: Tensor) -> Tensor:
    table = table.to(values.device)
    place = values * (len(table) - 1)
    low = place.floor().long().clamp(max=len(table) - 2)
    return torch.lerp(table[low], table[low + 1], place - low)


def _inverted(light: Tensor, table: Tensor) -> Tensor:
    table = table.to(light.device)
    high = torch.searchsorted(table, light.contiguous()).clamp(1, len(table) - 1)
    low, step = table[high - 1], table[high] - table[high - 1]
    part = torch.where(step > 0, (light - low) / step.clamp(min=1e-30), torch.zeros_like(light))
    return (high - 1 + part.clamp(0, 1)) / (len(table) - 1)


_SRGB = Curve(SRGB_CURVE)
