"""The loop: exact resume, accumulation, averages, what stops a run, and two processes against one."""

import math
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from restoration import checkpoint
from restoration.errors import ConfigError, TrainingStopped
from restoration.experiment import Schedule, load
from restoration.losses.loss import Loss
from restoration.runs import build_run, claim, splitting
from restoration.train import rate, train

EXPERIMENT = """
name = "tiny"
task = "super-resolution"
[schedule]
steps = 8
batch = 4
warmup = 2
bfloat16 = false
average = 0.9
checkpoint = 3
clip = 1.0
[data]
images = "{images}"
crop = 16
degradation = {{ name = "bicubic", scale = 2 }}
[network]
name = "plain-sr"
scale = 2
width = 8
blocks = 1
[[stack]]
name = "l1"
[[stack]]
name = "ssim"
weight = 0.1
window = 3
[optimizer.default]
name = "{optimizer}"
lr = 1e-2
[validation]
every = 100
"""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for i in range(5):
        coarse = np.random.default_rng(i).integers(0, 256, (7, 8, 3), dtype=np.uint8)
        smooth = Image.fromarray(coarse).resize((40, 36), Image.Resampling.BICUBIC)
        edges = smooth.point(lambda v: 230 if v > 128 else 20)  # sharp shapes: something to learn
        edges.save(folder / ("more" if i % 2 else ".") / f"{i}.png")
    return folder


@pytest.fixture
def tiny(tmp_path: Path, photos: Path):
    def make(folder: str = "run", settings: tuple[str, ...] = (), optimizer: str = "adamw"):
        path = tmp_path / "tiny.toml"
        path.write_text(EXPERIMENT.format(images=photos, optimizer=optimizer))
        run = build_run(load(str(path), settings), tmp_path / folder, torch.device("cpu"))
        claim(run.folder, run.experiment)
        return run

    return make


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


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "muon"])
def test_resumed_equals_uninterrupted_bit_for_bit(tiny, optimizer):
    straight = tiny("straight", optimizer=optimizer)
    expected = weights(train(straight))
    learnt = weights(straight.method.restorer())

    broken = tiny("broken", optimizer=optimizer)
    broken.progress = interrupt_after(5)
    with pytest.raises(Interrupted):
        train(broken)
    resumed = tiny("broken", ["data.workers=1"], optimizer=optimizer)
    assert same(weights(train(resumed)), expected)
    assert same(weights(resumed.method.restorer()), learnt)
    assert not same(learnt, expected)  # the average is not the last iterate


def test_every_optimizer_moves_every_parameter(tiny):
    for optimizer in ("adamw", "adam", "muon"):
        run = tiny(optimizer, optimizer=optimizer)
        before = weights(run.method.restorer())
        train(run)
        after = weights(run.method.restorer())
        assert all(not torch.equal(before[k], after[k]) for k in before), optimizer


def test_muon_step_is_orthogonal_on_the_kernel_matrix(tiny):
    run = tiny("muon", ["schedule.channels_last=true"], optimizer="muon")
    kernel = run.method.restorer().body[0].conv1.weight
    before = kernel.detach().clone()
    kernel.grad = torch.randn(kernel.shape, generator=torch.Generator().manual_seed(0)).contiguous(
        memory_format=torch.channels_last
    )
    muon = run.stepping["restorer"][0]
    muon.step()
    moved = (kernel.detach() - before).flatten(1)
    values = torch.linalg.svdvals(moved)
    assert values.min() / values.max() > 0.5  # Newton-Schulz brings all singular values near each other


def test_micro_batches_equal_one_batch(tiny):
    whole, parts = (
        tiny("whole", ["schedule.steps=3"]),
        tiny("parts", ["schedule.steps=3", "schedule.micro_batches=4"]),
    )
    a, b = weights(train(whole)), weights(train(parts))
    assert max(float((a[k] - b[k]).abs().max()) for k in a) < 1e-5


def test_first_updates_gradients_stay_in_their_group(tiny):
    run = tiny()
    update = next(run.method.updates(run.data.batch(0), 0))
    update.loss.backward(inputs=list(run.groups[update.group].parameters()))
    assert update.group == "restorer"
    assert all(p.grad is not None for p in run.groups["restorer"].parameters())


def test_training_lowers_the_loss(tiny):
    noise = 'data.degradation={ name = "noise", sigma = 50.0 }'
    run = tiny("fit", ["schedule.steps=100", "schedule.batch=8", "network.scale=1", noise])
    batch = run.data.batch(0)

    def loss(restorer: torch.nn.Module) -> float:
        with torch.no_grad():
            return float(run.method.stack.of_restored(restorer(batch.degraded), batch)[0])

    before = loss(run.method.restorer())
    assert loss(train(run)) < 0.8 * before


def test_validation_is_handed_the_average(tiny):
    run = tiny("validated", ["validation.every=4"])
    seen = {}

    def validate(restorer: torch.nn.Module, step: int) -> dict[str, float]:
        seen[step] = same(weights(restorer), weights(run.averages["restorer"]))
        assert not same(weights(restorer), weights(run.method.restorer()))
        return {"psnr-y": float(step)}

    run.validate = validate
    train(run)
    assert seen == {4: True, 8: True}
    assert (run.folder / "validation.csv").read_text().splitlines() == ["step,psnr-y", "4,4", "8,8"]


def test_average_follows_its_formula(tiny):
    run = tiny("average", ["schedule.steps=1", "schedule.average=0.5"])
    first = weights(run.averages["restorer"])
    train(run)
    last, average = weights(run.method.restorer()), weights(run.averages["restorer"])
    decay = 1 / 10  # (1 + step) / (10 + step) at step 0
    assert all(torch.allclose(average[k], decay * first[k] + (1 - decay) * last[k], atol=1e-7) for k in first)


def test_not_finite_stops_with_step_term_and_files(tiny):
    run = tiny("nan", ["stack.1.weight=0.0"])
    entry = run.method.stack.entries[1]
    calm, calls = entry.term.loss, []

    class Wild(Loss):
        def __call__(self, restored, clean):
            calls.append(0)
            return calm(restored, clean) * (math.nan if len(calls) in (5, 6, 7) else 1.0)

    run.method.stack.entries[1] = replace(entry, term=replace(entry.term, loss=Wild()))
    with pytest.raises(TrainingStopped) as caught:
        train(run)
    first, second, third, fourth = str(caught.value).splitlines()
    assert (
        first
        == f"step 5: 'ssim' is not finite; the last good checkpoint is {run.folder}/checkpoints/step-00000003.safetensors"
    )
    assert second.count(".png") == 4
    assert third.startswith(" values: l1 0.") and ", ssim nan, restorer nan, restorer.gradient nan" in third
    assert fourth.startswith(" gradients: l1 0.") and fourth.endswith(", ssim nan")
    assert [p.name for p in checkpoint.every(run.folder / "checkpoints")] == ["step-00000003.safetensors"]


def test_a_gradient_that_is_not_finite_is_laid_at_its_term(tiny):
    run = tiny("steep", ["schedule.micro_batches=2"])
    entry = run.method.stack.entries[1]

    class Steep(Loss):
        """Finite everywhere; where the images are equal the root has no slope, and 0 times it is none either."""

        def __call__(self, restored, clean):
            return (0 * (restored - restored.detach()).abs().sqrt()).flatten(1).mean(1) + 0.5

    run.method.stack.entries[1] = replace(entry, term=replace(entry.term, loss=Steep()))
    with pytest.raises(TrainingStopped) as caught:
        train(run)
    first, _, values, gradients = str(caught.value).splitlines()
    assert first.startswith("step 1: 'restorer.gradient' is not finite; no checkpoint was written yet")
    assert ", ssim 0.5, " in values
    assert re.fullmatch(r" gradients: l1 \d\.\d+, ssim nan", gradients)


def test_terms_with_parts_are_not_blamed_for_the_gradient_of_another(tiny):
    own = '{ name = "adversarial", discriminator = { name = "patch", width = 4, layers = 1 } }'
    run = tiny("innocent", [f'stack=[{{ name = "l1" }}, {{ name = "ssim" }}, {own}]'])
    entry = run.method.stack.entries[1]

    class Steep(Loss):
        """Finite; its gradient is not."""

        def __call__(self, restored, clean):
            return (0 * (restored - restored.detach()).abs().sqrt()).flatten(1).mean(1) + 0.5

    run.method.stack.entries[1] = replace(entry, term=replace(entry.term, loss=Steep()))
    with pytest.raises(TrainingStopped) as caught:
        train(run)
    gradients = str(caught.value).splitlines()[3]
    assert re.fullmatch(r" gradients: l1 \d\.\d+, ssim nan, adversarial \d\.\d+", gradients), gradients


def test_rates():
    cosine = Schedule(steps=110, warmup=10)
    assert [rate(cosine, s) for s in (0, 9, 10, 60)] == pytest.approx([0.1, 1.0, 1.0, 0.5])
    assert rate(cosine, 110) == pytest.approx(0.0)
    steps = Schedule(steps=100, decay="step", milestones=(0.5, 0.75), factor=0.1)
    assert [rate(steps, s) for s in (0, 49, 50, 75)] == pytest.approx([1, 1, 0.1, 0.01])
    assert rate(Schedule(steps=100, decay="constant"), 99) == 1.0


def test_folder_of_another_run_is_refused(tiny, tmp_path):
    tiny("run")
    with pytest.raises(
        ConfigError, match=r"holds a run with other settings: schedule\.batch; choose another --out"
    ):
        tiny("run", ["schedule.batch=8"])
    assert tiny("run", ["data.workers=1"])  # how many threads make the batches changes nothing
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds files but no run of ours"):
        tiny("other")
    assert [p.name for p in (tmp_path / "other").iterdir()] == ["thesis.txt"]


def test_best_is_kept_even_between_checkpoints(tiny):
    run = tiny("best", ["schedule.keep=1", "validation.every=2", "schedule.checkpoint=5"])
    run.validate = lambda restorer, step: {"psnr-y": -abs(step - 2.0)}
    train(run)
    assert [p.stem for p in checkpoint.every(run.folder / "checkpoints")] == [
        "step-00000002",
        "step-00000008",
    ]
    again = tiny("best", ["schedule.keep=1"])
    train(again)
    assert again.record.best == (2, 0.0) and again.record.scores == {"psnr-y": -6.0}


def test_best_is_the_lowest_where_lower_is_better_and_never_what_is_not_finite(tiny):
    class Distance:
        better = "lower"

        def __call__(self, restorer: torch.nn.Module, step: int) -> dict[str, float]:
            return {"lpips": float("nan") if step == 2 else abs(step - 4.0)}

    run = tiny("lowest", ["validation.every=2"])
    run.validate = Distance()
    train(run)
    assert run.record.best == (4, 0.0)


def test_batch_norm_network_resumes_exactly(tiny):
    settings = ['network={ name = "srresnet", scale = 2, width = 8, blocks = 1 }', "schedule.micro_batches=2"]
    expected = weights(train(tiny("straight-norm", settings)))
    broken = tiny("broken-norm", settings)
    broken.progress = interrupt_after(5)
    with pytest.raises(Interrupted):
        train(broken)
    resumed = tiny("broken-norm", settings)
    assert same(weights(train(resumed)), expected)
    assert splitting(resumed) == {"batch norm": "statistics are those of 2 images, not of the batch of 4"}


def test_draws_within_a_network_resume_exactly_and_a_split_says_that_they_change(tiny):
    network = "width = 8, groups = [2], heads = 2, window = 4, packing = 2, enlargement = 4, drop = 0.5"
    settings = [f'network={{ name = "swinir-packed", {network} }}', "schedule.steps=6"]
    expected = weights(train(tiny("straight-drop", settings)))
    broken = tiny("broken-drop", settings)
    broken.progress = interrupt_after(4)
    with pytest.raises(Interrupted):
        train(broken)
    assert same(weights(train(tiny("broken-drop", settings))), expected)
    parts = tiny("parts-drop", [*settings, "schedule.micro_batches=2"])
    told = "drawn anew for every rank and micro-batch: another split is another training"
    assert splitting(parts) == {"dropout": told} and not splitting(broken)
    found = weights(train(parts))
    assert max(float((found[k] - expected[k]).abs().max()) for k in expected) > 1e-3


def test_checkpoints_are_pruned_to_the_last_and_the_best(tiny):
    run = tiny("kept", ["schedule.keep=1", "validation.every=3", "schedule.checkpoint=1"])
    run.validate = lambda restorer, step: {"psnr-y": -abs(step - 3.0)}
    train(run)
    assert [p.stem for p in checkpoint.every(run.folder / "checkpoints")] == [
        "step-00000003",
        "step-00000008",
    ]


def test_full_disk_leaves_no_half_checkpoint(tiny, monkeypatch):
    run = tiny("full", ["schedule.steps=3"])
    train(run)
    files = sorted((run.folder / "checkpoints").iterdir())

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("restoration.files.os.fsync", full)
    with pytest.raises(
        Exception, match=r"could not be written .*No space left on device.*; nothing was left behind"
    ):
        checkpoint.save(run.folder / "checkpoints", run.state, 9, {"best": None})
    assert sorted((run.folder / "checkpoints").iterdir()) == files


def command(tmp_path: Path, folder: str, *settings: str) -> list[str]:
    chosen = [part for s in settings for part in ("--set", s)]
    return ["-m", "restoration", "train", str(tmp_path / "tiny.toml"), "--out", str(tmp_path / folder), "--quiet",
            "--device", "cpu", *chosen]  # fmt: skip


@pytest.mark.slow
def test_kill_9_and_the_same_command_give_the_same_weights(tiny, tmp_path):
    tiny("unused")
    settings = ("schedule.steps=400", "schedule.checkpoint=20")
    whole = [sys.executable, *command(tmp_path, "whole", *settings)]
    subprocess.run(whole, check=True)

    broken = [sys.executable, *command(tmp_path, "broken", *settings)]
    process = subprocess.Popen(broken)
    deadline = time.monotonic() + 120
    while not checkpoint.every(tmp_path / "broken" / "checkpoints") and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert checkpoint.every(tmp_path / "broken" / "checkpoints")
    assert not (tmp_path / "broken" / "restorer.safetensors").exists()
    subprocess.run([*broken, "--set", "data.workers=1"], check=True)
    a, b = (load_file(tmp_path / f / "restorer.safetensors") for f in ("whole", "broken"))
    assert same(a, b)


PROTOCOL = """
name = "tiny"
task = "super-resolution"
clean = ["photos"]
degraded = { name = "bicubic" }
scale = 2
border = 2
metrics = ["psnr-y"]
"""


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["replicate", "fully-shard"])
def test_two_processes_equal_one(tiny, tmp_path, strategy):
    tiny("unused")
    protocol = tmp_path / "tiny-protocol.toml"
    protocol.write_text(PROTOCOL)
    settings = ("schedule.steps=6", "schedule.micro_batches=2", f"distributed.strategy={strategy}",
                f'validation.protocols=["{protocol}"]', "validation.every=3")  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1", "RESTORATION_DATA": str(tmp_path)}
    subprocess.run([sys.executable, *command(tmp_path, "one", *settings)], check=True, env=environment)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    subprocess.run([*torchrun, *command(tmp_path, "two", *settings)], check=True, env=environment)
    one, two = (load_file(tmp_path / f / "restorer.safetensors") for f in ("one", "two"))
    assert max(float((one[k] - two[k]).abs().max()) for k in one) < 1e-5
    scores = [(tmp_path / f / "validation.csv").read_text().splitlines() for f in ("one", "two")]
    assert scores[0][0] == scores[1][0] == "step,tiny psnr-y"
    values = [[float(row.split(",")[1]) for row in rows[1:]] for rows in scores]
    assert len(values[0]) == 2
    assert values[0] == pytest.approx(values[1], abs=1e-3)
