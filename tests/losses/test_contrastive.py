"""The contrastive terms: published values, where gradients go, the released defect, and training that resumes."""

import math
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy, interpolate

from restoration.errors import ConfigError
from restoration.experiment import load
from restoration.losses.adversarial import Adversarial
from restoration.losses.contrastive import Contrastive, FrequencyContrastive, dual_contrastive
from restoration.losses.discriminators.haar_trunk import HaarTrunk
from restoration.losses.discriminators.patch import Patch
from restoration.losses.features import shared_passes
from restoration.losses.multi_head import MultiHead
from restoration.losses.objectives import OBJECTIVES, Decoupled, Ratio
from restoration.losses.stack import Entry, Stack
from restoration.losses.term import Term
from restoration.runs import build_run, claim
from restoration.train import train


@dataclass
class Batch:
    degraded: Tensor
    clean: Tensor
    mask: Tensor | None = None
    layers: dict[str, Tensor] = field(default_factory=dict)
    frames: Tensor | None = None
    keys: tuple[tuple[int, int], ...] = ((0, 0), (0, 1), (0, 2))
    step: int = 0


@pytest.fixture
def batch() -> Batch:
    rng = torch.Generator().manual_seed(0)
    coarse = torch.rand(3, 3, 12, 12, generator=rng)
    clean = interpolate(coarse, size=(48, 48), mode="bicubic").clamp(0, 1)
    clean = (clean + 0.1 * torch.randn(clean.shape, generator=rng)).clamp(0, 1)
    return Batch(interpolate(clean, scale_factor=0.25, mode="bicubic", antialias=True), clean)


@pytest.fixture
def restored(batch) -> Tensor:
    noise = torch.randn(batch.clean.shape, generator=torch.Generator().manual_seed(1))
    return (batch.clean + 0.05 * noise).requires_grad_()


def made(**settings) -> FrequencyContrastive:
    torch.manual_seed(0)
    return FrequencyContrastive(**{"width": 4} | settings)


def state(part: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in part.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def stacked(*terms: Term) -> Stack:
    return Stack([Entry("adversarial" if isinstance(t, Adversarial) else "term", t) for t in terms])


def test_dual_contrastive_has_the_published_values():
    value = dual_contrastive(torch.tensor([1.0, 2.0]), torch.tensor([0.0, -1.0, 0.5]))
    assert float(value) == pytest.approx(0.9383, abs=5e-5)
    assert float(dual_contrastive(torch.zeros(16), torch.zeros(16))) == pytest.approx(
        2 * math.log(17), abs=1e-5
    )


def test_dual_contrastive_is_two_cross_entropies():
    clean, other = torch.randn(5, dtype=torch.float64), torch.randn(7, dtype=torch.float64)
    first = torch.cat([clean.unsqueeze(1), other.expand(5, -1)], 1)
    second = torch.cat([-other.unsqueeze(1), -clean.expand(7, -1)], 1)
    expected = sum(cross_entropy(each, torch.zeros(len(each), dtype=torch.long)) for each in (first, second))
    torch.testing.assert_close(dual_contrastive(clean, other), expected)
    far = torch.full((4,), 300.0)
    assert float(dual_contrastive(far, -far)) == 0 and float(dual_contrastive(-far, far)) > 1000


def test_dual_contrastive_compares_only():
    clean, other = torch.randn(5, dtype=torch.float64), torch.randn(7, dtype=torch.float64)
    value = dual_contrastive(clean, other)
    torch.testing.assert_close(dual_contrastive(clean + 3, other + 3), value)
    assert dual_contrastive(clean + 1, other) < value < dual_contrastive(clean, other + 1)
    torch.testing.assert_close(
        dual_contrastive(-other, -clean), value
    )  # either side may be called the clean one


@pytest.mark.parametrize("layers", [(4,), (0, 2, 6)])
def test_value_is_that_of_the_formula(batch, restored, layers):
    term = made(layers=layers)
    expected = torch.zeros(3)
    samples = term.recipe(batch)
    maps = term.discriminator.train().features  # each set in a call of its own, with its own statistics
    with torch.no_grad():
        for layer in layers:
            s = [cosine_similarity(maps(restored)[layer], maps(images)[layer], dim=1).mean((1, 2))
                 for images in (*samples.positives, *samples.negatives)]  # fmt: skip
            below = sum(value.exp() for value in s[4:])
            expected += sum(-(p.exp() / (p.exp() + below)).log() for p in s[:4]) / 4 / len(layers)
    torch.testing.assert_close(term.of_restored(restored, batch), expected, rtol=1e-5, atol=1e-6)
    assert float(expected.min()) > 0.43 and float(expected.max()) < 3.42


@pytest.mark.parametrize("settings", [{}, {"layers": (0, 5)}, {"objective": Decoupled()}, {"objective": MultiHead()},
                                      {"statistics": "running"}, {"before_activation": True}, {"pool": "mean"}])  # fmt: skip
def test_gradient_reaches_the_restored_image_and_nothing_else(batch, restored, settings):
    term = made(**settings)
    before = {name: state(part) for name, part in term.groups().items()}
    term.of_restored(restored, batch).mean().backward()
    assert restored.grad.isfinite().all() and all(g.abs().sum() > 0 for g in restored.grad)
    for name, part in term.groups().items():
        assert all(p.grad is None and p.requires_grad for p in part.parameters())
        assert all(m.training for m in part.modules())
        assert same(before[name], state(part)), "not even its statistics"


def test_gradient_is_that_of_the_similarities_alone(batch, restored):
    term = made(statistics="running")
    direction = torch.randn(restored.shape, generator=torch.Generator().manual_seed(2)).double()
    (slope,) = torch.autograd.grad(term.of_restored(restored, batch).sum(), restored)
    term.discriminator.double()
    exact = Batch(batch.degraded.double(), batch.clean.double())
    samples = term.recipe(exact)
    term.recipe = lambda _: samples
    at = [
        term.of_restored(restored.detach().double() + step * direction, exact).sum() for step in (1e-5, -1e-5)
    ]
    assert float((slope.double() * direction).sum()) == pytest.approx(float(at[0] - at[1]) / 2e-5, rel=2e-2)


def test_released_defect_has_the_value_and_no_gradient(batch, restored):
    term, control = made(), made(released_defect=True)
    control.discriminator.load_state_dict(term.discriminator.state_dict())
    value = control.of_restored(restored, batch)
    assert torch.equal(value, term.of_restored(restored, batch)) and value.requires_grad
    (slope,) = torch.autograd.grad(value.sum(), restored)
    assert torch.count_nonzero(slope) == 0
    with torch.no_grad():
        assert torch.equal(control.of_restored(restored, batch), value)


def test_lost_gradient_is_noticed(batch, restored):
    term = made()
    blind = term.discriminator.features
    term.discriminator.features = torch.no_grad()(blind)
    with pytest.raises(
        AssertionError, match="no gradient of this contrastive term reaches the restored images"
    ):
        term.of_restored(restored, batch)
    with torch.no_grad():
        assert term.of_restored(restored, batch).shape == (3,)
    assert term.of_restored(restored.detach(), batch).shape == (3,)


def test_statistics_decide_whether_neighbours_matter(batch, restored):
    alone = Batch(batch.degraded[:1], batch.clean[:1], keys=batch.keys[:1])
    own, running = made(), made(statistics="running")
    assert not torch.allclose(
        own.of_restored(restored, batch)[:1], own.of_restored(restored[:1], alone), rtol=1e-3
    )
    together = running.of_restored(restored, batch)
    torch.testing.assert_close(running.of_restored(restored[:1], alone), together[:1], rtol=1e-5, atol=1e-6)
    assert len(set(together.tolist())) == 3


def test_better_images_have_lower_values_once_the_discriminator_has_learnt(batch):
    term = made(width=8)
    optimizer = torch.optim.Adam(term.discriminator.parameters(), lr=1e-3)
    soft = interpolate(batch.degraded, size=(48, 48), mode="bicubic")
    for _ in range(30):
        optimizer.zero_grad()
        term.of_own_parts(soft, batch).backward()
        optimizer.step()
    values = [
        term.of_restored(batch.clean + share * (soft - batch.clean), batch).mean() for share in (0, 0.5, 1)
    ]
    assert values[0] < values[1] < values[2]


def test_own_parts_learn_to_tell_logits_apart(batch, restored):
    term = made()
    with torch.no_grad():
        logits = [term.discriminator(images).flatten() for images in (batch.clean, restored)]
    value = term.of_own_parts(restored.detach(), batch)
    torch.testing.assert_close(value, dual_contrastive(*logits))
    value.backward()
    assert all(bool(p.grad.isfinite().all()) for p in term.discriminator.parameters())
    assert all(float(p.grad.abs().sum()) > 0 for p in term.discriminator.parameters() if p.ndim > 1)


def test_samples_take_part_where_asked(batch, restored):
    term = made(discriminate_samples=True, positives=1, negatives=2)
    samples = term.recipe(batch)
    with torch.no_grad():
        clean = torch.cat([term.discriminator(images).flatten() for images in samples.positives])
        other = [term.discriminator(images).flatten() for images in (restored, *samples.negatives[1:])]
    assert len(clean) == 2 * 3 * 16 and len(other) == 3
    torch.testing.assert_close(
        term.of_own_parts(restored.detach(), batch), dual_contrastive(clean, torch.cat(other))
    )


def test_heads_of_an_objective_are_a_group_that_learns(batch, restored):
    term = made(objective=MultiHead(hidden=8, width=8), layers=(2, 4), pool="mean")
    assert list(term.groups()) == ["discriminator", "heads-2", "heads-4"]
    assert [part.projections[0][0].in_features for part in list(term.groups().values())[1:]] == [8, 16]
    stack = stacked(term)
    ((name, value),) = stack.of_own_parts(restored, batch)
    assert name == "term"
    value.backward()
    for part in term.groups().values():
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())
    assert restored.grad is None
    plain = made(layers=(2, 4), pool="mean").of_own_parts(restored.detach(), batch)
    assert value.item() != pytest.approx(plain.item())


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_every_objective_serves_both_terms(batch, restored, name):
    objective = OBJECTIVES[name](**({"margin": 2.0} if name == "triplet" else {}))
    for terms in ([made(objective=objective)], [Adversarial(Patch(width=4, layers=2)), Contrastive(objective=objective)]):  # fmt: skip
        total, logs = stacked(*terms).of_restored(restored, batch)
        (slope,) = torch.autograd.grad(total, restored)
        assert slope.isfinite().all() and slope.abs().sum() > 0 and bool(logs["term"].isfinite())


def test_naive_samples_are_one_of_each(batch, restored):
    term = made(naive_samples=True, statistics="running")
    plain = made(positives=0, negatives=0, statistics="running")
    assert torch.equal(term.of_restored(restored, batch), plain.of_restored(restored, batch))
    keyless = Batch(batch.degraded, batch.clean, keys=())
    assert torch.equal(term.of_restored(restored, keyless), term.of_restored(restored, batch))


def test_embedding_is_the_neighbours_discriminator(batch, restored):
    critic = Adversarial(Patch(width=4, layers=2, norm="instance"))
    term = Contrastive(layers=(1,), objective=Ratio("cosine"), naive_samples=True)
    stack = stacked(critic, term)
    assert stack.groups() == {"adversarial": critic.discriminator} and term.groups() == {}
    _, logs = stack.of_restored(restored, batch)
    of = [
        critic.discriminator.features(images)[1]
        for images in (restored, batch.clean, term.recipe(batch).negatives[0])
    ]
    s = [cosine_similarity(of[0], other, dim=1).mean((1, 2)) for other in of[1:]]
    torch.testing.assert_close(logs["term"], (s[1] - s[0]).mean().detach())


def test_embedding_may_be_that_of_frequency_contrastive(batch, restored):
    first = made()
    stack = Stack([Entry("pcl", first), Entry("more", Contrastive(of="pcl", layers=(4,)))])
    _, logs = stack.of_restored(restored, batch)
    torch.testing.assert_close(logs["more"], logs["pcl"])


def test_discriminator_stays_as_it_is(batch, restored):
    critic = Adversarial(HaarTrunk(width=4))
    term = Contrastive(objective=MultiHead(hidden=8, width=8), pool="mean")
    stacked(critic, term)
    before = state(critic.discriminator)
    (term.of_restored(restored, batch).mean() + term.of_own_parts(restored.detach(), batch)).backward()
    assert same(before, state(critic.discriminator)) and restored.grad.abs().sum() > 0
    assert all(p.grad is None and p.requires_grad for p in critic.discriminator.parameters())
    assert list(term.groups()) == [f"heads-{i}" for i in range(8)]


def test_embedding_may_be_a_frozen_network(batch, restored, untrained):
    term = Contrastive("vgg16", layers=("relu1_2", "relu2_1"), objective=Decoupled())
    assert stacked(term).groups() == {} and term.minimum_size == 6  # of the blurs; the layers need 2
    small = torch.rand(3, 3, 5, 9)
    with pytest.raises(ValueError) as error:
        term.of_restored(small, Batch(small, small))
    assert str(error.value) == "contrastive: images are 5x9; expected at least 6 pixels a side"
    value = term.of_restored(restored, batch)
    (slope,) = torch.autograd.grad(value.sum(), restored)
    alone = Batch(batch.degraded[:1], batch.clean[:1], keys=batch.keys[:1])
    torch.testing.assert_close(term.of_restored(restored[:1], alone), value[:1], rtol=1e-4, atol=1e-4)
    assert all(g.abs().sum() > 0 for g in slope)


def test_frozen_network_sees_the_clean_image_once(batch, restored, untrained):
    term = Contrastive("vgg16", layers=("relu1_1",), positives=1, negatives=1)
    seen = []
    term.embedding.network.stages[0].register_forward_hook(lambda *given: seen.append(given[1][0]))
    with shared_passes():
        with torch.no_grad():
            term.embedding(batch.clean)
        term.of_restored(restored, batch)
    assert len(seen) == 5  # clean, restored, sharpened, degraded, blurred


def test_other_images_are_further_negatives(batch, restored):
    critic = Adversarial(Patch(width=4, layers=2, norm="instance"))
    plain, more = (
        Contrastive(layers=(1,), objective=Decoupled(1.0), naive_samples=True, others=n) for n in (0, 2)
    )
    for term in (plain, more):
        stacked(critic, term)
    of = critic.discriminator.features
    ours, clean = of(restored)[1], of(batch.clean)[1]
    s = [cosine_similarity(ours, clean.roll(-k, 0), dim=1).mean((1, 2)) for k in (0, 1, 2)]
    below = (plain.of_restored(restored, batch) + s[0]).exp()
    expected = (below + s[1].exp() + s[2].exp()).log() - s[0]
    torch.testing.assert_close(more.of_restored(restored, batch), expected)
    with pytest.raises(ValueError) as error:
        more.of_restored(restored[:2], Batch(batch.degraded[:2], batch.clean[:2], keys=batch.keys[:2]))
    assert str(error.value) == "others = 2; expected fewer than the 2 images of a batch"


def test_no_neighbour_with_a_discriminator_is_refused():
    with pytest.raises(ValueError) as error:
        stacked(Contrastive())
    assert str(error.value).startswith('of = "adversarial": no entry of that name trains a discriminator')


@pytest.mark.parametrize(
    ("build", "line"),
    [
        (lambda: made(layers=(8,)), "haar-trunk: unknown layer 8; it has 0 to 7"),
        (lambda: made(width=0), "width = 0; expected a whole number from 1"),
        (lambda: made(statistics="none"), 'statistics = "none"; expected batch or running'),
        (lambda: made(pool="max"), 'pool = "max"; expected pixels or mean'),
        (lambda: made(positives=-1), "positives = -1; expected at least 0"),
        (lambda: Contrastive(others=-1), "others = -1; expected at least 0"),
        (
            lambda: stacked(Adversarial(Patch(width=4, layers=2)), Contrastive(layers=("relu1",))),
            "patch: unknown layer 'relu1'; it has 0 to 2",
        ),
    ],
)
def test_what_cannot_be_built_is_refused(build, line):
    with pytest.raises(ValueError) as error:
        build()
    assert str(error.value) == line


def test_sizes_are_checked(batch):
    term, image = made(), torch.rand(3, 3, 31, 40)
    with pytest.raises(ValueError) as error:
        term.of_restored(image, Batch(image, image))
    assert str(error.value) == "frequency-contrastive: images are 31x40; expected at least 32 pixels a side"
    with pytest.raises(ValueError) as error:
        term.of_restored(torch.rand(3, 3, 40, 48), batch)
    assert str(error.value) == "restored is 3x3x40x48 but clean is 3x3x48x48; expected equal sizes"
    odd = torch.rand(3, 3, 45, 47)
    assert term.of_restored(odd, Batch(odd, odd)).isfinite().all()


IDLE = "head.1.bias"  # one shift of all logits changes nothing: what it learns is rounding
EXPERIMENT = """
name = "tiny"
task = "super-resolution"
[schedule]
steps = 6
batch = 4
warmup = 2
bfloat16 = false
checkpoint = 3
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
name = "frequency-contrastive"
weight = 0.02
width = 4
discriminate_samples = true
{more}
[optimizer.default]
name = "adam"
lr = 1e-3
[validation]
every = 100
"""


@pytest.fixture
def tiny(tmp_path: Path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(5):
        coarse = np.random.default_rng(i).integers(0, 256, (9, 9, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((48, 48), Image.Resampling.BICUBIC).save(photos / f"{i}.png")

    def make(folder: str, settings: tuple[str, ...] = (), more: str = ""):
        path = tmp_path / "tiny.toml"
        path.write_text(EXPERIMENT.format(images=photos, more=more))
        run = build_run(load(str(path), settings), tmp_path / folder, torch.device("cpu"))
        claim(run.folder, run.experiment)
        return run

    return make


class Interrupted(Exception):
    pass


def interrupt(done: int, logs: dict[str, float]) -> None:
    if done == 5:
        raise Interrupted


@pytest.mark.parametrize(
    "more",
    ["", 'layers = [2, 4]\npool = "mean"\nobjective = { name = "multi-head", hidden = 8, width = 8 }',
     'objective = { name = "hard-mixing" }\nstatistics = "running"'],
)  # fmt: skip
def test_resumed_equals_uninterrupted_bit_for_bit(tiny, more):
    straight = tiny("straight", more=more)
    first = {name: state(part) for name, part in straight.groups.items()}
    train(straight)
    learnt = {name: state(part) for name, part in straight.groups.items()}
    assert set(learnt) == {"restorer", "frequency-contrastive"}
    names = [(group, name) for group in learnt for name in first[group] if IDLE not in name]
    assert all(not torch.equal(first[group][name], learnt[group][name]) for group, name in names)

    broken = tiny("broken", more=more)
    broken.progress = interrupt
    with pytest.raises(Interrupted):
        train(broken)
    resumed = tiny("broken", more=more)
    train(resumed)
    assert all(same(learnt[name], state(part)) for name, part in resumed.groups.items())


def test_released_defect_trains_as_l1_alone(tiny):
    train(with_defect := tiny("defect", more="released_defect = true"))
    train(sound := tiny("sound"))
    train(plain := tiny("plain", ("stack.1.weight=0.0",)))
    ends = [state(run.method.restorer()) for run in (with_defect, plain, sound)]
    assert same(ends[0], ends[1]) and not same(ends[0], ends[2])


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["replicate", "fully-shard"])
def test_two_processes_equal_one(tiny, tmp_path, strategy):
    tiny("unused", more='pool = "mean"\nobjective = { name = "multi-head", hidden = 8, width = 8 }')
    settings = ["schedule.steps=2", "schedule.warmup=0", "schedule.batch=8"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}

    def trained(folder: str, launcher: list[str], *more: str) -> dict[str, Tensor]:
        chosen = [part for setting in (*settings, *more) for part in ("--set", setting)]
        command = ["-m", "restoration", "train", str(tmp_path / "tiny.toml"), "--out", str(tmp_path / folder)]
        subprocess.run([sys.executable, *launcher, *command, "--quiet", "--device", "cpu", *chosen], check=True, env=environment)  # fmt: skip
        found = load_file(tmp_path / folder / "restorer.safetensors")
        return found | load_file(tmp_path / folder / "frequency-contrastive.safetensors")

    # two images each time, whose statistics and logits are all that a rank sees
    one = trained("one", [], "schedule.micro_batches=4")
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    two = trained("two", torchrun, "schedule.micro_batches=2", f"distributed.strategy={strategy}")
    learnt = [name for name in one if not any(part in name for part in ("running", "num_batches", IDLE))]
    assert len(learnt) > 30 and max(float((one[n] - two[n]).abs().max()) for n in learnt) < 1e-5


def test_settings_are_refused_before_training(tiny):
    with pytest.raises(ConfigError, match=r"stack\.1: haar-trunk: unknown layer 9; it has 0 to 7"):
        tiny("run", ("stack.1.layers=[9]",))
    with pytest.raises(ConfigError, match=r"unknown objective 'info-nse'; did you mean 'info-nce'\?"):
        tiny("run", ('stack.1.objective={ name = "info-nse" }',))
