"""Networks that remove reflections: ERRNet and BaseNet, RRFormer, IBCLN."""

import re

import torch

from restoration.foreign.layout import Layout, Match, State, count, has, heads, renamed, width_and_channels
from restoration.networks.errnet import COLUMNS

_SHARED = {
    r"(conv[123]|deconv[123])\.conv2d\.(\w+)": r"\1.\2",
    r"pyramid_module\.stages\.(\d)\.1\.weight": r"pyramid.stages.\1.weight",
    r"pyramid_module\.bottleneck\.(\w+)": r"pyramid.bottleneck.\1",
}
_ERRNET = {
    **_SHARED,
    r"res_module\.(\d+)\.(conv[12])\.conv2d\.(\w+)": r"body.\1.\2.\3",
    r"res_module\.(\d+)\.se_layer\.fc\.([02])\.(\w+)": r"body.\1.weigh.\2.\3",
}
_TABLE = "swinir_block.layers.{}.residual_group.blocks.0.attn.relative_position_bias_table"
_BLOCK = r"swinir_block\.layers\.(\d+)\.residual_group\.blocks\.(\d+)\."
_RRFORMER = {
    **_SHARED,
    r"swinir_block\.patch_embed\.norm\.(\w+)": r"body.embed.\1",
    _BLOCK + r"(norm[12])\.(\w+)": r"body.groups.\1.blocks.\2.\3.\4",
    _BLOCK + r"attn\.(\w+(?:\.\w+)?)": r"body.groups.\1.blocks.\2.attention.\3",
    _BLOCK + r"mlp\.fc1\.(\w+)": r"body.groups.\1.blocks.\2.dense.0.\3",
    _BLOCK + r"mlp\.fc2\.(\w+)": r"body.groups.\1.blocks.\2.dense.2.\3",
    r"swinir_block\.layers\.(\d+)\.conv\.(\w+)": r"body.groups.\1.conv.\2",
    r"swinir_block\.norm\.(\w+)": r"body.norm.\1",
    r"swinir_block\.conv_after_body\.(\w+)": r"body.conv.\1",
    r"swinir_block\.conv_last\.(\w+)": r"spare.\1",
}
_COMPUTED = (r".*\.attn_mask", r".*\.relative_position_index")
_ESTIMATOR = {
    r"conv_([ifgo])\.0\.(\w+)": r"gates.\1.\2",
    r"outframe1\.0\.(\w+)": r"at_quarter.\1",
    r"outframe2\.0\.(\w+)": r"at_half.\1",
    r"((?:de)?conv\d+|output)\.0\.(\w+)": r"\1.\2",
    **{rf"diconv{i + 1}\.0\.(\w+)": rf"wide.{i}.\1" for i in range(4)},
}


def errnet(state: State) -> Match | None:
    """ERRNet or BaseNet (Vandermode/ERRNet): 1475 input channels are the image's and VGG19's."""
    if not has(state, "conv1.conv2d.weight", "res_module.0.conv1.conv2d.weight", "deconv3.conv2d.weight"):
        return None
    width, inputs = width_and_channels(state, "conv1.conv2d.weight")
    squeezed = state.get("res_module.0.se_layer.fc.0.weight")
    spec = {
        "name": "errnet", "width": width, "blocks": count(state, r"res_module\.(\d+)\."),
        "squeeze": 0 if squeezed is None else width // len(squeezed),
        "pyramid": "pyramid_module.bottleneck.weight" in state, **_inputs(state, inputs),
    }  # fmt: skip
    return Match(spec, renamed(state, _ERRNET))


def rrformer(state: State) -> Match | None:
    """RRFormer (Liar-zzy/Benchmarking-Ultra-High-Definition-Single-Image-Reflection-Removal).

    Its code skips its transformer. A file whose transformer was never trained, the norms being as they began,
    therefore gets ``attention`` = "none"; any other "swin", unless settings say otherwise.
    """
    table = state.get(_TABLE.format(0))
    if table is None or table.ndim != 2 or not has(
        state, "conv1.conv2d.weight", "conv3.conv2d.weight", "deconv3.conv2d.weight",
        "swinir_block.layers.0.residual_group.blocks.0.mlp.fc1.weight",
    ):  # fmt: skip
        return None
    width, inputs = width_and_channels(state, "conv1.conv2d.weight")
    embedding = len(state["conv3.conv2d.weight"])
    groups = count(state, r"swinir_block\.layers\.(\d+)\.")
    blocks = (rf"swinir_block\.layers\.{i}\.residual_group\.blocks\.(\d+)\." for i in range(groups))
    hidden = len(state["swinir_block.layers.0.residual_group.blocks.0.mlp.fc1.weight"])
    spec = {
        "name": "rrformer", "width": width, "embedding": embedding,
        "depths": tuple(count(state, pattern) for pattern in blocks),
        "heads": heads(state, _TABLE, groups), "window": (round(len(table) ** 0.5) + 1) // 2,
        "ratio": hidden // embedding, "attention": "swin" if _trained(state) else "none",
        "spare": "swinir_block.conv_last.weight" in state, **_inputs(state, inputs),
    }  # fmt: skip
    if spec.pop("further"):
        return None
    return Match(spec, renamed(state, _RRFORMER, dropped=_COMPUTED))


def ibcln(state: State) -> Match | None:
    """IBCLN (JHL-HUST/IBCLN): its two files joined, names prefixed by T. and R. (see `restoration.foreign.split`)."""
    layers = {
        ours: {n[2:]: t for n, t in state.items() if n.startswith(theirs)}
        for theirs, ours in (("T.", "transmission"), ("R.", "reflection"))
    }
    if sum(map(len, layers.values())) != len(state) or not all(map(is_estimator, layers.values())):
        return None
    joined: State = {}
    for ours, layer in layers.items():
        joined |= {f"{ours}.{name}": tensor for name, tensor in renamed(layer, _ESTIMATOR).items()}
    return Match({"name": "ibcln", **estimator_settings(layers["transmission"])}, joined)


def is_estimator(state: State) -> bool:
    """Return whether these are the tensors of one of IBCLN's two networks."""
    return has(state, "conv_i.0.weight", "conv1.0.weight", "diconv1.0.weight", "output.0.weight")


def estimator_settings(state: State) -> dict[str, int | bool]:
    """Return the keywords of one of IBCLN's two networks."""
    width, inputs = width_and_channels(state, "conv1.0.weight")
    return {"channels": inputs // 3, "width": width, "sides": "outframe1.0.weight" in state}


def estimator_state(state: State) -> State:
    """Return the tensors of one of IBCLN's two networks under our names."""
    return renamed(state, _ESTIMATOR)


def _inputs(state: State, inputs: int) -> dict[str, int | str]:
    channels = len(state["deconv3.conv2d.weight"])
    columns = inputs - channels == COLUMNS
    further = 0 if columns else inputs - channels
    return {"channels": channels, "columns": "relu-1" if columns else "none", "further": further}


def _trained(state: State) -> bool:
    """Return whether any normalisation of the transformer has left where it began: weight 1, bias 0."""
    norms = {n: t for n, t in state.items() if re.match(r"swinir_block\..*norm\d?\.", n)}
    return not all(torch.all(t == (1 if n.endswith("weight") else 0)) for n, t in norms.items())


LAYOUTS: tuple[Layout, ...] = (errnet, rrformer, ibcln)
