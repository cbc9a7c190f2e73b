"""The restorer of a flow: exact on Gaussian images, deterministic, complete in one file."""

import copy
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from restoration.experiment import load
from restoration.losses.flow import enlarged
from restoration.networks.diffusers_unet import DiffusersUnet
from restoration.networks.ffdnet import FfdNet
from restoration.networks.network import Network
from restoration.networks.placing import placed_noise
from restoration.networks.plainsr import PlainSr
from restoration.networks.posterior_mean_flow import PosteriorMeanFlow
from restoration.networks.unet import ResUnet
from restoration.parts import build_network

# clean = 0.5 + 0.1·x, degraded = 0.5 + 0.1·(x + n), x and n ~ N(0, 1) in every pixel: in units of 0.1 the scalar
# Gaussian of the closed forms, with s = 1 and a = 1/2; five standard deviations lie within [0, 1]
UNIT, A = 0.1, 0.5
DIFFUSERS = {"widths": (8, 16), "blocks": 1, "attention": (False, True), "head": 8, "groups": 4}


class Wiener(Network):
    """The posterior mean of the Gaussian toy."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.channels = channels
        self.receptive_field = 0
        self.gain = nn.Parameter(torch.tensor(A))

    def forward(self, degraded: Tensor) -> Tensor:
        return 0.5 + self.gain * (degraded - 0.5)


class Everything(Wiener):
    """A posterior mean that sees the whole image."""

    def __init__(self) -> None:
        super().__init__()
        self.receptive_field = None


class Exact(nn.Module):
    """The exact velocity of the Gaussian toy from x* + σ·ε, σ in units of 0.1."""

    receptive_field = 0

    def __init__(self, sigma: float) -> None:
        super().__init__()
        self.variance = A + sigma**2

    def forward(self, between: Tensor, t: Tensor, seen: Tensor | None = None) -> Tensor:
        t = t.view(-1, 1, 1, 1)
        joint = (1 - t) * A + t - (1 - t) * self.variance - t * A
        spread = (1 - t) ** 2 * self.variance + t**2 + 2 * t * (1 - t) * A
        return joint / spread * (between - 0.5)


def small(**keywords: object) -> PosteriorMeanFlow:
    torch.manual_seed(0)
    network = PosteriorMeanFlow(**{"width": 4, "steps": 2, "source": "degraded", **keywords})
    for parameter in network.velocity.parameters():
        parameter.data = torch.randn_like(parameter) * 0.1
    return network.eval()


@pytest.mark.parametrize(
    ("sigma", "steps", "error"), [(0.1, 100, 0.5997), (0.3, 100, 0.6981), (0.0, 5, 0.5531), (0.0, 1, 0.5)]
)
def test_gaussian_images_are_restored_with_the_error_of_the_closed_form(sigma, steps, error):
    """In units of the variance of clean: 2 − 2a/√(a + σ²) for many steps, in between for few."""
    network = PosteriorMeanFlow(width=4, steps=steps, sigma=UNIT * sigma, posterior_mean=Wiener(), seed=1)
    network.velocity = Exact(sigma)
    rng = torch.Generator().manual_seed(0)
    x, n = torch.randn(2, 1, 3, 160, 160, generator=rng)
    with torch.no_grad():
        restored = network(0.5 + UNIT * (x + n))
    found = float((restored - 0.5 - UNIT * x).square().mean()) / UNIT**2
    assert found == pytest.approx(error, abs=0.012)
    if steps == 100:
        assert found == pytest.approx(2 - 2 * A / math.sqrt(A + sigma**2), abs=0.012)
        assert float(restored.var()) / UNIT**2 == pytest.approx(1, abs=0.02)


def test_more_steps_restore_more_variance():
    variances = []
    for steps in (1, 2, 5, 25):
        network = PosteriorMeanFlow(width=4, steps=steps, sigma=0.0, posterior_mean=Wiener())
        network.velocity = Exact(0.0)
        x, n = torch.randn(2, 1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            variances.append(float(network(0.5 + UNIT * (x + n)).var()) / UNIT**2)
    assert variances == pytest.approx([0.5, 0.72, 0.879, 0.9746], abs=0.03)


def test_restoring_is_repeatable_and_the_same_for_each_image_and_size():
    network, degraded = small(), torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        restored = network(degraded)
        torch.manual_seed(99)
        assert torch.equal(network(degraded), restored)
        torch.testing.assert_close(network(degraded[1:]), restored[1:])
        assert (small(seed=1)(degraded) - restored).abs().max() > 0.01


def test_placed_noise_is_normal_white_and_a_function_of_the_place():
    epsilon = placed_noise(0, torch.zeros(2, 3, 300, 400))
    assert torch.equal(epsilon[0], epsilon[1])
    assert torch.equal(placed_noise(0, torch.zeros(1, 1, 20, 30)), epsilon[:1, :1, :20, :30])
    field = epsilon[0]
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        bound = 4 * math.sqrt(variance / field.numel())
        assert float((field**power).mean()) == pytest.approx(moment, abs=bound)
    assert abs(float((field[:, 1:] * field[:, :-1]).mean())) < 0.01
    assert abs(float((field[..., 1:] * field[..., :-1]).mean())) < 0.01
    assert float(torch.corrcoef(field.flatten(1)).fill_diagonal_(0).abs().max()) < 0.015
    other = placed_noise(2**40, torch.zeros(1, 3, 300, 400))[0]
    assert abs(float((field * other).mean())) < 0.01
    assert field.abs().max() < 7 and placed_noise(0, torch.zeros(1, 1, 2, 2).double()).dtype == torch.double


def test_posterior_mean_is_frozen_but_its_tensors_are_in_the_state():
    mean = ResUnet(widths=(4, 4), blocks=(1, 1))
    network = PosteriorMeanFlow(width=4, steps=1, posterior_mean=mean).train()
    network(torch.rand(1, 3, 16, 16)).mean().backward()
    assert not network.posterior_mean.training and network.velocity.training
    assert all(p.grad is None for p in network.posterior_mean.parameters())
    assert all(p.grad is not None for p in network.velocity.parameters())
    names = {name.split(".")[0] for name in network.state_dict()}
    assert names == {"posterior_mean", "velocity"}
    assert all(not p.requires_grad for p in copy.deepcopy(network).posterior_mean.parameters())


def test_result_of_the_posterior_mean_is_clamped():
    network = PosteriorMeanFlow(width=4, posterior_mean=Wiener())
    network.posterior_mean.gain.data.fill_(3.0)
    origin, seen = network.origin(torch.tensor([0.0, 0.5, 0.6]).view(1, 3, 1, 1).expand(1, 3, 8, 8))
    torch.testing.assert_close(origin[0, :, 0, 0], torch.tensor([0.0, 0.5, 0.8]))
    assert seen is None


def test_the_steps_are_of_the_precision_of_the_image_where_the_mean_is_of_less():
    class Half(Wiener):
        def forward(self, degraded: Tensor) -> Tensor:
            return super().forward(degraded).bfloat16()

    network = PosteriorMeanFlow(width=4, posterior_mean=Half(), condition="posterior-mean")
    origin, seen = network.origin(torch.rand(1, 3, 8, 8))
    assert origin.dtype == seen.dtype == torch.float


@pytest.mark.parametrize(
    "arm",
    [
        {"source": "posterior-mean"},
        {"source": "posterior-mean", "condition": "degraded"},
        {"source": "noise", "condition": "posterior-mean"},
    ],
    ids=str,
)
def test_a_mixture_is_that_of_the_clamped_mean_which_is_computed_once(arm):
    mean = Wiener()
    mean.gain.data.fill_(3.0)
    network = small(**arm, posterior_mean=mean)
    degraded = torch.rand(1, 3, 8, 16, generator=torch.Generator().manual_seed(0))
    asked = []
    mean.register_forward_hook(lambda *call: asked.append("mean"))
    network.velocity.register_forward_hook(lambda *call: asked.append("velocity"))
    with torch.no_grad():
        raw, restored = mean(degraded), network(degraded)
        asked.clear()
        mixture = network.mixed(0.25)(degraded)
        assert sorted(asked) == ["mean", "velocity", "velocity"]
        assert torch.equal(mixture, torch.lerp(raw.clamp(0, 1), restored, 0.25))
        assert (mixture - torch.lerp(raw, restored, 0.25)).abs().max() > 0.1
        assert torch.equal(network(degraded), restored)


def test_arms_of_the_comparison_start_and_see_what_they_say():
    degraded = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    mean = PlainSr(scale=2, width=4, blocks=1)
    big, best = enlarged(degraded, 2), mean(degraded).clamp(0, 1)
    arms = {
        ("posterior-mean", "none"): (best, None),
        ("degraded", "none"): (big, None),
        ("noise", "degraded"): (big, big),
        ("noise", "posterior-mean"): (big, best),
        ("posterior-mean", "degraded"): (best, big),
    }
    for (source, condition), expected in arms.items():
        network = PosteriorMeanFlow(
            scale=2, width=4, steps=1, source=source, condition=condition, posterior_mean=mean
        )
        for found, wanted in zip(network.origin(degraded), expected, strict=True):
            assert (found is None) == (wanted is None) and (wanted is None or torch.equal(found, wanted))
        assert network(degraded).shape == (1, 3, 16, 16)
        assert (network.posterior_mean is None) == ("posterior-mean" not in (source, condition))
    noisy = small(source="noise", condition="degraded", steps=1)
    noisy.velocity = Exact(0.0)
    epsilon = placed_noise(0, degraded)
    # at t = 0 the exact velocity from a variance of a is 0
    torch.testing.assert_close(noisy(degraded), epsilon)


def test_sizes_suit_both_networks():
    mean = ResUnet(widths=(4, 4), blocks=(1, 1), packing=3)
    assert mean.multiple == 6
    assert PosteriorMeanFlow(width=4, posterior_mean=mean).multiple == 24
    assert PosteriorMeanFlow(width=4, scale=2, source="degraded").multiple == 4
    assert PosteriorMeanFlow(width=4, scale=3, source="degraded").multiple == 8
    assert small(scale=3)(torch.rand(1, 3, 8, 16)).shape == (1, 3, 24, 48)


def test_reach_is_that_of_every_call_of_the_velocity():
    """One call sees 67 pixels far, two 131: the cells of its grid are the same."""
    mean = PlainSr(scale=1, width=4, blocks=1)
    for keywords, reach in (
        ({"sigma": 0.0, "steps": 3, "posterior_mean": mean}, mean.receptive_field + 195),
        ({"sigma": 0.1, "steps": 3, "posterior_mean": mean}, mean.receptive_field + 195),
        ({"steps": 1, "source": "degraded"}, 67),
        ({"steps": 2, "source": "noise", "condition": "degraded"}, 131),
        ({"steps": 2, "source": "noise", "condition": "posterior-mean", "posterior_mean": mean},
         mean.receptive_field + 131),
        ({"steps": 2, "source": "degraded", "solver": "heun"}, 195),
        ({"steps": 3, "source": "degraded", "solver": "scheduler:UniPCMultistepScheduler"}, 195),
        ({"posterior_mean": Wiener()}, 67 + 24 * 64),
        ({"posterior_mean": Everything()}, None),
        ({"source": "degraded", "velocity": DiffusersUnet(**DIFFUSERS)}, None),
    ):  # fmt: skip
        assert PosteriorMeanFlow(width=4, **keywords).receptive_field == reach


def test_border_is_continued_as_the_posterior_mean_asks():
    small = FfdNet(channels=3, width=4, depth=3)
    assert PosteriorMeanFlow(posterior_mean=small, width=4).edge == small.edge == "repeated"
    assert PosteriorMeanFlow(posterior_mean=Wiener(), width=4).edge == "mirrored"


def test_reach_is_what_the_page_says():
    page = " ".join((Path(__file__).parents[3] / "docs" / "methods.md").read_text().split())
    mean = build_network(load("pmrf-denoise-small-mean"))
    once, twice, flow, whole = (
        PosteriorMeanFlow(steps=steps, **keywords).receptive_field
        for steps, keywords in (
            (1, {"source": "degraded"}),
            (2, {"source": "degraded"}),
            (25, {"source": "degraded"}),
            (25, {"posterior_mean": mean}),
        )
    )
    assert (
        f"One call of the velocity's U-Net sees {once} pixels far, and each further call adds {twice - once}: "
        f"{flow:,} for K = 25. The posterior mean's own comes on top: with the {mean.receptive_field} of "
        f"`pmrf-denoise-small-mean`, the restorer's is {whole:,}."
    ) in page


def test_reach_with_posterior_mean_and_enlargement_bounds_the_gradient():
    network = small(scale=2, sigma=0.0, steps=1)
    side = -(-(2 * network.receptive_field + 8) // 8) * 8
    degraded = torch.rand(1, 3, side, side, requires_grad=True)
    centre = side // 2
    restored = network(degraded)[0, :, 2 * centre : 2 * centre + 16, 2 * centre : 2 * centre + 16]
    (gradient,) = torch.autograd.grad(restored.sum(), degraded)
    touched = (gradient.abs().sum((0, 1)) > 0).nonzero()
    assert centre - network.receptive_field <= int(touched.min()) <= centre - network.receptive_field + 6


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({}, "expected posterior_mean, the name or file of a restorer"),
        ({"steps": 0, "source": "degraded"}, "scale = 1, steps = 0; expected numbers from 1"),
        (
            {"source": "noise"},
            "source = 'noise' needs a condition: expected condition = 'degraded' or 'posterior-mean'",
        ),
        ({"source": "degraded", "sigma": -1.0}, "sigma = -1.0; expected a number from 0"),
        (
            {"scale": 2, "posterior_mean": Wiener()},
            "scale = 2, but posterior_mean has scale 1; expected the same",
        ),
        (
            {"posterior_mean": Wiener(channels=1)},
            "channels = 3, but posterior_mean has channels 1; expected the same",
        ),
    ],
)
def test_refusals(keywords, message):
    with pytest.raises(ValueError) as caught:
        PosteriorMeanFlow(**keywords)
    assert str(caught.value) == message
