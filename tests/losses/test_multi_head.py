"""The adaptive multi-head objective: its temperatures, and what its heads learn."""

import pytest
import torch
from torch.nn.functional import normalize

from restoration.losses.multi_head import MultiHead


def unit(*shape: int) -> torch.Tensor:
    rng = torch.Generator().manual_seed(sum(shape))
    return normalize(torch.randn(*shape, generator=rng, dtype=torch.float64), dim=-1)


def heads_of(objective: MultiHead, channels: int = 6):
    torch.manual_seed(0)
    return objective.heads(channels).double()


def test_value_equals_a_loop_over_heads_and_pairs():
    objective = MultiHead(count=2, hidden=5, width=4, hardest=2)
    heads = heads_of(objective)
    anchor, positives, negatives = unit(1, 3, 6), unit(1, 2, 3, 6), unit(1, 5, 3, 6)
    total = 0.0
    for projection in heads.projections:

        def pair(one, other, projection=projection):
            a, b = (normalize(projection(z), dim=-1) for z in (one, other))
            similar = (a * b).sum(-1).mean()
            score = (heads.phi(a) * heads.phi(b)).sum(-1).mean()
            return similar, 0.1 + 1.9 * torch.sigmoid(-score)

        for p in range(2):
            similar, tau = pair(anchor[0], positives[0, p])
            total += (-similar / tau + 1e-2 * (2 * tau.log() + 1 / tau)) / 2
        pairs = [pair(anchor[0], negatives[0, k]) for k in range(5)]
        hardest = sorted(pairs, key=lambda found: -found[0].item())[:2]
        total += sum(similar / tau for similar, tau in hardest) / 2
        total -= 1e-2 * sum(tau.log() + 1 / tau for _, tau in hardest)
    found = objective(anchor, positives, negatives, heads=heads)
    torch.testing.assert_close(found, total.reshape(1))


def test_pairs_that_look_alike_have_a_low_temperature():
    heads = heads_of(MultiHead())
    anchor = unit(2, 1, 6)
    _, same = heads(anchor, anchor.unsqueeze(1))
    _, opposite = heads(anchor, -anchor.unsqueeze(1))
    assert (same < 1.05).all()  # ⟨φ(z), φ(z)⟩ ≥ 0: at most the middle of the range
    assert (same < opposite).all() and (same > 0.1).all() and (opposite < 2.0).all()


def test_heads_learn_and_lower_the_objective():
    objective = MultiHead(hidden=16, width=8)
    heads = heads_of(objective)
    anchor = unit(8, 1, 6)
    positives = normalize(anchor.unsqueeze(1) + 0.3 * unit(8, 2, 1, 6), dim=-1)
    negatives = unit(8, 4, 1, 6)
    optimizer = torch.optim.Adam(heads.parameters(), lr=1e-2)
    values = []
    for _ in range(30):
        value = objective(anchor, positives, negatives, heads=heads).mean()
        optimizer.zero_grad()
        value.backward()
        assert all(p.grad is not None for p in heads.parameters())
        optimizer.step()
        values.append(value.item())
    assert values[-1] < values[0] - 0.5


def test_each_has_its_own_heads():
    objective = MultiHead(count=3, hidden=5, width=4)
    heads = objective.heads(7)
    # three of 7·5 + 5 + 5·4 + 4, and one temperature network of 4·4 + 4 twice
    assert sum(p.numel() for p in heads.parameters()) == 3 * 64 + 40
    assert heads is not objective.heads(7)


def test_refusals():
    anchor = unit(1, 1, 6)
    for build, line in (
        (lambda: MultiHead(count=0), "count = 0; expected more than 0"),
        (lambda: MultiHead(lowest=0.0), "lowest = 0; expected more than 0"),
        (lambda: MultiHead(highest=0.05), "highest = 0.05; expected at least lowest = 0.1"),
        (lambda: MultiHead(beta=-1.0), "beta = -1; expected at least 0"),
        (
            lambda: MultiHead()(anchor, anchor.unsqueeze(1), anchor.unsqueeze(1)),
            "multi-head: called without its heads; expected those that heads() returned",
        ),
    ):
        with pytest.raises(ValueError) as error:
            build()
        assert str(error.value) == line
