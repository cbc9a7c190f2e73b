"""The layouts that are tried, in this order; spandrel is asked for the rest."""

from restoration.foreign import (
    distillation,
    kair,
    medfe,
    noiseda,
    own,
    pmrf,
    rbpn,
    reflection,
    resshift,
    super_resolution,
)
from restoration.foreign.layout import Layout

LAYOUTS: tuple[Layout, ...] = (
    *own.LAYOUTS,
    *kair.LAYOUTS,
    *distillation.LAYOUTS,
    *super_resolution.LAYOUTS,
    *medfe.LAYOUTS,
    *noiseda.LAYOUTS,
    *rbpn.LAYOUTS,
    *reflection.LAYOUTS,
    *pmrf.LAYOUTS,
    *resshift.LAYOUTS,
)
