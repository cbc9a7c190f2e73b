"""The method autoencoding: its loss is its formula, its draws are keyed, and what it trains gives latents."""

from pathlib import Path

import numpy as np
import pytest
import torch

from restoration.experiment import load
from restoration.image import write_image
from restoration.losses import L1
from restoration.losses.draws import generator
from restoration.losses.stack import Entry, PairTerm, Stack
from restoration.method import Batch
from restoration.methods.autoencoding import Autoencoding
from restoration.networks.kl_autoencoder import KlAutoencoder
from restoration.networks.plainsr import PlainSr
from restoration.runs import build_run, run
from restoration.transport.latents import latents_of, licence, named

KEYS = ((0, 3), (0, 4))
EXPERIMENT = """
name = "tiny-vae"
task = "reconstruction"
licence = "CC0-1.0"
[schedule]
steps = 300
batch = 4
average = 0.9
bfloat16 = false
[data]
images = "{images}"
crop = 32
degradation = {{ name = "clip" }}
[network]
name = "kl-autoencoder"
widths = [8, 16]
groups = 4
[method]
name = "autoencoding"
[[stack]]
name = "l1"
[optimizer.default]
name = "adam"
lr = 4e-3
[validation]
every = 1000
"""


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    for i in range(4):
        write_image(tmp_path / "images" / f"{i}.png", tilted(i))
    path = tmp_path / "tiny-vae.toml"
    path.write_text(EXPERIMENT.format(images=tmp_path / "images"))
    return path


def batch():
    clean = torch.rand(2, 3, 8, 12, generator=torch.Generator().manual_seed(0))
    return Batch(clean, clean, keys=KEYS)


def method(**weights):
    torch.manual_seed(0)
    network = KlAutoencoder(widths=(8, 16), groups=4)
    with torch.no_grad():
        network.quant_conv.bias[4:] = -1.0  # a deviation that can be seen
    return Autoencoding(network, Stack([Entry("l1", PairTerm(L1()))]), **weights)


def test_the_loss_is_the_stacks_on_drawn_latents_and_the_weighted_divergence():
    learner, pairs = method(divergence=3e-4), batch()
    (update,) = learner.updates(pairs, 0)
    rngs = [generator(key, "autoencoding noise") for key in KEYS]
    noise = torch.from_numpy(np.stack([rng.standard_normal((4, 4, 6), np.float32) for rng in rngs]))
    network = learner.restorer()
    with torch.no_grad():
        posterior = network.encode(pairs.clean)
        restored = network.decode(posterior.mean + (posterior.log_variance / 2).exp() * noise)
        error, divergence = (restored - pairs.clean).abs().mean(), posterior.divergence().mean()
    assert update.group == "restorer" and set(update.logs) == {"l1", "divergence"}
    assert float(update.logs["l1"]) == pytest.approx(float(error), rel=1e-5)
    assert float(update.logs["divergence"]) == pytest.approx(float(divergence), rel=1e-5)
    assert float(update.loss.detach()) == pytest.approx(float(error + 3e-4 * divergence), rel=1e-5)
    assert abs(float(error) - float((network(pairs.clean) - pairs.clean).abs().mean().detach())) > 1e-4


def test_draws_depend_on_the_key_alone():
    learner, pairs = method(divergence=0.0), batch()
    both = [float(next(iter(learner.updates(part, 0))).loss.detach()) for part in (pairs, *pairs.split(2))]
    assert both[0] == pytest.approx((both[1] + both[2]) / 2, rel=1e-5)


def test_every_parameter_learns():
    learner = method(divergence=1e-3)
    next(iter(learner.updates(batch(), 0))).loss.backward()
    assert all(p.grad is not None and p.grad.any() for p in learner.groups()["restorer"].parameters())


def test_what_does_not_fit_is_refused():
    stack = Stack([Entry("l1", PairTerm(L1()))])
    with pytest.raises(
        ValueError, match="network is PlainSr; this method needs the network 'kl-autoencoder'"
    ):
        Autoencoding(PlainSr(scale=1, width=4, blocks=1), stack)
    with pytest.raises(ValueError, match="divergence = -1; expected a number from 0"):
        method(divergence=-1.0)
    nameless = Batch(batch().clean, batch().clean)
    with pytest.raises(ValueError, match="0 keys for 2 images"):
        next(iter(method().updates(nameless, 0)))


def test_compiling_reaches_the_pass_that_learns(experiment, compiled):
    settings = ("schedule.compile=true",)
    made = build_run(load(str(experiment), settings), experiment.parent / "run", torch.device("cpu"))
    next(made.method.updates(made.data.batch(0), 0))
    assert compiled == [made.method.restorer()]


@pytest.mark.slow
def test_a_run_learns_to_return_images_and_its_file_is_a_latent(experiment, tmp_path):
    run(load(str(experiment)), tmp_path / "run", torch.device("cpu"), None, True)
    assert licence(str(tmp_path / "run")) == "CC0-1.0"
    kind, config, state = named(str(tmp_path / "run"))
    assert (kind, config["block_out_channels"]) == ("autoencoder", [8, 16])
    latents = latents_of(kind, 3, config, "mode")
    latents.model.load_state_dict(state)
    clean = torch.cat([tilted(i) for i in range(4)])
    again = latents.decode(latents.encode(clean, torch.randn_like))
    flat = clean.mean((2, 3), keepdim=True)
    assert (again - clean).square().mean() < 0.5 * (flat - clean).square().mean()


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["replicate", "fully-shard"])
def test_two_processes_equal_one(experiment, strategy, by_one_and_two):
    steps = ("schedule.steps=3", "schedule.micro_batches=2")
    rounding = "optimizer.default.eps=1e-3"  # at 1e-8 Adam turns that of gradients near 0 into steps
    one, two = by_one_and_two(experiment, (*steps, rounding, f"distributed.strategy={strategy}"))
    assert max(float((one[key] - two[key]).abs().max()) for key in one) < 1e-5


def tilted(i):
    """Return an image (1, 3, 32, 32) of slopes and waves."""
    ramp = torch.linspace(0, 1, 32)
    slope = (ramp[:, None] * (i + 1) / 4 + ramp * (4 - i) / 4) / 2
    waves = 0.5 + 0.3 * (6.3 * (i + 1) * slope).sin()
    return torch.stack([slope, 1 - slope, waves])[None]
