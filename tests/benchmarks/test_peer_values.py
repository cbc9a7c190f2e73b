"""Every image has the golden values, and the values of piq and lpips: to 1e-4 dB, 1e-6 and 1e-5."""

import json
import math
from importlib.resources import files
from pathlib import Path

import piq
import pytest
import torch

from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.protocol import load_protocol
from restoration.benchmarks.run import evaluate
from restoration.benchmarks.scores import planes, score
from restoration.benchmarks.untrained import drawn_dists, drawn_trunks, lpips_package, piq_dists
from restoration.image import quantise, read
from restoration.losses.colour import luma
from restoration.weights import load

DECIBELS, SIMILARITY, PEER = 1e-4, 1e-6, 1e-5
PRINTED = 0.5e-5  # the golden file has five digits
CHAINS = [("", [], "B_u8rgb_f"), ("", ["luma=uint8"], "B_u8rgb_u"), ("-classic", [], "A_floatchain")]


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", ["set5", pytest.param("set14", marks=pytest.mark.slow)])
@pytest.mark.parametrize("suffix, settings, chain", CHAINS)
def test_bicubic_has_the_golden_value_on_every_image(data_root, name, scale, suffix, settings, chain):
    golden = json.loads((data_root / "golden" / "bicubic_set5_set14.json").read_text())
    images = golden["values"][f"{name.capitalize()}_x{scale}"]["per_image"]
    protocol = load_protocol(f"{name}-x{scale}{suffix}", settings)
    result = evaluate(load(f"bicubic-x{scale}"), protocol, data=data_root)
    rows = {row.metric: row.per_image for row in result.rows}
    assert set(rows["psnr-y"]) == {f"{image}.png" for image in images}
    for image, values in images.items():
        psnr, ssim = values[chain]
        assert rows["psnr-y"][f"{image}.png"] == pytest.approx(psnr, abs=DECIBELS + PRINTED), image
        assert rows["ssim-y"][f"{image}.png"] == pytest.approx(ssim, abs=SIMILARITY + PRINTED), image


def photographs():
    """Return noisy and clean parts of photographs, of 8 bits, large enough for five scales."""
    for name, height, width in (("coffee.png", 176, 200), ("rocket.jpg", 187, 169)):
        photograph = read(Path(str(files("restoration"))) / "photos" / name).pixels
        clean = photograph[..., :height, :width]
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
        yield quantise(0.95 * clean + 0.05 * noise), quantise(clean)


def harness(restored, clean, names):
    protocol = load_protocol("photos-x4", ["border=0"], names)
    found = score(*(planes(image, protocol, names) for image in (restored, clean)), protocol, names)
    assert set(found) == set(names)
    return found


PIQ = {
    "psnr-y": lambda x, y: -10 * torch.log10((luma(x) - luma(y)).square().mean()),
    "psnr-rgb": lambda x, y: -10 * torch.log10(10 ** (-piq.psnr(x, y) / 10) - 1e-8),
    "ssim-y": lambda x, y: piq.ssim(luma(x), luma(y), downsample=False),
    "ssim-rgb": lambda x, y: piq.ssim(x, y, downsample=False),
    "ms-ssim": lambda x, y: piq.multi_scale_ssim(luma(x), luma(y)),
    "ms-ssim-rgb": piq.multi_scale_ssim,
    "fsim": piq.fsim,
    "gmsd": piq.gmsd,
    "haarpsi": piq.haarpsi,
    "mdsi": piq.mdsi,
    "vif": piq.vif_p,
}


@pytest.mark.filterwarnings("ignore:The original MDSI")
def test_metrics_without_weights_have_piqs_values():
    for restored, clean in photographs():
        found = harness(restored, clean, list(PIQ))
        pair = restored.double(), clean.double()
        for name, call in PIQ.items():
            assert found[name] == pytest.approx(call(*pair).item(), abs=PEER), name


@pytest.mark.slow
def test_metrics_with_the_same_weights_have_the_packages_values():
    pytest.importorskip("lpips")
    restored, clean = next(photographs())
    with drawn_trunks(), drawn_dists(), torch.no_grad():
        names = [n for n in ("lpips-alex", "lpips-vgg", "lpips-squeeze", "dists") if n in METRICS]
        found = harness(restored, clean, names)
        for name in names:
            if name == "dists":
                expected = piq_dists()(restored, clean).item()
            else:
                expected = lpips_package(name.partition("-")[2])(restored, clean, normalize=True).item()
            assert math.isfinite(expected) and found[name] == pytest.approx(expected, abs=PEER), name
