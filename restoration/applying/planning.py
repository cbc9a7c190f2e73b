"""How a picture is cut: the network's field, the margin, the side of tiles, and what that costs in accuracy."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from restoration.applying.running import CROP, Inference, Runner
from restoration.restorers.network import Restorer
from restoration.tiling import Fetch, Tiling, Window, memory
from restoration.tiling.certificate import Difference, difference, shortened
from restoration.tiling.choice import fast_side, measured_side
from restoration.tiling.receptive import field_of

WORTH = 16  # times the pixels of a measurement that a picture must have to be worth it
DEAR = 1.25  # times the pixels of a tile that its window may have before margins are shortened


@dataclass(frozen=True)
class Plan:
    """The tiling of pictures of one kind, and what was measured of it: lines for people, facts for programs."""

    tiling: Tiling
    certificate: Difference | None = None
    choice: str = ""
    decibels: float | None = None  # of bfloat16 against float32, where it was measured

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what a user should know: tiles that are not exact."""
        if self.certificate is None or (self.tiling.receptive_field is not None and self.certificate.exact):
            return ()
        kind = "blended tiles" if self.tiling.receptive_field is None else "tiles"
        return (
            f"{kind} differ from the untiled result by {self.certificate.rms:.1e} of its standard deviation, "
            f"{self.certificate.largest:.1e} at most ({self.certificate.psnr:.1f} dB, on a crop)",
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
        return facts | ({} if self.decibels is None else {"bf16_psnr": self.decibels})


def tiling_of(restorer: Restorer, inference: Inference) -> Tiling:
    """Return the tiling that a restorer declares, nothing measured."""
    network = getattr(restorer, "network", restorer)
    needs = getattr(getattr(network, "adapter", network), "requirements", None)
    return Tiling(
        restorer.scale, restorer.multiple, restorer.receptive_field, inference.tile,
        least=getattr(needs, "minimum", 1) or 1, wrap=inference.wrap,
    )  # fmt: skip


def planned(runner: Runner, fetch: Fetch, height: int, width: int, channels: int = 3, reach: int = 0) -> Plan:
    """Return how a picture is cut; what was measured for one holds for later ones of this restorer.

    ``reach`` is how far what is done to tiles beside the restorer sees. Small pictures are not cut, and nothing is
    measured for them.
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
    if fits:
        return Plan(tiling)
    large = _is_large(tiling, height * width, runner.device)
    key = (str(runner.device), inference, channels, reach, large)
    if key not in runner.known.plans:
        runner.known.plans[key] = _measured(runner, fetch, height, width, tiling) if large else Plan(tiling)
    return runner.known.plans[key]


def _is_large(tiling: Tiling, pixels: int, device: torch.device) -> bool:
    """Return whether measuring costs little beside a picture, or saves more than it costs: wide margins shortened."""
    if tiling.receptive_field is None:
        return pixels >= WORTH * 512**2 // 4
    measurement = (2 * tiling.margin + 128) ** 2
    side = fast_side(tiling.margin, device)
    wasted = ((side + 2 * tiling.margin) / side) ** 2 - DEAR
    return pixels >= WORTH * measurement or pixels * wasted >= WORTH * measurement / 2


def _measured(runner: Runner, fetch: Fetch, height: int, width: int, tiling: Tiling) -> Plan:
    device, choice = runner.device, ""
    runner.bfloat16(fetch(_middle(height, width, tiling)))
    side = tiling.side(device, height, width)
    try:
        if tiling.receptive_field is not None and ((side + 2 * tiling.margin) / side) ** 2 > DEAR:
            tiling = replace(tiling, halo=_shortened(runner, fetch, height, width, tiling))
        if tiling.tile == "auto":
            side, choice = measured_side(runner, fetch, height, width, tiling, device)
            tiling = replace(tiling, tile=side)
        for candidate in _safer(tiling):
            certificate = difference(runner.single, fetch, height, width, candidate, side)
            if certificate.exact or candidate.receptive_field is None:
                memory.let_go()
                return Plan(candidate, certificate, choice)
    except (RuntimeError, MemoryError) as error:
        if not memory.is_out_of_memory(error):
            raise
    memory.let_go()
    return Plan(replace(tiling, halo=None), None, choice)


def _shortened(runner: Runner, fetch: Fetch, height: int, width: int, tiling: Tiling) -> int | None:
    """Return the margin that is enough; None where the restorer, or the device, knows single precision alone."""
    try:
        found = shortened(runner.double, fetch, height, width, tiling)
        memory.let_go()
        return found
    except (RuntimeError, TypeError, ValueError) as error:
        if memory.is_out_of_memory(error):
            raise
        return None


def _safer(tiling: Tiling) -> Iterator[Tiling]:
    """Yield the tiling, then with the whole field's margin, then blended: it may see farther than was measured."""
    yield tiling
    if tiling.halo is not None:
        yield replace(tiling, halo=None)
    if tiling.receptive_field is not None:
        yield replace(tiling, halo=None, receptive_field=None)


def _middle(height: int, width: int, tiling: Tiling) -> Window:
    """Return a crop of the middle, on the grid, for what needs any tile."""
    grid = tiling.grid
    rows, columns = (max(1, min(CROP, n) // grid) * grid for n in (height, width))
    top, left = ((n - m) // 2 // grid * grid for n, m in ((height, rows), (width, columns)))
    return Window(max(0, top), max(0, top) + rows, max(0, left), max(0, left) + columns)
