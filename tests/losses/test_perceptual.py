"""Perceptual, style and contextual losses: their formulas by hand, their references, and what they refuse."""

import math

import pytest
import torch
from torch import Tensor

from restoration.benchmarks.untrained import basicsr_perceptual
from restoration.errors import RequestError
from restoration.losses import contextual as module
from restoration.losses.contextual import Contextual, contextual
from restoration.losses.features import backbone
from restoration.losses.perceptual import Perceptual, Style, gram, unit


def rand(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.fixture
def given() -> tuple[list[Tensor], list[Tensor]]:
    """Features of two layers of two images, restored and clean."""
    return [rand(2, 3, 4, 5), rand(2, 6, 2, 2)], [rand(2, 3, 4, 5, seed=1), rand(2, 6, 2, 2, seed=1)]


def test_perceptual_is_the_weighted_sum_of_mean_differences(untrained, given):
    pairs = [list(zip(*(f.flatten(1) for f in layer), strict=True)) for layer in zip(*given, strict=True)]
    for distance, power in (("l1", 1), ("l2", 2)):
        loss = Perceptual("vgg16", ("relu1_1", "relu2_1"), (0.5, 2.0), distance, feature_scale=0.1)
        for image, ((a, c), (b, d)) in enumerate(zip(*pairs, strict=True)):
            first = sum(abs(x - y) ** power for x, y in zip(a, c, strict=True)) / 60
            second = sum(abs(x - y) ** power for x, y in zip(b, d, strict=True)) / 24
            by_hand = 0.1**power * (0.5 * first + 2 * second)
            torch.testing.assert_close(loss.between(*given)[image], by_hand)


def test_srgan_scales_features_and_so_squares_the_factor(untrained, images):
    plain = Perceptual("vgg19", ("relu5_4",), distance="l2")
    scaled = Perceptual("vgg19", ("relu5_4",), distance="l2", feature_scale=1 / 12.75)
    torch.testing.assert_close(scaled(*images), 0.006151480 * plain(*images), rtol=1e-5, atol=0)


def test_normalised_features_have_unit_length_and_a_slope_where_all_are_zero(untrained, given):
    features = rand(2, 3, 4, 5)
    features[:, :, 1, 2] = 0
    features.requires_grad_()
    lengths = unit(features).square().sum(1)
    assert lengths[0, 1, 2] == 0 and torch.allclose(lengths[:, 0], torch.ones(1, dtype=torch.float64))
    (slope,) = torch.autograd.grad(unit(features).sum(), features)
    assert bool(slope.isfinite().all())
    loss = Perceptual("vgg16", ("relu1_1", "relu2_1"), distance="l2", normalise=True)
    (a, b), (c, d) = given
    cosines = [1 - torch.cosine_similarity(x, y, dim=1).mean((1, 2)) for x, y in ((a, c), (b, d))]
    torch.testing.assert_close(loss.between(*given), 2 * cosines[0] / 3 + 2 * cosines[1] / 6)


def test_gram_is_the_mean_product_of_two_channels(untrained, given):
    (features, _), _ = given
    expected = torch.zeros(2, 3, 3, dtype=torch.float64)
    for image in range(2):
        for i in range(3):
            for j in range(3):
                for y in range(4):
                    for x in range(5):
                        expected[image, i, j] += features[image, i, y, x] * features[image, j, y, x] / 60
    torch.testing.assert_close(gram(features), expected)
    moved = features.flip(3).roll(2, 2)
    torch.testing.assert_close(gram(moved), expected)
    loss = Style("vgg16", ("relu1_1", "relu2_1"), (1.0, 3.0), "l2")
    grams = [(gram(x) - gram(y)).square().mean((1, 2)) for x, y in zip(*given, strict=True)]
    torch.testing.assert_close(loss.between(*given), grams[0] + 3 * grams[1])


def test_el_of_gatys_is_c_squared_over_four_times_ours(untrained, given):
    (a, _), (c, _) = given
    ours = Style("vgg16", ("relu1_1",), distance="l2").between([a], [c])
    channels, positions = 3, 20
    sums = [torch.einsum("nchw,ndhw->ncd", f, f) for f in (a, c)]
    theirs = (sums[0] - sums[1]).square().sum((1, 2)) / (4 * channels**2 * positions**2)
    torch.testing.assert_close(theirs, channels**2 / 4 * ours)


def brute_force(x: Tensor, y: Tensor, bandwidth: float) -> float:
    """Return CX of two lists of features, (C, P) and (C, Q), by the loops of eq. 2 to 4."""
    mean = y.mean(1)
    norm = lambda v: math.sqrt(float(v @ v) + 1e-6)  # noqa: E731
    x, y = x - mean[:, None], y - mean[:, None]
    affinities = []
    for i in range(x.shape[1]):
        row = [1 - float(x[:, i] @ y[:, j]) / norm(x[:, i]) / norm(y[:, j]) for j in range(y.shape[1])]
        scaled = [math.exp((1 - d / (min(row) + 1e-5)) / bandwidth) for d in row]
        affinities.append([w / sum(scaled) for w in scaled])
    return sum(max(row[j] for row in affinities) for j in range(y.shape[1])) / y.shape[1]


@pytest.mark.parametrize("bandwidth", [0.1, 0.5, 2.0])
def test_contextual_is_the_formula_by_loops(untrained, bandwidth):
    x, y = rand(2, 4, 3, 3), rand(2, 4, 3, 4, seed=1)
    expected = [brute_force(x[i].flatten(1), y[i].flatten(1), bandwidth) for i in range(2)]
    torch.testing.assert_close(contextual(x, y, bandwidth), torch.tensor(expected, dtype=torch.float64))
    loss = Contextual("vgg16", ("relu1_1",), (2.0,), bandwidth)
    torch.testing.assert_close(loss.between([x], [y])[0].item(), -2 * math.log(expected[0]))


def test_contextual_does_not_see_where_features_are():
    x, y = rand(1, 8, 5, 5), rand(1, 8, 5, 5, seed=1)
    moved = y.flatten(2)[..., torch.randperm(25, generator=torch.Generator().manual_seed(0))].view(y.shape)
    torch.testing.assert_close(contextual(x, moved), contextual(x, y))
    assert contextual(moved, y).item() == pytest.approx(1, abs=1e-6)
    assert contextual(x, y) < 0.7


def test_contextual_in_pieces_is_the_whole_and_so_is_its_slope(monkeypatch):
    x, y = rand(2, 4, 5, 5).requires_grad_(), rand(2, 4, 6, 5, seed=1)
    whole = contextual(x, y)
    (slope,) = torch.autograd.grad(whole.sum(), x)
    monkeypatch.setattr(module, "CHUNK", 2 * 30 * 4)  # rows of at most four features
    monkeypatch.setattr(module, "KEPT", 0)
    pieces = contextual(x, y)
    torch.testing.assert_close(pieces, whole, rtol=1e-12, atol=0)
    torch.testing.assert_close(torch.autograd.grad(pieces.sum(), x)[0], slope, rtol=1e-9, atol=1e-12)
    assert torch.autograd.gradcheck(lambda image: contextual(image, y), (x,), fast_mode=True)


@pytest.mark.parametrize("style", [False, True])
def test_agrees_with_basicsr_given_the_same_weights(untrained, images, style):
    layers = {"conv1_2": 0.1, "conv3_4": 1.0, "conv5_4": 2.0}
    try:
        peer = basicsr_perceptual(layers, perceptual=float(not style), style=float(style))
    except RequestError as error:
        pytest.skip(str(error))
    if style:
        ours = Style("vgg19", tuple(layers), tuple(layers.values()))
    else:
        ours = Perceptual("vgg19", tuple(layers), tuple(layers.values()))
    expected = peer(*images)[int(style)]
    torch.testing.assert_close(ours(*images).mean(), expected, rtol=1e-5, atol=1e-6)


def test_defaults_are_the_layers_of_the_papers(untrained):
    assert Perceptual().minimum_size == Style().minimum_size == 16 and Contextual().minimum_size == 4
    network = backbone("vgg19")
    assert network.chosen() == ("conv5_4",)
    restored, clean = [x.expand(1, 3, 16, 16) for x in (torch.tensor(0.2), torch.tensor(0.8))]
    features = [network(x, ["conv5_4"])[0] for x in (restored, clean)]
    torch.testing.assert_close(
        Perceptual()(restored, clean), (features[0] - features[1]).abs().mean().view(1)
    )
    assert Style()._layers() == ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


@pytest.mark.parametrize("loss", [Perceptual, Style, Contextual])
def test_the_clean_image_gets_no_gradient(untrained, images, loss):
    restored, clean = (image.clone().requires_grad_() for image in images)
    loss("vgg16")(restored, clean).sum().backward()
    assert clean.grad is None and torch.count_nonzero(restored.grad) > 0


@pytest.mark.parametrize(
    ("make", "message"),
    [(lambda: Perceptual("vgg16", ("relu9_9",)), "vgg16: unknown layer 'relu9_9'; did you mean 'relu5_3'?"),
     (lambda: Style("vgg16", ("conv",)), "vgg16: unknown layer 'conv'; did you mean 'conv5_3'?"),
     (lambda: Perceptual("vgg16", weights=(1.0, 2.0)), "weights = [1.0, 2.0]; expected one for each of conv5_3"),
     (lambda: Contextual("vgg16", weights=(-1.0,)), "weights = [-1.0]; expected numbers from 0, one of them more"),
     (lambda: Style("vgg16", distance="l3"), 'distance = "l3"; expected l1 or l2'),
     (lambda: Perceptual("vgg16", feature_scale=0.0), "feature_scale = 0; expected more than 0"),
     (lambda: Contextual("vgg16", bandwidth=-1.0), "bandwidth = -1; expected more than 0"),
     (lambda: Perceptual("vgg"), "unknown features 'vgg'; did you mean 'vgg19'?")],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line_by_the_constructor(untrained, make, message):
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value) == message
