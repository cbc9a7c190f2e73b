"""Files of ResShift's and SinSR's authors: the denoiser of latents, and the autoencoder that makes them."""

from typing import Any

from restoration.foreign.layout import Layout, Match, State, count, has, renamed, root

COMPUTED = (r".*\.attn_mask", r".*\.relative_position_index")
# what autoencoders are trained with
TRAINING = (r"loss\..*", r"model_ema\..*")
SIZE = 64  # of the authors' latents in training


def _unet(state: State) -> Match | None:
    """Recognise a denoiser. Blocks that change the grid are told on the way up, where each ends a level."""
    if not has(
        state,
        "time_embed.0.weight",
        "input_blocks.0.0.weight",
        "output_blocks.0.0.in_layers.2.weight",
        "out.2.weight",
    ):
        return None
    swin = next(
        (k.removesuffix("patch_embed.proj.weight") for k in state if "patch_embed.proj.weight" in k), None
    )
    if swin is None or not has(state, f"{swin}blocks.0.mlp.fc1.weight"):
        return None
    width, channels = state["time_embed.0.weight"].shape[1], state["out.2.weight"].shape[0]
    levels = _levels(state)
    widths = [state[f"output_blocks.{level[0]}.0.in_layers.2.weight"].shape[0] for level in levels]
    emb, out = state["input_blocks.1.0.emb_layers.1.weight"], state["input_blocks.1.0.out_layers.3.weight"]
    given = state.get("feature_extractor.0.weight", state["input_blocks.0.0.weight"][:, channels:]).shape[1]
    if any(w % width for w in widths):
        return None
    spec = {
        "name": "resshift-unet", "channels": channels, "condition_channels": given - (given % 3 == 1),
        "hole": given % 3 == 1, "width": width, "levels": [w // width for w in widths],
        "blocks": [len(level) - 1 for level in levels],
        "attention": [i for i, at in enumerate(levels) if f"output_blocks.{at[0]}.1.patch_embed.proj.weight" in state],
        "middle_attention": "middle_block.1.patch_embed.proj.weight" in state,
        "shift_and_scale": emb.shape[0] == 2 * out.shape[0],
        "resampling_blocks": len(levels) > 1 and not any(k.endswith(".op.weight") for k in state if k[0] == "i"),
        "shrink": sum(1 for k in state if k.startswith("feature_extractor.") and k.endswith(".op.weight")),
        "transposed_mask": True, **_windows(state, swin, levels),
    }  # fmt: skip
    return Match(spec, renamed(state, {}, COMPUTED))


def _levels(state: State) -> list[list[int]]:
    """Return the numbers of each level's blocks on the way up, the finest level first."""
    levels: list[list[int]] = [[]]
    for i in range(count(state, r"output_blocks\.(\d+)\.")):
        levels[0].append(i)
        last = count(state, rf"output_blocks\.{i}\.(\d+)\.") - 1
        ends = (f"output_blocks.{i}.{last}.conv.weight", f"output_blocks.{i}.{last}.in_layers.2.weight")
        if last and any(name in state for name in ends):
            levels.insert(0, [])
    return levels


def _windows(state: State, swin: str, levels: list[list[int]]) -> dict[str, Any]:
    """Return the settings of Swin layers; see `_size`."""
    width = state[f"{swin}patch_embed.proj.weight"].shape[0]
    tables = [t for k, t in state.items() if k.endswith("relative_position_bias_table")]
    return {
        "swin_width": width, "swin_depth": count(state, rf"{swin.replace('.', '[.]')}blocks[.](\d+)[.]"),
        "head": width // tables[0].shape[1], "window": max((root(t.shape[0]) + 1) // 2 for t in tables),
        "expansion": state[f"{swin}blocks.0.mlp.fc1.weight"].shape[0] / width, "size": _size(state, levels),
    }  # fmt: skip


def _size(state: State, levels: list[list[int]]) -> int:
    """Return the size of latents in training, as masks tell it, and where none shift, the windows themselves.

    A file without what the network computes itself is taken for the authors' size.
    """
    masked, told = [], []
    places = {f"output_blocks.{level[0]}.1.": i for i, level in enumerate(levels)}
    for place, level in {**places, "middle_block.1.": len(levels) - 1}.items():
        table = state.get(f"{place}blocks.0.attn.relative_position_bias_table")
        if table is None:
            continue
        window = (root(table.shape[0]) + 1) // 2
        told.append(window << level)
        mask = state.get(f"{place}blocks.1.attn_mask")
        if mask is not None:
            masked.append(window * root(mask.shape[0]) << level)
    computed = any(name.endswith("relative_position_index") for name in state)
    return max(masked or (told if computed else ()), default=SIZE)


def _vq(state: State) -> Match | None:
    if not has(
        state, "encoder.conv_in.weight", "encoder.down.0.block.0.conv1.weight", "quantize.embedding.weight",
        "decoder.conv_out.weight", "quant_conv.weight",
    ):  # fmt: skip
        return None
    levels = range(count(state, r"encoder\.down\.(\d+)\."))
    width, channels = state["encoder.conv_in.weight"].shape[:2]
    widths = [state[f"encoder.down.{i}.block.0.conv2.weight"].shape[0] for i in levels]
    codes, code_width = state["quantize.embedding.weight"].shape
    if any(w % width for w in widths):
        return None
    spec = {
        "name": "vq-autoencoder", "channels": channels, "width": width, "levels": [w // width for w in widths],
        "blocks": [count(state, rf"encoder\.down\.{i}\.block\.(\d+)\.") for i in levels],
        "attention": [i for i in levels if f"encoder.down.{i}.attn.0.q.weight" in state],
        "latent": state["encoder.conv_out.weight"].shape[0], "codes": codes, "code_width": code_width,
    }  # fmt: skip
    return Match(spec, renamed(state, {}, TRAINING))


LAYOUTS: tuple[Layout, ...] = (_unet, _vq)
