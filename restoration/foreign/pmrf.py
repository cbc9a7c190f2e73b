"""Files of PMRF's authors: the SwinIR that predicts the posterior mean, the HDiT that is the flow's velocity, or both.

Lightning's files hold the velocity as ``model.``, the posterior mean as ``mmse_model.`` and, beside the tensors, the
moving average of the velocity's parameters as a list in their order: that is what restores.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from restoration.foreign.layout import Layout, Match, Spec, State, count, has, heads, renamed, root

VELOCITY, POSTERIOR_MEAN, SETTINGS = "model.", "mmse_model.", "hyper_parameters."
PARALLEL = "module."
# tensors of metrics that ran in training, and what the networks here compute themselves
METRICS = (r"fid\..*", r"inception_score\..*")
COMPUTED = (r".*\.attn_mask", r".*\.relative_position_index", r".*\.pos_emb\.freqs")
# tensors that are no parameters, so that the moving average lacks them
BUFFERS = ("attn_mask", "relative_position_index", "freqs", "time_emb.weight", "aug_emb.weight")
STEPS = 25


def unwrapped(stored: object) -> object:
    """Return the tensors of a file with a moving average, which replaces what it averages; other files as they are.

    Settings that the tensors do not tell become tensors of one number named ``hyper_parameters.…``.
    """
    if not isinstance(stored, Mapping) or "ema" not in stored:
        return stored
    average, state = stored["ema"], stored.get("state_dict")
    if isinstance(average, Mapping) and average and all(isinstance(t, Tensor) for t in average.values()):
        return average
    shadow = average.get("shadow_params") if isinstance(average, Mapping) else average
    if not isinstance(state, Mapping) or not isinstance(shadow, (list, tuple)):
        return stored
    prefix = VELOCITY if any(str(name).startswith(VELOCITY) for name in state) else ""
    names = [n for n in state if n.startswith(prefix) and not n.endswith(BUFFERS)]
    if [state[n].shape for n in names] != [t.shape for t in shadow]:
        return stored
    return {**state, **dict(zip(names, shadow, strict=True)), **_settings(stored.get("hyper_parameters"))}


def _settings(hyper: object) -> State:
    if not isinstance(hyper, Mapping):
        return {}
    sigma, steps = hyper.get("mmse_noise_std"), hyper.get("num_flow_steps")
    found = {"sigma": sigma if isinstance(sigma, (int, float)) else None}
    found["steps"] = steps if isinstance(steps, int) else None
    found["flow"] = {"flow": 1, "naive_flow": 1, "mmse": 0}.get(str(hyper.get("stage")))
    return {f"{SETTINGS}{k}": torch.tensor(v, dtype=torch.float64) for k, v in found.items() if v is not None}


def _flow(state: State) -> Match | None:
    """Recognise a file of Lightning: a flow from the posterior mean, or one of those that it was compared with."""
    rest = renamed(state, {}, METRICS)
    settings = {k.removeprefix(SETTINGS): t for k, t in rest.items() if k.startswith(SETTINGS)}
    parts = {
        prefix: {
            k.removeprefix(prefix).removeprefix(PARALLEL): t for k, t in rest.items() if k.startswith(prefix)
        }
        for prefix in (VELOCITY, POSTERIOR_MEAN)
    }
    known = sum(map(len, parts.values())) + len(settings)
    if known != len(rest) or not parts[VELOCITY]:
        return None
    velocity = _hdit(parts[VELOCITY])
    if velocity is None:
        return _swinir(parts[VELOCITY])
    if settings.get("flow", torch.ones(())) == 0:
        return Match({**velocity.spec, "timed": False}, velocity.state)
    mean = _posterior_mean(parts[POSTERIOR_MEAN]) if parts[POSTERIOR_MEAN] else None
    seen = velocity.spec["seen"] > 0
    if mean is None and (parts[POSTERIOR_MEAN] or not (seen or "flow" in settings)):
        return None if parts[POSTERIOR_MEAN] else velocity
    spec = _flow_spec(velocity.spec, mean, settings)
    tensors = {f"velocity.{k}": t for k, t in velocity.state.items()}
    if mean is not None:
        tensors |= {f"posterior_mean.{k}": t for k, t in mean.state.items()}
    return Match(spec, tensors)


def _flow_spec(velocity: Spec, mean: Match | None, settings: Mapping[str, Tensor]) -> Spec:
    start, seen = "degraded" if mean is None else "posterior-mean", velocity["seen"] > 0
    spec = {
        "name": "posterior-mean-flow", "channels": velocity["channels"], "velocity": velocity,
        # a flow that sees an image starts from noise
        "source": "noise" if seen else start, "condition": start if seen else "none",
        "sigma": float(settings.get("sigma", 0.1)), "steps": int(settings.get("steps", STEPS)),
    }  # fmt: skip
    return spec if mean is None else {**spec, "posterior_mean": mean.spec}


def _posterior_mean(state: State) -> Match | None:
    return _swinir(state) or _hdit(state)


def _swinir(state: State) -> Match | None:
    first, block = "conv_first.1.weight", "layers.0.residual_group.blocks.0."
    table, hidden = f"{block}attn.relative_position_bias_table", f"{block}mlp.fc1.weight"
    if not has(
        state, first, table, hidden, "conv_before_upsample.0.weight", "conv_hr.weight", "conv_last.weight"
    ):
        return None
    (width, packed), channels = state[first].shape[:2], state["conv_last.weight"].shape[0]
    packing, side = root(packed // channels), root(state[table].shape[0])
    groups = count(state, r"layers\.(\d+)\.")
    steps = count(state, r"conv_up(\d+)\.") - 1
    if not packing or side % 2 == 0 or steps < 1:
        return None
    depths = [count(state, rf"layers\.{i}\.residual_group\.blocks\.(\d+)\.") for i in range(groups)]
    spec = {
        "name": "swinir-packed", "channels": channels, "width": width, "groups": depths,
        "heads": heads(state, table.replace(".0.", ".{}.", 1), groups), "window": (side + 1) // 2,
        "expansion": state[hidden].shape[0] / width, "packing": packing, "enlargement": 2**steps,
    }  # fmt: skip
    return Match(spec, renamed(state, {}, COMPUTED))


def _hdit(state: State) -> Match | None:
    """Recognise an HDiT; of its attention, shapes tell only where there is none.

    As in the authors' files, the middle level is taken to attend globally and all others to a neighbourhood of 7.
    """
    if not has(
        state,
        "patch_in.proj.weight",
        "time_emb.weight",
        "mapping.in_norm.scale",
        "mid_level.0.ff.down_proj.weight",
    ):
        return None
    outer = count(state, r"down_levels\.(\d+)\.")
    levels = [*(f"down_levels.{i}." for i in range(outer)), "mid_level."]
    depths = [count(state, rf"{level.replace('.', '[.]')}(\d+)[.]") for level in levels]
    hidden = [state[f"{level}0.ff.down_proj.weight"] for level in levels]
    widths = [tensor.shape[0] for tensor in hidden]
    out, inputs = state["patch_out.proj.weight"].shape[0], state["patch_in.proj.weight"].shape[1]
    channels = 3 if out % 3 == 0 and root(out // 3) else 1
    patch = root(out // channels)
    scales = {i: state.get(f"{level}0.self_attn.scale") for i, level in enumerate(levels)}
    sides = [widths[i] // scale.numel() for i, scale in scales.items() if scale is not None]
    if not patch or inputs % patch**2:
        return None
    kinds = ["neighbourhood"] * outer + ["global"]
    spec = {
        "name": "hdit", "channels": channels, "seen": inputs // patch**2 - channels, "widths": widths,
        "depths": depths, "patch": patch, "expansion": hidden[0].shape[1] / widths[0],
        "attention": [kind if scales[i] is not None else "none" for i, kind in enumerate(kinds)],
        "head": sides[0] if sides else 64, "mapping_width": state["mapping.in_norm.scale"].shape[0],
        "mapping_depth": count(state, r"mapping\.blocks\.(\d+)\."),
        "mapping_hidden": state["mapping.blocks.0.down_proj.weight"].shape[1], "timed": True,
    }  # fmt: skip
    return Match(spec, renamed(state, {}, COMPUTED))


LAYOUTS: tuple[Layout, ...] = (_flow, _swinir, _hdit)
