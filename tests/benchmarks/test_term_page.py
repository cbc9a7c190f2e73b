"""The page of terms is what its generator makes of the tables and the committed figures; samples cover every term."""

from pathlib import Path

import pytest
import torch

from restoration.benchmarks.speed_losses import PEERS, patches
from restoration.benchmarks.term_page import _start, page
from restoration.benchmarks.term_samples import CONFIGURATIONS, DRAWN, UNPICTURED
from restoration.losses import TERMS

DOCS = Path(__file__).parent.parent.parent / "docs"


def test_the_page_is_up_to_date():
    assert (DOCS / "terms.md").read_text(encoding="utf-8") == page(DOCS)


def test_every_term_has_a_section_and_every_picture_a_term():
    text = (DOCS / "terms.md").read_text(encoding="utf-8")
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == sorted(TERMS)
    assert {path.stem for path in (DOCS / "terms").iterdir()} == set(TERMS) - set(UNPICTURED)


def test_samples_and_peers_are_of_terms():
    assert {*CONFIGURATIONS, *UNPICTURED, *(term for term, _ in DRAWN.values())} <= set(TERMS)
    assert set(PEERS) <= {*TERMS, *DRAWN}


@pytest.mark.parametrize("start", ["blur", "noise"])
def test_starts_are_not_the_clean_patch(start):
    batch = patches(1)
    begun = _start(batch, start)
    assert begun.shape == batch.clean.shape and float((begun - batch.clean).abs().mean()) > 0.005
    assert torch.equal(begun, _start(batch, start))
