"""Warping by known motion, and flicker by its definition, in clips of any order."""

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import Tensor

from restoration.losses.stack import Entry, Stack
from restoration.losses.temporal import Flicker, flicker, warp


@dataclass
class Batch:
    clean: Tensor
    layers: dict[str, Tensor] = field(default_factory=dict)
    keys: tuple[tuple[int, int], ...] = ()
    degraded: Tensor | None = None
    mask: Tensor | None = None
    frames: Tensor | None = None
    step: int = 0


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def motion(number: int, height: int, width: int, right: float, down: float) -> Tensor:
    step = torch.tensor([right, down], dtype=torch.float64).view(1, 2, 1, 1)
    return step.expand(number, 2, height, width).contiguous()


@pytest.mark.parametrize(("right", "down"), [(2, 0), (-1, 0), (0, 3), (0, -2), (1, -2)])
def test_whole_pixels_are_found_where_they_went(right, down):
    scene = images(1, 3, 20, 24)
    target = scene[..., 5:15, 5:17]
    # the content of the target stands (right, down) further in the neighbour: neighbour(x + u) = target(x)
    neighbour = scene[..., 5 - down : 15 - down, 5 - right : 17 - right]
    warped, inside = warp(neighbour, motion(1, 10, 12, right, down))
    seen = inside.expand_as(target).bool()
    torch.testing.assert_close(warped[seen], target[seen], rtol=0, atol=1e-12)
    assert inside.sum() == (10 - abs(down)) * (12 - abs(right))
    assert (warped - target)[~seen].abs().max() > 0.01
    # float32 comes within what the step to a grid of −1 to 1 rounds away
    single = warp(neighbour.float(), motion(1, 10, 12, right, down).float())[0]
    assert (single - warped).abs().max() < 1e-5


def test_warping_is_bilinear_and_goes_on_as_the_border():
    image, flow = images(2, 3, 6, 7), 6 * images(2, 2, 6, 7, seed=1) - 3
    warped, inside = warp(image, flow)
    expected, seen = np.zeros((2, 3, 6, 7)), np.zeros((2, 1, 6, 7))
    for n, i, j in np.ndindex(2, 6, 7):
        x, y = j + flow[n, 0, i, j].item(), i + flow[n, 1, i, j].item()
        seen[n, 0, i, j] = 0 <= x <= 6 and 0 <= y <= 5
        x, y = min(max(x, 0), 6), min(max(y, 0), 5)
        left, top = min(int(x), 5), min(int(y), 4)
        a, b = x - left, y - top
        block = image[n, :, top : top + 2, left : left + 2].numpy()
        expected[n, :, i, j] = np.array([1 - b, b]) @ block @ np.array([1 - a, a])
    np.testing.assert_allclose(warped, expected, atol=1e-12)
    np.testing.assert_array_equal(inside, seen)
    assert 0 < inside.mean() < 1


def test_no_motion_warps_to_the_image_itself():
    image = images(1, 3, 5, 1)
    warped, inside = warp(image, motion(1, 5, 1, 0, 0))
    torch.testing.assert_close(warped, image)
    assert inside.min() == 1


def test_slopes_of_warping_are_the_derivatives():
    flow = 2 * images(1, 2, 4, 5, seed=1) - 1
    image = images(1, 2, 4, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda image: warp(image, flow)[0], (image,))


def test_flicker_is_its_definition():
    restored, clean = images(4, 3, 6, 7), images(4, 3, 6, 7, seed=1)
    flow = 4 * images(3, 2, 6, 7, seed=2) - 2
    (moved, inside), (moved_clean, _) = warp(restored[1:], flow), warp(clean[1:], flow)
    change = ((moved - restored[:-1]) - (moved_clean - clean[:-1])).abs()
    expected = [change[n, :, inside[n, 0].bool()].mean() for n in range(3)]
    error = restored - clean
    torch.testing.assert_close(flicker(error[:-1], error[1:], flow), torch.stack(expected))
    still = ((restored[1:] - restored[:-1]) - (clean[1:] - clean[:-1])).abs().mean((1, 2, 3))
    torch.testing.assert_close(flicker(error[:-1], error[1:], None), still)
    torch.testing.assert_close(flicker(error[:-1], error[1:], torch.zeros_like(flow)), still)


def test_errors_that_move_with_the_scene_do_not_flicker():
    scene, errors = images(1, 3, 20, 40), 0.1 * images(1, 3, 20, 40, seed=1)
    clean = torch.cat([scene[..., 3 * t : 3 * t + 24] for t in range(4)])
    dirt = torch.cat([errors[..., 3 * t : 3 * t + 24] for t in range(4)])
    keys = tuple((0, t) for t in range(4))
    batch = Batch(clean, {"flow": motion(4, 20, 24, -3, 0)}, keys)  # the camera goes right, the scene left
    term = Flicker(frames=4)
    assert term.of_restored(clean + dirt, batch).max() < 1e-12
    # the same errors that stay where they are on the screen do, and so do those of the wrong flow
    assert term.of_restored(clean + dirt[:1], batch).min() > 0.01
    batch.layers["flow"] = -batch.layers["flow"]
    assert term.of_restored(clean + dirt, batch).min() > 0.01
    assert term.of_restored(clean, batch).max() == 0


def test_every_image_has_the_value_of_its_clip():
    level = torch.tensor([0.0, 0.1, 0.4, 0.2, 0.2, 0.5]).view(6, 1, 1, 1)
    clean = images(6, 3, 4, 4).float()
    batch = Batch(clean, keys=tuple((9, 12 + n) for n in range(6)))
    three = Flicker(frames=3, motion="still").of_restored(clean + level, batch)
    torch.testing.assert_close(three, torch.tensor([0.2] * 3 + [0.15] * 3))
    two = Flicker(motion="still").of_restored(clean + level, batch)
    torch.testing.assert_close(two, torch.tensor([0.1, 0.1, 0.2, 0.2, 0.3, 0.3]))


def test_keys_say_which_frame_is_which():
    restored, clean = images(6, 3, 5, 5), images(6, 3, 5, 5, seed=1)
    flow, keys = 2 * images(6, 2, 5, 5, seed=2) - 1, ((0, 4), (0, 5), (0, 6), (0, 7), (1, 4), (1, 5))
    term, order = Flicker(), [5, 2, 0, 3, 1, 4]
    together = term.of_restored(restored, Batch(clean, {"flow": flow}, keys))
    mixed = Batch(clean[order], {"flow": flow[order]}, tuple(keys[i] for i in order))
    torch.testing.assert_close(term.of_restored(restored[order], mixed), together[order])
    alone = [
        term.of_restored(restored[i : i + 2], Batch(clean[i : i + 2], {"flow": flow[i : i + 2]}, keys[i : i + 2]))
        for i in (0, 2, 4)
    ]  # fmt: skip
    torch.testing.assert_close(torch.cat(alone), together)
    assert together[::2].diff().abs().min() > 0
    # the flow of a last frame leads out of the clip
    flow[1::2] = torch.nan
    assert torch.equal(term.of_restored(restored, Batch(clean, {"flow": flow}, keys)), together)


def test_what_leaves_the_frame_counts_for_nothing():
    restored, clean = images(2, 3, 5, 5).requires_grad_(), images(2, 3, 5, 5, seed=1)
    batch = Batch(clean, {"flow": motion(2, 5, 5, 9, 0)}, ((0, 0), (0, 1)))
    value = Flicker().of_restored(restored, batch)
    (slope,) = torch.autograd.grad(value.sum(), restored)
    assert value.abs().max() == 0 and slope.abs().max() == 0


def test_slopes_of_flicker_are_the_derivatives():
    restored = images(4, 1, 4, 5).requires_grad_()
    layers, keys = {"flow": 2 * images(4, 2, 4, 5, seed=2) - 1}, tuple((0, n) for n in range(4))
    batch, term = Batch(images(4, 1, 4, 5, seed=1), layers, keys), Flicker(frames=4)
    assert torch.autograd.gradcheck(lambda image: term.of_restored(image, batch), (restored,))
    (slope,) = torch.autograd.grad(term.of_restored(batch.clean.requires_grad_(), batch).sum(), batch.clean)
    assert bool(slope.isfinite().all())


def test_flicker_in_a_stack_is_the_mean_over_clips_in_float32():
    restored, clean = images(4, 3, 6, 6).float(), images(4, 3, 6, 6, seed=1).float()
    flow = motion(4, 6, 6, 0.5, -0.25).float()
    keys = tuple((0, n) for n in range(4))
    error = restored - clean
    expected = flicker(error[::2], error[1::2], flow[::2]).mean()
    stack = Stack([Entry("flicker", Flicker())])
    with torch.autocast("cpu", torch.bfloat16):
        total, _ = stack.of_restored(restored, Batch(clean, {"flow": flow}, keys))
    torch.testing.assert_close(total, expected)
    assert stack.groups() == {}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Flicker(frames=1), "frames = 1; expected at least 2, flicker is between frames"),
        (lambda: Flicker(motion="zero"), 'motion = "zero"; expected flow or still'),
        (
            lambda: Flicker(motion="still").of_restored(images(2, 3, 4, 4), Batch(images(2, 3, 4, 4))),
            "flicker: 0 keys for 2 images; expected one (seed, sample) for each",
        ),
        (
            lambda: Flicker(motion="still").of_restored(
                images(2, 3, 4, 4), Batch(images(2, 3, 4, 4), keys=((0, 7), (0, 8)))
            ),
            "flicker: the batch cuts the clip of sample 7; expected all 2 frames of every clip, samples 6 to 7",
        ),
        (
            lambda: Flicker(3, "still").of_restored(
                images(2, 3, 4, 4), Batch(images(2, 3, 4, 4), keys=((0, 3), (0, 4)))
            ),
            "flicker: the batch cuts the clip of sample 3; expected all 3 frames of every clip, samples 3 to 5",
        ),
        (
            lambda: Flicker().of_restored(images(2, 3, 4, 4), Batch(images(2, 3, 4, 4), keys=((0, 0), (0, 1)))),
            "flicker: the batch has no layer 'flow'; expected one, or motion = \"still\"",
        ),
        (
            lambda: Flicker().of_restored(
                images(2, 3, 4, 5),
                Batch(images(2, 3, 4, 5), {"flow": motion(2, 5, 4, 0, 0)}, ((0, 0), (0, 1))),
            ),
            "flicker: the flow is 2x2x5x4; expected 2x2x4x5",
        ),
        (
            lambda: Flicker().of_restored(images(2, 3, 4, 4), Batch(images(2, 3, 4, 5), keys=((0, 0), (0, 1)))),
            "restored is 2x3x4x4 but clean is 2x3x4x5; expected equal sizes",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == message
