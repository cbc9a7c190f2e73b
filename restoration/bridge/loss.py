"""A pair loss of BasicSR's kind behind this project's contract: one number per image."""

import inspect

import torch
from torch import Tensor, nn

from restoration.losses.loss import Loss, per_image, same_shape

UNARY = ("mask", "weight", "weights")  # a second argument of these names is no image to compare with


class BridgedLoss(Loss):
    """``module(restored, clean)`` of each image, as the class computes it, its own ``loss_weight`` included.

    Where the class can leave its values unreduced they are averaged over each image; otherwise it is called with one
    image at a time. What it holds learns nothing.
    """

    value_range = "what its class says"

    def __init__(self, module: nn.Module, name: str) -> None:
        parameters = list(inspect.signature(module.forward).parameters.values())
        positional = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        if len(positional) < 2 or positional[1].name in UNARY:
            raise ValueError(f"{name} does not compare a restored with a clean image")
        if needed := [p.name for p in positional[2:] if p.default is p.empty]:
            raise ValueError(f"{name} asks for more than a pair of images: {', '.join(needed)}")
        self.name = name
        self.module = module.requires_grad_(False).eval()
        self.at_once = getattr(module, "reduction", None) == "none"

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the loss of each image: (N,)."""
        same_shape(restored, clean)
        self.module.to(restored.device)
        if self.at_once:
            values = self._summed(self.module(restored, clean))
            if values.ndim and values.shape[0] == restored.shape[0]:
                return per_image(values) if values.ndim > 1 else values
        pairs = zip(restored.split(1), clean.split(1), strict=True)
        return torch.cat([self._summed(self.module(*pair)).mean().reshape(1) for pair in pairs])

    def _summed(self, value: object) -> Tensor:
        """Return the value; of several, as BasicSR's perceptual losses give, the sum of those that are not None."""
        values = [v for v in (value if isinstance(value, tuple) else (value,)) if v is not None]
        if not values or not all(isinstance(v, Tensor) for v in values):
            raise ValueError(f"{self.name} returned {type(value).__name__}; expected a tensor")
        return sum(values[1:], values[0])
