"""Rain: the light of its streaks by Campbell's theorem, their place and direction; drops that turn the view over."""

import tracemalloc

import numpy as np
import pytest
import torch

from restoration.degradations import rain
from restoration.degradations.rain import Rain, RainDrops, _lines


def keys(count: int, seed: int = 0) -> list[tuple[int, int]]:
    return [(seed, sample) for sample in range(count)]


def test_screen_and_add_recompose_from_the_layer():
    clean = torch.rand(3, 3, 40, 50)
    screened, added = (Rain(blend=blend)(clean, keys(3)) for blend in ("screen", "add"))
    rain = screened.layers["rain"]
    assert torch.equal(rain, added.layers["rain"]) and rain.shape == clean.shape
    torch.testing.assert_close(screened.image, 1 - (1 - clean) * (1 - rain))
    assert torch.equal(added.image, (clean + rain).clamp(max=1))
    assert torch.equal(rain[:, :1].expand_as(rain), rain) and 0.001 < rain.mean() < 0.3


def test_the_mean_is_density_times_the_light_of_a_streak():
    """Campbell: the mean of a Poisson field of streaks is density · length · width · intensity, at borders too."""
    density, length, width, intensity = 0.001, 20.0, 2.0, 0.2
    rain = Rain(density=density, length=length, width=width, intensity=intensity)
    layer = rain(torch.zeros(300, 1, 48, 60), keys(300)).layers["rain"]
    expected = density * length * width * intensity
    each = layer.flatten(1).mean(1)
    assert each.mean().item() == pytest.approx(expected, abs=4 * each.std().item() / 300**0.5)
    rows = layer.mean((0, 1, 3))
    assert rows[:4].mean().item() == pytest.approx(expected, rel=0.2)  # the border is no drier


def test_a_number_of_streaks_is_poissons():
    draw = Rain(density=0.002, length=10.0, width=1.5)(torch.zeros(1000, 1, 20, 30), keys(1000)).draw
    mean = (
        0.002 * (20 + 2 * 2 + 12) * (30 + 2 * 2 + 12)
    )  # the image, what blurs into it, and half a streak more
    streaks = np.array(draw["streaks"])
    assert streaks.mean() == pytest.approx(mean, abs=4 * (mean / 1000) ** 0.5)
    assert streaks.var() == pytest.approx(mean, rel=0.2)


def test_draws_are_uniform_over_their_ranges():
    draw = Rain(density=(0.0, 0.002))(torch.zeros(1000, 1, 8, 8), keys(1000)).draw
    for name, (low, high) in {"density": (0.0, 0.002), "length": (10, 40), "angle": (-30, 30)}.items():
        values = np.array(draw[name])
        assert low <= values.min() and values.max() <= high
        assert values.mean() == pytest.approx((low + high) / 2, abs=4 * (high - low) / 12**0.5 / 1000**0.5)


@pytest.mark.parametrize("angle", [-60.0, 0.0, 25.0, 90.0])
def test_a_line_has_its_length_direction_and_light(angle):
    canvas = _lines((81, 81), np.array([[40.3], [39.6]]), np.radians([angle]), 30.0, np.array([0.7]))
    rows, columns = np.mgrid[:81, :81]
    light = canvas.sum(dtype=np.float64)
    assert light == pytest.approx(0.7 * 30, rel=1e-5)
    middle = [(canvas * place).sum(dtype=np.float64) / light for place in (rows, columns)]
    assert middle == pytest.approx([40.3, 39.6], abs=1e-3)
    y, x = rows - middle[0], columns - middle[1]
    # the variance along a line of length l is l²/12; bilinear sharing adds at most 1/4
    along = np.cos(np.radians(angle)) * -y + np.sin(np.radians(angle)) * x
    assert (canvas * along**2).sum() / light == pytest.approx(75, abs=0.5)
    across = np.cos(np.radians(angle)) * x + np.sin(np.radians(angle)) * y
    assert (canvas * across**2).sum() / light < 0.5


def test_an_upright_line_on_pixels_is_one_pixel_wide():
    canvas = _lines((9, 5), np.array([[4.0], [2.0]]), np.array([0.0]), 5.0, np.array([0.5]))
    assert canvas[:, [0, 1, 3, 4]].max() < 1e-12
    np.testing.assert_allclose(canvas[3:6, 2], 0.5, atol=1e-6)


def test_a_wide_streak_is_as_bright_as_said():
    rain = Rain(density=0.00005, length=60.0, width=3.0, angle=0.0, intensity=0.4)
    degraded = rain(torch.zeros(400, 1, 60, 60), keys(400))
    brightest = degraded.layers["rain"].flatten(1).amax(1)
    one = brightest[(torch.tensor(degraded.draw["streaks"]) == 1) & (brightest > 0.1)]
    assert len(one) > 50 and one.max() <= 0.4 * 1.5
    assert one.mean().item() == pytest.approx(0.4, rel=0.12)  # sharing between pixels widens it a little


def test_real_rain_only_adds_light_as_ours_does(data_root):
    for name in (2, 4, 8, 16):
        rainy, dry = (
            torch.from_numpy(np.asarray(picture(data_root / f"derain/{kind}{name}.png")) / np.float32(255))
            for kind in ("input", "norain")
        )
        assert (rainy - dry).min() >= -1 / 255
        ours = Rain()(dry.permute(2, 0, 1)[None], keys(1)).image
        assert (ours - dry.permute(2, 0, 1)).min() >= 0


def picture(path):
    from PIL import Image

    return Image.open(path).convert("RGB")


def test_the_image_changes_under_drops_alone():
    clean = torch.rand(4, 3, 60, 80)
    degraded = RainDrops()(clean, keys(4))
    outside = degraded.mask.expand_as(clean) == 0
    assert torch.equal(degraded.image[outside], clean[outside])
    assert set(degraded.mask.unique().tolist()) == {0.0, 1.0} and degraded.mask.mean() > 0.01
    assert (degraded.image[~outside] != clean[~outside]).float().mean() > 0.95


def test_a_drop_shows_a_ramp_upside_down_and_shrunken():
    """Across a drop of radius r the view passes by from one side to the other: the ramp's slope is −view · W / 2r."""
    across = torch.linspace(0, 1, 200).expand(1, 1, 200, 200)
    for clean, axis in ((across, 1), (across.mT, 0)):
        for sample in range(10):
            drops = RainDrops(count=1, radius=0.1, view=0.4)
            degraded = drops(clean.contiguous(), [(0, sample)])
            rows, columns = degraded.mask[0, 0].nonzero().T
            if min(rows.min(), columns.min()) == 0 or max(rows.max(), columns.max()) == 199:
                continue
            y, x = int(rows.float().mean()), int(columns.float().mean())
            line = degraded.image[0, 0, y, x - 6 : x + 7] if axis else degraded.image[0, 0, y - 6 : y + 7, x]
            expected = -0.4 / (2 * 20)
            assert line.diff().mean().item() == pytest.approx(expected, rel=0.35)  # outlines are uneven


def test_drops_cover_what_their_radii_say():
    drops = RainDrops(count=1, radius=0.1)
    mask = drops(torch.rand(300, 1, 100, 100), keys(300)).mask
    # of an outline r (1 + Σ a cos kφ): π r² (1 + Σ a²/2), a uniform up to 0.2/k; 4 r/π of the side lost at borders
    area = np.pi * 100 * (1 + sum((0.2 / k) ** 2 / 6 for k in (2, 3, 4))) / 1e4
    lost = (
        2 * 2 * 0.1 * 2 / (3 * np.pi) * (3 / 4) / 0.75 / 2
    )  # mean share of a disk beyond a border it crosses
    each = mask.flatten(1).mean(1)
    assert each.max().item() < area * 1.6
    assert area * (1 - 2 * lost) * 0.9 < each.mean().item() < area


def test_counts_of_drops_are_drawn_evenly_and_may_be_none():
    counts = np.array(RainDrops(count=(0, 4))(torch.rand(1000, 1, 16, 16), keys(1000)).draw["count"])
    found = np.bincount(counts, minlength=5)
    assert len(found) == 5 and abs(found - 200).max() < 4 * (1000 * 4 / 25) ** 0.5
    clean = torch.rand(1, 3, 8, 8)
    nothing = RainDrops(count=0)(clean, keys(1))
    assert torch.equal(nothing.image, clean) and nothing.mask.sum() == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rain(density=2.0), "density = 2; expected a number from 0 to 1, or [lowest, highest] of such"),
        (lambda: Rain(angle=100.0), "angle = 100; expected a number from -90 to 90, or [lowest, highest] of such"),
        (lambda: RainDrops(view=1.5), "view = 1.5; expected a number from 0 to 1, or [lowest, highest] of such"),
    ],
)  # fmt: skip
def test_refusals(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == message


def test_streaks_are_drawn_in_groups_of_bounded_memory(monkeypatch):
    clean = torch.rand(1, 1, 40, 50)
    whole = Rain(density=0.2, length=30.0)(clean, [(0, 0)])
    monkeypatch.setattr(rain, "POINTS", 100)
    tracemalloc.start()
    grouped = Rain(density=0.2, length=30.0)(clean, [(0, 0)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    torch.testing.assert_close(grouped.image, whole.image)
    points = grouped.draw["streaks"][0] * 60
    assert points > 50_000 and peak < 8 * points  # of all at once, each row and column alone takes that much
