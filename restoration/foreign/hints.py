"""What shapes leave open: what the name of a file tells, and what is assumed otherwise, said in one line."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from restoration.foreign.layout import Spec
from restoration.networks.network import Network
from restoration.networks.rfdn import Rfdn

# a scale in a file's name, as in PANx3_DF2K, fsrcnn_x2, 4x_photo
SCALE = re.compile(r"(?<![0-9])([2348])x(?![a-z0-9])|x([2348])(?![0-9])", re.IGNORECASE)


# published files whose range of values nothing in them tells: their names, what they are, what is known of them
PUBLISHED: tuple[tuple[re.Pattern[str], Spec, dict[str, Any]], ...] = (
    # the winner of AIM 2020's challenge on efficient super-resolution, and NTIRE 2022's baseline, which is the same:
    # the scripts that come with both feed 0 … 255
    (
        re.compile(r"rfdn[-_ ]?(aim|baseline)", re.IGNORECASE),
        {"name": "rfdn", "scale": 4, "channels": 3, "width": 50, "blocks": 4},
        {"span": 255.0},
    ),
)
FLAT = 0.02  # how far a flat image may be off that comes back flat: five levels of 255


def hinted(spec: Spec, path: Path) -> dict[str, Any]:
    """Return what the file's name tells where shapes leave it open: a scale, or what is known of a published file."""
    told = {int(found.group(1) or found.group(2)) for found in SCALE.finditer(path.stem)}
    fitting = told & set(_scales(spec))
    facts: dict[str, Any] = {"scale": fitting.pop()} if len(fitting) == 1 else {}
    for name, table, known in PUBLISHED:
        if name.match(path.stem) and spec.items() >= table.items():
            facts |= known
    return facts


def assumed(spec: Spec, settings: Mapping[str, Any], network: Network) -> str:
    """Return what was assumed of a network that its shapes do not tell, and how to say otherwise; or nothing."""
    parts = []
    scales = _scales(spec)
    if len(scales) > 1 and "scale" not in settings:
        others = ", ".join(f"×{scale}" for scale in scales if scale != spec.get("scale", _default(spec)))
        parts.append(
            f"×{spec.get('scale', _default(spec))} of its shapes, which {others} have too: --set scale=N"
        )
    for name, tell in OPEN.items():
        if spec["name"] == name and (text := tell(spec, network)):
            parts += [] if any(f"{key}=" in text for key in settings) else [text]
    return "; ".join(parts)


def _of_edsr(spec: Spec, network: Network) -> str:
    if spec.get("residual_scale") == 1.0:
        return ""
    return "residuals × 0.1, as the authors' models of width 256 have them: --set residual_scale=1.0"


def _of_hdit(spec: Spec, network: Network) -> str:
    if all(kind == "none" for kind in spec["attention"]):
        return ""
    return "neighbourhoods of 7, global in the middle: --set attention=[...]"


def _of_ircnn(spec: Spec, network: Network) -> str:
    if spec["sets"] != 1:
        return ""
    return "IRCNN's dilations, not DnCNN of seven layers: --set dilations=[1,1,1,1,1,1,1]"


def _of_rfdn(spec: Spec, network: Network) -> str:
    """Return a doubt where flat images come back flat at the other range alone.

    A network that restores gives a flat image back; fed with a range that is not its own, it misses by its biases.
    """
    assert isinstance(network, Rfdn)
    own, other = network.span, 1.0 if network.span > 1 else 255.0
    errors = {span: _flat_error(network, span) for span in (own, other)}
    if not errors[other] < min(FLAT, errors[own]):
        return ""
    return f"images of 0 … {own:g}, but flat ones come back at 0 … {other:g} alone: --set span={other:g}"


def _flat_error(network: Rfdn, span: float) -> float:
    """Return how far flat images come back from what they were, at another range of values."""
    levels = torch.tensor([0.1, 0.5, 0.9]).view(3, 1, 1, 1)
    own, network.span = network.span, span
    try:
        with torch.no_grad():
            restored = network(levels.expand(3, network.channels, 24, 24))
    finally:
        network.span = own
    inner = slice(8 * network.scale, -8 * network.scale)
    return (restored[..., inner, inner] - levels).abs().mean().item()


OPEN: dict[str, Callable[[Spec, Network], str]] = {
    "edsr": _of_edsr,
    "hdit": _of_hdit,
    "ircnn": _of_ircnn,
    "rfdn": _of_rfdn,
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
