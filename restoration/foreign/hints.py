"""What shapes leave open: scales that the name of a file tells, and what is assumed otherwise, said in one line."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from restoration.foreign.layout import Spec

# a scale in a file's name, as in PANx3_DF2K, fsrcnn_x2, 4x_photo
SCALE = re.compile(r"(?<![0-9])([2348])x(?![a-z0-9])|x([2348])(?![0-9])", re.IGNORECASE)


def hinted(spec: Spec, path: Path) -> dict[str, Any]:
    """Return the scale that the file's name tells, where the shapes leave it open and the name tells one of those."""
    told = {int(found.group(1) or found.group(2)) for found in SCALE.finditer(path.stem)}
    fitting = told & set(_scales(spec))
    return {"scale": fitting.pop()} if len(fitting) == 1 else {}


def assumed(spec: Spec, settings: Mapping[str, Any]) -> str:
    """Return what was assumed of a network that its shapes do not tell, and how to say otherwise; or nothing."""
    parts = []
    scales = _scales(spec)
    if len(scales) > 1 and "scale" not in settings:
        others = ", ".join(f"×{scale}" for scale in scales if scale != spec.get("scale", _default(spec)))
        parts.append(
            f"×{spec.get('scale', _default(spec))} of its shapes, which {others} have too: --set scale=N"
        )
    for name, (applies, text) in OPEN.items():
        if spec["name"] == name and applies(spec) and not any(f"{key}=" in text for key in settings):
            parts.append(text)
    return "; ".join(parts)


OPEN: dict[str, tuple[Callable[[Spec], bool], str]] = {
    "edsr": (
        lambda spec: spec.get("residual_scale") != 1.0,
        "residuals × 0.1, as the authors' models of width 256 have them: --set residual_scale=1.0",
    ),
    "hdit": (
        lambda spec: any(kind != "none" for kind in spec["attention"]),
        "neighbourhoods of 7, global in the middle: --set attention=[...]",
    ),
    "ircnn": (
        lambda spec: spec["sets"] == 1,
        "IRCNN's dilations, not DnCNN of seven layers: --set dilations=[1,1,1,1,1,1,1]",
    ),
    "rfdn": (
        lambda spec: spec["span"] != 1.0,
        "images of 0 … 255, as RFDN_AIM's, since flat ones come back flat: --set span=1.0",
    ),
}


def _default(spec: Spec) -> int:
    return {"fsrcnn": 4, "vdsr": 1}.get(spec["name"], 1)


def _scales(spec: Spec) -> tuple[int, ...]:
    """Return the scales that a network of these shapes may have; one or none where shapes tell."""
    name, scale = spec["name"], spec.get("scale")
    if name == "carn":
        return tuple(spec["scales"])
    if name == "fsrcnn":
        return (2, 3, 4)
    if name == "vdsr":
        return (1, 2, 3, 4)
    nearest = (
        name == "pan"
        or (name == "rrdbnet" and spec.get("packed") is False)
        or (name == "upconv-srresnet" and spec["enlargement"] == "nearest")
    )
    return (2, 3) if nearest and scale in (2, 3) else ()
