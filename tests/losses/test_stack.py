"""The stack: weighted sums by hand, groups and their names, float32 under autocast."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from restoration.losses import LOSSES
from restoration.losses.pixel import L1, L2
from restoration.losses.stack import Entry, PairTerm, Stack, Term


@dataclass
class Batch:
    degraded: Tensor
    clean: Tensor
    mask: Tensor | None = None


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


@pytest.fixture
def batch() -> Batch:
    rng = torch.Generator().manual_seed(0)
    return Batch(torch.rand(2, 3, 12, 12, generator=rng), torch.rand(2, 3, 12, 12, generator=rng))


def test_total_is_the_weighted_sum_of_means(batch):
    stack = Stack([Entry("l1", PairTerm(L1()), 0.25), Entry("l2", PairTerm(L2()), 3.0)])
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


@pytest.mark.parametrize("name", sorted(set(LOSSES) - {"ms-ssim"}))
def test_autocast_leaves_losses_in_float32(batch, name):
    stack = Stack([Entry(name, PairTerm(LOSSES[name]()))])
    restored = batch.degraded.bfloat16()
    expected, _ = stack.of_restored(restored.float(), batch)
    with torch.autocast("cpu", torch.bfloat16):
        total, _ = stack.of_restored(restored.requires_grad_(), batch)
    assert total.dtype == torch.float32
    torch.testing.assert_close(total, expected, rtol=1e-6, atol=1e-7)
    total.backward()
    assert restored.grad.dtype == torch.bfloat16 and bool(restored.grad.isfinite().all())


def test_repeated_names_are_numbered(batch):
    stack = Stack([Entry("l1", PairTerm(L1())), Entry("l2", PairTerm(L2())), Entry("l1", PairTerm(L1()))])
    assert list(stack.of_restored(batch.degraded, batch)[1]) == ["l1", "l2", "l1-2"]


def test_groups_are_named_after_the_entry_and_its_parts():
    one, two = Scaled("critic"), Scaled("eye", "ear")
    stack = Stack(
        [Entry("critic", one), Entry("l1", PairTerm(L1())), Entry("senses", two), Entry("critic", one)]
    )
    groups = stack.groups()
    assert groups["critic"] is groups["critic-2"] is one.parts["critic"]
    # several parts of one term learn together
    assert dict(groups["senses"].items()) == two.parts
    assert list(groups) == ["critic", "senses", "critic-2"]


def test_own_parts_learn_from_a_detached_float32_image(batch):
    term = Scaled("critic")
    stack = Stack([Entry("l1", PairTerm(L1())), Entry("critic", term, weight=0.5)])
    restored = batch.degraded.bfloat16().requires_grad_()
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
