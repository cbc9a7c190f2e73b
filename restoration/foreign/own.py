"""Networks of ours that carry their authors' names, so that nothing is renamed."""

from restoration.foreign.layout import Layout, Spec, State, count, has, root


def _edsr(state: State) -> Spec | None:
    if not has(
        state, "conv_first.weight", "conv_after_body.weight", "conv_last.weight", "body.0.conv1.weight"
    ):
        return None
    width, channels = state["conv_first.weight"].shape[:2]
    shuffles = (count(state, r"upsample\.(\d+)\.weight") + 1) // 2
    scale = root(state["upsample.0.weight"].shape[0] // width) ** shuffles if shuffles else 1
    # not in the file: the authors scale residuals by 0.1 in the large model alone
    residual_scale = 0.1 if width == 256 else 1.0
    blocks = count(state, r"body\.(\d+)\.")
    return {
        "name": "edsr", "scale": scale, "channels": channels, "width": width, "blocks": blocks,
        "residual_scale": residual_scale, "span": 255.0,
    }  # fmt: skip


def _imdn(state: State) -> Spec | None:
    if not has(state, "FEM.0.weight", "FEM.1.sub.0.c1.weight", "FEM.1.sub.0.c2.weight", "RM.0.weight"):
        return None
    width, channels = state["FEM.0.weight"].shape[:2]
    distilled = width - state["FEM.1.sub.0.c2.weight"].shape[0]
    if distilled <= 0 or width % distilled or width == distilled:
        return None
    scale = root(state["RM.0.weight"].shape[0] // channels)
    blocks = count(state, r"FEM\.1\.sub\.(\d+)\.c1\.")
    return {
        "name": "imdn", "scale": scale, "channels": channels, "width": width, "blocks": blocks,
        "distilled": distilled,
    }  # fmt: skip


def _msrresnet(state: State) -> Spec | None:
    if not has(state, "conv_first.weight", "body.0.conv1.weight", "upconv1.weight", "conv_hr.weight"):
        return None
    width, channels = state["conv_first.weight"].shape[:2]
    scale = 4 if "upconv2.weight" in state else root(state["upconv1.weight"].shape[0] // width)
    if scale not in (2, 3, 4):
        return None
    blocks = count(state, r"body\.(\d+)\.")
    return {"name": "msrresnet", "scale": scale, "channels": channels, "width": width, "blocks": blocks}


def _nafnet(state: State) -> Spec | None:
    if not has(state, "intro.weight", "ending.weight", "middle_blks.0.beta", "downs.0.weight"):
        return None
    levels = count(state, r"downs\.(\d+)\.")
    width, channels = state["intro.weight"].shape[:2]
    return {
        "name": "nafnet", "channels": channels, "width": width,
        "encoders": tuple(count(state, rf"encoders\.{i}\.(\d+)\.") for i in range(levels)),
        "middle": count(state, r"middle_blks\.(\d+)\."),
        "decoders": tuple(count(state, rf"decoders\.{i}\.(\d+)\.") for i in range(levels)),
        "attention": "global" if "middle_blks.0.sca.1.weight" in state else "none",
    }  # fmt: skip


def _rrdbnet(state: State) -> Spec | None:
    if not has(state, "conv_first.weight", "body.0.rdb1.conv1.weight", "conv_up1.weight", "conv_last.weight"):
        return None
    width, packed = state["conv_first.weight"].shape[:2]
    channels = state["conv_last.weight"].shape[0]
    scale = {1: 4, 4: 2, 16: 1}.get(packed // channels)
    if scale is None:
        return None
    growth = state["body.0.rdb1.conv1.weight"].shape[0]
    blocks = count(state, r"body\.(\d+)\.")
    return {
        "name": "rrdbnet", "scale": scale, "channels": channels, "width": width, "blocks": blocks,
        "growth": growth,
    }  # fmt: skip


LAYOUTS: tuple[Layout, ...] = (_edsr, _imdn, _msrresnet, _nafnet, _rrdbnet)
