"""Every term as it is timed and pictured: the keys that its defaults lack, and which terms are left out, and why."""

from typing import Any

from restoration.config import build
from restoration.losses import TERMS
from restoration.losses.stack import Entry, Options, PairTerm, Term

LITE = {"features": "efficientnet-lite0"}
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "adversarial": {"discriminator": {"name": "unet-spectral"}},
    "contextual": LITE | {"layers": ["block2"]},
    "contrastive": {"embedding": "efficientnet-lite0"},
    "distribution-js": LITE,
    "feature-matching": {},
    "perceptual": LITE | {"layers": ["block2"]},
    "style": LITE | {"layers": ["block2"]},
}
LEFT_OUT = {
    "rectified-flow": "trains the velocity of the method rectified-flow; it asks nothing of a restored image",
}


def made(name: str) -> list[Entry]:
    """Return the stack entries in which the term is shown: itself, and the one that it takes parts from, if any."""
    entries = [_entry(name)]
    return [_entry("adversarial"), *entries] if name == "feature-matching" else entries


def _entry(name: str) -> Entry:
    part = build(TERMS, {"name": name} | CONFIGURATIONS.get(name, {}), name, "term")
    return Entry(name, part if isinstance(part, Term) else PairTerm(part), Options())
