"""What a pane of glass reflects: two copies of a scene, from its front and from its back."""

import math

import torch
from torch import Tensor

from restoration.degradations.smooth import Rows, mirrored

INDEX = 1.5  # of refraction, of window glass


def reflectance(angle: float) -> float:
    """Return the share of unpolarised light that one surface of glass reflects at ``angle`` degrees (Fresnel)."""
    incident = math.cos(math.radians(angle))
    refracted = math.sqrt(1 - (math.sin(math.radians(angle)) / INDEX) ** 2)
    across = (incident - INDEX * refracted) / (incident + INDEX * refracted)
    along = (refracted - INDEX * incident) / (refracted + INDEX * incident)
    return (across**2 + along**2) / 2


def ghost_decay(angle: float) -> float:
    """Return the second copy's light over the first's: it crosses the front twice, (1 − R)²."""
    return (1 - reflectance(angle)) ** 2


def ghost_shift(angle: float, thickness: float) -> float:
    """Return the distance between the rays that front and back reflect, in the unit of ``thickness``.

    ``2 d tan θ' cos θ = d sin 2θ / √(n² − sin² θ)`` with Snell's ``sin θ = n sin θ'``; most near 49°.
    """
    sine = math.sin(math.radians(angle))
    return thickness * math.sin(2 * math.radians(angle)) / math.sqrt(INDEX**2 - sine**2)


def ghosted(rows: Rows, size: tuple[int, int], shift: tuple[float, float], decay: float) -> Rows:
    """Return the rows of an image of ``size`` seen twice: itself and, times ``decay``, a copy moved by ``shift``.

    The shift is (down, right) in pixels, bilinear between them; both copies are divided by 1 + ``decay``, so that they
    share the light of one (the two-pulse kernel of Shih et al., 2015). Beyond the border the image is mirrored.
    """
    (down, part_down), (right, part_right) = (_split(-n) for n in shift)

    def both(index: Tensor) -> Tensor:
        height, width = size
        above, below = (rows(mirrored(index + down + n, height)) for n in (0, 1))
        copy = torch.lerp(above, below, part_down)
        columns = torch.arange(width, device=index.device) + right
        left, following = (copy.index_select(2, mirrored(columns + n, width)) for n in (0, 1))
        return (rows(index) + decay * torch.lerp(left, following, part_right)) / (1 + decay)

    return both


def _split(place: float) -> tuple[int, float]:
    return math.floor(place), place - math.floor(place)
