"""SSIM and MS-SSIM: brute force, closed forms, published values, scikit-image and piq."""

import numpy as np
import piq
import pytest
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import avg_pool2d

from restoration.losses import windows
from restoration.losses.ssim import SCALE_WEIGHTS, MsSsim, Ssim, ms_ssim, ssim


def pair(height: int, width: int, *, images: int = 1, channels: int = 3) -> tuple[Tensor, Tensor]:
    """Return a smooth picture with flat parts, and the same with noise, in float64."""
    rng = torch.Generator().manual_seed(height * 10_000 + width)
    coarse = torch.rand(images, channels, height // 8 + 2, width // 8 + 2, generator=rng, dtype=torch.float64)
    clean = (
        torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
        .mul(1.6)
        .sub(0.3)
        .clamp(0, 1)
    )
    noise = torch.randn(clean.shape, generator=rng, dtype=torch.float64)
    return (clean + 0.1 * noise).clamp(0, 1), clean


def brute_force(restored: Tensor, clean: Tensor, window: int = 11, sigma: float = 1.5) -> float:
    """Wang et al. (2004), eq. 13, window by window, of one image."""
    offsets = np.arange(window) - window // 2
    line = np.exp(-(offsets**2) / (2 * sigma**2))
    weights = np.outer(line, line) / line.sum() ** 2
    x, y = restored[0].numpy(), clean[0].numpy()
    values = []
    for channel, top, left in np.ndindex(len(x), x.shape[1] - window + 1, x.shape[2] - window + 1):
        a, b = (image[channel, top : top + window, left : left + window] for image in (x, y))
        mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
        variances = (weights * (a - mean_a) ** 2).sum() + (weights * (b - mean_b) ** 2).sum()
        covariance = (weights * (a - mean_a) * (b - mean_b)).sum()
        luminance = (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2)
        values.append(luminance * (2 * covariance + 0.03**2) / (variances + 0.03**2))
    return float(np.mean(values))


# one window, one band, several bands and blocks with every kind of remainder
SIZES = [(11, 11), (12, 40), (42, 74), (43, 75), (75, 139), (106, 30)]


@pytest.mark.parametrize(("height", "width"), SIZES[:3])
@pytest.mark.parametrize(("window", "sigma"), [(11, 1.5), (7, 1.0), (1, 1.5)])
def test_every_window_by_brute_force(height, width, window, sigma):
    restored, clean = pair(height, width, channels=1)
    value = ssim(restored, clean, window=window, sigma=sigma).item()
    assert value == pytest.approx(brute_force(restored, clean, window, sigma), abs=1e-12)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_value_is_scikit_images_and_piqs(height, width):
    restored, clean = pair(height, width, images=2)
    expected = piq.ssim(restored, clean, downsample=False, reduction="none")
    for dtype, precision in ((torch.float64, 1e-12), (torch.float32, 1e-6)):
        value = ssim(restored.to(dtype), clean.to(dtype))
        torch.testing.assert_close(value.double(), expected, rtol=0, atol=precision)
        assert value.dtype == dtype
    metrics = pytest.importorskip("skimage.metrics", reason="needs scikit-image, of the extra 'classical'")
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "full": True}
    for i in range(2):
        images = restored[i].numpy(), clean[i].numpy()
        whole = metrics.structural_similarity(*images, data_range=1, channel_axis=0, **options)[1]
        assert ssim(restored, clean)[i].item() == pytest.approx(whole[:, 5:-5, 5:-5].mean(), abs=1e-12)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_training_finds_the_same_value(height, width):
    restored, clean = pair(height, width, images=2)
    value = ssim(restored.requires_grad_(), clean)
    torch.testing.assert_close(value, ssim(restored.detach(), clean), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        torch.autograd.grad(value.sum(), restored)[0],
        torch.autograd.grad(piq.ssim(restored, clean, downsample=False, reduction="sum"), restored)[0],
        rtol=1e-9,
        atol=1e-12,
    )


def slopes(function, *images: Tensor, **options) -> tuple[Tensor, ...]:
    """Return the derivatives of the images' sum with respect to each image."""
    images = tuple(image.detach().requires_grad_() for image in images)
    return torch.autograd.grad(function(*images, **options).sum(), images)


# four planes of fifteen at a time; bands of eight rows, the last of them shorter, of one plane
@pytest.mark.parametrize(("rows", "samples"), [(96, 4 * 60 * 40), (8, 25 * 40)])
def test_planes_are_grouped_and_cut_without_being_mixed(monkeypatch, rows, samples):
    images = pair(60, 40, images=5)
    expected = ssim(*images), *slopes(ssim, *images)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(windows, "BAND_ROWS", rows)
    monkeypatch.setattr(windows, "BAND_SAMPLES", samples)
    for found, wanted in zip((ssim(*images), *slopes(ssim, *images)), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-15)


def test_an_image_that_is_not_finite_leaves_its_neighbours_alone():
    restored, clean = pair(40, 48, images=3)
    alone = ssim(restored, clean), slopes(ssim, restored, clean)[0]
    broken = restored.clone()
    broken[1, :, 3:20, :4] = float("nan")
    broken[1, :, 30, 40:] = float("inf")
    value, slope = ssim(broken, clean), slopes(ssim, broken, clean)[0]
    assert value[1].isnan()
    torch.testing.assert_close(value[::2], alone[0][::2])
    torch.testing.assert_close(slope[::2], alone[1][::2])


@pytest.mark.parametrize(("a", "b"), [(0.0, 1.0), (0.25, 0.75), (0.5, 0.5), (1.0, 0.99)])
def test_constants_have_luminance_alone(a, b):
    expected = (2 * a * b + 1e-4) / (a * a + b * b + 1e-4)
    image = torch.ones(1, 3, 50, 90)
    assert ssim(a * image, b * image).item() == pytest.approx(expected, abs=1e-6)
    assert ssim(a * image.requires_grad_(), b * image).item() == pytest.approx(expected, abs=1e-6)


def test_contrast_alone_is_its_closed_form():
    """Stripes under a box-like window: means agree, deviations are in the ratio 1 to 2."""
    stripes = torch.tensor([-1.0, 1.0], dtype=torch.float64).repeat(20).expand(1, 1, 40, 40)
    value = ssim(0.5 + 0.1 * stripes, 0.5 + 0.2 * stripes, sigma=3.0)
    variance = 1 - 1e-6  # of the stripes: the window's alternating sum is nearly 0
    expected = (4 * 0.01 * variance + 9e-4) / (5 * 0.01 * variance + 9e-4)
    assert value.item() == pytest.approx(expected, abs=2e-3)


def test_float32_is_exact_on_bright_flat_pictures():
    """Where the textbook ``mean x² − (mean x)²`` cancels."""
    rng = torch.Generator().manual_seed(0)
    clean = 0.98 + 1e-3 * torch.rand(1, 3, 80, 80, generator=rng, dtype=torch.float64)
    restored = clean + 2e-3 * torch.randn(clean.shape, generator=rng, dtype=torch.float64)
    assert abs(ssim(restored.float(), clean.float()).item() - ssim(restored, clean).item()) < 1e-6


@pytest.mark.parametrize("shift", [0.1, -0.4])
def test_float32_is_exact_where_only_the_brightness_differs(shift):
    clean = torch.full((1, 3, 64, 64), 0.55) + 1e-3 * torch.randn(
        64, 64, generator=torch.Generator().manual_seed(0)
    )
    restored = clean + shift
    assert abs(ssim(restored, clean).item() - ssim(restored.double(), clean.double()).item()) < 1e-6


@pytest.mark.parametrize(("function", "side"), [(ssim, 40), (ms_ssim, 161)])
def test_half_precision_is_worked_out_in_float32(function, side):
    restored, clean = (image.bfloat16() for image in pair(side, side))
    assert torch.equal(function(restored, clean), function(restored.float(), clean.float()))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(function(restored.float(), clean.float()), function(restored, clean))
        half = slopes(function, restored.float(), clean.float())
    for found, expected in zip(half, slopes(function, restored.float(), clean.float()), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("window", [1, 5, 11])
def test_gradients_are_the_derivatives(window):
    restored, clean = (image.requires_grad_() for image in pair(12, 13, channels=2))
    assert torch.autograd.gradcheck(lambda x, y: ssim(x, y, window=window), (restored, clean), fast_mode=True)


@pytest.mark.parametrize("weights", ["wang2003", "ones"])
def test_gradients_of_ms_ssim_are_the_derivatives(weights):
    restored, clean = (image.requires_grad_() for image in pair(18, 17, channels=1))

    def similarity(x: Tensor, y: Tensor) -> Tensor:
        return ms_ssim(x, y, window=3, small="fewer-scales", weights=weights)

    assert torch.autograd.gradcheck(similarity, (restored, clean), fast_mode=True)


@pytest.mark.parametrize("alone", [0, 1])
def test_an_image_without_gradient_gets_none(alone):
    images = pair(30, 33)
    both = slopes(ssim, *images)
    one = images[alone].requires_grad_()
    value = ssim(one, images[1]) if alone == 0 else ssim(images[0], one)
    torch.testing.assert_close(torch.autograd.grad(value.sum(), one)[0], both[alone], rtol=1e-12, atol=1e-15)
    assert images[1 - alone].grad is None


def test_what_would_be_differentiated_twice_is_refused():
    restored, clean = pair(12, 13)
    restored.requires_grad_()
    loss = Ssim()(restored, clean).sum()
    (slope,) = torch.autograd.grad(loss, restored, create_graph=True)
    with pytest.raises(RuntimeError, match=r"^ssim, ms-ssim and zhao-mix have no second derivatives$"):
        (loss + slope.square().sum()).backward()


def test_a_first_call_without_autograd_spoils_no_later_gradient():
    images = pair(29, 31)
    options = {"window": 5, "sigma": 1.234}  # a window that no other test has put into the cache
    with torch.inference_mode():
        value = ssim(*images, **options)
    torch.testing.assert_close(ssim(*images, **options), value.clone())
    assert all(slope.any() for slope in slopes(ssim, *images, **options))


def test_the_backward_pass_can_be_repeated():
    restored, clean = pair(20, 20)
    loss = Ssim()(restored.requires_grad_(), clean).sum()
    first = torch.autograd.grad(loss, restored, retain_graph=True)[0]
    torch.testing.assert_close(torch.autograd.grad(3 * loss, restored)[0], 3 * first)


def test_layout_in_memory_does_not_matter():
    restored, clean = pair(50, 80, images=2)
    sideways = restored.to(memory_format=torch.channels_last), clean.mT.contiguous().mT
    torch.testing.assert_close(ssim(*sideways), ssim(restored, clean), rtol=1e-13, atol=0)


# even and odd sides, a side that is odd at one scale only, the smallest
@pytest.mark.parametrize(("height", "width"), [(161, 161), (176, 192), (163, 240), (180, 321), (270, 176)])
def test_ms_ssim_is_piqs(height, width):
    restored, clean = pair(height, width, channels=2)
    expected = piq.multi_scale_ssim(restored, clean, reduction="none")
    torch.testing.assert_close(ms_ssim(restored, clean), expected, rtol=0, atol=1e-12)
    value = ms_ssim(restored.float().requires_grad_(), clean.float())
    torch.testing.assert_close(value.double(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(163, 240), (176, 192)])
def test_ms_ssim_has_piqs_gradient(height, width):
    restored, clean = pair(height, width, channels=2)
    expected = slopes(lambda x, y: piq.multi_scale_ssim(x, y, reduction="sum"), restored, clean)
    for found, wanted in zip(slopes(ms_ssim, restored, clean), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-8, atol=1e-12)


@pytest.mark.weights
def test_measured_values_on_a_photograph(data_root):
    """piq 0.8 in float64 of one photograph: SSIM, MS-SSIM, and the same with five equal weights that sum to 1."""
    photograph = Image.open(data_root / "bsds500/dev30/100007.jpg").convert("RGB").crop((0, 0, 480, 320))
    clean = torch.from_numpy(np.array(photograph)).permute(2, 0, 1)[None].double() / 255
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = {
        (0.96457, 0.98131, 0.97966): 0.8 * clean,
        (0.89526, 0.98442, 0.97079): avg_pool2d(clean, 3, 1, 1, count_include_pad=False),
        (0.25526, 0.74528, 0.64663): (clean + 0.1 * noise).clamp(0, 1),
    }
    for (single, multi, equal), restored in expected.items():
        assert ssim(restored, clean).item() == pytest.approx(single, abs=1e-5)
        assert ms_ssim(restored, clean).item() == pytest.approx(multi, abs=1e-5)
        channels = [ms_ssim(restored[:, i : i + 1], clean[:, i : i + 1], weights="ones") for i in range(3)]
        assert (torch.cat(channels) ** (1 / 5)).mean().item() == pytest.approx(equal, abs=1e-5)


def test_ones_are_not_normalised():
    """The plain product of five factors is the fifth power of their geometric mean."""
    restored, clean = pair(170, 180, channels=1)
    mean = piq.multi_scale_ssim(restored, clean, scale_weights=torch.full((5,), 0.2, dtype=torch.float64))
    assert ms_ssim(restored, clean, weights="ones").item() == pytest.approx(mean.item() ** 5, abs=1e-12)


# the shorter side and the most scales whose coarsest still holds eleven pixels
FEWER = [(11, 1), (20, 1), (21, 2), (32, 2), (40, 2), (41, 3), (64, 3), (81, 4), (96, 4), (160, 4), (161, 5)]


@pytest.mark.parametrize(("side", "scales"), FEWER)
def test_small_images_have_fewer_scales(side, scales):
    restored, clean = pair(side, side + 9, channels=1)
    leading = torch.tensor(SCALE_WEIGHTS[:scales], dtype=torch.float64)
    # piq makes the sum of weights 1; that of the published five is 1.0001
    one = piq.multi_scale_ssim(restored, clean, scale_weights=leading).item()
    value = ms_ssim(restored, clean, small="fewer-scales")
    assert value.item() == pytest.approx(one**1.0001, abs=1e-12)
    ones = piq.multi_scale_ssim(restored, clean, scale_weights=torch.ones_like(leading)).item() ** scales
    value = ms_ssim(restored, clean, small="fewer-scales", weights="ones")
    assert value.item() == pytest.approx(ones, abs=1e-12)


def test_images_that_are_large_enough_keep_their_five_scales():
    restored, clean = pair(161, 200)
    assert torch.equal(ms_ssim(restored, clean, small="fewer-scales"), ms_ssim(restored, clean))


@pytest.mark.parametrize(("height", "width"), [(161, 163), (170, 171), (181, 330)])
def test_the_two_images_can_be_exchanged_at_odd_sizes(height, width):
    restored, clean = pair(height, width)
    torch.testing.assert_close(ms_ssim(restored, clean), ms_ssim(clean, restored), rtol=1e-13, atol=0)
    torch.testing.assert_close(ssim(restored, clean), ssim(clean, restored), rtol=1e-13, atol=0)


def test_the_coarsest_similarity_counts_once():
    """Not to the power of the four other scales, as in a port that multiplies it in before the product is taken."""
    image = torch.ones(1, 1, 170, 170, dtype=torch.float64)
    luminance = (2 * 0.3 * 0.6 + 1e-4) / (0.3**2 + 0.6**2 + 1e-4)
    assert ms_ssim(0.3 * image, 0.6 * image).item() == pytest.approx(luminance**0.1333, abs=1e-9)
    assert ms_ssim(0.3 * image, 0.6 * image, weights="ones").item() == pytest.approx(luminance, abs=1e-9)


@pytest.mark.parametrize("similarity", [ssim, lambda x, y: ms_ssim(x, y, small="fewer-scales")])
def test_the_window_is_heaviest_in_its_middle(similarity):
    """Not at its border, as with a positive exponent: one wrong pixel there does more harm."""
    clean = torch.full((3, 1, 11, 11), 0.5, dtype=torch.float64)
    restored = clean.clone()
    for i, place in enumerate((0, 3, 5)):
        restored[i, 0, place, place] = 0.6
    corner, between, middle = similarity(restored, clean)
    assert 1 > corner > between > middle


def test_the_loss_is_of_structure_and_not_of_squares():
    """Not the mean square under this name: a shift and noise of one mean square are far apart."""
    _, clean = pair(161, 170)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    noise *= 0.05 / noise.square().mean().sqrt()
    assert MsSsim()(clean + noise, clean).item() > 5 * MsSsim()(clean + 0.05, clean).item() > 0


def test_a_negative_structure_counts_as_zero_with_finite_slope():
    noise = torch.randn(1, 3, 170, 170, generator=torch.Generator().manual_seed(0))
    restored = (0.5 - 0.2 * noise).requires_grad_()
    value = ms_ssim(restored, 0.5 + 0.2 * noise)
    assert value.item() == 0
    assert torch.equal(torch.autograd.grad(value.sum(), restored)[0], torch.zeros_like(restored))


@pytest.mark.parametrize("weights", ["wang2003", "ones"])
def test_no_factor_below_zero_makes_a_nan(weights):
    noise = torch.randn(2, 3, 45, 50, generator=torch.Generator().manual_seed(0))
    restored = (0.5 - 0.2 * noise).requires_grad_()
    value = ms_ssim(restored, 0.5 + 0.2 * noise, weights=weights, small="fewer-scales")
    (slope,) = torch.autograd.grad(value.sum(), restored)
    assert torch.equal(value, torch.zeros(2)) and not slope.any()


def test_losses_are_one_minus_the_similarity():
    restored, clean = pair(170, 176, images=2)
    options = {"window": 7, "sigma": 1.2, "k1": 0.02, "k2": 0.05}
    torch.testing.assert_close(Ssim(**options)(restored, clean), 1 - ssim(restored, clean, **options))
    torch.testing.assert_close(MsSsim(**options)(restored, clean), 1 - ms_ssim(restored, clean, **options))
    assert not torch.allclose(Ssim(**options)(restored, clean), Ssim()(restored, clean))
    options |= {"weights": "ones", "small": "fewer-scales"}
    cropped = restored[..., :60, :], clean[..., :60, :]
    torch.testing.assert_close(MsSsim(**options)(*cropped), 1 - ms_ssim(*cropped, **options))


def test_losses_lead_to_the_clean_image():
    _, clean = pair(24, 24, channels=1)
    restored = (clean * 0.5 + 0.2).requires_grad_()
    optimizer = torch.optim.Adam([restored], lr=0.02)
    for _ in range(200):
        optimizer.zero_grad()
        Ssim()(restored, clean).sum().backward()
        optimizer.step()
    assert (restored - clean).abs().max() < 0.03


def message(function, *arguments, **options) -> str:
    with pytest.raises(ValueError) as error:
        function(*arguments, **options)
    return str(error.value)


def test_refusals():
    small = torch.rand(1, 3, 10, 64)
    assert message(ssim, small, small) == "ssim: images are 10x64; a window needs 11 pixels a side"
    image = torch.rand(1, 3, 96, 128)
    expected = 'ms-ssim: images are 96x128; five scales of an 11-pixel window need 161 pixels a side, or small = "fewer-scales"'
    assert message(ms_ssim, image, image) == expected
    expected = 'ms-ssim: images are 96x128; five scales of a 9-pixel window need 129 pixels a side, or small = "fewer-scales"'
    assert message(ms_ssim, image, image, window=9) == expected
    expected = "ms-ssim: images are 10x64; a window needs 11 pixels a side"
    assert message(ms_ssim, small, small, small="fewer-scales") == expected
    expected = "restored is 1x3x10x64 but clean is 1x3x96x128; expected equal sizes"
    assert message(ssim, small, image) == message(ms_ssim, small, image) == expected


@pytest.mark.parametrize("loss", [Ssim, MsSsim])
def test_settings_that_mean_nothing_are_refused_when_built(loss):
    assert message(loss, window=10) == "window = 10; expected an odd number from 1"
    assert message(loss, window=-1) == "window = -1; expected an odd number from 1"
    assert message(loss, sigma=0.0) == "sigma = 0; expected more than 0"
    assert message(loss, k2=0.0) == "k1 = 0.01, k2 = 0; expected more than 0, flat areas would divide by 0"


def test_words_that_are_no_choice_are_refused_when_built():
    assert message(MsSsim, weights="equal") == 'weights = "equal"; expected wang2003 or ones'
    assert message(MsSsim, small="resize") == 'small = "resize"; expected error or fewer-scales'
