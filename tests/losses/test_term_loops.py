"""Every term that sees more than a pair against its published formula, a loop at a time, on answers that are given."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from restoration.losses import LOSSES, TERMS
from restoration.losses.adversarial import Adversarial
from restoration.losses.discriminators import Discriminator
from restoration.losses.draws import uniform
from restoration.losses.term import Term
from restoration.method import Batch

from . import loops_objectives, loops_terms
from .loops import mean
from .toy import TOY, toy

Sized = tuple[int, int]
Loop = Callable[[Term, Tensor, Batch], list[float]]  # what the restorer lowers of each image
OwnLoop = Callable[[Term, Tensor, Batch], float]  # what the term's own parts lower
CURVE = 0.7  # of the logits of `Given`


class Given(Discriminator):
    """Two networks whose logits are, and whose features are, what the image itself says."""

    channels = 1

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(()))

    def outputs(self, image: Tensor) -> list[list[Tensor]]:
        logits = image + CURVE * image.square() / 2 + self.shift
        return [[2 * image, image[..., 1:], logits], [image[..., 1:, :] + 1, 3 * image[..., 1:]]]


def logits(image: np.ndarray) -> list[np.ndarray]:
    """Return the logits of both networks of `Given`."""
    return [image + CURVE * image**2 / 2, 3 * image[..., 1:]]


def slopes(image: np.ndarray) -> np.ndarray:
    """Return the gradient of each image's logit, the mean over networks of the means over logits."""
    count, fewer = image[0].size, image[0, ..., 1:].size
    found = (1 + CURVE * image) / count / 2
    found[..., 1:] += 3 / fewer / 2
    return found


def _adversarial(term: Adversarial, restored: Tensor, batch: Batch) -> list[float]:
    return loops_terms.of_restorer(
        OBJECTIVE[term.rules], logits(restored.numpy()), logits(batch.clean.numpy())
    )


def _adversarial_own(term: Adversarial, restored: Tensor, batch: Batch) -> float:
    restored, clean = restored.numpy(), batch.clean.numpy()
    value = loops_terms.of_discriminator(OBJECTIVE[term.rules], logits(restored), logits(clean))
    if term.penalty:
        share = uniform(batch.keys, "wasserstein-gp", (1, 1, 1), 0, 1, batch.clean).numpy()
        between = share * clean + (1 - share) * restored
        value += term.penalty * mean((n - 1) ** 2 for n in loops_terms.lengths(slopes(between)))
    if term.r1 and batch.step % term.r1_every == 0:
        value += term.r1_every * term.r1 / 2 * mean(n**2 for n in loops_terms.lengths(slopes(clean)))
    return value


OBJECTIVE = {Adversarial(Given(), name).rules: name for name in (*loops_terms.RULES, *loops_terms.RELATIVE)}


def _feature_matching(term: Term, restored: Tensor, batch: Batch) -> list[float]:
    ours, theirs = ([2 * i, i[..., 1:], i[..., 1:, :] + 1] for i in (restored.numpy(), batch.clean.numpy()))
    return [
        loops_terms.feature_matching([maps[n] for maps in ours], [maps[n] for maps in theirs])
        for n in range(len(restored))
    ]


def _exclusion(term: Term, restored: Tensor, batch: Batch) -> list[float]:
    others = batch.layers.get("reflection", batch.degraded - restored)
    pairs = zip(restored.numpy(), others.numpy(), strict=True)
    return [loops_terms.exclusion(t, r, term.scales, term.form) for t, r in pairs]


def _consistency(term: Term, restored: Tensor, batch: Batch) -> list[float]:
    pairs = zip(restored.numpy(), batch.degraded.numpy(), strict=True)
    return [loops_terms.consistency(x, y, term.distance) for x, y in pairs]


def _flicker(term: Term, restored: Tensor, batch: Batch) -> list[float]:
    found = {}
    for seed, sample in batch.keys:
        keys = [(seed, sample - sample % term.frames + n) for n in range(term.frames)]
        clip = [batch.keys.index(key) for key in keys]
        flows = None if term.motion == "still" else batch.layers["flow"].numpy()[clip]
        images = (restored.numpy()[clip], batch.clean.numpy()[clip])
        found[seed, sample] = loops_terms.flicker(*images, flows)
    return [found[key] for key in batch.keys]


def _rectified_flow(term: Term, restored: Tensor, batch: Batch) -> list[float]:
    images = (restored.numpy(), batch.clean.numpy(), np.zeros_like(restored.numpy()) + 0.3)
    times = term.drawn_times(batch.keys, restored).tolist()
    return [loops_terms.rectified_flow(*triple, t) for *triple, t in zip(*images, times, strict=True)]


def _contrastive(term: Term, restored: Tensor, batch: Batch) -> list[float]:
    samples, found = term.recipe(batch), []
    embed = lambda image: [toy(image, layer) for layer in term.embedding.layers]  # noqa: E731
    for n, image in enumerate(restored.numpy()):
        near, far = ([embed(i[n].numpy()) for i in sets] for sets in (samples.positives, samples.negatives))
        for step in range(1, term.others + 1):
            far.append(embed(batch.clean[(n + step) % len(restored)].numpy()))
        found.append(
            loops_objectives.over_layers(loops_objectives.info_nce, embed(image), near, far, term.pool)
        )
    return found


def _frequency_contrastive(term: Term, restored: Tensor, batch: Batch) -> list[float]:
    samples = term.recipe(batch)
    with torch.no_grad():
        anchors, near, far = (
            [[maps.numpy() for maps in term._maps(images)] for images in sets]
            for sets in ((restored,), samples.positives, samples.negatives)
        )
    taken = lambda sets, n: [[maps[n] for maps in layers] for layers in sets]  # noqa: E731
    return [
        loops_objectives.over_layers(
            loops_objectives.info_nce, taken(anchors, n)[0], taken(near, n), taken(far, n), "pixels"
        )
        for n in range(len(restored))
    ]


def _frequency_contrastive_own(term: Term, restored: Tensor, batch: Batch) -> float:
    samples = term.recipe(batch)
    clean, other = [batch.clean], [restored]
    if term.discriminate_samples:  # sharpened ones count as clean, blurred ones as restored
        clean, other = [*samples.positives], [restored, *samples.negatives[1:]]
    with torch.no_grad():
        answers = [np.concatenate([term.discriminator(i).numpy() for i in sets]) for sets in (clean, other)]
    return loops_terms.dual_contrastive(*answers)


LOOPS: dict[str, Loop] = {
    "adversarial": _adversarial,
    "consistency": _consistency,
    "contrastive": _contrastive,
    "exclusion": _exclusion,
    "feature-matching": _feature_matching,
    "flicker": _flicker,
    "frequency-contrastive": _frequency_contrastive,
    "rectified-flow": _rectified_flow,
}
# of terms whose own parts lower something; the heads of contrastive objectives lower what the restorer does
OWN_LOOPS: dict[str, OwnLoop] = {
    "adversarial": _adversarial_own,
    "frequency-contrastive": _frequency_contrastive_own,
}
# entry → why no loop states it; none today: logits, features and draws are given to the loops
EXEMPT: dict[str, str] = {}


@dataclass(frozen=True)
class Case:
    """Keywords of an entry, and the images: channels and size, and how many times smaller the degraded ones are."""

    name: str
    settings: dict[str, object] = field(default_factory=dict)
    size: Sized = (5, 8)
    channels: int = 3
    smaller: float = 1
    without: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join(
            [self.name, *(f"{key}={value}" for key, value in self.settings.items()), *self.without]
        )


GIVEN = {"size": (4, 7), "channels": 1}
OF_TOY = {"embedding": TOY}
NARROW = {"width": 2, "positives": 2, "negatives": 2}
CASES = [
    *(Case("adversarial", {"objective": name}, **GIVEN) for name in OBJECTIVE.values()),
    Case("adversarial", {"r1": 2.0, "r1_every": 3}, **GIVEN),
    Case("adversarial", {"objective": "wasserstein-gp", "penalty": 3.0, "r1": 2.0, "r1_every": 5}, **GIVEN),
    *(Case("consistency", {"distance": d}, (6, 9), smaller=1.5) for d in ("l1", "l2", "charbonnier")),
    Case("consistency", {}, (9, 12), channels=1, smaller=3),
    Case("consistency"),
    Case("contrastive", OF_TOY, (6, 9)),
    Case("contrastive", OF_TOY | {"layers": ("image",), "pool": "mean", "others": 2}, (6, 9), 1),
    Case("contrastive", OF_TOY | {"naive_samples": True}, (3, 6)),
    Case("exclusion"),
    Case("exclusion", {}, (5, 8), 1, without=("reflection",)),
    Case("exclusion", {"form": "released"}),
    Case("exclusion", {"form": "released", "scales": 2}, (3, 6), 1),
    Case("feature-matching", **GIVEN),
    Case("flicker"),
    Case("flicker", {"frames": 6}, channels=1),
    Case("flicker", {"frames": 3, "motion": "still"}, (1, 4)),
    Case("frequency-contrastive", NARROW, (32, 36)),
    Case("frequency-contrastive", NARROW | {"layers": (2, 7), "discriminate_samples": True}, (32, 36)),
    Case("frequency-contrastive", NARROW | {"statistics": "running", "channels": 1}, (32, 36), 1),
    Case("rectified-flow", {}, (1, 4)),
    Case("rectified-flow", {"times": "logit-normal"}, (1, 4), 1),
]


def built(case: Case) -> Term:
    """Return the term in float64, connected to `Given` where it takes a discriminator."""
    torch.manual_seed(0)
    beside = {"adversarial": Adversarial(Given())}
    term = TERMS[case.name](
        **({"discriminator": Given()} if case.name == "adversarial" else {}) | case.settings
    )
    term.connect(beside)
    for part in term.groups().values():
        part.double().eval()
    return term


def made(case: Case) -> tuple[Tensor, Batch]:
    """Return six restored images and their batch, the samples of clips out of order."""
    rng = np.random.default_rng(0)
    shape = (6, case.channels, *case.size)
    clean, reflection = torch.from_numpy(rng.random((2, *shape)))
    restored = clean + 0.2 * torch.from_numpy(rng.standard_normal(shape))
    small = tuple(round(side / case.smaller) for side in case.size)
    degraded = torch.from_numpy(rng.random((*shape[:2], *small)))
    layers = {"reflection": reflection, "flow": torch.from_numpy(rng.normal(0, 1.5, (6, 2, *case.size)))}
    layers = {name: layer for name, layer in layers.items() if name not in case.without}
    keys = tuple((7, sample) for sample in (3, 0, 5, 1, 2, 4))
    return restored, Batch(degraded, clean, layers=layers, keys=keys)


@pytest.mark.parametrize("name", sorted(set(TERMS) - set(LOSSES)))
def test_every_term_has_a_loop_or_an_excuse(name):
    if name in EXEMPT:
        pytest.skip(f"{name} has no loop: {EXEMPT[name]}")
    assert name in LOOPS and any(case.name == name for case in CASES)


def test_the_tables_name_the_entries():
    assert set(LOOPS) | set(EXEMPT) == set(TERMS) - set(LOSSES) and not set(LOOPS) & set(EXEMPT)
    parts = {case.name for case in CASES if built(case).groups()}
    assert parts == set(OWN_LOOPS)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_term_is_its_loop(case):
    term, (restored, batch) = built(case), made(case)
    expected = LOOPS[case.name](term, restored, batch)
    assert max(map(abs, expected)) > 1e-3
    value = term.of_restored(restored, batch).detach()
    np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(term.of_batch(restored, batch).detach(), mean(expected), rtol=1e-9)


@pytest.mark.parametrize("case", [case for case in CASES if case.name in OWN_LOOPS], ids=str)
@pytest.mark.parametrize("step", [0, 1])
def test_what_its_own_parts_lower_is_its_loop(case, step):
    term, (restored, batch) = built(case), made(case)
    batch = replace(batch, step=step)
    expected = OWN_LOOPS[case.name](term, restored, batch)
    assert term.of_own_parts(restored, batch).item() == pytest.approx(expected, rel=1e-9)
