"""What every degradation promises: pure, keyed, independent of its batch, of the size it documents."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restoration.degradations import DEGRADATIONS, Degradation
from restoration.degradations.chain import Chain, Sometimes
from restoration.degradations.noise import Noise
from restoration.degradations.plain import Clip
from restoration.degradations.rescale import Fit
from restoration.degradations.resize import Bicubic

FILES = tempfile.TemporaryDirectory()
KERNELS = Path(FILES.name) / "kernels.npy"
MASKS = Path(FILES.name) / "masks"
MASKS.mkdir()
for number in range(12):
    drawn = np.random.default_rng(number).random((20, 30)) < 0.4
    Image.fromarray(drawn.astype(np.uint8) * 255).save(MASKS / f"{number}.png")
np.save(KERNELS, np.random.default_rng(0).random((8, 5, 5)))

# Arguments of those that have required ones; a new entry of the table without defaults belongs here.
ARGUMENTS = {
    "blur-down": [{"scale": 4, "sigma": (0.5, 2.0)}, {"scale": 3, "centred": False}],
    "bsrgan": [{"scale": 3}, {"scale": 2}, {"scale": 4}],
    "pmrf-sr": [{"factor": 4}],
    "real-esrgan": [{"scale": 4}, {"scale": 2, "sharpen": False}],
    "resshift": [{"scale": 4}],
    "shuffle": [{"of": (Noise(sigma=25.0), Clip(), Bicubic(scale=2))}],
    "bicubic": [{"scale": 4}, {"scale": 3, "edges": "clamp"}],
    "blur": [
        {"sigma": (0.2, 3.0), "isotropic": False, "size": (7, 21)},
        {"sigma": 1.5, "shape": "generalised", "beta": (0.5, 4.0), "edges": "wrap"},
        {"sigma": (0.0, 2.0), "shape": "plateau", "isotropic": False, "uniform_in": "variance", "size": 7},
    ],
    "camera": [{}, {"mosaic": False, "shot": 1e-3, "read": (1e-5, 1e-3)}],
    "chain": [{"of": (Noise(sigma=(0.0, 50.0)), Bicubic(scale=2), Noise(sigma=5.0, clip=True))}],
    "correlated-noise": [{}, {"blur": (0.3, 1.0), "clip": True}, {"quality": 50.0, "multiplied": True}],
    "defocus": [{"radius": (1.0, 4.0)}, {"radius": 0.0, "edges": "zero"}],
    "fit": [{"scale": 2}, {"scale": 3, "kernels": ("bilinear",), "antialias": False}],
    "haze": [{}, {"depth": "gradient", "beta": (0.5, 3.0)}, {"depth": "field"}],
    "jpeg": [{}, {"quality": 50.0, "subsampling": ("4:4:4", "4:2:2")}],
    "jpeg-differentiable": [{}, {"subsampling": "4:4:4", "convention": "diffjpeg", "rounding": "cubic"}],
    "kernel-files": [{"path": str(KERNELS)}, {"path": str(KERNELS), "turned": True, "edges": "clamp"}],
    "low-light": [{}, {"balance": 0.3, "gamma": (1.0, 1.5), "photons": 50.0}, {"photons": 0.0}],
    "mask": [{}, {"ratio": 0.25, "fill": (0.4, 0.5, 0.6), "vertices": 3}],
    "mask-boxes": [{}, {"count": 2, "side": 0.5}],
    "mask-files": [
        {"folder": str(MASKS), "hole": "white"},
        {"folder": str(MASKS), "hole": "black", "augment": False},
    ],
    "mask-half": [{}, {"side": "left"}],
    "mask-lines": [{}, {"every": 3, "lines": "both"}],
    "mosaic": [{}, {"demosaic": "malvar", "pattern": "gbrg"}, {"demosaic": "none"}],
    "motion-blur": [{"length": (5.0, 20.0)}, {"length": 70.0, "angle": 0.0, "shake": (0.0, 0.005)}],
    "moving-clip": [
        {"of": Bicubic(scale=2), "frames": 3},
        {"of": Clip(), "fresh": Noise(sigma=5.0), "rotation": (0.0, 2.0), "zoom": 0.01, "neighbours": True},
    ],
    "noise": [{"sigma": 25.0}, {"sigma": (5.0, 50.0), "clip": True}, {"sigma": 25.0, "grey": 0.5}],
    "one-of": [
        {"of": (Noise(sigma=25.0), Chain(of=(Noise(sigma=(1.0, 5.0)), Clip()))), "weights": (1.0, 3.0)},
        {"of": (Bicubic(scale=2), Bicubic(scale=2, levels=None))},
    ],
    "poisson": [{}, {"strength": (0.05, 3.0), "photons": (1e2, 1e4), "grey": 0.4, "clip": True}],
    "rain": [{}, {"blend": "add", "angle": 90.0}],
    "reflection": [
        {},
        {"recipe": "ceilnet", "ghost": 1.0},
        {"images": str(MASKS), "ghost": 0.5, "scaled": True, "vignette": 0.0},
    ],
    "rescale": [
        {"factor": (0.5, 1.5)},
        {"factor": (0.15, 1.5), "up": 0.2, "keep": 0.1, "down": 0.7, "antialias": False},
        {"factor": (0.3, 1.2), "uniform_in": "divisor", "against": 2, "kernels": ("area", "nearest")},
    ],
    "resize": [{"scale": 2}, {"scale": 3, "kernel": "area", "levels": 255}],
    "sometimes": [{"of": Noise(sigma=25.0), "probability": 1.0}, {"of": Noise(sigma=(5.0, 50.0))}],
}
CASES = [(name, arguments) for name in DEGRADATIONS for arguments in ARGUMENTS.get(name, [{}])]
KEYS = [(0, 5), (0, 6), (3, 5)]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{len(case[1])}")
def degradation(request) -> Degradation:
    return built(*request.param)


def built(name: str, arguments: dict[str, object]) -> Degradation:
    """Return a degradation, before a "fit" if it gives images sizes of their own, as it has to stand in a chain."""
    part = DEGRADATIONS[name](**arguments)
    return Chain(of=(part, Fit(scale=2))) if part.varies else part


@pytest.fixture
def clean() -> torch.Tensor:
    steps = torch.randint(0, 256, (3, 3, 48, 60), generator=torch.Generator().manual_seed(0))
    return steps.float() / 255


def test_names_are_sorted():
    assert list(DEGRADATIONS) == sorted(DEGRADATIONS)
    assert set(ARGUMENTS) <= set(DEGRADATIONS)


def test_same_keys_same_bytes(degradation, clean):
    before = clean.clone()
    first, second = degradation(clean, KEYS), degradation(clean, KEYS)
    assert torch.equal(first.image, second.image) and first.draw == second.draw
    assert torch.equal(clean, before)


def test_global_generators_are_neither_used_nor_moved(degradation, clean):
    first = degradation(clean, KEYS).image
    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert torch.equal(degradation(clean, KEYS).image, first)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_image_does_not_depend_on_its_neighbours(degradation, clean):
    together = degradation(clean, KEYS).image
    for i, key in enumerate(KEYS):
        assert torch.equal(degradation(clean[i : i + 1], [key]).image[0], together[i])
    turned = degradation(clean.flip(0), KEYS[::-1]).image
    assert torch.equal(turned.flip(0), together)


@pytest.mark.parametrize(
    ("images", "channels", "size"), [(16, 1, (96, 144)), (2, 3, (192, 240))], ids=["grey", "colour"]
)
def test_nor_does_one_of_another_size_and_kind(degradation, images, channels, size):
    if degradation.channels not in (None, channels):
        pytest.skip("it needs other channels")
    clean = torch.rand(images, channels, *size, generator=torch.Generator().manual_seed(1))
    keys = [(1, sample) for sample in range(images)]
    together = degradation(clean, keys).image
    for i in (0, images - 1):
        assert torch.equal(degradation(clean[i : i + 1], keys[i : i + 1]).image[0], together[i])


def test_size_range_and_type_are_documented(degradation, clean):
    image = degradation(clean, KEYS).image
    assert image.shape == (3, 3, 48 // degradation.scale, 60 // degradation.scale)
    assert image.dtype == torch.float32 and bool(image.isfinite().all())


def test_the_draw_is_json_and_holds_one_value_per_image(degradation, clean):
    draw = degradation(clean, KEYS).draw
    assert json.loads(json.dumps(draw)) == draw
    assert all(len(values) == len(KEYS) for values in draw.values())


def test_sometimes_makes_the_same_masks_and_layers_for_every_image(degradation, clean):
    """Whether a part acted on all, some or none of a batch cannot be told from what goes with the images."""
    if degradation.scale != 1 or degradation.absolute or degradation.together > 1:
        pytest.skip("it cannot be left out: it changes the size, or its images belong together")
    full = degradation(clean, KEYS)
    for probability in (0.0, 0.5, 1.0):
        made = Sometimes(of=degradation, probability=probability)(clean, [(0, 0), (0, 1), (0, 2)])
        assert (made.mask is None) == (full.mask is None) and made.layers.keys() == full.layers.keys()
        for layer, expected in full.layers.items():
            assert made.layers[layer].shape == expected.shape


@pytest.mark.parametrize("name", sorted(DEGRADATIONS))
def test_other_keys_draw_otherwise_where_there_is_chance(name, clean):
    degradation = built(name, ARGUMENTS.get(name, [{}])[0])
    same = clean[:1].expand(8, -1, -1, -1)
    for keys in ([(0, sample) for sample in range(8)], [(seed, 5) for seed in range(8)]):
        degraded = degradation(same, keys)
        differs = any(not torch.equal(image, degraded.image[0]) for image in degraded.image)
        assert differs == bool(degraded.draw)


def test_keys_that_do_not_fit_the_batch_are_refused(degradation, clean):
    with pytest.raises(ValueError) as error:
        degradation(clean, KEYS[:2])
    assert str(error.value) == "2 keys for 3 images; expected one (seed, sample) per image"
    with pytest.raises(ValueError) as error:
        degradation(clean[0], KEYS)
    assert str(error.value) == "clean has shape (3, 48, 60); expected (images, channels, height, width)"
    for dtype in (torch.bfloat16, torch.float16, torch.uint8):
        with pytest.raises(ValueError) as error:
            degradation(clean.to(dtype), KEYS)
        assert str(error.value) == f"clean is {str(dtype)[6:]}; expected float32 in [0, 1]"
    with pytest.raises(ValueError) as error:
        degradation(clean[:0], [])
    assert str(error.value) == "clean has shape (0, 3, 48, 60); expected at least one image, and pixels"


def test_a_degradation_without_a_call_cannot_be_built():
    with pytest.raises(TypeError):
        Degradation()
    assert Chain(of=(Bicubic(scale=2),)).scale == 2 and Noise(sigma=1.0).scale == 1
