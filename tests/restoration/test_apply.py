"""Applying: what comes out of files, folders and pictures, and which requests are refused."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from restoration.apply import Inference, apply, restore_image, restore_picture
from restoration.applying.filling import _filled
from restoration.applying.running import CROP
from restoration.distributed import fast_bfloat16
from restoration.errors import RequestError, RestorationError
from restoration.image import Picture, read, read_samples, to_float, write
from restoration.targets import plan


class Enlarge(nn.Module):
    """Pixels repeated, by a convolution so that it has parameters and autocast applies."""

    multiple, receptive_field, conditions = 1, 0, ()

    def __init__(self, scale=1):
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(torch.eye(3)[:, :, None, None])

    def forward(self, image):
        image = image.repeat_interleave(self.scale, -1).repeat_interleave(self.scale, -2)
        return torch.conv2d(image.expand(-1, 3, -1, -1), self.weight)[:, : image.shape[1]]


class Halves(nn.Module):
    """A third of the range: what bfloat16 rounds visibly."""

    scale, multiple, receptive_field, conditions = 1, 1, 0, ()

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.full((3, 1, 1, 1), 1 / 3))
        self.dtypes = []

    def forward(self, image):
        result = torch.conv2d(image, self.weight, groups=3)
        self.dtypes.append(result.dtype)
        return result


def random_samples(channels=3, depth=8, height=9, width=11):
    shape, dtype = (height, width, channels), np.uint8 if depth == 8 else np.uint16
    return np.random.default_rng(7 * channels + depth).integers(0, 2**depth, shape).astype(dtype)


def save(path, samples=None, **fields):
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, Picture(random_samples() if samples is None else samples, **fields))
    return path


# --- images


def test_image_of_any_size_and_batch_equals_the_whole():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1))
    network.scale, network.multiple, network.receptive_field = 1, 1, 2
    image = torch.rand(2, 3, 37, 50)
    with torch.inference_mode():
        whole = network(image)
    assert (restore_image(network, image, tile=16, precision="fp32") - whole).abs().max() < 1e-6
    ensemble = restore_image(network, image.flip(-1), precision="fp32", ensemble=True).flip(-1)
    assert (ensemble - restore_image(network, image, precision="fp32", ensemble=True)).abs().max() < 1e-6


def test_precision_decides_the_arithmetic():
    image = torch.rand(1, 3, 8, 8)
    for precision, dtype in [("fp32", torch.float32), ("bf16", torch.bfloat16)]:
        network = Halves()
        restored = restore_image(network, image, precision=precision)
        assert network.dtypes == [dtype] and restored.dtype == torch.float32
    fast = fast_bfloat16(torch.device("cpu"))
    assert auto_dtypes(Halves()) == [torch.bfloat16 if fast else torch.float32]
    loud = Halves()
    loud.weight.data.fill_(30)  # what bfloat16 rounds of 30 is seen: 38 dB
    assert auto_dtypes(loud) == [torch.float32]


def auto_dtypes(network):
    """Return the arithmetic of tiles under "auto", without that of the measurement before the first."""
    restore_image(network, torch.rand(1, 3, 8, 8))
    network.dtypes.clear()
    restore_image(network, torch.rand(1, 3, 8, 8))
    return network.dtypes


def test_sixteen_bit_pictures_are_not_restored_with_eight_bits_of_precision():
    network = Halves()
    restore_picture(network, Picture(random_samples(3, 16)), Inference())
    assert network.dtypes == [torch.float32]


def test_baselines_without_parameters_are_never_rounded():
    seen = []

    class Product(nn.Module):
        scale, multiple, receptive_field = 1, 1, 0

        def forward(self, image):
            product = image @ torch.eye(image.shape[-1])
            seen.append(product.dtype)
            return product

    restore_image(Product(), torch.rand(1, 3, 8, 8))
    assert seen == [torch.float32]


def test_tile_that_bfloat16_makes_infinite_is_computed_again():
    class Overflow(nn.Module):
        scale, multiple, receptive_field = 1, 1, 0

        def forward(self, image):
            return torch.full_like(image, torch.inf) if torch.is_autocast_enabled("cpu") else image

    image = torch.rand(1, 3, 8, 8)
    assert torch.equal(restore_image(Overflow(), image, precision="bf16"), image)


def test_non_finite_and_missized_results_are_errors():
    class Broken(nn.Module):
        scale, multiple, receptive_field = 2, 1, 0

        def forward(self, image):
            return image if image.sum() > 0 else torch.full((*image.shape[:2], 16, 16), torch.nan)

    with pytest.raises(RestorationError) as refusal:
        restore_image(Broken(), torch.zeros(1, 3, 8, 8))
    assert str(refusal.value) == "the restored image is not finite"
    with pytest.raises(RestorationError) as refusal:
        restore_image(Broken(), torch.ones(1, 3, 8, 8))
    assert str(refusal.value) == "the restorer made 8x8 pixels; expected 16x16, its scale is 2"
    with pytest.raises(RequestError) as refusal:
        restore_image(Broken(), torch.ones(1, 3, 8, 8), precision="fp16")
    assert str(refusal.value) == "--precision fp16: expected auto, fp32, bf16"


# --- pictures


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("scale", [1, 2])
def test_depth_channels_and_metadata_survive(depth, colours, scale):
    picture = Picture(random_samples(colours, depth), icc=b"profile", dpi=(72.0, 72.0), format="TIFF")
    restored = restore_picture(Enlarge(scale), picture, Inference(tile=4))
    assert np.array_equal(restored.samples, picture.samples.repeat(scale, 0).repeat(scale, 1))
    assert (restored.icc, restored.dpi, restored.format) == (b"profile", (72.0, 72.0), "TIFF")


def test_pixels_equal_those_of_the_image():
    torch.manual_seed(1)
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1))
    network.scale, network.multiple, network.receptive_field = 1, 4, 2
    picture = Picture(random_samples(3, 16, 50, 47))
    restored = restore_picture(network, picture, Inference(tile=16))
    expected = restore_image(network, picture.pixels, tile=16, precision="fp32")
    assert np.array_equal(
        restored.samples, (expected[0].permute(1, 2, 0).clamp(0, 1) * 65535 + 0.5).floor().numpy()
    )


def test_alpha_is_enlarged_and_kept_at_scale_one():
    alpha = np.full((9, 11, 1), 255, np.uint8)
    alpha[:, 5:] = 0
    picture = Picture(random_samples(), alpha)
    same = restore_picture(Enlarge(1), picture, Inference())
    assert np.array_equal(same.alpha_samples, alpha)
    assert np.array_equal(same.samples[alpha[..., 0] > 0], picture.samples[alpha[..., 0] > 0])
    twice = restore_picture(Enlarge(2), picture, Inference())
    assert twice.alpha_samples.shape == (18, 22, 1)
    assert (twice.alpha_samples[:, :7] == 255).all() and (twice.alpha_samples[:, 13:] == 0).all()


def test_hidden_colours_do_not_bleed():
    samples = np.full((8, 8, 3), 200, np.uint8)
    alpha = np.full((8, 8, 1), 255, np.uint8)
    samples[3:6, 3:7], alpha[3:6, 3:7] = (0, 255, 0), 0
    restored = restore_picture(Enlarge(1), Picture(samples, alpha), Inference())
    assert (restored.samples == 200).all()


def test_filling_leaves_visible_colours_and_bounds():
    colour, visible = torch.rand(1, 3, 13, 9), (torch.rand(1, 1, 13, 9) > 0.9).float()
    filled = _filled(colour, visible)
    shown = visible.expand_as(colour) > 0
    assert torch.equal(filled[shown], colour[shown])
    assert filled.min() >= colour[shown].min() - 1e-6 and filled.max() <= colour[shown].max() + 1e-6
    assert torch.isfinite(_filled(colour, torch.zeros_like(visible))).all()


# --- files


def test_file_to_file_and_file_to_folder(tmp_path):
    source = save(tmp_path / "a.png", exif=None, dpi=(300.0, 300.0))
    report = apply(Enlarge(2), [source], tmp_path / "b.tif")
    assert report.written == [tmp_path / "b.tif"] and report.exit_code == 0
    report = apply(Enlarge(2), [str(source)], tmp_path / "out")
    assert report.written == [tmp_path / "out" / "a.png"]
    expected = read_samples(source).repeat(2, 0).repeat(2, 1)
    assert np.array_equal(read_samples(tmp_path / "b.tif"), expected)
    assert np.array_equal(read_samples(tmp_path / "out" / "a.png"), expected)
    assert read(tmp_path / "out" / "a.png").dpi == pytest.approx((300, 300), abs=0.02)


def test_folder_keeps_its_structure_and_reports_what_fails(tmp_path):
    save(tmp_path / "in" / "a.png")
    save(tmp_path / "in" / "deep" / "er" / "b.tif")
    (tmp_path / "in" / "broken.png").write_bytes((tmp_path / "in" / "a.png").read_bytes()[:100])
    seen = []
    report = apply(
        Enlarge(),
        [tmp_path / "in"],
        tmp_path / "out",
        on_file=lambda path, status: seen.append((path.name, status)),
    )
    assert report.written == [tmp_path / "out" / "a.png", tmp_path / "out" / "deep" / "er" / "b.tif"]
    assert report.exit_code == 1
    (line,) = report.failed.values()
    assert line.startswith(f"{tmp_path}/in/broken.png: not a readable image (truncated after 100 of ")
    assert line.endswith(" bytes); skipped")
    assert seen == [("a.png", "written"), ("broken.png", "failed"), ("b.tif", "written")]


def test_existing_outputs_are_kept_unless_overwritten(tmp_path):
    source = save(tmp_path / "a.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_bytes(b"mine")
    report = apply(Enlarge(), [source], tmp_path / "out")
    assert (report.written, report.kept) == ([], [tmp_path / "out" / "a.png"])
    assert (tmp_path / "out" / "a.png").read_bytes() == b"mine"
    report = apply(Enlarge(), [source], tmp_path / "out", overwrite=True)
    assert report.kept == [] and read_samples(tmp_path / "out" / "a.png").shape == (9, 11, 3)


def test_palette_gif_and_orientation_through_the_whole_job(tmp_path):
    Image.fromarray(random_samples()).quantize(8).save(tmp_path / "a.gif")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(random_samples()).save(tmp_path / "b.png", exif=exif)
    report = apply(Enlarge(), [tmp_path / "a.gif", tmp_path / "b.png"], tmp_path / "out")
    assert report.written == [tmp_path / "out" / "a.gif", tmp_path / "out" / "b.png"]
    with Image.open(tmp_path / "a.gif") as original:
        assert np.array_equal(read_samples(tmp_path / "out" / "a.gif"), np.asarray(original.convert("RGB")))
    assert np.array_equal(read_samples(tmp_path / "out" / "b.png"), np.rot90(random_samples(), -1))


def test_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    source = save(tmp_path / "a.png")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    report = apply(Enlarge(), [source], tmp_path / "out")
    target = tmp_path / "out" / "a.png"
    assert report.failed == {
        source: f"{target}: could not be written (No space left on device); nothing was left behind; skipped"
    }
    assert list((tmp_path / "out").iterdir()) == []


def test_restorer_that_fails_on_one_image_does_not_stop_the_rest(tmp_path):
    class Picky(Enlarge):
        def forward(self, image):
            if image.shape[-1] == 5:
                raise RuntimeError("padding too large\nwith details")
            return super().forward(image)

    save(tmp_path / "in" / "a.png", random_samples(width=5))
    save(tmp_path / "in" / "b.png")
    report = apply(Picky(), [tmp_path / "in"], tmp_path / "out")
    assert report.failed == {
        tmp_path / "in" / "a.png": f"{tmp_path}/in/a.png: could not be restored (padding too large); skipped"
    }
    assert report.written == [tmp_path / "out" / "b.png"]


def test_huge_file_is_refused_by_the_limit_given(tmp_path):
    source = save(tmp_path / "a.png")
    report = apply(Enlarge(), [source], tmp_path / "out", max_pixels=98)
    assert "expected at most 98 (apply: --max-pixels); skipped" in report.failed[source]


def test_shards_part_the_files(tmp_path):
    for name in "abcde":
        save(tmp_path / "in" / f"{name}.png")
    parts = [plan([tmp_path / "in"], tmp_path / "out", shard=(i, 2)) for i in range(2)]
    assert [[job.source.stem for job in part] for part in parts] == [["a", "c", "e"], ["b", "d"]]


# --- requests


def targets(*args, **options):
    return [str(job.target) for job in plan(*args, **options)]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder with a.png, b.jpg and deep/c.gif, which is the current one."""
    monkeypatch.chdir(tmp_path)
    for name in ("photos/a.png", "photos/b.jpg", "photos/deep/c.gif"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    return Path("photos")


def test_names_of_targets(photos):
    assert targets([photos], "out") == ["out/a.png", "out/b.jpg", "out/deep/c.gif"]
    assert targets([photos], "out", format="webp", suffix="-x4") == [
        "out/a-x4.webp", "out/b-x4.webp", "out/deep/c-x4.webp"
    ]  # fmt: skip
    assert targets(["photos/*.???"], "out") == ["out/a.png", "out/b.jpg"]
    assert targets(["photos/**/*"], "out") == ["out/a.png", "out/b.jpg", "out/deep/c.gif"]
    assert targets(["photos/a.png", "photos"], "out") == ["out/a.png", "out/b.jpg", "out/deep/c.gif"]
    assert targets(["photos/a.png"], "new.TIF") == ["new.TIF"]


def test_results_inside_the_inputs_are_not_inputs(photos):
    Path("photos/out").mkdir()
    Path("photos/out/a.png").touch()
    assert targets([photos], "photos/out") == [
        "photos/out/a.png",
        "photos/out/b.jpg",
        "photos/out/deep/c.gif",
    ]
    Path("photos/a-x4.png").touch()
    assert targets(["photos/deep", "photos/a.png"], photos, suffix="-x4") == [
        "photos/c-x4.gif",
        "photos/a-x4.png",
    ]
    assert targets([photos], photos, suffix="-x4")[:2] == ["photos/a-x4.png", "photos/b-x4.jpg"]


def test_globs_keep_the_folders_that_they_match(photos):
    Path("photos/other").mkdir()
    Path("photos/other/c.gif").touch()
    assert targets(["photos/**/*.gif"], "out") == ["out/deep/c.gif", "out/other/c.gif"]
    assert targets(["photos/*/c.gif"], "out") == ["out/deep/c.gif", "out/other/c.gif"]
    assert targets(["photos/*.png"], "out") == ["out/a.png"]
    assert targets(["*/*.png"], "out") == ["out/photos/a.png"]


def refusal(*args, **options):
    with pytest.raises(RequestError) as error:
        plan(*args, **options)
    assert error.value.exit_code == 2
    return str(error.value)


def test_requests_that_are_refused(photos):
    assert refusal(["nowhere"], "out") == "nowhere: no such file or folder"
    assert refusal(["photos/a.pgn"], "out") == ("photos/a.pgn: no such file or folder; did you mean 'a.png'?")
    expected = "not read; expected files, folders or globs"
    assert refusal(["-"], "out") == f"-: standard input is {expected}"
    assert refusal(["https://a.b/?c=1.png"], "out") == f"https://a.b/?c=1.png: addresses are {expected}"
    assert refusal(["*.tif"], "out") == "*.tif: matches no image"
    Path("empty").mkdir()
    assert refusal(["empty"], "out") == "empty: no images in this folder"
    assert (
        refusal([photos], photos)
        == "photos/a.png: would replace an input; expected another --out, or --suffix"
    )
    assert refusal(["photos/a.png"], "photos/a.png") == (
        "photos/a.png: would replace an input; expected another --out, or --suffix"
    )
    assert (
        refusal([photos], "out.png")
        == "--out out.png: names a file; expected a folder, as the input is not one file"
    )
    Path("photos/a.jpg").touch()
    assert refusal([photos], "out", format="png") == (
        "out/a.png: would be written from both photos/a.jpg and photos/a.png"
    )
    line = refusal([photos], "out", format="wepb")
    assert line.startswith("--format wepb: expected keep, ") and line.endswith("; did you mean 'webp'?")
    assert (
        refusal(["photos/a.png"], "b.png", format="jpg") == "--format jpg: --out b.png names another format"
    )
    assert (
        refusal(["photos/a.png"], "b.png", suffix="-x4") == "--suffix -x4: --out b.png already names the file"
    )
    assert refusal([photos], "out", shard=(2, 2)) == "--shard 2/2: expected i/n with i from 0 to n-1"
    Path("taken").touch()
    assert refusal([photos], "taken") == "--out taken: a file; expected a folder for 4 inputs"


def test_nothing_is_written_when_a_request_is_refused(photos):
    with pytest.raises(RequestError):
        apply(Enlarge(), [photos, "nowhere"], "out")
    assert not Path("out").exists()


def test_large_pictures_need_no_image_of_floats(tmp_path, monkeypatch):
    # the whole picture is never turned to floats: windows are
    sizes = []

    def watched(samples):
        sizes.append(samples.shape[:2])
        return to_float(samples)

    monkeypatch.setattr("restoration.applying.filling.to_float", watched)
    restore_picture(Enlarge(), Picture(random_samples(3, 8, 300, 200)), Inference(tile=64))
    assert max(max(size) for size in sizes) <= CROP
