"""Metrics by the names that protocols and commands use; each value is computed in one place."""

from restoration.benchmarks.metrics.colour import DeltaE2000
from restoration.benchmarks.metrics.features import Dists, LpipsAlex, LpipsVgg
from restoration.benchmarks.metrics.fidelity import MsSsim, PsnrRgb, PsnrY, SsimRgb, SsimY
from restoration.benchmarks.metrics.metric import Metric
from restoration.benchmarks.metrics.natural import Niqe
from restoration.benchmarks.metrics.similarities import Fsim, Gmsd, Haarpsi, Mdsi, Vif
from restoration.benchmarks.metrics.statistics import (
    GradientHistogram,
    HighFrequencyRatio,
    RadialSpectrumError,
    SlicedWasserstein,
)

__all__ = ["METRICS", "Metric"]

METRICS: dict[str, type[Metric]] = {
    "delta-e-2000": DeltaE2000,
    "dists": Dists,
    "fsim": Fsim,
    "gmsd": Gmsd,
    "gradient-histogram": GradientHistogram,
    "haarpsi": Haarpsi,
    "high-frequency-ratio": HighFrequencyRatio,
    "lpips-alex": LpipsAlex,
    "lpips-vgg": LpipsVgg,
    "mdsi": Mdsi,
    "ms-ssim": MsSsim,
    "niqe": Niqe,
    "psnr-rgb": PsnrRgb,
    "psnr-y": PsnrY,
    "radial-spectrum-error": RadialSpectrumError,
    "sliced-wasserstein": SlicedWasserstein,
    "ssim-rgb": SsimRgb,
    "ssim-y": SsimY,
    "vif": Vif,
}
