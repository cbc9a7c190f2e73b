"""Back-projection: the reduction of the result is the input, and nothing gets worse."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from restoration.apply import Inference, restore_image, restore_picture
from restoration.degradations.resize import resize
from restoration.dials import consistency
from restoration.dials.consistency import back_project, consistent, residual
from restoration.dials.reduction import Axis
from restoration.errors import RequestError
from restoration.image import Picture, to_float, to_samples
from restoration.weights import load


def reduced(image, scale):
    return resize(image.double(), scale=Fraction(1, scale))


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 70])
def test_matrix_is_that_of_resize(scale, length):
    axis = Axis(length, scale)
    start, end, block = axis.block(0, length)
    matrix = np.zeros((length, axis.full))
    matrix[:, start:end] = block
    columns = torch.eye(axis.full, dtype=torch.float64)[None, None]
    expected = resize(columns, size=(length, axis.full))[0, 0].numpy()
    assert np.abs(matrix - expected).max() < 1e-12
    image = np.random.default_rng(0).standard_normal((2, axis.full))
    assert np.allclose(axis.reduce(image), image @ expected.T, atol=1e-12)
    assert np.allclose(axis.spread(image[:, :length]), image[:, :length] @ expected, atol=1e-12)
    values = image[:, :length].T.copy()
    axis.solve(values)
    assert np.allclose(expected @ expected.T @ values, image[:, :length].T, atol=1e-10)


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("size", [(1, 1), (1, 6), (9, 3), (33, 70)])
def test_reduction_of_the_result_is_the_input(scale, size):
    torch.manual_seed(scale)
    degraded = torch.rand(2, 3, *size)
    restored = torch.rand(2, 3, size[0] * scale, size[1] * scale)
    result = consistent(restored, degraded, scale)
    assert (reduced(result, scale) - degraded).abs().max() < 1e-6
    assert (consistent(result, degraded, scale) - result).abs().max() < 1e-6


def test_projection_is_orthogonal_and_never_farther_from_the_clean_image():
    torch.manual_seed(0)
    clean = torch.rand(1, 3, 36, 52, dtype=torch.float64)
    degraded = reduced(clean, 4)
    for strength in (0.01, 0.1, 0.5):
        restored = clean + strength * torch.randn_like(clean)
        result = consistent(restored, degraded, 4).double()
        before, after = (restored - clean).square().sum(), (result - clean).square().sum()
        assert after < before
        assert abs(before - after - (restored - result).square().sum()) < 1e-4 * before


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_strips_and_files_change_nothing(dtype, monkeypatch):
    rng = np.random.default_rng(1)
    peak = np.iinfo(dtype).max
    restored = rng.integers(0, peak, (120, 88, 3), endpoint=True).astype(dtype)
    degraded = rng.integers(peak // 3, peak // 2, (30, 22, 3)).astype(dtype)
    whole, strips = restored.copy(), restored.copy()
    back_project(whole, degraded, 4)
    monkeypatch.setattr(consistency, "STRIP", 88 * 3 * 5)
    monkeypatch.setattr("restoration.formats.bands.MAPPED_BYTES", 0)
    back_project(strips, degraded, 4)
    assert np.array_equal(whole, strips)
    found = residual(whole, degraded, 4)
    errors = (reduced(to_float(whole), 4) - to_float(degraded)).abs()
    assert found.largest == pytest.approx(float(errors.max()), rel=1e-4, abs=1e-7)
    assert found.rms == pytest.approx(float(errors.square().mean().sqrt()), rel=1e-4, abs=1e-7)
    assert residual(restored, degraded, 4).rms > 4 * found.rms


def test_pictures_and_images_are_corrected():
    torch.manual_seed(0)
    samples = to_samples(torch.rand(1, 3, 12, 15) * 0.2 + 0.4)  # nothing is clipped
    plain = restore_picture(load("nearest-x4"), Picture(samples), Inference())
    corrected = restore_picture(load("nearest-x4"), Picture(samples), Inference(consistent=True, tile=4))
    assert residual(plain.samples, samples, 4).largest > 0.01
    assert residual(corrected.samples, samples, 4).rms < 0.3 / 255
    image = restore_image(load("nearest-x4"), to_float(samples), consistent=True)
    assert (reduced(image, 4) - to_float(samples)).abs().max() < 1e-6
    with pytest.raises(RequestError) as refusal:
        restore_image(load("identity"), to_float(samples), consistent=True)
    assert str(refusal.value) == (
        "--consistent: 'identity' has scale 1; expected a restorer that enlarges, whose result can be reduced again"
    )


def test_clipping_leaves_no_more_than_rounding_does(monkeypatch):
    rows, columns = np.mgrid[:96, :128] / 6
    clean = np.stack([0.5 + 0.5 * np.sin(rows + c) * np.sin(columns) for c in range(3)], -1)
    degraded = to_samples(resize(torch.from_numpy(clean).permute(2, 0, 1)[None].float(), scale=0.5), 8)
    noise = torch.rand(1, 3, 96, 128, generator=torch.manual_seed(0)) - 0.5
    restored = to_samples(resize(to_float(degraded), scale=2) + 0.4 * noise, 8)

    def rest(passes):
        monkeypatch.setattr(consistency, "PASSES", passes)
        samples = restored.copy()
        back_project(samples, degraded, 2)
        return 255 * residual(samples, degraded, 2).largest

    assert rest(1) > 4 and rest(8) < 2
