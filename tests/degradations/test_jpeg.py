"""Differentiable JPEG: libjpeg's own samples, DiffJPEG's as its authors compute them, and gradients."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import features

from restoration.benchmarks.peers import basicsr
from restoration.degradations.codecs import JPEG
from restoration.degradations.jpeg import DifferentiableJPEG, jpeg, tables

SUBSAMPLINGS = ["4:2:0", "4:2:2", "4:4:4"]
turbo = pytest.mark.skipif(
    not features.check_feature("libjpeg_turbo"),
    reason="this Pillow has no libjpeg-turbo, whose upsampling is meant",
)


def smooth_image(height: int, width: int, channels: int = 3, images: int = 1) -> torch.Tensor:
    """Colours and edges as of a photograph, in 8 bits."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(images, channels, height // 6 + 2, width // 6 + 2, generator=generator)
    large = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    large = large + 0.05 * torch.randn(large.shape, generator=generator) + 0.3 * (large > 0.6)
    return large.clamp(0, 1).mul(255).round() / 255


def noise_image(height: int, width: int, channels: int = 3) -> torch.Tensor:
    """Black and white dots: the largest coefficients there are."""
    return torch.randint(
        0, 2, (1, channels, height, width), generator=torch.Generator().manual_seed(0)
    ).float()


def by_libjpeg(image: torch.Tensor, quality: int, subsampling: str) -> torch.Tensor:
    return JPEG(quality=float(quality), subsampling=subsampling)(image, [(0, 0)] * len(image)).image


@pytest.fixture
def diffjpeg():
    if find_spec("basicsr") is None:
        pytest.skip("needs the extra 'basicsr'")
    return basicsr("utils.diffjpeg").DiffJPEG


@turbo
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize("make", [smooth_image, noise_image])
def test_no_sample_differs_from_libjpeg(make, subsampling, channels):
    image = make(67, 75, channels)
    for quality in (1, 5, 10, 25, 37, 49, 50, 51, 64, 75, 83, 90, 95, 98, 99, 100):
        expected = by_libjpeg(image, quality, subsampling)
        assert torch.equal(jpeg(image, [quality], subsampling), expected), quality


@turbo
@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize(
    "size", [(1, 1), (2, 3), (5, 4), (4, 5), (8, 8), (9, 17), (16, 6), (18, 33), (31, 2)]
)
def test_no_sample_differs_at_any_size(size, subsampling):
    image = smooth_image(*size)
    for quality in (20, 75):
        assert torch.equal(jpeg(image, [quality], subsampling), by_libjpeg(image, quality, subsampling))


@turbo
@pytest.mark.parametrize("quality", [10, 30, 60, 90])
def test_no_sample_of_a_photograph_differs(data_root, quality):
    from PIL import Image

    samples = np.asarray(Image.open(data_root / "kodak5/kodim01.png").convert("RGB")).copy()
    image = torch.from_numpy(samples).permute(2, 0, 1)[None].float() / 255
    assert torch.equal(jpeg(image, [quality]), by_libjpeg(image, quality, "4:2:0"))


@pytest.mark.parametrize("quality", [10.0, 33.3, 49.9, 50.0, 77.7, 95.0, 99.0])
@pytest.mark.parametrize("size", [(48, 64), (37, 50)])
def test_diffjpeg_has_the_samples_of_basicsrs(diffjpeg, quality, size):
    image = smooth_image(*size)
    expected = diffjpeg(differentiable=False)(image, torch.tensor([quality])).detach()
    result = jpeg(image, [quality], convention="diffjpeg")
    assert (result - expected).abs().max() < 1e-5


def test_cubic_rounding_has_the_gradients_of_basicsrs(diffjpeg):
    image = smooth_image(40, 32, images=2)
    weights = torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    found = []
    for function in (
        lambda x: diffjpeg(differentiable=True)(x, torch.tensor([30.0, 80.0])),
        lambda x: jpeg(x, [30.0, 80.0], convention="diffjpeg", rounding="cubic"),
    ):
        x = image.clone().requires_grad_()
        y = function(x)
        (y * weights).sum().backward()
        found.append((y.detach(), x.grad))
    torch.testing.assert_close(found[1][0], found[0][0], rtol=0, atol=1e-4)
    torch.testing.assert_close(found[1][1], found[0][1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("convention", ["libjpeg", "diffjpeg"])
def test_straight_through_gradients_are_those_of_no_compression(convention):
    """At 4:4:4 all else is linear and undone again, so every sample that is not limited has gradient 1."""
    image = (smooth_image(24, 24) * 0.5 + 0.25).requires_grad_()
    weights = torch.randn(image.shape, generator=torch.Generator().manual_seed(1))
    (jpeg(image, [75.0], "4:4:4", convention=convention) * weights).sum().backward()
    torch.testing.assert_close(image.grad, weights, rtol=0, atol=1e-3)


@pytest.mark.parametrize("rounding", ["straight-through", "cubic"])
@pytest.mark.parametrize("convention", ["libjpeg", "diffjpeg"])
@pytest.mark.parametrize("subsampling", SUBSAMPLINGS)
@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_are_finite_and_not_zero(rounding, convention, subsampling, channels):
    image = smooth_image(21, 34, channels).requires_grad_()
    options = {"convention": convention, "rounding": rounding}
    with torch.no_grad():
        plain = jpeg(image, [40.0], subsampling, **options)
    result = jpeg(image, [40.0], subsampling, **options)
    assert torch.equal(plain, result)
    result.pow(2).sum().backward()
    assert image.grad.isfinite().all() and image.grad.abs().mean() > 1e-3


@pytest.mark.parametrize("rounding", ["straight-through", "cubic"])
@pytest.mark.parametrize("convention", ["libjpeg", "diffjpeg"])
@pytest.mark.parametrize("size", [(21, 34), (64, 64)])
def test_an_image_is_the_same_alone_and_in_a_batch(convention, rounding, size):
    images = smooth_image(*size, images=5)
    quality = [10.0, 33.3, 50.0, 75.0, 95.0]
    options = {"convention": convention, "rounding": rounding}
    together = jpeg(images, quality, **options)
    for i in range(5):
        assert torch.equal(jpeg(images[i : i + 1], quality[i : i + 1], **options)[0], together[i])
    apart = images.to(memory_format=torch.channels_last)
    assert torch.equal(jpeg(apart, quality, **options), together)


def test_cubic_rounding_is_off_by_the_cube():
    """Of grey blocks, each one level: x' + (x − x')³ of its mean coefficient, 8 times the level."""
    level = torch.tensor([100.3, 103.9, 151.4]).view(3, 1, 1, 1) / 255
    result = jpeg(level.expand(3, 1, 8, 8), [50.0] * 3, convention="diffjpeg", rounding="cubic")
    x = (level * 255 - 128) * 8 / 16
    expected = (x.round() + (x - x.round()) ** 3) * 16 / 8 + 128
    torch.testing.assert_close(result * 255, expected.expand(3, 1, 8, 8), rtol=0, atol=1e-4)


def test_autocast_and_other_types_change_nothing():
    image = smooth_image(24, 40)
    expected = jpeg(image, [60.0])
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(jpeg(image, [60.0]), expected)
    assert jpeg(image.half(), [60.0]).dtype == torch.float16
    with torch.inference_mode():
        assert torch.equal(jpeg(image, [60.0]), expected)


def test_images_out_of_range_are_limited():
    image = smooth_image(16, 16) * 3 - 1
    assert torch.equal(jpeg(image, [60.0]), jpeg(image.clamp(0, 1), [60.0]))
    assert 0 <= jpeg(image, [60.0], convention="diffjpeg").min() <= 1


@pytest.mark.parametrize("quality", [1.0, 24.0, 49.99, 50.0, 89.5, 99.0])
def test_tables_scale_by_whole_percentages(quality):
    percent = int(5000 / quality) if quality < 50 else int(200 - 2 * quality)
    luma, chroma = tables(quality)
    assert luma[0, 1] == min(max((11 * percent + 50) // 100, 1), 255)
    assert luma[1, 0] == min(max((12 * percent + 50) // 100, 1), 255)
    assert chroma[7, 7] == min(max((99 * percent + 50) // 100, 1), 255)


def test_the_degradation_draws_real_qualities_uniformly():
    keys = [(0, sample) for sample in range(1000)]
    degraded = DifferentiableJPEG()(torch.rand(1000, 1, 8, 8), keys)
    quality = np.array(degraded.draw["quality"])
    assert quality.min() >= 30 and quality.max() <= 95 and (quality % 1 > 0).all()
    assert quality.mean() == pytest.approx(62.5, abs=4.5 * 65 / 12000**0.5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_libjpegs_samples_too():
    image = smooth_image(67, 75, images=2)
    for subsampling in SUBSAMPLINGS:
        expected = jpeg(image, [30.0, 75.0], subsampling)
        assert torch.equal(jpeg(image.cuda(), [30.0, 75.0], subsampling).cpu(), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quality": 0.5}, "quality = 0.5; expected a number from 1 to 100, or [lowest, highest] of such"),
        (
            {"quality": (30.0, 100.0), "convention": "diffjpeg"},
            "quality = [30, 100]; expected a number from 1 to 99, or [lowest, highest] of such",
        ),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError) as error:
        DifferentiableJPEG(**options)
    assert str(error.value) == message


def test_other_channels_are_refused():
    with pytest.raises(ValueError, match=r"^image has 2 channels; expected 1 or 3$"):
        jpeg(torch.rand(1, 2, 8, 8), [50.0])
