"""Whole measurements: published and independently measured values, refusals before any file is opened, ranks."""

import json

import pytest
import torch

from restoration.benchmarks.datasets import cases
from restoration.benchmarks.gallery import Folder
from restoration.benchmarks.protocol import load_protocol
from restoration.benchmarks.result import merge
from restoration.benchmarks.run import Inference, benchmark, evaluate
from restoration.benchmarks.samples import load_sample
from restoration.errors import RequestError
from restoration.image import quantise, read_samples, to_float, write_image
from restoration.losses.pixel import psnr
from restoration.weights import load

GREY = load_protocol("grey16-25").clean
ALWAYS = "kodak5/kodim07.png"
SR = [(name, scale) for name in ("set5", "set14") for scale in (2, 3, 4)]


@pytest.fixture(scope="session")
def golden(data_root):
    folder = data_root / "golden"
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


def bicubic_values(golden, name, scale, chain):
    images = golden["bicubic_set5_set14"]["values"][f"{name.capitalize()}_x{scale}"]["per_image"]
    return {f"{image}.png": values[chain] for image, values in images.items()}


def agrees(result, restorer, protocol, expected):
    for i, (metric, tolerance) in enumerate([("psnr-y", 1e-3), ("ssim-y", 2e-5)]):
        (row,) = [
            r for r in result.rows if (r.restorer, r.protocol, r.metric) == (restorer, protocol, metric)
        ]
        for image, values in expected.items():
            assert row.per_image[image] == pytest.approx(values[i], abs=tolerance), (image, metric)
        assert row.n == len(expected)


@pytest.mark.parametrize("name, scale", SR)
@pytest.mark.parametrize(
    "suffix, settings, chain",
    [("", [], "B_u8rgb_f"), ("", ["luma=uint8"], "B_u8rgb_u"), ("-classic", [], "A_floatchain")],
)
def test_bicubic_agrees_with_independent_measurements_on_every_image(
    data_root, golden, name, scale, suffix, settings, chain
):
    protocol = load_protocol(f"{name}-x{scale}{suffix}", settings)
    result = evaluate(load(f"bicubic-x{scale}"), protocol, data=data_root)
    agrees(result, f"bicubic-x{scale}", protocol.name, bicubic_values(golden, name, scale, chain))


@pytest.mark.parametrize(
    "protocol, psnr, ssim",
    [
        ("set5-x4", 28.4290, 0.81114),
        ("set14-x4", 26.0884, 0.70480),
        ("set5-x4-classic", 28.4207, 0.81037),
        ("set14-x4-classic", 26.0001, 0.70186),
    ],
)
def test_the_means_of_bicubic_tables(data_root, protocol, psnr, ssim):
    result = evaluate(load("bicubic-x4"), protocol, data=data_root)
    assert result.mean("psnr-y") == pytest.approx(psnr, abs=0.002)
    assert result.mean("ssim-y") == pytest.approx(ssim, abs=0.00005)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, luma, psnr, ssim",
    [
        ("set5", "float", 32.1327, 0.89449),
        ("set5", "uint8", 32.1100, 0.89335),
        ("set14", "float", 28.6469, 0.78310),
        ("set14", "uint8", 28.6369, 0.78234),
    ],
)
def test_a_published_network_reaches_what_its_authors_print(data_root, golden, name, luma, psnr, ssim):
    restorer = load(data_root / "weights" / "imdn_plus_x4.pth")
    protocol = load_protocol(f"{name}-x4", [f"luma={luma}"])
    result = evaluate(restorer, protocol, data=data_root)
    kind = {"float": "floatY", "uint8": "u8Y"}[luma]
    images = golden["nets_open"]["imdn_plus_x4"][name]["per_image"]
    expected = {f"{k}.png": (v[f"psnr_{kind}"], v[f"ssim_{kind}"]) for k, v in images.items()}
    agrees(result, restorer.card.name, protocol.name, expected)
    assert result.mean("psnr-y") == pytest.approx(psnr, abs=0.002)
    assert result.mean("ssim-y") == pytest.approx(ssim, abs=0.00005)


def test_noise_is_that_of_the_published_denoising_tables(data_root, golden):
    images = golden["nets_open"]["dncnn_25_sigma25"]["per_image"]
    protocol = load_protocol("grey16-25")
    found = cases(protocol, data_root)
    assert {case.name for case in found} == set(images)
    for case in found:
        sample = load_sample(protocol, case)
        noisy = psnr(sample.degraded.double(), sample.clean.double()).item()
        assert noisy == pytest.approx(images[case.name]["noisy_psnr"], abs=1e-4), case.name


@pytest.mark.parametrize(
    "image", [ALWAYS, *(pytest.param(n, marks=pytest.mark.slow) for n in GREY if n != ALWAYS)]
)
def test_dncnn_reaches_the_golden_values_on_grey_images(data_root, golden, image):
    values = golden["nets_open"]["dncnn_25_sigma25"]["per_image"][image]
    protocol = load_protocol("grey16-25", [f'clean=["{image}"]'])
    restorer = load(data_root / "weights" / "dncnn_25.pth")
    result = evaluate(restorer, protocol, data=data_root)
    agrees(result, restorer.card.name, protocol.name, {image: (values["psnr"], values["ssim"])})


def test_a_restorer_of_another_scale_is_refused_before_any_file_is_looked_for(tmp_path):
    restorers = {"bicubic-x4": load("bicubic-x4"), "bicubic-x2": load("bicubic-x2")}
    with pytest.raises(RequestError) as caught:
        benchmark(restorers, [load_protocol("set5-x4")], data=tmp_path / "nowhere")
    assert str(caught.value) == "restorer 'bicubic-x2' has scale 2; protocol 'set5-x4' needs 4"


def test_missing_data_of_the_second_protocol_is_found_before_the_first_is_measured(tmp_path):
    seen = []
    with pytest.raises(RequestError, match=r"^set5-x4: 0 of 5 images are in "):
        benchmark(
            {"bicubic-x4": load("bicubic-x4")},
            [load_protocol("photos-x4"), load_protocol("set5-x4")],
            data=tmp_path,
            progress=lambda *step: seen.append(step),
        )
    assert seen == []


def test_an_unknown_baseline_is_refused():
    with pytest.raises(RequestError) as caught:
        benchmark({"bicubic-x4": load("bicubic-x4")}, [load_protocol("photos-x4")], baseline="bicubic-x2")
    assert str(caught.value) == ("--compare bicubic-x2: not one of the restorers; did you mean 'bicubic-x4'?")


@pytest.fixture(scope="module")
def photographs():
    restorers = {name: load(name) for name in ("bicubic-x4", "nearest-x4")}
    seen = []
    result = benchmark(restorers, [load_protocol("photos-x4")], progress=lambda *step: seen.append(step))
    return restorers, result, seen


def test_shipped_photographs_are_measured_without_any_data(photographs):
    _, result, seen = photographs
    assert seen == [("photos-x4", i, 6) for i in range(1, 7)]
    assert result.mean("psnr-y", restorer="bicubic-x4") > result.mean("psnr-y", restorer="nearest-x4")
    assert [c.verdict for c in result.comparisons] == ["too few images"] * 2
    assert all(row.seconds > 0 and row.peak_mib > 10 for row in result.rows)


def test_the_provenance_says_what_is_needed_to_make_the_numbers_again(photographs):
    _, result, _ = photographs
    provenance = json.loads(result.to_json())["provenance"]
    assert set(provenance) == {
        "date", "git_commit", "versions", "hardware", "inference", "protocols", "images", "restorers",
    }  # fmt: skip
    record = provenance["protocols"]["photos-x4"]
    assert record["sha256"] == load_protocol("photos-x4").digest
    assert record["images"] == "all 6 images are those of the manifest"
    assert set(provenance["images"]["photos-x4"]["photos/china.jpg"]) == {"sha256", "pixels_sha256"}
    assert provenance["restorers"]["bicubic-x4"]["parameters"] == 0
    assert {"torch", "numpy", "python", "restoration"} <= set(provenance["versions"])


def test_two_ranks_find_what_one_process_finds(photographs):
    restorers, whole, _ = photographs
    parts = [benchmark(restorers, [load_protocol("photos-x4")], rank=rank, world=2) for rank in range(2)]
    joined = merge(parts)
    for ours, theirs in zip(joined.rows, whole.rows, strict=True):
        assert (ours.key, ours.mean, ours.low, ours.high, ours.n) == (
            theirs.key, theirs.mean, theirs.low, theirs.high, theirs.n
        )  # fmt: skip
        assert list(ours.per_image.items()) == list(theirs.per_image.items())
    assert joined.comparisons == list(whole.comparisons)
    for key in ("images", "protocols", "restorers"):
        assert joined.provenance[key] == whole.provenance[key]


def test_restored_images_are_written_as_they_are_scored(tmp_path):
    kept = {}
    benchmark(
        {"bicubic-x4": load("bicubic-x4")},
        [load_protocol("photos-x4", ['clean=["photos/chelsea.png"]'])],
        watchers=[Folder(tmp_path), lambda protocol, name, sample, image: kept.update({sample.name: image})],
    )
    (path,) = tmp_path.rglob("*.png")
    assert path.name == "chelsea.png"
    assert torch.equal(to_float(read_samples(path)), quantise(kept["photos/chelsea.png"]))


def test_a_restorer_that_makes_no_numbers_leaves_named_gaps():
    broken = load("bicubic-x4")
    broken.network.forward = lambda degraded: torch.full(
        (*degraded.shape[:2], *(4 * n for n in degraded.shape[2:])), torch.nan
    )
    (row,) = evaluate(
        broken,
        load_protocol("photos-x4", ['clean=["photos/chelsea.png"]'], ["psnr-y"]),
        inference=Inference(),
    ).rows
    assert row.mean is None
    assert row.missing == {"photos/chelsea.png": "the restored image is not finite"}


def test_an_unreadable_image_leaves_a_named_gap_and_the_others_count(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("a", "b", "c"):
        noise = torch.rand(1, 3, 24, 28, generator=torch.Generator().manual_seed(ord(name)))
        write_image(folder / f"{name}.png", noise)
    (folder / "b.png").write_bytes((folder / "b.png").read_bytes()[:300])
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "mine"\ntask = "super-resolution"\nclean = ["mine"]\ndegraded = { name = "bicubic" }\n'
        'scale = 2\nborder = 2\nmetrics = ["psnr-y"]\n'
    )
    (row,) = evaluate(load("bicubic-x2"), load_protocol(str(path)), data=tmp_path).rows
    assert row.n == 2 and len(row.per_image) == 2
    ((image, reason),) = row.missing.items()
    assert "b.png" in image and "truncated" in reason
