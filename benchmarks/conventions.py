"""By which conventions others measure PSNR and SSIM: a table, and our own computation of every entry of it.

One pair of images has as many values as there are conventions; on Set5 ×4 they lie 1.9 dB apart. `libraries` calls the
library that a convention is named after; what is here needs none of them.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from restoration.config import nearest
from restoration.errors import RequestError
from restoration.image import quantise
from restoration.losses.colour import luma
from restoration.losses.separable import Taps, filtered, gaussian

K1, K2 = 0.01, 0.03  # of SSIM, for images in [0, 1]
FULL = (0.299, 0.587, 0.114)  # Y of YIQ: BT.601 luma over the full range
POOLED = 256  # pixels that piq's average pooling brings the shorter side to, about
WINDOWS: dict[str, Taps] = {"gaussian-11": gaussian(11, 1.5), "uniform-7": (1 / 7,) * 7}

Colour = Literal["studio", "swapped", "full", "rgb"]


@dataclass(frozen=True)
class Convention:
    """All that a value depends on beside the two images, which are of 8 bits for every convention.

    ``colour`` is "studio" (BT.601 luma from 16 to 235, MATLAB's rgb2ycbcr), "swapped" (the same with red and blue
    exchanged), "full" (luma from 0 to 255, as in YIQ) or "rgb"; one-channel images are looked at as they are.
    ``rounded`` luma is rounded to 8 bits; ``border`` says whether the protocol's border is left out; ``floor`` is
    added to the mean squared error. ``pooled`` images are averaged over squares first, to about 256 pixels;
    ``mirrored`` windows reach beyond the border; ``sample`` covariances divide by n − 1; a ``clipped`` contrast and
    structure term counts as 0 below 0. ``dtype`` is what the library computes in; we compute in float64.
    """

    name: str
    measure: Literal["psnr", "ssim"]
    library: str  # what pip installs; empty where there is nothing to call
    words: str
    colour: Colour = "rgb"
    rounded: bool = False
    border: bool = False
    floor: float = 0.0
    window: Literal["gaussian-11", "uniform-7"] = "gaussian-11"
    pooled: bool = False
    mirrored: bool = False
    sample: bool = False
    clipped: bool = False
    dtype: Literal["float32", "float64"] = "float32"

    @property
    def metric(self) -> str:
        """Return the metric whose unit, range and digits the values have."""
        return f"{self.measure}-{'rgb' if self.colour == 'rgb' else 'y'}"

    @property
    def smallest(self) -> int:
        """Return how many pixels the shorter side must have."""
        return len(WINDOWS[self.window]) if self.measure == "ssim" else 1

    def described(self, border: int, dtype: str) -> str:
        """Return the convention as a row of results names it."""
        lumas = {"studio": "y", "swapped": "y-of-bgr", "full": "y-of-yiq"}
        plane = lumas.get(self.colour, "rgb")
        if self.colour != "rgb":
            plane += "-uint8" if self.rounded else "-float"
        parts = [plane, f"border={border if self.border else 0}", "uint8-output"]
        if self.measure == "ssim":
            parts += [self.window, "mirrored" if self.mirrored else "valid"]
            parts += [word for word in ("pooled", "sample", "clipped") if getattr(self, word)]
        elif self.floor:
            parts.append(f"mse+{self.floor:g}")
        return ",".join([*parts, dtype])


def _sr(name: str, library: str, words: str, **how: object) -> list[Convention]:
    """Return PSNR and SSIM of luma without the border, as super-resolution papers measure them."""
    how = {"colour": "studio", "border": True, "dtype": "float64"} | how
    return [Convention(name, measure, library, words, **how) for measure in ("psnr", "ssim")]  # type: ignore[arg-type]


CONVENTIONS: tuple[Convention, ...] = (
    *_sr("matlab", "", "what super-resolution papers print: BT.601 luma, not rounded, border = scale"),
    *_sr("matlab-uint8", "", "the same with luma rounded, as rgb2ycbcr of uint8 images gives it", rounded=True),
    *_sr("basicsr", "basicsr", "calculate_psnr and calculate_ssim of BGR images, test_y_channel=True"),
    *_sr("basicsr-swapped", "basicsr", "a mistake often made: RGB given to them as BGR", colour="swapped"),
    Convention("pyiqa", "psnr", "pyiqa", "psnry: YIQ luma, no border (licence: no commercial use)", "full", floor=1e-8),
    Convention("pyiqa-rgb", "psnr", "pyiqa", "psnr: the three colours (licence: no commercial use)", floor=1e-8),
    Convention(
        "pyiqa", "ssim", "pyiqa", "ssim: YIQ luma, rounded (licence: no commercial use)", "full", rounded=True,
        clipped=True, dtype="float64",
    ),
    Convention(
        "pyiqa-ycbcr", "ssim", "pyiqa", "ssim with color_space='ycbcr' (licence: no commercial use)", "studio",
        rounded=True, clipped=True, dtype="float64",
    ),
    Convention("piq", "psnr", "piq", "psnr: the three colours", floor=1e-8),
    Convention("piq-grey", "psnr", "piq", "psnr with convert_to_greyscale=True: YIQ luma", "full", floor=1e-8),
    Convention("piq", "ssim", "piq", "ssim: averaged over squares down to about 256 pixels first", pooled=True),
    Convention("piq-full-size", "ssim", "piq", "ssim with downsample=False"),
    Convention("torchmetrics", "psnr", "torchmetrics", "peak_signal_noise_ratio with data_range=1"),
    Convention(
        "torchmetrics", "ssim", "torchmetrics", "structural_similarity_index_measure: the mirrored border counts",
        mirrored=True,
    ),
    Convention("kornia", "psnr", "kornia", "metrics.psnr of the three colours"),
    Convention("kornia", "ssim", "kornia", "metrics.ssim, window 11: the mirrored border counts", mirrored=True),
    Convention("scikit-image", "psnr", "scikit-image", "peak_signal_noise_ratio of uint8 arrays", dtype="float64"),
    Convention(
        "scikit-image", "ssim", "scikit-image", "structural_similarity: 7×7 means, covariances over n − 1",
        window="uniform-7", sample=True, dtype="float64",
    ),
    Convention(
        "scikit-image-gaussian", "ssim", "scikit-image",
        "gaussian_weights=True, sigma=1.5, use_sample_covariance=False", dtype="float64",
    ),
)  # fmt: skip


def chosen(names: str) -> tuple[Convention, ...]:
    """Return the conventions of a comma-separated list; "all" are all of them, in the table's order."""
    wanted = [name.strip() for name in names.split(",")]
    known = list(dict.fromkeys(convention.name for convention in CONVENTIONS))
    for name in wanted:
        if name not in (*known, "all"):
            raise RequestError(
                f"--conventions {names}: unknown convention '{name}'{nearest(name, [*known, 'all'])}; "
                f"expected all or some of {', '.join(known)}"
            )
    return tuple(c for c in CONVENTIONS if "all" in wanted or c.name in wanted)


def convention_lines() -> dict[str, str]:
    """Return every convention by name, in one line each."""
    lines: dict[str, str] = {}
    for name in dict.fromkeys(c.name for c in CONVENTIONS):
        own = [c for c in CONVENTIONS if c.name == name]
        words = " / ".join(dict.fromkeys(c.words for c in own))
        lines[name] = f"{' and '.join(c.measure for c in own)}: {words}"
    return lines


def page_table() -> str:
    """Return all conventions as the Markdown table of ``docs/conventions.md``."""
    lumas = {
        "studio": "BT.601, 16 to 235",
        "swapped": "the same of BGR",
        "full": "YIQ, 0 to 255",
        "rgb": "none",
    }
    head = ("convention", "measure", "library", "luma", "luma rounded", "border", "error +", "SSIM window")
    rows = [(*head, "border mirrored", "covariance", "contrast < 0", "averaged first", "dtype", "in words")]
    rows.append(("---",) * len(rows[0]))
    for c in CONVENTIONS:
        ssim = c.measure == "ssim"
        rows.append((
            c.name, c.measure, c.library or "–", lumas[c.colour], "to 8 bits" if c.rounded else "no",
            "the protocol's" if c.border else "0", f"{c.floor:g}" if c.floor else "0", c.window if ssim else "–",
            ("yes" if c.mirrored else "no") if ssim else "–", ("n − 1" if c.sample else "n") if ssim else "–",
            ("0" if c.clipped else "counts") if ssim else "–", f"to {POOLED}" if c.pooled else "no", c.dtype, c.words,
        ))  # fmt: skip
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def measured(convention: Convention, restored: Tensor, clean: Tensor, border: int = 0) -> float:
    """Return the value of two images of 8 bits, (1, C, H, W) in [0, 1], by our own code in float64.

    Equal images have an infinite PSNR where the convention adds nothing to the error.
    """
    edge = border if convention.border else 0
    pair = [_seen(image.double(), convention) for image in (restored, clean)]
    ours, truth = (image[..., edge : -edge or None, edge : -edge or None] for image in pair)
    if convention.measure == "ssim":
        return _similarity(ours, truth, convention)
    error = (ours - truth).square().mean().item() + convention.floor
    return -10 * math.log10(error) if error else math.inf


def complaint(convention: Convention, image: Tensor, border: int = 0) -> str:
    """Return why an image is too small for a convention, or nothing."""
    side = min(image.shape[-2:]) - 2 * (border if convention.border else 0)
    smallest = convention.smallest
    return "" if side >= smallest else f"the shorter side has {side} pixels; expected at least {smallest}"


def _seen(image: Tensor, convention: Convention) -> Tensor:
    """Return the planes that are compared."""
    if image.shape[1] == 1 or convention.colour == "rgb":
        return image
    if convention.colour == "full":
        weights = torch.tensor(FULL, dtype=image.dtype)[None, :, None, None]
        plane = (image * weights).sum(1, keepdim=True)
    else:
        plane = luma(image.flip(1) if convention.colour == "swapped" else image)
    return quantise(plane) if convention.rounded else plane


def _similarity(restored: Tensor, clean: Tensor, convention: Convention) -> float:
    """Return mean (2μₓμᵧ + C₁)(2σₓᵧ + C₂) / ((μₓ² + μᵧ² + C₁)(σₓ² + σᵧ² + C₂)) (Wang et al., 2004, eq. 13)."""
    taps = WINDOWS[convention.window]
    factor = max(1, round(min(clean.shape[-2:]) / POOLED)) if convention.pooled else 1
    if factor > 1:
        restored, clean = avg_pool2d(restored, factor), avg_pool2d(clean, factor)

    def mean(image: Tensor) -> Tensor:
        return filtered(image, taps, mirrored=convention.mirrored)

    n = len(taps) ** 2
    scale = n / (n - 1) if convention.sample else 1.0
    x, y = mean(restored), mean(clean)
    variances = scale * (mean(restored.square()) - x.square() + mean(clean.square()) - y.square())
    covariance = scale * (mean(restored * clean) - x * y)
    contrast = (2 * covariance + K2**2) / (variances + K2**2)
    if convention.clipped:
        contrast = contrast.clamp(min=0)
    return ((2 * x * y + K1**2) / (x.square() + y.square() + K1**2) * contrast).mean().item()


if __name__ == "__main__":
    print(page_table())
