"""One seed gives one picture, tiled or not: noise lies where its pixel does, and tiles see as far as the flow does."""

import pytest
import torch

from restoration.apply import apply, restore_image
from restoration.image import write_image
from restoration.networks.hdit import Hdit
from restoration.networks.posterior_mean_flow import PosteriorMeanFlow
from restoration.networks.unet import ResUnet
from restoration.restorers import Card, Restorer

HDIT = {
    "widths": (16, 32),
    "depths": (1, 1),
    "head": 8,
    "patch": 2,
    "mapping_width": 12,
    "mapping_hidden": 20,
}


def flow(gain: float = 1.0, **keywords: object) -> Restorer:
    """Return a flow whose velocity is as large as its images where ``gain`` is 1, of weights that are drawn."""
    torch.manual_seed(0)
    mean = ResUnet(widths=(4, 8), blocks=(1, 1))
    network = PosteriorMeanFlow(**{"width": 4, "posterior_mean": mean, "sigma": 0.5, **keywords})
    for parameter in network.velocity.parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else 8
        parameter.data = gain * torch.randn_like(parameter) / fan_in**0.5
    return Restorer(network.eval(), Card("flow", "denoising", {"name": "posterior-mean-flow"}, network.scale))


def photo(height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(1, 3, height // 8 + 2, width // 8 + 2, generator=generator)
    fine = torch.nn.functional.interpolate(coarse, scale_factor=8, mode="bilinear")[..., :height, :width]
    return (fine + 0.2 * torch.rand(1, 3, height, width, generator=generator)).clamp(0, 1)


def cut(restorer: Restorer, image: torch.Tensor, tile: int, **options: object) -> tuple[float, object]:
    """Return the largest difference of tiled from untiled, in standard deviations, and the plan."""
    plans = []
    whole = restore_image(restorer, image, tile="off", precision="fp32", **options)
    parts = restore_image(restorer, image, tile=tile, precision="fp32", on_plan=plans.append, **options)
    return float((parts - whole).abs().max() / whole.std()), plans[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "keywords",
    [
        {"steps": 2},
        {"steps": 2, "solver": "heun"},
        {"steps": 2, "scale": 2, "source": "degraded", "posterior_mean": None},
        {"steps": 1, "source": "noise", "condition": "posterior-mean"},
    ],
    ids=str,
)
def test_tiles_show_what_the_whole_shows(keywords):
    restorer = flow(**keywords)
    difference, plan = cut(restorer, photo(200, 170), tile=64)
    assert plan.cut and plan.tiling.receptive_field == restorer.receptive_field < 512
    assert difference <= 1e-5 and plan.notes == ()
    other = cut(flow(**keywords, seed=1), photo(72, 64), tile=64)[0]
    assert other <= 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"ensemble": True}, {"wrap": "both"}], ids=str)
def test_tiles_agree_where_images_are_turned_or_go_on_at_the_other_edge(options):
    assert cut(flow(steps=1), photo(96, 96), tile=48, **options)[0] <= 1e-5


@pytest.fixture
def cut_all(monkeypatch):
    """Have small pictures cut that wide margins cover, as large ones are."""
    monkeypatch.setattr("restoration.applying.planning.UNCUT", 0)


@pytest.mark.slow
def test_tiles_of_many_steps_have_the_margin_that_is_enough(cut_all):
    restorer = flow(0.5, steps=8)
    assert restorer.receptive_field > 512
    difference, plan = cut(restorer, photo(280, 72), tile=48)
    assert difference <= 1e-5 and plan.notes == ()
    assert plan.tiling.receptive_field == restorer.receptive_field and plan.tiling.margin < 280


@pytest.mark.parametrize("found", [None, 768])
def test_tiles_of_many_steps_stay_exact_where_no_short_margin_is_known(cut_all, monkeypatch, found):
    """As where a device has no double precision, or a margin is enough that is wider than tiles."""
    monkeypatch.setattr("restoration.applying.planning._shortened", lambda *args: found)
    restorer = flow(steps=8)
    difference, plan = cut(restorer, photo(120, 120), tile=64)
    assert difference <= 1e-5 and plan.notes == ()
    assert plan.tiling.receptive_field == restorer.receptive_field and plan.tiling.halo == found


def test_nothing_is_measured_where_margins_cover_the_picture(monkeypatch):
    """Finding shorter ones took twenty times as long as restoring."""
    monkeypatch.setattr("restoration.applying.planning._measured", lambda *args: pytest.fail("measured"))
    restorer = flow(steps=8)
    asked = []
    restorer.network.posterior_mean.register_forward_hook(lambda *call: asked.append(call[1][0].shape[-2:]))
    difference, plan = cut(restorer, photo(133, 95), tile=64)
    assert difference == 0 and not plan.cut
    assert plan.notes == (f"not cut: margins of {plan.tiling.margin:,} pixels would cover the picture",)
    assert asked == [(136, 96), (136, 96)]


@pytest.mark.slow
@pytest.mark.parametrize("tile", [64, "auto"])
def test_pictures_are_cut_by_the_margin_that_is_enough_where_memory_does_not_hold_them(monkeypatch, tile):
    plans = held_and_cut(monkeypatch, photo(120, 120), 96, tile)
    assert [(plan.cut, plan.tiling.halo) for plan in plans] == [(False, None), (True, 16)]


@pytest.mark.slow
def test_pictures_somewhat_larger_than_the_margin_are_cut_likewise(monkeypatch):
    """Half of it and its margin are still all but the whole."""
    plans = held_and_cut(monkeypatch, photo(24, 800), 400, "auto")
    assert plans[0].tiling.margin < 800 < 2 * plans[0].tiling.margin
    assert [(plan.cut, plan.tiling.halo) for plan in plans] == [(False, None), (True, 16)]


def held_and_cut(monkeypatch, image, side, tile):
    """Restore a picture where memory holds no more than ``side`` pixels and a margin of 16 is enough: the plans."""
    monkeypatch.setattr("restoration.applying.planning._shortened", lambda *args: 16)
    restorer, plans = flow(0.1, steps=8), []
    whole = restore_image(restorer, image, tile="off", precision="fp32")

    def hold(module, inputs):
        if max(inputs[0].shape[-2:]) > side:
            raise MemoryError

    restorer.network.posterior_mean.register_forward_pre_hook(hold)
    parts = restore_image(restorer, image, tile=tile, precision="fp32", on_plan=plans.append)
    assert (parts - whole).abs().max() <= 1e-5 * whole.std()
    return plans


def test_pictures_are_not_cut_where_tiles_would_be_little_but_margins():
    plans = []
    restore_image(flow(steps=8), photo(100, 700), precision="fp32", on_plan=plans.append)
    assert not plans[0].cut and plans[0].notes == ()


def test_a_velocity_that_sees_everything_is_blended_and_said():
    restorer = flow(steps=1, velocity=Hdit(**HDIT))
    assert restorer.receptive_field is None
    plans = []
    restore_image(restorer, photo(96, 96), tile=48, precision="fp32", on_plan=plans.append)
    assert plans[0].notes[0].startswith("blended tiles differ from the untiled result by ")


def test_files_are_the_same_bytes_tiled_or_not(tmp_path):
    restorer = flow(steps=1)
    write_image(tmp_path / "photo.png", photo(90, 70))
    for tile in ("off", 32):
        report = apply(
            restorer, [tmp_path / "photo.png"], tmp_path / f"{tile}.png", tile=tile, precision="fp32"
        )
        assert report.exit_code == 0
    assert (tmp_path / "off.png").read_bytes() == (tmp_path / "32.png").read_bytes()
