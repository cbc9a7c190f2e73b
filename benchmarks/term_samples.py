"""Every term as it is timed and pictured: the keys that its defaults lack, and which have no picture, and why."""

from collections.abc import Mapping
from typing import Any

from restoration.config import build
from restoration.losses import TERMS
from restoration.losses.stack import Entry, Options, PairTerm, Term

LITE = {"features": "efficientnet-lite0"}
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "adversarial": {"discriminator": {"name": "unet-spectral", "width": 64}},
    "contextual": LITE | {"layers": ["block2"]},
    "contrastive": {"embedding": "efficientnet-lite0"},
    "distribution-js": LITE,
    "feature-matching": {},
    "perceptual": LITE | {"layers": ["block2"]},
    "style": LITE | {"layers": ["block2"]},
}
# discriminators narrow enough to learn beside a picture
NARROW: dict[str, dict[str, Any]] = {
    "adversarial": {"discriminator": {"name": "unet-spectral", "width": 12}},
    "frequency-contrastive": {"width": 12},
}
VGG_LAYER = "conv5_4"
VGG = {"features": "vgg19", "layers": [VGG_LAYER]}
# rows whose networks have drawn weights: the term, and its keys
DRAWN: dict[str, tuple[str, dict[str, Any]]] = {
    "dists": ("dists", {}),
    "lpips": ("lpips", {}),
    "lpips of vgg": ("lpips", {"net": "vgg"}),
    "perceptual on vgg19": ("perceptual", VGG),
    "style on vgg19": ("style", VGG),
}
# why a term has no picture
UNPICTURED = {
    "dists": "its published weights are not shipped, and drawn ones ask for nothing",
    "flicker": "it compares the frames of a clip",
    "lpips": "its published weights are not shipped, and drawn ones ask for nothing",
}


def made(name: str, keys: Mapping[str, Any] | None = None, *, narrow: bool = False) -> list[Entry]:
    """Return the stack entries in which the term is shown: itself, and the one that it takes parts from, if any."""
    names = ["adversarial", name] if name == "feature-matching" else [name]
    changed = {n: CONFIGURATIONS.get(n, {}) | (NARROW.get(n, {}) if narrow else {}) for n in names}
    changed[name] |= keys or {}
    return [_entry(n, own) for n, own in changed.items()]


def _entry(name: str, keys: dict[str, Any]) -> Entry:
    part = build(TERMS, {"name": name} | keys, name, "term")
    return Entry(name, part if isinstance(part, Term) else PairTerm(part), Options())
