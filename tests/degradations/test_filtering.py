"""The filter: every border, both ways of working it out, against loops, SciPy's rule and BasicSR's."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from torch import Tensor

from restoration.benchmarks.peers import basicsr
from restoration.degradations.filtering import WIDE, _by_spectrum, _extended, fast_length, filtered

NUMPYS = {"reflect": "reflect", "clamp": "edge", "zero": "constant", "wrap": "wrap"}


def images(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def kernels(*shape: int) -> Tensor:
    random = torch.rand(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return random / random.sum((1, 2), keepdim=True)


def by_loops(image: np.ndarray, kernel: np.ndarray, edges: str) -> np.ndarray:
    """Return the correlation of an image (C, H, W) in float64, tap by tap."""
    reach = len(kernel) // 2
    padded = np.pad(image.astype(np.float64), [(0, 0), (reach, reach), (reach, reach)], mode=NUMPYS[edges])
    height, width = image.shape[1:]
    rows, columns = range(len(kernel)), range(len(kernel))
    return sum(kernel[i, j] * padded[:, i : i + height, j : j + width] for i in rows for j in columns)


@pytest.mark.parametrize("edges", NUMPYS)
@pytest.mark.parametrize("size", [1, 3, WIDE - 2, WIDE, 21])
@pytest.mark.parametrize("shape", [(2, 3, 24, 31), (2, 1, 5, 40), (2, 3, 1, 7)])
def test_every_image_is_correlated_with_its_own_kernel(size, edges, shape):
    image, kernel = images(*shape), kernels(2, size, size)
    expected = [by_loops(*pair, edges) for pair in zip(image.numpy(), kernel.numpy(), strict=True)]
    result = filtered(image, kernel, edges)
    assert result.dtype == torch.float32 and result.is_contiguous()
    np.testing.assert_allclose(result, np.stack(expected), atol=2e-6)
    exact = filtered(image.double(), kernel, edges)
    np.testing.assert_allclose(
        exact,
        [by_loops(*pair, edges) for pair in zip(image.numpy(), kernel.numpy(), strict=True)],
        atol=1e-12,
    )


@pytest.mark.parametrize("size", [5, 21])
def test_one_kernel_serves_all_images(size):
    image, kernel = images(3, 3, 20, 20), kernels(1, size, size)
    assert torch.equal(filtered(image, kernel), filtered(image, kernel.expand(3, -1, -1)))


@pytest.mark.parametrize("size", [5, 9, 21])
def test_an_image_is_the_same_alone_in_a_batch_and_channels_last(size):
    image, kernel = images(9, 3, 45, 38), kernels(9, size, size)
    together = filtered(image, kernel)
    for i in range(9):
        assert torch.equal(filtered(image[i : i + 1], kernel[i : i + 1])[0], together[i])
    assert torch.equal(filtered(image.to(memory_format=torch.channels_last), kernel), together)


@pytest.mark.parametrize("size", [5, 21])
def test_what_other_devices_do_at_once_is_what_is_done_here_one_by_one(size):
    image, kernel = images(9, 3, 45, 38), kernels(9, size, size).float()
    at_once = _by_spectrum(_extended(image, size // 2, "reflect"), kernel)
    torch.testing.assert_close(at_once, filtered(image, kernel), atol=2e-6, rtol=0)


@pytest.mark.parametrize("size", [3, 11])
def test_gradients_are_those_of_the_definition(size):
    image, kernel = images(1, 2, 13, 12).double().requires_grad_(), kernels(1, size, size).requires_grad_()
    assert torch.autograd.gradcheck(filtered, (image, kernel))


@pytest.mark.parametrize("size", [3, 21])
def test_narrow_types_are_filtered_in_single_precision_and_autocast_changes_nothing(size):
    image, kernel = images(1, 3, 32, 32), kernels(1, size, size)
    half = filtered(image.bfloat16(), kernel)
    assert half.dtype == torch.bfloat16
    assert torch.equal(half, filtered(image.bfloat16().float(), kernel).bfloat16())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(filtered(image, kernel), filtered(image.clone(), kernel))
        inside = filtered(image, kernel)
    assert torch.equal(inside, filtered(image, kernel))


@pytest.mark.parametrize("size", [3, 7, 9, 21])
def test_basicsr_filters_alike(size):
    if find_spec("basicsr") is None:
        pytest.skip("needs the extra 'basicsr'")
    image, kernel = images(4, 3, 40, 50), kernels(4, size, size)
    theirs = basicsr("utils.img_process_util").filter2D(image, kernel.float())
    torch.testing.assert_close(filtered(image, kernel), theirs, atol=2e-6, rtol=0)


def test_lengths_are_even_and_of_small_primes():
    lengths = [fast_length(n) for n in range(1, 500)]
    assert all(length % 2 == 0 and length >= n for n, length in enumerate(lengths, 1))
    assert fast_length(256) == 256 and fast_length(275) == 280 and fast_length(11) == 12
    assert max(length / n for n, length in enumerate(lengths, 1) if n > 50) < 1.1


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 4, 4), r"kernels have shape \(2, 4, 4\); expected \(images, size, size\), size odd"),
        ((3, 5), r"kernels have shape \(3, 5\); expected \(images, size, size\), size odd"),
        ((2, 3, 5), r"kernels have shape \(2, 3, 5\); expected \(images, size, size\), size odd"),
        ((2, 3, 3), r"2 kernels for 3 images; expected one, or one each"),
    ],
)
def test_kernels_that_do_not_fit_are_refused(shape, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        filtered(torch.zeros(3, 3, 8, 8), torch.ones(shape))


def test_unknown_edges_are_refused():
    with pytest.raises(
        ValueError, match=r"^unknown edges 'mirror'; expected one of reflect, clamp, zero, wrap$"
    ):
        filtered(torch.zeros(1, 3, 8, 8), torch.ones(1, 3, 3), "mirror")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("size", [5, 21])
def test_a_gpu_agrees(size):
    image, kernel = images(9, 3, 45, 38), kernels(9, size, size)
    there = filtered(image.cuda(), kernel.cuda())
    torch.testing.assert_close(there.cpu(), filtered(image, kernel), atol=2e-6, rtol=0)


@pytest.mark.parametrize(
    ("size", "width"), [((128, 96), 41), ((200, 150), 63), ((321, 481), 21), ((512, 512), 9)]
)
def test_bits_do_not_depend_on_the_number_of_threads(size, width):
    rng = torch.Generator().manual_seed(0)
    image, kernel = torch.rand(1, 3, *size, generator=rng), torch.rand(1, width, width, generator=rng)
    threads, made = torch.get_num_threads(), []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            made.append(filtered(image, kernel / kernel.sum()))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*made)
