"""Degraded, restored and clean crops beside each other, to look at while a run goes on."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from restoration.image import quantise, write_image
from restoration.method import Batch

GAP = 4  # white pixels between pictures


def write_preview(path: Path, restorer: nn.Module, batch: Batch) -> None:
    """Write one row per image of the batch: degraded (enlarged by repetition), restored, clean."""
    device = next(restorer.parameters()).device
    with torch.inference_mode():
        restored = restorer(batch.degraded.to(device)).cpu()
    size = batch.clean.shape[-2:]
    degraded = functional.interpolate(batch.degraded, size=size, mode="nearest-exact")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(path, quantise(_sheet([degraded, restored, batch.clean])))


def _sheet(columns: list[Tensor]) -> Tensor:
    """Return images (N, C, H, W) of every column in a grid, one row for each n."""
    padded = [functional.pad(column, (0, GAP, 0, GAP), value=1.0) for column in columns]
    rows = [torch.cat([column[n] for column in padded], -1) for n in range(len(columns[0]))]
    return torch.cat(rows, -2)[None, :, :-GAP, :-GAP]
