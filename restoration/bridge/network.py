"""An architecture of BasicSR's kind behind this project's contract: what it does to sizes is found by trying."""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from restoration.bridge.names import CHANNELS, SCALES
from restoration.networks.network import Network

MULTIPLES = (1, 2, 4, 6, 7, 8, 12, 14, 16, 20, 24, 28, 32, 48, 64, 96, 128)
CELLS = 5  # an odd number of multiples a side: no smaller multiple divides it by chance
LEAST = 40  # pixels a side: smaller images are too few for some borders and windows
MODEL = "model."
# what a network raises on sizes that it cannot take, and on tensors without values
MISFIT = (
    ArithmeticError,
    AssertionError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
)


class BridgedNetwork(Network):
    """A module whose keywords BasicSR's registry builds it with; its tensors keep their own names in files.

    ``scale`` is read from its keywords, else found by trying, as ``multiple`` is: the smallest number of which the
    sides of an image that it takes are multiples. ``receptive_field`` is not known.
    """

    def __init__(self, model: nn.Module, keywords: Mapping[str, Any], name: str) -> None:
        super().__init__()
        if not isinstance(model, nn.Module):
            raise ValueError(f"{name} is no network: {type(model).__name__}")
        self.model = model
        self.name = name
        self.channels = _given(keywords, CHANNELS) or 3
        self.batch_statistics = any(isinstance(m, _BatchNorm) for m in model.modules())
        said = _given(keywords, SCALES)
        self.multiple, found = _tried(model, self.channels)
        if said is None and found is None:
            found = _ran(model, self.channels, LEAST + 24)
        scale = found if said is None else said
        if scale is None:
            raise ValueError(f"{name}: has no scale among its keywords, and takes no image to find it with")
        if found not in (None, scale):
            raise ValueError(f"{name}: makes images {found} times as large; its keywords say {scale}")
        self.scale = scale
        self.register_state_dict_post_hook(_unwrap)
        self.register_load_state_dict_pre_hook(_wrap)

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the restored image, ``scale`` times as large."""
        restored = self.model(degraded)
        height, width = degraded.shape[-2:]
        expected = (height * self.scale, width * self.scale)
        if not isinstance(restored, Tensor) or tuple(restored.shape[-2:]) != expected:
            got = tuple(restored.shape) if isinstance(restored, Tensor) else type(restored).__name__
            raise ValueError(
                f"{self.name} gave {got} for {tuple(degraded.shape)}; expected one image {expected}"
            )
        return restored


def _given(keywords: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    values = [keywords[name] for name in names if isinstance(keywords.get(name), int)]
    return values[0] if values else None


def _tried(model: nn.Module, channels: int) -> tuple[int, int | None]:
    """Return the multiple and the scale that the model shows on shapes alone; (1, None) where it runs on none."""
    trial = copy.deepcopy(model).to("meta").eval()
    for multiple in MULTIPLES:
        side = multiple * (CELLS + 2 * max(0, -(-(LEAST - CELLS * multiple) // (2 * multiple))))
        image = torch.empty(1, channels, side, side, device="meta")
        try:
            with torch.no_grad():
                restored = trial(image)
        except MISFIT:
            continue
        if isinstance(restored, Tensor) and restored.ndim == 4 and not restored.shape[-1] % side:
            return multiple, restored.shape[-1] // side
    return 1, None


def _ran(model: nn.Module, channels: int, side: int) -> int | None:
    """Return the scale that the model itself shows; for those that need more than shapes."""
    training = model.training
    try:
        with torch.no_grad():
            restored = model.eval()(torch.zeros(1, channels, side, side))
    except MISFIT:
        return None
    finally:
        model.train(training)
    fits = isinstance(restored, Tensor) and restored.ndim == 4 and not restored.shape[-1] % side
    return restored.shape[-1] // side if fits else None


def _unwrap(module: nn.Module, state: dict[str, Tensor], prefix: str, metadata: object) -> None:
    """Give the tensors the names that they have in the model alone."""
    _rename(state, prefix + MODEL, prefix)


def _wrap(module: nn.Module, state: dict[str, Tensor], prefix: str, *others: object) -> None:
    """Give the tensors back the names that they have in here."""
    _rename(state, prefix, prefix + MODEL)


def _rename(state: dict[str, Tensor], old: str, new: str) -> None:
    """Exchange the beginning of keys: all are taken out first, for a child may be called ``model`` as ours is."""
    taken = {key: state.pop(key) for key in [key for key in state if key.startswith(old)]}
    state.update({new + key.removeprefix(old): value for key, value in taken.items()})
