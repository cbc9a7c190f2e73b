"""How far a network sees: the support of its gradient, and the grid on which it sees alike, measured once."""

import copy
import math
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from restoration.networks.placing import Place
from restoration.restorers.card import Card
from restoration.tiling import field_cache

NOTED = "receptive field"  # in a card's training
LENGTHS = (96, 192, 384, 768, 1536)  # of the strips that are looked along
AREA = 32768  # pixels of a strip at most, but for the shortest
# thickness of strips, and size of parameters: smaller where activations saturate and let no gradient through
ATTEMPTS = ((16, 1.0), (32, 1.0), (16, 0.3), (16, 0.05))
PHASES = 16  # output pixels of one period that are looked at one by one
FAINT = 1e-30  # of the largest gradient: what masks of attention let through, and single precision does not
ALIKE = {torch.double: 1e-9, torch.float: 1e-4}  # of the standard deviation, through hundreds of layers
PATIENCE = 20.0  # seconds for gradients; else the structure's bound stands
PERIODS = (1, 2, 4, 8, 16, 32, 64, 3, 6, 12, 24, 48, 5, 7, 10, 14, 20)
CUTS = (1, 3)  # of the smallest size by which images may differ
FAILURES = (RuntimeError, ValueError, TypeError, LookupError, AssertionError, ArithmeticError, AttributeError)


@dataclass(frozen=True)
class Field:
    """``radius`` as `Network.receptive_field`; ``period`` is the shift under which the network commutes.

    Both are in input pixels. A radius of None means the whole image, or more than could be measured.
    """

    radius: int | None
    period: int = 1


_MEASURED: "WeakKeyDictionary[nn.Module, Field]" = WeakKeyDictionary()


def field_of(restorer: nn.Module) -> Field:
    """Return the field that the network declares or its card records, else the measured one.

    Networks that declare None are measured too: for architectures of others it means "unknown". What was measured is
    kept in memory, and in the user's cache by the digest of the weights' file.
    """
    declared = getattr(restorer, "receptive_field", None)
    if isinstance(declared, int):
        return Field(declared, getattr(restorer, "multiple", 1))
    return _noted(restorer) or remeasured(restorer)


def remeasured(restorer: nn.Module) -> Field:
    """Return the measured field, whatever is declared or recorded; measured once in a process."""
    network = getattr(restorer, "network", restorer)
    if network not in _MEASURED:
        _MEASURED[network] = measured(network)
        field_cache.keep(restorer, asdict(_MEASURED[network]))
    return _MEASURED[network]


def is_noted(restorer: nn.Module) -> bool:
    """Return whether the field is what a card says, which another program may have written."""
    declared = getattr(restorer, "receptive_field", None)
    return not isinstance(declared, int) and _noted(restorer) is not None


def _noted(restorer: nn.Module) -> Field | None:
    """Return the field that the card or the cache holds, where it is one."""
    noted = getattr(getattr(restorer, "card", None), "training", {}).get(NOTED)
    noted = field_cache.kept(restorer) if noted is None else noted
    if not isinstance(noted, Mapping):
        return None
    radius, period = noted.get("radius"), noted.get("period")
    if type(period) is not int or period < 1 or not (radius is None or type(radius) is int):
        return None
    return Field(radius, period) if radius is None or radius >= 0 else None


def noted(card: Card, network: nn.Module) -> Card:
    """Return the card with the field of a network that does not declare one, to be saved with its weights."""
    if getattr(network, "receptive_field", None) is not None or NOTED in card.training:
        return card
    return replace(card, training={**card.training, NOTED: asdict(remeasured(network))})


def measured(network: nn.Module) -> Field:
    """Return the field by the support of gradients, in double precision with random positive parameters.

    Strips along both axes are looked at from the pixels of one period in the middle, and from both ends and a
    quarter: a border may not let in what lies farther away. How long strips must be is found first, by how far
    not-a-number spreads: a bound by structure alone, which stands where gradients would take too long. A network
    that cannot be run so has no known field.
    """
    with torch.enable_grad(), torch.inference_mode(False):
        for thickness, gain in ATTEMPTS:
            with suppress(*FAILURES):
                return _measured(network, thickness, gain)
    return Field(None, getattr(network, "multiple", 1))


def _measured(network: nn.Module, thickness: int, gain: float) -> Field:
    multiple = getattr(network, "multiple", 1)
    probe = _randomised(network, gain)
    strips = [_Strip(probe, axis, thickness) for axis in (-1, -2)]
    scout = copy.deepcopy(probe).float()
    reaches = [_Strip(scout, strip.axis, thickness).spread() for strip in strips]
    reach = None if None in reaches else max(r for r in reaches if r is not None)
    if reach is None:
        return Field(None, multiple)
    candidates = [multiple * n for n in PERIODS if n == 1 or multiple * n <= 64]
    quick = strips[0].seconds(max(candidates), reach) * 4 * len(candidates) < PATIENCE
    lively = [_Strip(_redrawn(probe if quick else scout, gain), s.axis, thickness) for s in strips]
    period = next((p for p in candidates if all(strip.repeats(p, reach) for strip in lively)), None)
    if period is None or not all(strip.begins_alike(period, reach) for strip in lively):
        return Field(None, multiple)
    if strips[0].seconds(period, reach) * (4 * min(PHASES, period * strips[0].scale) + 20) > PATIENCE:
        return Field(reach, period)
    radii = [strip.radius(period, reach) for strip in strips]
    return Field(None if None in radii else max(r for r in radii if r is not None), period)


class _Strip:
    """A probed network looked at along one axis: images are ``thickness`` pixels in the other."""

    def __init__(self, probe: nn.Module, axis: int, thickness: int) -> None:
        self.probe, self.axis = probe, axis
        self.multiple, self.scale = getattr(probe, "multiple", 1), getattr(probe, "scale", 1)
        self.thickness = _up(thickness, self.multiple)
        self.conditions = len(getattr(probe, "conditions", ()))
        self.channels = (getattr(probe, "channels", 3) or 3) + self.conditions
        self.dtype = next((p.dtype for p in probe.parameters()), torch.double)

    def image(self, length: int) -> Tensor:
        """Return random pixels; conditions such as masks are half zeros, half ones."""
        generator = torch.Generator().manual_seed(5)
        image = torch.rand(1, self.channels, self.thickness, length, generator=generator, dtype=torch.double)
        image[:, self.channels - self.conditions :].round_()
        return (image if self.axis == -1 else image.mT.contiguous()).to(self.dtype)

    def spread(self) -> int | None:
        """Return how far not-a-number gets from a block of ``multiple`` pixels; None where all or too far."""
        for length in LENGTHS:
            length = _up(length, self.multiple)
            if length * self.thickness > AREA and length > _up(LENGTHS[0], self.multiple):
                return None
            first = length // 2 // self.multiple * self.multiple
            last, image = first + self.multiple - 1, self.image(length)
            image.narrow(self.axis, first, self.multiple).fill_(torch.nan)
            with torch.no_grad():
                restored = self.probe(image)
            hit = restored.isnan().movedim(self.axis, 0).flatten(1).any(1).nonzero().flatten() // self.scale
            if len(hit) and hit[0] > 0 and hit[-1] < length - 1:
                return max(last - int(hit[0]), int(hit[-1]) - first)
        return None

    def repeats(self, period: int, reach: int) -> bool:
        """Return whether the network on an image without its first ``period`` pixels gives the rest of its result."""
        length = _up(2 * (reach + 2 * period) + 4 * self.thickness, math.lcm(period, self.multiple))
        image = self.image(length)
        with torch.no_grad():
            whole, rest = self.probe(image), self.probe(image.narrow(self.axis, period, length - period))
        margin = (reach + period) * self.scale
        count = (length - period) * self.scale - 2 * margin
        first = whole.narrow(self.axis, margin + period * self.scale, count)
        second = rest.narrow(self.axis, margin, count)
        return bool((first - second).abs().max() <= ALIKE[self.dtype] * first.std())

    def begins_alike(self, period: int, reach: int) -> bool:
        """Return whether images cut short begin as the whole does: no window starts where the size says."""
        length = _up(2 * (reach + 2 * period) + 4 * self.thickness, math.lcm(period, self.multiple))
        image = self.image(length)
        with torch.no_grad():
            whole = self.probe(image)
            for cut in CUTS:
                short = length - cut * self.multiple
                count = (short - reach - 2 * period) * self.scale
                first = whole.narrow(self.axis, 0, count)
                second = self.probe(image.narrow(self.axis, 0, short)).narrow(self.axis, 0, count)
                if (first - second).abs().max() > ALIKE[self.dtype] * first.std():
                    return False
        return True

    def seconds(self, period: int, reach: int) -> float:
        """Return about how long a pass over the strip takes that `radius` looks along, by one of the thinnest."""
        length = _up(2 * (reach + 2 * period) + self.thickness, math.lcm(period, self.multiple))
        short = _up(LENGTHS[0], self.multiple)
        started = time.monotonic()
        with torch.no_grad():
            self.probe(self.image(short))
        return (time.monotonic() - started) * length / short

    def radius(self, period: int, reach: int) -> int | None:
        """Return the farthest that any pixel of a period sees; None where a pixel at a border sees farther."""
        length = _up(2 * (reach + 2 * period) + self.thickness, math.lcm(period, self.multiple))
        image, start = self.image(length).requires_grad_(), length // 2 // period * period
        restored = self.probe(image)
        pixels = [start * self.scale + phase for phase in _chosen(period * self.scale)]
        found = [self._distance(restored, image, pixel) for pixel in pixels]
        if None in found:
            raise FloatingPointError("no gradient")
        last = length * self.scale - 1
        borders = [self._distance(restored, image, pixel, FAINT) for pixel in (0, last // 4, last)]
        farthest = max(d for d in found if d is not None)
        return farthest if max(d or 0 for d in borders) <= farthest else None

    def _distance(self, restored: Tensor, image: Tensor, pixel: int, faint: float = 0.0) -> int | None:
        """Return how far from itself an output pixel has a gradient; None where it has none."""
        outputs = (restored if self.axis == -1 else restored.mT)[..., self.thickness // 2 * self.scale, pixel]
        (gradient,) = torch.autograd.grad(outputs.sum(), image, retain_graph=True)
        profile = gradient.abs().nan_to_num(nan=1.0, posinf=1.0).movedim(self.axis, 0).flatten(1).amax(1)
        touched = (profile > faint * profile.max()).nonzero().flatten()
        return int((touched - pixel // self.scale).abs().max()) if len(touched) else None


def _chosen(phases: int) -> list[int]:
    """Return all output pixels of a period, or where they are many those at its ends and some between."""
    if phases <= PHASES:
        return list(range(phases))
    return sorted({round(i * (phases - 1) / 7) for i in range(8)})


def _randomised(network: nn.Module, gain: float) -> nn.Module:
    """Return a copy in double precision whose parameters are positive and of the size of gain / fan-in.

    So no two paths cancel, and gradients through hundreds of layers stay within the range of doubles.
    """
    probe = copy.deepcopy(network).cpu().double().eval()
    for module in probe.modules():
        if isinstance(module, Place):
            # noise that is the same everywhere: as tiles that know their place see it
            module.tell(rows=1, columns=1)
    generator = torch.Generator().manual_seed(4)
    for parameter in probe.parameters():
        fan_in = math.prod(parameter.shape[1:]) if parameter.ndim > 1 else 1
        drawn = torch.rand(parameter.shape, generator=generator, dtype=torch.double)
        parameter.data = gain * (0.5 + drawn) / max(1, fan_in)
        parameter.requires_grad_(False)
    return probe


def _redrawn(probe: nn.Module, gain: float) -> nn.Module:
    """Return a copy with normal parameters of the size of gain / √fan-in: windows out of place show in the result."""
    probe, generator = copy.deepcopy(probe), torch.Generator().manual_seed(6)
    for parameter in probe.parameters():
        fan_in = math.prod(parameter.shape[1:]) if parameter.ndim > 1 else 1
        drawn = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        parameter.data = gain * drawn / math.sqrt(max(1, fan_in)) if parameter.ndim > 1 else parameter.data
    return probe


def _up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple
