"""``pixel_opt``, ``perceptual_opt``, ``gan_opt`` and lists of losses as entries of our stack."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from restoration.errors import ConfigError
from restoration.importing.adversarial import adversarial
from restoration.importing.options import Options, Place, dotted

Entry = dict[str, Any]
WEIGHT = ("loss_weight", "weight")


@dataclass(frozen=True)
class Rule:
    """How a loss of theirs is said here.

    ``keys`` are their key → ours, or → ours and what to make of the value; ``only`` are keys that have one value here;
    ``absent`` is what our key is where theirs is not given. ``differs`` says how the two losses differ.
    """

    name: str
    keys: Mapping[str, str | tuple[str, Callable[[Any], Any]]] = field(default_factory=dict)
    added: Mapping[str, Any] = field(default_factory=dict)
    only: Mapping[str, Any] = field(default_factory=dict)
    absent: Mapping[str, Any] = field(default_factory=dict)
    differs: str = ""


MEAN = {"reduction": "mean"}
LUMA = {True: "luma", False: "rgb"}
SMOOTH = ("epsilon", math.sqrt)  # theirs is under the root as it is, ours is squared there
RULES: dict[str, Rule] = {
    "l1": Rule("l1", only=MEAN),
    "mse": Rule("l2", only=MEAN),
    "l2": Rule("l2", only=MEAN),
    "charbonnier": Rule("charbonnier", {"eps": SMOOTH}, only=MEAN, absent={"epsilon": 1e-6}),
    "huber": Rule("huber", {"delta": "delta"}, only=MEAN, absent={"delta": 1.0}),
    "psnr": Rule("psnr", {"toy": ("colour", LUMA.get), "to_y": ("colour", LUMA.get)}, only=MEAN),
    "weightedtv": Rule("total-variation", only=MEAN),
    "tv": Rule("total-variation", only=MEAN),
    "luma": Rule(
        "l1", added={"colour": "luma"}, only={"criterion": "l1"},
        differs="luma here is that of BT.601, as papers measure it",
    ),
    "ssim": Rule(
        "ssim", {"test_y_channel": ("colour", LUMA.get)}, only={"channels": 3, "downsample": False, "crop_border": 0},
        absent={"colour": "luma"}, differs="windows and borders here are those of Wang et al. (2004)",
    ),
    "mssim": Rule(
        "ms-ssim", {"test_y_channel": ("colour", LUMA.get)}, only={"channels": 3, "downsample": False},
        absent={"colour": "luma"},
        differs="theirs is a variant of multi-scale SSIM of its own; ours is that of Wang et al. (2003)",
    ),
    "msssiml1": Rule(
        "zhao-mix", {"alpha": "alpha", "gaussian_sigmas": "sigmas"},
        only={"data_range": 1.0, "k": [0.01, 0.03], "cuda_dev": 0},
        absent={"alpha": 0.1}, differs="ports of this loss multiply the factors of all channels; ours takes their mean",
    ),
    "dists": Rule("dists", only={"as_loss": True, "load_weights": True, "use_input_norm": True, "clip_min": 0}),
    "lpips": Rule("lpips", {"net": "net", "net_type": "net"}),
    "contextual": Rule(
        "contextual", {"net": "features", "band_width": "bandwidth"},
        only={
            "distance_type": "cosine", "calc_type": "regular", "b": 1.0, "use_vgg": True, "crop_quarter": False,
            "z_norm": False,
        },
        differs="layers here are the term's own",
    ),
    "ff": Rule(
        "focal-frequency", {"alpha": "alpha"}, only={"patch_factor": 1, "log_matrix": False, "batch_matrix": False},
        differs="theirs may average the spectrum over the batch; ours is of each image",
    ),
    "fft": Rule(
        "fourier", only=MEAN, differs="theirs is L1 of real and imaginary parts; ours of amplitudes and phases"
    ),
}  # fmt: skip
RULES["focalfrequency"] = RULES["ff"]
# losses without a counterpart: what comes nearest
INSTEAD = {
    "adists": 'the nearest term is "dists"',
    "average": 'the nearest term is "colour"',
    "bicubic": 'the nearest term is "consistency", which compares the degraded images',
    "color": 'the nearest term is "colour"',
    "consistency": 'the nearest terms are "colour" and "l1" with colour = "luma"',
    "edge": 'the nearest term is "gradient" with kind = "laplacian"',
    "fdl": 'the nearest terms are "fourier" and "perceptual"',
    "gradientvariance": 'the nearest term is "gradient"',
    "hsluv": 'the nearest term is "colour" with measure = "delta-e-2000"',
    "ldl": "it weighs L1 by where artefacts are likely; no term here does",
    "msswd": 'the nearest term is "sliced-wasserstein"',
    "perceptualanime": 'the nearest term is "perceptual"',
}
NO_TERM = 'no term here does the same; a class of your own goes in as { name = "basicsr/…", module = "…" }'
USUAL = {"conv1_2": 0.1, "conv2_2": 0.1, "conv3_4": 1.0, "conv4_4": 1.0, "conv5_4": 1.0}


def stack(options: Options, relativistic: bool) -> list[Entry]:
    """Return the entries of our stack, in the order of the file."""
    entries = [entry for place in places(options) for entry in _entries(options, place, relativistic)]
    if not entries:
        found = ", ".join(dotted(place) for place in places(options)) or "none"
        raise ConfigError(
            f"{options.file}: no loss that could be translated ({found}); expected one at least"
        )
    return entries


def places(options: Options) -> list[Place]:
    """Return where losses are described: the list ``train.losses``, and tables ``train.…_opt``."""
    train = options.get("train") or {}
    listed = train.get("losses")
    found: list[Place] = [
        ("train", "losses", i) for i in range(len(listed) if isinstance(listed, list) else 0)
    ]
    return found + [
        ("train", key) for key in train if re.fullmatch(r"\w+_opt", key) and isinstance(train[key], dict)
    ]


def _entries(options: Options, place: Place, relativistic: bool) -> list[Entry]:
    kind = options.get(*place, "type")
    if not isinstance(kind, str):
        raise ConfigError(f"{options.file}: {dotted(place)}.type = {kind!r}: expected the name of a loss")
    if 0 in (options.get(*place, key) for key in WEIGHT):  # switched off
        options.take(*place, to="stack")
        return []
    folded = re.sub(r"_?loss$", "", kind.casefold()).replace("_", "")
    if folded in ("gan", "multiscalegan"):
        return _kept(options, place, adversarial(options, place, folded == "multiscalegan", relativistic))
    if folded in ("perceptual", "vggperceptual", "perceptualfp16"):
        return _perceptual(options, place)
    if folded not in RULES:
        options.report(*place, why=INSTEAD.get(folded, NO_TERM))
        return []
    return _kept(options, place, _by_rule(options, place, RULES[folded]))


def _kept(options: Options, place: Place, entry: Entry) -> list[Entry]:
    """Return the entry with its weight."""
    weight = options.number(*((*place, key) for key in WEIGHT), to="stack.weight")
    return [{"name": entry.pop("name"), "weight": 1.0 if weight is None else float(weight), **entry}]


def _by_rule(options: Options, place: Place, rule: Rule) -> Entry:
    options.take(*place, "type", to="stack.name")
    entry = {"name": rule.name, **rule.added}
    if rule.differs:
        options.remark(*place, "type", why=rule.differs)
    for key in [key for key in options.get(*place) if key not in ("type", *WEIGHT)]:
        value, said = options.get(*place, key), rule.keys.get(key.casefold())
        if said is not None and value is not None:
            ours, made = (said, lambda given: given) if isinstance(said, str) else said
            try:
                entry[ours] = made(value)
            except (TypeError, ValueError):
                raise options.wrong(((*place, key),), value, "a number from 0") from None
            options.take(*place, key, to=f"stack.{ours}")
        elif value is None or (key in rule.only and rule.only[key] == value):
            options.take(*place, key, to="stack.name")
        else:
            options.report(*place, key, why=f"term '{rule.name}' has no such keyword")
    return {**rule.absent, **entry}


def _perceptual(options: Options, place: Place) -> list[Entry]:
    """Return up to two entries: the difference of features, and that of their correlations."""
    options.take(*place, "type", to="stack.name")
    features = options.text((*place, "vgg_type"), to="stack.features") or "vgg19"
    shared: Entry = {"features": features, **_layers(options, place), "distance": _distance(options, place)}
    for key, same in (("use_input_norm", True), ("range_norm", False), ("clip_min", 0)):
        if options.get(*place, key) == same:
            options.take(*place, key, to="stack.name")
        options.report(*place, key, why="features here are of images in [0, 1], normalised as ImageNet's")
    both = options.number((*place, "loss_weight"), to="stack.weight")
    weights = {
        "perceptual": options.number((*place, "perceptual_weight"), to="stack.weight"),
        "style": options.number((*place, "style_weight"), to="stack.weight"),
    }
    own = weights["perceptual"] if weights["perceptual"] is not None else 1.0
    asked = {"perceptual": own, "style": weights["style"] or 0.0}
    factor = 1.0 if both is None else both
    options.report(*place, why="features are compared as they are; no term here does this")
    return [{"name": k, "weight": float(factor * w), **shared} for k, w in asked.items() if factor * w]


def _layers(options: Options, place: Place) -> Entry:
    given = options.get(*place, "layer_weights")
    if not isinstance(given, dict) or not given:
        options.take(*place, "layer_weights", to="stack.layers")
        options.remark(*place, "type", why="no layers are given: those of Real-ESRGAN's files stand")
        return {"layers": list(USUAL), "weights": list(USUAL.values())}
    return {"layers": list(given), "weights": options.numbers(*place, "layer_weights", to="stack.layers")}


def _distance(options: Options, place: Place) -> str:
    criterion = options.get(*place, "criterion")
    if criterion in (None, "l1", "l2"):
        options.take(*place, "criterion", to="stack.distance")
        return criterion or "l1"
    options.report(*place, "criterion", why='features are compared by "l1" or "l2" here; "l1" stands')
    return "l1"
