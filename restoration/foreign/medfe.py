"""MEDFE: encoder, middle and decoder, released in one file each."""

from restoration.foreign.layout import Layout, Match, State, count, has, renamed, width_and_channels

PARTS = ("EN", "MEDFE", "DE")
_ENCODER = {
    r"Encoder_1\.model\.0\.(\w+)": r"stages.0.conv.\1",
    **{rf"Encoder_{i + 1}\.model\.1\.(\w+)": rf"stages.{i}.conv.\1" for i in range(1, 6)},
    **{rf"Encoder_{i + 1}\.model\.2\.(\w+)": rf"stages.{i}.norm.\1" for i in range(1, 6)},
    r"middle\.(\d+)\.conv_block\.1\.weight": r"blocks.\1.conv1.weight",
    r"middle\.(\d+)\.conv_block\.5\.weight": r"blocks.\1.conv2.weight",
}
_DECODER = {
    **{rf"Decoder_{i + 1}\.model\.1\.(\w+)": rf"stages.{i}.conv.\1" for i in range(6)},
    **{rf"Decoder_{i + 1}\.model\.2\.(\w+)": rf"stages.{i}.norm.\1" for i in range(6)},
}
# a convolution is every third layer, after each come a normalisation and an activation
_STEPS = {
    "down_128": "fine.0", "down_64": "fine.1", "down_32": "fine.2", "down_16": "reduced.0",
    "down_8": "reduced.1", "down_4": "reduced.2", "down": "reduce", "fuse": "fuse",
}  # fmt: skip
_MIDDLE = {
    **{
        rf"pc_block\.{theirs}\.model\.{3 * i}\.weight": f"{ours}.convs.{i}.weight"
        for theirs, ours in _STEPS.items()
        for i in range(3)
    },
    r"pc_block\.up\.conv\.weight": "coarse.convs.0.weight",
    **{
        rf"pc_block\.up_{size}\.conv\.weight": f"enlarged.{i}.convs.0.weight"
        for i, size in enumerate((128, 64, 32))
    },
    r"pc_block\.base\.model\.0\.fc\.0\.(\w+)": r"equalise.squeeze.\1",
    r"pc_block\.base\.model\.0\.fc\.2\.(\w+)": r"equalise.excite.\1",
    r"pc_block\.base\.down\.0\.weight": "equalise.join.convs.0.weight",
    **{
        rf"pc_block\.cov_{kernel}\.(\d)\.{theirs}": rf"stacks.{i}.\1.{ours}"
        for i, kernel in enumerate((3, 5, 7))
        for theirs, ours in (
            (r"conv\.input_conv\.weight", "conv.weight"),
            (r"conv\.mask_conv\.weight", "counting"),
            (r"bn\.(\w+)", r"norm.\2"),
        )
    },
    r"loss\.0\.down_model\.0\.(\w+)": r"heads.\1",
}


def medfe(state: State) -> Match | None:
    """MEDFE (KumapowerLIU/Rethinking-Inpainting-MEDFE): its three files joined, names prefixed EN., MEDFE., DE.

    See `restoration.foreign.split`. ``form`` is a setting: "released" computes with the defects of its code.
    """
    parts = {
        part: {n.removeprefix(f"{part}."): t for n, t in state.items() if n.startswith(f"{part}.")}
        for part in PARTS
    }
    if sum(map(len, parts.values())) != len(state) or any(part_of(s) != p for p, s in parts.items()):
        return None
    width, inputs = width_and_channels(parts["EN"], "Encoder_1.model.0.weight")
    spec = {
        "name": "medfe", "channels": inputs // 2, "width": width,
        "blocks": count(parts["EN"], r"middle\.(\d+)\."),
        "counting": any(name.endswith("mask_conv.weight") for name in parts["MEDFE"]),
        "heads": "loss.0.down_model.0.weight" in parts["MEDFE"],
    }  # fmt: skip
    joined = {f"encoder.{n}": t for n, t in renamed(parts["EN"], _ENCODER).items()}
    joined |= {f"decoder.{n}": t for n, t in renamed(parts["DE"], _DECODER).items()}
    for name, tensor in renamed(parts["MEDFE"], _MIDDLE).items():
        joined[name if name.startswith("heads.") else f"middle.{name}"] = tensor
    return Match(spec, joined)


def part_of(state: State) -> str | None:
    """Return which of the three files these tensors are, or None."""
    if has(state, "Encoder_1.model.0.weight", "middle.0.conv_block.1.weight"):
        return "EN"
    if has(state, "pc_block.down_128.model.0.weight", "pc_block.fuse.model.0.weight"):
        return "MEDFE"
    return "DE" if has(state, "Decoder_1.model.1.weight", "Decoder_6.model.1.weight") else None


LAYOUTS: tuple[Layout, ...] = (medfe,)
