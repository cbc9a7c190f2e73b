"""The method rectified-flow: what it regresses on, what the stack sees, exact resume, ranks, the file that ships."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from restoration import checkpoint, cost, weights
from restoration.apply import apply
from restoration.config import without_origin
from restoration.errors import ConfigError
from restoration.experiment import load
from restoration.losses import flow
from restoration.losses.flow import RectifiedFlow as Regression
from restoration.losses.pixel import L1
from restoration.losses.stack import Entry, Options, PairTerm, Stack
from restoration.method import Batch
from restoration.methods.rectified_flow import RectifiedFlow
from restoration.networks.network import Network
from restoration.networks.plainsr import PlainSr
from restoration.networks.posterior_mean_flow import PosteriorMeanFlow
from restoration.runs import build_run, claim, dry_run, export
from restoration.train import Run, train

EXPERIMENT = """
name = "tiny-flow"
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
name = "posterior-mean-flow"
posterior_mean = "{mean}"
scale = 2
width = 4
steps = 2
[method]
name = "rectified-flow"
[[stack]]
name = "l1"
weight = 0.1
[[stack]]
name = "rectified-flow"
weight = 2.0
sigma = 0.05
[optimizer.default]
name = "adamw"
lr = 1e-2
[validation]
every = 100
"""


@pytest.fixture
def tiny(tmp_path: Path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(4):
        coarse = np.random.default_rng(i).integers(0, 256, (7, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((40, 36), Image.Resampling.BICUBIC).save(photos / f"{i}.png")
    mean = tmp_path / "mean.safetensors"
    torch.manual_seed(5)
    network = PlainSr(scale=2, width=4, blocks=1)
    spec = {"name": "plain-sr", "scale": 2, "channels": 3, "width": 4, "blocks": 1}
    weights.save(mean, network, weights.Card("mean", "super-resolution", spec, scale=2))
    path = tmp_path / "tiny.toml"
    path.write_text(EXPERIMENT.format(images=photos, mean=mean))

    def make(folder: str = "run", settings: tuple[str, ...] = ()) -> Run:
        run = build_run(load(str(path), settings), tmp_path / folder, torch.device("cpu"))
        claim(run.folder, run.experiment)
        return run

    return make


def state(module: nn.Module) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in module.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


class Interrupted(Exception):
    pass


def interrupt(done: int, logs: dict[str, float]) -> None:
    if done == 3:
        raise Interrupted


def test_update_is_the_regression_and_the_rest_of_the_stack_on_the_one_step_estimate(tiny):
    run = tiny()
    method, batch = run.method, run.data.batch(3)
    updates = list(method.updates(batch, 3))
    assert [u.group for u in updates] == ["velocity"]

    mean = run.method.network.posterior_mean
    start = mean(batch.degraded).clamp(0, 1) + 0.05 * flow.noise(batch.keys, batch.clean)
    t = flow.times(batch.keys, "stratified", strata=4)
    between = flow.path(start, batch.clean, t)
    velocity = method.network.velocity(between, t)
    regression = (velocity - (batch.clean - start)).square().mean()
    l1 = (flow.one_step(between, velocity, t) - batch.clean).abs().mean()
    torch.testing.assert_close(updates[0].loss, 2 * regression + 0.1 * l1)
    torch.testing.assert_close(updates[0].logs["rectified-flow"], regression.detach())
    torch.testing.assert_close(updates[0].logs["l1"], l1.detach())


def test_gradients_reach_the_velocity_and_nothing_else(tiny):
    run = tiny()
    next(run.method.updates(run.data.batch(0), 0)).loss.backward()
    assert all(p.grad is not None for p in run.groups["velocity"].parameters())
    assert all(p.grad is None for p in run.method.network.posterior_mean.parameters())
    assert set(run.groups) == {"velocity"}


def test_compiling_reaches_the_velocity_and_the_posterior_mean(tiny, compiled):
    plain = tiny("plain")
    run = tiny(settings=("schedule.compile=true",))
    update = next(run.method.updates(run.data.batch(0), 0))
    assert compiled == [run.method.network.posterior_mean, run.method.network.velocity]
    assert torch.equal(update.loss, next(plain.method.updates(plain.data.batch(0), 0)).loss)
    arm = ('stack.1.source="degraded"', "schedule.compile=true")
    naive = tiny("naive", arm)
    compiled.clear()
    next(naive.method.updates(naive.data.batch(0), 0))
    assert compiled == [naive.method.network.velocity]


def test_terms_with_parts_of_their_own_learn_beside_it(tiny):
    patch = '{ name = "patch", width = 4, layers = 1 }'
    adversarial = f'stack.0={{ name = "adversarial", weight = 0.01, discriminator = {patch} }}'
    run = tiny(settings=(adversarial,))
    assert list(run.groups) == ["velocity", "adversarial"]
    assert [u.group for u in run.method.updates(run.data.batch(0), 0)] == ["velocity", "adversarial"]


def test_without_its_term_it_has_its_defaults_and_weight_one(tiny):
    stack = Stack([Entry("l1", PairTerm(L1()), Options(start=5))])
    network = PosteriorMeanFlow(width=4, source="degraded")
    method = RectifiedFlow(network, stack)
    assert [e.name for e in method.stack.entries] == ["l1", "rectified-flow"]
    assert method.stack.entries[1].options == Options() and method.stack.entries[1].term == Regression()
    assert [e.name for e in method.stack.acting(0)] == ["rectified-flow"]
    run = tiny(settings=('stack=[{ name = "l1", start = 2 }]',))
    assert run.experiment.stack[1] == {"name": "rectified-flow", "times": "stratified", "strata": 4,
        "logit_mean": 0.0, "logit_deviation": 1.0, **run.experiment.stack[1]}  # fmt: skip
    assert run.experiment.stack[1]["weight"] == 1.0


def test_posterior_mean_is_that_of_the_file_and_never_moves(tiny):
    run = tiny()
    stored = load_file(run.experiment.network["posterior_mean"]["restorer"])
    assert same(state(run.method.network.posterior_mean), stored)
    trained = train(run)
    assert same(state(run.method.network.posterior_mean), stored)
    assert same(state(trained.posterior_mean), stored)


def test_resumed_equals_uninterrupted_bit_for_bit(tiny):
    straight = tiny("straight")
    expected = state(train(straight))
    learnt = state(straight.method.restorer())
    broken = tiny("broken")
    broken.progress = interrupt
    with pytest.raises(Interrupted):
        train(broken)
    resumed = tiny("broken", ("data.workers=1",))
    assert same(state(train(resumed)), expected)
    assert same(state(resumed.method.restorer()), learnt)
    assert not same(learnt, expected)  # the average is not the last iterate
    assert not same(state(tiny("fresh").method.restorer()), learnt)


def test_micro_batches_equal_one_batch(tiny):
    a = state(train(tiny("whole", ("schedule.steps=3",))))
    b = state(train(tiny("parts", ("schedule.steps=3", "schedule.micro_batches=4"))))
    assert max(float((a[k] - b[k]).abs().max()) for k in a) < 1e-5


def test_exported_file_restores_where_the_posterior_mean_is_no_more(tiny, tmp_path):
    run = tiny()
    trained = train(run)
    path = shutil.move(export(run, trained, run.parts()), tmp_path / "elsewhere.safetensors")
    (tmp_path / "mean.safetensors").unlink()
    restorer = weights.load(path)
    assert restorer.card.network["posterior_mean"]["name"] == "plain-sr"
    assert restorer.scale == 2 and restorer.receptive_field == trained.receptive_field > 0
    degraded = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        # equal weights; training may leave them in another memory format, whose kernels round in another order
        torch.testing.assert_close(restorer(degraded), trained(degraded), rtol=1e-5, atol=1e-5)

    photo, out = tmp_path / "photos" / "0.png", tmp_path / "out.png"
    assert apply(restorer, [photo], out).exit_code == 0
    assert Image.open(out).size == (80, 72)


def test_resolved_config_is_an_experiment_of_the_same_run(tiny, tmp_path):
    run = tiny()
    again = load(str(run.folder / "config.toml"))
    assert again == run.experiment
    table = run.experiment.network["posterior_mean"]
    assert table["restorer"] == str(tmp_path / "mean.safetensors") and len(table["sha256"]) == 64
    assert run.experiment.network["sigma"] == 0.05  # said in the stack alone
    assert "tiny-flow" in dry_run(run.experiment, tmp_path / "dry", torch.device("cpu"))


def test_changed_posterior_mean_is_refused(tiny, tmp_path):
    run = tiny()
    spec, _ = without_origin(run.experiment.network["posterior_mean"], "network", "")
    torch.manual_seed(6)
    card = weights.Card("mean", "super-resolution", spec, scale=2)
    weights.save(tmp_path / "mean.safetensors", PlainSr(scale=2, width=4, blocks=1), card)
    changed = r"holds a run with other settings: network\.posterior_mean\.sha256;"
    with pytest.raises(ConfigError, match=changed):
        tiny()
    changed = r'^network\.posterior_mean\.restorer = ".*": has changed; expected the file with sha256'
    with pytest.raises(ConfigError, match=changed):
        build_run(run.experiment, tmp_path / "other", torch.device("cpu"))


def test_balanced_terms_are_balanced_against_the_regression(tiny):
    run = tiny(settings=("stack.0.balance=true",))
    update = next(run.method.updates(run.data.batch(0), 0))
    factor = update.logs["l1.balance"]
    expected = 2 * update.logs["rectified-flow"] + 0.1 * factor * update.logs["l1"]
    torch.testing.assert_close(update.loss, expected)
    assert factor > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ('method.name="direct"',),
            "stack.1: term 'rectified-flow' belongs to method 'rectified-flow'; this experiment's method is 'direct'",
        ),
        (
            ('network={ name = "plain-sr", scale = 2 }', 'stack=[{ name = "l1" }]'),
            "method: network is PlainSr; this method needs the network 'posterior-mean-flow'",
        ),
        (
            ("network.sigma=0.2",),
            "method: term 'rectified-flow' has sigma = 0.05 but the network 0.2; expected the same",
        ),
        (
            ('stack.1.source="degraded"', 'network.source="posterior-mean"'),
            "method: term 'rectified-flow' has source = 'degraded' but the network 'posterior-mean'; "
            "expected the same",
        ),
        (
            ('stack.0={ name = "rectified-flow" }',),
            "method: the stack has term 'rectified-flow' more than once; expected it once",
        ),
        (
            ('network.posterior_mean="bicubic-x2"',),
            'network.posterior_mean = "bicubic-x2": a baseline; expected a restorer with a network',
        ),
        (
            ('network.posterior_mean="denoise-colour-small"',),
            "network.posterior_mean: denoise-colour-small: no such file and no restorer of that name; "
            "did you mean 'denoise-color-small'?",
        ),
        (
            ('network.posterior_mean={ name = "plain-sr", scale = 2 }',),
            "network.posterior_mean: expected the name or file of a restorer; a bare network knows nothing",
        ),
        (
            ('network.posterior_mean="denoise-color-small"',),
            "network: scale = 2, but posterior_mean has scale 1; expected the same",
        ),
        (
            ('stack.1.times="stratifed"',),
            "stack.1.times = \"stratifed\": expected 'stratified', 'uniform' or 'logit-normal'; "
            "did you mean 'stratified'?",
        ),
        (("stack.1.strata=0",), "stack.1: strata = 0; expected a number from 1"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_refused_before_anything_starts(tiny, settings, message):
    with pytest.raises(ConfigError) as caught:
        tiny(settings=settings)
    assert str(caught.value) == message


def test_sources_for_comparison_train(tiny):
    for source, condition in (("degraded", "none"), ("noise", "degraded"), ("noise", "posterior-mean")):
        arm = (f'stack.1.source="{source}"', f'network.condition="{condition}"', "schedule.steps=2")
        run = tiny(f"{source}-{condition}", arm)
        assert run.method.network.start.source == source
        before = state(run.groups["velocity"])
        train(run)
        after = state(run.groups["velocity"])
        assert all(not torch.equal(before[k], after[k]) for k in before)


def test_example_of_the_documentation_is_an_experiment(tmp_path):
    text = (Path(__file__).parents[3] / "docs" / "methods.md").read_text()
    path = tmp_path / "example.toml"
    path.write_text(text.split("```toml\n")[1].split("```")[0])
    experiment = load(str(path))
    assert experiment.method["name"] == "rectified-flow"
    assert experiment.network["posterior_mean"]["name"] == "res-unet"
    assert experiment.stack[0]["strata"] == experiment.schedule.batch


class Wiener(Network):
    """The posterior mean of clean = 0.5 + 0.1·x from degraded = 0.5 + 0.1·(x + n)."""

    receptive_field = 0

    def forward(self, degraded: Tensor) -> Tensor:
        return 0.5 + 0.5 * (degraded - 0.5)


class Pixelwise(nn.Module):
    """A velocity of each value by itself."""

    multiple, receptive_field = 1, 0

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(2, 32), nn.SiLU(), nn.Linear(32, 32), nn.SiLU(), nn.Linear(32, 1)
        )

    def forward(self, between: Tensor, t: Tensor, seen: Tensor | None = None) -> Tensor:
        value = (between - 0.5) / 0.1
        time = t.view(-1, 1, 1, 1).expand_as(value)
        return 0.1 * self.layers(torch.stack((value, time), -1)).squeeze(-1)


@pytest.mark.slow
def test_short_training_learns_the_flow_of_the_gaussian_toy():
    """In units of Var(clean): MSE 2 − 2a/√(a + σ²) = 0.5997 and variance 1 for σ = 0.1; MMSE is 0.5, variance 0.5."""
    torch.manual_seed(0)
    network = PosteriorMeanFlow(width=4, steps=50, sigma=0.01, posterior_mean=Wiener())
    network.velocity = Pixelwise()
    method = RectifiedFlow(network, Stack([Entry("rectified-flow", Regression(strata=64))]))
    optimizer = torch.optim.Adam(method.groups()["velocity"].parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 300)
    rng = torch.Generator().manual_seed(1)
    for step in range(300):
        x, n = torch.randn(2, 64, 3, 4, 4, generator=rng)
        keys = tuple((0, 64 * step + i) for i in range(64))
        update = next(method.updates(Batch(0.5 + 0.1 * (x + n), 0.5 + 0.1 * x, keys=keys, step=step), step))
        optimizer.zero_grad()
        (100 * update.loss).backward()  # the toy is small, and Adam's ε is not
        optimizer.step()
        schedule.step()
    x, n = torch.randn(2, 1, 3, 96, 96, generator=rng)
    with torch.no_grad():
        restored = method.restorer().eval()(0.5 + 0.1 * (x + n))
    assert float(restored.var()) / 0.01 == pytest.approx(1, abs=0.06)
    assert float((restored - 0.5 - 0.1 * x).square().mean()) / 0.01 == pytest.approx(0.5997, abs=0.03)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["replicate", "fully-shard"])
def test_two_processes_equal_one(tiny, tmp_path, strategy, by_one_and_two):
    tiny("unused")
    settings = ("schedule.micro_batches=2", f"distributed.strategy={strategy}", "validation.every=3")
    a, b = by_one_and_two(tmp_path / "tiny.toml", settings)
    assert a.keys() == b.keys() and any(k.startswith("posterior_mean.") for k in a)
    assert max(float((a[k] - b[k]).abs().max()) for k in a) < 1e-5


def test_average_is_what_validation_sees_and_the_file_holds(tiny):
    run, seen = tiny(settings=("validation.every=3",)), []

    def validate(network: nn.Module, step: int) -> dict[str, float]:
        average, raw = (state(run.averages["restorer"]), state(run.method.restorer()))
        seen.append((step, same(state(network), average), same(state(network), raw)))
        return {"psnr": float(step)}

    run.validate = validate
    trained = train(run)
    assert seen == [(3, True, False), (6, True, False)]
    stored = load_file(export(run, trained, run.parts()))
    assert same(stored, state(run.averages["restorer"]))
    learnt = {k: v for k, v in state(run.method.restorer()).items() if k.startswith("velocity.")}
    assert all(not torch.equal(stored[k], v) for k, v in learnt.items())


def test_no_validation_is_the_best_since_fidelity_falls_as_a_flow_learns(tiny):
    run = tiny(settings=("schedule.keep=1", "schedule.checkpoint=1", "validation.every=2"))
    run.validate = lambda restorer, step: {"psnr-rgb": -float(step)}
    train(run)
    assert [path.stem for path in checkpoint.every(run.folder / "checkpoints")] == ["step-00000006"]
    assert run.record.best is None and run.record.scores == {"psnr-rgb": -6.0}


class Blind(Network):
    """A posterior mean that does not look."""

    receptive_field = 0

    def forward(self, degraded: Tensor) -> Tensor:
        return torch.full_like(degraded, 0.4)


def test_stage_two_never_sees_the_degraded_image():
    """Neither in training nor in restoring does anything but the posterior mean depend on it."""
    torch.manual_seed(0)
    network = PosteriorMeanFlow(width=4, steps=2, posterior_mean=Blind()).eval()
    method = RectifiedFlow(network, Stack([Entry("rectified-flow", Regression(strata=4))]))
    shown = []
    network.velocity.register_forward_pre_hook(lambda module, inputs: shown.append(inputs))
    generator = torch.Generator().manual_seed(1)
    clean, first, second = torch.rand(3, 4, 3, 16, 16, generator=generator)
    keys = tuple((0, i) for i in range(4))
    losses, gradients = [], []
    for degraded in (first, second):
        degraded = degraded.clone().requires_grad_()
        update = next(method.updates(Batch(degraded, clean, keys=keys, step=0), 0))
        update.loss.backward()
        losses.append(update.loss.detach())
        gradients.append(degraded.grad)
    assert torch.equal(*losses) and gradients == [None, None]
    t = flow.times(keys, strata=4)
    z = flow.path(0.4 + 0.1 * flow.noise(keys, clean), clean, t)
    for between, times, *others in shown:
        torch.testing.assert_close(between, z)
        torch.testing.assert_close(times, t)
        assert others == [None]
    with torch.no_grad():
        assert torch.equal(network(first), network(second))


RANKS = """
import json, sys
from pathlib import Path
import torch
from restoration import distributed
from restoration.experiment import load
from restoration.runs import build_run, claim
from restoration.train import train

seen, on = [], torch.device("cpu")
with distributed.process_group(on):
    run = build_run(load(sys.argv[1]), Path(sys.argv[2]), on)
    if distributed.rank() == 0:
        claim(run.folder, run.experiment)
    distributed.barrier()
    run.method.network.velocity.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[1].tolist()))
    train(run)
    found = distributed.gather(seen)
    if distributed.rank() == 0:
        Path(sys.argv[3]).write_text(json.dumps(found))
"""


@pytest.mark.slow
def test_ranks_draw_their_times_from_strata_of_their_own(tiny, tmp_path):
    tiny("unused")
    script, found = tmp_path / "ranks.py", tmp_path / "times.json"
    script.write_text(RANKS)
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--standalone",
        str(script),
    ]
    arguments = [str(tmp_path / "tiny.toml"), str(tmp_path / "run"), str(found)]
    subprocess.run([*command, *arguments], check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    ranks = json.loads(found.read_text())
    assert len(ranks) == 2 and len(ranks[0]) == len(ranks[1]) == 6
    for first, second in zip(*ranks, strict=True):
        assert len(first) == len(second) == 2
        assert sorted(int(4 * t) for t in (*first, *second)) == [0, 1, 2, 3]
    assert len({t for rank in ranks for step in rank for t in step}) == 24


DIFFUSERS = '{ name = "diffusers-unet", widths = [8, 16], blocks = 1, attention = [false, true], head = 8, groups = 4 }'
HDIT = (
    '{ name = "hdit", widths = [16, 32], depths = [1, 1], head = 8, patch = 2, mapping_width = 12, mapping_hidden = 20, '
    'attention = ["neighbourhood", "global"], timed = true }'
)


@pytest.mark.slow
@pytest.mark.parametrize("velocity", [DIFFUSERS, HDIT], ids=["diffusers-unet", "hdit"])
def test_other_velocities_train_and_restore(tiny, velocity):
    run = tiny(settings=(f"network.velocity={velocity}", "schedule.steps=2"))
    before = state(run.groups["velocity"])
    trained = train(run)
    after = state(run.groups["velocity"])
    assert any(not torch.equal(before[k], after[k]) for k in before)
    restorer = weights.load(export(run, trained, run.parts()))
    assert restorer.receptive_field is None and restorer.network.velocity is not run.groups["velocity"]
    degraded = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(restorer(degraded), trained(degraded), rtol=1e-5, atol=1e-5)


def test_memory_of_training_is_that_of_one_call_of_the_velocity():
    few, many = (PosteriorMeanFlow(width=4, source="degraded", steps=steps) for steps in (1, 25))
    found = [cost.training_bytes(network, (2, 3, 32, 32), False, True) for network in (few, many)]
    assert found[0] == found[1] > 0 and many.steps == 25
    assert cost.multiply_adds(many, 3, 32) == pytest.approx(25 * cost.multiply_adds(few, 3, 32))
