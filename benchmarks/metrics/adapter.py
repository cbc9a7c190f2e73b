"""pyiqa's metrics by the name ``pyiqa:NAME``, where the user has installed it; it is not a part of this package.

Its licence (PolyForm Noncommercial 1.0.0, parts S-Lab 1.0) stands in every row's convention. Nothing imports it before
one of its metrics is asked for. Weights that a metric needs it fetches by its own rules, the first time; where it
cannot, the metric has no value and says why.
"""

import importlib.util
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from threading import Lock

import torch
from torch import Tensor

from restoration.benchmarks.metrics.metric import Metric
from restoration.config import MISFIT, nearest
from restoration.errors import RestorationError, WeightsError

PREFIX = "pyiqa:"
ONE_AT_A_TIME = Lock()  # some of its networks keep what they find on themselves
LICENCE = "PolyForm-Noncommercial-1.0.0 and S-Lab-1.0"
OF_SETS = ("fid", "sfid", "inception_score")  # what has no value of one image
REFUSALS = (ImportError, OSError, *MISFIT)  # what pyiqa and the packages it calls raise
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
        if self.name.startswith(OF_SETS):
            raise WeightsError(f"{PREFIX}{self.name} compares sets of images: take fid, kid or precision")
        try:
            self.network = pyiqa.create_metric(self.name, device="cpu")
        except REFUSALS as error:  # its weights or a package of its own are not here, nor to be had
            raise WeightsError(f"{PREFIX}{self.name}: {_line(error)}") from None

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return what pyiqa says of each image."""
        images = [restored.float(), clean.float()] if self.reference else [restored.float()]
        try:
            with ONE_AT_A_TIME, torch.no_grad():
                value = self.network(*images)
        except REFUSALS as error:  # what it does not like of an image, such as its size
            raise RestorationError(f"pyiqa refuses this image: {_line(error)}") from None
        return value.flatten().to(restored.dtype)


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


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


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
