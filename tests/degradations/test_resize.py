"""MATLAB's imresize: its own files, its formulas by brute force, and the tables that rest on it."""

import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from restoration.degradations.resize import KERNELS, Bicubic, resize
from restoration.losses.colour import luma
from restoration.losses.pixel import psnr
from restoration.losses.ssim import ssim


def read(path: Path) -> Tensor:
    samples = np.asarray(Image.open(path))
    samples = samples[..., None] if samples.ndim == 2 else samples
    return torch.from_numpy(samples.copy()).permute(2, 0, 1)[None].float() / 255


def cropped(image: Tensor, scale: int) -> Tensor:
    height, width = image.shape[-2:]
    return image[..., : height // scale * scale, : width // scale * scale]


def random_image(height: int, width: int, *, images: int = 1, seed: int = 0) -> Tensor:
    steps = np.random.default_rng(seed).integers(0, 256, (images, 3, height, width))
    return torch.from_numpy(steps).float() / 255


def brute_force(
    line: np.ndarray, scale: float, length: int, kernel: str, antialias: bool, edges: str
) -> np.ndarray:
    """One line by imresize.m's formulas, output by output and tap by tap."""
    function, width = KERNELS[kernel]
    s = scale if antialias and scale < 1 else 1.0
    out = []
    for x in range(1, length + 1):
        u = x / scale + 0.5 * (1 - 1 / scale)
        left = math.floor(u - width / s / 2)
        total = weight = 0.0
        for i in range(left, left + math.ceil(width / s) + 2):
            w = s * float(function(np.array(s * (u - i))))
            j = i - 1
            while edges == "reflect" and not 0 <= j < len(line):
                j = -1 - j if j < 0 else 2 * len(line) - 1 - j
            total, weight = total + w * line[min(max(j, 0), len(line) - 1)], weight + w
        out.append(total / weight)
    return np.array(out)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", ["set5", "set14"])
def test_no_sample_differs_from_matlabs_files(data_root, name, scale):
    paths = sorted((data_root / name / "HR").glob("*.png"))
    assert len(paths) == {"set5": 5, "set14": 14}[name]
    for path in paths:
        (reduced,) = (data_root / name / f"LR_bicubic_x{scale}").glob(f"{path.stem}*.png")
        clean = cropped(read(path), scale)
        assert torch.equal(Bicubic(scale=scale)(clean, [(0, 0)]).image, read(reduced)), path.stem


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_enlargement_gives_the_tables_psnr(data_root, scale):
    """Chain A of the golden file (the SRCNN demo): grey, both ways in double, rounded once at the end."""
    for image, protocols in golden(data_root, f"Set5_x{scale}"):
        clean = luma(cropped(read(data_root / "set5" / "HR" / f"{image}.png"), scale))
        clean = ((clean * 255 + 0.5).floor() / 255).double()
        restored = resize(resize(clean, scale=Fraction(1, scale)), scale=scale)
        pair = [inner(part, scale) for part in (((restored * 255 + 0.5).floor() / 255).clamp(0, 1), clean)]
        assert psnr(*pair).item() == pytest.approx(protocols["A_floatchain"][0], abs=1e-3)
        assert ssim(*pair).item() == pytest.approx(protocols["A_floatchain"][1], abs=2e-5)


@pytest.mark.parametrize(("name", "scale"), [("Set5", 2), ("Set5", 3), ("Set5", 4), ("Set14", 4)])
def test_8_bit_enlargement_gives_the_tables_psnr(data_root, name, scale):
    """Chain B of the golden file: RGB, rounded at every pass, scored on float Y; grey files as RGB."""
    for image, protocols in golden(data_root, f"{name}_x{scale}"):
        clean = cropped(read(data_root / name.lower() / "HR" / f"{image}.png"), scale).expand(-1, 3, -1, -1)
        reduced = resize(clean, scale=1 / scale, levels=255)
        pair = [inner(luma(part), scale) for part in (resize(reduced, scale=scale, levels=255), clean)]
        assert psnr(*pair).item() == pytest.approx(protocols["B_u8rgb_f"][0], abs=1e-3)


def golden(data_root: Path, name: str) -> list[tuple[str, dict[str, list[float]]]]:
    values = json.loads((data_root / "golden" / "bicubic_set5_set14.json").read_text())["values"]
    return list(values[name]["per_image"].items())


def inner(image: Tensor, border: int) -> Tensor:
    return image[..., border:-border, border:-border]


@pytest.mark.parametrize("edges", ["reflect", "clamp"])
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("kernel", sorted(KERNELS))
@pytest.mark.parametrize("scale", [Fraction(1, 2), 1 / 3, 0.37, 1, 1.7, Fraction(4)])
def test_every_kernel_is_the_formula(scale, kernel, antialias, edges):
    smooth = antialias and kernel != "nearest"
    options = {"kernel": kernel, "antialias": antialias, "edges": edges}
    for length in (1, 2, 7, 60):
        line = np.random.default_rng(1).random(length)
        expected = brute_force(line, float(scale), math.ceil(length * scale), kernel, smooth, edges)
        result = resize(torch.from_numpy(np.outer(line, line))[None, None], scale=scale, **options)
        np.testing.assert_allclose(result[0, 0], np.outer(expected, expected), atol=1e-12)


@pytest.mark.parametrize("size", [20, 60, 77, 150])
def test_a_size_is_the_scale_of_each_axis(size):
    line = np.random.default_rng(1).random(60)
    expected = brute_force(line, size / 60, size, "bicubic", True, "reflect")
    result = resize(torch.from_numpy(np.outer(line, [1, 2]))[None, None], size=(size, 2))
    np.testing.assert_allclose(result[0, 0], np.outer(expected, [1, 2]), atol=1e-12)


@pytest.mark.parametrize(
    "scale", [Fraction(1, 2), Fraction(1, 3), Fraction(1, 4), Fraction(1, 6), 0.37, 2, 3, 4, 1.5]
)
@pytest.mark.parametrize("levels", [255, 65535])
def test_ties_round_up_in_exact_arithmetic(scale, levels):
    """Against sums of exact fractions; samples of 0 and 1 make ties frequent."""
    steps = np.random.default_rng(2).integers(0, 2, (14, 14)) * levels // (1 + np.arange(14) % 3)
    image = torch.from_numpy(steps).float()[None, None] / levels
    result = resize(image, scale=scale, levels=levels)[0, 0] * levels
    after_rows = np.stack([exact(column, scale, levels) for column in steps.T.tolist()], 1)
    expected = np.stack([exact(row, scale, levels) for row in after_rows.tolist()])
    if isinstance(
        scale, float
    ):  # its weights are no small fractions: ties are decided by rounding errors of double
        assert np.abs(result.numpy() - expected).max() <= 1
    else:
        np.testing.assert_array_equal(result.round().numpy(), expected)


def exact(line: list[int], scale: Fraction | float, levels: int) -> np.ndarray:
    scale = Fraction(scale)
    s = min(scale, Fraction(1))
    n, width = len(line), 4 / s
    out = []
    for x in range(1, math.ceil(n * scale) + 1):
        u = x / scale + (1 - 1 / scale) / 2
        left = math.floor(u - width / 2)
        taps = [(cubic(s * (u - i)), (i - 1) % (2 * n)) for i in range(left, left + math.ceil(width) + 2)]
        total = sum(w * line[min(j, 2 * n - 1 - j)] for w, j in taps) / sum(w for w, _ in taps)
        out.append(min(max(math.floor(total + Fraction(1, 2)), 0), levels))
    return np.array(out)


def cubic(x: Fraction) -> Fraction:
    x = abs(x)
    if x <= 1:
        return Fraction(3, 2) * x**3 - Fraction(5, 2) * x**2 + 1
    return -Fraction(1, 2) * x**3 + Fraction(5, 2) * x**2 - 4 * x + 2 if x <= 2 else Fraction(0)


def test_constants_stay_constant():
    image = torch.full((1, 3, 50, 41), 77 / 255)
    assert torch.equal(resize(image, scale=Fraction(1, 4), levels=255), torch.full((1, 3, 13, 11), 77 / 255))
    torch.testing.assert_close(resize(image, scale=3.3), torch.full((1, 3, 165, 136), 77 / 255))


def test_scale_one_is_the_identity():
    image = random_image(30, 41)
    torch.testing.assert_close(resize(image, scale=1), image, rtol=0, atol=0)


def test_whole_box_reductions_are_block_means():
    image = random_image(24, 36).double()
    expected = torch.nn.functional.avg_pool2d(image, 4)
    torch.testing.assert_close(resize(image, scale=Fraction(1, 4), kernel="box"), expected)


def test_the_smaller_scale_goes_first():
    image = random_image(40, 48)
    first_columns = resize(resize(image, size=(40, 12), levels=255), size=(20, 12), levels=255)
    first_rows = resize(resize(image, size=(20, 48), levels=255), size=(20, 12), levels=255)
    assert torch.equal(resize(image, size=(20, 12), levels=255), first_columns)
    assert not torch.equal(first_columns, first_rows)


def test_edges_differ_at_the_border_alone():
    image = random_image(64, 64)
    reflected, clamped = (resize(image, scale=Fraction(1, 4), edges=edges) for edges in ("reflect", "clamp"))
    different = (reflected != clamped).any(1)[0]
    assert different[:2].any() and not different[2:-2, 2:-2].any()


def test_a_large_image_made_in_bands_equals_its_parts():
    image = random_image(700, 900)
    whole = resize(image, scale=Fraction(1, 2), levels=255)
    part = resize(image[..., 300:500, 200:420], scale=Fraction(1, 2), levels=255)
    assert torch.equal(whole[..., 152:248, 102:208], part[..., 2:-2, 2:-2])


def test_gradients_are_the_transpose():
    image = torch.rand(1, 1, 6, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: resize(x, scale=Fraction(1, 3)), image)
    assert torch.autograd.gradcheck(lambda x: resize(x, scale=1.7), image)


def test_autocast_changes_nothing():
    image = random_image(40, 32)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(resize(image, scale=0.25, levels=255), Bicubic(scale=4)(image, [(0, 0)]).image)


def test_shapes_alone_are_enough():
    image = torch.empty(2, 3, 21, 10, device="meta")
    assert resize(image, scale=4).shape == (2, 3, 84, 40)
    assert resize(image, scale=0.3, levels=255).shape == (2, 3, 7, 3)
    assert resize(torch.empty(0, 3, 21, 10), scale=2).shape == (0, 3, 42, 20)


def test_weights_cached_under_inference_mode_can_train_later():
    image = torch.rand(1, 3, 17, 23)
    with torch.inference_mode():
        resize(image, scale=2.5)
    image.requires_grad_()
    resize(image, scale=2.5).sum().backward()
    assert image.grad.sum().item() == pytest.approx(3 * 43 * 58, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_every_float_type_comes_back_as_itself(dtype):
    image = random_image(16, 20).to(dtype)
    result = resize(image, scale=Fraction(1, 2))
    assert result.dtype == dtype
    expected = resize(image.double(), scale=Fraction(1, 2))
    torch.testing.assert_close(result.double(), expected, rtol=0, atol=4 * torch.finfo(dtype).eps)


def test_memory_layout_does_not_matter():
    image = random_image(33, 47, images=2)
    for scale in (Fraction(1, 3), 2):
        expected = resize(image, scale=scale, levels=255)
        assert torch.equal(
            resize(image.to(memory_format=torch.channels_last), scale=scale, levels=255), expected
        )
        assert torch.equal(resize(image.mT.contiguous().mT, scale=scale, levels=255), expected)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_same_samples():
    image = random_image(120, 96)
    for scale in (Fraction(1, 2), Fraction(1, 3), Fraction(1, 4), 0.37, 3):
        expected = resize(image, scale=scale, levels=255)
        assert torch.equal(resize(image.cuda(), scale=scale, levels=255).cpu(), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "resize: expected either a scale or a size"),
        ({"scale": 2, "size": (4, 4)}, "resize: expected either a scale or a size"),
        (
            {"scale": 0.5, "kernel": "cubic"},
            "resize: unknown kernel 'cubic'; expected one of area, bicubic, bilinear, box, nearest",
        ),
        (
            {"scale": 0.5, "edges": "wrap"},
            "resize: unknown edges 'wrap'; expected one of reflect, clamp, cut",
        ),
        (
            {"scale": 0.5, "levels": -1},
            "resize: levels = -1; expected a whole number from 0, which rounds nothing",
        ),
        ({"scale": 0}, "resize: scale 0 leaves nothing of 8 pixels; expected more than 0"),
        ({"size": (0, 4)}, "resize: size 0 leaves nothing of 8 pixels; expected more than 0"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(ValueError) as error:
        resize(torch.rand(1, 3, 8, 8), **options)
    assert str(error.value) == message


def test_bicubic_refuses_what_the_sets_never_had():
    with pytest.raises(ValueError, match=r"^clean is 33x32; expected multiples of the scale 4$"):
        Bicubic(scale=4)(torch.rand(1, 3, 33, 32), [(0, 0)])
    with pytest.raises(ValueError, match=r"^scale = 0; expected a whole number from 1$"):
        Bicubic(scale=0)
    with pytest.raises(
        ValueError, match=r"^levels = -2; expected a whole number from 0, which rounds nothing$"
    ):
        Bicubic(scale=2, levels=-2)


def test_no_levels_are_0_or_none():
    image = random_image(12, 16)
    assert torch.equal(
        Bicubic(scale=2, levels=0)(image, [(0, 0)]).image,
        Bicubic(scale=2, levels=None)(image, [(0, 0)]).image,
    )
    assert torch.equal(resize(image, scale=0.5, levels=0), resize(image, scale=0.5))


@pytest.mark.parametrize("options", [{"scale": 0.25}, {"scale": 0.25, "levels": 255}, {"scale": 1.7}])
def test_an_image_does_not_depend_on_its_batch(options):
    for channels, side in ((1, 96), (3, 131), (3, 256)):
        image = random_image(side, side + 9, images=16)[:, :channels]
        whole = resize(image, **options)
        for i in (0, 7, 15):
            assert torch.equal(resize(image[i : i + 1], **options)[0], whole[i])
