"""Taps: the area that a pixel covers, OpenCV's and PyTorch's rules."""

import numpy as np
import pytest
import torch
from torch import Tensor

from restoration.degradations.resize import resize


def random_image(height: int, width: int, *, images: int = 1) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).random((images, 3, height, width), np.float32))


@pytest.mark.parametrize("size", [(48, 60), (24, 30), (17, 33), (12, 15), (5, 59)])
@pytest.mark.parametrize("kernel", ["bicubic", "bilinear"])
def test_cut_edges_are_pytorchs_antialiased_interpolation(size, kernel):
    image = random_image(48, 60, images=2)
    theirs = torch.nn.functional.interpolate(image, size=size, mode=kernel, antialias=True)
    ours = resize(image, size=size, kernel=kernel, edges="cut")
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-6)


@pytest.mark.parametrize("size", [(64, 81), (31, 40), (13, 7), (1, 1), (63, 2)])
def test_area_is_the_integral_over_a_pixel(size):
    """The mean of an image of constant pixels over a stretch is the difference of its running sum at the ends."""
    image = random_image(64, 81).double()
    expected = image.numpy()
    for axis, target in ((2, size[0]), (3, size[1])):
        length = expected.shape[axis]
        moved = np.moveaxis(expected, axis, -1)
        total = np.concatenate([np.zeros((*moved.shape[:-1], 1)), moved.cumsum(-1)], -1)
        ends = np.arange(target + 1) * length / target
        low = np.floor(ends + 1e-9).astype(int).clip(0, length)
        part = total[..., low] + (ends - low) * (total[..., (low + 1).clip(max=length)] - total[..., low])
        expected = np.moveaxis(np.diff(part) * target / length, -1, axis)
    np.testing.assert_allclose(resize(image, size=size, kernel="area").numpy(), expected, atol=1e-12)


@pytest.mark.parametrize(
    "size", [(64, 81), (32, 27), (31, 40), (13, 7), (67, 83), (149, 200), (131, 50), (40, 97)]
)
def test_area_is_opencvs(size):
    cv2 = pytest.importorskip("cv2")
    image = random_image(64, 81)
    theirs = cv2.resize(image[0].permute(1, 2, 0).numpy(), size[::-1], interpolation=cv2.INTER_AREA)
    ours = resize(image, size=size, kernel="area")[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
