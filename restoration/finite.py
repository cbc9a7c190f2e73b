"""What stops a run whose values are no longer finite, and says which term, which images and what is left."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from restoration import checkpoint, distributed
from restoration.errors import TrainingStopped

if TYPE_CHECKING:
    from restoration.train import Run


def stop_if_not_finite(run: "Run", step: int, logs: Mapping[str, Tensor]) -> None:
    """Raise when a logged value or gradient of ``step`` is not finite; name the term and the images."""
    values = distributed.mean(torch.stack([v.detach().float().reshape(()) for v in logs.values()]))
    if bool(torch.isfinite(values).all()):
        return
    found = dict(zip(logs, values.tolist(), strict=True))
    bad = next(name for name, value in found.items() if not math.isfinite(value))
    first = step * run.data.batch_size
    files = run.data.names([(run.data.seed, i) for i in range(first, first + run.data.batch_size)])
    saved = checkpoint.every(run.folder / "checkpoints")
    kept = f"the last good checkpoint is {saved[-1]}" if saved else "no checkpoint was written yet"
    terms = ", ".join(f"{name} {value:.6g}" for name, value in found.items())
    gradients = _gradients(run, step)
    message = f"step {step + 1}: '{bad}' is not finite; {kept}"
    raise TrainingStopped(
        f"{message}\n images: {', '.join(files)}\n values: {terms}\n gradients: {gradients}"
    )


def _gradients(run: "Run", step: int) -> str:
    """Return the norm of every term's gradient at the restored images of a step, largest over micro-batches."""
    found = [slopes() for (at, _), slopes in run.slopes.items() if at == step]
    if not found:
        return "not at hand"
    names = dict.fromkeys(name for slopes in found for name in slopes)
    worst = {name: distributed.mean(torch.stack([s[name] for s in found]).max()).item() for name in names}
    return ", ".join(f"{name} {value:.6g}" for name, value in worst.items())
