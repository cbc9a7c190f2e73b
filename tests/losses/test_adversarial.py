"""Adversarial terms: closed forms at known logits, penalties of critics with known slopes, BasicSR's values."""

import math
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor, nn

from restoration.losses.adversarial import RULES, Adversarial, FeatureMatching
from restoration.losses.discriminators import Discriminator
from restoration.losses.discriminators.patch import GlobalLocal, MultiScale, Patch
from restoration.losses.discriminators.unet import UnetSpectral
from restoration.losses.discriminators.vgg import VggStyle
from restoration.losses.draws import uniform
from restoration.losses.pixel import L1
from restoration.losses.stack import Entry, PairTerm, Stack

KEYS = ((0, 0), (0, 1), (0, 2))


@dataclass
class Batch:
    degraded: Tensor
    clean: Tensor
    mask: Tensor | None = None
    layers: dict[str, Tensor] = field(default_factory=dict)
    frames: Tensor | None = None
    keys: tuple[tuple[int, int], ...] = KEYS
    step: int = 0


class Linear(Discriminator):
    """``D(x) = w·x``, with x and 2x as its features."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def outputs(self, image: Tensor) -> list[list[Tensor]]:
        return [[image, 2 * image, (image * self.weight).flatten(1).sum(1, keepdim=True)]]


class Square(Discriminator):
    """``D(x) = ‖x‖²/2``, whose slope is x."""

    def __init__(self) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(()))

    def outputs(self, image: Tensor) -> list[list[Tensor]]:
        return [[image.square().flatten(1).sum(1, keepdim=True) / 2 + self.shift]]


class Given(Discriminator):
    """The logits themselves: an image is a map of them."""

    channels = 1

    def outputs(self, image: Tensor) -> list[list[Tensor]]:
        return [[image]]


@pytest.fixture
def batch() -> Batch:
    rng = torch.Generator().manual_seed(0)
    return Batch(*(torch.rand(3, 3, 24, 28, generator=rng) for _ in range(2)))


@pytest.fixture
def logits() -> Batch:
    rng = torch.Generator().manual_seed(0)
    return Batch(*(2 * torch.randn(3, 1, 5, 7, generator=rng, dtype=torch.float64) for _ in range(2)))


def patch(**more: object) -> Patch:
    torch.manual_seed(0)
    return Patch(**{"layers": 1, "width": 4, "norm": "none"} | more)


@pytest.mark.parametrize(
    ("objective", "restorer", "own"),
    [
        ("bce", math.log(2), 2 * math.log(2)),
        ("least-squares", 1.0, 1.0),
        ("hinge", 0.0, 2.0),
        ("relativistic", math.log(2), math.log(2)),
        ("relativistic-least-squares", 1.0, 1.0),
    ],
)
def test_a_discriminator_that_cannot_tell(objective, restorer, own):
    zero = torch.zeros(3, 1, 4, 4)
    term = Adversarial(Given(), objective)
    torch.testing.assert_close(term.of_restored(zero, Batch(zero, zero)), torch.full((3,), restorer))
    assert float(term.of_own_parts(zero, Batch(zero, zero))) == pytest.approx(own)


@pytest.mark.parametrize(
    ("objective", "restorer", "own"),
    [
        ("bce", math.log1p(math.e**3), 2 * math.log1p(math.e**-3)),  # −log σ(−3); −log σ(3) − log(1 − σ(−3))
        ("least-squares", 16.0, 2**2 + 3**2),
        ("hinge", 3.0, 0.0),
        ("relativistic", math.log1p(math.e**6), math.log1p(math.e**-6)),
        ("relativistic-least-squares", 49.0, 25.0),
    ],
)
def test_a_discriminator_that_is_sure(objective, restorer, own):
    clean, restored = torch.full((2, 1, 4, 4), 3.0), torch.full((2, 1, 4, 4), -3.0)
    term, batch = Adversarial(Given(), objective), Batch(clean, clean)
    torch.testing.assert_close(term.of_restored(restored, batch), torch.full((2,), restorer))
    assert float(term.of_own_parts(restored, batch)) == pytest.approx(own)


def theirs():
    peers = pytest.importorskip("restoration.benchmarks.peers")
    from restoration.errors import RequestError

    try:
        return peers.basicsr("losses.gan_loss")
    except RequestError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(
    ("objective", "kind"), [("bce", "vanilla"), ("least-squares", "lsgan"), ("hinge", "hinge")]
)
def test_values_are_those_of_basicsr(logits, objective, kind):
    loss, restored = theirs().GANLoss(kind), logits.degraded
    term = Adversarial(Given(), objective)
    expected = torch.stack([loss(restored[i : i + 1], True) for i in range(3)])
    torch.testing.assert_close(term.of_restored(restored, logits), expected)
    expected = loss(logits.clean, True, is_disc=True) + loss(restored, False, is_disc=True)
    torch.testing.assert_close(term.of_own_parts(restored, logits), expected)


def test_wasserstein_values_are_those_of_basicsr(batch):
    loss, part = theirs().GANLoss("wgan"), Linear(torch.rand(3, 24, 28))
    term = Adversarial(part, "wasserstein-gp", penalty=0.0)
    real, fake = part(batch.clean), part(batch.degraded)
    torch.testing.assert_close(term.of_restored(batch.degraded, batch).mean(), loss(fake, True))
    expected = loss(real, True, is_disc=True) + loss(fake, False, is_disc=True)
    torch.testing.assert_close(term.of_own_parts(batch.degraded, batch), expected)


@pytest.mark.parametrize(
    ("objective", "kind"), [("relativistic", "vanilla"), ("relativistic-least-squares", "lsgan")]
)
def test_relativistic_values_and_slopes_are_those_of_basicsr(logits, objective, kind):
    # as basicsr/models/esrgan_model.py calls it: the other side's mean is detached but for the restorer's own logits
    loss = theirs().GANLoss(kind, fake_label_val=-1.0 if kind == "lsgan" else 0.0)
    term, clean = Adversarial(Given(), objective), logits.clean
    restored = logits.degraded.clone().requires_grad_()
    value = term.of_restored(restored, logits)
    expected = (loss(clean - restored.mean(), False) + loss(restored - clean.mean(), True)) / 2
    torch.testing.assert_close(value.mean(), expected)
    slopes = [torch.autograd.grad(v, restored)[0] for v in (value.mean(), expected)]
    torch.testing.assert_close(*slopes)

    both = replace(logits, clean=clean.clone().requires_grad_())
    restored = logits.degraded.clone().requires_grad_()
    value = term._told_apart([both.clean], [restored])
    expected = loss(both.clean - restored.detach().mean(), True, is_disc=True) / 2
    expected = expected + loss(restored - both.clean.detach().mean(), False, is_disc=True) / 2
    torch.testing.assert_close(value, expected)
    for ours, peers in zip(
        torch.autograd.grad(value, [both.clean, restored]),
        torch.autograd.grad(expected, [both.clean, restored]),
        strict=True,
    ):
        torch.testing.assert_close(ours, peers)
    torch.testing.assert_close(term.of_own_parts(logits.degraded, logits), expected.detach())


def test_gradient_penalty_of_a_linear_critic(batch):
    weight = torch.randn(3, 24, 28, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    part, restored = Linear(weight), batch.degraded.double()
    batch.clean = batch.clean.double()
    value = Adversarial(part, "wasserstein-gp").of_own_parts(restored, batch)
    norm = weight.norm()
    apart = ((restored - batch.clean) * weight).sum() / 3
    torch.testing.assert_close(value, apart + 10 * (norm - 1) ** 2)
    (slope,) = torch.autograd.grad(value, part.weight)
    expected = (restored - batch.clean).mean(0) + 20 * (norm - 1) * weight / norm
    torch.testing.assert_close(slope, expected)


def test_gradient_penalty_is_taken_between_the_pair_and_over_all_of_an_image(batch):
    part, restored = Square(), batch.degraded
    bare = Adversarial(part, "wasserstein-gp", penalty=0.0).of_own_parts(restored, batch)
    value = Adversarial(part, "wasserstein-gp", penalty=4.0).of_own_parts(restored, batch)
    share = uniform(batch.keys, "wasserstein-gp", (1, 1, 1), 0, 1, restored)
    assert share.shape == (3, 1, 1, 1) and len(share.unique()) == 3
    between = share * batch.clean + (1 - share) * restored
    expected = 4 * (between.flatten(1).norm(dim=1) - 1).square().mean()
    torch.testing.assert_close(value - bare, expected)

    order = [2, 0, 1]
    permuted = Batch(restored, batch.clean[order], keys=tuple(KEYS[i] for i in order))
    other = Adversarial(part, "wasserstein-gp", penalty=4.0).of_own_parts(restored[order], permuted)
    torch.testing.assert_close(other, value)
    moved = replace(batch, keys=((1, 0), (1, 1), (1, 2)))
    other = Adversarial(part, "wasserstein-gp", penalty=4.0).of_own_parts(restored, moved)
    assert (other - value).abs().item() > 1e-3


def test_gradient_penalty_asks_for_keys(batch):
    with pytest.raises(ValueError) as error:
        Adversarial(Square(), "wasserstein-gp").of_own_parts(batch.degraded, replace(batch, keys=()))
    line = "adversarial: 0 keys for 3 images; expected one (seed, sample) for each"
    assert str(error.value) == line


def test_r1_of_a_linear_critic_is_lazy(batch):
    weight = torch.randn(3, 24, 28, generator=torch.Generator().manual_seed(1))
    part = Linear(weight)
    bare, term = Adversarial(part), Adversarial(part, r1=0.4, r1_every=3)
    penalties = []
    for step in range(7):
        batch.step = step
        difference = term.of_own_parts(batch.degraded, batch) - bare.of_own_parts(batch.degraded, batch)
        penalties.append(difference.item())
    each = 0.4 / 2 * float(weight.norm() ** 2)
    assert penalties == pytest.approx([3 * each, 0, 0, 3 * each, 0, 0, 3 * each], rel=1e-4)
    batch.step = 0
    difference = term.of_own_parts(batch.degraded, batch) - bare.of_own_parts(batch.degraded, batch)
    (slope,) = torch.autograd.grad(difference, part.weight)
    torch.testing.assert_close(slope, 3 * 0.4 * weight, rtol=1e-4, atol=1e-5)


def test_r1_is_half_of_basicsrs(batch):
    part = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Softplus(), nn.Flatten(), nn.Linear(4 * 22 * 26, 1)).double()

    class Small(Discriminator):
        def __init__(self) -> None:
            super().__init__()
            self.part = part

        def outputs(self, image: Tensor) -> list[list[Tensor]]:
            return [[self.part(image)]]

    batch.clean, restored = batch.clean.double(), batch.degraded.double()
    term, bare = Adversarial(Small(), r1=1.0, r1_every=1), Adversarial(Small())
    ours = term.of_own_parts(restored, batch) - bare.of_own_parts(restored, batch)
    clean = batch.clean.clone().requires_grad_()
    expected = theirs().r1_penalty(part(clean), clean) / 2
    torch.testing.assert_close(ours, expected)
    for slope, peer in zip(
        torch.autograd.grad(ours, part[0].weight), torch.autograd.grad(expected, part[0].weight), strict=True
    ):
        torch.testing.assert_close(slope, peer)


@pytest.mark.parametrize("objective", sorted(RULES))
def test_slopes_are_the_derivatives(objective):
    rng = torch.Generator().manual_seed(0)
    clean, restored = (torch.rand(2, 3, 6, 7, generator=rng, dtype=torch.float64) for _ in range(2))
    batch, term = Batch(clean, clean, keys=KEYS[:2]), Adversarial(patch().double(), objective)
    assert torch.autograd.gradcheck(lambda image: term.of_restored(image, batch), restored.requires_grad_())


@pytest.mark.parametrize("objective", ["bce", "least-squares", "hinge", "wasserstein-gp"])
def test_an_image_does_not_depend_on_its_neighbours(batch, objective):
    term = Adversarial(patch(norm="instance"), objective)
    together = term.of_restored(batch.degraded, batch)
    alone = Batch(batch.degraded, batch.clean[1:2], keys=KEYS[1:2])
    torch.testing.assert_close(term.of_restored(batch.degraded[1:2], alone)[0], together[1])


def test_a_relativistic_image_depends_on_its_neighbours(batch):
    term = Adversarial(patch(), "relativistic")
    together = term.of_restored(batch.degraded, batch)
    alone = Batch(batch.degraded, batch.clean[1:2], keys=KEYS[1:2])
    assert together.shape == (3,)
    assert (term.of_restored(batch.degraded[1:2], alone)[0] - together[1]).abs().item() > 1e-6


@pytest.mark.parametrize("objective", sorted(RULES))
def test_several_scales_are_averaged(batch, objective):
    torch.manual_seed(0)
    part = MultiScale(scales=2, layers=1, width=4, norm="none")
    first, second = part.parts
    smaller = [
        nn.functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False) for x in (batch.degraded, batch.clean)
    ]
    coarse = replace(batch, clean=smaller[1])
    value = Adversarial(part, objective).of_restored(batch.degraded, batch)
    fine = Adversarial(first, objective).of_restored(batch.degraded, batch)
    expected = (fine + Adversarial(second, objective).of_restored(smaller[0], coarse)) / 2
    torch.testing.assert_close(value, expected)
    own = Adversarial(part, objective, penalty=0.0).of_own_parts(batch.degraded, batch)
    fine = Adversarial(first, objective, penalty=0.0).of_own_parts(batch.degraded, batch)
    coarse_own = Adversarial(second, objective, penalty=0.0).of_own_parts(smaller[0], coarse)
    torch.testing.assert_close(own, (fine + coarse_own) / 2)


def test_masked_discriminators_are_shown_the_mask(batch):
    torch.manual_seed(0)
    part = GlobalLocal(window=12, layers=1, width=4)
    term = Adversarial(part.eval())
    with pytest.raises(ValueError, match=r"^global-local: these images come without masks$"):
        term.of_restored(batch.degraded, batch)
    batch.mask = torch.zeros(3, 1, 24, 28)
    batch.mask[..., 16:20, 18:22] = 1
    value = term.of_restored(batch.degraded, batch)
    local = Adversarial(part.near).of_restored(batch.degraded[..., 12:24, 14:26], batch)
    torch.testing.assert_close(
        value, (Adversarial(part.whole).of_restored(batch.degraded, batch) + local) / 2
    )


def test_feature_matching_is_the_mean_difference(batch):
    part = Linear(torch.rand(3, 24, 28))
    term, owner = FeatureMatching(), Adversarial(part)
    term.connect({"adversarial": owner})
    restored = batch.degraded.clone().requires_grad_()
    value = term.of_restored(restored, batch)
    expected = 1.5 * (batch.degraded - batch.clean).abs().flatten(1).mean(1)  # of x and of 2x
    torch.testing.assert_close(value, expected)
    (slope,) = torch.autograd.grad(value.sum(), restored)
    torch.testing.assert_close(slope, 1.5 * (batch.degraded - batch.clean).sign() / (3 * 24 * 28))
    assert float(term.of_restored(batch.clean, batch).abs().max()) == 0
    assert term.groups() == {}


def test_one_pass_serves_both_terms(batch):
    part, seen = patch(), []
    plain = part.outputs
    part.outputs = lambda image: (seen.append(torch.is_grad_enabled()), plain(image))[1]
    entries = [
        Entry("l1", PairTerm(L1())),
        Entry("adversarial", Adversarial(part, "relativistic")),
        Entry("feature-matching", FeatureMatching()),
    ]
    stack = Stack(entries)
    stack.of_restored(batch.degraded.clone().requires_grad_(), batch)
    assert seen == [True, False]  # restored, with a graph; clean, without
    assert list(stack.groups()) == ["adversarial"]


def test_feature_matching_takes_the_discriminator_of_the_entry_it_names():
    one, two = patch(), patch(width=8)
    matching = FeatureMatching(of="adversarial-2")
    Stack([Entry("adversarial", Adversarial(one)), Entry("feature-matching", matching),
           Entry("adversarial", Adversarial(two))])  # fmt: skip
    assert matching.discriminator is two


@pytest.mark.parametrize(
    ("of", "hint"), [("adversary", "; did you mean 'adversarial'?"), ("l1", ""), ("feature-matching", "")]
)
def test_an_entry_without_discriminator_is_refused(of, hint):
    entries = [
        Entry("l1", PairTerm(L1())),
        Entry("adversarial", Adversarial(patch())),
        Entry("feature-matching", FeatureMatching(of)),
    ]
    with pytest.raises(ValueError) as error:
        Stack(entries)
    assert str(error.value) == f'of = "{of}": no entry of that name trains a discriminator{hint}'


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"objective": "wasserstein-gp"}, "penalty = 10: "),
        ({"r1": 0.5}, "r1 = 0.5: "),
    ],
)
def test_penalties_and_batch_statistics_are_refused(settings, line):
    why = "batch normalisation makes the slope at one image that of all; "
    expected = 'expected a discriminator with norm = "instance" or "none"'
    for part in (VggStyle(size=32, width=4), patch(norm="batch", layers=2)):
        with pytest.raises(ValueError) as error:
            Adversarial(part, **settings)
        assert str(error.value) == line + why + expected
    Adversarial(UnetSpectral(width=4), **settings)


@pytest.mark.parametrize("settings", [{"penalty": -1.0}, {"r1": -1.0}, {"r1_every": 0}])
def test_numbers_that_make_no_sense_are_refused(settings):
    with pytest.raises(
        ValueError, match=r"^(penalty|r1|r1_every) = .*; expected (at least 0|a whole number from 1)$"
    ):
        Adversarial(patch(), **settings)


def test_own_parts_are_called_as_modules_and_stay_in_training_mode(batch):
    part, calls = patch(norm="batch", layers=2).train(), []
    part.register_forward_pre_hook(lambda module, given: calls.append(given[0].shape))
    term = Adversarial(part, "hinge")
    before = {k: v.clone() for k, v in part.named_buffers()}
    term.of_restored(batch.degraded, batch)
    assert calls == []  # nothing learns here
    term.of_own_parts(batch.degraded, batch)
    assert calls == [batch.clean.shape, batch.degraded.shape]
    assert part.training
    assert any(not torch.equal(before[k], v) for k, v in part.named_buffers() if k.endswith("running_mean"))


@pytest.mark.parametrize("objective", sorted(RULES))
def test_bfloat16_gives_the_values_of_float32(batch, objective):
    stack = Stack([Entry("adversarial", Adversarial(patch(), objective, r1=1.0))])
    restored = batch.degraded.bfloat16()
    expected, _ = stack.of_restored(restored.float(), batch)
    ((_, own),) = stack.of_own_parts(restored, batch)
    with torch.autocast("cpu", torch.bfloat16):
        total, _ = stack.of_restored(restored, batch)
        ((_, again),) = stack.of_own_parts(restored, batch)
    assert total.dtype == again.dtype == torch.float32
    torch.testing.assert_close(total, expected)
    torch.testing.assert_close(again, own)
