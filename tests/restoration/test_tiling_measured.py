"""What tiles are measured by: wrapping, certificates, margins, sides, memory, and errors that name their tile."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from restoration.apply import Inference, apply, restore_image, restore_picture
from restoration.applying.planning import Plan, planned, tiling_of
from restoration.applying.running import Runner, known
from restoration.errors import RequestError, RestorationError
from restoration.image import Picture, read_samples, write
from restoration.restorers import Card, Restorer
from restoration.tiling import Tiling, Window, fetch_from, memory, tiled
from restoration.tiling.certificate import difference, shortened
from restoration.tiling.choice import measured_side
from restoration.tiling.receptive import Field

CPU = torch.device("cpu")


class Blur(nn.Module):
    """A mean over 2·reach + 1 pixels along both axes, heaviest in its middle, in zero padding."""

    conditions, channels = (), None

    def __init__(self, reach=3, scale=1, multiple=1, decay=1.0, declared=True):
        super().__init__()
        self.scale, self.multiple = scale, multiple
        self.receptive_field = reach if declared is True else declared
        line = decay ** (torch.arange(-reach, reach + 1).abs().float())
        self.weight = nn.Parameter((line / line.sum())[None, None, None])
        self.sizes = []

    def forward(self, image):
        self.sizes.append(tuple(image.shape[-2:]))
        assert not any(side % self.multiple for side in image.shape[-2:])
        across = torch.conv2d(image.transpose(0, 1), self.weight, padding="same")
        blurred = torch.conv2d(across, self.weight.mT, padding="same").transpose(0, 1)
        return blurred.repeat_interleave(self.scale, -1).repeat_interleave(self.scale, -2)


def restorer(**options):
    network = Blur(**options)
    return Restorer(network.eval(), Card("blur", "restoration", {"name": "blur"}, network.scale))


def photo(height, width, seed=0):
    return torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(seed))


# --- edges that join


@pytest.mark.parametrize("wrap", ["x", "y", "both"])
@pytest.mark.parametrize("size", [(20, 28), (5, 3), (1, 1), (23, 17)])
@pytest.mark.parametrize("scale", [1, 2])
@pytest.mark.parametrize("tile", ["auto", "off", 8])
def test_wrapped_result_is_that_of_the_repeated_image(wrap, size, scale, tile):
    network, image = Blur(reach=4, scale=scale), photo(*size)
    repeats = (1, 1, 9 if wrap in ("y", "both") else 1, 9 if wrap in ("x", "both") else 1)
    with torch.inference_mode():
        whole = network(image.repeat(repeats))
        top, left = ((r // 2) * n * scale for r, n in zip(repeats[2:], size, strict=True))
        expected = whole[..., top : top + size[0] * scale, left : left + size[1] * scale]
        restored = tiled(network, image, scale=scale, receptive_field=4, tile=tile, wrap=wrap)
    assert (restored - expected).abs().max() < 1e-6


def test_wrapped_network_with_a_multiple_is_computed_on_its_grid():
    network, image = Blur(reach=4, multiple=4), photo(24, 32)
    with torch.inference_mode():
        expected = network(image.repeat(1, 1, 3, 3))[..., 24:48, 32:64]
        restored = tiled(network, image, multiple=4, receptive_field=4, tile=12, wrap="both")
    assert (restored - expected).abs().max() < 1e-6


def test_wrapped_blended_tiles_join_without_a_seam():
    network = Blur(reach=30)
    image = photo(96, 96)
    with torch.inference_mode():
        expected = network(image.repeat(1, 1, 3, 3))[..., 96:192, 96:192]
        restored = tiled(network, image, receptive_field=None, tile=64, wrap="both")
        plain = tiled(network, image, receptive_field=None, tile=64)
    seam = (..., [0, -1], slice(None))
    assert (restored - expected)[seam].abs().max() < 0.5 * (plain - expected)[seam].abs().max()


def test_wrap_of_files_and_its_spelling(tmp_path):
    samples = np.random.default_rng(0).integers(0, 256, (12, 15, 1)).astype(np.uint8)
    write(tmp_path / "a.png", Picture(samples))
    apply(restorer(), [tmp_path / "a.png"], tmp_path / "out", wrap="both", precision="fp32")
    whole = restore_picture(
        restorer(), Picture(np.tile(samples, (3, 3, 1))), Inference(precision="fp32")
    ).samples
    assert np.array_equal(read_samples(tmp_path / "out" / "a.png"), whole[12:24, 15:30])
    with pytest.raises(RequestError) as refusal:
        Inference(wrap="z")
    assert str(refusal.value) == "--wrap z: expected off, x, y, both"


# --- certificates


def test_exact_tiles_are_certified_and_margins_too_short_are_found_out():
    network, image = Blur(reach=12), photo(300, 300)
    fetch = fetch_from(image)
    with torch.inference_mode():
        exact = difference(network, fetch, 300, 300, Tiling(receptive_field=12, tile=64), 64)
        short = difference(network, fetch, 300, 300, Tiling(receptive_field=8, tile=64), 64)
    assert exact.exact and exact.largest < 2e-6 and exact.psnr > 110
    assert not short.exact and short.largest > 1e-3


def test_difference_is_that_of_blended_tiles():
    network, image = Blur(reach=20), photo(192, 192)
    tiling = Tiling(receptive_field=None, tile=128)
    with torch.inference_mode():
        found = difference(network, fetch_from(image), 192, 192, tiling, 128)
        error = tiled(network, image, tiling=tiling) - network(image)
    deviation = network(image).std()
    assert found.largest == pytest.approx((error.abs().max() / deviation).item(), rel=1e-3)
    assert found.rms == pytest.approx((error.square().mean().sqrt() / deviation).item(), rel=1e-3)


def test_margin_is_shortened_to_what_the_result_shows_and_no_further():
    image = photo(400, 400)
    steep, flat = Blur(reach=60, decay=0.4), Blur(reach=60)
    tiling = Tiling(receptive_field=60)
    with torch.inference_mode():
        short = shortened(steep, fetch_from(image), 400, 400, tiling)
        assert 16 <= short <= 48  # 0.4^16 is 4e-7
        assert shortened(flat, fetch_from(image), 400, 400, tiling) == 60
        parts = tiled(steep, image, tiling=replace(tiling, halo=short, tile=50))
        whole = steep(image)
    assert (parts - whole).abs().max() <= 1e-5 * whole.std()


def test_a_network_that_sees_farther_than_it_says_is_blended_and_that_is_said():
    found = restorer(reach=20, declared=2)
    image = photo(560, 560).numpy()[0].transpose(1, 2, 0)
    plans = []
    samples = (image * 255).astype(np.uint8)
    restore_picture(found, Picture(samples), Inference(tile=128), on_plan=plans.append)
    (plan,) = plans
    assert plan.tiling.receptive_field is None and not plan.certificate.exact
    note = plan.notes[0]
    assert note.startswith("blended tiles differ from the untiled result by ") and note.endswith(
        "dB, on a crop)"
    )


def test_apply_reports_how_tiles_differ_once(tmp_path):
    found = restorer(reach=20, declared=2)
    for i in range(2):
        samples = np.random.default_rng(i).integers(0, 256, (560, 560, 1)).astype(np.uint8)
        (tmp_path / "in").mkdir(exist_ok=True)
        write(tmp_path / "in" / f"{i}.png", Picture(samples))
    report = apply(found, [tmp_path / "in"], tmp_path / "out", tile=128)
    assert len([note for note in report.notes if note.startswith("blended tiles differ")]) == 1
    assert report.tiling["receptive_field"] is None and report.tiling["difference"]["rms"] > 0


def test_what_was_measured_of_one_picture_holds_for_the_next():
    found = restorer(reach=2)
    runner = Runner(found, Inference(precision="fp32"))
    image = photo(600, 600)
    with torch.inference_mode():
        first = planned(runner, fetch_from(image), 600, 600, 1)
        calls = len(found.network.sizes)
        assert planned(runner, fetch_from(image), 600, 600, 1) is first
    assert first.certificate.exact and len(found.network.sizes) == calls
    assert len(known(found).plans) == 1


def test_small_pictures_cost_no_measurement():
    found = restorer(reach=2)
    restore_image(found, photo(60, 50), precision="fp32")
    assert found.network.sizes == [(60, 50)]


# --- the side of tiles


def test_side_is_the_one_with_the_best_rate(monkeypatch):
    clock = [0.0]

    def function(tile):
        height, width = tile.shape[-2:]
        clock[0] += height * width * (1e-3 if height <= 400 else 2e-3) + 20.0  # dear calls; large ones dearer
        return tile

    monkeypatch.setattr("restoration.tiling.choice.time.perf_counter", lambda: clock[0])
    image = photo(4000, 3000)
    side, words, _ = measured_side(function, fetch_from(image), 4000, 3000, Tiling(receptive_field=8), CPU)
    assert side == 384 - 16
    assert words.startswith("tiles of 368 pixels (megapixels per second: 112: ")


def test_larger_tiles_are_not_tried_where_memory_is_short(monkeypatch):
    sizes = []
    monkeypatch.setattr(memory, "free", lambda device: 10_000_000)
    monkeypatch.setattr(memory, "held", lambda device: 1_000_000)
    monkeypatch.setattr(memory, "peak", lambda device: 1_000_000 + 100 * sizes[-1] ** 2)

    def function(tile):
        sizes.append(tile.shape[-1])
        return tile

    image = photo(4000, 4000)
    side, _, _ = measured_side(function, fetch_from(image), 4000, 4000, Tiling(receptive_field=0), CPU)
    assert max(sizes) == 192 >= side  # 256² of a hundred bytes each are more than half of what is free


def test_memory_that_runs_out_while_trying_ends_the_trial():
    def function(tile):
        if tile.shape[-1] > 200:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return tile

    image = photo(3000, 3000)
    side, _, _ = measured_side(function, fetch_from(image), 3000, 3000, Tiling(receptive_field=0), CPU)
    assert side in (128, 192)


# --- memory and errors


@pytest.mark.parametrize("receptive_field", [0, None])
def test_finished_tiles_are_kept_when_memory_runs_out(receptive_field):
    finished = []

    def function(image):
        if len(finished) >= 2 and image.shape[-1] > 40:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        finished.append(tuple(image.shape[-2:]))
        return image

    image = photo(128, 128)
    assert torch.equal(tiled(function, image, receptive_field=receptive_field, tile=64), image)
    assert finished[:2] == [(64, 64)] * 2 and set(finished[2:]) == {(32, 32)}


def test_tile_that_fails_is_an_error_that_names_it():
    def function(image):
        if image[0, 0, 0, 0] == -1:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied\nmore")
        return image

    image = photo(100, 100)
    image[..., 64, 32] = -1
    with pytest.raises(RestorationError) as refusal:
        tiled(function, image, receptive_field=0, tile=32)
    assert str(refusal.value) == (
        "rows 64 to 95, columns 32 to 63: mat1 and mat2 shapes cannot be multiplied"
    )


def test_failed_tile_of_a_file_writes_nothing(tmp_path):
    class Broken(Blur):
        def forward(self, image):
            return super().forward(image) / (image > 0).all()

    found = Restorer(Broken(reach=1).eval(), Card("broken", "restoration", {"name": "broken"}, 1))
    samples = np.random.default_rng(0).integers(1, 256, (64, 64, 1)).astype(np.uint8)
    samples[50, 10] = 0
    write(tmp_path / "a.png", Picture(samples))
    report = apply(found, [tmp_path / "a.png"], tmp_path / "b.png", tile=32, precision="fp32")
    assert list(report.failed.values()) == [
        f"{tmp_path}/a.png: could not be restored (rows 32 to 63, columns 0 to 31: the restored image is not finite); skipped"
    ]
    assert not (tmp_path / "b.png").exists()


def test_windows_are_no_smaller_than_a_network_takes():
    tiling, whole = Tiling(receptive_field=0, least=16), Window(0, 70, 0, 66)
    for core in whole.split(32):
        window = tiling.grown(core, whole)
        assert window.height >= 16 and window.width >= 16
        assert window.top <= core.top and window.bottom >= core.bottom and window.bottom <= 70


def test_tiling_of_a_restorer_has_its_smallest_size():
    class Needs(Blur):
        requirements = type("needs", (), {"minimum": 24})

    found = Restorer(Needs().eval(), Card("needs", "restoration", {"name": "needs"}, 1))
    assert tiling_of(found, Inference()).least == 24


def test_free_and_held_memory_are_told():
    assert memory.free(CPU) is None or memory.free(CPU) > 1e6
    assert memory.held(CPU) == 0 or memory.held(CPU) > 1e7
    assert memory.is_out_of_memory(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"))
    assert not memory.is_out_of_memory(RuntimeError("shapes differ"))


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(),
                                   RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")])  # fmt: skip
@pytest.mark.parametrize("failing", [1, 2, 4, 9])
def test_memory_that_runs_out_at_any_tile_of_a_file_costs_that_tile_alone(
    error, failing, tmp_path, monkeypatch
):
    samples = np.random.default_rng(0).integers(0, 256, (90, 70, 1)).astype(np.uint8)
    write(tmp_path / "a.png", Picture(samples))
    plain, calls = Runner._restored, []

    def restored(runner, tile, bfloat16):
        calls.append(tuple(tile.shape[-2:]))
        if len(calls) == failing:
            raise error
        return plain(runner, tile, bfloat16)

    monkeypatch.setattr(
        "restoration.applying.planning._measured", lambda *args: Plan(args[4], cut=True)
    )  # the tiles alone
    expected = apply(restorer(reach=3), [tmp_path / "a.png"], tmp_path / "whole.png", precision="fp32")
    monkeypatch.setattr(Runner, "_restored", restored)
    report = apply(restorer(reach=3), [tmp_path / "a.png"], tmp_path / "b.png", tile=32, precision="fp32")
    assert not expected.failed and not report.failed
    assert np.array_equal(read_samples(tmp_path / "b.png"), read_samples(tmp_path / "whole.png"))
    large = [size for size in calls[: failing - 1] if max(size) > 22]
    assert len(large) == failing - 1  # finished ones are not made again
    assert all(max(size) <= 22 for size in calls[failing:])


def test_no_memory_for_any_tile_of_a_file_is_one_line(tmp_path, monkeypatch):
    def restored(runner, tile, bfloat16):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore")

    monkeypatch.setattr(Runner, "_restored", restored)
    samples = np.random.default_rng(0).integers(0, 256, (90, 70, 1)).astype(np.uint8)
    write(tmp_path / "a.png", Picture(samples))
    for tile in (32, "auto"):
        report = apply(
            restorer(reach=3), [tmp_path / "a.png"], tmp_path / "b.png", tile=tile, precision="fp32"
        )
        assert list(report.failed.values()) == [
            f"{tmp_path}/a.png: could not be restored (not enough memory even for tiles of 16x16 pixels); skipped"
        ]
    assert not (tmp_path / "b.png").exists()


def test_bfloat16_is_tried_on_colours_where_the_first_picture_has_none(monkeypatch):
    monkeypatch.setattr("restoration.distributed.fast_bfloat16", lambda device: True)

    class Coarse(Blur):
        def forward(self, image):
            made = super().forward(image)
            return made.bfloat16().float() if torch.is_autocast_enabled("cpu") else made

    found = Restorer(Coarse().eval(), Card("coarse", "restoration", {"name": "coarse"}, 1))
    runner = Runner(found, Inference())
    with torch.inference_mode():
        assert not runner.bfloat16(torch.zeros(1, 1, 128, 128))
    assert 50 < runner.decibels < 60
    plan = Plan(Tiling(receptive_field=3), decibels=runner.decibels)
    assert plan.notes == (
        f"computed in float32: {runner.decibels:.1f} dB from bfloat16 (on a crop; at least 60 are safe)",
    )
    assert plan.facts["bf16_psnr"] == runner.decibels


def test_certificate_of_a_flat_picture_is_made_on_noise():
    network, image = Blur(reach=12), torch.zeros(1, 1, 300, 300)
    with torch.inference_mode():
        short = difference(network, fetch_from(image), 300, 300, Tiling(receptive_field=8, tile=64), 64)
        exact = difference(network, fetch_from(image), 300, 300, Tiling(receptive_field=12, tile=64), 64)
    assert not short.exact and exact.exact


def test_blended_tiles_of_a_picture_little_larger_than_one_are_not_cut(monkeypatch):
    monkeypatch.setattr("restoration.tiling.choice.fast_side", lambda *args: 64)
    found = restorer(reach=70, declared=None)
    monkeypatch.setattr("restoration.applying.planning.field_of", lambda restorer: Field(None))
    plans = []
    restore_image(found, photo(96, 80), precision="fp32", on_plan=plans.append)
    assert found.network.sizes == [(96, 80)] and plans[0].notes == ()
    restore_image(found, photo(97, 80), precision="fp32", on_plan=plans.append)
    assert plans[1].notes[0].startswith("blended tiles differ from the untiled result by ")
