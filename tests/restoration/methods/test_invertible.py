"""The invertible method: its three losses are their formulas, and one bijection learns from all of them."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restoration.degradations.resize import Bicubic
from restoration.experiment import load
from restoration.losses import L1
from restoration.losses.draws import generator
from restoration.losses.invertible import randomise
from restoration.losses.stack import Entry, PairTerm, Stack
from restoration.method import Batch
from restoration.methods.invertible import InvertibleRescaling
from restoration.networks.inn import Inn
from restoration.networks.plainsr import PlainSr
from restoration.runs import build_run, claim
from restoration.train import Run, train

KEYS = ((0, 3), (0, 4))
EXPERIMENT = """
name = "tiny-inn"
task = "super-resolution"
[schedule]
steps = 6
batch = 4
bfloat16 = false
average = 0.9
checkpoint = 2
[data]
images = "{images}"
crop = 16
degradation = {{ name = "bicubic", scale = 2 }}
[network]
name = "inn"
couplings = 2
width = 4
[method]
name = "invertible"
[[stack]]
name = "l1"
[optimizer.default]
name = "adamw"
lr = 1e-2
[validation]
every = 100
"""


def batch(side: int = 16) -> Batch:
    rng = torch.Generator().manual_seed(0)
    clean = (torch.rand(2, 3, side, side, generator=rng) * 255).round() / 255
    return Batch(Bicubic(2)(clean, KEYS).image, clean, keys=KEYS)


def method(**weights: float) -> InvertibleRescaling:
    torch.manual_seed(0)
    network = Inn(couplings=2, width=8)
    network.flow = randomise(network.flow, seed=0)
    return InvertibleRescaling(network, Stack([Entry("l1", PairTerm(L1()))]), **weights)


def test_losses_are_their_formulas_and_the_update_their_weighted_sum():
    learner, pairs = method(guidance=2.0, likelihood=3.0, reconstruction=5.0), batch()
    (update,) = learner.updates(pairs, 0)
    draws = [generator(key, "dequantisation").uniform(-0.5 / 255, 0.5 / 255, (3, 16, 16)) for key in KEYS]
    network = learner.restorer()
    with torch.no_grad():
        mapped = network.flow(pairs.clean + torch.from_numpy(np.stack(draws)).float())
        rebuilt = network((mapped.coarse * 255).round().clamp(0, 255) / 255)
        normal = torch.distributions.Normal(0, 1).log_prob(mapped.details).flatten(1).sum(1)
        expected = {
            "guidance": (mapped.coarse - pairs.degraded).square().mean(),
            "likelihood": (-(normal + mapped.log_determinant) / (9 * 64)).mean(),
            "reconstruction": (rebuilt - pairs.clean).abs().mean(),
            "l1": (network(pairs.degraded) - pairs.clean).abs().mean(),
        }
    for name, value in expected.items():
        torch.testing.assert_close(update.logs[name].detach(), value, rtol=1e-4, atol=1e-6)
    total = expected["l1"] + 2 * expected["guidance"] + 3 * expected["likelihood"]
    torch.testing.assert_close(
        update.loss.detach(), total + 5 * expected["reconstruction"], rtol=1e-4, atol=0
    )
    assert update.group == "restorer"


@pytest.mark.parametrize("name", ["guidance", "likelihood", "reconstruction"])
def test_every_loss_teaches_every_coupling(name):
    learner, pairs = method(), batch()
    (update,) = learner.updates(pairs, 0)
    update.logs[name].backward()
    for coupling in learner.network.flow.couplings:
        assert coupling.phi[0].weight.grad.abs().max() > 0
        # the coarse image is finished before the last coupling's details
        finished = name == "guidance" and coupling is learner.network.flow.couplings[-1]
        assert coupling.rho_eta[0].weight.grad.any() == (not finished)


def test_spreading_over_the_step_depends_on_keys_alone():
    learner, pairs = method(), batch()
    (together,) = learner.updates(pairs, 0)
    alone = [next(learner.updates(part, 0)) for part in pairs.split(2)]
    for part, key in zip(alone, KEYS, strict=True):
        assert part.logs["likelihood"].isfinite() and key in pairs.keys
    mean = sum(part.logs["likelihood"] for part in alone) / 2
    torch.testing.assert_close(mean, together.logs["likelihood"], rtol=1e-5, atol=1e-6)


def test_other_networks_are_refused():
    stack = Stack([Entry("l1", PairTerm(L1()))])
    with pytest.raises(ValueError) as caught:
        InvertibleRescaling(PlainSr(scale=2, width=4, blocks=1), stack)
    assert str(caught.value) == "network is PlainSr; this method needs the network 'inn'"


@pytest.mark.slow
def test_it_overfits_smooth_images_beyond_repeated_pixels():
    learner, pairs = method(), batch(32)
    torch.manual_seed(0)
    learner.network = Inn(couplings=2, width=8)
    rows = torch.linspace(0, math.pi, 32)
    waves = 0.5 + 0.4 * torch.sin(rows[:, None] * torch.tensor([1.0, 2.0])[:, None, None, None] + 2 * rows)
    clean = (waves.expand(2, 3, 32, 32) * 255).round() / 255
    pairs = Batch(Bicubic(2)(clean, KEYS).image, clean, keys=KEYS)

    def error() -> float:
        with torch.no_grad():
            return (learner.network(pairs.degraded) - clean).square().mean().item()

    before = error()
    optimizer = torch.optim.Adam(learner.network.parameters(), lr=5e-3)
    for step in range(150):
        for update in learner.updates(pairs, step):
            optimizer.zero_grad()
            update.loss.backward()
            optimizer.step()
    assert error() < before / 4


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(4):
        coarse = np.random.default_rng(i).integers(0, 256, (7, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((40, 36), Image.Resampling.BICUBIC).save(photos / f"{i}.png")
    path = tmp_path / "tiny.toml"
    path.write_text(EXPERIMENT.format(images=photos))
    return path


class Interrupted(Exception):
    pass


def interrupt(done: int, logs: dict[str, float]) -> None:
    if done == 3:
        raise Interrupted


def test_resumed_equals_uninterrupted_bit_for_bit(experiment):
    def tiny(folder: str) -> Run:
        run = build_run(load(str(experiment)), experiment.parent / folder, torch.device("cpu"))
        claim(run.folder, run.experiment)
        return run

    expected = train(tiny("straight")).state_dict()
    broken = tiny("broken")
    broken.progress = interrupt
    with pytest.raises(Interrupted):
        train(broken)
    resumed = train(tiny("broken")).state_dict()
    assert all(torch.equal(resumed[key], expected[key]) for key in expected)


def test_compiling_reaches_both_directions(experiment, compiled):
    settings = ("schedule.compile=true",)
    run = build_run(load(str(experiment), settings), experiment.parent / "run", torch.device("cpu"))
    next(run.method.updates(run.data.batch(0), 0))
    network = run.method.network
    assert compiled == [network, network.flow, network]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["replicate", "fully-shard"])
def test_two_processes_equal_one(experiment, strategy, by_one_and_two):
    settings = ("schedule.micro_batches=2", f"distributed.strategy={strategy}")
    one, two = by_one_and_two(experiment, settings)
    assert max(float((one[key] - two[key]).abs().max()) for key in one) < 1e-5
