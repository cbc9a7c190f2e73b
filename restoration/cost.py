"""What a network costs: parameters, multiply-adds, and the memory that training it takes."""

import copy

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


def parameters(network: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(p.numel() for p in network.parameters())


def multiply_adds(network: nn.Module, channels: int = 3, side: int = 64) -> float:
    """Return the multiply-adds per input pixel, counted over convolutions, matrix products and attention.

    Counted on shapes alone at a ``side``² input; attention over the whole image makes the figure depend on it.
    """
    image = torch.empty(1, channels, side, side, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        _on_meta(network)(image)
    return counter.get_total_flops() / 2 / side**2


def training_bytes(
    network: nn.Module, degraded_shape: tuple[int, ...], bfloat16: bool, averaged: bool
) -> int:
    """Return about how many bytes a training step takes: weights, gradients, Adam's moments, average, activations.

    Where a step of training is not what restores, the network says so by ``as_trained``.

    Activations count twice: where the backward pass begins, gradients of the largest maps lie beside all that was kept.
    """
    network = getattr(network, "as_trained", lambda: network)()
    saved: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage()._cdata] = tensor  # kept, so that no storage's address is used twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda t: t):
        output = _on_meta(network).train()(torch.empty(degraded_shape, device="meta"))
    activations = sum(t.numel() * t.element_size() for t in [*saved.values(), output])
    copies = 4 + averaged
    return 4 * copies * parameters(network) + 2 * activations // (2 if bfloat16 else 1)


def _on_meta(network: nn.Module) -> nn.Module:
    return copy.deepcopy(network).to("meta")
