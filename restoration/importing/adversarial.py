"""``gan_opt`` and ``network_d`` as a term that owns its discriminator."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from restoration.errors import ConfigError
from restoration.importing.options import Options, Place

SECTION = "network_d"
OBJECTIVES = {
    "vanilla": "bce", "bce": "bce", "lsgan": "least-squares", "mse": "least-squares", "hinge": "hinge",
    "wgan": "wasserstein-gp", "wgan_softplus": "bce",
}  # fmt: skip
RELATIVISTIC = {"vanilla": "relativistic", "lsgan": "relativistic-least-squares"}
LABELS = {"real_label_val": 1.0, "fake_label_val": 0.0}


@dataclass(frozen=True)
class Rule:
    """How a discriminator of theirs is said here: their key → ours, and keys that have one value here."""

    name: str
    keys: Mapping[str, str]
    only: Mapping[str, Any] = field(default_factory=dict)


UNET = Rule("unet-spectral", {"num_in_ch": "channels", "num_feat": "width"}, {"skip_connection": True})
PATCH = {
    "num_in_ch": "channels",
    "num_feat": "width",
    "ndf": "width",
    "num_layers": "layers",
    "n_layers": "layers",
}
RULES: dict[str, Rule] = {
    "multiscalepatchgandiscriminatorsn": Rule("multi-scale", PATCH | {"num_d": "scales"}),
    "patchgan": Rule("patch", PATCH),
    "patchgandiscriminatorsn": Rule("patch", PATCH),
    "unet": UNET,
    "unetdiscriminatorsn": UNET,
    "vggstylediscriminator": Rule(
        "vgg-style", {"num_in_ch": "channels", "num_feat": "width", "input_size": "size"}
    ),
}


def adversarial(options: Options, place: Place, several: bool, relativistic: bool) -> dict[str, Any]:
    """Return the term, without its weight; ``several`` discriminators where the loss sums over them."""
    options.take(*place, "type", to="stack.name")
    kind = str(options.get(*place, "gan_type") or "vanilla")
    entry: dict[str, Any] = {
        "name": "adversarial",
        "objective": _objective(options, place, kind, relativistic),
    }
    if kind == "wgan":
        entry["penalty"] = 0.0  # theirs has none
    for key, same in LABELS.items():
        if options.get(*place, key) == same:
            options.take(*place, key, to="stack.objective")
        options.report(*place, key, why=f"the label is {same:g} here")
    for key in [key for key in options.get(*place) if key not in ("loss_weight", "weight")]:
        options.report(*place, key, why="term 'adversarial' has no such keyword")
    return entry | {"discriminator": _discriminator(options, several)}


def _objective(options: Options, place: Place, kind: str, relativistic: bool) -> str:
    found = (RELATIVISTIC if relativistic else OBJECTIVES).get(kind)
    if found is not None:
        options.take(*place, "gan_type", to="stack.objective")
        if relativistic and kind == "lsgan":
            options.remark(*place, "gan_type", why="relative targets are 1 and -1 here, 1 and 0 in BasicSR")
        return found
    found = "relativistic" if relativistic else "bce"
    options.report(*place, "gan_type", why=f'no such objective here; "{found}" stands')
    return found


def _discriminator(options: Options, several: bool) -> dict[str, Any]:
    kind = options.get(SECTION, "type")
    if not isinstance(kind, str):
        raise ConfigError(
            f"{options.file}: {SECTION}.type = {kind!r}: expected a discriminator for the GAN loss"
        )
    rule = RULES.get(kind.casefold())
    if rule is None:
        stands = Rule("multi-scale", {}) if several else UNET
        options.report(SECTION, "type", why=f'no such discriminator here; "{stands.name}" stands')
        options.report(SECTION, why="a keyword of a discriminator that is not here")
        return {"name": stands.name}
    options.take(SECTION, "type", to="stack.discriminator.name")
    table = {"name": rule.name}
    for key in [key for key in options.get(SECTION) if key != "type"]:
        value = options.get(SECTION, key)
        if key in rule.keys and value is not None:
            table[rule.keys[key]] = options.take(SECTION, key, to=f"stack.discriminator.{rule.keys[key]}")
        elif value is None or (key in rule.only and rule.only[key] == value):
            options.take(SECTION, key, to="stack.discriminator.name")
        else:
            options.report(SECTION, key, why=f"discriminator '{rule.name}' has no such keyword")
    return table
