"""Metrics by the names that protocols and commands use; each value is computed in one place."""

from restoration.benchmarks.metrics.adapter import PREFIX, foreign
from restoration.benchmarks.metrics.colour import DeltaE2000
from restoration.benchmarks.metrics.consistency import Consistency, ConsistencyMax
from restoration.benchmarks.metrics.distributions import (
    Cmmd,
    FdDinov2,
    FdEfficientNet,
    Fid,
    Kid,
    KidDinov2,
    KidEfficientNet,
    PrecisionDinov2,
    PrecisionEfficientNet,
    PrecisionInception,
    RecallDinov2,
    RecallEfficientNet,
    RecallInception,
)
from restoration.benchmarks.metrics.features import Dists, LpipsAlex, LpipsSqueeze, LpipsVgg
from restoration.benchmarks.metrics.fidelity import MsSsim, MsSsimRgb, PsnrRgb, PsnrY, SsimRgb, SsimY
from restoration.benchmarks.metrics.frames import Flicker, WarpingError
from restoration.benchmarks.metrics.learned import Brisque, ClipIqa
from restoration.benchmarks.metrics.metric import Metric, Seen
from restoration.benchmarks.metrics.natural import Niqe
from restoration.benchmarks.metrics.patches import PatchMse, PatchW2
from restoration.benchmarks.metrics.regions import (
    PsnrRgbBoundary,
    PsnrRgbHole,
    PsnrYBoundary,
    PsnrYHole,
    SsimYBoundary,
    SsimYHole,
)
from restoration.benchmarks.metrics.shifts import (
    PsnrRgbShift,
    PsnrYShift,
    PsnrYShiftQuarter,
    SsimRgbShift,
    SsimYShift,
    SsimYShiftQuarter,
)
from restoration.benchmarks.metrics.similarities import Fsim, Gmsd, Haarpsi, Mdsi, Vif
from restoration.benchmarks.metrics.statistics import (
    GradientHistogram,
    HighFrequencyRatio,
    SlicedWasserstein,
    SpectrumError,
)

__all__ = ["METRICS", "Metric", "Seen"]


class Table(dict[str, type[Metric]]):
    """Metrics by name; ``pyiqa:NAME`` stands for whatever pyiqa calls NAME, though it is not listed."""

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or _is_foreign(name)

    def __missing__(self, name: str) -> type[Metric]:
        if _is_foreign(name):
            return foreign(name)
        raise KeyError(name)


def _is_foreign(name: object) -> bool:
    return isinstance(name, str) and name.startswith(PREFIX) and name != PREFIX


METRICS: dict[str, type[Metric]] = Table(
    {
        "brisque": Brisque,
        "clip-iqa": ClipIqa,
        "cmmd": Cmmd,
        "consistency": Consistency,
        "consistency-max": ConsistencyMax,
        "delta-e-2000": DeltaE2000,
        "dists": Dists,
        "fd-dinov2": FdDinov2,
        "fd-efficientnet-lite0": FdEfficientNet,
        "fid": Fid,
        "flicker": Flicker,
        "fsim": Fsim,
        "gmsd": Gmsd,
        "gradient-histogram": GradientHistogram,
        "haarpsi": Haarpsi,
        "high-frequency-ratio": HighFrequencyRatio,
        "kid": Kid,
        "kid-dinov2": KidDinov2,
        "kid-efficientnet-lite0": KidEfficientNet,
        "lpips-alex": LpipsAlex,
        "lpips-squeeze": LpipsSqueeze,
        "lpips-vgg": LpipsVgg,
        "mdsi": Mdsi,
        "ms-ssim": MsSsim,
        "ms-ssim-rgb": MsSsimRgb,
        "niqe": Niqe,
        "patch-mse": PatchMse,
        "patch-w2": PatchW2,
        "precision": PrecisionInception,
        "precision-dinov2": PrecisionDinov2,
        "precision-efficientnet-lite0": PrecisionEfficientNet,
        "psnr-rgb": PsnrRgb,
        "psnr-rgb-boundary": PsnrRgbBoundary,
        "psnr-rgb-hole": PsnrRgbHole,
        "psnr-rgb-shift": PsnrRgbShift,
        "psnr-y": PsnrY,
        "psnr-y-boundary": PsnrYBoundary,
        "psnr-y-hole": PsnrYHole,
        "psnr-y-shift": PsnrYShift,
        "psnr-y-shift-quarter": PsnrYShiftQuarter,
        "recall": RecallInception,
        "recall-dinov2": RecallDinov2,
        "recall-efficientnet-lite0": RecallEfficientNet,
        "sliced-wasserstein": SlicedWasserstein,
        "spectrum-error": SpectrumError,
        "ssim-rgb": SsimRgb,
        "ssim-rgb-shift": SsimRgbShift,
        "ssim-y": SsimY,
        "ssim-y-boundary": SsimYBoundary,
        "ssim-y-hole": SsimYHole,
        "ssim-y-shift": SsimYShift,
        "ssim-y-shift-quarter": SsimYShiftQuarter,
        "vif": Vif,
        "warping-error": WarpingError,
    }
)
