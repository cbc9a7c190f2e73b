"""The dial: exact ends, what lies between them, and who has none."""

import pytest
import torch

from restoration.apply import restore_image
from restoration.dials.perception import with_perception
from restoration.dials.sampling import with_sampling
from restoration.errors import RequestError
from restoration.networks.dncnn import DnCnn
from restoration.networks.ffdnet import FfdNet
from restoration.networks.hdit import Hdit
from restoration.networks.network import Network
from restoration.networks.plainsr import PlainSr
from restoration.networks.posterior_mean_flow import PosteriorMeanFlow
from restoration.networks.swinir import SwinIrPacked
from restoration.networks.velocity import VelocityUnet
from restoration.restorers import Card, Restorer
from restoration.weights import load, save


class Scaled(Network):
    """The image times a number."""

    def __init__(self, factor, scale=1, receptive_field=0, multiple=1):
        super().__init__()
        self.factor, self.scale = factor, scale
        self.receptive_field, self.multiple = receptive_field, multiple

    def forward(self, degraded):
        return self.factor * degraded.repeat_interleave(self.scale, -1).repeat_interleave(self.scale, -2)


def scaled(factor, name="scaled", **keywords):
    return Restorer(Scaled(factor, **keywords), Card(name, "restoration", {"name": "scaled"}), digest=name)


def plain(name, seed, **keywords):
    torch.manual_seed(seed)
    table = {"scale": 2, "channels": 3, "width": 8, "blocks": 1, **keywords}
    network = PlainSr(**table)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return Restorer(
        network.eval(), Card(name, "super-resolution", {"name": "plain-sr", **table}, table["scale"])
    )


def refusal(*arguments, **options):
    with pytest.raises(RequestError) as error:
        with_perception(*arguments, **options)
    assert error.value.exit_code == 2
    return str(error.value)


def test_ends_of_a_pair_are_its_restorers():
    low, high = scaled(0.5, "low"), scaled(0.9, "high")
    assert with_perception(high, 0, low) is low
    assert with_perception(high, 1, low) is high


def test_distortion_grows_and_perception_improves_along_the_dial():
    """x ~ N(0, 1), y = x + n: y/2 is the posterior mean; y/√2 has the variance of x."""
    torch.manual_seed(0)
    clean = torch.randn(1, 3, 200, 200)
    degraded = clean + torch.randn_like(clean)
    low, high = scaled(0.5), scaled(0.5**0.5)
    results = [with_perception(high, p / 4, low)(degraded) for p in range(5)]
    errors = [float((result - clean).square().mean()) for result in results]
    gaps = [abs(float(result.var()) - 1) for result in results]
    assert errors == sorted(errors) and gaps == sorted(gaps, reverse=True)
    assert errors[0] == pytest.approx(0.5, abs=0.01) and errors[-1] == pytest.approx(2 - 2**0.5, abs=0.01)
    for p, result in enumerate(results):
        assert (result - (results[0] + p / 4 * (results[-1] - results[0]))).abs().max() < 1e-6


def test_mixture_says_what_both_need():
    low = scaled(0.5, "low", receptive_field=3, multiple=4)
    mixed = with_perception(scaled(1.0, "high", receptive_field=5, multiple=6), 0.25, low)
    assert (mixed.receptive_field, mixed.multiple, mixed.scale) == (5, 12, 1)
    assert (mixed.card.name, mixed.digest) == ("low+high", "low+high")
    assert mixed.card.training == {"perception": 0.25, "ends": ["low", "high"]}
    blended = with_perception(scaled(1.0, receptive_field=None), 0.25, low)
    assert blended.receptive_field is None
    grey = torch.rand(1, 1, 4, 5)
    assert torch.allclose(mixed(grey), 0.625 * grey)


def test_weights_are_interpolated_one_by_one():
    low, high = plain("low", 0), plain("high", 1)
    mixed = with_perception(high, 0.25, low, "weights")
    states = [r.network.state_dict() for r in (low, high, mixed)]
    for name in states[0]:
        expected = 0.75 * states[0][name] + 0.25 * states[1][name]
        assert torch.allclose(states[2][name], expected, atol=1e-7)
    fresh = plain("high", 1).network.state_dict()
    assert all(torch.equal(states[1][name], fresh[name]) for name in fresh)  # the ends stay as they were
    image = torch.rand(1, 3, 6, 7)
    outputs = with_perception(high, 0.25, low)(image)
    assert (mixed(image) - outputs).abs().max() > 1e-6
    assert with_perception(high, 1, low, "weights") is high


def test_weights_of_different_configurations_are_refused():
    assert refusal(plain("high", 0, width=12), 0.5, plain("low", 0), "weights") == (
        "--interpolate weights: 'low' is not of the configuration of 'high': they differ in width; "
        "--interpolate outputs takes any two of one scale"
    )
    levels = [
        Restorer(FfdNet(width=4, depth=2, sigma=s), Card(f"s{s}", "d", {"name": "ffdnet", "sigma": s}))
        for s in (15.0, 25.0)
    ]
    assert "'s15.0' is not of the configuration of 's25.0': they differ in sigma" in refusal(
        levels[1], 0.5, levels[0], "weights"
    )


def test_dials_that_do_not_exist_are_refused():
    low, high = scaled(0.5, "low"), scaled(0.9, "high")
    assert refusal(high, 0.5) == (
        "--perception 0.5: 'high' has no such dial; expected --with FILE, a restorer of less distortion, "
        "or a restorer such as a posterior-mean flow"
    )
    for p in (-0.1, 1.5, float("nan")):
        assert refusal(high, p, low) == f"--perception {p:g}: expected a number from 0 to 1"
    assert refusal(high, 0.5, scaled(1.0, "big", scale=2)) == "--with big: scale 2; expected 1, as 'high' has"
    assert (
        refusal(high, 0.5, low, "weight")
        == "--interpolate weight: expected outputs or weights; did you mean 'weights'?"
    )
    assert refusal(high, 0.5, by="weights") == (
        "--interpolate weights: expected --with FILE, a network of the same configuration"
    )


def test_a_network_may_let_its_dial_go_beyond():
    class Wide(Scaled):
        dial = (-1.0, 2.0)

        def ends(self):
            return Scaled(0.5), self

    restorer = Restorer(Wide(1.0), Card("wide", "restoration", {"name": "wide"}))
    image = torch.rand(1, 3, 2, 2)
    assert torch.allclose(with_perception(restorer, 2.0)(image), 1.5 * image)
    assert refusal(restorer, 2.1) == "--perception 2.1: expected a number from -1 to 2"


# --- flows


@pytest.fixture
def flow(tmp_path):
    torch.manual_seed(3)
    mean = {"name": "dncnn", "channels": 3, "width": 4, "depth": 3}
    network = PosteriorMeanFlow(
        channels=3, width=8, steps=3, posterior_mean=DnCnn(**{k: v for k, v in mean.items() if k != "name"})
    )
    assert isinstance(network.velocity, VelocityUnet)
    with torch.no_grad():
        for parameter in network.velocity.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    table = {"name": "posterior-mean-flow", "channels": 3, "width": 8, "steps": 3, "posterior_mean": mean}
    path = tmp_path / "flow.safetensors"
    save(path, network, Card("flow", "denoising", table))
    return load(path)


def test_flow_goes_from_its_posterior_mean_to_its_own_result(flow):
    image = torch.rand(1, 3, 16, 24)
    with torch.inference_mode():
        mean, result = flow.network.posterior_mean(image), flow(image)
        assert torch.equal(with_perception(flow, 0)(image), mean)
        assert with_perception(flow, 0).receptive_field == 3
        assert with_perception(flow, 1) is flow
        half = with_perception(flow, 0.5)
        assert torch.allclose(half(image), (mean.clamp(0, 1) + result) / 2, atol=1e-6)
        assert half.network.posterior_mean is flow.network.posterior_mean
        assert torch.equal(half.restore(image).image, half(image))
        other = with_perception(with_sampling(flow, steps=1, seed=5), 0.5)
        assert torch.equal(half.restore(image, steps=1, seed=5).image, other(image))
    assert half.card.name == "flow" and half.digest == flow.digest
    assert (result - mean).abs().max() > 1e-3


def test_flow_without_a_posterior_mean_has_no_dial():
    network = PosteriorMeanFlow(channels=3, width=8, steps=1, source="degraded")
    restorer = Restorer(network, Card("bare", "denoising", {"name": "posterior-mean-flow"}))
    assert refusal(restorer, 0.5).startswith("--perception 0.5: 'bare' has no such dial")


def test_steps_and_seed_are_those_asked_for(flow):
    image = torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        usual = flow(image)
        other = with_sampling(flow, steps=1, seed=5)
        assert (other.network.steps, other.network.seed) == (1, 5)
        assert (flow.network.steps, flow.network.seed) == (3, 0)
        assert (other(image) - usual).abs().max() > 1e-4
        assert torch.equal(with_sampling(other, steps=3, seed=0)(image), usual)
    assert other.card.network == {**flow.card.network, "steps": 1, "seed": 5} and other.digest == flow.digest
    assert with_sampling(flow) is flow


def test_restore_takes_steps_and_seed(flow):
    image = torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        assert torch.equal(flow.restore(image).image, flow(image))
        other = flow.restore(image, steps=1, seed=5).image
        assert torch.equal(other, with_sampling(flow, steps=1, seed=5)(image))
        assert torch.equal(flow.restore(image).image, flow(image)) and flow.network.steps == 3
    assert (other - flow(image)).abs().max() > 1e-4


@pytest.fixture
def moved():
    """A flow of networks with constants that no file holds, moved to another device and precision."""
    mean = {"width": 8, "groups": [2], "heads": 2, "window": 4, "packing": 2, "enlargement": 2}
    velocity = {
        "widths": [16], "depths": [1], "attention": ["global"], "head": 8, "patch": 2, "mapping_width": 8,
        "mapping_hidden": 8, "timed": True,
    }  # fmt: skip
    table = {
        "name": "posterior-mean-flow", "steps": 2, "posterior_mean": {"name": "swinir-packed", **mean},
        "velocity": {"name": "hdit", **velocity},
    }  # fmt: skip
    network = PosteriorMeanFlow(steps=2, posterior_mean=SwinIrPacked(**mean), velocity=Hdit(**velocity))
    return Restorer(network, Card("flow", "denoising", table)).to("meta", torch.bfloat16)


def test_other_steps_and_seeds_are_where_the_restorer_is_and_of_its_precision(moved):
    own, other = (
        {name: (tensor.device, tensor.dtype) for name, tensor in [*r.named_parameters(), *r.named_buffers()]}
        for r in (moved, with_sampling(moved, seed=2, steps=1))
    )
    assert own == other and any(name.endswith(".freqs") for name in own)


@pytest.mark.slow
def test_a_restorer_elsewhere_takes_steps_and_seed(moved):
    image = torch.rand(1, 3, 16, 16, device="meta", dtype=torch.bfloat16)
    assert moved.restore(image, seed=2, steps=1).image.shape == image.shape


@pytest.mark.parametrize("options", [{}, {"wrap": "both"}, {"ensemble": True}])
def test_a_seed_gives_the_same_picture_tiled_or_not(flow, options):
    image = torch.rand(1, 3, 48, 64, generator=torch.manual_seed(1))
    seeded = with_sampling(flow, seed=7)
    whole, tiled = (
        restore_image(seeded, image, tile=tile, precision="fp32", **options) for tile in ("off", 32)
    )
    apart = (whole - restore_image(flow, image, tile="off", precision="fp32", **options)).std()
    assert (whole - tiled).std() < apart / 5  # noise of another place would be as far as another seed's
    with torch.inference_mode():
        assert torch.equal(seeded(image), seeded(image[:1]))  # and it is of the beginning again


def test_steps_and_seed_without_meaning_are_refused(flow):
    for options, line in [
        (
            {"steps": 4},
            "--steps 4: 'high' restores in one pass; expected a restorer with steps, such as a posterior-mean flow",
        ),
        (
            {"seed": 1},
            "--seed 1: 'high' draws nothing; expected a restorer that starts from noise, such as a posterior-mean flow",
        ),
    ]:
        with pytest.raises(RequestError) as refused:
            with_sampling(plain("high", 0), **options)
        assert str(refused.value) == line
    with pytest.raises(RequestError) as refused:
        with_sampling(flow, steps=0)
    assert str(refused.value) == "--steps 0: network: scale = 1, steps = 0; expected numbers from 1"


def test_solver_is_the_one_asked_for(flow):
    image = torch.rand(1, 3, 16, 16, generator=torch.manual_seed(1))
    with torch.inference_mode():
        usual, other = flow(image), with_sampling(flow, solver="heun")
        assert (other.network.solver, flow.network.solver) == ("heun", "euler")
        assert (other(image) - usual).abs().max() > 1e-5
        assert torch.equal(with_sampling(flow, solver="euler")(image), usual)
        one = with_sampling(flow, steps=1)
        assert torch.equal(with_sampling(one, solver="heun")(image), one(image))
    for restorer, solver, line in [
        (flow, "huen", "--solver huen: network: solver = 'huen' is not known; did you mean 'heun'?"),
        (
            plain("high", 0),
            "heun",
            "--solver heun: 'high' follows no flow; expected a posterior-mean flow",
        ),
    ]:
        with pytest.raises(RequestError) as refused:
            with_sampling(restorer, solver=solver)
        assert str(refused.value) == line
