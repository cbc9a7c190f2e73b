"""The libraries that conventions are named after, each called as its own documentation shows."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from restoration.benchmarks.conventions import Convention, complaint, measured
from restoration.benchmarks.peers import basicsr, peer
from restoration.benchmarks.scores import Score
from restoration.config import MISFIT
from restoration.errors import RequestError
from restoration.image import to_samples

MODULES = {
    "kornia": "kornia.metrics",
    "piq": "piq",
    "pyiqa": "pyiqa",
    "scikit-image": "skimage.metrics",
    "torchmetrics": "torchmetrics.functional.image",
}
EQUAL = "the images are equal: an infinite value by this convention"
OURS = "ours"


@dataclass(frozen=True)
class Measurer:
    """A convention, and who computes it: a library with its version, or "ours" and why."""

    convention: Convention
    by: str
    remark: str = ""

    def described(self, border: int) -> str:
        """Return the convention as a row names it; values of different origin are not of one convention."""
        dtype = "float64" if self.by == OURS else self.convention.dtype
        origin = OURS if self.by == OURS else f"by {self.convention.library}"
        return f"{self.convention.name}: {self.convention.described(border, dtype)}; {origin}"

    def __call__(self, restored: Tensor, clean: Tensor, border: int = 0) -> Score:
        """Return the value of two images (1, C, H, W) in [0, 1] of 8 bits, or the reason why there is none."""
        if not torch.isfinite(restored).all():
            return "the restored image holds values that are not finite"
        if problem := complaint(self.convention, clean, border):
            return problem
        compute = measured if self.by == OURS else by_library
        try:
            value = compute(self.convention, restored, clean, border)
        except MISFIT as error:  # of a library, which may refuse what it does not like in any of these ways
            return f"{self.by} refuses this pair: {error}"
        return EQUAL if math.isinf(value) else value


def measurer(convention: Convention) -> Measurer:
    """Return a convention with its library where that is installed and can be imported, else with our own code."""
    if not convention.library:
        return Measurer(convention, OURS, "there is no library to call")
    try:
        _module(convention.library)
        return Measurer(convention, f"{convention.library} {version(convention.library)}")
    except PackageNotFoundError:
        return Measurer(convention, OURS, _absent(convention.library))
    except RequestError as error:
        absent = not _installed(convention.library)
        return Measurer(convention, OURS, _absent(convention.library) if absent else str(error))
    except MISFIT as error:  # what a broken installation raises where it is imported
        return Measurer(convention, OURS, f"{convention.library} cannot be imported ({error})")


def by_library(convention: Convention, restored: Tensor, clean: Tensor, border: int = 0) -> float:
    """Return the value of two images (1, C, H, W) in [0, 1] of 8 bits as the library itself finds it."""
    library = _module(convention.library)
    return float(CALLS[convention.library](library, convention, restored, clean, border))


def _basicsr(
    library: ModuleType, convention: Convention, restored: Tensor, clean: Tensor, border: int
) -> float:
    """Return the value of OpenCV's order of colours, BGR, or of RGB that is given as such by mistake."""
    swapped = convention.colour == "swapped"
    pair = [to_samples(image) for image in (restored, clean)]
    pair = [np.ascontiguousarray(image if swapped else image[..., ::-1]) for image in pair]
    call = library.calculate_psnr if convention.measure == "psnr" else library.calculate_ssim
    return call(*pair, crop_border=border, test_y_channel=True)


def _kornia(
    library: ModuleType, convention: Convention, restored: Tensor, clean: Tensor, border: int
) -> float:
    pair = _tensors(convention, restored, clean)
    if convention.measure == "psnr":
        return library.psnr(*pair, 1.0).item()
    return library.ssim(*pair, 11).mean().item()


def _piq(library: ModuleType, convention: Convention, restored: Tensor, clean: Tensor, border: int) -> float:
    pair = _tensors(convention, restored, clean)
    if convention.measure == "psnr":
        return library.psnr(*pair, convert_to_greyscale=convention.colour == "full").item()
    return library.ssim(*pair, downsample=convention.pooled).item()


def _pyiqa(
    library: ModuleType, convention: Convention, restored: Tensor, clean: Tensor, border: int
) -> float:
    names = {"psnr": "psnr" if convention.colour == "rgb" else "psnry", "ssim": "ssim"}
    options = {"color_space": "ycbcr"} if convention.colour == "studio" else {}
    metric = _pyiqa_metric(library, names[convention.measure], **options)
    return metric(*(image.float() for image in (restored, clean))).item()


@lru_cache
def _pyiqa_metric(library: ModuleType, name: str, **options: str) -> Callable[..., Tensor]:
    return library.create_metric(name, device="cpu", **options)


def _scikit_image(
    library: ModuleType, convention: Convention, restored: Tensor, clean: Tensor, border: int
) -> float:
    ours, truth = (to_samples(image) for image in (restored, clean))
    if convention.measure == "psnr":
        with np.errstate(divide="ignore"):  # equal images
            return library.peak_signal_noise_ratio(truth, ours)
    gaussian = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    options = {} if convention.sample else gaussian
    return library.structural_similarity(truth, ours, channel_axis=2, **options)


def _torchmetrics(
    library: ModuleType, convention: Convention, restored: Tensor, clean: Tensor, border: int
) -> float:
    pair = _tensors(convention, restored, clean)
    if convention.measure == "psnr":
        return library.peak_signal_noise_ratio(*pair, data_range=1.0).item()
    return library.structural_similarity_index_measure(*pair, data_range=1.0).item()


CALLS: dict[str, Callable[[ModuleType, Convention, Tensor, Tensor, int], float]] = {
    "basicsr": _basicsr,
    "kornia": _kornia,
    "piq": _piq,
    "pyiqa": _pyiqa,
    "scikit-image": _scikit_image,
    "torchmetrics": _torchmetrics,
}


def _tensors(convention: Convention, *images: Tensor) -> list[Tensor]:
    return [image.to(getattr(torch, convention.dtype)) for image in images]


@lru_cache
def _module(library: str) -> ModuleType:
    if library == "basicsr":
        return basicsr("metrics.psnr_ssim")
    return peer(MODULES[library], library)


def _installed(library: str) -> bool:
    try:
        version(library)
    except PackageNotFoundError:
        return False
    return True


def _absent(library: str) -> str:
    extra = "restoration-suite[basicsr]" if library == "basicsr" else library
    return f"{library} is not installed: pip install {extra}"
