"""Naturalness without a reference: how far an image's statistics are from those of natural photographs."""

import importlib.util
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from restoration.benchmarks.metrics.metric import Metric
from restoration.degradations.resize import resize
from restoration.errors import WeightsError

BLOCK = 96  # pixels of the side of a block at full size; half at half size
SIGMA, REACH = 7 / 6, 3  # of the Gaussian window of local means, and its pixels to either side
SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))  # of neighbours whose products are looked at
SHAPES = torch.arange(200, 10_001, dtype=torch.float64) / 1000  # of generalised Gaussians
FLAT = 1e-8  # levels: smaller differences from a local mean are rounding
FITTED = "niqe_pris_params.npz"


class Niqe(Metric):
    """NIQE (Mittal et al., 2013) of studio-swing luma rounded to 8 bits, its authors' model; lower is better."""

    better = "lower"
    reference = False
    kind = "alone"
    places = 3
    rough = 3
    floor = 0.0
    smallest = 2 * BLOCK
    makes = "y-uint8"
    convention = "luma rounded to 8 bits, its authors' model of natural photographs"

    def __init__(self) -> None:
        self.mean, self.covariance = natural()

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the distance of each image's statistics from natural ones; ``clean`` is not looked at."""
        return torch.stack([self._distance(image) for image in restored.double()])

    def _distance(self, image: Tensor) -> Tensor:
        luma = (255 * image[None]).round()
        rows, columns = (side // BLOCK * BLOCK for side in luma.shape[-2:])
        luma = luma[..., :rows, :columns]
        features = torch.cat(
            [
                block_features(luma, BLOCK),
                block_features(255 * resize(luma / 255, scale=0.5), BLOCK // 2),
            ],
            1,
        )
        whole = features[~features.isnan().any(1)]
        away = self.mean - torch.nanmean(features, 0)
        spread = torch.linalg.pinv((self.covariance + whole.T.cov()) / 2)
        return (away @ spread @ away).sqrt()


def block_features(luma: Tensor, side: int) -> Tensor:
    """Return 18 statistics of each block of ``side``² pixels of luma, (1, 1, H, W) in [0, 255]: (blocks, 18)."""
    flat = normalised(luma)[0, 0]
    rows, columns = (n // side for n in flat.shape)
    blocks = flat.view(rows, side, columns, side).transpose(1, 2).reshape(-1, side, side)
    shape, left, right, _ = asymmetric(blocks)
    found = [shape, (left + right) / 2]
    for shift in SHIFTS:
        shape, left, right, mean = asymmetric(blocks * blocks.roll(shift, (1, 2)))
        found += [shape, mean, left, right]
    return torch.stack(found, 1)


def normalised(luma: Tensor) -> Tensor:
    """Return luma less its local mean, over its local deviation + 1 (7×7 Gaussian, σ 7/6, edge pixels repeated).

    Where luma is flat the result is 0; elsewhere rounding is taken for texture there, and decides the value.
    """
    place = torch.arange(-REACH, REACH + 1, dtype=luma.dtype)
    line = torch.exp(-(place**2) / (2 * SIGMA**2))
    window = torch.outer(line, line) / line.sum() ** 2

    def local(image: Tensor) -> Tensor:
        return functional.conv2d(functional.pad(image, [REACH] * 4, mode="replicate"), window[None, None])

    mean = local(luma)
    deviation = (local(luma**2) - mean**2).abs().sqrt()
    away = luma - mean
    return torch.where(away.abs() < FLAT, 0.0, away) / (deviation + 1)


def asymmetric(blocks: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return shape, left scale, right scale and mean of an asymmetric generalised Gaussian fitted to each block.

    Lasmar, Stitou & Berthoumieu, 2009: by moments, the shape to a thousandth.
    """
    values = blocks.flatten(1)
    below, above = values < 0, values > 0
    squares = values**2
    left = ((squares * below).sum(1) / below.sum(1)).sqrt()
    right = ((squares * above).sum(1) / above.sum(1)).sqrt()
    skew = left / right
    ratio = values.abs().mean(1) ** 2 / squares.mean(1)
    wanted = ratio * (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    one, two, three = (torch.lgamma(k / SHAPES) for k in (1, 2, 3))
    ratios = torch.exp(2 * two - one - three)
    nearest = ((ratios - wanted[:, None]) ** 2).argmin(1)
    spread = torch.exp((one - three) / 2)[nearest]
    scale = torch.exp(two - one)[nearest]
    left, right = left * spread, right * spread
    return SHAPES[nearest], left, right, (right - left) * scale


@lru_cache(maxsize=1)
def natural() -> tuple[Tensor, Tensor]:
    """Return mean (36,) and covariance (36, 36) that the authors fitted to natural photographs, from basicsr's file."""
    found = importlib.util.find_spec("basicsr")
    file = Path(found.origin or "").parent / "metrics" / FITTED if found else None
    if file is None or not file.is_file():
        raise WeightsError(
            f"{FITTED} is not here, the model of natural photographs; it comes with basicsr: "
            'pip install "restoration-suite[basicsr]"'
        )
    with np.load(file) as fitted:
        mean, covariance = fitted["mu_pris_param"].ravel(), fitted["cov_pris_param"]
    return torch.from_numpy(mean).double(), torch.from_numpy(covariance).double()
