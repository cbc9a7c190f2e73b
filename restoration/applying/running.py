"""How a restorer is run on one tile: its device, its precision, its checks."""

import copy
import math
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, get_args
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from restoration import distributed
from restoration.applying.quick_layers import QuickLayers, Windows
from restoration.errors import RequestError, RestorationError
from restoration.networks.placing import Place
from restoration.restorers.network import Restorer
from restoration.tiling import Function, Tile, Wrap, self_ensemble
from restoration.tiling.certificate import FLAT, noise
from restoration.tiling.spot import here

Precision = Literal["auto", "fp32", "bf16"]
SAFE = 60.0  # decibels between bfloat16 and float32: below it, rounding would be seen in 8 bits
LONG = 1800.0  # seconds that a picture must take before compiling is tried, which takes minutes
LEAST_GAIN = 0.95  # of the time of a tile
CROP = 128  # pixels of the side of what is compared


@dataclass(frozen=True)
class Inference:
    """How a restorer is run.

    ``precision = "auto"`` is bfloat16 where the device multiplies it in hardware, the result gets 8 bits, and a crop
    of the first picture, or smooth colours where that is flat, comes out within 60 dB of float32; else float32. A
    tile that bfloat16 makes non-finite is computed again in float32. ``consistent`` ends with an exact
    back-projection. ``wrap`` takes opposite edges for neighbours, as in textures. ``compile`` has PyTorch compile the
    network; None tries it where a picture takes half an hour or more, and keeps it where tiles come out faster.
    """

    tile: Tile = "auto"
    precision: Precision = "auto"
    ensemble: bool = False
    device: str | torch.device = "cpu"
    consistent: bool = False
    wrap: Wrap = "off"
    compile: bool | None = None

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            raise RequestError(f"--precision {self.precision}: expected {', '.join(get_args(Precision))}")
        if self.wrap not in get_args(Wrap):
            raise RequestError(f"--wrap {self.wrap}: expected {', '.join(get_args(Wrap))}")
        if self.tile not in ("auto", "off") and not (isinstance(self.tile, int) and self.tile > 0):
            raise RequestError(f"--tile {self.tile}: expected auto, off or a number of pixels")


@dataclass
class Known:
    """What was measured of a restorer in this process: by device, and how it was run."""

    windows: Windows
    decibels: dict[str, float] = field(default_factory=dict)
    plans: dict[tuple[Any, ...], Any] = field(default_factory=dict)
    compiled: Function | None = None
    pays: bool | None = None  # whether compiled tiles come out faster, where that was tried


_KNOWN: "WeakKeyDictionary[nn.Module, Known]" = WeakKeyDictionary()


def known(restorer: nn.Module) -> Known:
    """Return what is known of a restorer, to be added to."""
    if restorer not in _KNOWN:
        _KNOWN.setdefault(restorer, Known(Windows(restorer)))
    return _KNOWN[restorer]


class Runner:
    """The function of one tile: to the device, through the restorer, back, checked."""

    def __init__(self, restorer: Restorer, inference: Inference) -> None:
        self.restorer, self.inference = restorer, inference
        self.device = torch.device(inference.device)
        self.known = known(restorer)
        restorer.eval().to(self.device).to(memory_format=torch.channels_last)
        self._double: nn.Module | None = None
        self.forward: Function
        self.use(bool(self.known.pays) if inference.compile is None else inference.compile)
        self._places = [part for part in restorer.modules() if isinstance(part, Place)]

    def use(self, compiled: bool) -> None:
        """Run the network compiled by PyTorch, or as it is."""
        self.compiled = compiled
        network: Function = self.restorer
        if compiled:
            if self.known.compiled is None:
                self.known.compiled = torch.compile(self.restorer, dynamic=True)
            network = self.known.compiled
        self.forward = self_ensemble(network, self._turn) if self.inference.ensemble else network

    def settle(self, seconds: float, tile: Tensor) -> None:
        """Have the network compiled where work takes so long that trying costs little, and tiles come out faster.

        A network that cannot be compiled, or not on this machine, runs as it is.
        """
        if self.inference.compile is not None or self.known.pays is not None or seconds < LONG:
            return
        eager = self._seconds(tile)
        try:
            self.use(True)
            self(tile)
            self.known.pays = self._seconds(tile) < LEAST_GAIN * eager
        except Exception:  # of many kinds: no compiler, operations it does not know, its own defects
            self.known.pays = False
        self.use(self.known.pays)

    def _seconds(self, tile: Tensor) -> float:
        """Return the seconds of a tile that was computed before; the result comes back to the CPU: all is done."""
        started = time.perf_counter()
        self(tile)
        return time.perf_counter() - started

    def __call__(self, tile: Tensor) -> Tensor:
        """Return the restored tile, on the CPU; in bfloat16 where that was asked for or is safe."""
        tile = self.placed(tile)
        bfloat16 = self.bfloat16(tile)
        result = self._restored(tile, bfloat16)
        if bfloat16 and not result.sum().isfinite():
            result = self._restored(tile, False)
        return self._checked(tile, result)

    def single(self, tile: Tensor) -> Tensor:
        """Return the tile restored in float32, on the CPU."""
        tile = self.placed(tile)
        return self._checked(tile, self._restored(tile, False))

    def double(self, tile: Tensor) -> Tensor:
        """Return the tile restored in double precision, by a copy that is kept while this runner is; not turned."""
        if self._double is None:
            self._double = copy.deepcopy(self.restorer).double()
            self._places += [part for part in self._double.modules() if isinstance(part, Place)]
        with self._told():
            return self._double(tile.to(self.device).double()).cpu()

    def bfloat16(self, tile: Tensor) -> bool:
        """Return whether tiles are computed in bfloat16; where that has to be measured, this tile is what it is on."""
        if self.inference.precision != "auto":
            return self.inference.precision == "bf16"
        # without parameters there is little to speed up, and all of the result to round
        if not (distributed.fast_bfloat16(self.device) and any(True for _ in self.restorer.parameters())):
            return False
        where = str(self.device)
        if where not in self.known.decibels:
            self.known.decibels[where] = self._decibels(self.placed(tile))
        return self.known.decibels[where] >= SAFE

    @property
    def decibels(self) -> float | None:
        """Return the PSNR of bfloat16 against float32, where it was measured."""
        return self.known.decibels.get(str(self.device)) if self.inference.precision == "auto" else None

    def _decibels(self, tile: Tensor) -> float:
        step = getattr(self.restorer, "multiple", 1)
        rows, columns = (max(step, min(n, CROP) // step * step) for n in tile.shape[-2:])
        top, left = (
            (n - m) // 2 // step * step for n, m in zip(tile.shape[-2:], (rows, columns), strict=True)
        )
        crop = tile[:1, :, top : top + rows, left : left + columns]
        if crop.numel() > 1 and float(crop.std()) < FLAT:  # rounding shows little of itself where nothing is
            made = noise(tile.shape[1], rows, columns, len(self.restorer.conditions), coarse=True)
            crop = self.placed(made.to(crop.dtype))
        error = (self._restored(crop, True) - self._restored(crop, False)).double().square().mean().item()
        return -math.inf if math.isnan(error) else -10 * math.log10(max(error, 1e-30))

    def placed(self, tile: Tensor) -> Tensor:
        """Return the tile on the device, as networks are given it."""
        return tile.to(self.device).contiguous(memory_format=torch.channels_last)

    @contextmanager
    def computing(self, bfloat16: bool) -> Iterator[None]:
        """Let networks compute as they do on tiles: in that precision, with quick layers, told where the tile lies."""
        with ExitStack() as stack:
            stack.enter_context(torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16))
            if not self.compiled:
                processor = self.device.type == "cpu"
                stack.enter_context(self.known.windows.eased(processor))
                if processor:
                    stack.enter_context(QuickLayers())
            stack.enter_context(self._told())
            yield

    def _restored(self, tile: Tensor, bfloat16: bool) -> Tensor:
        with self.computing(bfloat16):
            return self.forward(tile).float()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Let networks that draw noise know where the tile lies, for as long as it is computed."""
        self._turn(0)
        try:
            yield
        finally:
            for place in self._places:
                place.tell()

    def _turn(self, which: int) -> None:
        """Tell them where it lies once its image is turned."""
        spot = here()
        for place in self._places:
            place.tell(**(spot.turned(which) if spot else {}))

    def _checked(self, tile: Tensor, result: Tensor) -> Tensor:
        scale = self.restorer.scale
        size = [side * scale for side in tile.shape[-2:]]
        if list(result.shape[-2:]) != size:
            got = "x".join(str(side) for side in result.shape[-2:])
            raise RestorationError(
                f"the restorer made {got} pixels; expected {size[0]}x{size[1]}, its scale is {scale}"
            )
        if not result.sum().isfinite():
            raise RestorationError("the restored image is not finite")
        return result.cpu()
