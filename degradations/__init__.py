"""Pure degradations, keyed by (seed, sample)."""

from restoration.degradations.chain import Chain, Clip, Grey
from restoration.degradations.degraded import Degradation, Degraded
from restoration.degradations.noise import Noise
from restoration.degradations.resize import Bicubic

DEGRADATIONS: dict[str, type[Degradation]] = {
    "bicubic": Bicubic,
    "chain": Chain,
    "clip": Clip,
    "grey": Grey,
    "noise": Noise,
}

__all__ = ["DEGRADATIONS", "Degradation", "Degraded"]
