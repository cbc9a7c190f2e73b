"""Official networks that restore nothing by themselves: discriminators, diffusion networks, parts of cascades."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from restoration.errors import WeightsError
from restoration.foreign import discriminators, noiseda, rbpn, reflection
from restoration.foreign.layout import (
    Layout,
    Match,
    Spec,
    State,
    count,
    difference,
    has,
    renamed,
    width_and_channels,
)
from restoration.losses.discriminators.haar_trunk import HaarTrunk, from_official
from restoration.losses.discriminators.patch import Patch
from restoration.losses.discriminators.vgg import VggStyle
from restoration.networks.guided_unet import GuidedUnet
from restoration.networks.ibcln import LayerEstimator
from restoration.networks.rbpn import DbpnS
from restoration.networks.sr3_unet import Sr3Unet

PARTS: dict[str, Callable[..., nn.Module]] = {
    "dbpn-s": DbpnS,
    "guided-unet": GuidedUnet,
    "haar-trunk": HaarTrunk,
    "ibcln-estimator": LayerEstimator,
    "patch": Patch,
    "sr3-unet": Sr3Unet,
    "vgg-style": VggStyle,
}
# what each is, to who asked for a restorer
KINDS = {
    "dbpn-s": "the back-projection network within RBPN",
    "guided-unet": "a diffusion network",
    "haar-trunk": "a discriminator",
    "ibcln-estimator": "one of the two networks of IBCLN",
    "patch": "a discriminator",
    "sr3-unet": "a diffusion network",
    "vgg-style": "a discriminator",
}


def recognise_part(state: State, settings: Mapping[str, Any] | None = None) -> tuple[nn.Module, Spec]:
    """Return the module that ``state`` belongs to, filled with it, and its table (``name`` and keywords).

    ``settings`` replaces keywords that shapes cannot tell, such as ``head`` of a guided U-Net. What no layout fits
    is refused with a `WeightsError`.
    """
    complaint = "of no known part of a system"
    for layout in LAYOUTS:
        match = layout(state)
        if not isinstance(match, Match):
            continue
        spec = {**match.spec, **(settings or {})}
        module = PARTS[spec["name"]](**{k: v for k, v in spec.items() if k != "name"})
        if not (misfit := difference(module.state_dict(), match.state)):
            module.load_state_dict(match.state)
            return module, spec
        complaint = f"looks like {spec['name']}, but {misfit}"
    raise WeightsError(complaint)


def named(state: State) -> str:
    """Return what is known by its names alone, as no network here uses it; or nothing."""
    if has(
        state, "encoder.conv_in.weight", "decoder.conv_out.weight", "encoder.mid_block.resnets.0.conv1.weight"
    ):
        levels = count(state, r"encoder\.down_blocks\.(\d+)\.")
        latent = state["decoder.conv_in.weight"].shape[1]
        return f"an AutoencoderKL of diffusers ({latent} latent channels, {2 ** (levels - 1)} times smaller)"
    kl = "quantize.embedding.weight" not in state
    if kl and has(
        state, "encoder.conv_in.weight", "encoder.down.0.block.0.conv1.weight", "quant_conv.weight"
    ):
        latent = state["quant_conv.weight"].shape[0] // 2
        return f"a KL autoencoder of latent diffusion ({latent} latent channels)"
    return ""


def ibcln_estimator(state: State) -> Match | None:
    """One of IBCLN's two networks: one step from picture and both layers to one of them."""
    if not reflection.is_estimator(state):
        return None
    spec = {"name": "ibcln-estimator", **reflection.estimator_settings(state)}
    return Match(spec, reflection.estimator_state(state))


def haar_trunk(state: State) -> Match | None:
    """The discriminator of PCL-SR (Aitical/PCL-SISR): its transform's filters are ours, and dropped."""
    prefix = "loss_module.1."
    state = {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)} or state
    state = {name: tensor for name, tensor in state.items() if not name.startswith("DWT2.")}
    if not has(state, "features.0.0.weight", "features.14.0.weight", "classifier.1.weight"):
        return None
    width, inputs = width_and_channels(state, "features.0.0.weight")
    last, wavelet = len(state["features.14.0.weight"]), inputs == 9
    spec: Spec = {"name": "haar-trunk", "width": width, "front": "haar" if wavelet else "none"}
    if state["classifier.1.weight"].ndim == 2:
        side = round((state["classifier.1.weight"].shape[1] / last) ** 0.5)
        spec |= {"head": "scalar", "size": side * (32 if wavelet else 16)}
    return Match(spec, from_official(state))


def patch(state: State) -> Match | None:
    """A PatchGAN with instance normalisation, as IBCLN's: convolutions at every third place after the first."""
    last = count(state, r"model\.(\d+)\.") - 1
    places = [0, *range(2, last + 1, 3)]
    kernels = [f"model.{i}.weight" for i in places]
    if last < 5 or set(state) != {name for i in places for name in (f"model.{i}.weight", f"model.{i}.bias")}:
        return None
    if any(state[name].ndim != 4 or state[name].shape[-1] != 4 for name in kernels):
        return None
    width, channels = width_and_channels(state, kernels[0])
    names = {rf"model\.{i}\.(\w+)": rf"blocks.{k}.0.\1" for k, i in enumerate(places[:-1])}
    names[rf"model\.{last}\.(\w+)"] = r"last.\1"
    spec = {
        "name": "patch", "layers": len(places) - 2, "width": width, "channels": channels, "norm": "instance",
    }  # fmt: skip
    return Match(spec, renamed(state, names))


LAYOUTS: tuple[Layout, ...] = (
    noiseda.guided_unet, noiseda.sr3_unet, rbpn.dbpn_s, ibcln_estimator, haar_trunk, patch,
    *discriminators.LAYOUTS,
)  # fmt: skip
