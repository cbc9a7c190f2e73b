"""LPIPS and DISTS: the numbers of the reference implementations, given the same trunk; no weights are invented."""

import pytest
import torch

from restoration.benchmarks.untrained import lpips_package, piq_dists
from restoration.losses import lpips as module
from restoration.losses.lpips import Dists, Lpips, dists_distance, linear_heads, lpips_distance
from restoration.losses.published import MissingPackageError, MissingWeightsError


@pytest.mark.parametrize(("net", "size"), [("alex", (64, 80)), ("squeeze", (40, 33)), ("vgg", (32, 40))])
def test_lpips_is_the_packages_given_the_same_trunk(untrained, net, size):
    pytest.importorskip("lpips")
    ours, peer = Lpips(net), lpips_package(net)
    rng = torch.Generator().manual_seed(0)
    clean = torch.rand(2, 3, *size, generator=rng)
    restored = clean + 0.1 * torch.randn(clean.shape, generator=rng)
    with torch.no_grad():
        expected = peer(restored, clean, normalize=True).flatten()
        torch.testing.assert_close(ours(restored, clean), expected, rtol=1e-5, atol=1e-6)
    assert expected.min() > 1e-3


def test_lpips_by_loops_over_given_features():
    rng = torch.Generator().manual_seed(0)
    a, b = (torch.rand(1, 3, 2, 2, generator=rng, dtype=torch.float64) for _ in range(2))
    head = torch.tensor([0.5, 1.0, 2.0])
    expected = 0.0
    for y in range(2):
        for x in range(2):
            u, v = a[0, :, y, x], b[0, :, y, x]
            difference = u / (u @ u).sqrt() - v / (v @ v).sqrt()
            expected += float((head * difference**2).sum()) / 4
    assert lpips_distance([a], [b], [head]).item() == pytest.approx(expected, rel=1e-8)
    assert lpips_distance([a, a], [b, b], [head, 3 * head]).item() == pytest.approx(4 * expected, rel=1e-8)


def test_the_heads_are_the_packages_and_never_negative():
    for net, (_, layers) in module.TRUNKS.items():
        heads = linear_heads(net)
        assert len(heads) == len(layers) and all(bool((head >= 0).all()) for head in heads)
    assert [len(head) for head in linear_heads("squeeze")] == [64, 128, 256, 384, 384, 512, 512]


def test_positions_where_nothing_answers_have_a_finite_slope():
    a = torch.zeros(1, 4, 3, 3).requires_grad_()
    b = torch.rand(1, 4, 3, 3)
    value = lpips_distance([a], [b], [torch.ones(4)])
    assert value.item() == pytest.approx(1, abs=1e-5)
    assert bool(torch.autograd.grad(value.sum(), a)[0].isfinite().all())


@pytest.mark.parametrize(("size", "shorter"), [((32, 47), 0), ((37, 33), 0), ((40, 52), 36)])
def test_dists_is_piqs_given_the_same_weights(untrained_dists, size, shorter):
    rng = torch.Generator().manual_seed(0)
    clean = torch.rand(2, 3, *size, generator=rng)
    restored = (clean + 0.1 * torch.randn(clean.shape, generator=rng)).clamp(0, 1)
    pytest.importorskip("piq")
    peer = piq_dists()
    x, y = restored, clean
    if shorter:  # piq reduces what is larger than 256 itself; here at a size that a test can afford
        x, y = module._reduced(restored, shorter), module._reduced(clean, shorter)
    with torch.no_grad():
        torch.testing.assert_close(Dists(shorter)(restored, clean), peer(x, y), rtol=1e-5, atol=1e-5)


def test_dists_reduces_as_piq_does_above_256():
    image = torch.rand(1, 3, 300, 260, generator=torch.Generator().manual_seed(0))
    expected = torch.nn.functional.interpolate(
        image, scale_factor=256 / 260, recompute_scale_factor=False, mode="bilinear"
    )
    assert torch.equal(module._reduced(image, 256), expected) and expected.shape[-1] == 256


def test_dists_by_the_formula_over_given_layers():
    rng = torch.Generator().manual_seed(0)
    a, b = (torch.rand(1, 2, 3, 4, generator=rng, dtype=torch.float64) for _ in range(2))
    alpha, beta = torch.tensor([0.1, 0.2]), torch.tensor([0.3, 0.4])
    similarity = 0.0
    for c in range(2):
        x, y = a[0, c].flatten(), b[0, c].flatten()
        covariance = ((x - x.mean()) * (y - y.mean())).mean()
        texture = (2 * x.mean() * y.mean() + 1e-6) / (x.mean() ** 2 + y.mean() ** 2 + 1e-6)
        structure = (2 * covariance + 1e-6) / (x.var(correction=0) + y.var(correction=0) + 1e-6)
        similarity += float(alpha[c] * texture + beta[c] * structure)
    assert dists_distance([a], [b], [alpha], [beta]).item() == pytest.approx(1 - similarity, rel=1e-6)
    assert dists_distance([a], [a], [alpha], [beta]).item() == 0


@pytest.fixture(params=["alex", "squeeze", "vgg", "dists"])
def loss(request, untrained, untrained_dists):
    return Dists() if request.param == "dists" else Lpips(request.param)


def test_general_promises(loss, images):
    restored, clean = images
    values = loss(restored, clean)
    assert values.shape == (3,) and values.min() > 1e-4 and loss(clean, clean).abs().max() == 0
    torch.testing.assert_close(loss(restored[1:2], clean[1:2]), values[1:2], rtol=1e-5, atol=1e-7)
    for where in (clean, torch.full_like(clean, 0.5), 3 * restored - 1):
        image = where.clone().requires_grad_()
        (slope,) = torch.autograd.grad(loss(image, clean).sum(), image)
        assert bool(slope.isfinite().all())
    with pytest.raises(ValueError, match=r"expected at least \d+ pixels a side$"):
        small = clean[..., : loss.minimum_size - 1]
        loss(small, small)
    smallest = clean[..., : loss.minimum_size, : loss.minimum_size]
    assert bool(loss(1 - smallest, smallest).isfinite().all())


def test_derivatives_in_float64(loss):
    rng, side = torch.Generator().manual_seed(0), loss.minimum_size
    clean = torch.rand(1, 3, side, side, generator=rng, dtype=torch.float64)
    restored = (clean + 0.2 * torch.rand(clean.shape, generator=rng, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda image: loss(image, clean), (restored,), fast_mode=True)


def test_a_metric_is_named_after_its_trunk(untrained):
    assert Lpips("alex").as_metric == ("lpips-alex",) and Lpips("vgg").as_metric == ("lpips-vgg",)
    assert Lpips("squeeze").as_metric == ()
    assert (Lpips("alex").minimum_size, Lpips("squeeze").minimum_size, Lpips("vgg").minimum_size) == (
        31,
        17,
        16,
    )


def test_what_is_missing_is_named_by_the_constructor(tmp_path, monkeypatch):
    monkeypatch.setenv("RESTORATION_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    module.dists_weights.cache_clear()
    with pytest.raises(MissingWeightsError, match=r"^weights 'dists' are not here\. Expected DISTS_weights-"):
        Dists()
    from restoration.losses.features import backbone

    backbone.cache_clear()
    with pytest.raises(MissingWeightsError, match=r"^weights 'alexnet' are not here\. "):
        Lpips()
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    linear_heads.cache_clear()  # nothing enters it in what follows
    with pytest.raises(MissingPackageError) as caught:
        Lpips()
    assert str(caught.value) == (
        "the weights of 'lpips' come with the package lpips, which is not installed\npip install lpips"
    )
    with pytest.raises(ValueError, match=r'^net = "vgg19"; expected alex or squeeze or vgg$'):
        Lpips("vgg19")
    with pytest.raises(ValueError, match=r"^shorter = 8; expected at least 16 pixels, or 0$"):
        Dists(8)
