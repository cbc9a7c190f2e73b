"""What every loss promises: one number per image, least at equality, of finite slope everywhere."""

import inspect
from dataclasses import fields

import pytest
import torch
from torch import Tensor

from restoration.losses import LOSSES, Loss

# Multi-scale losses refuse images under 161 pixels unless their window is smaller.
SIDE = {"ms-ssim": 161}
SMALL = {"ms-ssim": ({"window": 3}, 33), "ssim": ({"window": 5}, 9)}


@pytest.fixture(params=sorted(LOSSES))
def name(request) -> str:
    return request.param


@pytest.fixture
def loss(name) -> Loss:
    return LOSSES[name]()


@pytest.fixture
def pair(name) -> tuple[Tensor, Tensor]:
    side, rng = SIDE.get(name, 24), torch.Generator().manual_seed(0)
    clean = torch.rand(3, 3, side, side + 3, generator=rng)
    strength = torch.tensor([0.05, 0.1, 0.3]).view(3, 1, 1, 1)
    return clean + strength * torch.randn(clean.shape, generator=rng), clean


def test_names_are_sorted():
    assert list(LOSSES) == sorted(LOSSES)


def test_constructors_are_typed_and_have_defaults(name):
    for parameter in inspect.signature(LOSSES[name]).parameters.values():
        assert parameter.annotation is not parameter.empty and parameter.default is not parameter.empty
    assert LOSSES[name].__doc__.strip() and fields(LOSSES[name]) is not None


def test_one_finite_number_per_image(loss, pair):
    value = loss(*pair)
    assert value.shape == (3,) and value.dtype == torch.float32 and bool(value.isfinite().all())


def test_least_at_equality_and_growing_with_the_error(loss, pair):
    restored, clean = pair
    least, values = loss(clean, clean), loss(restored, clean)
    assert (least < values).all() and bool((values.diff() > 0).all())
    assert least.abs().max() < 1e-5 or torch.allclose(least, torch.full((3,), loss.epsilon))


def test_an_image_does_not_depend_on_its_neighbours(loss, pair):
    restored, clean = pair
    together = loss(restored, clean)
    alone = torch.cat([loss(restored[i : i + 1], clean[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(alone, together, rtol=1e-6, atol=1e-7)
    other = torch.cat([restored[:1], torch.full_like(restored[1:], 7)])
    torch.testing.assert_close(loss(other, clean)[0], together[0], rtol=1e-6, atol=1e-7)


def test_permuting_the_batch_permutes_the_result(loss, pair):
    restored, clean = pair
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(
        loss(restored[order], clean[order]), loss(restored, clean)[order], rtol=1e-6, atol=1e-7
    )


def test_gradients_of_an_image_stay_in_it(loss, pair):
    restored, clean = pair[0].clone().requires_grad_(), pair[1]
    (slope,) = torch.autograd.grad(loss(restored, clean)[1], restored)
    assert torch.count_nonzero(slope[[0, 2]]) == 0 and torch.count_nonzero(slope[1]) > 0


@pytest.mark.parametrize("where", ["equal", "constant", "outside", "inverted"])
def test_gradients_are_finite_everywhere(loss, pair, where):
    clean = pair[1] if where != "constant" else torch.full_like(pair[1], 0.5)
    restored = {"outside": 3 * pair[0] - 1, "inverted": 1 - clean}.get(where, clean).clone().requires_grad_()
    value = loss(restored, clean)
    (slope,) = torch.autograd.grad(value.sum(), restored)
    assert bool(value.isfinite().all()) and bool(slope.isfinite().all())
    if where in ("equal", "constant"):
        assert slope.abs().max() < 1e-5


def test_no_gradient_mode_gives_the_same_value(loss, pair):
    restored, clean = pair
    with_gradient = loss(restored.clone().requires_grad_(), clean).detach()
    torch.testing.assert_close(loss(restored, clean), with_gradient, rtol=1e-5, atol=1e-6)


def test_gradients_are_the_derivatives(name):
    arguments, side = SMALL.get(name, ({}, 6))
    loss, rng = LOSSES[name](**arguments), torch.Generator().manual_seed(0)
    clean = torch.rand(2, 1, side, side, generator=rng, dtype=torch.float64)
    restored = (
        clean + 0.2 * torch.rand(clean.shape, generator=rng, dtype=torch.float64) + 0.01
    ).requires_grad_()
    assert torch.autograd.gradcheck(loss, (restored, clean.requires_grad_()), fast_mode=True)


def test_other_sizes_are_refused(loss, pair):
    restored, clean = pair
    with pytest.raises(
        ValueError, match=r"^restored is 3x3x\d+x\d+ but clean is 3x3x\d+x\d+; expected equal sizes$"
    ):
        loss(restored, clean[..., 1:])
