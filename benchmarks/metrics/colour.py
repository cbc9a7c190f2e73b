"""The difference of colours as people see them: CIEDE2000."""

import torch
from torch import Tensor

from restoration.benchmarks.metrics.metric import Metric

# linear sRGB to CIE XYZ (IEC 61966-2-1), and its white, D65
TO_XYZ = (
    (0.4124564, 0.3575761, 0.1804375),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339, 0.1191920, 0.9503041),
)
WHITE = (0.95047, 1.0, 1.08883)
EDGE, SLOPE = (6 / 29) ** 3, (29 / 6) ** 2 / 3  # where CIE Lab's cube root turns into a line
SEVEN = 25.0**7
STRIPE = 1 << 20  # pixels that are compared at once


class DeltaE2000(Metric):
    """CIEDE2000 (Sharma et al., 2005) of sRGB colours under D65, mean over pixels; lower is better, 1 is just seen."""

    plane = "rgb"
    better = "lower"
    places = 3
    rough = 3
    floor = 0.0
    convention = "of sRGB under D65"

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the mean difference of colour."""
        both = restored.flatten(2).split(STRIPE, 2), clean.flatten(2).split(STRIPE, 2)
        sums = [ciede2000(lab(a), lab(b)).sum(1) for a, b in zip(*both, strict=True)]
        return torch.stack(sums).sum(0) / clean[0, 0].numel()


def lab(rgb: Tensor) -> Tensor:
    """Return CIE 1976 L*a*b* of sRGB in [0, 1]; channels are dimension 1."""
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb.clamp(min=0) + 0.055) / 1.055) ** 2.4)
    matrix, white = (torch.tensor(v, dtype=rgb.dtype, device=rgb.device) for v in (TO_XYZ, WHITE))
    xyz = torch.einsum("ij,nj...->ni...", matrix / white[:, None], linear)
    x, y, z = torch.where(xyz > EDGE, xyz.clamp(min=EDGE) ** (1 / 3), SLOPE * xyz + 4 / 29).unbind(1)
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), 1)


def ciede2000(first: Tensor, second: Tensor) -> Tensor:
    """Return the difference of L*a*b* colours, channels in dimension 1 (Sharma, Wu & Dalal, 2005, eqs. 2 to 22)."""
    l1, a1, b1 = first.unbind(1)
    l2, a2, b2 = second.unbind(1)
    grey = 1.5 - 0.5 * _root7((torch.hypot(a1, b1) + torch.hypot(a2, b2)) / 2)  # 1 + G
    c1, c2 = torch.hypot(grey * a1, b1), torch.hypot(grey * a2, b2)
    h1, h2 = _hue(b1, grey * a1), _hue(b2, grey * a2)
    coloured = (c1 * c2) != 0
    apart = h2 - h1
    turn = torch.where(apart > 180, -360.0, 0.0) + torch.where(apart < -180, 360.0, 0.0)
    hue_step = torch.where(coloured, apart + turn, 0.0)
    lightness, chroma = l2 - l1, c2 - c1
    hue = 2 * (c1 * c2).sqrt() * torch.sin(torch.deg2rad(hue_step / 2))
    middle_l, middle_c, total = (l1 + l2) / 2, (c1 + c2) / 2, h1 + h2
    around = torch.where(apart.abs() > 180, torch.where(total < 360, 360.0, -360.0), 0.0)
    middle_h = torch.where(coloured, (total + around) / 2, total)

    def cosine(times: float, shift: float) -> Tensor:
        return torch.cos(torch.deg2rad(times * middle_h + shift))

    weight = 1 - 0.17 * cosine(1, -30) + 0.24 * cosine(2, 0) + 0.32 * cosine(3, 6) - 0.20 * cosine(4, -63)
    rotation = 30 * torch.exp(-(((middle_h - 275) / 25) ** 2))
    off = (middle_l - 50) ** 2
    lightness = lightness / (1 + 0.015 * off / (20 + off).sqrt())
    chroma = chroma / (1 + 0.045 * middle_c)
    hue = hue / (1 + 0.015 * middle_c * weight)
    turned = -torch.sin(torch.deg2rad(2 * rotation)) * 2 * _root7(middle_c)
    return (lightness**2 + chroma**2 + hue**2 + turned * chroma * hue).clamp(min=0).sqrt()


def _root7(chroma: Tensor) -> Tensor:
    power = chroma**7
    return (power / (power + SEVEN)).sqrt()


def _hue(b: Tensor, a: Tensor) -> Tensor:
    return torch.rad2deg(torch.atan2(b, a)) % 360
