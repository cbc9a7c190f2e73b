"""Distances of sets are torch-fidelity's to 1e-5: of given features, and of images by its Inception, weights drawn."""

import contextlib
import io

import numpy as np
import pytest
import torch

from restoration.benchmarks import extractors
from restoration.benchmarks.distances import (
    Moments,
    frechet,
    frechet_of,
    kernel_distance,
    share_within,
)
from restoration.benchmarks.protocol import load_protocol
from restoration.benchmarks.sets import CLEAN, Sets
from restoration.losses import published

package = pytest.importorskip("torch_fidelity", reason="extra fidelity")
PEER = 1e-5


def features(count, dimensions, seed, mean=0.0):
    drawn = np.random.default_rng(seed).standard_normal((count, dimensions))
    return (
        np.maximum(mean + drawn, 0).astype(np.float32).astype(np.float64)
    )  # as pooled activations: from 0 on


def theirs(restored, clean):
    """Return FID, KID over all pairs, precision and recall of features by the package."""
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric
    from torch_fidelity.metric_prc import prc_features_to_metric

    pair = [torch.from_numpy(x) for x in (restored, clean)]
    options = {"kid_subsets": 1, "kid_subset_size": len(restored), "verbose": False}
    with contextlib.redirect_stderr(io.StringIO()):
        fid = fid_statistics_to_metric(*map(fid_features_to_statistics, pair), False)
        kid = kid_features_to_metric(*pair, **options)
        shares = prc_features_to_metric(*pair, verbose=False)
    return (
        fid["frechet_inception_distance"], kid["kernel_inception_distance_mean"], shares["precision"],
        shares["recall"],
    )  # fmt: skip


def both_shares(restored, clean):
    """Return precision and recall."""
    return share_within(restored, clean), share_within(clean, restored)


@pytest.fixture
def network(monkeypatch, tmp_path):
    """Return the package's network with weights of a seed, which stand in the catalogue's place too."""
    module = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    torch.manual_seed(0)
    with monkeypatch.context() as patch:
        patch.setattr(module, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(module.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        made = module.FeatureExtractorInceptionV3("inception", ["2048"])
    entry = published.CATALOGUE["inception"]
    path = tmp_path / entry.file
    torch.save(made.state_dict(), path)
    known = published.Entry(
        entry.file, published.digest(path), entry.megabytes, entry.source, entry.licence, entry.avoid
    )
    monkeypatch.setitem(published.CATALOGUE, "inception", known)
    monkeypatch.setenv("RESTORATION_WEIGHTS", str(tmp_path))
    extractors.extractor.cache_clear()
    yield made
    extractors.extractor.cache_clear()


@pytest.mark.parametrize("dimensions", [16, 192])
def test_distances_of_given_features_are_the_packages(dimensions):
    restored, clean = features(150, dimensions, 0, 0.1), features(150, dimensions, 1)
    fid, kid, precision, recall = theirs(restored, clean)
    assert frechet(*map(Moments.of, (restored, clean))) == pytest.approx(fid, abs=PEER)
    assert frechet_of(restored, clean) == pytest.approx(fid, abs=PEER)
    assert kernel_distance(restored, clean) == pytest.approx(kid, abs=PEER)
    assert both_shares(restored, clean) == pytest.approx((precision, recall), abs=PEER)
    assert fid > 0.1 and kid > 0 and 0 < precision <= 1


def test_the_estimator_of_pairs_is_the_packages_u_statistic():
    from torch_fidelity.metric_kid import mmd2

    restored, clean = features(60, 32, 0, 0.1), features(60, 32, 1)
    kernels = [(p @ q.T / 32 + 1) ** 3 for p, q in ((restored, restored), (restored, clean), (clean, clean))]
    expected = mmd2(*kernels, mmd_est="u-statistic")
    assert kernel_distance(restored, clean, paired=True) == pytest.approx(expected, abs=PEER)


@pytest.mark.slow
def test_numbers_of_images_are_the_packages_by_its_inception(network):
    generator = torch.Generator().manual_seed(0)
    smooth = torch.nn.functional.interpolate(
        torch.rand(4, 3, 6, 6, generator=generator), (64, 64), mode="bicubic"
    )
    clean = smooth.clamp(0, 1).double()
    restored = (clean + 0.1 * torch.randn(clean.shape, generator=generator, dtype=torch.float64)).clamp(0, 1)
    protocol = load_protocol("photos-color-25", [], ["kid", "precision", "recall"])
    sets = Sets(protocol, len(clean), forced=True)
    for place in range(len(clean)):
        sets.add(CLEAN, place, {"rgb": clean[place : place + 1]})
        sets.add("r", place, {"rgb": restored[place : place + 1]})
    samples = [(x * 255 + 0.5).floor().to(torch.uint8) for x in (restored, clean)]
    pair = [
        np.concatenate([network(x[None])[0].numpy() for x in images]).astype(np.float64) for images in samples
    ]
    ours = [sets.rows("r", name, 0, 0)[0].mean for name in protocol.metrics]
    expected = [kernel_distance(*pair, paired=True), *both_shares(*pair)]
    assert ours == pytest.approx(expected, abs=PEER)
    kept = [sets.found[name, "inception"].rows() for name in ("r", CLEAN)]
    fid, kid, *shares = theirs(*(x[:, :256] for x in pair))
    few = [x[:, :256] for x in kept]
    assert frechet_of(*few) == pytest.approx(fid, abs=PEER)
    assert kernel_distance(*few) == pytest.approx(kid, abs=PEER)
    assert both_shares(*few) == pytest.approx(shares, abs=PEER)
