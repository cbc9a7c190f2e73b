"""pyiqa's metrics by the name ``pyiqa:NAME``, where the user has installed it; it is not a part of this package.

Its licence (PolyForm Noncommercial 1.0.0, parts S-Lab 1.0) stands in every row's convention. Nothing imports it before
one of its metrics is asked for, and it is asked for no files that are not here by anything but its own rules.
"""

import importlib.util
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import torch
from torch import Tensor

from restoration.benchmarks.metrics.metric import Metric
from restoration.config import nearest
from restoration.errors import WeightsError

PREFIX = "pyiqa:"
LICENCE = "PolyForm-Noncommercial-1.0.0 and S-Lab-1.0"
# directions by which rows of others' results are read where pyiqa is not installed; else it says so itself
LOWER = (
    "brisque", "dists", "fid", "gmsd", "ilniqe", "lpips", "mad", "niqe", "pi", "pieapp", "piqe", "stlpips",
)  # fmt: skip


class Foreign(Metric):
    """A metric that pyiqa computes, of float32 colour images at their own size; under pyiqa's licence."""

    plane = "rgb"
    name = ""

    def __init__(self) -> None:
        if importlib.util.find_spec("pyiqa") is None:
            what = f"{PREFIX}{self.name} is computed by pyiqa ({LICENCE})"
            raise WeightsError(f"{what}, which is not here: pip install pyiqa")
        import pyiqa

        if self.name not in pyiqa.list_models():
            raise WeightsError(
                f"{PREFIX}{self.name}: pyiqa has no such metric{nearest(self.name, pyiqa.list_models())}"
            )
        try:
            self.network = pyiqa.create_metric(self.name, device="cpu")
        except (OSError, RuntimeError) as error:  # its weights are not here, nor to be had
            raise WeightsError(f"{PREFIX}{self.name}: {' '.join(str(error).split())}") from None

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return what pyiqa says of each image."""
        with torch.no_grad():
            images = [restored.float(), clean.float()] if self.reference else [restored.float()]
            return self.network(*images).flatten().to(restored.dtype)


@cache
def foreign(name: str) -> type[Metric]:
    """Return the class of ``pyiqa:NAME``; making one of it needs pyiqa, reading a result that has one does not."""
    bare = name.removeprefix(PREFIX)
    known = _known(bare)
    alone = known.get("metric_mode") == "NR"
    lower = bool(known.get("lower_better", bare.split("-")[0] in LOWER or bare in LOWER))
    facts = {
        "__doc__": f"{bare} as pyiqa computes it, under pyiqa's licence; {'lower' if lower else 'higher'} is better.",
        "name": bare,
        "better": "lower" if lower else "higher",
        "reference": not alone,
        "kind": "alone" if alone else "pair",
        "convention": f"pyiqa {_version()}, licence {LICENCE}",
    }
    return type("Foreign", (Foreign,), facts)


def _known(name: str) -> dict[str, object]:
    """Return what pyiqa says of a metric, nothing where it is not installed or does not know it."""
    if importlib.util.find_spec("pyiqa") is None:
        return {}
    from pyiqa.default_model_configs import DEFAULT_CONFIGS

    return dict(DEFAULT_CONFIGS.get(name, {}))


def _version() -> str:
    try:
        return version("pyiqa")
    except PackageNotFoundError:
        return "not installed"
