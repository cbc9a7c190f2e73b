"""Draws of the loss stack: one generator for each image and purpose."""

import zlib

import numpy as np
import pytest
import torch

from restoration.losses.draws import generator, one_key_each, uniform, whole


def test_a_draw_depends_on_its_key_and_purpose_alone():
    like = torch.zeros(1)
    together = uniform([(0, 1), (0, 2), (5, 1)], "sharpness", (4,), 0.5, 3.0, like)
    alone = uniform([(0, 2)], "sharpness", (4,), 0.5, 3.0, like)
    assert torch.equal(together[1:2], alone) and together.shape == (3, 4)
    assert len({tuple(row.tolist()) for row in together}) == 3
    assert not torch.equal(alone, uniform([(0, 2)], "noise", (4,), 0.5, 3.0, like))


def test_generator_is_that_of_the_documented_seed():
    expected = np.random.default_rng([3, 7, zlib.crc32(b"blur")]).uniform(size=5)
    assert np.array_equal(generator((3, 7), "blur").uniform(size=5), expected)


def test_draws_fill_their_range():
    keys = [(0, i) for i in range(200)]
    real = uniform(keys, "a", (10,), 0.5, 3.0, torch.zeros(1, dtype=torch.float64))
    assert real.min() > 0.5 and real.max() < 3.0 and abs(float(real.mean()) - 1.75) < 0.05
    assert real.dtype == torch.float64
    numbers = whole(keys, "b", (10,), 2, 5, torch.zeros(1))
    assert sorted(numbers.unique().tolist()) == [2, 3, 4]


def test_missing_keys_are_refused():
    with pytest.raises(ValueError) as error:
        one_key_each(((0, 1),), 2, "contrastive samples")
    assert (
        str(error.value) == "contrastive samples: 1 keys for 2 images; expected one (seed, sample) for each"
    )
