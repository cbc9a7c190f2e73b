"""What is measured of every restored picture: the drift of its colours, and its consistency where asked for."""

from pathlib import Path

import numpy as np

from restoration.dials.consistency import residual
from restoration.dials.drift import drift
from restoration.formats.declared import shown
from restoration.image import PEAKS, Picture
from restoration.outcome import Report


def measure(
    report: Report,
    target: Path,
    degraded: Picture,
    restored: Picture,
    hole: np.ndarray | None = None,
    consistent: bool = False,
) -> None:
    """Add to the report what is measured of the picture at ``target``, and a line of what a user should see.

    Pixels that are hidden entirely, or lie in holes, have no part in the drift.
    """
    weight = degraded.alpha_samples
    if hole is not None:
        weight = ~hole if weight is None else weight * ~hole
    found = drift(degraded.samples, restored.samples, weight)
    report.measured[target] = {"delta_e_mean": found.mean, "delta_e_max": found.largest, "shift": found.shift}
    if found.visible:
        report.notes.append(f"{shown(target)}: {found}")
    if not consistent:
        return
    rest = residual(restored.samples, degraded.samples, len(restored.samples) // len(degraded.samples))
    report.measured[target] |= {"residual_rms": rest.rms, "residual_max": rest.largest}
    levels = PEAKS[8]
    report.notes.append(
        f"{shown(target)}: reduced, it is the input but for {levels * rest.rms:.2f} levels of {levels} (rms), "
        f"{levels * rest.largest:.1f} at most, after clipping and rounding"
    )
