"""Every contrastive objective against its published formula, a loop over anchors, positives and negatives at a time."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from restoration.losses.objectives import OBJECTIVES

from . import loops_objectives

# hard-mixing and multi-head are stated of what is drawn and learnt for them: mixed negatives, similarities of heads
LOOPS = {
    "attraction-repulsion": loops_objectives.attraction_repulsion,
    "decoupled": loops_objectives.decoupled,
    "group-ordering": loops_objectives.group_ordering,
    "hard-mixing": loops_objectives.hard_mixing,
    "individual-temperature": loops_objectives.individual_temperature,
    "info-nce": loops_objectives.info_nce,
    "multi-head": loops_objectives.multi_head,
    "ratio": loops_objectives.ratio,
    "triplet": loops_objectives.triplet,
}
KEYS = ((0, 0), (0, 1), (0, 2))
CASES = [
    ("attraction-repulsion", {}),
    ("attraction-repulsion", {"attraction": 2.0, "repulsion": 0.5, "beta": 3.0}),
    ("decoupled", {}),
    ("group-ordering", {}),
    ("group-ordering", {"steepness": 8.0, "hardest": 3}),
    ("hard-mixing", {}),
    ("individual-temperature", {}),
    ("individual-temperature", {"rho": 2.0}),  # more than the logarithm of the number of negatives
    ("individual-temperature", {"rho": 1e-4}),
    ("info-nce", {}),
    ("info-nce", {"temperature": 0.1}),
    ("multi-head", {}),
    ("multi-head", {"beta": 0.5, "hardest": 3}),
    *(("ratio", {"form": form}) for form in ("l2", "l1", "cosine")),
    ("triplet", {}),
    ("triplet", {"margin": -0.1}),
]


@pytest.fixture
def vectors() -> tuple[Tensor, Tensor, Tensor]:
    """Return three anchors, two positives and five negatives of each: four places, six dimensions."""
    rng = torch.Generator().manual_seed(0)
    anchor, *others = (torch.randn(3, n, 4, 6, generator=rng, dtype=torch.float64) for n in (1, 2, 5))
    return tuple(normalize(v, dim=-1) for v in (anchor[:, 0], others[0] + 2 * anchor, others[1] + anchor))


def test_the_table_names_the_objectives():
    assert list(LOOPS) == sorted(OBJECTIVES) and {name for name, _ in CASES} == set(LOOPS)


@pytest.mark.parametrize(("name", "settings"), CASES, ids=str)
def test_the_objective_is_its_loop(name, settings, vectors):
    objective = OBJECTIVES[name](**settings)
    torch.manual_seed(0)
    heads = objective.heads(6)
    if heads is not None:
        heads = heads.double()
    with torch.no_grad():
        value = objective(*vectors, KEYS, heads)
        expected = [_expected(name, settings, objective, heads, vectors, n) for n in range(3)]
    np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-15)


def _expected(
    name: str, settings: dict, objective: object, heads: object, vectors: tuple[Tensor, ...], n: int
) -> float:
    anchor, near, far = vectors
    if name == "hard-mixing":
        mixed = objective.mixed(anchor, far, KEYS)
        return LOOPS[name](*(v[n].numpy() for v in (anchor, near, far, mixed)), **settings)
    if name == "multi-head":
        similar, tau = heads(anchor, torch.cat([near, far], 1))
        of_pairs = [
            list(zip(s[n].tolist(), t[n].tolist(), strict=True)) for s, t in zip(similar, tau, strict=True)
        ]
        sides = [pairs[:2] for pairs in of_pairs], [pairs[2:] for pairs in of_pairs]
        return LOOPS[name](*sides, width=objective.width, **settings)
    return LOOPS[name](*(v[n].numpy() for v in vectors), **settings)
