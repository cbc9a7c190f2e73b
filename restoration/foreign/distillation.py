"""Layouts of the distillation networks as their authors released them: IMDN, its small forms, RFDN."""

from restoration.foreign.layout import (
    Layout,
    Match,
    State,
    count,
    has,
    renamed,
    root,
    width_and_channels,
)

PARAMETER = r"\.(weight|bias)"


def _imdn_attentive(state: State) -> Match | None:
    strided = "fea_conv.2.weight" in state
    head = "fea_conv.0.weight" if strided else "fea_conv.weight"
    if not has(state, head, "IMDB1.cca.conv_du.0.weight", "c.0.weight", "upsampler.0.weight"):
        return None
    width, channels = width_and_channels(state, head)
    blocks = count(state, r"IMDB(\d+)\.") - 1
    factor = root(state["upsampler.0.weight"].shape[0] // channels)
    names = {
        r"fea_conv\.(.*)": r"head.\1",
        rf"c\.0{PARAMETER}": r"merge.\1",
        r"LR_conv\.(.*)": r"fuse.\1",
        r"upsampler\.(.*)": r"tail.\1",
    }
    for i in range(blocks):
        names[rf"IMDB{i + 1}\.c([1-4]){PARAMETER}"] = rf"body.{i}.conv\1.\2"
        names[rf"IMDB{i + 1}\.c5{PARAMETER}"] = rf"body.{i}.merge.\1"
        names[rf"IMDB{i + 1}\.cca\.conv_du\.0{PARAMETER}"] = rf"body.{i}.attention.narrow.\1"
        names[rf"IMDB{i + 1}\.cca\.conv_du\.2{PARAMETER}"] = rf"body.{i}.attention.widen.\1"
    spec = {
        "name": "imdn-attentive", "scale": factor // 4 if strided else factor, "channels": channels,
        "width": width, "blocks": blocks, "entry": "strided" if strided else "plain",
    }  # fmt: skip
    return Match(spec, renamed(state, names))


def _imdn_chain(state: State) -> Match | None:
    """IMDN_RTC."""
    if not has(
        state, "model.0.weight", "model.1.sub.0.c1.weight", "model.1.sub.0.c5.weight", "model.2.weight"
    ):
        return None
    width, channels = width_and_channels(state, "model.0.weight")
    blocks = count(state, r"model\.1\.sub\.(\d+)\.c1\.")
    fuse = state.get(f"model.1.sub.{blocks}.weight")
    names = {
        rf"model\.0{PARAMETER}": r"head.\1",
        rf"model\.1\.sub\.(\d+)\.c([1-4]){PARAMETER}": r"body.\1.conv\2.\3",
        rf"model\.1\.sub\.(\d+)\.c5{PARAMETER}": r"body.\1.merge.\2",
        rf"model\.1\.sub\.{blocks}{PARAMETER}": r"fuse.\1",
        rf"model\.2{PARAMETER}": r"tail.0.\1",
    }
    spec = {
        "name": "imdn-chain", "scale": root(state["model.2.weight"].shape[0] // channels),
        "channels": channels, "width": width, "blocks": blocks, "fuse": 1 if fuse is None else fuse.shape[-1],
    }  # fmt: skip
    return Match(spec, renamed(state, names))


def _imdn_edge(state: State) -> Match | None:
    """IMDN_RTE."""
    if not has(state, "fea_conv.0.weight", "fea_conv.2.weight", "block1.c7.weight", "upsampler.0.weight"):
        return None
    width, channels = width_and_channels(state, "fea_conv.0.weight")
    blocks = count(state, r"block(\d+)\.") - 1
    names = {
        r"fea_conv\.0\.(.*)": r"head.\1",
        r"fea_conv\.2\.(.*)": r"stride.\1",
        r"LR_conv\.(.*)": r"fuse.\1",
        r"upsampler\.(.*)": r"tail.\1",
    }
    for i in range(blocks):
        names |= {rf"block{i + 1}\.c{j + 1}\.weight": f"body.{i}.convs.{j}.weight" for j in range(6)}
        names[rf"block{i + 1}\.c7\.weight"] = f"body.{i}.merge.weight"
    scale = root(state["upsampler.0.weight"].shape[0] // channels) // 2
    spec = {"name": "imdn-edge", "scale": scale, "channels": channels, "width": width, "blocks": blocks}
    return Match(spec, renamed(state, names))


def _rfdn(state: State) -> Match | None:
    if not has(state, "fea_conv.weight", "B1.c1_d.weight", "B1.esa.conv_f.weight", "upsampler.0.weight"):
        return None
    width, channels = width_and_channels(state, "fea_conv.weight")
    blocks = count(state, r"B(\d+)\.") - 1
    names = {
        r"fea_conv\.(.*)": r"head.\1",
        rf"c\.0{PARAMETER}": r"merge.\1",
        r"LR_conv\.(.*)": r"fuse.\1",
        r"upsampler\.(.*)": r"tail.\1",
    }
    attention = {
        "conv1": "narrow", "conv_f": "skip", "conv2": "stride", "conv_max": "conv1", "conv3": "conv2",
        "conv3_": "conv3", "conv4": "widen",
    }  # fmt: skip
    for i in range(blocks):
        for j in range(3):
            names[rf"B{i + 1}\.c{j + 1}_d\.(.*)"] = rf"body.{i}.distil.{j}.\1"
            names[rf"B{i + 1}\.c{j + 1}_r\.(.*)"] = rf"body.{i}.residual.{j}.\1"
        names[rf"B{i + 1}\.c4\.(.*)"] = rf"body.{i}.last.\1"
        names[rf"B{i + 1}\.c5\.(.*)"] = rf"body.{i}.merge.\1"
        names |= {rf"B{i + 1}\.esa\.{k}\.(.*)": rf"body.{i}.attention.{v}.\1" for k, v in attention.items()}
    scale = root(state["upsampler.0.weight"].shape[0] // channels)
    spec = {"name": "rfdn", "scale": scale, "channels": channels, "width": width, "blocks": blocks}
    return Match(spec | {"span": 1.0}, renamed(state, names))


LAYOUTS: tuple[Layout, ...] = (_imdn_attentive, _imdn_chain, _imdn_edge, _rfdn)
