"""NIQE: every step against basicsr's, its order on photographs, and what happens without the authors' model."""

import importlib
import sys
import types

import numpy as np
import pytest
import torch

from restoration.benchmarks.metrics import METRICS, natural
from restoration.errors import WeightsError
from restoration.image import find_images, read_samples
from restoration.losses.colour import luma


@pytest.fixture(scope="module")
def theirs():
    """Return basicsr's module, which imports what torchvision no longer has."""
    pytest.importorskip("scipy")
    pytest.importorskip("cv2", reason="opencv: the extra `classical`")
    functional = pytest.importorskip("torchvision.transforms.functional")
    name = "torchvision.transforms.functional_tensor"
    stand_in = types.ModuleType(name)
    stand_in.rgb_to_grayscale = functional.rgb_to_grayscale
    before = sys.modules.get(name)
    sys.modules[name] = stand_in
    try:
        yield pytest.importorskip("basicsr.metrics.niqe", reason="basicsr: the extra `basicsr`")
    finally:
        sys.modules.pop(name)
        if before is not None:
            sys.modules[name] = before


def photograph(name="chelsea.png"):
    folder = importlib.resources.files("restoration") / "photos"
    path = next(path for path in find_images(folder) if path.name == name)
    return read_samples(path)


def plane(samples):
    return luma(torch.from_numpy(np.ascontiguousarray(samples)).permute(2, 0, 1)[None].double() / 255)


def test_features_of_blocks_are_those_of_basicsr(theirs):
    values = (255 * plane(photograph())).round()[..., :192, :288]
    flat = natural.normalised(values)[0, 0].numpy()
    found = natural.block_features(values, 96).numpy()
    for row in range(2):
        for column in range(3):
            block = flat[96 * row : 96 * (row + 1), 96 * column : 96 * (column + 1)]
            np.testing.assert_allclose(found[3 * row + column], theirs.compute_feature(block), rtol=1e-9)


def test_niqe_of_a_photograph_is_that_of_basicsr(theirs):
    samples = photograph()
    expected = theirs.calculate_niqe(samples[..., ::-1].copy(), 0, input_order="HWC", convert_to="y")
    found = METRICS["niqe"]()(plane(samples), plane(samples)).item()
    assert found == pytest.approx(expected, rel=1e-5)  # its resizing is of single precision


@pytest.mark.skipif(importlib.util.find_spec("basicsr") is None, reason="basicsr: the extra `basicsr`")
def test_niqe_prefers_photographs_to_blurred_and_noisy_ones_and_knows_no_reference():
    niqe, clean = METRICS["niqe"](), plane(photograph())
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    blurred = torch.nn.functional.avg_pool2d(clean, 7, 1, 3)
    good, *worse = (
        niqe(image, clean).item() for image in (clean, blurred, (clean + 0.2 * noise).clamp(0, 1))
    )
    assert all(good < value for value in worse)
    assert niqe(clean, 0 * clean).item() == good
    assert not METRICS["niqe"].reference


def test_flat_luma_has_no_texture():
    values = torch.full((1, 1, 96, 96), 37.0, dtype=torch.float64)
    assert (natural.normalised(values) == 0).all()


def test_missing_model_is_named_with_what_to_install(monkeypatch):
    natural.natural.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(WeightsError, match=r"niqe_pris_params\.npz is not here.*\[basicsr\]"):
        METRICS["niqe"]()
