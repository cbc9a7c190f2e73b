"""The stack: weighted sums by hand, when, where and in which colours a term acts, balance, groups and their names."""

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

from restoration.losses.colour import luma
from restoration.losses.pixel import L1, L2, Psnr
from restoration.losses.ssim import Ssim
from restoration.losses.stack import Entry, Options, PairTerm, Stack, Term, last_kernel
from restoration.losses.term import BAND, region_of


@dataclass
class Batch:
    degraded: Tensor
    clean: Tensor
    mask: Tensor | None = None
    layers: dict[str, Tensor] = field(default_factory=dict)
    frames: Tensor | None = None
    keys: tuple[tuple[int, int], ...] = ((0, 0), (0, 1))
    step: int = 0


class Scaled(Term):
    """A term with parts that learn: the restored image times a number of each part."""

    def __init__(self, *parts: str) -> None:
        self.parts = {part: nn.Linear(1, 1, bias=False) for part in parts}
        self.seen: list[Tensor] = []

    def groups(self) -> dict[str, nn.Module]:
        return self.parts

    def of_restored(self, restored: Tensor, batch: Batch) -> Tensor:
        return sum(part.weight for part in self.parts.values()) * restored.flatten(1).mean(1)

    def of_own_parts(self, restored: Tensor, batch: Batch) -> Tensor:
        self.seen.append(restored)
        return sum((part.weight * restored).mean() for part in self.parts.values())


def entry(name: str, loss, **options: object) -> Entry:
    chosen = Options(**options)
    term = loss if isinstance(loss, Term) else PairTerm(loss, chosen.region, chosen.colour)
    return Entry(name, term, chosen)


@pytest.fixture
def batch() -> Batch:
    rng = torch.Generator().manual_seed(0)
    return Batch(torch.rand(2, 3, 12, 12, generator=rng), torch.rand(2, 3, 12, 12, generator=rng))


def test_total_is_the_weighted_sum_of_means(batch):
    stack = Stack([entry("l1", L1(), weight=0.25), entry("l2", L2(), weight=3.0)])
    restored = batch.degraded.clone().requires_grad_()
    total, logged = stack.of_restored(restored, batch)
    difference = (batch.degraded - batch.clean).double()
    assert logged["l1"].item() == pytest.approx(difference.abs().mean().item(), rel=1e-6)
    assert logged["l2"].item() == pytest.approx(difference.square().mean().item(), rel=1e-6)
    assert total.item() == pytest.approx(0.25 * logged["l1"].item() + 3 * logged["l2"].item(), rel=1e-6)
    (slope,) = torch.autograd.grad(total, restored)
    expected = (0.25 * difference.sign() + 6 * difference) / difference.numel()
    torch.testing.assert_close(slope.double(), expected, rtol=1e-5, atol=1e-8)
    assert not any(value.requires_grad for value in logged.values())


def test_terms_act_from_start_to_stop_and_rise_over_the_ramp(batch):
    stack = Stack([entry("l1", L1()), entry("l2", L2(), weight=2.0, start=10, stop=20, ramp=4)])
    l1, l2 = L1()(batch.degraded, batch.clean).mean().item(), L2()(batch.degraded, batch.clean).mean().item()
    for step, factor in [(0, 0), (9, 0), (10, 0.25), (11, 0.5), (13, 1), (19, 1), (20, 0), (500, 0)]:
        batch.step = step
        total, logged = stack.of_restored(batch.degraded, batch)
        assert total.item() == pytest.approx(l1 + 2 * factor * l2, rel=1e-5), step
        assert ("l2" in logged) == (10 <= step < 20)


def test_a_step_without_a_term_is_refused(batch):
    batch.step = 7
    with pytest.raises(ValueError, match=r"^no term of the stack acts at step 7$"):
        Stack([entry("l1", L1(), start=8)]).of_restored(batch.degraded, batch)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 5, "stop": 5}, "stop = 5; expected more than start = 5, or 0"),
        ({"ramp": -1}, "ramp = -1; expected a number of steps from 0"),
    ],
)
def test_impossible_schedules_are_refused(options, message):
    with pytest.raises(ValueError) as error:
        Options(**options)
    assert str(error.value) == message


def test_regions_of_a_pointwise_loss_are_means_over_their_pixels(batch):
    batch.mask = torch.zeros(2, 1, 12, 12)
    batch.mask[0, :, 2:5, 3:9] = 1
    batch.mask[1, :, :, 6:] = 1
    error = (batch.degraded - batch.clean).square()
    for region in ("hole", "known", "boundary"):
        where = region_of(batch.mask, region).bool().expand_as(error)
        means = torch.stack([error[i][where[i]].mean() for i in range(2)])
        for loss, expected in ((L2(), means), (Psnr(), 10 * means.log10())):
            stack = Stack([entry("term", loss, region=region)])
            total, _ = stack.of_restored(batch.degraded, batch)
            assert total.item() == pytest.approx(expected.mean().item(), rel=1e-5)


def test_other_losses_see_the_clean_image_outside_the_region(batch):
    batch.mask = torch.zeros(2, 1, 12, 12)
    batch.mask[..., :6] = 1
    restored = batch.degraded.clone().requires_grad_()
    total, _ = Stack([entry("ssim", Ssim(window=3), region="hole")]).of_restored(restored, batch)
    composite = torch.cat([batch.degraded[..., :6], batch.clean[..., 6:]], -1)
    assert total.item() == pytest.approx(Ssim(window=3)(composite, batch.clean).mean().item(), rel=1e-6)
    (slope,) = torch.autograd.grad(total, restored)
    assert torch.count_nonzero(slope[..., 6:]) == 0 and torch.count_nonzero(slope[..., :6]) > 0


def test_an_empty_region_asks_for_nothing(batch):
    batch.mask = torch.zeros(2, 1, 12, 12)
    total, _ = Stack([entry("l1", L1(), region="hole")]).of_restored(batch.degraded, batch)
    assert total.item() == 0


def test_the_boundary_is_a_band_on_both_sides_of_the_edge():
    mask = torch.zeros(1, 1, 1, 40)
    mask[..., 20:] = 1
    band = region_of(mask, "boundary")[0, 0, 0]
    assert band.nonzero().flatten().tolist() == list(range(20 - BAND, 20 + BAND))


def test_regions_need_masks(batch):
    with pytest.raises(ValueError, match=r'^region = "hole": these images come without masks$'):
        Stack([entry("l1", L1(), region="hole")]).of_restored(batch.degraded, batch)


def test_luma_is_all_that_a_luma_term_sees(batch):
    total, _ = Stack([entry("l1", L1(), colour="luma")]).of_restored(batch.degraded, batch)
    expected = (luma(batch.degraded) - luma(batch.clean)).abs().mean()
    assert total.item() == pytest.approx(expected.item(), rel=1e-6)


def test_a_balanced_term_weighs_as_much_as_the_others_at_the_last_layer(batch):
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 3, padding=1))
    stack = Stack([entry("l1", L1(), weight=0.3), entry("l2", L2(data_range=50), weight=0.7, balance=True)])
    restored, last = network(batch.degraded), network[2].weight
    total, logs = stack.of_restored(restored, batch)
    l1, l2 = 0.3 * L1()(restored, batch.clean).mean(), L2(data_range=50)(restored, batch.clean).mean()
    norms = [torch.autograd.grad(v, last, retain_graph=True)[0].norm() for v in (l1, l2)]
    expected = norms[0] / (norms[1] + 1e-4)
    assert logs["l2.balance"].item() == pytest.approx(expected.item(), rel=1e-5)
    (slope,) = torch.autograd.grad(total - l1, last)
    assert slope.norm().item() == pytest.approx(0.7 * norms[0].item(), rel=1e-3)


def test_the_last_layer_is_the_one_that_is_used_last_wherever_it_is_registered():
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ending, self.first = nn.Conv2d(4, 3, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1)
            self.gain = nn.Parameter(torch.ones(3))

        def forward(self, image: Tensor) -> Tensor:
            return image + self.gain.view(3, 1, 1) * self.ending(self.first(image).relu())

    network, image = Backwards(), torch.rand(1, 3, 8, 8)
    assert last_kernel(network(image)) is network.ending.weight
    with torch.autocast("cpu", torch.bfloat16):
        assert last_kernel(network(image)) is network.ending.weight
    assert last_kernel(image) is None and last_kernel(network(image).detach()) is None


def test_balancing_every_term_is_refused():
    with pytest.raises(ValueError, match=r"^balance = true for every term: expected one without it"):
        Stack([entry("l1", L1(), balance=True)])


def test_every_hundredth_step_logs_the_slope_of_each_weighted_term(batch):
    stack = Stack([entry("l1", L1(), weight=0.25), entry("l2", L2(), weight=3.0)])
    restored = batch.degraded.clone().requires_grad_()
    assert not any("slope" in name for name in stack.of_restored(restored, batch)[1])
    batch.step = 99
    total, logs = stack.of_restored(restored, batch)
    count = restored.numel()
    assert logs["l1.slope"].item() == pytest.approx(0.25 / count**0.5, rel=1e-5)
    difference = batch.degraded - batch.clean
    assert logs["l2.slope"].item() == pytest.approx((6 / count) * difference.norm().item(), rel=1e-5)
    total.backward()  # measuring leaves the graph whole
    assert restored.grad is not None


def test_repeated_names_are_numbered(batch):
    stack = Stack([entry("l1", L1()), entry("l2", L2()), entry("l1", L1())])
    assert list(stack.of_restored(batch.degraded, batch)[1]) == ["l1", "l2", "l1-2"]


def test_groups_are_named_after_the_entry_and_its_parts():
    one, two = Scaled("critic"), Scaled("eye", "ear")
    stack = Stack([entry("critic", one), entry("l1", L1()), entry("senses", two), entry("critic", one)])
    groups = stack.groups()
    assert groups["critic"] is groups["critic-2"] is one.parts["critic"]
    # several parts of one term learn together
    assert dict(groups["senses"].items()) == two.parts
    assert list(groups) == ["critic", "senses", "critic-2"]


def test_own_parts_learn_from_a_detached_float32_image_while_the_term_acts(batch):
    term = Scaled("critic")
    stack = Stack([entry("l1", L1()), entry("critic", term, weight=0.5, start=3)])
    restored = batch.degraded.bfloat16().requires_grad_()
    assert not list(stack.of_own_parts(restored, batch))
    batch.step = 3
    updates = list(stack.of_own_parts(restored, batch))
    assert [name for name, _ in updates] == ["critic"]
    updates[0][1].backward()
    assert restored.grad is None and term.seen[0].dtype == torch.float32
    # the term's own scalar: the entry's weight is not applied
    slope = term.parts["critic"].weight.grad.item()
    assert slope == pytest.approx(restored.float().mean().item(), rel=1e-5)


def test_an_empty_stack_is_refused():
    with pytest.raises(ValueError) as error:
        Stack([])
    assert str(error.value) == "the stack is empty: a run needs at least one [[stack]] entry"
