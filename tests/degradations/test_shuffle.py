"""Random orders: every one that is allowed, equally often, each part with draws of its own."""

from collections import Counter
from math import factorial

import pytest
import torch

from restoration.degradations.noise import Noise
from restoration.degradations.plain import Clip
from restoration.degradations.resize import Bicubic
from restoration.degradations.shuffle import Shuffle

KEYS = [(0, sample) for sample in range(2000)]


def test_all_allowed_orders_are_equally_likely():
    parts = (Clip(), Clip(levels=255), Noise(sigma=1.0), Bicubic(scale=1))
    found = Counter(tuple(Shuffle(of=parts, ordered=(1, 3)).order(key)) for key in KEYS)
    assert all(order.index(1) < order.index(3) for order in found)
    orders = factorial(4) // 2
    assert len(found) == orders
    expected = len(KEYS) / orders
    assert (
        sum((count - expected) ** 2 / expected for count in found.values()) < 31.3
    )  # chi², 11 degrees, 99.9 %


def test_the_image_is_that_of_the_drawn_order():
    clean = torch.rand(2, 3, 8, 8)
    shuffle = Shuffle(of=(Noise(sigma=200.0), Clip()))
    degraded = shuffle(clean, KEYS[:2])
    for image, order in zip(degraded.image, degraded.draw["order"], strict=True):
        assert bool(((image >= 0) & (image <= 1)).all()) == (order == [0, 1])
    assert {tuple(order) for order in shuffle(clean[:1].expand(20, -1, -1, -1), KEYS[:20]).draw["order"]} == {
        (0, 1),
        (1, 0),
    }


def test_what_cannot_be_shuffled_is_refused():
    with pytest.raises(ValueError, match=r"^1 degradations to shuffle; expected at least two$"):
        Shuffle(of=(Clip(),))
    with pytest.raises(ValueError, match=r"^ordered = \[0, 2\]; expected places from 0 to 1, each once$"):
        Shuffle(of=(Clip(), Clip()), ordered=(0, 2))
    with pytest.raises(ValueError, match=r"^parts \[0, 1\] change the size; expected them in ordered$"):
        Shuffle(of=(Bicubic(scale=2), Bicubic(scale=2)))
