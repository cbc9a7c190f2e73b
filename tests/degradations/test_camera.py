"""A camera's noise: raw and back, and noise in raw with the variance that was drawn."""

import math

import numpy as np
import pytest
import torch

from restoration.degradations.camera import CAMERAS, Camera, camera_matrix, process, unprocess
from restoration.degradations.mosaic import mosaicked

KEYS = [(0, sample) for sample in range(1000)]
EVEN = [1 / len(CAMERAS)] * len(CAMERAS)
GAINS = [1.25 * 2.2, 1.25, 1.25 * 1.7]


def colours(count: int) -> torch.Tensor:
    return torch.rand(3, count, count, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("weights", [EVEN, [1.0, 0, 0, 0], [0, 0, 0.2, 0.8]])
def test_developing_undoes_unprocessing(weights):
    """Wherever linear grey is below 0.9, where gains are undone wholly, and no raw colour is clipped."""
    image = colours(64) * 0.9
    matrix = camera_matrix(weights)
    raw = unprocess(image, matrix, GAINS)
    inside = ((raw > 0) & (raw < 1)).all(0)
    assert inside.float().mean() > 0.9
    difference = (process(raw, matrix, GAINS) - image).abs().amax(0)
    assert difference[inside].max() < 1e-4


def test_unprocessing_is_the_formulas_backwards():
    """Tone curve 3y² − 2y³ of y = x^(1/2.2), colour matrix and gains, from a raw colour forwards in double."""
    matrix = camera_matrix(EVEN)
    raw = np.array([0.1, 0.3, 0.2])
    y = (np.linalg.inv(matrix) @ (raw * GAINS)) ** (1 / 2.2)
    image = torch.from_numpy(3 * y**2 - 2 * y**3).float().view(3, 1, 1)
    np.testing.assert_allclose(unprocess(image, matrix, GAINS).flatten(), raw, rtol=2e-6)
    np.testing.assert_allclose(
        process(torch.from_numpy(raw).float().view(3, 1, 1), matrix, GAINS), image, rtol=2e-6
    )


def test_black_and_white_stay():
    image = torch.tensor([0.0, 1.0]).view(1, 1, 2).expand(3, 2, 2).contiguous()
    raw = unprocess(image, camera_matrix(EVEN), GAINS)
    assert torch.allclose(raw[..., 1], torch.ones(3, 2), atol=1e-6)  # saturated, whatever the gains
    assert torch.allclose(process(raw, camera_matrix(EVEN), GAINS), image, atol=1e-6)


def test_grey_is_grey_to_every_camera():
    for weights in np.eye(len(CAMERAS)):
        np.testing.assert_allclose(camera_matrix(list(weights)).sum(1), 1)
    np.testing.assert_allclose(camera_matrix(EVEN).sum(1), 1)


def test_an_even_image_comes_through_the_mosaic_as_it_was():
    image = torch.full((3, 8, 9), 0.4)
    image[0], image[2] = 0.6, 0.3
    matrix = camera_matrix(EVEN)
    raw = mosaicked(unprocess(image, matrix, GAINS)[None], "rggb")[0]
    torch.testing.assert_close(process(raw, matrix, GAINS), image, rtol=0, atol=1e-5)


def test_noise_in_raw_has_the_variance_that_was_drawn():
    clean = torch.full((1000, 3, 4, 4), 0.5)
    clean[:, 1] = 0.6
    degraded = Camera(shot=(1e-4, 1e-3), mosaic=False)(clean, KEYS)
    standard = []
    for i, image in enumerate(degraded.image):
        one = {name: values[i] for name, values in degraded.draw.items()}
        matrix = camera_matrix(one["cameras"])
        gains = [one["exposure"] * gain for gain in (one["red"], 1, one["blue"])]
        before, after = unprocess(clean[i], matrix, gains), unprocess(image, matrix, gains)
        standard.append((after - before) / (before * one["shot"] + one["read"]).sqrt())
    z = torch.stack(standard).double()
    n = z.numel()
    assert abs(z.mean().item()) < 4.5 / n**0.5
    assert z.pow(2).mean().item() == pytest.approx(1, abs=4.5 * (2 / n) ** 0.5)
    assert z.pow(4).mean().item() == pytest.approx(3, abs=4.5 * (96 / n) ** 0.5)


def test_draws_have_the_papers_distributions():
    draw = Camera()(torch.full((1000, 3, 3, 3), 0.5), KEYS).draw
    shot, read = np.log(draw["shot"]), np.log(draw["read"])
    low, high = math.log(1e-4), math.log(1.2e-2)
    assert low <= shot.min() and shot.max() <= high
    assert shot.mean() == pytest.approx((low + high) / 2, abs=4.5 * (high - low) / 12000**0.5)
    residual = read - (2.18 * shot + 1.20)
    assert residual.mean() == pytest.approx(0, abs=4.5 * 0.26 / 1000**0.5)
    assert residual.std() == pytest.approx(0.26, abs=4.5 * 0.26 / 2000**0.5)
    brightness = 1 / np.array(draw["exposure"])
    assert brightness.mean() == pytest.approx(0.8, abs=4.5 * 0.1 / 1000**0.5)
    assert brightness.std() == pytest.approx(0.1, abs=4.5 * 0.1 / 2000**0.5)
    for name, ends in (("red", (1.9, 2.4)), ("blue", (1.5, 1.9))):
        gain, width = np.array(draw[name]), ends[1] - ends[0]
        assert ends[0] <= gain.min() and gain.max() <= ends[1]
        assert gain.mean() == pytest.approx(sum(ends) / 2, abs=4.5 * width / 12000**0.5)
    np.testing.assert_allclose(np.sum(draw["cameras"], 1), 1)


def test_without_noise_nothing_happens_but_the_mosaic():
    clean = (colours(16) * 0.8)[None]
    quiet = {"shot": 1e-12, "read": 0.0, "brightness": (0.9, 0.0), "red": 1.5, "blue": 1.5}
    torch.testing.assert_close(Camera(**quiet, mosaic=False)(clean, [(0, 0)]).image, clean, rtol=0, atol=1e-3)
    assert (Camera(**quiet)(clean, [(0, 0)]).image - clean).abs().mean() > 0.05


def test_an_odd_size_does_not_depend_on_its_place_in_a_batch():
    clean = torch.rand(3, 3, 13, 11, generator=torch.Generator().manual_seed(0))
    together = Camera()(clean, KEYS[:3]).image
    for i in range(3):
        assert torch.equal(Camera()(clean[i : i + 1], KEYS[i : i + 1]).image[0], together[i])
    assert together.min() >= 0 and together.max() <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shot": 0.0}, "shot = 0; expected a number from 1e-12 to 1, or [lowest, highest] of such"),
        ({"read": 2.0}, "read = 2; expected a number from 0 to 1, or [lowest, highest] of such"),
        ({"brightness": (0.0, 0.1)}, "brightness = [0, 0.1]; expected a mean above 0 and a deviation from 0"),
        ({"red": 0.0}, "red = 0; expected a number from 0.1 to 10, or [lowest, highest] of such"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError) as error:
        Camera(**options)
    assert str(error.value) == message


def test_a_grey_image_is_refused():
    with pytest.raises(ValueError, match=r"^clean has 1 channels; a camera needs 3, red, green and blue$"):
        Camera()(torch.rand(1, 1, 8, 8), [(0, 0)])
