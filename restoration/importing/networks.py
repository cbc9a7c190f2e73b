"""``network_g`` as one of our networks: ours where there is one, spandrel's, else BasicSR's own through the bridge."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from restoration.bridge.names import OUTPUTS, SCALES
from restoration.config import nearest
from restoration.errors import ConfigError, RequestError
from restoration.importing.options import Options
from restoration.importing.presets import PRESETS

SECTION = "network_g"
MEAN = [0.4488, 0.4371, 0.404]  # of DIV2K, which our EDSR has built in
OF_BASICSR = ("ECBSR", "RCAN", "RIDNet")  # what neither we nor spandrel have under these names and keys


@dataclass(frozen=True)
class Rule:
    """How a type of theirs is said here: their key → ours, what is added, and keys that have one value here."""

    name: str
    keys: Mapping[str, str]
    added: Mapping[str, Any] = field(default_factory=dict)
    only: Mapping[str, Any] = field(default_factory=dict)
    scale: str = "scale"


PLAIN = {
    "num_in_ch": "channels",
    "num_feat": "width",
    "num_block": "blocks",
    "upscale": "scale",
    "scale": "scale",
}
RRDB = Rule(
    "rrdbnet",
    PLAIN
    | {
        "num_grow_ch": "growth",
        "in_nc": "channels",
        "num_filters": "width",
        "num_blocks": "blocks",
        "nf": "width",
    }
    | {"nb": "blocks", "gc": "growth"},
    only={"use_pixel_unshuffle": True},
)
NAF = {
    "img_channel": "channels", "width": "width", "enc_blk_nums": "encoders", "middle_blk_num": "middle",
    "dec_blk_nums": "decoders",
}  # fmt: skip
RULES: dict[str, Rule] = {
    "edsr": Rule(
        "edsr", PLAIN | {"res_scale": "residual_scale", "img_range": "span"}, only={"rgb_mean": MEAN}
    ),
    "esrgan": RRDB,
    "esrgan_lite": Rule("rrdbnet", RRDB.keys, {"width": 32, "blocks": 12}, RRDB.only),
    "msrresnet": Rule("msrresnet", PLAIN),
    "nafnet": Rule("nafnet", NAF, scale=""),
    "rrdbnet": RRDB,
    "srresnet": Rule("msrresnet", PLAIN),
}
ALIASES = {
    "srvggnetcompact": "compact",
    "swinir_large": "swinir_l",
    "swinir_medium": "swinir_m",
    "swinir_small": "swinir_s",
}


def network(options: Options, scale: int | None) -> tuple[dict[str, Any], int]:
    """Return our table of the network and the scale that it enlarges by."""
    kind = options.text((SECTION, "type"), to="network.name")
    if kind is None:
        raise ConfigError(f"{options.file}: {SECTION}.type is missing; expected the name of a network")
    own = {key: options.get(SECTION, key) for key in (options.get(SECTION) or {}) if key != "type"}
    said = next((own[key] for key in SCALES if isinstance(own.get(key), int)), None)
    if scale is not None and said is not None and scale != said:
        raise ConfigError(
            f"{options.file}: scale = {scale}, but {SECTION} enlarges by {said}; expected one of them"
        )
    scale = said or scale or 1
    folded = ALIASES.get(kind.casefold(), kind.casefold())
    if folded in RULES and not (kind.isupper() and kind in OF_BASICSR):
        return _by_rule(options, RULES[folded], scale), scale
    return _of_others(options, kind, folded, scale), scale


def _by_rule(options: Options, rule: Rule, scale: int) -> dict[str, Any]:
    table = {"name": rule.name, **rule.added}
    if rule.scale:
        table[rule.scale] = scale
    for key in _keys(options):
        value = options.get(SECTION, key)
        if key in rule.keys:
            table[rule.keys[key]] = options.take(SECTION, key, to=f"network.{rule.keys[key]}")
        elif key in rule.only:
            _only(options, key, value == rule.only[key], f"'{rule.name}' has {rule.only[key]!r} built in")
        elif key in OUTPUTS:
            _only(options, key, value == table.get("channels", 3), f"'{rule.name}' gives what it takes")
        else:
            options.report(SECTION, key, why=f"network '{rule.name}' has no such keyword")
    return {key: value for key, value in table.items() if value is not None}


def _only(options: Options, key: str, same: bool, why: str) -> None:
    if same:
        options.take(SECTION, key, to="network.name")
    else:
        options.report(SECTION, key, why=why)


def _of_others(options: Options, kind: str, folded: str, scale: int) -> dict[str, Any]:
    if folded in PRESETS and kind not in OF_BASICSR:
        return _of_spandrel(options, dict(PRESETS[folded]), scale)
    if kind not in OF_BASICSR:
        from restoration.networks.spandrel import architectures

        named = {name.casefold(): name for name in architectures()}
        if folded in named:
            return _of_spandrel(options, {"name": "spandrel", "architecture": named[folded]}, scale)
    return _of_basicsr(options, kind)


def _of_spandrel(options: Options, table: dict[str, Any], scale: int) -> dict[str, Any]:
    from restoration.networks.spandrel import Spandrel

    known = Spandrel.keywords(table)
    ratio = next((key for key in SCALES if key in known), None)
    for key in _keys(options):
        value = options.get(SECTION, key)
        if key in known:
            table[key] = options.take(SECTION, key, to=f"network.{key}")
        elif key in SCALES and ratio:
            options.take(SECTION, key, to=f"network.{ratio}")
        elif key in OUTPUTS:
            _only(options, key, value == 3, "networks here give the channels that they take")
        elif value is None:
            options.take(SECTION, key, to="network.name")  # left to the architecture's own default
        else:
            options.report(SECTION, key, why=f"spandrel's {table['architecture']} has no such keyword")
    if ratio:
        table[ratio] = scale
    return {key: value for key, value in table.items() if value is not None}


def _of_basicsr(options: Options, kind: str) -> dict[str, Any]:
    from restoration import bridge
    from restoration.bridge.registry import NOT_HERE, index

    if kind in NOT_HERE:
        raise ConfigError(f"{options.file}: {SECTION}.type = '{kind}': {NOT_HERE[kind]}")
    folder = bridge.location()
    installed = list(index(folder, "network")) if folder else []
    if kind not in (*OF_BASICSR, *installed):
        raise RequestError(f"{options.file}: {SECTION}.type = '{kind}': {_unknown(kind, installed)}")
    table = {"name": f"basicsr/{kind}"}
    for key in _keys(options):
        table[key] = options.take(SECTION, key, to=f"network.{key}")
    return {key: value for key, value in table.items() if value is not None}


def _unknown(kind: str, installed: list[str]) -> str:
    hint = nearest(kind.casefold(), [*RULES, *PRESETS, *installed])
    return (
        f"no network of that name here{hint or ''}; a class of your own goes in by hand: "
        f'name = "basicsr/{kind}", module = "…"'
    )


def _keys(options: Options) -> list[str]:
    return [key for key in options.get(SECTION) if key != "type"]
