"""Distances of distributions against closed forms and loops over samples; what they do not see, and refuse."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from restoration.losses.distribution import (
    DistributionJs,
    MomentMatching,
    SlicedWasserstein,
    _directions,
    jensen_shannon,
)
from restoration.losses.features import Backbone

COLOURS = {"patch": 1, "stride": 1, "centred": False}


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def shuffled(image: Tensor, seed: int = 1) -> Tensor:
    order = torch.randperm(image[0, 0].numel(), generator=torch.Generator().manual_seed(seed))
    return image.flatten(2)[..., order].view_as(image)


@pytest.fixture
def fake(monkeypatch) -> Backbone:
    """Return a small network in the place of all that have weights: the image as it is, mixed, and curved."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        stages = {"image": nn.Identity(), "mixed": nn.Conv2d(3, 5, 3, padding=1), "curved": nn.Tanh()}
    network = Backbone("fake", stages, (0.0,) * 3, (1.0,) * 3, smallest=[1, 3, 3], usual=("mixed", "curved"))
    monkeypatch.setattr("restoration.losses.distribution.backbone", {"fake": network}.__getitem__)
    return network.double()


def divergence(p: np.ndarray, q: np.ndarray) -> float:
    p, q = (np.exp(v - v.max()) / np.exp(v - v.max()).sum() for v in (p, q))
    return sum(0.5 * v * math.log(v / ((a + b) / 2)) for a, b in zip(p, q, strict=True) for v in (a, b))


def test_the_divergence_has_the_known_value_and_is_symmetric():
    one, other = torch.tensor([[[1.0], [2.0], [3.0]]]), torch.tensor([[[3.0], [2.0], [1.0]]])
    assert jensen_shannon(one, other).item() == pytest.approx(0.2476, abs=5e-5)
    assert jensen_shannon(other, one).item() == pytest.approx(jensen_shannon(one, other).item(), rel=1e-6)
    assert jensen_shannon(one, one + 7).abs().item() < 1e-6


def test_the_divergence_of_what_has_nothing_in_common_is_ln_2_with_a_slope():
    one = torch.tensor([[[500.0], [0.0]]], requires_grad=True)
    value = jensen_shannon(one, one.detach().flip(1))
    (slope,) = torch.autograd.grad(value.sum(), one)
    assert value.item() == pytest.approx(math.log(2), rel=1e-6) and bool(slope.isfinite().all())
    near = torch.tensor([[[2.0], [0.0]]], requires_grad=True)
    (slope,) = torch.autograd.grad(jensen_shannon(near, near.detach().flip(1)).sum(), near)
    assert slope[0, 0, 0] > 0 > slope[0, 1, 0]


@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_pooled_and_each_position_are_loops_over_images_and_positions(fake, temperature):
    restored, clean = images(2, 3, 5, 6), images(2, 3, 5, 6, seed=1)
    e, e_clean = (fake(image, ["curved"])[0].flatten(2).numpy() / temperature for image in (restored, clean))
    pooled = [divergence(e_clean[n].mean(1), e[n].mean(1)) for n in range(2)]
    each = [np.mean([divergence(e_clean[n, :, i], e[n, :, i]) for i in range(30)]) for n in range(2)]
    loss = DistributionJs("fake", temperature=temperature)
    np.testing.assert_allclose(loss(restored, clean), pooled, rtol=1e-9)
    loss = DistributionJs("fake", temperature=temperature, positions="each")
    np.testing.assert_allclose(loss(restored, clean), each, rtol=1e-9)


def test_only_the_pooled_divergence_ignores_where_things_are(fake):
    clean = images(2, 3, 6, 6)
    assert DistributionJs("fake", layer="image")(shuffled(clean), clean).abs().max() < 1e-12
    assert DistributionJs("fake", layer="image", positions="each")(shuffled(clean), clean).min() > 1e-3


def test_the_clean_image_gets_no_gradient_from_features(fake):
    restored, clean = images(1, 3, 5, 5).requires_grad_(), images(1, 3, 5, 5, seed=1).requires_grad_()
    for loss in (
        DistributionJs("fake"),
        SlicedWasserstein("fake", projections=4),
        MomentMatching(features="fake"),
    ):
        slopes = torch.autograd.grad(loss(restored, clean).sum(), [restored, clean], allow_unused=True)
        assert slopes[0].abs().sum() > 0 and slopes[1] is None


def test_the_smallest_image_is_that_of_the_layer(fake):
    assert (
        DistributionJs("fake").minimum_size == 3 and DistributionJs("fake", layer="image").minimum_size == 1
    )
    assert DistributionJs.minimum_size == 14


@pytest.mark.parametrize(
    "loss",
    [
        lambda: DistributionJs("fake"),
        lambda: DistributionJs("fake", positions="each", temperature=0.5),
        lambda: SlicedWasserstein("fake", projections=4),
        lambda: SlicedWasserstein(patch=3, stride=1, projections=5),
        lambda: SlicedWasserstein(order=1, projections=5, **COLOURS),
        lambda: MomentMatching("coral"),
        lambda: MomentMatching("mean-variance", patch=2),
        lambda: MomentMatching("mmd", features="fake", samples=9),
        lambda: MomentMatching("mmd", estimate="unbiased"),
    ],
)
def test_slopes_are_the_derivatives(fake, loss):
    restored, clean = images(2, 3, 4, 5).requires_grad_(), images(2, 3, 4, 5, seed=1)
    assert torch.autograd.gradcheck(lambda image: loss()(image, clean), (restored,))


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(("patch", "stride", "centred"), [(1, 1, False), (3, 2, True), (2, 1, False)])
def test_sliced_wasserstein_is_a_loop_over_patches_and_directions(order, patch, stride, centred):
    restored, clean = images(2, 3, 7, 8), images(2, 3, 7, 8, seed=1)
    directions = _directions(3, patch, centred, 40, 5)  # more than there are dimensions

    def projections(image: np.ndarray, direction: np.ndarray) -> np.ndarray:
        found = []
        for i in range(0, 7 - patch + 1, stride):
            for j in range(0, 8 - patch + 1, stride):
                block = image[:, i : i + patch, j : j + patch]
                block = block - block.mean((1, 2), keepdims=True) if centred else block
                found.append((block * direction).sum())
        return np.sort(found)

    loss = SlicedWasserstein(patch=patch, stride=stride, centred=centred, projections=40, order=order, seed=5)
    expected = [
        np.mean([np.abs(projections(a, d) - projections(b, d)) ** order for d in directions])
        for a, b in zip(restored.numpy(), clean.numpy(), strict=True)
    ]
    np.testing.assert_allclose(loss(restored, clean), expected, rtol=1e-9)
    value = loss(restored, clean)
    torch.testing.assert_close(loss.metric(value), value ** (1 / order))


def test_sliced_wasserstein_of_a_shift_is_its_length():
    clean, shift = images(2, 3, 6, 5), torch.tensor([0.3, -0.1, 0.2], dtype=torch.float64).view(1, 3, 1, 1)
    # three orthogonal directions split the squared length among them
    loss = SlicedWasserstein(projections=3, **COLOURS)
    torch.testing.assert_close(loss(clean + shift, clean), (shift.square().sum() / 3).expand(2))
    # of grey images there is one direction
    grey = SlicedWasserstein(projections=2, order=1, **COLOURS)
    torch.testing.assert_close(grey(clean[:, :1] - 0.25, clean[:, :1]), torch.full((2,), 0.25).double())


def test_sliced_wasserstein_does_not_see_where_samples_are():
    clean = images(2, 3, 12, 12)
    assert SlicedWasserstein(**COLOURS)(shuffled(clean), clean).abs().max() < 1e-20
    blocks = clean.unflatten(2, (3, 4)).unflatten(4, (3, 4))
    moved = blocks[:, :, [2, 0, 1]][:, :, :, :, [1, 2, 0]].flatten(4, 5).flatten(2, 3)
    assert SlicedWasserstein(patch=4, stride=4)(moved, clean).abs().max() < 1e-20
    assert SlicedWasserstein(patch=3, stride=1)(shuffled(clean), clean).min() > 1e-4


def test_centred_patches_do_not_see_a_tint():
    clean, tint = images(2, 3, 12, 12), torch.tensor([0.3, -0.1, 0.2], dtype=torch.float64).view(1, 3, 1, 1)
    assert SlicedWasserstein(stride=1)(clean + tint, clean).abs().max() < 1e-20
    assert SlicedWasserstein(stride=1, centred=False)(clean + tint, clean).min() > 1e-3


def test_directions_are_orthogonal_unit_vectors_of_the_seed_alone():
    state, draws = torch.get_rng_state(), np.random.get_state()[1].copy()
    directions = _directions(3, 2, True, 20, 0).reshape(20, 3, 4)
    np.testing.assert_allclose(directions.sum(2), 0, atol=1e-12)
    flat = directions.reshape(20, 12)
    for block in (flat[:9], flat[9:18], flat[18:]):  # 12 dimensions less three means
        np.testing.assert_allclose(block @ block.T, np.eye(len(block)), atol=1e-12)
    assert np.abs(flat[:9] @ flat[9:18].T).max() > 0.1
    assert torch.equal(state, torch.get_rng_state()) and (draws == np.random.get_state()[1]).all()
    restored, clean = images(1, 3, 9, 9), images(1, 3, 9, 9, seed=1)
    one, other = SlicedWasserstein(seed=1), SlicedWasserstein(seed=2)
    assert one(restored, clean) == SlicedWasserstein(seed=1)(restored, clean) != other(restored, clean)


def test_features_are_samples_position_by_position(fake):
    restored, clean = images(2, 3, 6, 7), images(2, 3, 6, 7, seed=1)
    torch.testing.assert_close(
        SlicedWasserstein("fake", layer="image")(restored, clean),
        SlicedWasserstein(**COLOURS)(restored, clean),
    )
    for kind in ("coral", "mmd", "mean-variance"):
        of_image = MomentMatching(kind, features="fake", layer="image")(restored, clean)
        torch.testing.assert_close(of_image, MomentMatching(kind)(restored, clean))
    # the last usual layer is meant where none is named
    chosen, usual = (SlicedWasserstein("fake", layer=layer)(restored, clean) for layer in ("curved", ""))
    assert torch.equal(chosen, usual)


def samples(image: Tensor, patch: int = 1, stride: int = 1) -> np.ndarray:
    return nn.functional.unfold(image[None], patch, stride=stride)[0].T.numpy()


@pytest.mark.parametrize(("patch", "stride"), [(1, 1), (3, 2)])
def test_coral_is_the_distance_of_the_covariances(patch, stride):
    restored, clean = images(2, 3, 7, 7), images(2, 3, 7, 7, seed=1)
    covariances = [[np.cov(samples(i, patch, stride).T) for i in batch] for batch in (restored, clean)]
    d = 3 * patch * patch
    expected = [((a - b) ** 2).sum() / (4 * d * d) for a, b in zip(*covariances, strict=True)]
    np.testing.assert_allclose(
        MomentMatching(patch=patch, stride=stride)(restored, clean), expected, rtol=1e-9
    )


def test_coral_does_not_see_the_mean_and_grows_with_the_spread():
    clean = images(1, 1, 6, 6)
    assert MomentMatching()(clean + 0.5, clean).item() < 1e-20
    assert MomentMatching()(3 * clean, clean).item() == pytest.approx((8 * clean.var().item()) ** 2 / 4)


def test_mean_and_variance_of_a_stretched_image():
    clean = images(2, 3, 6, 6)
    mean, spread = clean.mean((2, 3)), clean.flatten(2).std(2, correction=0)
    expected = ((0.5 * mean + 0.1) ** 2 + (0.5 * spread) ** 2).mean(1)
    torch.testing.assert_close(
        MomentMatching("mean-variance")(1.5 * clean + 0.1, clean), expected, rtol=1e-5, atol=0
    )


@pytest.mark.parametrize("estimate", ["biased", "unbiased"])
def test_mmd_is_a_loop_over_pairs(estimate):
    restored, clean = images(2, 3, 3, 4), images(2, 3, 3, 4, seed=1)
    widths, expected = (0.5, 3.0), []
    for x, y in zip(map(samples, restored), map(samples, clean), strict=True):
        spread = np.mean([((a - b) ** 2).sum() for a in y for b in y])

        def kernel(a: np.ndarray, b: np.ndarray, spread: float = spread) -> float:
            return np.mean([math.exp(-((a - b) ** 2).sum() / (2 * h * spread)) for h in widths])

        drop = estimate == "unbiased"
        among = [
            np.mean([kernel(a, b) for i, a in enumerate(s) for j, b in enumerate(s) if not (drop and i == j)])
            for s in (x, y)
        ]
        expected.append(sum(among) - 2 * np.mean([kernel(a, b) for a in x for b in y]))
    loss = MomentMatching("mmd", widths=widths, estimate=estimate)
    np.testing.assert_allclose(loss(restored, clean), expected, rtol=1e-9)


def test_mmd_is_unbiased_only_if_it_says_so():
    restored, clean = images(400, 1, 4, 4), images(400, 1, 4, 4, seed=1)
    biased, unbiased = (MomentMatching("mmd", estimate=e)(restored, clean) for e in ("biased", "unbiased"))
    error = unbiased.std() / 20
    assert unbiased.mean().abs() < 4 * error and biased.mean() > 4 * error
    assert biased.min() >= 0 > unbiased.min()
    assert (MomentMatching("mmd", estimate="unbiased")(clean, clean) < 0).all()


def test_mmd_of_many_positions_sees_the_chosen_ones():
    restored, clean = images(2, 3, 8, 8), images(2, 3, 8, 8, seed=1)
    chosen = np.random.default_rng(3).choice(64, 20, replace=False)
    few = [image.flatten(2)[..., chosen].unsqueeze(2) for image in (restored, clean)]
    value = MomentMatching("mmd", samples=20, seed=3)(restored, clean)
    loss = MomentMatching("mmd")
    with pytest.raises(ValueError):
        loss(*few)  # one pixel high
    few = [image.view(2, 3, 4, 5) for image in few]
    torch.testing.assert_close(value, loss(*few))


@pytest.mark.parametrize("kind", ["coral", "mmd", "mean-variance"])
def test_moments_do_not_see_where_samples_are(kind):
    restored, clean = images(2, 3, 8, 8), images(2, 3, 8, 8, seed=1)
    loss = MomentMatching(kind)
    assert loss(shuffled(clean), clean).abs().max() < 1e-12 < loss(restored, clean).min()
    torch.testing.assert_close(loss(shuffled(restored), clean), loss(restored, clean))


def test_weights_that_are_used_first_while_measuring_serve_training_after():
    restored, clean = images(1, 3, 16, 16, seed=5), images(1, 3, 16, 16, seed=6)
    for loss in (SlicedWasserstein(seed=77), MomentMatching("mmd", samples=33, seed=77)):
        with torch.inference_mode():
            expected = loss(restored, clean).item()
        image = restored.clone().requires_grad_()
        value = loss(image, clean)
        value.sum().backward()
        assert value.item() == pytest.approx(expected) and image.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DistributionJs("fake", temperature=0.0), "temperature = 0; expected more than 0"),
        (lambda: DistributionJs("fake", positions="some"), 'positions = "some"; expected pooled or each'),
        (lambda: DistributionJs("fake", layer="mixd"), "fake: unknown layer 'mixd'; did you mean 'mixed'?"),
        (lambda: SlicedWasserstein(order=3), "order = 3; expected 1 or 2"),
        (lambda: SlicedWasserstein(patch=0), "patch = 0; expected at least 1"),
        (lambda: SlicedWasserstein(stride=0), "stride = 0; expected at least 1"),
        (lambda: SlicedWasserstein(projections=0), "projections = 0; expected at least 1"),
        (lambda: SlicedWasserstein(seed=-1), "seed = -1; expected at least 0"),
        (
            lambda: SlicedWasserstein(patch=1),
            "patch = 1 with centred = true: nothing would be left; expected centred = false",
        ),
        (lambda: SlicedWasserstein(layer="curved"), 'layer = "curved" with features = "pixels"; pixels have no layers'),
        (
            lambda: SlicedWasserstein("fake", centred=False),
            'centred = false with features = "fake"; patches are of pixels only',
        ),
        (
            lambda: MomentMatching(features="fake", patch=3),
            'patch = 3 with features = "fake"; patches are of pixels only',
        ),
        (lambda: MomentMatching("cumulant"), 'kind = "cumulant"; expected coral or mmd or mean-variance'),
        (lambda: MomentMatching(estimate="none"), 'estimate = "none"; expected biased or unbiased'),
        (lambda: MomentMatching(samples=1), "samples = 1; expected at least 2"),
        (lambda: MomentMatching(widths=(1.0, 0.0)), "widths = [1.0, 0.0]; expected at least one, each more than 0"),
        (lambda: MomentMatching(widths=()), "widths = []; expected at least one, each more than 0"),
    ],
)  # fmt: skip
def test_impossible_settings_are_refused(fake, make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DistributionJs("fake"), "fake: images are 2x4; expected at least 3 pixels a side"),
        (SlicedWasserstein, "sliced-wasserstein: images are 2x4; expected at least 7 pixels a side"),
        (lambda: MomentMatching(patch=3), "moment-matching: images are 2x4; expected at least 3 pixels a side"),
        (lambda: MomentMatching(patch=2, stride=3), "moment-matching: one sample in images of 2x4; expected at least 2"),
    ],
)  # fmt: skip
def test_images_that_are_too_small_are_refused(fake, make, message):
    with pytest.raises(ValueError) as error:
        make()(images(1, 3, 2, 4), images(1, 3, 2, 4))
    assert str(error.value) == message


def test_the_embedder_may_be_ones_own():
    kernel = torch.nn.Conv2d(3, 5, 1)
    own = Backbone("own", {"one": kernel}, (0.0,) * 3, (1.0,) * 3, smallest=(1,), usual=("one",))
    restored, clean = torch.rand(2, 2, 3, 8, 9, generator=torch.Generator().manual_seed(0))
    means = [kernel(image).mean((2, 3)) for image in (clean, restored)]
    expected = jensen_shannon(means[0].unsqueeze(2), means[1].unsqueeze(2)).mean(1)
    torch.testing.assert_close(DistributionJs(own)(restored, clean), expected)
