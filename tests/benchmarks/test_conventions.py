"""Conventions: each of our values by the formula written as loops, and the table's own promises."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from restoration.benchmarks.conventions import (
    CONVENTIONS,
    chosen,
    complaint,
    convention_lines,
    measured,
    page_table,
)
from restoration.benchmarks.metrics import METRICS
from restoration.errors import RequestError


def named(name, measure):
    return next(c for c in CONVENTIONS if (c.name, c.measure) == (name, measure))


def pair(height=19, width=23, channels=3):
    rng = np.random.default_rng(0)
    clean = rng.integers(0, 256, (height, width, channels))
    restored = np.clip(clean + rng.integers(-30, 31, clean.shape), 0, 255)
    return restored, clean


def images(*samples):
    return [torch.from_numpy(s).permute(2, 0, 1)[None].double() / 255 for s in samples]


def psnr(difference, floor=0.0):
    return -10 * math.log10(np.mean((difference / 255) ** 2) + floor)


def weighed(difference, red, green, blue):
    return difference @ np.array([red, green, blue])


def test_psnr_of_each_colour_is_its_formula():
    restored, clean = pair()
    difference = (restored - clean).astype(np.float64)
    inner = difference[4:-4, 4:-4]
    expected = {
        "matlab": psnr(weighed(inner, 65.481, 128.553, 24.966) / 255),
        "basicsr-swapped": psnr(weighed(inner, 24.966, 128.553, 65.481) / 255),
        "piq-grey": psnr(weighed(difference, 0.299, 0.587, 0.114), 1e-8),
        "piq": psnr(difference, 1e-8),
        "scikit-image": psnr(difference),
    }
    for name, value in expected.items():
        found = measured(named(name, "psnr"), *images(restored, clean), border=4)
        assert found == pytest.approx(value, abs=1e-9), name


def test_rounded_luma_is_whole_levels():
    restored, clean = pair()
    levels = [np.floor(16 + s @ np.array([65.481, 128.553, 24.966]) / 255 + 0.5) for s in (restored, clean)]
    found = measured(named("matlab-uint8", "psnr"), *images(restored, clean))
    assert found == pytest.approx(psnr(levels[0] - levels[1]), abs=1e-9)


def windows(convention, image):
    """Return every window that counts with its weights, by loops."""
    if convention.window == "uniform-7":
        taps = np.full(7, 1 / 7)
    else:
        taps = np.exp(-((np.arange(11) - 5.0) ** 2) / (2 * 1.5**2))
        taps /= taps.sum()
    reach = len(taps) // 2
    if convention.mirrored:
        image = np.pad(image, reach, mode="reflect")
    for top in range(image.shape[0] - 2 * reach):
        for left in range(image.shape[1] - 2 * reach):
            yield np.outer(taps, taps), image[top : top + 2 * reach + 1, left : left + 2 * reach + 1]


def similarity_by_loops(convention, restored, clean):
    values = []
    for (weights, x), (_, y) in zip(windows(convention, restored), windows(convention, clean), strict=True):
        n = weights.size / (weights.size - 1) if convention.sample else 1
        mx, my = (weights * x).sum(), (weights * y).sum()
        vx, vy = n * (weights * (x - mx) ** 2).sum(), n * (weights * (y - my) ** 2).sum()
        cov = n * (weights * (x - mx) * (y - my)).sum()
        contrast = (2 * cov + 0.03**2) / (vx + vy + 0.03**2)
        contrast = max(contrast, 0) if convention.clipped else contrast
        values.append((2 * mx * my + 0.01**2) / (mx**2 + my**2 + 0.01**2) * contrast)
    return np.mean(values)


@pytest.mark.parametrize("name", ["piq-full-size", "torchmetrics", "scikit-image", "scikit-image-gaussian"])
def test_ssim_of_the_colours_is_its_formula(name):
    convention = named(name, "ssim")
    restored, clean = pair(15, 17)
    expected = np.mean(
        [similarity_by_loops(convention, restored[..., c] / 255, clean[..., c] / 255) for c in range(3)]
    )
    assert measured(convention, *images(restored, clean)) == pytest.approx(expected, abs=1e-10)


def test_a_negative_contrast_counts_as_nothing_where_the_convention_says_so():
    restored, clean = pair(13, 14, 1)
    restored = 255 - clean
    found = {n: measured(named(n, "ssim"), *images(restored, clean)) for n in ("pyiqa", "matlab")}
    assert found["matlab"] < 0 <= found["pyiqa"]
    expected = similarity_by_loops(named("pyiqa", "ssim"), restored[..., 0] / 255, clean[..., 0] / 255)
    assert found["pyiqa"] == pytest.approx(expected, abs=1e-10)


def test_large_images_are_averaged_first_where_the_convention_says_so():
    clean = np.random.default_rng(1).integers(0, 256, (400, 404, 1))
    restored = np.roll(clean, 1, 0)
    small = [image.reshape(1, 1, 200, 2, 202, 2).mean((3, 5)) for image in images(restored, clean)]
    pooled = measured(named("piq", "ssim"), *images(restored, clean))
    assert pooled == pytest.approx(measured(named("piq-full-size", "ssim"), *small), abs=1e-12)
    assert pooled != pytest.approx(
        measured(named("piq-full-size", "ssim"), *images(restored, clean)), abs=1e-3
    )


def test_one_channel_is_looked_at_as_it_is():
    restored, clean = pair(channels=1)
    expected = psnr((restored - clean).astype(np.float64))
    for name in ("matlab", "scikit-image", "kornia"):
        assert measured(named(name, "psnr"), *images(restored, clean)) == pytest.approx(expected, abs=1e-9)


def test_equal_images_are_infinitely_alike_unless_something_is_added():
    _, clean = pair()
    (image,) = images(clean)
    assert measured(named("matlab", "psnr"), image, image) == math.inf
    assert measured(named("piq", "psnr"), image, image) == pytest.approx(80, abs=1e-9)
    assert measured(named("matlab", "ssim"), image, image) == pytest.approx(1, abs=1e-12)


def test_images_too_small_for_the_window_are_told():
    image = torch.zeros(1, 3, 12, 40)
    assert (
        complaint(named("matlab", "ssim"), image, 1) == "the shorter side has 10 pixels; expected at least 11"
    )
    assert (
        complaint(named("scikit-image", "ssim"), image, 4)
        == complaint(named("matlab", "psnr"), image, 4)
        == ""
    )


def test_the_table_holds_every_convention_once_and_in_words():
    assert len({(c.name, c.measure) for c in CONVENTIONS}) == len(CONVENTIONS)
    assert {c.library for c in CONVENTIONS} == {
        "", "basicsr", "kornia", "piq", "pyiqa", "scikit-image", "torchmetrics",
    }  # fmt: skip
    assert all(c.words and "\n" not in c.words and c.metric in METRICS for c in CONVENTIONS)
    assert len({(c.name, c.described(4, c.dtype)) for c in CONVENTIONS}) == len(CONVENTIONS)
    lines = convention_lines()
    assert next(iter(lines)) == "matlab" and lines["kornia"].startswith("psnr and ssim: metrics.psnr")


def test_a_convention_says_all_that_its_value_depends_on():
    assert named("matlab", "psnr").described(4, "float64") == "y-float,border=4,uint8-output,float64"
    assert named("piq", "psnr").described(4, "float32") == "rgb,border=0,uint8-output,mse+1e-08,float32"
    described = named("scikit-image", "ssim").described(4, "float64")
    assert described == "rgb,border=0,uint8-output,uniform-7,valid,sample,float64"
    described = named("pyiqa", "ssim").described(4, "float64")
    assert described == "y-of-yiq-uint8,border=0,uint8-output,gaussian-11,valid,clipped,float64"


def test_conventions_are_chosen_by_name():
    assert chosen("all") == CONVENTIONS
    assert [(c.name, c.measure) for c in chosen("piq, matlab")] == [
        ("matlab", "psnr"), ("matlab", "ssim"), ("piq", "psnr"), ("piq", "ssim"),
    ]  # fmt: skip
    with pytest.raises(RequestError) as caught:
        chosen("matlab,pik")
    assert str(caught.value).startswith(
        "--conventions matlab,pik: unknown convention 'pik'; did you mean 'piq'?; expected all or some of matlab, "
    )


def test_the_page_has_the_table():
    page = Path(__file__).parents[2] / "docs" / "conventions.md"
    assert page_table() in page.read_text(encoding="utf-8"), (
        "python -m restoration.benchmarks.conventions prints it"
    )
