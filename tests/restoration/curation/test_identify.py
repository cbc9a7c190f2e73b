"""What low-resolution images were made with is said for sets made by MATLAB, Pillow, OpenCV, PyTorch and by blurring."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restoration.curation.comparing import Agreement, Probe, Way, compared
from restoration.curation.identify import Pair, identify
from restoration.curation.pairing import pairs_of
from restoration.curation.reductions import gaussian, reductions
from restoration.degradations.resize import resize
from restoration.errors import RequestError
from restoration.image import Picture, find_images, read_samples, to_float, to_samples, write

Make = Callable[[np.ndarray, int], np.ndarray]


def textured(number: int, size: tuple[int, int], channels: int = 3) -> np.ndarray:
    """Return samples with detail at all scales, up to the border."""
    rng = np.random.default_rng(number)
    coarse = rng.integers(0, 256, (7, 9, channels), dtype=np.uint8)
    planes = [
        np.asarray(Image.fromarray(plane).resize(size[::-1], Image.BICUBIC))
        for plane in np.moveaxis(coarse, 2, 0)
    ]
    return (np.stack(planes, 2) + rng.normal(0, 15, (*size, channels))).clip(0, 255).astype(np.uint8)


def pairs(
    folder: Path, make: Make, scale: int, sizes: list[tuple[int, int]], suffix: str = ".png"
) -> list[Pair]:
    found = []
    for i, size in enumerate(sizes):
        clean, degraded = folder / "clean" / f"{i}.png", folder / "reduced" / f"{i}{suffix}"
        for path, samples in ((clean, textured(i, size)), (degraded, make(textured(i, size), scale))):
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, Picture(np.ascontiguousarray(samples)))
        found.append((degraded, clean))
    return found


def cropped(samples: np.ndarray, scale: int) -> np.ndarray:
    return samples[: samples.shape[0] // scale * scale, : samples.shape[1] // scale * scale]


def matlab(**how: object) -> Make:
    return lambda samples, scale: to_samples(
        resize(to_float(cropped(samples, scale)), scale=Fraction(1, scale), **how)
    )


def pillow(name: str, gap: float | None = None) -> Make:
    def make(samples: np.ndarray, scale: int) -> np.ndarray:
        image = Image.fromarray(cropped(samples, scale))
        size = (image.width // scale, image.height // scale)
        return np.asarray(image.resize(size, Image.Resampling[name], reducing_gap=gap))

    return make


def opencv(flag: str) -> Make:
    def make(samples: np.ndarray, scale: int) -> np.ndarray:
        cv2 = pytest.importorskip("cv2")
        image = cropped(samples, scale)
        return cv2.resize(
            image, (image.shape[1] // scale, image.shape[0] // scale), interpolation=getattr(cv2, flag)
        )

    return make


def blurred(sigma: float, phase: int, radius: int) -> Make:
    def make(samples: np.ndarray, scale: int) -> np.ndarray:
        filters = pytest.importorskip("scipy.ndimage")
        image = cropped(samples, scale).astype(float)
        for axis in (0, 1):
            image = filters.gaussian_filter1d(image, sigma, axis=axis, mode="nearest", radius=radius)
        return np.floor(image[phase::scale, phase::scale] + 0.5).clip(0, 255).astype(np.uint8)

    return make


EVEN, UNEVEN = [(96, 120), (72, 96), (144, 60)], [(97, 122), (74, 99), (144, 60)]


@pytest.mark.parametrize(
    ("make", "scale", "name"),
    [
        (matlab(levels=255), 2, "MATLAB bicubic ×2, reflecting edges"),
        (matlab(levels=255), 3, "MATLAB bicubic ×3, reflecting edges"),
        (matlab(levels=255, edges="clamp"), 4, "MATLAB bicubic ×4, clamped edges"),
        (matlab(levels=255, edges="clamp"), 8, "MATLAB bicubic ×8, clamped edges"),
        (matlab(levels=255, kernel="bilinear"), 3, "MATLAB bilinear ×3, reflecting edges"),
        (pillow("BICUBIC"), 4, "Pillow bicubic ×4"),
        (pillow("BILINEAR"), 3, "Pillow bilinear ×3"),
        (pillow("LANCZOS"), 2, "Pillow lanczos ×2"),
        (pillow("BOX"), 4, "Pillow box ×4"),
        (pillow("BICUBIC", 2.0), 4, "Pillow bicubic ×4, reducing gap 2"),
        (opencv("INTER_CUBIC"), 4, "OpenCV cubic ×4"),
        (opencv("INTER_AREA"), 4, "OpenCV area ×4"),
        (opencv("INTER_LINEAR"), 4, "OpenCV linear ×4"),
        (lambda samples, scale: cropped(samples, scale)[1::4, 2::4], 4, "one pixel in 4, from row 1 and column 2, unfiltered"),
        (blurred(1.6, 0, 6), 4, "Gaussian blur of sigma 1.6 (13x13), one pixel in 4 from 0, clamped edges"),
        (blurred(1.3, 1, 4), 3, "Gaussian blur of sigma 1.3 (9x9), one pixel in 3 from 1, clamped edges"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("sizes", [EVEN, UNEVEN], ids=["even", "uneven"])
def test_a_known_way_is_exact(tmp_path, make, scale, name, sizes):
    verdict = identify(pairs(tmp_path, make, scale, sizes))
    assert verdict.text.split(" (no different")[0] == f"{name}, exact on 3/3"
    assert verdict.scale == scale and not verdict.problems


def test_rounding_once_at_the_end_is_told_from_rounding_after_each_pass(tmp_path):
    def once(samples: np.ndarray, scale: int) -> np.ndarray:
        image = to_float(cropped(samples, scale)).double()
        return to_samples(resize(image, scale=Fraction(1, scale)).float())

    name = "MATLAB bicubic ×4, reflecting edges, rounded once at the end"
    assert identify(pairs(tmp_path, once, 4, EVEN)).text.startswith(f"{name}, exact on 3/3")


def test_pytorch_is_told_from_pillow(tmp_path):
    def make(samples: np.ndarray, scale: int) -> np.ndarray:
        image = to_float(cropped(samples, scale))
        size = [side // scale for side in image.shape[-2:]]
        return to_samples(torch.nn.functional.interpolate(image, size, mode="bicubic", antialias=True))

    assert identify(pairs(tmp_path, make, 4, EVEN)).text == "PyTorch bicubic ×4, antialiased, exact on 3/3"


def test_images_that_were_not_cropped_are_told_apart(tmp_path):
    def whole(samples: np.ndarray, scale: int) -> np.ndarray:
        return to_samples(resize(to_float(samples), scale=Fraction(1, scale), levels=255))

    text = "MATLAB bicubic ×4, reflecting edges, of clean images as they are, uncropped, exact on 3/3"
    assert identify(pairs(tmp_path, whole, 4, UNEVEN)).text == text


def test_images_of_another_origin_among_them_are_named(tmp_path):
    made = pairs(tmp_path, matlab(levels=255), 4, [(96, 120)] * 5)
    write(made[3][0], Picture(pillow("BICUBIC")(read_samples(made[3][1]), 4)))
    text = identify(made).text
    assert text.startswith("MATLAB bicubic ×4, reflecting edges, exact on 4/5; not on 3.png: ")


def test_border_rules_alone_are_said_to_differ_near_the_border(tmp_path):
    def other_corner(samples: np.ndarray, scale: int) -> np.ndarray:
        made = matlab(levels=255)(samples, scale)
        made[0, 0] ^= 255
        return made

    text = identify(pairs(tmp_path, other_corner, 4, EVEN)).text
    assert text.startswith("most like MATLAB bicubic ×4, reflecting edges, exact on 0/3: ")
    assert text.endswith("only near the border") and "not only" not in text


def test_noisy_images_are_said_to_be_of_no_known_way(tmp_path):
    def noisy(samples: np.ndarray, scale: int) -> np.ndarray:
        made = matlab(levels=255)(samples, scale)
        return (made + np.random.default_rng(1).normal(0, 8, made.shape)).clip(0, 255).astype(np.uint8)

    text = identify(pairs(tmp_path, noisy, 2, EVEN)).text
    assert text.startswith("none of the") and "30." in text and text.endswith("not only near the border")


def test_jpeg_is_given_as_the_reason_that_nothing_is_exact(tmp_path):
    text = identify(pairs(tmp_path, matlab(levels=255), 4, EVEN, ".jpg")).text
    assert "MATLAB bicubic ×4, reflecting edges" in text
    assert text.endswith("; the degraded files are JPEG, which is never exact")


def test_deep_images_are_compared_in_their_own_steps(tmp_path):
    deep = [
        (s.astype(np.uint16) * 257 + i).clip(0, 65535).astype(np.uint16)
        for i, s in enumerate([textured(0, (96, 120))])
    ]
    small = to_samples(resize(to_float(deep[0]), scale=Fraction(1, 4), levels=65535), 16)
    for name, samples in (("clean.png", deep[0]), ("small.png", small)):
        write(tmp_path / name, Picture(samples))
    verdict = identify([(tmp_path / "small.png", tmp_path / "clean.png")])
    assert verdict.text == "MATLAB bicubic ×4, reflecting edges, exact on 1/1"


def test_pairs_that_do_not_belong_together_are_named(tmp_path):
    made = pairs(tmp_path, matlab(levels=255), 4, [(96, 120)] * 4)
    write(made[1][0], Picture(textured(0, (60, 30))))
    write(made[2][0], Picture(textured(0, (48, 60))))
    folder, clean = tmp_path / "reduced", tmp_path / "clean"
    verdict = identify(made)
    assert verdict.problems == [
        f"{folder}/1.png: 30x60 against 120x96 pixels of {clean}/1.png; expected the scale 4, as most have",
        f"{folder}/2.png: 60x48 against 120x96 pixels of {clean}/2.png; expected the scale 4, as most have",
    ]


def test_a_small_image_among_others_has_their_scale(tmp_path):
    made = pairs(tmp_path, matlab(levels=255), 8, [(96, 120), (95, 95), (96, 96)])
    verdict = identify(made)  # 8 and 9 fit 95 and 11 pixels
    assert verdict.text == "MATLAB bicubic ×8, reflecting edges, exact on 3/3" and not verdict.problems


def test_turned_files_are_compared_upright(tmp_path):
    made = pairs(tmp_path, matlab(levels=255), 4, [(96, 120)] * 2)
    stored = Image.fromarray(np.rot90(read_samples(made[0][1])))
    exif = Image.Exif()
    exif[0x0112] = 6
    stored.save(made[0][1], exif=exif)
    verdict = identify(made)
    assert verdict.text == "MATLAB bicubic ×4, reflecting edges, exact on 2/2" and not verdict.problems


def test_the_ways_of_a_great_scale_are_few(tmp_path):
    assert len(reductions(480)) < 60 < 256 < len(reductions(16))
    write(tmp_path / "clean.png", Picture(textured(0, (480, 480))))
    write(tmp_path / "small.png", Picture(textured(1, (1, 1))))
    assert identify([(tmp_path / "small.png", tmp_path / "clean.png")]).scale == 480


def test_pairs_are_those_that_training_pairs(tmp_path):
    large = [tmp_path / "hr" / name for name in ("a/000_HR.png", "b/000_HR.png", "b/001.png", "c.png")]
    small = [tmp_path / "lr" / name for name in ("a/000_LR4.png", "b/000_LR4.png", "b/001_lq.png")]
    unmarked = [path.with_name(path.name.replace("_HR", "").replace("_LR4", "")) for path in (*large, *small)]
    found, by_order = pairs_of(unmarked[4:], unmarked[:4], tmp_path)
    assert not by_order and [(a.relative_to(tmp_path), b.relative_to(tmp_path)) for a, b in found] == [
        (Path("lr/a/000.png"), Path("hr/a/000.png")),
        (Path("lr/b/000.png"), Path("hr/b/000.png")),
        (Path("lr/b/001_lq.png"), Path("hr/b/001.png")),
    ]
    assert pairs_of(small[2:], large[2:], tmp_path)[0] == [(small[2], large[2])]
    assert pairs_of([Path("x.png")], [Path("y.png")], tmp_path) == ([(Path("x.png"), Path("y.png"))], True)
    with pytest.raises(
        RequestError, match=r"none of 1 files such as x\.png has the name of one of 2 clean files"
    ):
        pairs_of([Path("x.png")], [Path("y.png"), Path("z.png")], tmp_path)


def test_images_of_equal_size_are_refused(tmp_path):
    made = pairs(tmp_path, lambda samples, scale: samples, 1, EVEN)
    with pytest.raises(RequestError) as refused:
        identify(made)
    assert str(refused.value) == f"{tmp_path}/reduced: as large as the clean images; expected reduced ones"


def test_the_gaussian_equals_a_filter_and_a_slice():
    filters = pytest.importorskip("scipy.ndimage")
    samples = textured(0, (40, 56), 1)
    for edges, mode in {
        "reflect": "reflect",
        "mirror": "mirror",
        "clamp": "nearest",
        "zero": "constant",
    }.items():
        image = samples.astype(float)
        for axis in (0, 1):
            image = filters.gaussian_filter1d(image, 1.2, axis=axis, mode=mode, radius=5)
        expected = np.floor(image[1::4, 1::4] + 0.5).astype(np.uint8)
        made = gaussian(1.2, 1, 5, edges).make(samples, (10, 14), 4)
        assert np.array_equal(made, expected), edges


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_every_way_makes_images_of_the_size_and_keeps_one_colour(scale):
    samples = np.full((scale * 12, scale * 9, 3), (200, 100, 7), np.uint8)
    for way in reductions(scale):
        made = way.make(samples, (12, 9), scale)
        assert made.dtype == np.uint8 and np.array_equal(made, samples[:12, :9]), way.name


def test_an_agreement_counts_what_differs_and_where():
    clean = textured(0, (64, 64))
    degraded = clean[::4, ::4].copy()
    degraded[0, 0, 0] ^= 2
    degraded[8, 8, 1] ^= 4
    way = next(Way(r) for r in reductions(4) if r.name.startswith("one pixel in {}, from row 0 and column 0"))
    found = compared(way, Probe("a", degraded, clean, 4))
    assert (found.images, found.exact, found.whole.samples, found.whole.differing) == (1, 0, 768, 2)
    assert (found.inside.samples, found.inside.differing, found.most) == (300, 1, 4)
    assert found.whole.psnr == pytest.approx(10 * np.log10(255**2 / (20 / 768)))
    total = found + found
    assert (total.images, total.whole.differing, total.inexact) == (2, 4, ("a", "a"))
    assert total.whole.psnr == pytest.approx(found.whole.psnr)
    assert found.rank > Agreement(1, 1).rank


def given(root: Path, reduced: str, clean: str) -> list[Pair]:
    ours, theirs = find_images(root / reduced), find_images(root / clean)
    return pairs_of(ours, theirs, root)[0]


@pytest.mark.parametrize(
    ("reduced", "clean", "count", "scale"),
    [
        (f"{name}/LR_bicubic_x{s}", f"{name}/HR", n, s)
        for name, n in (("set5", 5), ("set14", 14))
        for s in (2, 3, 4)
    ]
    + [("video/vid4_calendar/LR_x4", "video/vid4_calendar/HR", 11, 4)],
)
def test_published_sets_are_matlab_s(data_root, reduced, clean, count, scale):
    verdict = identify(given(data_root, reduced, clean))
    assert verdict.text == f"MATLAB bicubic ×{scale}, reflecting edges, exact on {count}/{count}"
