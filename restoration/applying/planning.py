"""How a picture is cut: the network's field, the margin, the side of tiles, and what that costs in accuracy."""

import copy
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from restoration.applying.running import CROP, SAFE, Inference, Runner
from restoration.restorers.network import Restorer
from restoration.tiling import Fetch, Tiling, Window, memory
from restoration.tiling.certificate import Difference, difference, shortened
from restoration.tiling.choice import UNCUT, WIDE, fast_side, measured_side
from restoration.tiling.parts import FAILURES, MINIMUM
from restoration.tiling.receptive import Field, field_of, is_noted, remeasured
from restoration.tiling.windows import up

WORTH = 16  # times the pixels of a measurement that a picture must have to be worth it
LITTLE_MORE = 1.5  # sides of a tile: blended tiles of a picture no larger cost more than the whole
DEAR = 1.25  # times the pixels of a tile that its window may have before margins are shortened


@dataclass(frozen=True)
class Plan:
    """The tiling of pictures of one kind, and what was measured of it: lines for people, facts for programs."""

    tiling: Tiling
    certificate: Difference | None = None
    choice: str = ""
    decibels: float | None = None  # of bfloat16 against float32, where it was measured
    cut: bool = False  # into more than one tile
    shown: int = 0  # pixels of the margin that the picture had room for
    covered: bool = False  # by its margins, so that tiles that were asked for are none

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what a user should know: tiles that are not exact, and what bfloat16 costs."""
        return (*self._of_tiles(), *self._of_bfloat16())

    def _of_tiles(self) -> tuple[str, ...]:
        if self.covered:
            return (f"not cut: margins of {self.tiling.margin:,} pixels would cover the picture",)
        blended, found = self.tiling.receptive_field is None, self.certificate
        if found is None:
            unknown = "blended tiles differ from the untiled result by what could not be measured"
            return (unknown,) if blended and self.cut else ()
        if found.exact and not blended:
            return ()
        return (
            f"{'blended tiles' if blended else 'tiles'} differ from the untiled result by {found.rms:.1e} of its "
            f"standard deviation, {found.largest:.1e} at most ({found.psnr:.1f} dB, on a crop)",
        )

    def _of_bfloat16(self) -> tuple[str, ...]:
        if self.decibels is None:
            return ()
        used, other = ("bfloat16", "float32") if self.decibels >= SAFE else ("float32", "bfloat16")
        return (
            f"computed in {used}: {self.decibels:.1f} dB from {other} (on a crop; at least {SAFE:.0f} are safe)",
        )

    @property
    def facts(self) -> dict[str, Any]:
        """Return how tiles are made, as plain data."""
        tiling = self.tiling
        facts: dict[str, Any] = {
            "receptive_field": tiling.receptive_field,
            "grid": tiling.grid,
            "margin": tiling.margin,
            "tile": tiling.tile,
        }
        if self.certificate is not None:
            facts["difference"] = asdict(self.certificate)
        if self.decibels is not None:
            facts["bf16_psnr"] = self.decibels if math.isfinite(self.decibels) else None
        return facts


def tiling_of(restorer: Restorer, inference: Inference) -> Tiling:
    """Return the tiling that a restorer declares, nothing measured."""
    network = getattr(restorer, "network", restorer)
    needs = getattr(getattr(network, "adapter", network), "requirements", None)
    return Tiling(
        restorer.scale, restorer.multiple, restorer.receptive_field, inference.tile,
        least=getattr(needs, "minimum", 1) or 1, wrap=inference.wrap,
        edge=getattr(restorer, "edge", "mirrored"),
    )  # fmt: skip


def planned(
    runner: Runner,
    fetch: Fetch,
    height: int,
    width: int,
    channels: int = 3,
    reach: int = 0,
    held: bool = True,
) -> Plan:
    """Return how a picture is cut; what was measured for one holds for later ones of this restorer.

    Those that show more of a wide field than that one did are measured again.
    ``reach`` is how far what is done to tiles beside the restorer sees. Small pictures are not cut, and nothing is
    measured for them. What is cut gets a certificate, unless exact tiles of a small picture are beyond doubt: their
    side is the usual one, and how far the network sees is declared, or measured in this process. Margins that would
    be wider than tiles are shortened to what is enough, however wide that is; where none is known they stay whole.
    A picture that margins would cover wherever a tile lies is one tile, as finding shorter ones costs more than
    restoring it, unless memory was found not to hold it (``held``).
    Tiles of a field that ends are blended only where memory does not hold their margins.
    """
    tiling, inference = tiling_of(runner.restorer, runner.inference), runner.inference
    if tiling.receptive_field is not None:
        tiling = replace(tiling, receptive_field=max(reach, tiling.receptive_field))
    fits = tiling.side(runner.device, height, width) >= max(height, width) and inference.wrap == "off"
    if tiling.receptive_field is None and (inference.ensemble or not fits):
        field = field_of(runner.restorer)
        radius = None if field.radius is None else max(reach, field.radius)
        tiling = replace(tiling, receptive_field=radius, period=field.period)
        if inference.ensemble:  # a picture turned must lie on the grid of its windows as the picture does
            tiling = replace(tiling, multiple=math.lcm(tiling.multiple, tiling.period))
    beyond = tiling.receptive_field is None and inference.tile == "auto" and inference.wrap == "off"
    if beyond and max(height, width) <= LITTLE_MORE * tiling.side(runner.device, height, width):
        return Plan(replace(tiling, tile="off"))
    if fits:
        return Plan(tiling)
    if held and inference.wrap == "off" and _is_covered(tiling, height, width):
        return Plan(replace(tiling, tile="off"), covered=True)
    large = _is_wide(tiling) or _is_large(tiling, height * width, runner.device)
    doubted = tiling.receptive_field is None or isinstance(inference.tile, int) or is_noted(runner.restorer)
    key = (str(runner.device), inference, channels, reach, large)
    shown = min(tiling.margin, max(height, width))  # of the field: what lies farther no measurement has seen
    if key not in runner.known.plans or runner.known.plans[key].shown < shown:
        plan = (
            _measured(runner, fetch, height, width, tiling, large)
            if large or doubted
            else Plan(tiling, cut=True)
        )
        runner.known.plans[key] = replace(plan, shown=shown)
    return runner.known.plans[key]


def replanned(
    runner: Runner, fetch: Fetch, height: int, width: int, side: int, channels: int = 3, reach: int = 0
) -> Plan:
    """Return how a picture is cut into tiles of ``side``, for which memory did not suffice as a whole."""
    smaller = copy.copy(runner)
    smaller.inference = replace(runner.inference, tile=side)
    return planned(smaller, fetch, height, width, channels, reach, held=False)


def _is_covered(tiling: Tiling, height: int, width: int) -> bool:
    """Return whether margins are wide and reach across a picture that would not be cut if nobody asked for tiles."""
    return _is_wide(tiling) and max(height, width) <= min(tiling.margin, UNCUT)


def _is_wide(tiling: Tiling) -> bool:
    """Return whether tiles would be little but margins, as those of a flow of many steps: shorter ones are sought."""
    return tiling.receptive_field is not None and tiling.margin > WIDE


def _is_large(tiling: Tiling, pixels: int, device: torch.device) -> bool:
    """Return whether measuring costs little beside a picture, or saves more than it costs: wide margins shortened."""
    if tiling.receptive_field is None:
        return pixels >= WORTH * 512**2 // 4
    measurement = (2 * tiling.margin + 128) ** 2
    side = fast_side(tiling.margin, device)
    wasted = ((side + 2 * tiling.margin) / side) ** 2 - DEAR
    return pixels >= WORTH * measurement or pixels * wasted >= WORTH * measurement / 2


def _measured(runner: Runner, fetch: Fetch, height: int, width: int, tiling: Tiling, large: bool) -> Plan:
    """Return the tiling with its certificate; where work is long, also with the margin and side that are best."""
    device, choice = runner.device, ""
    side = tiling.side(device, height, width)
    with suppress(*FAILURES):  # tiles tell by their place
        runner.bfloat16(fetch(_middle(height, width, tiling)))
        if large and tiling.receptive_field is not None and ((side + 2 * tiling.margin) / side) ** 2 > DEAR:
            tiling = replace(tiling, halo=_shortened(runner, fetch, height, width, tiling))
        if large and tiling.tile == "auto":
            side, choice, seconds = measured_side(runner, fetch, height, width, tiling, device)
            tiling = replace(tiling, tile=side)
            runner.settle(seconds, fetch(_middle(height, width, tiling)))
        plan = _certified(runner, fetch, height, width, tiling, side)
        memory.let_go()
        if plan is not None:
            return replace(plan, choice=choice)
    memory.let_go()
    return Plan(replace(tiling, halo=None), choice=choice, cut=True)


def _certified(
    runner: Runner, fetch: Fetch, height: int, width: int, tiling: Tiling, side: int
) -> Plan | None:
    """Return the tiling that is exact on a crop, or blended, with what it costs; None where memory lacks for crops.

    Where memory lacks, crops are halved, and blended tiles with them; exact tiles whose margins it does not hold are
    passed over.
    """
    smallest = up(MINIMUM, tiling.grid)
    for candidate in _safer(tiling, runner.restorer):
        blended = candidate.receptive_field is None
        if _is_wide(candidate) and not _is_held(runner, fetch, height, width, candidate):
            continue
        while True:
            try:
                found = difference(runner.single, fetch, height, width, candidate, side)
            except (RuntimeError, MemoryError) as error:
                if not memory.is_out_of_memory(error):
                    raise
                if side <= smallest:
                    return None
            else:
                if found.exact or blended:
                    return Plan(candidate, found, cut=True)
                break
            memory.let_go()
            side = max(smallest, up(side // 2, tiling.grid))
            candidate = replace(candidate, tile=side) if blended else candidate
    return None


def _shortened(runner: Runner, fetch: Fetch, height: int, width: int, tiling: Tiling) -> int | None:
    """Return the margin that is enough; None where it cannot be measured.

    So it is where the restorer, or the device, knows single precision alone, and where memory lacks for double.
    """
    found = None
    with suppress(RuntimeError, TypeError, ValueError, MemoryError):
        found = shortened(runner.double, fetch, height, width, tiling, len(runner.restorer.conditions))
    memory.let_go()
    return found


def _is_held(runner: Runner, fetch: Fetch, height: int, width: int, tiling: Tiling) -> bool:
    """Return whether memory holds a small tile with its margins."""
    window = replace(tiling, wrap="off").grown(_middle(height, width, tiling), tiling.whole(height, width))
    held = True
    try:
        runner.single(fetch(window))
    except (RuntimeError, MemoryError) as error:
        if not memory.is_out_of_memory(error):
            raise
        held = False
    memory.let_go()
    return held


def _safer(tiling: Tiling, restorer: Restorer) -> Iterator[Tiling]:
    """Yield the tiling, then with the whole field's margin, with the measured field, and blended.

    The network may see farther than it declares, or than its card says.
    """
    yield tiling
    if tiling.halo is not None:
        yield replace(tiling, halo=None)
    if tiling.receptive_field is not None and is_noted(restorer):
        found = remeasured(restorer)
        if found != Field(tiling.receptive_field, tiling.period):
            yield replace(tiling, halo=None, receptive_field=found.radius, period=found.period)
    if tiling.receptive_field is not None:
        yield replace(tiling, halo=None, receptive_field=None)


def _middle(height: int, width: int, tiling: Tiling) -> Window:
    """Return a crop of the middle, on the grid, for what needs any tile."""
    grid = tiling.grid
    rows, columns = (max(1, min(CROP, n) // grid) * grid for n in (height, width))
    top, left = ((n - m) // 2 // grid * grid for n, m in ((height, rows), (width, columns)))
    return Window(max(0, top), max(0, top) + rows, max(0, left), max(0, left) + columns)
