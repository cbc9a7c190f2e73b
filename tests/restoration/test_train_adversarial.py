"""Training against a discriminator: exact resume, its own schedule and average, export, two processes against one."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from restoration import checkpoint
from restoration.errors import ConfigError
from restoration.experiment import load
from restoration.runs import build_run, claim, export
from restoration.runs import run as train_and_export
from restoration.train import take_step, train

EXPERIMENT = """
name = "adversarial"
task = "super-resolution"
[schedule]
steps = 6
batch = 4
bfloat16 = false
average = 0.9
checkpoint = 2
decay = "constant"
[data]
images = "{images}"
crop = 32
degradation = {{ name = "bicubic", scale = 2 }}
[network]
name = "plain-sr"
scale = 2
width = 8
blocks = 1
[[stack]]
name = "l1"
[[stack]]
name = "adversarial"
weight = 0.1
{adversarial}
[[stack]]
name = "feature-matching"
weight = 0.1
[optimizer.default]
name = "adam"
lr = 1e-3
[optimizer.adversarial]
name = "adam"
lr = 2e-3
decay = "cosine"
clip = 1.0
average = 0.9
[validation]
every = 100
"""
PATCH = 'discriminator = { name = "patch", width = 4, layers = 2, norm = "none" }'
UNET = 'discriminator = { name = "unet-spectral", width = 4 }'


def write_photos(root: Path) -> Path:
    folder = root / "photos"
    folder.mkdir()
    for i in range(4):
        coarse = np.random.default_rng(i).integers(0, 256, (7, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((40, 36), Image.Resampling.BICUBIC).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def make(tmp_path: Path):
    photos = write_photos(tmp_path)

    def made(folder: str = "run", adversarial: str = PATCH, settings: tuple[str, ...] = ()):
        path = tmp_path / "adversarial.toml"
        path.write_text(EXPERIMENT.format(images=photos, adversarial=adversarial))
        run = build_run(load(str(path), settings), tmp_path / folder, torch.device("cpu"))
        claim(run.folder, run.experiment)
        return run

    return made


def weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in module.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


class Interrupted(Exception):
    pass


def interrupt_after(step: int):
    def progress(done: int, logs: dict[str, float]) -> None:
        if done == step:
            raise Interrupted

    return progress


@pytest.mark.parametrize(
    "adversarial",
    [
        UNET + '\nobjective = "relativistic"',
        PATCH + '\nobjective = "wasserstein-gp"\nr1 = 1.0\nr1_every = 2',
        'discriminator = { name = "vgg-style", size = 32, width = 4 }\nobjective = "hinge"',
    ],
    ids=["unet-spectral", "patch", "vgg-style"],
)
def test_resumed_equals_uninterrupted_bit_for_bit(make, adversarial):
    straight = make("straight", adversarial)
    expected = weights(train(straight))
    broken = make("broken", adversarial)
    broken.progress = interrupt_after(5)
    with pytest.raises(Interrupted):
        train(broken)
    resumed = make("broken", adversarial)
    first = weights(resumed.groups["adversarial"])
    assert same(weights(train(resumed)), expected)
    for of in (lambda run: run.groups, lambda run: run.averages):
        assert same(weights(of(resumed)["adversarial"]), weights(of(straight)["adversarial"]))
    moments = [run.stepping["adversarial"][0].state_dict()["state"] for run in (straight, resumed)]
    assert all(same(moments[0][i], moments[1][i]) for i in moments[0])
    learnt = weights(resumed.groups["adversarial"])
    kernels = [k for k, p in resumed.groups["adversarial"].named_parameters() if p.ndim > 1]
    assert kernels and all(not torch.equal(first[k], learnt[k]) for k in kernels)


def test_discriminator_has_its_own_rate_clip_and_average(make):
    run = make("paces", settings=("schedule.steps=4",))
    first = weights(run.groups["adversarial"])
    steps = [weights(run.groups["adversarial"])]
    run.progress = lambda done, logs: steps.append(weights(run.groups["adversarial"]))
    train(run)
    rates = [group["lr"] for optimizer in run.stepping["adversarial"] for group in optimizer.param_groups]
    assert rates == pytest.approx([2e-3 * 0.5 * (1 + np.cos(np.pi * 3 / 4))])
    assert [g["lr"] for o in run.stepping["restorer"] for g in o.param_groups] == [1e-3]
    average = first
    for step, now in enumerate(steps[1:]):
        decay = min(0.9, (1 + step) / (10 + step))
        average = {k: decay * average[k] + (1 - decay) * now[k] for k in now}
    found = weights(run.averages["adversarial"])
    assert all(torch.allclose(found[k], average[k], atol=1e-6) for k in found)
    assert not same(found, steps[-1])


def test_updates_leave_no_gradient_in_the_other_group(make):
    run = make(adversarial=UNET + "\nr1 = 1.0")
    batch, groups = run.data.batch(0), run.groups
    updates = run.method.updates(batch, 0)
    one = next(updates)
    one.loss.backward(inputs=list(groups[one.group].parameters()))
    assert one.group == "restorer" and set(one.logs) == {"l1", "adversarial", "feature-matching"}
    assert all(p.grad is not None for p in groups["restorer"].parameters())
    assert all(p.grad is None for p in groups["adversarial"].parameters())
    groups["restorer"].zero_grad(set_to_none=True)
    other = next(updates)
    other.loss.backward()  # into whatever it reaches
    assert other.group == "adversarial" and next(updates, None) is None
    assert all(p.grad is None for p in groups["restorer"].parameters())
    assert all(p.grad is not None for p in groups["adversarial"].parameters())


def test_adversarial_and_feature_gradients_reach_the_restorer(make):
    run = make(settings=("stack.0.weight=0.0",))
    for weight in ((0.1, 0.0), (0.0, 0.1)):
        for entry, value in zip(run.method.stack.entries[1:], weight, strict=True):
            object.__setattr__(entry.options, "weight", value)
        update = next(run.method.updates(run.data.batch(0), 0))
        update.loss.backward(inputs=list(run.groups["restorer"].parameters()))
        slope = max(float(p.grad.abs().max()) for p in run.groups["restorer"].parameters())
        assert slope > 1e-8
        run.groups["restorer"].zero_grad(set_to_none=True)


def test_what_was_exported_is_where_another_run_starts(make, tmp_path):
    run = make("first", UNET)
    export(run, train(run), run.parts())
    path = tmp_path / "first" / "adversarial.safetensors"
    average = weights(run.averages["adversarial"])
    assert same(load_file(path), average) and not same(average, weights(run.groups["adversarial"]))

    again = make("second", UNET + f'\ninitial = "{path}"')
    assert same(weights(again.groups["adversarial"]), average)
    take_step(again, again.data.batch(0), 0)
    with pytest.raises(ConfigError, match=r"^stack\.1\.initial = .*: not the parts of this term \("):
        make("third", PATCH + f'\ninitial = "{path}"')


def test_checkpoint_holds_the_buffers_of_spectral_normalisation(make):
    run = make("buffers", UNET)
    train(run)
    stored = load_file(checkpoint.every(run.folder / "checkpoints")[-1])
    buffers = dict(run.groups["adversarial"].named_buffers())
    assert len(buffers) == 16
    assert all(torch.equal(stored[f"group/adversarial/{k}"], v) for k, v in buffers.items())


@pytest.mark.parametrize(
    ("adversarial", "line"),
    [
        (
            'discriminator = { name = "vgg-style" }',
            'stack.1: vgg-style: images are 32x32; expected 128x128, or head = "adaptive", which takes any size; '
            "data.crop = 32",
        ),
        (
            'discriminator = { name = "multi-scale" }',
            "stack.1: multi-scale: images are 32x32; expected at least 93 pixels a side; data.crop = 32",
        ),
        (
            'discriminator = { name = "unet-spectral", channels = 1 }',
            "stack.1: unet-spectral: images have 3 channel(s); expected channels = 1",
        ),
        (
            'discriminator = { name = "global-local", window = 32 }',
            "stack.1: global-local: these images come without masks",
        ),
        ('discriminator = { name = "unet-spectal" }',
         "stack.1.discriminator: unknown discriminator 'unet-spectal'; did you mean 'unet-spectral'?"),
        ("", "stack.1: term 'adversarial' needs 'discriminator' (discriminator)"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_the_run(make, adversarial, line):
    with pytest.raises(ConfigError) as error:
        make("refused", adversarial)
    assert str(error.value) == line


def test_feature_matching_without_its_entry_is_refused(make):
    with pytest.raises(ConfigError) as error:
        make("refused", settings=("stack.2.of=adversaria",))
    assert str(error.value) == (
        "stack: of = \"adversaria\": no entry of that name trains a discriminator; did you mean 'adversarial'?"
    )


CASES = {  # the term's keys, and the micro-batches of one process and of each of two
    "patch": (PATCH, 4, 2),
    "penalty": (PATCH + '\nobjective = "wasserstein-gp"', 2, 1),
    "relativistic-r1": (PATCH + '\nobjective = "relativistic"\nr1 = 1.0\nr1_every = 2', 2, 1),
    "vgg-style": ('discriminator = { name = "vgg-style", size = 32, width = 4 }', 2, 1),
    "multi-scale": ('discriminator = { name = "multi-scale", scales = 2, layers = 1, width = 4 }', 2, 1),
    # each micro-batch adds an iteration of the power method, as each process does not
    "unet-spectral": (UNET, 1, 1),
    "unet-spectral-r1": (UNET + "\nr1 = 1.0\nr1_every = 2", 1, 1),
}
IDLE = {"multi-scale": (r"blocks\.[1-9]\.0\.bias",)}
STRATEGIES = ("replicate", "fully-shard")
WORKER = """
import json, sys
from pathlib import Path
import torch
from restoration import distributed
from restoration.experiment import load
from restoration.runs import run

cpu = torch.device("cpu")
with distributed.process_group(cpu):
    for path, settings, folder in json.loads(Path(sys.argv[1]).read_text()):
        run(load(path, settings), Path(folder), cpu, None, quiet=True)
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A folder with the runs of every case, of one process and of two with either strategy: all in one torchrun."""
    root, plan = tmp_path_factory.mktemp("processes"), []
    images = write_photos(root)
    for name, (adversarial, alone, each) in CASES.items():
        path = root / f"{name}.toml"
        path.write_text(EXPERIMENT.format(images=images, adversarial=adversarial))
        one = load(str(path), [f"schedule.micro_batches={alone}"])
        train_and_export(one, root / f"{name}-one", torch.device("cpu"), None, True)
        for strategy in STRATEGIES:
            settings = [f"schedule.micro_batches={each}", f"distributed.strategy={strategy}"]
            plan.append((str(path), settings, str(root / f"{name}-{strategy}")))
    (root / "plan.json").write_text(json.dumps(plan))
    (root / "worker.py").write_text(WORKER)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    command = [*torchrun, str(root / "worker.py"), str(root / "plan.json")]
    subprocess.run(command, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    return root


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("case", CASES)
def test_two_processes_equal_one(trained, case, strategy):
    for file in ("restorer", "adversarial"):
        one, two = (load_file(trained / f"{case}-{run}" / f"{file}.safetensors") for run in ("one", strategy))
        # what batch normalisation counts is averaged over processes that saw other images; an instance normalisation
        # takes the bias before it out again, so that its gradient is rounding alone
        idle = [re.compile(p) for p in (r"running_", r"num_batches", *IDLE.get(case, ()))]
        keys = [k for k in one if not any(pattern.search(k) for pattern in idle)]
        assert max(float((one[k] - two[k]).abs().max()) for k in keys) < 3e-5
