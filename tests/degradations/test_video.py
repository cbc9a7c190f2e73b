"""Moving clips: frames that their flow leads into each other, shared motion, and the flicker that it measures."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from restoration.degradations.chain import Chain
from restoration.degradations.mask import Half
from restoration.degradations.noise import Noise
from restoration.degradations.plain import Clip
from restoration.degradations.rescale import Fit, Rescale
from restoration.degradations.resize import Bicubic, resize
from restoration.degradations.sharpen import Sharpen
from restoration.degradations.video import MovingClip, sampled
from restoration.losses.temporal import Flicker, warp

FRAMES = 5


def smooth(height: int = 64, width: int = 80) -> torch.Tensor:
    """Return a photograph so smooth, and mirrored too, that interpolation hardly errs."""
    y = torch.arange(height, dtype=torch.float64)[:, None] * torch.pi / (height - 1)
    x = torch.arange(width, dtype=torch.float64) * torch.pi / (width - 1)
    waves = [0.5 + 0.25 * (a * y).cos() * (b * x).cos() for a, b in ((1, 2), (2, 1), (1, 1))]
    return torch.stack(waves).float()[None]


def clip(degradation: MovingClip, photograph: torch.Tensor, number: int = 3):
    keys = [(0, number * degradation.frames + i) for i in range(degradation.frames)]
    return degradation(photograph.expand(degradation.frames, -1, -1, -1), keys), keys


@pytest.mark.parametrize(
    "motion",
    [
        {"shift": (1.0, 4.0)},
        {"shift": (1.0, 4.0), "subpixel": True},
        {"shift": 2.5, "rotation": 2.0},
        {"shift": 1.5, "rotation": (0.5, 1.0), "zoom": 0.03},
    ],
)
@pytest.mark.parametrize("number", [0, 3, 11])
def test_flow_leads_from_each_frame_into_the_next(motion, number):
    made, _ = clip(MovingClip(of=Bicubic(scale=2), frames=FRAMES, **motion), smooth(), number)
    for i in range(FRAMES - 1):
        warped, inside = warp(made.clean[i + 1 : i + 2], made.layers["flow"][i : i + 1])
        assert inside.mean() > 0.7
        assert ((warped - made.clean[i]).abs() * inside).max() < 1e-3
        still = ((made.clean[i + 1] - made.clean[i]).abs() * inside).max()
        assert still > 10 * ((warped - made.clean[i]).abs() * inside).max()


def test_the_flow_has_the_documented_sign():
    """What moves to the right by 3 pixels from this frame to the next is found at x + 3 there."""
    for number in range(20):
        made, _ = clip(MovingClip(of=Noise(sigma=0.0), frames=2, shift=3.0), torch.rand(1, 1, 24, 30), number)
        right, down = (int(n) for n in made.layers["flow"][0, :, 12, 15].round())
        first, following = made.clean[0, 0], made.clean[1, 0]
        assert (right, down) != (0, 0)
        assert torch.equal(following[12 + down, 15 + right], first[12, 15])
        assert abs(np.hypot(*made.draw["shift"][0]) - 3) < 1e-9


def test_the_middle_frame_is_the_photograph_and_whole_pixels_are_its_own():
    photograph = torch.rand(1, 3, 24, 30)
    made, _ = clip(MovingClip(of=Bicubic(scale=2), frames=FRAMES, shift=3.0), photograph)
    assert torch.equal(made.clean[FRAMES // 2], photograph[0])
    known = set(photograph.flatten().tolist())
    assert set(made.clean.flatten().tolist()) <= known
    assert torch.equal(made.layers["flow"], made.layers["flow"].round())


def test_beyond_its_border_the_photograph_is_mirrored():
    photograph = torch.rand(1, 1, 6, 7)
    made, _ = clip(MovingClip(of=Noise(sigma=0.0), frames=3, shift=5.0), photograph)
    right, down = (round(n) for n in made.draw["shift"][0])
    padded = np.pad(photograph[0, 0], 12, "reflect")
    expected = padded[12 + down : 18 + down, 12 + right : 19 + right]
    np.testing.assert_array_equal(made.clean[2, 0], expected)


def test_interpolation_keeps_parabolas_and_pixels():
    rows, columns = torch.arange(20.0, dtype=torch.float64)[:, None], torch.arange(24.0, dtype=torch.float64)

    def parabola(y, x):
        return 0.2 + 0.001 * y**2 + 0.01 * x + 0.0005 * x * y

    place = torch.stack([columns + 0.3 * rows / 20, rows - 0.45 + 0 * columns])[:, 3:17, 3:20]
    found = sampled(parabola(rows, columns)[None], place)[0]
    torch.testing.assert_close(found, parabola(place[1], place[0]), rtol=0, atol=1e-12)
    photograph = torch.rand(3, 5, 6)
    assert torch.equal(
        sampled(photograph, torch.stack(torch.meshgrid(torch.arange(6.0), torch.arange(5.0), indexing="xy"))),
        photograph,
    )


def test_frames_are_degraded_as_their_own_samples():
    photograph = torch.rand(1, 3, 24, 32)
    degradation = MovingClip(of=Bicubic(scale=4), fresh=Noise(sigma=(5.0, 10.0)), frames=3, neighbours=True)
    made, keys = clip(degradation, photograph)
    frames = made.layers["frames"]
    assert frames.shape == (3, 3, 3, 6, 8) and made.image.shape == (3, 3, 6, 8)
    for i in range(3):
        assert torch.equal(frames[i], made.image)  # every sample sees the clip that its neighbours are
        alone = degradation(photograph, keys[i : i + 1])
        assert torch.equal(alone.image[0], made.image[i])
        assert torch.equal(alone.clean[0], made.clean[i])
    assert made.draw["frame"] == [0, 1, 2] and len(set(made.draw["fresh.sigma"])) == 3


def test_what_degrades_a_clip_draws_once_and_what_is_fresh_for_every_frame():
    degradation = MovingClip(of=Noise(sigma=(1.0, 20.0)), fresh=Noise(sigma=(1.0, 20.0)), frames=3, shift=0.0)
    keys = [(0, sample) for sample in range(6)]
    clean = torch.full((6, 3, 16, 16), 0.5)
    made = degradation(clean, keys)
    of, fresh = made.draw["of.sigma"], made.draw["fresh.sigma"]
    assert of[0] == of[1] == of[2] != of[3] == of[4] == of[5] and len({*of, *fresh}) == 8
    still = MovingClip(of=Noise(sigma=10.0), frames=3, shift=0.0)(clean, keys).image
    assert torch.equal(still[0], still[1]) and not torch.equal(still[0], still[3])


def test_scales_multiply_and_masks_are_joined():
    both = MovingClip(of=Bicubic(scale=2), fresh=Bicubic(scale=3), frames=2)
    assert both.scale == both.multiple == 6
    holes = MovingClip(of=Half(side="left"), fresh=Half(side="top"), frames=2)
    made = holes(torch.rand(2, 1, 8, 8) * 0.5 + 0.5, [(0, 0), (0, 1)])
    assert torch.equal(made.mask, (made.image == 0).float()) and made.mask.sum() == 2 * 48


def test_the_degraded_frames_are_the_reduced_clean_ones():
    made, _ = clip(MovingClip(of=Bicubic(scale=4, levels=None), frames=FRAMES, shift=(0.0, 6.0)), smooth())
    torch.testing.assert_close(made.image, resize(made.clean, scale=0.25), rtol=0, atol=1e-6)


def test_frames_of_a_clip_share_a_motion_that_other_clips_have_not():
    degradation = MovingClip(of=Noise(sigma=0.0), frames=4, rotation=(0.0, 2.0), zoom=(0.0, 0.02))
    keys = [(0, sample) for sample in range(40)]
    draw = degradation(torch.rand(40, 1, 4, 4), keys).draw
    for name in ("shift", "rotation", "zoom"):
        values = [tuple(np.atleast_1d(value)) for value in draw[name]]
        assert all(len(set(values[i : i + 4])) == 1 for i in range(0, 40, 4))
        assert len(set(values)) == 10
    assert draw["frame"] == list(range(4)) * 10


def test_motions_are_drawn_evenly_to_all_sides_over_1000_clips():
    degradation = MovingClip(of=Noise(sigma=0.0), frames=2, shift=(0.0, 4.0), rotation=(0.0, 3.0), zoom=0.02)
    draw = degradation(torch.rand(1000, 1, 2, 2), [(0, 2 * sample) for sample in range(1000)]).draw
    shifts = np.array(draw["shift"])
    speeds = np.hypot(*shifts.T)
    assert speeds.max() <= 4 and speeds.mean() == pytest.approx(2, abs=4 * 4 / 12**0.5 / 1000**0.5)
    directions = shifts / speeds[:, None]
    assert abs(directions.mean(0)).max() < 4 / 2000**0.5
    turns = np.array(draw["rotation"])
    assert abs(turns).max() <= 3 and abs(turns.mean()) < 4 * 3**0.5 / 1000**0.5
    assert abs((np.array(draw["zoom"]) > 0).sum() - 500) < 4 * 250**0.5
    assert set(np.abs(draw["zoom"])) == {0.02}


@dataclass(frozen=True)
class Seen:
    """As much of a batch as flicker looks at."""

    clean: torch.Tensor
    keys: tuple[tuple[int, int], ...]
    layers: dict[str, torch.Tensor]
    frames: None = None


def test_flicker_is_of_what_does_not_move_with_the_scene():
    made, keys = clip(MovingClip(of=Bicubic(scale=2), frames=FRAMES, shift=2.0, subpixel=True), smooth())
    batch = Seen(made.clean, tuple(keys), made.layers)
    term = Flicker(frames=FRAMES)
    moving = term.of_restored(made.clean * 0.8, batch)
    standing = term.of_restored(made.clean + 0.2 * (smooth() - 0.5), batch)
    changing = term.of_restored(made.clean + 0.1 * torch.arange(FRAMES).view(-1, 1, 1, 1), batch)
    assert moving.max() < 5e-4 and standing.min() > 20 * moving.max()
    torch.testing.assert_close(changing, torch.full((FRAMES,), 0.1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"of": Clip(), "frames": 1}, "frames = 1; expected a whole number from 2"),
        ({"of": Clip(), "zoom": 0.9}, "zoom = 0.9; expected a number from 0 to 0.5, or [lowest, highest] of such"),
        (
            {"of": Rescale(factor=(0.5, 1.0))},
            "of gives images sizes of their own; expected a chain that fits them to one size",
        ),
        (
            {"of": Clip(), "fresh": Rescale(factor=(0.5, 1.0))},
            "fresh gives images sizes of their own; expected a chain that fits them to one size",
        ),
        (
            {"of": Clip(), "fresh": Sharpen(target=True)},
            "fresh makes what restorers shall reach, of a degraded frame; expected that in of",
        ),
    ],
)  # fmt: skip
def test_refusals(arguments, message):
    with pytest.raises(ValueError) as error:
        MovingClip(**arguments)
    assert str(error.value) == message


def test_a_chain_that_fits_its_size_may_degrade_frames():
    degradation = MovingClip(of=Chain(of=(Rescale(factor=(0.5, 1.5)), Fit(scale=2))), frames=2)
    made, _ = clip(degradation, torch.rand(1, 3, 24, 32))
    assert degradation.scale == 2 and degradation.together == 2 and made.image.shape == (2, 3, 12, 16)
