"""The shipped flow at its 25 steps: one seed gives one picture, tiled or not, with more detail than its mean's."""

import sys
from pathlib import Path

import pytest
import torch

from restoration.apply import restore_image
from restoration.applying.running import Inference, Runner
from restoration.benchmarks.metrics.statistics import HighFrequencyRatio
from restoration.cli import main
from restoration.degradations import DEGRADATIONS
from restoration.dials.perception import with_perception
from restoration.dials.sampling import with_sampling
from restoration.image import read_samples, to_float, to_samples, write_image
from restoration.restorers import Restorer
from restoration.tiling import Tiling, tiled
from restoration.weights import load

FLOW, MEAN = "pmrf-denoise-small", "pmrf-denoise-small-mean"
PHOTO = Path(__file__).parent.parent / "restoration" / "photos" / "chelsea.png"
SHOWN = 160  # pixels beyond which nothing of a picture shows in results; the field is ten times as wide
FLOOR, NOISY = 20.0, 12.0  # dB: of the restored, and what the degraded does not reach


@pytest.fixture(scope="module")
def flow() -> Restorer:
    restorer = with_sampling(load(FLOW), steps=25, seed=3)
    assert (restorer.network.steps, restorer.network.seed) == (25, 3)
    return restorer


def photo(height: int, width: int) -> torch.Tensor:
    return to_float(read_samples(PHOTO)[60 : 60 + height, 20 : 20 + width])


def noisy(clean: torch.Tensor) -> torch.Tensor:
    """Return the photograph in the noise that the flow was trained for, of 8 bits as a file is."""
    degraded = DEGRADATIONS["pmrf-denoise"](sigma=0.35)(clean, [(0, 0)]).image
    return to_float(to_samples(degraded, 8))


def psnr(restored: torch.Tensor, clean: torch.Tensor) -> float:
    return float(-10 * (restored.clamp(0, 1) - clean).square().mean().log10())


def restored(restorer: Restorer, image: torch.Tensor, tile: object = "off") -> torch.Tensor:
    return restore_image(restorer, image, tile=tile, precision="fp32")


def test_a_seed_gives_one_picture_tiled_or_not(flow):
    """Tiles with less than the whole around them show the noise of their place, and what the whole shows there."""
    image = noisy(photo(64, 416))
    whole, windows = restored(flow, image), []
    runner = Runner(flow, Inference(precision="fp32"))

    def seen(window: torch.Tensor) -> torch.Tensor:
        windows.append(window.shape[-1])
        return runner(window)

    tiling = Tiling(multiple=flow.multiple, receptive_field=flow.receptive_field, tile=208, halo=SHOWN)
    with torch.inference_mode():
        parts = tiled(seen, image, tiling=tiling)
    assert windows == [208 + SHOWN] * 2
    assert (parts - whole).abs().max() < 1e-5


def test_tiles_that_are_asked_for_change_nothing_and_another_seed_does(flow):
    image = noisy(photo(61, 95))
    whole = restored(flow, image)
    assert torch.equal(restored(flow, image, tile=32), whole)
    assert torch.equal(restored(flow, image), whole)
    assert (restored(with_sampling(flow, seed=4), image) - whole).abs().max() > 0.01


def test_the_flow_adds_detail_to_its_posterior_mean_and_stays_near_the_photograph(flow):
    clean = photo(128, 128)
    degraded = noisy(clean)
    mean, sharp = restored(with_perception(flow, 0), degraded), restored(flow, degraded)
    high = HighFrequencyRatio()
    assert float(high(sharp, clean)) > 1.5 * float(high(mean, clean))
    assert psnr(mean, clean) > psnr(sharp, clean) > FLOOR > NOISY > psnr(degraded, clean)


def test_no_perception_is_the_picture_of_the_posterior_mean(monkeypatch, tmp_path):
    write_image(tmp_path / "noisy.png", noisy(photo(61, 95)))
    made = {}
    for name, words in {
        "mean": [MEAN],
        "least": [FLOW, "--perception", "0", "--steps", "25", "--seed", "3"],
        "most": [FLOW, "--perception", "1", "--steps", "25", "--seed", "3"],
    }.items():
        out = tmp_path / f"{name}.png"
        line = ["restoration", "apply", *words, str(tmp_path / "noisy.png"), "--out", str(out)]
        monkeypatch.setattr(sys, "argv", [*line, "--device", "cpu", "--precision", "fp32"])
        with pytest.raises(SystemExit) as left:
            main()
        assert left.value.code == 0
        made[name] = read_samples(out).astype(int)
    assert (made["least"] == made["mean"]).all()
    assert abs(made["most"] - made["mean"]).max() > 10
