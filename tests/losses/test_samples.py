"""The samples of PCL-SR: published toy values, brute-force blurs, draws that belong to one image."""

from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from torch import Tensor
from torch.nn.functional import interpolate

from restoration.losses.haar import details
from restoration.losses.samples import Recipe, blur, blurred, enlarged, gaussians, noisy, sharpen, sharpened

KEYS = tuple((0, i) for i in range(3))


@dataclass
class Batch:
    degraded: Tensor
    clean: Tensor
    keys: tuple[tuple[int, int], ...] = KEYS


@pytest.fixture
def batch() -> Batch:
    clean = torch.rand(3, 3, 24, 28, generator=torch.Generator().manual_seed(0))
    return Batch(interpolate(clean, scale_factor=0.25, mode="bicubic", antialias=True).clamp(0, 1), clean)


def photograph(path, side: int = 192, dtype=torch.float64) -> Tensor:
    pixels = np.asarray(Image.open(path).convert("RGB"))[:side, :side]
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].to(dtype) / 255


def detail_energy(image: Tensor, clean: Tensor) -> float:
    return float(details(image).square().sum() / details(clean).square().sum())


def sharpness(image: Tensor, factor: float) -> Tensor:
    return sharpen(image, torch.tensor(factor, dtype=image.dtype))


@pytest.mark.parametrize(("factor", "centre", "beside"), [(0.5, 0.3462, 0.0192), (2.0, 0.8077, 0.0)])
def test_sharpness_of_an_impulse(factor, centre, beside):
    # smooth is 5/13 of the impulse at its place and 1/13 around it
    image = torch.zeros(1, 1, 7, 7)
    image[..., 3, 3] = 0.5
    found = sharpness(image, factor)
    assert float(found[..., 3, 3]) == pytest.approx(centre, abs=5e-5)
    assert float(found[..., 2, 3]) == pytest.approx(beside, abs=5e-5) == float(found[..., 4, 4])
    assert float(found.sum()) == pytest.approx(centre + 8 * beside, abs=1e-3)


@pytest.mark.parametrize("factor", [0.5, 1.3, 3.0])
def test_sharpness_is_that_of_pillow(factor):
    pixels = np.random.default_rng(0).integers(0, 256, (13, 17, 3), dtype=np.uint8)
    smooth = Image.fromarray(pixels).resize((51, 39), Image.Resampling.BICUBIC)
    theirs = np.asarray(ImageEnhance.Sharpness(smooth).enhance(factor)).astype("float32") / 255
    image = torch.from_numpy(np.asarray(smooth).copy()).permute(2, 0, 1)[None] / 255
    ours = sharpness(image, factor)[0].permute(1, 2, 0).numpy()
    assert (
        abs(ours - theirs).max() <= (1 + factor) / 255
    )  # Pillow rounds the smoothed image and truncates the result


def test_sharpness_one_changes_nothing():
    image = torch.rand(2, 3, 9, 9)
    assert torch.equal(sharpness(image, 1.0), image)
    assert torch.equal(sharpness(image, 2.5)[..., 0, :], image[..., 0, :])  # nor any sharpness the border


def test_blur_equals_a_loop():
    image = torch.rand(2, 2, 11, 14, dtype=torch.float64)
    sizes, spreads = torch.tensor([[3, 11, 7], [5, 9, 3]]), torch.tensor([[0.4, 1.7, 0.9], [2.0, 0.3, 1.1]])
    rows = gaussians(sizes, spreads.double())
    columns = gaussians(sizes.flip(1), spreads.flip(1).double())
    found = blur(image, rows, columns)
    assert found.shape == (2, 3, 2, 11, 14)

    def at(index: int, length: int) -> int:
        return abs(index) if index < length else 2 * (length - 1) - index

    rng = np.random.default_rng(0)
    for _ in range(40):
        n, k, c, y, x = (int(rng.integers(size)) for size in found.shape)
        expected = sum(
            float(rows[n, k, i + 5] * columns[n, k, j + 5] * image[n, c, at(y + i, 11), at(x + j, 14)])
            for i in range(-5, 6) for j in range(-5, 6)
        )  # fmt: skip
        assert float(found[n, k, c, y, x]) == pytest.approx(expected, abs=1e-12)


def test_gaussians_are_normalised_and_as_wide_as_asked():
    weights = gaussians(torch.tensor([3, 5, 11]), torch.tensor([1.0, 1.0, 1.0]))
    torch.testing.assert_close(weights.sum(-1), torch.ones(3))
    assert (weights > 0).sum(-1).tolist() == [3, 5, 11]
    assert float(weights[0, 4] / weights[0, 5]) == pytest.approx(np.exp(-0.5), abs=1e-6)
    near_identity = gaussians(torch.tensor([7]), torch.tensor([0.1]))
    assert float(near_identity[0, 5]) == 1


def test_detail_energies_are_the_published_ones(data_root):
    # of the top left 192² of BSDS500 100007.jpg
    clean = photograph(data_root / "bsds500" / "dev30" / "100007.jpg")
    for factor, expected in ((0.5, 0.817), (1.0, 1.0), (1.75, 1.378), (3.0, 2.253)):
        assert detail_energy(sharpness(clean, factor), clean) == pytest.approx(expected, abs=5e-4)
    for spread, expected in ((0.1, 1.0), (0.5, 0.804), (1.0, 0.536), (2.0, 0.362)):
        kernel = gaussians(torch.tensor([[7]]), torch.tensor([[spread]], dtype=torch.float64))
        assert detail_energy(blur(clean, kernel, kernel)[:, 0], clean) == pytest.approx(expected, abs=5e-4)
    small = interpolate(clean, size=(48, 48), mode="bicubic", antialias=True)
    assert detail_energy(enlarged(small, clean), clean) == pytest.approx(0.417, abs=5e-4)


def test_positives_gain_and_negatives_lose_detail():
    clean = photograph(files("restoration") / "photos" / "chelsea.png", dtype=torch.float32)
    sharper = sharpened(clean, ((0, 0),), 40)[0]
    softer = blurred(clean, ((0, 0),), 40)[0]
    gained = [detail_energy(copy[None], clean) for copy in sharper]
    lost = [detail_energy(copy[None], clean) for copy in softer]
    assert sum(energy > 1.02 for energy in gained) in range(24, 39)  # four of five draws are above 1
    assert max(lost) < 1.02 and min(lost) < 0.5


def test_recipe_counts_its_samples(batch):
    samples = Recipe(positives=2, negatives=4, noise=2 / 255)(batch)
    assert len(samples.positives) == 1 + 2 + 1 and len(samples.negatives) == 1 + 4
    assert samples.positives[0] is batch.clean or torch.equal(samples.positives[0], batch.clean)
    assert all(images.shape == batch.clean.shape for images in (*samples.positives, *samples.negatives))
    assert not any(torch.equal(a, b) for a in samples.positives for b in samples.negatives)
    assert torch.equal(samples.negatives[0], enlarged(batch.degraded, batch.clean))
    for images in (*samples.positives[1:], *samples.negatives[1:]):
        steps = 255 * images
        assert (steps - steps.round()).abs().max() < 1e-4 and images.min() >= 0 and images.max() <= 1


def test_naive_samples_are_the_pair_itself(batch):
    samples = Recipe(naive=True, noise=0.1)(batch)
    assert len(samples.positives) == len(samples.negatives) == 1
    assert torch.equal(samples.positives[0], batch.clean)


def test_samples_of_an_image_do_not_depend_on_its_neighbours(batch):
    together = Recipe(noise=0.01)(batch)
    alone = Recipe(noise=0.01)(Batch(batch.degraded[1:2], batch.clean[1:2], KEYS[1:2]))
    for side in ("positives", "negatives"):
        for all_images, one in zip(getattr(together, side), getattr(alone, side), strict=True):
            torch.testing.assert_close(all_images[1:2], one, rtol=0, atol=1e-6)


def test_every_image_and_copy_has_a_draw_of_its_own():
    image = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0)).expand(3, -1, -1, -1)
    for made in (sharpened(image, KEYS, 3), blurred(image, KEYS, 3)):
        copies = made.flatten(0, 1)
        assert all(not torch.equal(copies[i], copies[j]) for i in range(9) for j in range(i))
    other = ((1, 0), *KEYS[1:])
    assert not torch.equal(sharpened(image, other, 3)[0], sharpened(image, KEYS, 3)[0])
    assert torch.equal(sharpened(image, other, 3)[1:], sharpened(image, KEYS, 3)[1:])


def test_noise_has_its_deviation():
    image = torch.full((2, 3, 60, 60), 0.5)
    found = noisy(image, KEYS[:2], 0.05) - image
    assert float(found.std()) == pytest.approx(0.05, rel=0.02) and abs(float(found.mean())) < 1e-3


def test_images_of_the_clean_size_are_left_alone(batch):
    assert enlarged(batch.clean + 2, batch.clean).max() > 2
    assert enlarged(batch.degraded + 2, batch.clean).max() == 1


@pytest.mark.parametrize(
    ("build", "line"),
    [
        (lambda: Recipe(positives=-1), "positives = -1; expected at least 0"),
        (lambda: Recipe(noise=-0.1), "noise = -0.1; expected at least 0"),
        (
            lambda: blurred(torch.rand(1, 3, 5, 9), ((0, 0),), 1),
            "blur: images are 5x9; expected at least 6 pixels a side",
        ),
        (
            lambda: Recipe()(Batch(torch.rand(3, 3, 9, 9), torch.rand(3, 3, 9, 9), ())),
            "contrastive samples: 0 keys for 3 images; expected one (seed, sample) for each",
        ),
    ],
)
def test_refusals(build, line):
    with pytest.raises(ValueError) as error:
        build()
    assert str(error.value) == line
