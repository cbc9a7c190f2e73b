"""Real codecs: what Pillow makes of the same samples, and the quality that their files say."""

import io

import numpy as np
import pytest
import torch
from PIL import Image, JpegImagePlugin, features

from restoration.degradations import codecs
from restoration.degradations.codecs import AVIF, JPEG, WebP
from restoration.degradations.jpeg import tables

KEYS = [(0, sample) for sample in range(1000)]
SAMPLINGS = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}
needs_avif = pytest.mark.skipif(
    "avif" not in features.get_supported_modules(), reason="this Pillow has no AVIF"
)


def smooth_image(channels: int = 3) -> torch.Tensor:
    steps = torch.randint(0, 256, (1, channels, 7, 8), generator=torch.Generator().manual_seed(0)).float()
    large = torch.nn.functional.interpolate(steps, (50, 61), mode="bilinear")
    return large.round() / 255


def by_pillow(image: torch.Tensor, kind: str, **options) -> torch.Tensor:
    samples = (image[0] * 255).round().byte().permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples).save(file, kind, **options)
    decoded = np.asarray(Image.open(file).convert("L" if samples.shape[2] == 1 else "RGB")).reshape(
        samples.shape
    )
    return torch.from_numpy(decoded.copy()).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("make", "options", "kind", "named"),
    [
        (JPEG, {"quality": 30.0}, "JPEG", {"quality": 30, "subsampling": "4:2:0"}),
        (JPEG, {"quality": 75.0, "subsampling": "4:4:4"}, "JPEG", {"quality": 75, "subsampling": "4:4:4"}),
        (JPEG, {"quality": 95.0, "subsampling": "4:2:2"}, "JPEG", {"quality": 95, "subsampling": "4:2:2"}),
        (WebP, {"quality": 40.0, "method": 2}, "WEBP", {"quality": 40, "method": 2}),
        pytest.param(
            *(AVIF, {"quality": 50.0}, "AVIF", {"quality": 50, "speed": 8, "max_threads": 1}),
            marks=needs_avif,
        ),
    ],
)
def test_equals_pillow(make, options, kind, named, channels):
    image = smooth_image(channels)
    degraded = make(**options)(image, KEYS[:1])
    assert torch.equal(degraded.image, by_pillow(image, kind, **named))
    assert not torch.equal(degraded.image, image) and degraded.draw["quality"] == [named["quality"]]


@pytest.mark.parametrize("degradation", [JPEG(quality=20.0), JPEG(quality=60.0, subsampling="4:4:4")])
def test_grey_stays_grey(degradation):
    image = smooth_image(1)
    assert degradation(image, KEYS[:1]).image.shape == image.shape
    coloured = degradation(image.expand(1, 3, 50, 61), KEYS[:1]).image
    assert torch.equal(coloured, coloured[:, :1].expand_as(coloured))
    assert torch.equal(coloured[:, :1], degradation(image, KEYS[:1]).image)


def test_samples_are_limited_and_rounded_half_up(monkeypatch):
    seen = []
    original = codecs.encoded
    monkeypatch.setattr(
        codecs, "encoded", lambda samples, *a, **k: seen.append(samples) or original(samples, *a, **k)
    )
    values = torch.tensor([-0.5, 0.0, 0.5 / 255, 0.49 / 255, 1.5 / 255, 254.4 / 255, 1.0, 7.0])
    JPEG(quality=90.0)(values.view(1, 1, 2, 4), KEYS[:1])
    assert seen[0].flatten().tolist() == [0, 0, 1, 0, 2, 254, 255, 255]


def test_files_have_the_drawn_quality_and_subsampling(monkeypatch):
    """Over 1,000 files: the one quality whose tables they hold, uniform from 30 to 95; 4:2:0 twice as often."""
    files = []
    original = codecs.encoded
    monkeypatch.setattr(codecs, "encoded", lambda *a, **k: files.append(original(*a, **k)) or files[-1])
    degradation = JPEG(quality=(30.0, 95.0), subsampling=("4:2:0", "4:4:4", "4:2:0"))
    draw = degradation(torch.rand(1000, 3, 8, 8), KEYS).draw
    opened = [Image.open(io.BytesIO(file)) for file in files]
    by_table = {tuple(tables(quality)[0].flatten()): quality for quality in range(1, 101)}
    assert len(by_table) == 100
    qualities = [by_table[tuple(image.quantization[0])] for image in opened]
    assert qualities == draw["quality"]
    assert [SAMPLINGS[JpegImagePlugin.get_sampling(image)] for image in opened] == draw["subsampling"]
    mean, variance = (30 + 95) / 2, (66**2 - 1) / 12
    assert np.mean(qualities) == pytest.approx(mean, abs=4.5 * (variance / 1000) ** 0.5)
    assert {min(qualities), max(qualities)} == {30, 95}
    share = np.mean([value == "4:2:0" for value in draw["subsampling"]])
    assert share == pytest.approx(2 / 3, abs=4.5 * (2 / 9 / 1000) ** 0.5)


@pytest.mark.parametrize("quality", [1, 29, 50, 83, 100])
def test_tables_are_those_of_the_file(quality):
    image = Image.open(io.BytesIO(codecs.encoded(np.zeros((8, 8, 3), np.uint8), "JPEG", quality=quality)))
    for ours, theirs in zip(tables(quality), image.quantization.values(), strict=True):
        assert ours.flatten().tolist() == list(theirs)


def test_a_choice_of_subsamplings_leaves_the_qualities():
    clean = torch.rand(20, 3, 8, 8)
    one, several = (JPEG(subsampling=s)(clean, KEYS[:20]).draw for s in ("4:4:4", ("4:4:4", "4:2:0")))
    assert one["quality"] == several["quality"] and one["subsampling"] == ["4:4:4"] * 20


def test_a_pillow_without_avif_is_named(monkeypatch):
    monkeypatch.setattr(features, "get_supported_modules", lambda: ["jpg", "webp"])
    with pytest.raises(
        ValueError, match=r"^avif: Pillow \S+ has no AVIF here; expected 11.3 or later with libavif$"
    ):
        AVIF()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: JPEG(quality=0.0),
            "quality = 0; expected a number from 1 to 100, or [lowest, highest] of such",
        ),
        (lambda: JPEG(quality=(30.0, 95.5)), "quality = 95.5; expected a whole number from 1 to 100"),
        (lambda: JPEG(subsampling=()), "subsampling = []; expected at least one"),
        (lambda: WebP(method=7), "method = 7; expected a number from 0 to 6, or [lowest, highest] of such"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == message


def test_files_have_one_or_three_channels():
    with pytest.raises(ValueError, match=r"^clean has 4 channels; a file of JPEG needs 1 or 3$"):
        JPEG()(torch.rand(1, 4, 8, 8), KEYS[:1])
