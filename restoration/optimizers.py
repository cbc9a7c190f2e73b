"""Optimisers by name; each makes the torch optimisers of one module."""

from dataclasses import dataclass
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Natural = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma & Ba, 2015)."""

    lr: Positive = 1e-3
    betas: tuple[Share, Share] = (0.9, 0.999)
    eps: Positive = 1e-8

    def over(self, module: nn.Module) -> list[torch.optim.Optimizer]:
        """Return the optimiser of all of the module's parameters."""
        return [torch.optim.Adam(list(module.parameters()), lr=self.lr, betas=self.betas, eps=self.eps)]


@dataclass(frozen=True)
class AdamW:
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2019)."""

    lr: Positive = 1e-3
    betas: tuple[Share, Share] = (0.9, 0.999)
    eps: Positive = 1e-8
    weight_decay: Natural = 0.0

    def over(self, module: nn.Module) -> list[torch.optim.Optimizer]:
        """Return the optimiser of all of the module's parameters."""
        options = {"lr": self.lr, "betas": self.betas, "eps": self.eps, "weight_decay": self.weight_decay}
        return [torch.optim.AdamW(list(module.parameters()), **options)]


@dataclass(frozen=True)
class Muon:
    """Muon (Jordan et al., 2024) for every kernel and matrix, AdamW for the rest.

    A convolution's kernel is orthogonalised as the matrix (out, in·k·k). The update is scaled to AdamW's usual size
    (Liu et al., 2025: 0.2·√max(rows, columns)), so that one ``lr`` serves both.
    """

    lr: Positive = 1e-3
    momentum: Share = 0.95
    weight_decay: Natural = 0.0
    betas: tuple[Share, Share] = (0.9, 0.999)
    eps: Positive = 1e-8

    def over(self, module: nn.Module) -> list[torch.optim.Optimizer]:
        """Return Muon over kernels and matrices and AdamW over the rest, scales and position tables included."""
        kernels = [p for p in module.parameters() if _is_kernel(p)]
        rest = [p for p in module.parameters() if not _is_kernel(p)]
        optimizers: list[torch.optim.Optimizer] = []
        if kernels:
            optimizers.append(
                KernelMuon(kernels, lr=self.lr, momentum=self.momentum, weight_decay=self.weight_decay)
            )
        if rest:
            optimizers.append(
                torch.optim.AdamW(rest, lr=self.lr, betas=self.betas, eps=self.eps, weight_decay=0.0)
            )
        return optimizers


class KernelMuon(torch.optim.Muon):
    """torch's Muon, which takes matrices only, over kernels of any shape through their (out, rest) view."""

    def __init__(self, kernels: list[nn.Parameter], lr: float, momentum: float, weight_decay: float) -> None:
        self.kernels = kernels
        matrices = [nn.Parameter(_matrix(kernel.detach())) for kernel in kernels]
        options: dict[str, Any] = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__(matrices, adjust_lr_fn="match_rms_adamw", **options)

    def step(self, closure: None = None) -> None:
        """Step the matrices, which share their memory with the kernels."""
        for kernel, matrix in zip(self.kernels, self.param_groups[0]["params"], strict=True):
            matrix.grad = None if kernel.grad is None else _as_stored(kernel.grad, kernel)
        super().step(closure)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the kernels' gradients with the matrices'."""
        super().zero_grad(set_to_none)
        for kernel in self.kernels:
            kernel.grad = None


def _is_kernel(parameter: nn.Parameter) -> bool:
    return parameter.ndim >= 2 and parameter.shape[0] > 1 and parameter[0].numel() > 1


def _matrix(kernel: Tensor) -> Tensor:
    """Return the (out, rest) view of the kernel's own memory; columns stand as they are stored.

    The order of columns does not matter: orthogonalisation commutes with permuting them.
    """
    if kernel.ndim == 4 and not kernel.is_contiguous():
        kernel = kernel.permute(0, 2, 3, 1)
    return kernel.view(kernel.shape[0], -1)


def _as_stored(gradient: Tensor, kernel: Tensor) -> Tensor:
    if kernel.ndim == 4 and not kernel.is_contiguous():
        return gradient.permute(0, 2, 3, 1).reshape(kernel.shape[0], -1)
    return gradient.reshape(kernel.shape[0], -1)


OPTIMIZERS = {
    "adam": Adam,
    "adamw": AdamW,
    "muon": Muon,
}
