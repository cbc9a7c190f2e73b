"""Exclusion and consistency against loops, the identities of their formulas, and what they refuse."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import Tensor

from restoration.losses.pixel import L1, L2, Charbonnier
from restoration.losses.scene import Consistency, Exclusion
from restoration.losses.stack import Entry, Stack


@dataclass
class Batch:
    degraded: Tensor
    clean: Tensor | None = None
    mask: Tensor | None = None
    layers: dict[str, Tensor] = field(default_factory=dict)
    frames: Tensor | None = None
    keys: tuple[tuple[int, int], ...] = ()
    step: int = 0


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def with_reflection(reflection: Tensor) -> Batch:
    return Batch(degraded=torch.full_like(reflection, torch.nan), layers={"reflection": reflection})


def halved(image: np.ndarray) -> np.ndarray:
    rows, columns = -(-image.shape[1] // 2), -(-image.shape[2] // 2)
    blocks = [[image[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean((1, 2)) for j in range(columns)] for i in range(rows)]  # fmt: skip
    return np.array(blocks).transpose(2, 0, 1)


def differences(image: np.ndarray) -> list[np.ndarray]:
    return [np.diff(image, axis=axis).ravel() for axis in (2, 1)]


def published(t: np.ndarray, r: np.ndarray, scales: int) -> float:
    """Zhang, Ng & Chen (2018), eq. 5, with root mean squares."""
    total = 0.0
    for _ in range(scales):
        a, b = (np.abs(np.concatenate(differences(image))) for image in (t, r))
        norm_t, norm_r = np.linalg.norm(a), np.linalg.norm(b)
        shared = np.tanh(np.sqrt(norm_r / norm_t) * a) * np.tanh(np.sqrt(norm_t / norm_r) * b)
        total += np.sqrt((shared**2).mean())
        t, r = halved(t), halved(r)
    return total


def released(t: np.ndarray, r: np.ndarray, scales: int) -> float:
    """What the authors' code computes: sigmoids, one balance for each direction, fourth roots."""
    total = 0.0
    for _ in range(scales):
        for a, b in zip(differences(t), differences(r), strict=True):
            alpha = 2 * np.abs(a).mean() / np.abs(b).mean()
            squash = [2 / (1 + np.exp(-v)) - 1 for v in (a, alpha * b)]
            total += (squash[0] ** 2 * squash[1] ** 2).mean() ** 0.25
        t, r = halved(t), halved(r)
    return total / scales


@pytest.mark.parametrize(("form", "formula"), [("paper", published), ("released", released)])
@pytest.mark.parametrize(("size", "scales"), [((8, 12), 3), ((5, 7), 3), ((4, 4), 1), ((9, 11), 4)])
def test_exclusion_is_the_formula(form, formula, size, scales):
    t, r = images(2, 3, *size), images(2, 3, *size, seed=1)
    expected = [formula(a, b, scales) for a, b in zip(t.numpy(), r.numpy(), strict=True)]
    value = Exclusion(scales=scales, form=form).of_restored(t, with_reflection(r))
    np.testing.assert_allclose(value, expected, rtol=1e-10)


def test_exclusion_only_sees_edges_at_the_same_place():
    left, right = torch.zeros(1, 1, 8, 16), torch.zeros(1, 1, 8, 16)
    left[..., 3:], right[..., 11:] = 1, 1
    apart, together = (Exclusion(scales=1).of_restored(left, with_reflection(i)) for i in (right, left))
    assert apart.item() == 0 and together.item() > 0.1
    # a reflection without edges shares none, whatever its level
    assert Exclusion().of_restored(left, with_reflection(torch.full_like(left, 0.7))).item() == 0


def test_exclusion_of_the_paper_treats_both_layers_alike():
    t, r = images(2, 3, 8, 9), images(2, 3, 8, 9, seed=1)
    value = Exclusion().of_restored(t, with_reflection(r))
    torch.testing.assert_close(Exclusion().of_restored(r, with_reflection(t)), value)
    # the balance takes out which of the two is the stronger
    torch.testing.assert_close(Exclusion().of_restored(4 * t, with_reflection(r / 4 + 0.1)), value)
    assert (Exclusion().of_restored(2 * t, with_reflection(r)) > value).all()


def test_the_released_exclusion_does_not_see_how_strong_the_reflection_is():
    t, r = images(2, 3, 8, 9), images(2, 3, 8, 9, seed=1)
    term = Exclusion(form="released")
    value = term.of_restored(t, with_reflection(r))
    torch.testing.assert_close(term.of_restored(t, with_reflection(5 * r)), value)
    assert (term.of_restored(5 * t, with_reflection(r)) > value).all()


def test_without_a_reflection_layer_it_is_what_was_taken_out():
    degraded, restored = images(2, 3, 8, 8), images(2, 3, 8, 8, seed=1).requires_grad_()
    value = Exclusion().of_restored(restored, Batch(degraded))
    torch.testing.assert_close(value, Exclusion().of_restored(restored, with_reflection(degraded - restored)))
    (through_both,) = torch.autograd.grad(value.sum(), restored)
    held = with_reflection((degraded - restored).detach())
    (through_one,) = torch.autograd.grad(Exclusion().of_restored(restored, held).sum(), restored)
    assert (through_both - through_one).abs().max() > 1e-3
    # nothing taken out, nothing shared
    assert Exclusion().of_restored(degraded, Batch(degraded)).abs().max() == 0


@pytest.mark.parametrize("form", ["paper", "released"])
@pytest.mark.parametrize("batch", ["layer", "estimate"])
def test_slopes_of_exclusion_are_the_derivatives(form, batch):
    other = images(1, 2, 5, 6, seed=1)
    batch = with_reflection(other) if batch == "layer" else Batch(other)
    restored = images(1, 2, 5, 6).requires_grad_()
    term = Exclusion(form=form)
    assert torch.autograd.gradcheck(lambda image: term.of_restored(image, batch), (restored,))


@pytest.mark.parametrize("form", ["paper", "released"])
@pytest.mark.parametrize("flat", ["restored", "reflection", "both", "nothing taken out", "almost"])
def test_slopes_of_exclusion_are_finite_where_there_are_no_edges(form, flat):
    image, level = images(1, 3, 8, 8).float(), torch.full((1, 3, 8, 8), 0.5)
    restored = {"restored": level, "both": level, "almost": level + 1e-7 * image}.get(flat, image)
    restored = restored.clone().requires_grad_()
    reflection = level if flat in ("reflection", "both") else image
    batch = Batch(restored.detach()) if flat == "nothing taken out" else with_reflection(reflection)
    value = Exclusion(form=form).of_restored(restored, batch)
    (slope,) = torch.autograd.grad(value.sum(), restored)
    assert bool(value.isfinite().all()) and bool(slope.isfinite().all())
    assert value.item() < 3e-2 and slope.abs().max() < 1e4


def cubic(x: np.ndarray) -> np.ndarray:
    x = np.abs(x)
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x < 2, far, 0))


def reduction(length: int, target: int) -> np.ndarray:
    """Keys' cubic (1981, a = −½), as wide as the ratio; what lies outside the image has no weight."""
    ratio = length / target
    centres, places = (np.arange(target) + 0.5) * ratio - 0.5, np.arange(length)
    weights = cubic((places - centres[:, None]) / ratio)
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize(("size", "small"), [((12, 16), (6, 8)), ((12, 20), (3, 5)), ((9, 12), (6, 8))])
def test_consistency_is_the_distance_after_the_antialiased_bicubic(size, small):
    restored, degraded = images(2, 3, *size), images(2, 3, *small, seed=1)
    reduced = reduction(size[0], small[0]) @ restored.numpy() @ reduction(size[1], small[1]).T
    difference = reduced - degraded.numpy()
    expected = {
        "l1": np.abs(difference).mean((1, 2, 3)),
        "l2": (difference**2).mean((1, 2, 3)),
        "charbonnier": np.sqrt(difference**2 + 1e-6).mean((1, 2, 3)),
    }
    for distance, value in expected.items():
        found = Consistency(distance).of_restored(restored, Batch(degraded))
        np.testing.assert_allclose(found, value, rtol=1e-9)
    torch.testing.assert_close(
        Consistency().of_restored(restored, Batch(torch.from_numpy(reduced))), torch.zeros(2).double()
    )


@pytest.mark.parametrize(("distance", "loss"), [("l1", L1()), ("l2", L2()), ("charbonnier", Charbonnier())])
def test_consistency_at_equal_sizes_is_the_plain_difference(distance, loss):
    restored, degraded = images(2, 3, 8, 9), images(2, 3, 8, 9, seed=1)
    assert torch.equal(Consistency(distance).of_restored(restored, Batch(degraded)), loss(restored, degraded))


def test_slopes_of_consistency_are_the_derivatives():
    restored, batch = images(2, 1, 6, 8).requires_grad_(), Batch(images(2, 1, 3, 4, seed=1))
    for distance in ("l1", "l2", "charbonnier"):
        term = Consistency(distance)
        assert torch.autograd.gradcheck(lambda image, term=term: term.of_restored(image, batch), (restored,))


@pytest.mark.parametrize("term", [Exclusion(), Exclusion(form="released"), Consistency("l2")])
def test_an_image_does_not_depend_on_its_neighbours_nor_on_their_order(term):
    restored, degraded = images(3, 3, 8, 8), images(3, 3, 8, 8, seed=1)
    together = term.of_restored(restored, Batch(degraded))
    alone = [term.of_restored(restored[i : i + 1], Batch(degraded[i : i + 1])) for i in range(3)]
    torch.testing.assert_close(torch.cat(alone), together)
    order = [2, 0, 1]
    torch.testing.assert_close(term.of_restored(restored[order], Batch(degraded[order])), together[order])
    assert together.diff().abs().min() > 0


@pytest.mark.parametrize("term", [Exclusion(), Exclusion(form="released"), Consistency()])
def test_autocast_leaves_terms_in_float32(term):
    restored, batch = images(2, 3, 8, 8).bfloat16(), Batch(images(2, 3, 8, 8, seed=1).float())
    stack = Stack([Entry("term", term)])
    expected, _ = stack.of_restored(restored.float(), batch)
    with torch.autocast("cpu", torch.bfloat16):
        total, _ = stack.of_restored(restored.requires_grad_(), batch)
    total.backward()
    assert total.dtype == torch.float32 and total.item() == pytest.approx(expected.item(), rel=1e-6)
    assert restored.grad.abs().sum() > 0 and stack.groups() == {}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Exclusion(scales=0), "scales = 0; expected at least 1"),
        (lambda: Exclusion(form="own"), 'form = "own"; expected paper or released'),
        (lambda: Consistency("linf"), 'distance = "linf"; expected charbonnier or l1 or l2'),
        (
            lambda: Exclusion().of_restored(images(1, 3, 4, 9), Batch(images(1, 3, 4, 9))),
            "exclusion: images are 4x9; expected at least 5 pixels a side",
        ),
        (
            lambda: Exclusion().of_restored(images(1, 3, 8, 8), Batch(images(1, 3, 4, 4))),
            "exclusion: degraded is 1x3x4x4 but restored is 1x3x8x8; expected equal sizes, or a layer 'reflection'",
        ),
        (
            lambda: Exclusion().of_restored(images(1, 3, 8, 8), with_reflection(images(1, 3, 8, 9))),
            "exclusion: the reflection is 1x3x8x9 but restored is 1x3x8x8; expected equal sizes",
        ),
        (
            lambda: Consistency().of_restored(images(1, 3, 8, 8), Batch(images(1, 3, 16, 16))),
            "consistency: restored is 1x3x8x8 but degraded is 1x3x16x16; "
            "expected it to be as large or smaller, by one ratio",
        ),
        (
            lambda: Consistency().of_restored(images(1, 3, 8, 8), Batch(images(1, 3, 4, 2))),
            "consistency: restored is 1x3x8x8 but degraded is 1x3x4x2; "
            "expected it to be as large or smaller, by one ratio",
        ),
        (
            lambda: Consistency().of_restored(images(1, 3, 8, 8), Batch(images(1, 1, 8, 8))),
            "consistency: restored is 1x3x8x8 but degraded is 1x1x8x8; "
            "expected it to be as large or smaller, by one ratio",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == message
