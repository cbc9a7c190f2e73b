"""Systems that their authors publish as two files: joined to one restorer; each alone restores nothing."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from restoration.errors import RequestError
from restoration.networks.network import Network
from restoration.restorers.network import Restorer

# by the option that names the second file: the network of both, and its keyword for the first
SYSTEMS = {"autoencoder": ("resshift", "unet"), "posterior-mean": ("posterior-mean-flow", "velocity")}
# networks that restore nothing without the other file: what each is, and the option that names the other
ALONE = {
    "resshift-unet": ("a denoiser of latents", "autoencoder"),
    "hdit": ("a flow's velocity", "posterior-mean"),
}


def joined(
    first: Path, option: str, second: Path, settings: Mapping[str, Any]
) -> tuple[Network, dict[str, Any]]:
    """Return the restorer's network of two files, and the table that describes it.

    ``option`` is a key of `SYSTEMS`, and says what ``second`` is. ``settings`` are keywords of the network of both,
    such as ``sampling`` and ``steps`` of `ResShift`, or ``sigma`` of `PosteriorMeanFlow`.
    """
    from restoration import frozen
    from restoration.config import build
    from restoration.errors import ConfigError
    from restoration.networks import NETWORKS

    system, keyword = SYSTEMS[option]
    named = {"name": system, keyword: str(first), option.replace("-", "_"): str(second)}
    if wrong := next((key for key in settings if key in named), None):
        raise RequestError(f"--set {wrong}: the files say that; got {first} and --{option} {second}")
    spec = frozen.resolved(named, "network")
    spec = {**spec, **_told(spec), **settings}
    try:
        network = build(NETWORKS, spec, "network", "network")
    except (ConfigError, ValueError) as error:
        raise RequestError(f"{first} with --{option} {second}: {error}") from None
    frozen.fill(network, spec, "network")
    return network.eval(), spec


def refuse_alone(restorer: Restorer, source: str) -> None:
    """Refuse to apply one of two files, in a line that says how to join them."""
    table = getattr(getattr(restorer, "card", None), "network", {})
    if table.get("name") not in ALONE or table.get("timed") is False or "file" not in restorer.card.training:
        return
    what, option = ALONE[table["name"]]
    raise RequestError(
        f"{source}: {what}, no restorer by itself; join the other file to it: "
        f"restoration weights import {source} --{option} FILE --out RESTORER.safetensors"
        + ("; or --set timed=false where it restores in one pass" if table["name"] == "hdit" else "")
    )


def _told(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of both that follow from each."""
    if spec["name"] == "resshift":
        levels, shrink = spec["autoencoder"].get("levels", ()), spec["unet"].get("shrink", 0)
        scale = 2 ** (len(levels) - 1) >> shrink if levels else 0
        return {"scale": scale} if scale else {}
    velocity = spec["velocity"]
    told = {"channels": velocity.get("channels", 3)}
    if velocity.get("seen", 0):
        return {**told, "source": "noise", "condition": "posterior-mean"}
    return {**told, "source": "posterior-mean"}
