"""What BasicSR and spandrel call our tensors, for the networks that they know; how BasicSR builds them."""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import torch

from restoration import bridge
from restoration.errors import RequestError
from restoration.foreign import State
from restoration.networks import NETWORKS
from restoration.networks.spandrel import Adapter, Spandrel
from restoration.restorers.network import Restorer

Program = Literal["basicsr", "spandrel"]
READERS = {"basicsr": "BasicSR", "spandrel": "spandrel (chaiNNer, ComfyUI)"}
RCAN_NAMES = {
    r"head\.(.*)": r"conv_first.\1",
    r"fuse\.(.*)": r"conv_after_body.\1",
    r"tail\.(.*)": r"conv_last.\1",
    r"enlarge\.(.*)": r"upsample.\1",
    r"body\.(\d+)\.blocks\.(\d+)\.conv1\.(.*)": r"body.\1.residual_group.\2.rcab.0.\3",
    r"body\.(\d+)\.blocks\.(\d+)\.conv2\.(.*)": r"body.\1.residual_group.\2.rcab.2.\3",
    r"body\.(\d+)\.blocks\.(\d+)\.narrow\.(.*)": r"body.\1.residual_group.\2.rcab.3.attention.1.\3",
    r"body\.(\d+)\.blocks\.(\d+)\.widen\.(.*)": r"body.\1.residual_group.\2.rcab.3.attention.3.\3",
}
RCAN_AUTHORS_NAMES = {
    r"head\.(.*)": r"head.0.\1",
    r"tail\.(.*)": r"tail.1.\1",
    r"enlarge\.(.*)": r"tail.0.\1",
    r"body\.(\d+)\.blocks\.(\d+)\.conv1\.(.*)": r"body.\1.body.\2.body.0.\3",
    r"body\.(\d+)\.blocks\.(\d+)\.conv2\.(.*)": r"body.\1.body.\2.body.2.\3",
    r"body\.(\d+)\.blocks\.(\d+)\.narrow\.(.*)": r"body.\1.body.\2.body.3.conv_du.0.\3",
    r"body\.(\d+)\.blocks\.(\d+)\.widen\.(.*)": r"body.\1.body.\2.body.3.conv_du.2.\3",
}
SWINIR_KEYWORDS = (
    "img_size", "patch_size", "in_chans", "embed_dim", "depths", "num_heads", "window_size", "mlp_ratio", "qkv_bias",
    "qk_scale", "ape", "patch_norm", "upscale", "img_range", "upsampler", "resi_connection",
)  # fmt: skip
COMPACT_KEYWORDS = ("num_in_ch", "num_out_ch", "num_feat", "num_conv", "upscale", "act_type")


class Official(NamedTuple):
    """A restorer's tensors by a program's names.

    ``architecture`` and ``keywords`` are what BasicSR builds the network from; spandrel reads them from the shapes.
    ``rounded`` says that the program computes the same in another order: equal but for rounding.
    """

    state: State
    architecture: str
    keywords: Mapping[str, Any]
    rounded: bool = False


class Unknown(Exception):
    """Why a program does not know a network."""


def official(restorer: Restorer, program: Program) -> Official:
    """Return the tensors as ``program`` names them; a network that it does not know is a `RequestError`."""
    try:
        return _described(restorer, program)
    except Unknown as reason:
        others = [other for other in TABLES if other != program and _known(restorer, other)]
        serve = " or ".join(f"--format {form}" for form in [*others, "onnx", "hub"])
        raise RequestError(
            f"restorer '{restorer.card.name}': not for {READERS[program]}: {reason}; use {serve}"
        ) from None


def settings(restorer: Restorer) -> dict[str, Any]:
    """Return all keywords of the restorer's network, defaults included."""
    table = restorer.card.network
    parameters = inspect.signature(NETWORKS[str(table["name"])]).parameters
    return {name: table.get(name, parameter.default) for name, parameter in parameters.items()}


def renamed(state: State, names: Mapping[str, str]) -> State:
    """Return the tensors with each name replaced by the first pattern that fits it; others keep theirs."""
    found = {}
    for name, tensor in state.items():
        fitting = next(((p, theirs) for p, theirs in names.items() if re.fullmatch(p, name)), None)
        found[name if fitting is None else re.sub(fitting[0], fitting[1], name)] = tensor
    return found


def _described(restorer: Restorer, program: Program) -> Official:
    name = str(restorer.card.network["name"])
    describe = _bridged if name.startswith(f"{bridge.PACKAGE}/") else TABLES[program].get(name)
    if describe is None:
        raise Unknown(f"none is laid out as '{name}'")
    return describe(restorer)


def _known(restorer: Restorer, program: Program) -> bool:
    try:
        return bool(_described(restorer, program))
    except Unknown:
        return False


def _state(restorer: Restorer) -> State:
    return {
        name: tensor.detach().cpu().contiguous().clone()
        for name, tensor in restorer.network.state_dict().items()
    }


def _images(channels: int) -> dict[str, int]:
    return {"num_in_ch": channels, "num_out_ch": channels}


def _edsr(restorer: Restorer) -> Official:
    own = settings(restorer)
    if own["channels"] != 3:
        raise Unknown("its EDSR is for RGB alone")
    keywords = _images(3) | {
        "num_feat": own["width"], "num_block": own["blocks"], "upscale": own["scale"],
        "res_scale": own["residual_scale"], "img_range": own["span"],
    }  # fmt: skip
    return Official(_state(restorer), "EDSR", keywords)


def _msrresnet(restorer: Restorer) -> Official:
    own = settings(restorer)
    keywords = {"num_feat": own["width"], "num_block": own["blocks"], "upscale": own["scale"]}
    return Official(_state(restorer), "MSRResNet", _images(own["channels"]) | keywords)


def _rrdbnet(restorer: Restorer) -> Official:
    own = settings(restorer)
    if not own["packed"] and own["scale"] != 4:
        raise Unknown(f"its RRDBNet packs pixels at ×{own['scale']}, this one does not")
    keywords = {
        "scale": own["scale"], "num_feat": own["width"], "num_block": own["blocks"], "num_grow_ch": own["growth"],
    }  # fmt: skip
    return Official(_state(restorer), "RRDBNet", _images(own["channels"]) | keywords)


def _esrgan(restorer: Restorer) -> Official:
    own = settings(restorer)
    if own["scale"] not in (1, 2, 4, 8) or own["growth"] != 32:
        raise Unknown("its ESRGAN enlarges by powers of 2 and grows by 32 channels")
    return Official(_state(restorer), "ESRGAN", {})


def _rcan(restorer: Restorer) -> Official:
    own = settings(restorer)
    if own["channels"] != 3:
        raise Unknown("its RCAN is for RGB alone")
    keywords = _images(3) | {
        "num_feat": own["width"], "num_group": own["groups"], "num_block": own["blocks"],
        "squeeze_factor": own["squeeze"], "upscale": own["scale"], "res_scale": own["residual_scale"],
        "img_range": own["span"],
    }  # fmt: skip
    return Official(renamed(_state(restorer), RCAN_NAMES), "RCAN", keywords)


def _authors_rcan(restorer: Restorer) -> Official:
    """RCAN as its authors have it: the mean is taken out, and added, by convolutions."""
    own = settings(restorer)
    if own["channels"] != 3 or own["span"] != 255.0 or own["residual_scale"] != 1.0:
        raise Unknown("its RCAN is for RGB, 255 wide, with residuals as they are")
    groups = own["groups"]
    names = RCAN_AUTHORS_NAMES | {
        r"body\.(\d+)\.conv\.(.*)": rf"body.\1.body.{own['blocks']}.\2",
        r"fuse\.(.*)": rf"body.{groups}.\1",
    }
    mean = restorer.network.get_buffer("mean").flatten().cpu()
    eye = torch.eye(3).view(3, 3, 1, 1)
    means = {
        "sub_mean.weight": eye, "sub_mean.bias": -255.0 * mean, "add_mean.weight": eye.clone(),
        "add_mean.bias": 255.0 * mean,
    }  # fmt: skip
    return Official(renamed(_state(restorer), names) | means, "RCAN", {}, rounded=True)


def _dncnn(restorer: Restorer) -> Official:
    return Official(_state(restorer), "DnCNN", {})


def _nafnet(restorer: Restorer) -> Official:
    if settings(restorer)["attention"] != "global":
        raise Unknown("its NAFNet has channel attention")
    return Official(_state(restorer), "NAFNet", {}, rounded=True)  # it normalises in another order


def _as_spandrel(restorer: Restorer) -> Official:
    return Official(_model_state(restorer), str(restorer.card.network["architecture"]), {})


def _spandrel_in_basicsr(restorer: Restorer) -> Official:
    """Return what spandrel shares with BasicSR under the same names: SwinIR, Compact (there SRVGGNetCompact)."""
    architecture = str(restorer.card.network["architecture"])
    known: Mapping[str, Any] = getattr(_model(restorer), "hyperparameters", {})
    if architecture == "Compact":
        keywords = {name: known[name] for name in COMPACT_KEYWORDS if name in known}
        return Official(_model_state(restorer), "SRVGGNetCompact", keywords)
    if architecture == "SwinIR":
        if known.get("start_unshuffle", 1) != 1:
            raise Unknown("its SwinIR packs no pixels")
        if known.get("upsampler") == "nearest+conv" and known.get("upscale", 2) != 4:
            raise Unknown("its SwinIR with nearest+conv enlarges by 4 alone")
        keywords = {name: known[name] for name in SWINIR_KEYWORDS if name in known}
        return Official(_model_state(restorer), "SwinIR", keywords)
    raise Unknown(f"none is laid out as spandrel's {architecture}")


def _bridged(restorer: Restorer) -> Official:
    table = dict(restorer.card.network)
    architecture = str(table.pop("name")).split("/", 1)[1]
    return Official(_state(restorer), architecture, table)


def _model(restorer: Restorer) -> torch.nn.Module:
    network = restorer.network
    adapter = network.adapter if isinstance(network, Spandrel) else network
    assert isinstance(adapter, Adapter)
    return adapter.model


def _model_state(restorer: Restorer) -> State:
    return {k: t.detach().cpu().contiguous().clone() for k, t in _model(restorer).state_dict().items()}


BASICSR: dict[str, Callable[[Restorer], Official]] = {
    "edsr": _edsr,
    "msrresnet": _msrresnet,
    "rcan": _rcan,
    "rrdbnet": _rrdbnet,
    "spandrel": _spandrel_in_basicsr,
}
SPANDREL: dict[str, Callable[[Restorer], Official]] = {
    "dncnn": _dncnn,
    "nafnet": _nafnet,
    "rcan": _authors_rcan,
    "rrdbnet": _esrgan,
    "spandrel": _as_spandrel,
}
TABLES: dict[Program, dict[str, Callable[[Restorer], Official]]] = {"basicsr": BASICSR, "spandrel": SPANDREL}
