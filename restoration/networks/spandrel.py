"""Every architecture that spandrel knows, under one name.

spandrel takes seconds to import, so it is imported where it is first needed.
"""

import inspect
import typing
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from restoration.config import nearest
from restoration.networks.network import Network

if TYPE_CHECKING:
    from spandrel import Architecture, ModelDescriptor

# known to spandrel, applied from a checkpoint, not trained here: why
APPLY_ONLY = {
    "AuraSR": "the generator of a GAN with random styles; trained only against its own discriminator",
    "GFPGAN": "restores aligned faces of 512×512 around a StyleGAN2 decoder that must be trained before it",
    "LaMa": "takes a mask beside the image; inpainting networks are trained by methods that draw masks",
    "RestoreFormer": "restores aligned faces with a codebook that must be trained before it",
}
# these take a single image: a noise map of one image is concatenated, patches are folded, experts are chosen
ONE_IMAGE = ("DRUNet", "IPT", "SeemoRe")
# these view or hold tensors in ways that channels-last memory does not allow
CHANNELS_FIRST = ("FFTformer", "IPT")
# a gradient of its own that autocast does not reach
FULL_PRECISION = ("KBNet",)
# the architectures' own defaults of the two do not always fit
WINDOWS = "; expected img_size to be a multiple of window_size, such as window_size = 8"
# what the constructors raise when keywords do not fit each other
MISFIT = (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError)


class Spandrel(Network):
    """An architecture of spandrel's, built from its own keywords; see its paper for what they mean.

    ``variant`` chooses among the classes of the few architectures that have several.
    """

    # the one constructor with open keywords: they are the architecture's, and `keywords` lists them
    def __init__(self, *, architecture: str, variant: str | None = None, **keywords: object) -> None:
        super().__init__()
        entry = _trainable(architecture)
        constructor = _classes(entry)[variant or next(iter(_classes(entry)))]
        try:
            with warnings.catch_warnings():  # architectures use what torch will change one day
                warnings.simplefilter("ignore")
                model = constructor(**keywords)
                descriptor = entry.load(model.state_dict())
        except MISFIT as error:
            hint = (
                WINDOWS
                if {"window_size", "img_size"} <= set(inspect.signature(constructor).parameters)
                else ""
            )
            raise ValueError(f"{architecture} cannot be built with these keywords: {error}{hint}") from error
        self.adapter = Adapter(model, descriptor)
        self.scale = self.adapter.scale
        self.multiple = self.adapter.multiple
        self.channels = self.adapter.channels
        self.conditions = self.adapter.conditions
        self.batch_statistics = self.adapter.batch_statistics

    @classmethod
    def keywords(cls, spec: dict[str, Any]) -> dict[str, inspect.Parameter]:
        """Return the keywords of the architecture that ``spec`` names, with the types of their defaults."""
        architecture = spec.get("architecture")
        if not isinstance(architecture, str):
            raise ValueError(f"expected an architecture, one of {', '.join(architectures())}")
        classes = _classes(_trainable(architecture))
        first = next(iter(classes))
        shared = {"architecture": _keyword("architecture", str)}
        if len(classes) > 1:
            shared["variant"] = _keyword("variant", Literal[tuple(classes)], first)
        chosen = spec.get("variant", first)
        if not isinstance(chosen, str) or chosen not in classes:
            raise ValueError(f"variant = {chosen!r}: expected one of {', '.join(classes)}")
        return shared | _own_keywords(classes[chosen])

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the restored image, ``scale`` times as large."""
        return self.adapter(degraded)


class Adapter(Network):
    """A module of spandrel's behind this project's contract: sizes are padded and cropped back within.

    A network with a condition takes it as the last channel.
    """

    def __init__(self, model: nn.Module, descriptor: "ModelDescriptor") -> None:
        super().__init__()
        self.model = model
        self.scale = descriptor.scale
        self.channels = descriptor.input_channels
        self.multiple = descriptor.size_requirements.multiple_of
        self.conditions = ("mask",) if descriptor.purpose == "Inpainting" else ()
        self.batch_statistics = any(isinstance(m, _BatchNorm) for m in model.modules())
        self.requirements = descriptor.size_requirements
        # spandrel keeps a network's own ranges, noise maps and tuples in this function alone; its public call
        # would also clamp and forbid gradients
        self.call: Callable[..., Tensor] = descriptor._call_fn
        self.one_image = descriptor.architecture.id in ONE_IMAGE
        self.channels_first = descriptor.architecture.id in CHANNELS_FIRST
        self.full_precision = descriptor.architecture.id in FULL_PRECISION

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the restored image, ``scale`` times as large."""
        height, width = degraded.shape[-2:]
        right, bottom = self.requirements.get_padding(width, height)
        # a copy in any case: RCAN scales its input in place
        padded = functional.pad(degraded, (0, right, 0, bottom), mode="replicate").clone()
        padded = padded.contiguous() if self.channels_first else padded
        with self._precision(degraded.device.type):
            parts = padded.split(1) if self.one_image else (padded,)
            restored = torch.cat([self._called(part) for part in parts])
        return restored[..., : height * self.scale, : width * self.scale]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Adapter":
        """Move or convert; as rows of numbers, which have no channels-last order, where the network needs that."""
        if not self.channels_first:
            return super()._apply(fn, recurse)
        return super()._apply(lambda tensor: fn(tensor.flatten()).reshape(tensor.shape), recurse)

    def _precision(self, device: str) -> AbstractContextManager[object]:
        exempt = self.full_precision and device != "meta"
        return torch.autocast(device, enabled=False) if exempt else nullcontext()

    def _called(self, padded: Tensor) -> Tensor:
        if self.conditions:
            return self.call(self.model, padded[:, : self.channels], padded[:, self.channels :])
        return self.call(self.model, padded)


_applied: ContextVar[bool] = ContextVar("applied", default=False)


@contextmanager
def for_applying() -> Iterator[None]:
    """Within the block, what can be applied but not trained is built as well: its weights follow."""
    token = _applied.set(True)
    try:
        yield
    finally:
        _applied.reset(token)


def architectures() -> tuple[str, ...]:
    """Return the names of the architectures that can be trained."""
    return tuple(name for name in _registry() if name not in APPLY_ONLY)


def _registry() -> "dict[str, Architecture]":
    from spandrel import MAIN_REGISTRY

    return {str(entry.architecture.id): entry.architecture for entry in MAIN_REGISTRY}


def _trainable(name: str) -> "Architecture":
    registry = _registry()
    if name in APPLY_ONLY and not _applied.get():
        raise ValueError(f"architecture '{name}' can be applied but not trained: {APPLY_ONLY[name]}")
    if name not in registry:
        folded = {known.casefold(): known for known in architectures()}
        hint = nearest(folded.get(name.casefold(), name), folded.values())
        raise ValueError(f"unknown architecture '{name}'{hint}")
    return registry[name]


def _classes(entry: "Architecture") -> dict[str, type[nn.Module]]:
    """Return the module classes of ``entry`` by name: spandrel declares them as the type that it loads."""
    (declared,) = typing.get_args(type(entry).__orig_bases__[0])
    classes = (declared,) if isinstance(declared, type) else typing.get_args(declared)
    return {cls.__name__: cls for cls in classes}


def _own_keywords(constructor: type[nn.Module]) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(constructor.__init__, eval_str=True).parameters
    return {
        name: _keyword(name, _type(parameter), parameter.default)
        for name, parameter in parameters.items()
        # layers given as classes or functions cannot be written in a file
        if name != "self"
        and (parameter.default is inspect.Parameter.empty or not callable(parameter.default))
    }


def _keyword(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _type(parameter: inspect.Parameter) -> Any:
    """Return the declared type of a keyword, else that of its default, else anything."""
    if parameter.annotation is not inspect.Parameter.empty:
        return parameter.annotation
    default = parameter.default
    if default is None or default is inspect.Parameter.empty:
        return Any
    if isinstance(default, (list, tuple)) and default:
        element: Any = type(default[0])
        return tuple[element, ...] if isinstance(default, tuple) else list[element]
    return type(default)
