"""Untrained feature networks with seeded weights, for tests on machines without the published files."""

from collections.abc import Callable, Iterator, Mapping

import pytest
import torch
from torch import Tensor, nn

from restoration.benchmarks.untrained import dists_state, drawn_dists, drawn_trunks, trunk_state


@pytest.fixture
def untrained_states() -> Callable[[str], Mapping[str, Tensor]]:
    """Return what gives the seeded state of a trunk; the table of networks stays as it is."""
    return trunk_state


@pytest.fixture
def untrained() -> Iterator[Callable[[str], Mapping[str, Tensor]]]:
    """Put seeded weights where published ones would be, for the length of a test; return what gives the states."""
    with drawn_trunks():
        yield trunk_state


@pytest.fixture
def untrained_dists(untrained) -> Iterator[Mapping[str, Tensor]]:
    """Put seeded α and β in the catalogue too, and return them."""
    with drawn_dists():
        yield dists_state()


@pytest.fixture
def excused(request) -> Callable[[str, str], None]:
    """Skip the test, with the reason, if the module's table EXEMPT excuses an entry from a rule."""

    def check(name: str, rule: str) -> None:
        if reason := request.module.EXEMPT.get((name, rule)):
            pytest.skip(f"{name} is excused from '{rule}': {reason}")

    return check


@pytest.fixture
def images() -> tuple[Tensor, Tensor]:
    """Return restored and clean: smooth colours with some noise, three of each, 36×32."""
    rng = torch.Generator().manual_seed(5)
    coarse = torch.rand(3, 3, 6, 6, generator=rng)
    clean = nn.functional.interpolate(coarse, size=(36, 32), mode="bicubic").clamp(0, 1)
    return clean + 0.1 * torch.randn(clean.shape, generator=rng), clean
