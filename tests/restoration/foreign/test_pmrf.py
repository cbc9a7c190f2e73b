"""PMRF's official files: tensors, counts and outputs, the moving average, and flows from and without a mean."""

import parity
import pytest
import torch
from torch import Tensor

from restoration.errors import WeightsError
from restoration.foreign import LAYOUTS, Match, difference, read_state, recognise
from restoration.foreign.pmrf import STEPS
from restoration.networks import NETWORKS
from restoration.networks.hdit import Hdit
from restoration.networks.placing import placed_noise
from restoration.networks.posterior_mean_flow import PosteriorMeanFlow
from restoration.networks.swinir import SwinIrPacked
from restoration.weights import load, save

HDIT = {
    "widths": (16, 32),
    "depths": (1, 2),
    "head": 8,
    "patch": 2,
    "mapping_width": 16,
    "mapping_hidden": 24,
}
SWINIR = {"width": 16, "groups": (2, 3), "heads": 2, "window": 4, "packing": 4, "enlargement": 4}
TIMES = torch.tensor([0.15, 0.8])


def count(network: torch.nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def official(network: torch.nn.Module) -> dict[str, Tensor]:
    """Return tensors by the formula, with those beside that an official file holds and a network computes."""
    state = parity.formula_state(parity.entries_of(network.state_dict()))
    for name, module in network.named_modules():
        if hasattr(module, "relative_position_bias_table"):
            side = module.side**2
            state[f"{name}.relative_position_index"] = torch.zeros(side, side, dtype=torch.int64)
            if module.shift:
                state[f"{name.removesuffix('.attn')}.attn_mask"] = torch.zeros(4, side, side)
        if hasattr(module, "freqs"):
            state[f"{name}.pos_emb.freqs"] = module.freqs
    return state


@pytest.mark.parametrize("name", ["swinir_M", "swinir_L"])
def test_official_predictors_are_recognised_whole(name):
    check_layout("pmrf_swinir", name)


@pytest.mark.parametrize("name", ["hdit_XL2", "hdit_ImageNet256Sp4"])
def test_official_velocities_are_recognised_whole(name):
    check_layout("pmrf_hdit", name)


def check_layout(pack: str, name: str) -> None:
    entries, about = parity.layout(pack, name)
    with torch.device("meta"):
        state = {n: torch.empty(shape, dtype=getattr(torch, kind)) for n, shape, kind in entries}
        match = next(m for layout in LAYOUTS if isinstance(m := layout(state), Match))
        network = NETWORKS[match.spec["name"]](**{k: v for k, v in match.spec.items() if k != "name"})
    assert difference(network.state_dict(), match.state) == ""
    assert count(network) == about["parameters"]


def test_predictor_gives_the_recorded_output(tmp_path):
    sample = parity.sample("pmrf_swinir", "swinir_e24")
    network, spec = recognise(sample.state(), tmp_path)
    assert spec["name"] == "swinir-packed" and count(network) == sample.parameters
    with torch.no_grad():
        sample.check(network.eval()(parity.uniform(1, 3, 128, 64)))


@pytest.mark.parametrize(
    ("name", "size", "settings"),
    [
        ("hdit_global", (2, 3, 24, 32), {"attention": ("global", "global")}),
        ("hdit_window", (2, 3, 16, 24), {"attention": ("shifted-window", "global"), "window": 4}),
        ("hdit_neighbourhood_substitute", (2, 3, 24, 32), {}),
        ("hdit_no_time", (1, 3, 16, 16), {}),
    ],
)
def test_velocity_gives_the_recorded_output(name, size, settings, tmp_path):
    sample = parity.sample("pmrf_hdit", name)
    network, spec = recognise(sample.state(), tmp_path, settings)
    assert spec["name"] == "hdit" and count(network) == sample.parameters
    with torch.no_grad():
        sample.check(network.eval()(parity.uniform(*size), None if name == "hdit_no_time" else TIMES))


@pytest.mark.parametrize(
    "network",
    [
        SwinIrPacked(**SWINIR),
        SwinIrPacked(channels=1, width=12, groups=(1,), heads=3, window=2, packing=2, enlargement=8),
        SwinIrPacked(width=24, groups=(3, 1), heads=4, expansion=1.5),
        Hdit(**HDIT),
        Hdit(**HDIT, seen=3),
        Hdit(**HDIT | {"channels": 1, "patch": 4, "mapping_depth": 3, "expansion": 2.0}),
        Hdit(
            widths=(8, 16, 32), depths=(1, 1, 1), attention=("none", "neighbourhood", "global"),
            head=8, patch=2, mapping_width=16, mapping_hidden=8,
        ),
    ],
    ids=lambda n: type(n).__name__,
)  # fmt: skip
@pytest.mark.parametrize("kept", [True, False], ids=["with computed tensors", "without"])
def test_other_sizes_are_recognised(network, kept, tmp_path):
    state = official(network)
    own = {k: v for k, v in state.items() if k in network.state_dict()}
    network.load_state_dict(own)
    found, _ = recognise(state if kept else own, tmp_path)
    channels = network.channels + getattr(network, "seen", 0)
    image = parity.uniform(2, channels, 2 * network.multiple, network.multiple)
    with torch.no_grad():
        assert torch.equal(found.eval()(image), network.eval()(image))


def lightning(velocity: Hdit, mean: SwinIrPacked | None = None, **more: object) -> dict[str, object]:
    state = {f"model.{k}": v for k, v in official(velocity).items()}
    state |= {f"mmse_model.{k}": v for k, v in (official(mean) if mean else {}).items()}
    return {"state_dict": {**state, "fid.real_features_sum": torch.zeros(4)}, "epoch": 3, **more}


def shadow(network: torch.nn.Module) -> list[Tensor]:
    return [p.detach() + 0.01 * (i + 1) for i, (_, p) in enumerate(network.named_parameters())]


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_file_of_both_parts_is_the_flow_with_its_moving_average(wrapped, tmp_path):
    velocity, mean = Hdit(**HDIT), SwinIrPacked(**SWINIR)
    for network in (velocity, mean):
        network.load_state_dict({k: v for k, v in official(network).items() if k in network.state_dict()})
    averaged = shadow(velocity)
    ema = {"decay": 0.9999, "num_updates": 7, "shadow_params": averaged, "collected_params": None}
    settings = {"stage": "flow", "mmse_noise_std": 0.025, "num_flow_steps": 3, "conditional": False}
    stored = lightning(velocity, mean, ema=ema if wrapped else averaged, hyper_parameters=settings)
    torch.save(stored, tmp_path / "flow.ckpt")
    restorer = load(tmp_path / "flow.ckpt")

    for parameter, value in zip(velocity.parameters(), averaged, strict=True):
        parameter.data = value
    image = parity.uniform(1, 3, 32, 16)
    with torch.no_grad():
        state = mean.eval()(image).clamp(0, 1)
        state = state + 0.025 * placed_noise(0, state)
        for i in range(3):
            state = state + velocity.eval()(state, torch.full((1,), i / 3)) / 3
        torch.testing.assert_close(restorer(image), state)
    assert restorer.card.network["name"] == "posterior-mean-flow"


def test_the_flow_survives_our_own_file(tmp_path):
    torch.save(lightning(Hdit(**HDIT), SwinIrPacked(**SWINIR)), tmp_path / "flow.ckpt")
    restorer = load(tmp_path / "flow.ckpt")
    assert restorer.card.network["steps"] == STEPS
    save(tmp_path / "ours.safetensors", restorer, restorer.card)
    image = parity.uniform(1, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(load(tmp_path / "ours.safetensors")(image), restorer(image))


@pytest.mark.parametrize(
    ("seen", "mean", "hyper", "expected"),
    [
        (3, True, {"stage": "flow"}, ("noise", "posterior-mean")),
        (3, False, {"stage": "flow"}, ("noise", "degraded")),
        (0, False, {"stage": "naive_flow", "mmse_noise_std": 0.2}, ("degraded", "none")),
    ],
)
def test_flows_that_were_compared_are_told_apart(seen, mean, hyper, expected, tmp_path):
    velocity = Hdit(**HDIT, seen=seen)
    stored = lightning(velocity, SwinIrPacked(**SWINIR) if mean else None)
    torch.save({**stored, "ema": shadow(velocity), "hyper_parameters": hyper}, tmp_path / "flow.ckpt")
    network, _ = recognise(read_state(tmp_path / "flow.ckpt"), tmp_path)
    assert isinstance(network, PosteriorMeanFlow)
    assert (network.start.source, network.condition) == expected
    assert network.start.sigma == hyper.get("mmse_noise_std", 0.1)


@pytest.mark.parametrize("network", [SwinIrPacked(**SWINIR), Hdit(**HDIT)], ids=lambda n: type(n).__name__)
@pytest.mark.parametrize("wrap", ["lightning", "ema", "params_ema", "state_dict"])
def test_a_predictor_alone_is_found_in_every_wrapping(network, wrap, tmp_path):
    state = official(network)
    average = shadow(network)
    stored = {
        "lightning": {
            "state_dict": {f"model.{k}": v for k, v in state.items()},
            "ema": {"decay": 0.9999, "shadow_params": average}, "hyper_parameters": {"stage": "mmse"},
        },
        "ema": {"ema": state},
        "params_ema": {"params_ema": state},
        "state_dict": {"state_dict": {f"model.module.{k}": v for k, v in state.items()}},
    }[wrap]  # fmt: skip
    torch.save(stored, tmp_path / "predictor.pth")
    found, _ = recognise(read_state(tmp_path / "predictor.pth"), tmp_path)
    assert type(found) is type(network)
    expected = average if wrap == "lightning" else [state[k] for k, _ in network.named_parameters()]
    assert all(torch.equal(p, v) for p, v in zip(found.parameters(), expected, strict=True))


def test_a_tensor_too_many_is_named(tmp_path):
    state = official(Hdit(**HDIT))
    with pytest.raises(WeightsError, match=r"looks like hdit, but it lacks out_norm\.scale"):
        recognise({k: v for k, v in state.items() if k != "out_norm.scale"}, tmp_path)
    with pytest.raises(WeightsError, match=r"it has out_norm\.bias besides"):
        recognise({**state, "out_norm.bias": torch.zeros(16)}, tmp_path)


@pytest.mark.parametrize(
    "ema", [{"decay": 0.999}, {}, None, [torch.zeros(3)]], ids=["settings", "empty", "none", "alien"]
)
def test_an_average_that_does_not_fit_is_passed_over(ema, tmp_path):
    state = official(Hdit(**HDIT))
    torch.save({"state_dict": state, "ema": ema}, tmp_path / "other.ckpt")
    assert set(read_state(tmp_path / "other.ckpt")) == set(state)
