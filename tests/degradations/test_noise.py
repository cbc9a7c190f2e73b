"""Noise: its moments, its keys, and the published protocol's exact samples."""

import numpy as np
import pytest
import torch
from PIL import Image

from restoration.degradations.draws import generator
from restoration.degradations.noise import Noise, protocol_noise


def test_moments_are_those_of_the_gaussian():
    clean = torch.full((1, 3, 256, 256), 0.5)
    noise = (Noise(sigma=25.0)(clean, [(0, 0)]).image - clean).double() * 255
    n = noise.numel()
    assert noise.mean().abs().item() < 4 * 25 / n**0.5
    assert noise.std().item() == pytest.approx(25, abs=4 * 25 / (2 * n) ** 0.5)
    assert (noise / 25).pow(4).mean().item() == pytest.approx(3, abs=4 * (96 / n) ** 0.5)


def test_noise_is_white():
    clean = torch.zeros(1, 3, 256, 256)
    noise = Noise(sigma=255.0)(clean, [(0, 0)]).image[0]
    for shifted in (noise.roll(1, 0), noise.roll(1, 1), noise.roll(1, 2)):
        assert (noise * shifted).mean().abs().item() < 4 / noise.numel() ** 0.5


def test_samples_are_the_keys_own_generator():
    clean = torch.rand(1, 3, 5, 4)
    rng = generator((3, 7), "noise")
    sigma = np.float32(rng.uniform(5.0, 50.0) / 255)
    expected = clean.numpy()[0] + rng.standard_normal((3, 5, 4), dtype=np.float32) * sigma
    np.testing.assert_array_equal(Noise(sigma=(5.0, 50.0))(clean, [(3, 7)]).image[0], expected)


def test_a_range_is_uniform_over_images_and_kept_in_the_draw():
    keys = [(0, sample) for sample in range(400)]
    degraded = Noise(sigma=(5.0, 50.0))(torch.zeros(400, 1, 16, 16), keys)
    drawn = np.array(degraded.draw["sigma"])
    assert drawn.min() >= 5 and drawn.max() <= 50
    assert drawn.mean() == pytest.approx(27.5, abs=4 * 45 / (12 * 400) ** 0.5)
    measured = degraded.image.flatten(1).std(1).numpy() * 255
    np.testing.assert_allclose(measured / drawn, 1, atol=5 / (2 * 256) ** 0.5)


def test_only_clip_keeps_the_image_in_range():
    clean = torch.rand(2, 3, 32, 32)
    keys = [(0, 0), (0, 1)]
    noisy = Noise(sigma=50.0)(clean, keys).image
    assert noisy.min() < 0 and noisy.max() > 1
    assert torch.equal(Noise(sigma=50.0, clip=True)(clean, keys).image, noisy.clamp(0, 1))


def test_no_noise_is_the_identity():
    clean = torch.rand(1, 3, 8, 8)
    assert torch.equal(Noise(sigma=0.0)(clean, [(0, 0)]).image, clean)


def test_protocol_noise_is_numpys_global_generator():
    np.random.seed(0)
    expected = np.random.normal(0, 25 / 255, (6, 5, 3))
    np.testing.assert_array_equal(protocol_noise((6, 5, 3), 25), expected)
    assert protocol_noise((1, 1, 1), 255)[0, 0, 0] == pytest.approx(
        1.764052345967664
    )  # NumPy's first draw of seed 0


@pytest.mark.parametrize(
    ("name", "expected"), [("kodak5/kodim01.png", 20.18889), ("bsds500/dev30/100007.jpg", 20.19403)]
)
def test_protocol_noise_has_the_golden_psnr(data_root, name, expected):
    """``noisy_psnr`` of golden/nets_open.json: noise added to the float32 grey image, not clipped until it is scored."""
    height, width = np.asarray(Image.open(data_root / name)).shape[:2]
    noise = protocol_noise((height, width, 1), 25)
    assert -10 * np.log10(np.mean(noise**2)) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(
    ("sigma", "message"),
    [
        (-1.0, "sigma = -1.0; expected a number from 0, or [lowest, highest]"),
        ((50.0, 5.0), "sigma = (50.0, 5.0); expected a number from 0, or [lowest, highest]"),
        (float("nan"), "sigma = nan; expected a number from 0, or [lowest, highest]"),
    ],
)
def test_refusals(sigma, message):
    with pytest.raises(ValueError) as error:
        Noise(sigma=sigma)
    assert str(error.value) == message
