"""Pairs that Real-ESRGAN's options make on the fly, as our chain; the paper's own numbers are its name alone."""

import math
import re
from typing import Any

from restoration.importing.options import Options, Place, is_number

Part = dict[str, Any]
TRAIN = ("datasets", "train")
KINDS = ("realesrgandataset", "otf", "otfdataset", "otfimagedataset")
FAMILIES: dict[str, Part] = {
    "iso": {},
    "aniso": {"isotropic": False},
    "generalized_iso": {"shape": "generalised"},
    "generalized_aniso": {"shape": "generalised", "isotropic": False},
    "plateau_iso": {"shape": "plateau"},
    "plateau_aniso": {"shape": "plateau", "isotropic": False},
}
# what Real-ESRGAN's own option files say; second: keys that end in 2
FIRST: Part = {
    "resize_prob": [0.2, 0.7, 0.1], "resize_range": [0.15, 1.5], "gaussian_noise_prob": 0.5, "noise_range": [1, 30],
    "poisson_scale_range": [0.05, 3], "gray_noise_prob": 0.4, "jpeg_range": [30, 95], "blur_kernel_size": 21,
    "kernel_list": list(FAMILIES), "kernel_prob": [0.45, 0.25, 0.12, 0.03, 0.12, 0.03], "sinc_prob": 0.1,
    "blur_sigma": [0.2, 3], "betag_range": [0.5, 4], "betap_range": [1, 2],
}  # fmt: skip
SECOND: Part = FIRST | {
    "resize_prob": [0.3, 0.4, 0.3], "resize_range": [0.3, 1.2], "noise_range": [1, 25],
    "poisson_scale_range": [0.05, 2.5], "blur_sigma": [0.2, 1.5],
}  # fmt: skip
OTHERS: Part = {"second_blur_prob": 0.8, "final_sinc_prob": 0.8}
MODES = {"area": "area", "bilinear": "bilinear", "bicubic": "bicubic"}
USM = ("l1_gt_usm", "percep_gt_usm", "gan_gt_usm")
TO = "data.degradation"


def asked(options: Options) -> bool:
    """Return whether the file asks for pairs to be made."""
    kind = str(options.get(*TRAIN, "type") or "").casefold().replace("_", "")
    return (
        kind in KINDS or options.get("high_order_degradation") is True or options.get("model_type") == "otf"
    )


def synthesis(options: Options, scale: int) -> Part:
    """Return the degradation: ``real-esrgan`` where every number is the paper's, else the chain it stands for."""
    numbers = [_numbers(options, FIRST, ""), _numbers(options, SECOND, "2")]
    others = {key: _taken(options, key, default) for key, default in OTHERS.items()}
    sharpened = _sharpened(options)
    if missing := [key for key in _keys() if all(options.get(*place) is None for place in _places(key))]:
        options.chosen.append(
            f"what is not said of the pairs is as in Real-ESRGAN's files: {', '.join(missing)}"
        )
    options.take("high_order_degradation", to=TO)
    _rest(options)
    extra = [_extra(options, suffix) for suffix in ("", "2")]
    if numbers == [FIRST, SECOND] and others == OTHERS and extra == [{}, {}] and sharpened != "degraded":
        return {"name": "real-esrgan", "scale": scale} | ({} if sharpened == "both" else {"sharpen": False})
    head = [{"name": "sharpen"} | ({"target": True} if sharpened == "both" else {})] if sharpened else []
    return {
        "name": "chain",
        "of": [
            *head,
            *_order(numbers[0], extra[0], scale, first=True),
            *_order(numbers[1] | {"blur_prob": others["second_blur_prob"]}, extra[1], scale, first=False),
            *_finish(numbers[1], others["final_sinc_prob"], scale),
        ],
    }


def _keys() -> list[str]:
    return [*FIRST, *(f"{key}2" for key in SECOND), *OTHERS]


def _numbers(options: Options, defaults: Part, suffix: str) -> Part:
    numbers = {key: _taken(options, key + suffix, default) for key, default in defaults.items()}
    places = _places(f"kernel_list{suffix}")
    if unknown := [name for name in numbers["kernel_list"] if name not in FAMILIES]:
        raise options.wrong(places, unknown[0], f"kernels of {', '.join(FAMILIES)}")
    if len(numbers["kernel_list"]) != len(numbers["kernel_prob"]):
        raise options.wrong(places, numbers["kernel_list"], "as many kernels as there are in kernel_prob")
    return numbers


def _taken(options: Options, key: str, default: Any) -> Any:  # noqa: ANN401
    """Return what is said of a key, wherever such files say it, else the default."""
    value = options.first(*_places(key), to=TO)
    if value is None:
        return default
    if isinstance(default, list):
        kind = type(default[0])
        fits = isinstance(value, list) and all(
            isinstance(v, str) if kind is str else is_number(v) for v in value
        )
        expected = "a list of names" if kind is str else "a list of numbers"
    else:
        fits, expected = is_number(value), "a number"
    if not fits:
        raise options.wrong(_places(key), value, expected)
    return value


def _places(key: str) -> tuple[Place, ...]:
    return ((key,), (*TRAIN, key), ("degradations", key))


def _sharpened(options: Options) -> str:
    """Return what is sharpened first: ``"both"`` images of a pair, the ``"degraded"`` one, or nothing."""
    if (plain := options.switch(*_places("gt_usm"), to=TO)) is not None:
        return "both" if plain else ""
    said = {key: options.switch(*_places(key), to=TO) for key in USM}
    if all(value is None for value in said.values()):
        # BasicSR's model makes pairs of sharpened images whatever the losses see; its descendants do not
        return "degraded" if str(options.get("model_type") or "").casefold().startswith("realesr") else ""
    targets = [said[key] for key in USM[:2] if said[key] is not None]
    both = any(targets)
    for key in USM:
        if said[key] is not None and said[key] != both:
            place = next(place for place in _places(key) if options.below(*place))
            options.remark(
                *place, why=f"all terms see the {'sharpened' if both else 'unsharpened'} image here"
            )
    return "both" if both else "degraded"


def _extra(options: Options, suffix: str) -> Part:
    """Return what traiNNer-redux says beside: how often there is a blur or JPEG, and how sizes are changed."""
    found: Part = {}
    for key in ("blur_prob", "jpeg_prob"):
        value = options.number(*_places(key + suffix), to=TO)
        if value is not None:
            found[key] = float(value)
    modes, shares = (options.get(f"resize_mode_{which}{suffix}") for which in ("list", "prob"))
    if isinstance(modes, list) and all(mode in MODES for mode in modes):
        options.take(f"resize_mode_list{suffix}", to=TO)
        found["kernels"] = [MODES[mode] for mode in modes]
        if isinstance(shares, list) and len({*shares}) == 1:
            options.take(f"resize_mode_prob{suffix}", to=TO)
    options.report(
        f"resize_mode_list{suffix}", why="the kernels here are area, bilinear and bicubic; all three stand"
    )
    options.report(f"resize_mode_prob{suffix}", why="every kernel is as likely as the others here")
    return found


def _order(numbers: Part, extra: Part, scale: int, first: bool) -> list[Part]:
    """Return blur, resizing, noise and JPEG of one order; the second one's JPEG stands in the finish."""
    often = {"blur_prob": 1.0, **numbers, **extra}["blur_prob"]
    blur = [part for kernels in _kernels(numbers) for part in _sometimes(kernels, often)]
    up, down, keep = _three(numbers["resize_prob"])
    resize: Part = {
        "name": "rescale",
        "factor": numbers["resize_range"],
        "up": up,
        "down": down,
        "keep": keep,
    }
    resize |= {"antialias": False} | ({} if first else {"against": scale})
    resize |= {"kernels": extra["kernels"]} if "kernels" in extra else {}
    parts = [*blur, resize, _noise(numbers)]
    return parts + _sometimes(_jpeg(numbers), extra.get("jpeg_prob", 1.0)) if first else parts


def _finish(numbers: Part, probability: float, scale: int) -> list[Part]:
    sizes = [7, _odd(numbers["blur_kernel_size"])]
    sinc = {"name": "sinc", "size": sizes, "cutoff": [math.pi / 3, math.pi]}
    fitted = [{"name": "fit", "scale": scale, "antialias": False}, *_sometimes(sinc, probability)]
    jpeg = [{"name": "clip"}, _jpeg(numbers)]
    chains = [{"name": "chain", "of": [*fitted, *jpeg]}, {"name": "chain", "of": [*jpeg, *fitted]}]
    return [{"name": "one-of", "of": chains}, {"name": "clip", "levels": 255}]


def _kernels(numbers: Part) -> list[Part]:
    sizes = [7, _odd(numbers["blur_kernel_size"])]
    sinc = float(numbers["sinc_prob"])
    parts: list[Part] = [{"name": "sinc", "size": sizes}] if sinc else []
    weights = [sinc] if sinc else []
    for name, share in zip(numbers["kernel_list"], numbers["kernel_prob"], strict=True):
        family = FAMILIES[name]
        if not share or sinc == 1:
            continue
        beta = {"generalised": "betag_range", "plateau": "betap_range"}.get(family.get("shape", ""))
        own = {"beta": numbers[beta]} if beta else {}
        parts.append({"name": "blur", "sigma": numbers["blur_sigma"], "size": sizes, **family, **own})
        weights.append(round((1 - sinc) * share, 6))
    return parts if len(parts) < 2 else [{"name": "one-of", "of": parts, "weights": weights}]


def _noise(numbers: Part) -> Part:
    grey, share = float(numbers["gray_noise_prob"]), float(numbers["gaussian_noise_prob"])
    gaussian = {"name": "noise", "sigma": numbers["noise_range"], "clip": True, "grey": grey}
    poisson = {"name": "poisson", "strength": numbers["poisson_scale_range"], "clip": True, "grey": grey}
    weights = {} if share == 0.5 else {"weights": [share, round(1 - share, 6)]}
    return {"name": "one-of", "of": [gaussian, poisson], **weights}


def _jpeg(numbers: Part) -> Part:
    return {"name": "jpeg-differentiable", "quality": numbers["jpeg_range"], "convention": "diffjpeg"}


def _sometimes(part: Part, probability: float) -> list[Part]:
    if probability <= 0:
        return []
    return [
        part if probability >= 1 else {"name": "sometimes", "of": part, "probability": float(probability)}
    ]


def _three(shares: list[float]) -> list[float]:
    return [float(share) for share in (*shares, 0, 0, 0)[:3]]


def _odd(size: float) -> int:
    """Return the largest kernel of theirs: they pad what they draw to it."""
    return max(7, int(size) // 2 * 2 + 1)


def _rest(options: Options) -> None:
    """Report what belongs to such files and has no meaning here."""
    reasons = {
        "queue_size": "every pair is drawn from a key of its own here, so no pool has to mix them",
        "high_order_degradations_debug": "restoration degrade shows what a degradation makes",
        "high_order_degradations_debug_limit": "restoration degrade shows what a degradation makes",
        "dataroot_lq_prob": "pairs are either made or read here",
        "lq_usm": 'a part { name = "sharpen" } at the end of the chain does this',
        "lq_usm_radius_range": 'a part { name = "sharpen" } at the end of the chain does this',
        "thicklines_prob": "no such degradation here",
        "kernel_range": "odd sizes from 7 to blur_kernel_size here",
    }
    for key, why in reasons.items():
        for place in _places(key):
            options.report(*place, why=why)
    pattern = re.compile(r"resize_mode_(list|prob)3")
    for key in [key for key in options.document if pattern.fullmatch(key)]:
        options.report(key, why="the last resizing is by area, bilinear or bicubic, all as likely")
