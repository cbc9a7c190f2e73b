"""Parts of an image: holes, the band along their edges, and the shift that brings two photographs into register."""

import pytest
import torch
from torch.nn.functional import grid_sample

from restoration.benchmarks.metrics import METRICS, Seen
from restoration.benchmarks.metrics.regions import band, ssim_map
from restoration.benchmarks.metrics.shifts import BLIND_REACH, QUARTERS, in_register
from restoration.benchmarks.protocol import load_protocol
from restoration.benchmarks.scores import Beside, planes, score
from restoration.losses.pixel import psnr
from restoration.losses.ssim import ssim


def images(seed=0, size=(60, 52), channels=3):
    generator = torch.Generator().manual_seed(seed)
    clean = torch.rand(1, channels, *size, generator=generator, dtype=torch.float64)
    return (clean + 0.1 * torch.randn(clean.shape, generator=generator, dtype=torch.float64)).clamp(
        0, 1
    ), clean


def hole(size=(60, 52)):
    mask = torch.zeros(1, 1, *size)
    mask[..., 20:40, 16:36] = 1
    return mask


def test_only_pixels_of_holes_count():
    restored, clean = images()
    mask = hole()
    inside = restored[..., 20:40, 16:36], clean[..., 20:40, 16:36]
    metric = METRICS["psnr-rgb-hole"]()
    expected = psnr(*inside).item()
    assert metric.measure(Seen(restored, clean, mask=mask)).item() == pytest.approx(expected, abs=1e-9)
    elsewhere = torch.where(mask > 0.5, restored, 1 - clean)
    assert metric.measure(Seen(elsewhere, clean, mask=mask)).item() == pytest.approx(expected, abs=1e-9)
    assert metric.measure(Seen(clean, clean, mask=mask)).item() == 100.0


def test_similarity_in_every_window_averages_to_the_known_similarity():
    restored, clean = images()
    assert ssim_map(restored, clean).mean().item() == pytest.approx(ssim(restored, clean).item(), abs=1e-9)
    grey = restored[:, :1], clean[:, :1]
    for name in ("ssim-y-hole", "ssim-y-boundary"):
        assert METRICS[name]()(*grey).item() == pytest.approx(ssim(*grey).item(), abs=1e-9)


def test_the_similarity_of_holes_is_that_of_windows_centred_there():
    restored, clean = images(channels=1)
    found = METRICS["ssim-y-hole"]().measure(Seen(restored, clean, mask=hole())).item()
    # windows centred in rows 20 to 39 and columns 16 to 35 see five pixels further
    expected = ssim(restored[..., 15:45, 11:41], clean[..., 15:45, 11:41]).item()
    assert found == pytest.approx(expected, abs=1e-9)


def test_the_band_lies_on_both_sides_of_an_edge_and_the_images_own_edge_is_none():
    found = band(hole(), 3)
    brute = torch.zeros(60, 52, dtype=torch.bool)
    mask = hole()[0, 0] > 0.5
    for row in range(60):
        for column in range(52):
            near = mask[max(0, row - 3) : row + 4, max(0, column - 3) : column + 4]
            brute[row, column] = near.any() and not near.all()
    assert torch.equal(found[0, 0], brute)
    assert not band(torch.ones(1, 1, 20, 20)).any() and not band(torch.zeros(1, 1, 20, 20)).any()


def test_reasons_where_there_are_no_holes_and_the_border_that_is_not_scored():
    restored, clean = images()
    protocol = load_protocol(
        "kodak5-color-25", ["border=4"], ["psnr-rgb", "psnr-rgb-hole", "psnr-rgb-boundary"]
    )
    views = [planes(image, protocol, protocol.metrics) for image in (restored, clean)]
    found = score(*views, protocol, protocol.metrics)
    assert found["psnr-rgb-hole"] == "there is no mask: this task has no holes" and found["psnr-rgb"] < 30
    edge = torch.zeros(1, 1, 60, 52)
    edge[..., :4, :] = 1
    found = score(*views, protocol, protocol.metrics, Beside(mask=edge))
    assert found["psnr-rgb-hole"] == "the mask has no hole within what is scored"
    found = score(*views, protocol, protocol.metrics, Beside(mask=hole()))
    assert all(isinstance(value, float) for value in found.values())


@pytest.mark.parametrize(("down", "across"), [(0, 0), (3, -2), (-4, 4)])
def test_a_shift_is_found_and_taken_back(down, across):
    whole = images(size=(80, 80), channels=1)[1]
    clean = whole[..., 10:60, 10:60]
    restored = whole[..., 10 - down : 60 - down, 10 - across : 60 - across]
    found, inner = in_register(restored, clean)
    assert torch.equal(found, inner) and torch.equal(inner, clean[..., 4:-4, 4:-4])
    assert METRICS["psnr-y-shift"]()(restored, clean).item() == 100.0
    assert METRICS["ssim-y-shift"]()(restored, clean).item() == pytest.approx(1.0, abs=1e-9)


@pytest.mark.parametrize(("down", "across"), [(0, 0), (1.25, -2.5), (-4.75, 5)])
def test_a_shift_by_quarters_is_found_and_taken_back(down, across):
    restored = images(size=(70, 66), channels=1)[1]
    clean = moved(restored, down, across)[..., 6:-6, 6:-6]
    found, inner = in_register(restored[..., 6:-6, 6:-6], clean, BLIND_REACH, QUARTERS)
    assert torch.allclose(found, inner, atol=1e-12) and torch.equal(inner, clean[..., 5:-5, 5:-5])
    assert METRICS["psnr-y-shift-quarter"]()(restored[..., 6:-6, 6:-6], clean).item() == 100.0
    assert METRICS["ssim-y-shift-quarter"]()(restored[..., 6:-6, 6:-6], clean).item() == pytest.approx(1.0)


def moved(image, down, across):
    """Return ``image(x + shift)`` by torch's own bilinear interpolation; what lies outside is the edge."""
    rows, columns = (
        torch.arange(n, dtype=image.dtype) + by
        for n, by in zip(image.shape[-2:], (down, across), strict=True)
    )
    scaled = [2 * at / (n - 1) - 1 for at, n in zip((rows, columns), image.shape[-2:], strict=True)]
    grid = torch.stack(torch.meshgrid(*scaled, indexing="ij")[::-1], -1)[None]
    return grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)


def test_the_best_shift_by_quarters_is_that_of_a_search_over_all():
    restored, clean = images(size=(24, 22), channels=1)
    inner = clean[..., 5:-5, 5:-5]
    shifts = [n / 4 for n in range(-20, 21)]
    errors = [
        (moved(restored, down, across)[..., 5:-5, 5:-5] - inner).square().mean().item()
        for down in shifts
        for across in shifts
    ]
    found, _ = in_register(restored, clean, BLIND_REACH, QUARTERS)
    assert (found - inner).square().mean().item() == pytest.approx(min(errors), rel=1e-9)


def test_colours_move_together():
    whole = images(size=(60, 60))[1]
    clean, restored = whole[..., 5:-5, 5:-5], whole[..., 7:-3, 4:-6]
    assert METRICS["psnr-rgb-shift"]()(restored, clean).item() == 100.0
    assert METRICS["ssim-rgb-shift"]()(restored, clean).item() == pytest.approx(1.0, abs=1e-9)


def test_a_shift_never_lowers_the_fidelity_of_the_inner_part():
    restored, clean = images(size=(40, 44), channels=1)
    inner = [image[..., 4:-4, 4:-4] for image in (restored, clean)]
    assert METRICS["psnr-y-shift"]()(restored, clean).item() >= psnr(*inner).item()
    flat = torch.full((1, 1, 40, 44), 0.5, dtype=torch.float64)
    found, inner_clean = in_register(flat, clean)
    assert found.shape == inner_clean.shape == (1, 1, 32, 36)
