"""Group ordering: the soft sorting network, and the loss that reads it."""

import math

import pytest
import torch

from restoration.losses.group_ordering import GroupOrdering, soft_sort


def brute(values: list[float], steepness: float) -> torch.Tensor:
    """The product of the swap matrices of an odd-even transposition network, one pair at a time."""
    count = len(values)
    product, now = torch.eye(count, dtype=torch.float64), torch.tensor(values, dtype=torch.float64)
    for layer in range(count):
        for i in range(layer % 2, count - 1, 2):
            stay = math.atan(steepness * float(now[i + 1] - now[i])) / math.pi + 0.5
            swap = torch.eye(count, dtype=torch.float64)
            swap[i, i] = swap[i + 1, i + 1] = stay
            swap[i, i + 1] = swap[i + 1, i] = 1 - stay
            product, now = swap @ product, swap @ now
    return product


@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_network_is_the_product_of_its_swaps(count):
    values = torch.rand(3, count, dtype=torch.float64, generator=torch.Generator().manual_seed(count))
    found = soft_sort(values, 4.0)
    for row, shares in zip(values, found, strict=True):
        torch.testing.assert_close(shares, brute(row.tolist(), 4.0))


def test_shares_are_doubly_stochastic():
    shares = soft_sort(torch.randn(5, 9, dtype=torch.float64), 2.0)
    ones = torch.ones(5, 9, dtype=torch.float64)
    torch.testing.assert_close(shares.sum(1), ones)
    torch.testing.assert_close(shares.sum(2), ones)
    assert (shares >= 0).all()


def test_steep_network_sorts():
    values = torch.randn(6, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    shares = soft_sort(values, 1e9)
    sorted_values, order = values.sort(1)
    torch.testing.assert_close((shares @ values.unsqueeze(-1)).squeeze(-1), sorted_values, rtol=0, atol=1e-6)
    assert torch.equal(shares.argmax(2), order)


def test_two_elements_have_a_closed_form():
    value = GroupOrdering(steepness=3.0).of(torch.tensor([[0.7]]), torch.tensor([[0.2]]))
    assert float(value) == pytest.approx(-math.log(math.atan(3.0 * 0.5) / math.pi + 0.5), abs=1e-6)


def test_loss_is_the_mean_of_both_binary_cross_entropies():
    near, far = torch.rand(2, 3, dtype=torch.float64), torch.rand(2, 4, dtype=torch.float64)
    shares = soft_sort(torch.cat([far.sort(1).values, near.sort(1).values], 1), 1.0)
    below, above = shares[:, :4].sum(1), shares[:, 4:].sum(1)  # of each element, in the ranks of either group
    target = torch.cat([torch.zeros(2, 4), torch.ones(2, 3)], 1).double()
    entropy = torch.nn.functional.binary_cross_entropy
    expected = torch.stack(
        [(entropy(above[i], target[i]) + entropy(below[i], 1 - target[i])) / 2 for i in (0, 1)]
    )
    torch.testing.assert_close(GroupOrdering().of(near, far), expected)


def test_only_the_hardest_negatives_count():
    near, far = torch.tensor([[0.5, 0.6]]), torch.tensor([[0.1, -0.9, 0.2, -0.8, 0.3]])
    objective = GroupOrdering(hardest=3)
    assert torch.equal(objective.of(near, far), objective.of(near, torch.tensor([[0.3, 0.1, 0.2]])))
    assert not torch.equal(objective.of(near, far), GroupOrdering(hardest=5).of(near, far))


def test_order_within_a_group_changes_nothing():
    near, far = torch.rand(1, 4), torch.rand(1, 6)
    assert torch.equal(GroupOrdering().of(near.flip(1), far.roll(2, 1)), GroupOrdering().of(near, far))


def test_sorted_groups_cost_nothing_in_the_limit():
    near, far = torch.tensor([[0.8, 0.9]]), torch.tensor([[0.1, 0.2, 0.3]])
    assert float(GroupOrdering(steepness=1e8).of(near, far)) < 1e-6
    assert float(GroupOrdering(steepness=1e8).of(far, near)) > 5


def test_refusals():
    for build, line in (
        (lambda: GroupOrdering(steepness=0.0), "steepness = 0; expected more than 0"),
        (lambda: GroupOrdering(hardest=0), "hardest = 0; expected more than 0"),
    ):
        with pytest.raises(ValueError) as error:
            build()
        assert str(error.value) == line
