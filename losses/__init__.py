"""Differentiable functions of one pair of images."""

from collections.abc import Callable

from torch import Tensor

from restoration.losses.pixel import L1, L2, Charbonnier
from restoration.losses.ssim import MsSsim, Ssim
from restoration.losses.stack import Term

Loss = Callable[[Tensor, Tensor], Tensor]

LOSSES: dict[str, Callable[..., Loss]] = {
    "charbonnier": Charbonnier,
    "l1": L1,
    "l2": L2,
    "ms-ssim": MsSsim,
    "ssim": Ssim,
}

# every pair function is a term; terms with parts of their own, or with other inputs, stand below
TERMS: dict[str, Callable[..., Loss | Term]] = {
    **LOSSES,
}
