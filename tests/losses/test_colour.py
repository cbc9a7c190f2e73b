"""BT.601 luma: the standard's own corners."""

import pytest
import torch

from restoration.losses.colour import luma


@pytest.mark.parametrize(
    ("colour", "y"),
    [
        ((0, 0, 0), 16),
        ((1, 1, 1), 235),
        ((1, 0, 0), 81.481),
        ((0, 1, 0), 144.553),
        ((0, 0, 1), 40.966),
        ((1, 1, 0), 210.034),
    ],
)
def test_corners_of_the_cube(colour, y):
    image = torch.tensor(colour, dtype=torch.float64).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    torch.testing.assert_close(luma(image) * 255, torch.full((1, 1, 2, 2), y, dtype=torch.float64))


def test_eight_bit_values_are_the_papers_formula():
    """``Y = 16 + (65.481 R + 128.553 G + 24.966 B) / 255`` for R, G, B in 0..255."""
    steps = torch.randint(0, 256, (2, 3, 5, 7), generator=torch.Generator().manual_seed(0)).double()
    expected = 16 + (65.481 * steps[:, :1] + 128.553 * steps[:, 1:2] + 24.966 * steps[:, 2:]) / 255
    torch.testing.assert_close(luma(steps / 255) * 255, expected)


def test_grey_passes_through():
    image = torch.rand(2, 1, 4, 4)
    assert luma(image) is image


def test_other_channel_counts_are_refused():
    with pytest.raises(ValueError) as error:
        luma(torch.rand(1, 4, 2, 2))
    assert str(error.value) == "luma: the image has 4 channels; expected 1 or 3"
