"""Frozen feature networks: one owner each, its input normalisation, and passes that several terms share."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from restoration.losses.loss import large_enough
from restoration.losses.published import nearest

T = TypeVar("T")
# (network, image, with a graph?) → the two, kept so that their ids stay their own, and what was made of them
_passes: ContextVar[dict[tuple[int, int, bool], tuple[object, Tensor, Any]] | None] = ContextVar(
    "passes", default=None
)


class Backbone(nn.Module):
    """A frozen network whose layers' outputs are features; images go in as NCHW in [0, 1], one or three channels.

    ``stages`` are applied one after the other; a stage's name is a layer's name. ``mean`` and ``std`` normalise the
    input of each colour. ``smallest`` is the shorter side in pixels that each stage needs. A stage of ``after`` goes
    on from the stage named there rather than from the one before it. ``usual`` are the layers that a term takes where
    nobody chose any.
    """

    def __init__(
        self,
        name: str,
        stages: Mapping[str, nn.Module],
        mean: Sequence[float],
        std: Sequence[float],
        smallest: Sequence[int],
        usual: Sequence[str],
        after: Mapping[str, str] | None = None,
        multiple: int = 1,
    ) -> None:
        super().__init__()
        self.name, self.multiple = name, multiple
        self.names = tuple(stages)
        self.usual = tuple(usual)
        self.stages = nn.ModuleList(stages.values())
        self.before = [self._before(stage, after or {}) for stage in self.names]
        self.smallest = tuple(smallest)
        # what somebody needs again: shared passes keep these outputs, and let go of all others
        self.kept = set((after or {}).values())
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))
        # the faster layout of convolutions on CPUs, whatever the image's
        self.requires_grad_(False).eval().to(memory_format=torch.channels_last)

    def _before(self, stage: str, after: Mapping[str, str]) -> int:
        return self.names.index(after[stage]) if stage in after else self.names.index(stage) - 1

    def train(self, mode: bool = True) -> "Backbone":
        """Stay as it is: frozen features never train."""
        return super().train(False)

    def chosen(self, layers: Sequence[str] = ()) -> tuple[str, ...]:
        """Return the layers, the usual ones for none; refuse names that are no layers."""
        layers = tuple(layers) or self.usual
        for layer in layers:
            if layer not in self.names:
                hint = nearest(str(layer), self.names) or f"; it has {', '.join(self.names)}"
                raise ValueError(f"{self.name}: unknown layer '{layer}'{hint}")
        self.kept.update(layers)
        return layers

    def minimum_size(self, layers: Sequence[str]) -> int:
        """Return how many pixels the shorter side of an image must have for these layers."""
        return max(self.smallest[self.names.index(layer)] for layer in self.chosen(layers))

    def forward(self, image: Tensor, layers: Sequence[str]) -> list[Tensor]:
        """Return the outputs of the named layers; within `shared_passes` no stage runs twice on one image.

        Half-precision images are seen in float32, others in their own precision.
        """
        layers = self.chosen(layers)
        large_enough(image, self.minimum_size(layers), self.name)
        return shared(self, image, lambda: _Pass(self, image)).outputs(layers)

    def of_pair(
        self, restored: Tensor, clean: Tensor, layers: Sequence[str]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return the features of the restored image and, without a graph, those of the clean one."""
        with torch.no_grad():
            wanted = self(clean, layers)
        return self(restored, layers), wanted

    def normalised(self, image: Tensor) -> Tensor:
        """Return the image as the network wants it: three channels, less the mean, over the deviation."""
        image = image.to(torch.promote_types(image.dtype, torch.float32))
        if (self.mean.device, self.mean.dtype) != (image.device, image.dtype):
            self.to(image)
        return (image.expand(-1, self.mean.shape[1], -1, -1) - self.mean) / self.std


class _Pass:
    """One image on its way through a backbone, as far as anybody asked."""

    def __init__(self, backbone: Backbone, image: Tensor) -> None:
        self.backbone, self.image = backbone, image
        self.done: dict[int, Tensor] = {}

    def outputs(self, layers: Sequence[str]) -> list[Tensor]:
        return [self._output(self.backbone.names.index(layer)) for layer in layers]

    def _output(self, stage: int) -> Tensor:
        if stage in self.done:
            return self.done[stage]
        before = self.backbone.before[stage]
        value = self._output(before) if before >= 0 else self.backbone.normalised(self.image)
        value = self.backbone.stages[stage](value)
        if self.backbone.names[stage] in self.backbone.kept:
            self.done[stage] = value
        return value


def shared(network: object, image: Tensor, compute: Callable[[], T]) -> T:
    """Return what ``compute`` makes of the image by that network; within `shared_passes` it is made once."""
    passes = _passes.get()
    if passes is None:
        return compute()
    key = (id(network), id(image), torch.is_grad_enabled())
    if key not in passes:
        passes[key] = (network, image, compute())
    return passes[key][-1]


def forget(image: Tensor) -> None:
    """Drop what shared passes hold of an image, and of what was made of it: nobody asks again."""
    passes = _passes.get()
    gone = {id(image)}
    while passes and (found := [key for key in passes if key[1] in gone]):
        gone = {id(passes.pop(key)[-1]) for key in found}


@contextmanager
def shared_passes() -> Iterator[None]:
    """Let all that asks a backbone for features of the same image within this context share one pass."""
    token = _passes.set({})
    try:
        yield
    finally:
        _passes.reset(token)


@lru_cache(maxsize=8)
def backbone(name: str | Backbone) -> Backbone:
    """Return the one frozen backbone of that name; weights that are missing are refused with what to do.

    A `Backbone` of one's own is returned as it is: from Python every term's ``features`` may be one.
    """
    if isinstance(name, Backbone):
        return name
    from restoration.losses.backbones import BACKBONES  # late: the table's constructors read weights files

    if name not in BACKBONES:
        raise ValueError(
            f"unknown features '{name}'{nearest(name, BACKBONES) or '; expected ' + ', '.join(BACKBONES)}"
        )
    # weights first asked for while measuring must serve training too; building them draws an initialisation, and what
    # the caller draws next must not depend on whether they were here already
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
        return BACKBONES[name]()
