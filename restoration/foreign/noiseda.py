"""Noise-DA: its restoration network, alone or in a file with the diffusion network that taught it."""

import re

from restoration.foreign.layout import Layout, Match, State, count, has, renamed, width_and_channels

WRAP = "RestorationNet."
# what training needed: the diffusion network and its noise schedule
_TRAINING = (
    r"denoise_fn\..*", r"gammas", r"sqrt_recip_gammas", r"sqrt_recipm1_gammas",
    r"posterior_log_variance_clipped", r"posterior_mean_coef[12]",
)  # fmt: skip
_RESTORATION = {
    r"down_path\.(\d+)\.block\.([02])\.(\w+)": r"encoders.\1.\2.\3",
    r"up_path\.(\d+)\.conv_up\.(\w+)": r"ups.\1.\2",
    r"up_path\.(\d+)\.conv_block\.block\.([02])\.(\w+)": r"decoders.\1.\2.\3",
    r"last\.(\w+)": r"tail.\1",
}
_SR3 = {
    r"(\w+\.\d+)\.res_block\.noise_func\.noise_func\.0\.(\w+)": r"\1.told.\2",
    r"(\w+\.\d+)\.res_block\.(block[12])\.block\.(\d)\.(\w+)": r"\1.\2.\3.\4",
    r"(\w+\.\d+)\.res_block\.res_conv\.(\w+)": r"\1.res_conv.\2",
    r"(\w+\.\d+)\.attn\.(\w+)\.(\w+)": r"\1.attention.\2.\3",
    r"noise_level_mlp\.1\.(\w+)": r"noise_level_mlp.0.\1",
    r"noise_level_mlp\.3\.(\w+)": r"noise_level_mlp.2.\1",
    r"final_conv\.block\.(\d)\.(\w+)": r"final_conv.\1.\2",
}


def noise_da(state: State) -> Match | None:
    """The restoration network (KangLiao929/Noise-DA); ``span`` is a setting, since no file tells the range."""
    wrapped = any(name.startswith(WRAP) for name in state)
    dropped = _TRAINING if wrapped else ()
    state = {n.removeprefix(WRAP): t for n, t in state.items()} if wrapped else state
    if not has(state, "down_path.0.block.0.weight", "last.weight"):
        return None
    width, channels = width_and_channels(state, "down_path.0.block.0.weight")
    levels = count(state, r"down_path\.(\d+)\.")
    spec = {"name": "noise-da", "channels": channels, "width": width, "levels": levels}
    return Match(spec, renamed(state, _RESTORATION, dropped))


def guided_unet(state: State) -> Match | None:
    """The diffusion network in the form of guided diffusion: a part, which training uses."""
    state = _diffusion(state)
    if not has(
        state, "input_blocks.0.0.weight", "cond_embed.0.weight", "output_blocks.0.0.in_layers.2.weight"
    ):
        return None
    width, outputs = state["cond_embed.0.weight"].shape[1], len(state["out.2.weight"])
    total = count(state, r"output_blocks\.(\d+)\.")
    ups = [int(m[1]) for n in state if (m := re.match(r"output_blocks\.(\d+)\.[12]\.in_layers\.", n))]
    per_level = min(ups, default=total - 1) + 1
    firsts = list(range(0, total, per_level))[::-1]
    widths = [len(state[f"output_blocks.{i}.0.in_layers.2.weight"]) for i in firsts]
    spec = {
        "name": "guided-unet", "inputs": state["input_blocks.0.0.weight"].shape[1], "outputs": outputs,
        "width": width, "multipliers": tuple(w // width for w in widths), "blocks": per_level - 1,
        "attention": tuple(
            2**level for level, i in enumerate(firsts) if f"output_blocks.{i}.1.qkv.weight" in state
        ),
    }  # fmt: skip
    return Match(spec, state)


def sr3_unet(state: State) -> Match | None:
    """The diffusion network in the form of SR3: a part, which training uses."""
    state = _diffusion(state)
    if not has(state, "noise_level_mlp.1.weight", "downs.0.weight", "final_conv.block.3.weight"):
        return None
    width, inputs = width_and_channels(state, "downs.0.weight")
    total = count(state, r"ups\.(\d+)\.")
    doublings = [int(m[1]) for n in state if (m := re.match(r"ups\.(\d+)\.conv\.weight", n))]
    per_level = min(doublings, default=total)
    firsts = list(range(0, total, per_level + 1))[::-1]
    widths = [len(state[f"ups.{i}.res_block.block1.block.3.weight"]) for i in firsts]
    norms = [len(t) for n, t in state.items() if n.endswith(".block.0.weight")]
    spec = {
        "name": "sr3-unet", "inputs": inputs, "outputs": len(state["final_conv.block.3.weight"]),
        "width": width, "multipliers": tuple(w // width for w in widths), "blocks": per_level - 1,
        "attention": tuple(
            level for level, i in enumerate(firsts) if f"ups.{i}.attn.qkv.weight" in state
        ),
        # not told by shapes: the default where it divides, else a smaller one
        "groups": next(g for g in (32, 8, 4, 2, 1) if all(n % g == 0 for n in norms)),
    }  # fmt: skip
    return Match(spec, renamed(state, _SR3))


def _diffusion(state: State) -> State:
    """Return the tensors of a diffusion network, taken out of a file that holds it beside others."""
    prefix = "denoise_fn."
    return {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)} or state


LAYOUTS: tuple[Layout, ...] = (noise_da,)
