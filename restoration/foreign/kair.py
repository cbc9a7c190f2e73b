"""Layouts of KAIR, and of the denoisers and ESRGAN files that share them."""

import re

from restoration.foreign.layout import (
    Layout,
    Match,
    Spec,
    State,
    count,
    has,
    renamed,
    root,
    width_and_channels,
)

PARAMETER = r"\.(weight|bias)"
NORMALISED = r"model\.\d+\.(weight|bias|running_mean|running_var|num_batches_tracked)"
IRCNN_DEPTH = 7


def _chain(state: State) -> tuple[int, int, int, int] | None:
    """Return inputs, outputs, width and depth where ``state`` is a plain chain of 3×3 convolutions."""
    kernels = [t for name, t in state.items() if t.ndim == 4]
    if len(kernels) < 3 or not all(re.fullmatch(NORMALISED, name) for name in state):
        return None
    if any(kernel.shape[2:] != (3, 3) for kernel in kernels) or not has(state, "model.0.weight"):
        return None
    last = count(state, r"model\.(\d+)\.") - 1
    if not has(state, f"model.{last}.weight"):
        return None
    width, inputs = width_and_channels(state, "model.0.weight")
    return inputs, int(state[f"model.{last}.weight"].shape[0]), width, len(kernels)


def _dncnn(state: State) -> Spec | None:
    shape = _chain(state)
    if shape is None or shape[0] != shape[1]:
        return None
    channels, _, width, depth = shape
    norm = any(name.endswith("running_mean") for name in state)
    if depth == IRCNN_DEPTH and not norm:
        return None
    return {"name": "dncnn", "channels": channels, "width": width, "depth": depth, "batch_norm": norm}


def _ircnn(state: State) -> Match | None:
    """Seven convolutions and no normalisation: IRCNN, whose dilations no shape tells; alone or a set per level."""
    sets = count(state, r"(\d+)\.model\.")
    first = {k.removeprefix("0."): t for k, t in state.items() if k.startswith("0.")} if sets else state
    shape = _chain(first)
    if shape is None or shape[0] != shape[1] or shape[3] != IRCNN_DEPTH or "model.3.running_mean" in first:
        return None
    names = {
        rf"(\d+)\.model\.(\d+){PARAMETER}": r"sets.\1.\2.\3",
        rf"model\.(\d+){PARAMETER}": r"sets.0.\1.\2",
    }
    spec = {"name": "ircnn", "channels": shape[0], "width": shape[2], "sets": sets or 1}
    return Match(spec, renamed(state, names))


def _fdncnn(state: State) -> Spec | None:
    shape = _chain(state)
    if shape is None or shape[0] != shape[1] + 1 or shape[1] not in (1, 3):
        return None
    return {"name": "fdncnn", "channels": shape[1], "width": shape[2], "depth": shape[3]}


def _ffdnet(state: State) -> Spec | None:
    shape = _chain(state)
    if shape is None or shape[0] != shape[1] + 1 or shape[1] % 4:
        return None
    return {"name": "ffdnet", "channels": shape[1] // 4, "width": shape[2], "depth": shape[3]}


def _imdn(state: State) -> Match | None:
    if not has(state, "model.0.weight", "model.1.sub.0.conv1x1.weight", "model.2.weight"):
        return None
    width, channels = width_and_channels(state, "model.0.weight")
    blocks = count(state, r"model\.1\.sub\.(\d+)\.conv1\.")
    names = {
        rf"model\.0{PARAMETER}": r"head.\1",
        rf"model\.1\.sub\.(\d+)\.conv([123])\.0{PARAMETER}": r"body.\1.conv\2.\3",
        rf"model\.1\.sub\.(\d+)\.conv4{PARAMETER}": r"body.\1.conv4.\2",
        rf"model\.1\.sub\.(\d+)\.conv1x1{PARAMETER}": r"body.\1.merge.\2",
        rf"model\.1\.sub\.{blocks}{PARAMETER}": r"fuse.\1",
        rf"model\.2{PARAMETER}": r"tail.0.\1",
    }
    scale = root(state["model.2.weight"].shape[0] // channels)
    spec = {"name": "imdn-chain", "scale": scale, "channels": channels, "width": width, "blocks": blocks}
    return Match(spec, renamed(state, names))


def _msrresnet(state: State) -> Match | None:
    """MSRResNet1: BasicSR's MSRResNet under other names."""
    if not has(state, "conv_first.weight", "recon_trunk.0.conv1.weight", "upconv1.weight", "HRconv.weight"):
        return None
    width, channels = width_and_channels(state, "conv_first.weight")
    scale = 4 if "upconv2.weight" in state else root(state["upconv1.weight"].shape[0] // width)
    names = {r"recon_trunk\.(.*)": r"body.\1", r"HRconv\.(.*)": r"conv_hr.\1"}
    blocks = count(state, r"recon_trunk\.(\d+)\.")
    spec = {"name": "msrresnet", "scale": scale, "channels": channels, "width": width, "blocks": blocks}
    return Match(spec, renamed(state, names))


def _upconv_srresnet(state: State) -> Match | None:
    """MSRResNet0: indices in one sequence, which depend on how often it enlarges."""
    if not has(state, "model.0.weight", "model.1.sub.0.res.0.weight"):
        return None
    width, channels = width_and_channels(state, "model.0.weight")
    blocks = count(state, r"model\.1\.sub\.(\d+)\.res\.")
    tail = _tail(state)
    if len(tail) < 2:
        return None
    first = state[f"model.{tail[0]}.weight"].shape[0]
    shuffles = len(tail) > 2 and first != width
    factor = root(first // width) if shuffles else 2
    names = {
        rf"model\.0{PARAMETER}": r"head.\1",
        rf"model\.1\.sub\.(\d+)\.res\.0{PARAMETER}": r"body.\1.conv1.\2",
        rf"model\.1\.sub\.(\d+)\.res\.2{PARAMETER}": r"body.\1.conv2.\2",
        rf"model\.1\.sub\.{blocks}{PARAMETER}": r"fuse.\1",
    }
    names |= {rf"model\.{index}{PARAMETER}": rf"enlarge.{i}.\1" for i, index in enumerate(tail[:-2])}
    names |= {rf"model\.{tail[-2]}{PARAMETER}": r"last.\1", rf"model\.{tail[-1]}{PARAMETER}": r"tail.\1"}
    spec = {
        "name": "upconv-srresnet", "scale": factor ** (len(tail) - 2), "channels": channels, "width": width,
        "blocks": blocks, "enlargement": "shuffle" if shuffles else "nearest",
    }  # fmt: skip
    return Match(spec, renamed(state, names))


def _rrdb(state: State) -> Match | None:
    """RRDB: ESRGAN with indices in one sequence, as KAIR and the first ESRGAN files have it."""
    if not has(state, "model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight"):
        return None
    width, channels = width_and_channels(state, "model.0.weight")
    blocks = count(state, r"model\.1\.sub\.(\d+)\.RDB1\.")
    tail = _tail(state)
    if len(tail) < 2:
        return None
    names = {
        rf"model\.0{PARAMETER}": r"conv_first.\1",
        rf"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)(?:\.0)?{PARAMETER}": r"body.\1.rdb\2.conv\3.\4",
        rf"model\.1\.sub\.{blocks}{PARAMETER}": r"conv_body.\1",
    }
    names |= {rf"model\.{index}{PARAMETER}": rf"conv_up{i + 1}.\1" for i, index in enumerate(tail[:-2])}
    names |= {
        rf"model\.{tail[-2]}{PARAMETER}": r"conv_hr.\1",
        rf"model\.{tail[-1]}{PARAMETER}": r"conv_last.\1",
    }
    growth = state["model.1.sub.0.RDB1.conv1.0.weight"].shape[0]
    spec = _unpacked(len(tail) - 2, channels, width, blocks, growth)
    return Match(spec, renamed(state, names))


def _rrdbnet(state: State) -> Match | None:
    """RRDBNet: ESRGAN by names, as BSRGAN's and the later ESRGAN files have it."""
    if not has(
        state, "conv_first.weight", "RRDB_trunk.0.RDB1.conv1.weight", "upconv1.weight", "HRconv.weight"
    ):
        return None
    width, channels = width_and_channels(state, "conv_first.weight")
    blocks = count(state, r"RRDB_trunk\.(\d+)\.")
    names = {
        r"RRDB_trunk\.(\d+)\.RDB(\d)\.(.*)": r"body.\1.rdb\2.\3",
        r"trunk_conv\.(.*)": r"conv_body.\1",
        r"upconv(\d)\.(.*)": r"conv_up\1.\2",
        r"HRconv\.(.*)": r"conv_hr.\1",
    }
    growth = state["RRDB_trunk.0.RDB1.conv1.weight"].shape[0]
    spec = _unpacked(count(state, r"upconv(\d)\.") - 1, channels, width, blocks, growth)
    return Match(spec, renamed(state, names))


def _unpacked(steps: int, channels: int, width: int, blocks: int, growth: int) -> Spec:
    # a single step may be one of 3; shapes do not tell, and files of ×3 are rare
    return {
        "name": "rrdbnet", "scale": 2**steps, "channels": channels, "width": width, "blocks": blocks,
        "growth": growth, "packed": False,
    }  # fmt: skip


def _tail(state: State) -> list[int]:
    """Return the indices of the convolutions behind the skip, in order."""
    found = (re.fullmatch(r"model\.(\d+)\.weight", name) for name in state)
    return sorted(int(match.group(1)) for match in found if match)[1:]


LAYOUTS: tuple[Layout, ...] = (
    _dncnn,
    _fdncnn,
    _ffdnet,
    _imdn,
    _ircnn,
    _msrresnet,
    _rrdb,
    _rrdbnet,
    _upconv_srresnet,
)
