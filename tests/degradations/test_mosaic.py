"""Mosaics: samples where Bayer has them, interpolation by loop, by kornia and in closed form."""

import numpy as np
import pytest
import torch

from restoration.degradations.mosaic import Mosaic, demosaiced, mosaicked, sites

KEYS = [(0, 0)]
PATTERNS = ["rggb", "bggr", "grbg", "gbrg"]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_samples_are_where_the_pattern_says(pattern):
    clean = torch.rand(1, 3, 5, 6)
    sparse = Mosaic(pattern=pattern, demosaic="none")(clean, KEYS).image
    mosaic = mosaicked(clean, pattern)
    for row in range(5):
        for column in range(6):
            channel = "rgb".index(pattern[2 * (row % 2) + column % 2])
            expected = torch.zeros(3)
            expected[channel] = clean[0, channel, row, column]
            assert torch.equal(sparse[0, :, row, column], expected)
            assert mosaic[0, 0, row, column] == clean[0, channel, row, column]


@pytest.mark.parametrize("how", ["bilinear", "malvar"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_samples_are_kept_and_constants_come_back(pattern, how):
    clean = torch.rand(1, 3, 9, 10)
    made = demosaiced(mosaicked(clean, pattern), pattern, how)
    at = sites(pattern, (9, 10))
    assert torch.equal(made[0][at], clean[0][at])
    grey = torch.full((1, 3, 9, 10), 0.3)
    torch.testing.assert_close(demosaiced(mosaicked(grey, pattern), pattern, how), grey)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_bilinear_is_the_mean_of_the_nearest_samples(pattern):
    clean = torch.rand(1, 3, 8, 9)
    made = Mosaic(pattern=pattern)(clean, KEYS).image[0].numpy()
    mosaic = np.pad(mosaicked(clean, pattern)[0, 0].numpy(), 1, "reflect")
    at = sites(pattern, (8, 9)).numpy()
    for channel in range(3):
        has = np.pad(at[channel], 1, "reflect")
        for row in range(8):
            for column in range(9):
                window = mosaic[row : row + 3, column : column + 3]
                there = has[row : row + 3, column : column + 3].copy()
                if there[1, 1]:
                    there[:] = False
                    there[1, 1] = True
                elif channel == 1:
                    there[::2, ::2] = False
                assert made[channel, row, column] == pytest.approx(window[there].mean(), abs=1e-6)


def test_bilinear_is_kornias_away_from_the_border():
    color = pytest.importorskip("kornia").color
    clean = torch.rand(1, 3, 16, 20)
    ours = demosaiced(mosaicked(clean, "rggb"), "rggb")
    theirs = color.raw_to_rgb(mosaicked(clean, "rggb"), color.CFA.BG)  # OpenCV's name of RGGB
    torch.testing.assert_close(ours[..., 2:-2, 2:-2], theirs[..., 2:-2, 2:-2], rtol=0, atol=1e-5)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_ramps_of_every_colour_come_back_by_bilinear_means(pattern):
    rows, columns = torch.arange(12.0)[:, None], torch.arange(15.0)
    clean = torch.stack(
        [0.01 * rows + 0.03 * columns, 0.5 - 0.02 * rows + 0 * columns, 0.02 * columns + 0 * rows]
    )
    made = demosaiced(mosaicked(clean[None], pattern), pattern)[0]
    torch.testing.assert_close(made[:, 1:-1, 1:-1], clean[:, 1:-1, 1:-1])


@pytest.mark.parametrize("pattern", PATTERNS)
def test_malvar_brings_back_ramps_that_colours_share(pattern):
    rows, columns = torch.arange(14.0)[:, None], torch.arange(16.0)
    clean = 0.01 * rows + 0.02 * columns + torch.tensor([0.0, 0.1, -0.05]).view(3, 1, 1)
    made = demosaiced(mosaicked(clean[None], pattern), pattern, "malvar")[0]
    torch.testing.assert_close(made[:, 2:-2, 2:-2], clean[:, 2:-2, 2:-2])


@pytest.mark.parametrize("pattern", PATTERNS)
def test_errors_on_a_parabola_in_closed_form(pattern):
    """Of a y² + b x²: (a + b)/2 for green, a + b across and b or a along by means; −1/2 of a + b, a + b, b by Malvar.

    The filters add 1/2, 3/4 and 5/8 of a sample's excess over those two pixels away, −2(a + b) or its like.
    """
    a, b = 0.002, 0.001
    rows, columns = torch.arange(14.0)[:, None], torch.arange(16.0)
    clean = (a * rows**2 + b * columns**2).expand(3, 14, 16)
    red, _, blue = at = sites(pattern, (14, 16))
    for how, (green, across, along) in {"bilinear": (0.5, 1.0, 1.0), "malvar": (-0.5, -0.5, -0.5)}.items():
        error = demosaiced(mosaicked(clean[None], pattern), pattern, how)[0] - clean
        for channel, other in ((0, blue), (2, red)):
            in_row = at[channel].any(1, keepdim=True).expand(14, 16)
            expected = torch.where(in_row, along * b, along * a)
            expected = torch.where(other, across * (a + b), torch.where(at[channel], 0.0, expected))
            torch.testing.assert_close(error[channel, 2:-2, 2:-2], expected[2:-2, 2:-2], rtol=0, atol=1e-6)
        expected = torch.where(at[1], 0.0, torch.tensor(green * (a + b)))
        torch.testing.assert_close(error[1, 2:-2, 2:-2], expected[2:-2, 2:-2], rtol=0, atol=1e-6)


def test_malvar_beats_bilinear_means_by_what_its_paper_found(data_root):
    """About 5.5 dB on Kodak's photographs (Malvar et al., 2004, table 1)."""
    from PIL import Image

    gains = []
    for path in sorted((data_root / "kodak5").glob("*.png")):
        clean = torch.from_numpy(np.asarray(Image.open(path)) / np.float32(255)).permute(2, 0, 1)[None]
        errors = [
            (Mosaic(demosaic=how)(clean, KEYS).image - clean)[..., 8:-8, 8:-8].square().mean()
            for how in ("bilinear", "malvar")
        ]
        gains.append(10 * (errors[0] / errors[1]).log10().item())
    assert 4 < np.mean(gains) < 7


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((1, 1, 8, 8), "clean has 1 channel(s); expected 3, a mosaic is of colours"),
        ((1, 3, 2, 8), "the mosaic is 2x8; expected at least 3x3"),
    ],
)
def test_refusals(size, message):
    with pytest.raises(ValueError) as error:
        Mosaic()(torch.rand(size), KEYS)
    assert str(error.value) == message
