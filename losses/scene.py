"""Terms that look at more of the scene than the clean image: its reflection, and the degraded image."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.linalg import vector_norm
from torch.nn.functional import avg_pool2d, interpolate

from restoration.losses.checks import one_of
from restoration.losses.loss import Pointwise, large_enough, size_of
from restoration.losses.pixel import L1, L2, Charbonnier
from restoration.losses.term import Pair, Partless

FLAT = 1e-6  # the least size of a gradient that is divided by: layers without edges have a slope
ROOTED = 1e-16  # the least number of which the fourth root has a slope
DISTANCES: dict[str, type[Pointwise]] = {"charbonnier": Charbonnier, "l1": L1, "l2": L2}


@dataclass(frozen=True)
class Exclusion(Partless):
    """Edges that the restored image T and the reflection R share, over ``scales`` scales, each half of the one before.

    ``form`` = "paper": ``Σₙ ‖tanh(λ_T |∇T|) ⊙ tanh(λ_R |∇R|)‖``, ``λ_T = √(‖∇R‖/‖∇T‖)``, ``λ_R = 1/λ_T`` (Zhang, Ng &
    Chen, 2018, eq. 5), ∇ both differences of neighbours and ‖·‖ the root mean square instead of the root of the sum,
    so that the value does not grow with the image. "released" is what their code computes, ``meanₙ (mean tanh²(∇T/2)
    tanh²(λ∇R/2))^¼`` with ``λ = 2 mean|∇T| / mean|∇R|`` for either direction, added; what stands under the root is at
    least 1e-16, because the root's slope at 0 is infinite.
    R is the batch's layer "reflection"; of batches without one, degraded − restored, through which gradients flow too.
    """

    minimum_size: ClassVar[int] = 5

    scales: int = 3
    form: Literal["paper", "released"] = "paper"

    def __post_init__(self) -> None:
        if self.scales < 1:
            raise ValueError(f"scales = {self.scales}; expected at least 1")
        one_of("form", self.form, ("paper", "released"))

    def of_restored(self, restored: Tensor, batch: Pair) -> Tensor:
        """Return how far the two images share edges: (N,)."""
        # halving rounds up, and the last scale needs two pixels for a difference
        large_enough(restored, 2 ** (self.scales - 1) + 1, "exclusion")
        other = _reflection(restored, batch)
        shared = _shared_edges if self.form == "paper" else _shared_edges_as_released
        total = shared(restored, other)
        for _ in range(self.scales - 1):
            restored, other = _half(restored), _half(other)
            total = total + shared(restored, other)
        return total if self.form == "paper" else total / self.scales


@dataclass(frozen=True)
class Consistency(Partless):
    """``distance(restored ↓, degraded)``: does the restored image, made as small as the degraded one, look like it?

    ↓ is the antialiased bicubic reduction (Keys, 1981, a = −½) by the ratio of the sizes; at equal sizes it is nothing.
    """

    distance: Literal["l1", "l2", "charbonnier"] = "l1"

    def __post_init__(self) -> None:
        one_of("distance", self.distance, DISTANCES)

    def of_restored(self, restored: Tensor, batch: Pair) -> Tensor:
        """Return the distance of each image: (N,)."""
        return DISTANCES[self.distance]()(_reduced(restored, batch.degraded), batch.degraded)


def _reduced(restored: Tensor, degraded: Tensor) -> Tensor:
    """Return the restored image at the size of the degraded one."""
    (height, width), (low, narrow) = restored.shape[-2:], degraded.shape[-2:]
    if restored.shape == degraded.shape:
        return restored
    one_ratio = height * narrow == width * low and low <= height
    if restored.shape[:2] != degraded.shape[:2] or not one_ratio:
        raise ValueError(
            f"consistency: restored is {size_of(restored)} but degraded is {size_of(degraded)}; "
            "expected it to be as large or smaller, by one ratio"
        )
    return interpolate(restored, size=(low, narrow), mode="bicubic", align_corners=False, antialias=True)


def _reflection(restored: Tensor, batch: Pair) -> Tensor:
    """Return the reflection layer, or what the restorer took out of the degraded image."""
    if "reflection" in batch.layers:
        layer = batch.layers["reflection"]
        if layer.shape != restored.shape:
            raise ValueError(
                f"exclusion: the reflection is {size_of(layer)} but restored is {size_of(restored)}; "
                "expected equal sizes"
            )
        return layer
    if batch.degraded.shape != restored.shape:
        raise ValueError(
            f"exclusion: degraded is {size_of(batch.degraded)} but restored is {size_of(restored)}; "
            "expected equal sizes, or a layer 'reflection'"
        )
    return batch.degraded - restored


def _shared_edges(transmission: Tensor, reflection: Tensor) -> Tensor:
    """Return ``‖tanh(λ_T |∇T|) ⊙ tanh(λ_R |∇R|)‖`` of each image: (N,)."""
    ours = torch.cat([g.flatten(1) for g in _gradients(transmission)], 1).abs()
    others = torch.cat([g.flatten(1) for g in _gradients(reflection)], 1).abs()
    balance = (_norm(others).clamp(min=FLAT) / _norm(ours).clamp(min=FLAT)).sqrt().unsqueeze(1)
    return _norm((balance * ours).tanh() * (others / balance).tanh())


def _shared_edges_as_released(transmission: Tensor, reflection: Tensor) -> Tensor:
    """Return the fourth roots of both directions, added: (N,)."""
    total = transmission.new_zeros(len(transmission))
    for ours, others in zip(_gradients(transmission), _gradients(reflection), strict=True):
        ours, others = ours.flatten(1), others.flatten(1)
        balance = 2 * ours.abs().mean(1, keepdim=True) / others.abs().mean(1, keepdim=True).clamp(min=FLAT)
        shared = ((ours / 2).tanh() * (balance * others / 2).tanh()).square().mean(1)
        total = total + shared.clamp(min=ROOTED).pow(0.25)
    return total


def _gradients(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return the differences of neighbours, horizontal and vertical."""
    return image[..., 1:] - image[..., :-1], image[..., 1:, :] - image[..., :-1, :]


def _half(image: Tensor) -> Tensor:
    """Return the means of blocks of 2×2; those at an odd side's end have what there is."""
    return avg_pool2d(image, 2, ceil_mode=True, count_include_pad=False)


def _norm(values: Tensor) -> Tensor:
    """Return the root mean square of each row; it has no slope at 0."""
    return vector_norm(values, dim=1) / values.shape[1] ** 0.5
