"""Layouts of super-resolution networks as their authors, or BasicSR, released them."""

import torch

from restoration.foreign.layout import (
    Layout,
    Match,
    Names,
    Spec,
    State,
    count,
    has,
    renamed,
    root,
    width_and_channels,
)
from restoration.networks.edsr import channel_mean

PARAMETER = r"\.(weight|bias)"


def _carn(state: State) -> Match | None:
    """One file for ×2, ×3 and ×4 (the largest is chosen), or for one scale; CARN-M has one block per cascade."""
    if not has(state, "sub_mean.shifter.weight", "entry.weight", "b1.c1.body.0.weight", "exit.weight"):
        return None
    width, channels = width_and_channels(state, "entry.weight")
    scales = tuple(s for s in (2, 3, 4) if f"upsample.up{s}.body.0.weight" in state)
    groups = width // state["b1.b1.body.0.weight"].shape[1]
    single = root(state["upsample.up.body.0.weight"].shape[0] // width) if not scales else 0
    single = 4 if "upsample.up.body.3.weight" in state else single
    names: Names = {
        r"(sub|add)_mean\.shifter\.(.*)": lambda m: (
            f"{'remove' if m[1] == 'sub' else 'add'}_mean.conv.{m[2]}"
        ),
        r"entry\.(.*)": r"head.\1",
        r"exit\.(.*)": r"tail.\1",
    }
    spec = {
        "name": "carn", "scale": max(scales, default=single), "scales": scales, "channels": channels,
        "width": width, "groups": groups, "shared": "b1.b2.body.0.weight" not in state,
    }  # fmt: skip
    return Match(spec, renamed(state, {**names, **_cascades(), **_enlargements(single)}))


def _cascades() -> dict[str, str]:
    names = {rf"c{i + 1}\.body\.0{PARAMETER}": rf"merges.{i}.0.\1" for i in range(3)}
    for i in range(3):
        for j in range(3):
            block, merge = rf"b{i + 1}\.b{j + 1}\.body", rf"b{i + 1}\.c{j + 1}\.body"
            ours = f"cascades.{i}.blocks.{j}"
            names[rf"{block}\.0{PARAMETER}"] = rf"{ours}.conv1.\1"
            names[rf"{block}\.2{PARAMETER}"] = rf"{ours}.conv2.\1"
            names[rf"{block}\.4{PARAMETER}"] = rf"{ours}.mix.\1"
            names[rf"{merge}\.0{PARAMETER}"] = rf"cascades.{i}.merges.{j}.0.\1"
    return names


def _enlargements(single: int) -> dict[str, str]:
    return {
        rf"upsample\.up(\d)\.body\.(\d){PARAMETER}": r"enlarge.x\1.\2.\3",
        rf"upsample\.up\.body\.(\d){PARAMETER}": rf"enlarge.x{single}.\1.\2",
    }


def _edsr(state: State) -> Match | None:
    """EDSR as its authors released it: the mean is in the file, and is the one that is built in here."""
    if not has(state, "head.0.weight", "body.0.body.0.weight", "tail.1.weight", "sub_mean.bias"):
        return None
    width, channels = width_and_channels(state, "head.0.weight")
    blocks = count(state, r"body\.(\d+)\.body\.")
    shuffles = [t for name, t in state.items() if name.startswith("tail.0.") and t.ndim == 4]
    names = {
        r"head\.0\.(.*)": r"conv_first.\1",
        r"body\.(\d+)\.body\.0\.(.*)": r"body.\1.conv1.\2",
        r"body\.(\d+)\.body\.2\.(.*)": r"body.\1.conv2.\2",
        rf"body\.{blocks}{PARAMETER}": r"conv_after_body.\1",
        r"tail\.0\.(.*)": r"upsample.\1",
        r"tail\.1\.(.*)": r"conv_last.\1",
    }
    mean = 255 * channel_mean(channels).flatten()
    same = all(
        name in state and torch.allclose(state[name].float(), sign * mean, atol=0.1)
        for name, sign in (("sub_mean.bias", -1), ("add_mean.bias", 1))
    )
    spec = {
        "name": "edsr", "scale": root(shuffles[0].shape[0] // width) ** len(shuffles) if shuffles else 1,
        "channels": channels, "width": width, "blocks": blocks,
        "residual_scale": 0.1 if width == 256 else 1.0,  # of the large model alone; not in the file
    }  # fmt: skip
    return Match(spec, renamed(state, names, dropped=(r"(sub|add)_mean\..*",) if same else ()))


def _espcn(state: State) -> Spec | None:
    if not has(state, "first_part.0.weight", "first_part.2.weight", "last_part.0.weight"):
        return None
    width, channels = width_and_channels(state, "first_part.0.weight")
    narrow = state["first_part.2.weight"].shape[0]
    scale = root(state["last_part.0.weight"].shape[0] // channels)
    return {"name": "espcn", "scale": scale, "channels": channels, "width": width, "narrow": narrow}


def _fsrcnn(state: State) -> Spec | None:
    """The scale is the stride of the last layer, which no shape tells: ×4 unless it is set."""
    if not has(state, "first_part.0.weight", "mid_part.0.weight", "last_part.weight"):
        return None
    width, channels = width_and_channels(state, "first_part.0.weight")
    narrow = state["mid_part.0.weight"].shape[0]
    maps = sum(1 for name, t in state.items() if name.startswith("mid_part.") and t.ndim == 4) - 2
    return {"name": "fsrcnn", "channels": channels, "width": width, "narrow": narrow, "maps": maps}


def _pan(state: State) -> Match | None:
    """Files of ×3 have the shapes of ×2, which is assumed unless ``scale`` is set."""
    if not has(
        state, "conv_first.weight", "SCPA_trunk.0.conv1_a.weight", "upconv1.weight", "att1.conv.weight"
    ):
        return None
    width, channels = width_and_channels(state, "conv_first.weight")
    names = {
        r"conv_first\.(.*)": r"head.\1",
        r"trunk_conv\.(.*)": r"fuse.\1",
        r"conv_last\.(.*)": r"tail.\1",
        r"SCPA_trunk\.(\d+)\.conv1_a\.(.*)": r"body.\1.plain.\2",
        r"SCPA_trunk\.(\d+)\.conv1_b\.(.*)": r"body.\1.attended.\2",
        r"SCPA_trunk\.(\d+)\.k1\.0\.(.*)": r"body.\1.plain2.\2",
        r"SCPA_trunk\.(\d+)\.PAConv\.k2\.(.*)": r"body.\1.weight.\2",
        r"SCPA_trunk\.(\d+)\.PAConv\.k3\.(.*)": r"body.\1.attended2.\2",
        r"SCPA_trunk\.(\d+)\.PAConv\.k4\.(.*)": r"body.\1.attended3.\2",
        r"SCPA_trunk\.(\d+)\.conv3\.(.*)": r"body.\1.merge.\2",
    }
    for i in range(2):
        names[rf"upconv{i + 1}\.(.*)"] = rf"enlarge.{i}.conv1.\1"
        names[rf"att{i + 1}\.conv\.(.*)"] = rf"enlarge.{i}.weight.\1"
        names[rf"HRconv{i + 1}\.(.*)"] = rf"enlarge.{i}.conv2.\1"
    spec = {
        "name": "pan", "scale": 4 if "upconv2.weight" in state else 2, "channels": channels, "width": width,
        "fine": state["upconv1.weight"].shape[0], "blocks": count(state, r"SCPA_trunk\.(\d+)\."),
    }  # fmt: skip
    return Match(spec, renamed(state, names))


def _rcan(state: State) -> Match | None:
    first = "body.0.residual_group.0.rcab"
    if not has(state, "conv_first.weight", f"{first}.0.weight", f"{first}.3.attention.1.weight"):
        return None
    width, channels = width_and_channels(state, "conv_first.weight")
    block = r"body\.(\d+)\.residual_group\.(\d+)\.rcab"
    names = {
        r"conv_first\.(.*)": r"head.\1",
        r"conv_after_body\.(.*)": r"fuse.\1",
        r"conv_last\.(.*)": r"tail.\1",
        r"upsample\.(.*)": r"enlarge.\1",
        rf"{block}\.0\.(.*)": r"body.\1.blocks.\2.conv1.\3",
        rf"{block}\.2\.(.*)": r"body.\1.blocks.\2.conv2.\3",
        rf"{block}\.3\.attention\.1\.(.*)": r"body.\1.blocks.\2.narrow.\3",
        rf"{block}\.3\.attention\.3\.(.*)": r"body.\1.blocks.\2.widen.\3",
    }
    spec = {
        "name": "rcan", "scale": _shuffled(state, width), "channels": channels, "width": width,
        "groups": count(state, r"body\.(\d+)\."),
        "blocks": count(state, r"body\.0\.residual_group\.(\d+)\."),
        "squeeze": width // state[f"{first}.3.attention.1.weight"].shape[0],
    }  # fmt: skip
    return Match(spec, renamed(state, names))


def _srgan(state: State) -> Match | None:
    """SRGAN as iSeeBetter and others hand it on: blocks by number, the first and the last two are not residual."""
    if not has(state, "block1.0.weight", "block2.conv1.weight", "block2.bn1.weight"):
        return None
    width, channels = width_and_channels(state, "block1.0.weight")
    last = count(state, r"block(\d+)\.") - 1
    blocks = last - 3
    shuffles = count(state, rf"block{last}\.(\d+)\.conv\.")
    names = {r"block1\.(.*)": r"head.\1", rf"block{last - 1}\.(.*)": r"fuse.\1"}
    for i in range(blocks):
        names[rf"block{i + 2}\.bn(\d)\.(.*)"] = rf"body.{i}.norm\1.\2"
        names[rf"block{i + 2}\.prelu\.(.*)"] = rf"body.{i}.slope.\1"
        names[rf"block{i + 2}\.(conv\d\..*)"] = rf"body.{i}.\1"
    names[rf"block{last}\.(\d+)\.conv\.(.*)"] = r"enlarge.\1.0.\2"
    names[rf"block{last}\.(\d+)\.prelu\.(.*)"] = r"enlarge.\1.2.\2"
    names[rf"block{last}\.{shuffles}{PARAMETER}"] = r"tail.\1"
    spec = {
        "name": "srgan-generator", "scale": 2**shuffles, "channels": channels, "width": width, "blocks": blocks,
    }  # fmt: skip
    return Match(spec, renamed(state, names))


def _vdsr(state: State) -> Spec | None:
    """The scale is not in the file: the input is enlarged already (×1) unless it is set."""
    if not has(state, "input.weight", "residual_layer.0.conv.weight", "output.weight"):
        return None
    width, channels = width_and_channels(state, "input.weight")
    depth = count(state, r"residual_layer\.(\d+)\.") + 2
    return {"name": "vdsr", "channels": channels, "width": width, "depth": depth}


def _shuffled(state: State, width: int) -> int:
    """Return the scale of pixel shuffles in a row, ``upsample.0``, ``.2`` …; 1 where there are none."""
    kernels = [t for name, t in state.items() if name.startswith("upsample.") and t.ndim == 4]
    return root(kernels[0].shape[0] // width) ** len(kernels) if kernels else 1


LAYOUTS: tuple[Layout, ...] = (
    _carn,
    _edsr,
    _espcn,
    _fsrcnn,
    _pan,
    _rcan,
    _srgan,
    _vdsr,
)
