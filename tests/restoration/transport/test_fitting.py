"""From folders to a file, and from the file to pictures, by the command line; and what is refused in a line."""

import json
import sys

import numpy as np
import pytest
import torch

from restoration.apply import restore_image
from restoration.cli import main
from restoration.dials.perception import with_perception
from restoration.dials.sampling import with_sampling
from restoration.image import read_samples, to_float, write_image
from restoration.networks.dncnn import DnCnn
from restoration.networks.ffdnet import FfdNet
from restoration.networks.posterior_mean_flow import PosteriorMeanFlow
from restoration.restorers import Card
from restoration.transport.gaussian import gelbrich
from restoration.transport.patches import Moments, moments
from restoration.weights import load, save

SIDE = 48


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["restoration", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main()
        output = capsys.readouterr()
        return left.value.code, output.out, output.err

    return run


def texture(seed):
    """Return an image (1, 3, side, side) with the spectrum of a photograph, of a brightness of its own."""
    generator = torch.Generator().manual_seed(seed)
    f = torch.fft.fftfreq(SIDE)
    amplitude = 1 / (0.03 + (f[:, None].square() + f.square()).sqrt())
    drawn = torch.fft.ifft2(
        amplitude * torch.fft.fft2(torch.randn(1, 3, SIDE, SIDE, generator=generator))
    ).real
    mean = 0.35 + 0.3 * torch.rand(1, 3, 1, 1, generator=generator)
    return (mean + 0.12 * drawn / drawn.std()).clamp(0, 1)


def blurred(image):
    padded = torch.nn.functional.pad(image, (1, 1, 1, 1), mode="replicate")
    return torch.nn.functional.avg_pool2d(padded, 3, stride=1)


@pytest.fixture
def folders(tmp_path):
    for folder in ("clean", "blurred", "other", "test"):
        (tmp_path / folder).mkdir()
    for i in range(6):
        write_image(tmp_path / "clean" / f"{i}.png", texture(i))
        write_image(tmp_path / "blurred" / f"{i}.png", blurred(texture(i)))
        write_image(tmp_path / "other" / f"o{i}.png", texture(10 + i))
    for i in range(4):
        write_image(tmp_path / "test" / f"t{i}.png", blurred(texture(20 + i)))
    return tmp_path


FIT = (
    "fit",
    "transport",
    "--restorer",
    "identity",
    "--clean",
    "clean",
    "--degraded",
    "blurred",
    "--out",
    "a.safetensors",
)


def distance(folder, clean):
    found = sum(
        (moments(to_float(read_samples(p)), 3) for p in sorted(folder.glob("*.png"))), Moments.none(27)
    )
    wanted = sum((moments(image, 3) for image in clean), Moments.none(27))
    return float(gelbrich(found.gaussian(), wanted.gaussian()))


@pytest.mark.parametrize("options", [
    (), ("--latent", "haar", "--patch", 3), ("--latent", "dct", "--patch", 3), ("--unpaired",), ("--zero-shot",),
    ("--clean", "other"), ("--images", 3),
], ids=str)  # fmt: skip
def test_fit_and_apply_bring_images_that_were_not_seen_nearer_to_clean_ones(command, folders, options):
    code, out, err = command(*FIT, "--patch", 3, *options)
    assert code == 0, err
    assert out.startswith("a.safetensors: transport around identity, ")
    assert command("apply", "a.safetensors", "test", "--out", "made", "--quiet")[0] == 0
    clean = [texture(20 + i) for i in range(4)]
    assert distance(folders / "made", clean) < 0.5 * distance(folders / "test", clean)


@pytest.mark.slow
def test_the_dial_of_the_command_line(command, folders):
    assert command(*FIT)[0] == 0
    made = {}
    for p in ("-1", "0", "0.5", "1", "2"):
        code, _, err = command(
            "apply", "a.safetensors", "test/t0.png", "--out", f"p{p}.png", f"--perception={p}", "--quiet"
        )
        assert code == 0, err
        made[p] = read_samples(folders / f"p{p}.png").astype(float)
    given = read_samples(folders / "test" / "t0.png")
    assert np.array_equal(made["0"], given)
    for p in (-1, 0.5, 2):
        line = np.clip(made["0"] + p * (made["1"] - made["0"]), 0, 255)
        inside = (line > 2) & (line < 253) & (made["1"] > 0) & (made["1"] < 255)
        assert np.abs(made[f"{p:g}"] - line)[inside].max() <= 1.5 + abs(p)
    high = [np.diff(made[p], axis=0).std() for p in ("0", "0.5", "1", "2")]
    assert high == sorted(high)
    code, _, err = command("apply", "a.safetensors", "test", "--out", "b", "--perception", 3)
    assert (code, err) == (2, "restoration: --perception 3: expected a number from -1 to 2\n")


def test_the_card_tells_everything(command, folders):
    code, out, err = command(*FIT, "--json", "--images", 4)
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert found["images"] == {"clean": 4, "restored": 4} and found["paired"] and not found["mean_free"]
    assert found["patches"] == {"clean": 4 * 44**2, "restored": 4 * 44**2} and found["numbers"] == 75
    assert found["cost"] == pytest.approx(found["distance"], rel=1e-3) and found["noise"] == 0
    restorer = load("a.safetensors")
    assert (
        restorer.card.training["distance"] == found["distance"]
        and restorer.card.network["baseline"] == "identity"
    )
    assert restorer.network.statistics.counts.tolist() == [4 * 44**2, 4 * 44**2]
    clean = sum((moments(to_float(read_samples(p)), 5) for p in _chosen(folders / "clean")), Moments.none(75))
    assert torch.allclose(
        restorer.network.statistics.target_covariance, clean.gaussian().covariance, atol=1e-12
    )


def _chosen(folder):
    return [folder / f"{i}.png" for i in (0, 1, 3, 4)]


def test_pairs_are_taken_where_names_allow_it_and_means_left_alone_where_not(command, folders):
    assert json.loads(command(*FIT, "--json")[1])["paired"]
    unlike = json.loads(command(*FIT, "--json", "--overwrite", "--clean", "other")[1])
    assert (unlike["paired"], unlike["mean_free"]) == (False, True)
    theirs = json.loads(
        command(*FIT, "--json", "--overwrite", "--unpaired", "--no-mean-free", "--images", 3)[1]
    )
    assert (theirs["paired"], theirs["mean_free"]) == (False, False)
    assert "few images will lend their brightness" in theirs["notes"][-1]


def test_a_network_travels_with_its_origin(command, folders):
    torch.manual_seed(0)
    table = {"name": "dncnn", "width": 4, "depth": 3, "channels": 3}
    save(
        folders / "inner.safetensors",
        DnCnn(width=4, depth=3, channels=3).eval(),
        Card("inner", "denoising", table),
    )
    assert command(*FIT, "--restorer", "inner.safetensors", "--patch", 3)[0] == 0
    inner = load("inner.safetensors")
    (folders / "inner.safetensors").unlink()
    found = load("a.safetensors")
    image = texture(3)
    assert torch.equal(found.network.inner(image), inner.network(image))
    assert found.card.network["inner"]["restorer"] == "inner.safetensors"
    assert found.card.network["inner"]["sha256"] == inner.digest == found.card.training["sha256"]
    assert found.card.task == "denoising"


def drawing(path):
    """Write a flow of 3 steps around a posterior mean, at random."""
    torch.manual_seed(0)
    mean = {"name": "dncnn", "width": 4, "depth": 3, "channels": 3}
    network = PosteriorMeanFlow(width=8, steps=3, posterior_mean=DnCnn(width=4, depth=3, channels=3))
    with torch.no_grad():
        for parameter in network.velocity.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    table = {"name": "posterior-mean-flow", "width": 8, "steps": 3, "posterior_mean": mean}
    save(path, network.eval(), Card("flow", "denoising", table))


@pytest.mark.slow
def test_seed_steps_and_solver_are_those_of_the_flow_within(command, folders):
    drawing(folders / "flow.safetensors")
    code, _, err = command(*FIT, "--restorer", "flow.safetensors", "--patch", 3, "--images", 2)
    assert code == 0, err
    found, flow = load("a.safetensors"), load("flow.safetensors")
    assert found.network.affine.root is None  # nothing is drawn but by the flow
    image = texture(3)
    pictures = [found(image)]
    for keywords in ({"seed": 1}, {"seed": 2}, {"steps": 2}, {"solver": "heun"}, {"seed": 1, "steps": 1}):
        options = [word for key, value in keywords.items() for word in (f"--{key}", value)]
        words = ("apply", "a.safetensors", "test/t0.png", "--out", "b.png", "--overwrite", "--quiet")
        code, _, err = command(*words, *options)
        assert code == 0, err
        made, inner = with_sampling(found, **keywords), with_sampling(flow, **keywords)
        assert torch.allclose(made.network.inner(image), inner(image), atol=1e-5)
        assert made.card.network["inner"].items() >= keywords.items() and made.digest == found.digest
        assert made.network.seed == keywords.get("seed", 0)
        assert all((made(image) - other).abs().max() > 1e-4 for other in pictures)
        pictures.append(made(image))
        given = to_float(read_samples(folders / "test" / "t0.png"))
        written = to_float(read_samples(folders / "b.png"))
        assert (restore_image(made, given).clamp(0, 1) - written).abs().max() < 0.6 / 255
        if "solver" not in keywords:
            assert torch.allclose(found.restore(image, **keywords).image, made(image), atol=1e-5)
    assert found.card.network["inner"]["seed"] == found.network.inner.seed == 0
    assert with_sampling(found, steps=3) is found
    code, _, err = command("apply", "a.safetensors", "test/t0.png", "--out", "c.png", "--steps", 0)
    assert (code, err) == (
        2, "restoration: --steps 0: network.inner: scale = 1, steps = 0; expected numbers from 1\n"
    )  # fmt: skip


def test_seed_and_steps_hold_along_the_dial(command, folders):
    drawing(folders / "flow.safetensors")
    assert command(*FIT, "--restorer", "flow.safetensors", "--patch", 3, "--images", 2)[0] == 0
    found, flow, image = load("a.safetensors"), load("flow.safetensors"), texture(3)
    for p in (0, 0.5, 1, 1.5):
        first = with_perception(with_sampling(found, steps=2, seed=1), p)
        after = with_sampling(with_perception(found, p), steps=2, seed=1)
        again = with_perception(found, p).restore(image, steps=2, seed=1)
        assert torch.allclose(first(image), after(image), atol=1e-5)
        assert torch.allclose(again.image, after(image), atol=1e-5)
        assert after.card.network["inner"] == first.card.network["inner"]
    low = with_sampling(with_perception(found, 0), steps=2, seed=1)
    assert torch.allclose(low(image), with_sampling(flow, steps=2, seed=1)(image), atol=1e-5)


def test_steps_and_solver_are_refused_where_nothing_within_takes_them(command, folders):
    assert command(*FIT, "--patch", 3)[0] == 0
    for option, value, what in (
        ("--steps", 2, "restores in one pass; expected a restorer with steps, such as a posterior-mean flow"),
        ("--solver", "heun", "follows no flow; expected a posterior-mean flow"),
    ):
        code, _, err = command("apply", "a.safetensors", "test/t0.png", "--out", "b.png", option, value)
        assert (code, err) == (2, f"restoration: {option} {value}: 'a' {what}\n")


def test_grey_images_through_a_restorer_of_colours_are_given_no_noise(command, folders):
    """Both sides lack the 50 directions of colour: none is to be drawn, and results depend on no seed."""
    torch.manual_seed(0)
    table = {"name": "dncnn", "width": 4, "depth": 3, "channels": 3}
    save(folders / "rgb.safetensors", DnCnn(**{k: v for k, v in table.items() if k != "name"}).eval(),
         Card("rgb", "denoising", table))  # fmt: skip
    for folder in ("clean", "blurred"):
        for path in (folders / folder).iterdir():
            write_image(path, to_float(read_samples(path)).mean(1, keepdim=True))
    code, out, err = command(*FIT, "--restorer", "rgb.safetensors", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert (found["numbers"], found["lacking"], found["noise"]) == (75, 50, 0)
    assert not any("--seed" in note for note in found["notes"])
    restorer, image = load("a.safetensors"), to_float(read_samples(folders / "blurred" / "0.png"))
    assert torch.allclose(with_sampling(restorer, seed=1)(image), restorer(image), atol=1e-6)


def test_noise_is_said_to_be_where_clean_images_have_what_restored_ones_lack(command, folders):
    (folders / "flat").mkdir()
    for path in (folders / "clean").iterdir():
        grey = to_float(read_samples(path)).mean(1, keepdim=True)
        write_image(path, grey)
        write_image(folders / "flat" / path.name, torch.full_like(grey, 0.5))
    code, _, err = command(*FIT, "--degraded", "flat")
    assert code == 0 and err.splitlines() == [
        "restored patches lack 75 of 75 directions; noise takes the place of 25, so results depend on --seed"
    ]


@pytest.mark.parametrize("size", [(33, 37), (34, 38)])
@pytest.mark.parametrize("mean_free", [True, False])
def test_border_is_the_restorers_in_fitting_and_applying(command, folders, size, mean_free):
    """A transport of a restorer's results to themselves is the restorer, at any size and in tiles."""
    torch.manual_seed(0)
    table = {"name": "ffdnet", "width": 8, "depth": 3, "channels": 3}
    inner = FfdNet(width=8, depth=3, channels=3).eval()
    save(folders / "ffdnet.safetensors", inner, Card("ffdnet", "denoising", table))
    (folders / "odd").mkdir()
    for i in range(3):
        write_image(folders / "odd" / f"{i}.png", texture(i)[..., : size[0], : size[1]])
    words = ["--restorer", "ffdnet.safetensors", "--clean", "odd", "--degraded", "odd", "--patch", 3]
    code, _, err = command(*FIT, *words, "--mean-free" if mean_free else "--no-mean-free")
    assert code == 0, err
    found, alone = load("a.safetensors"), load("ffdnet.safetensors")
    pictures = [to_float(read_samples(folders / "odd" / f"{i}.png")) for i in range(3)]
    made = [restore_image(alone, image, precision="fp32") for image in pictures]
    source = sum((moments(image, 3) for image in made), Moments.none(27)).gaussian()
    assert torch.allclose(found.network.statistics.source_covariance, source.covariance, atol=1e-10)
    found.network.fit(source, source, (3, 3))
    for tile in ("off", 16):
        for image, wanted in zip(pictures, made, strict=True):
            assert (restore_image(found, image, tile=tile, precision="fp32") - wanted).abs().max() < 1e-4


def test_grey_networks_take_colours_one_by_one(command, folders):
    torch.manual_seed(0)
    table = {"name": "dncnn", "width": 4, "depth": 3, "channels": 1}
    save(
        folders / "grey.safetensors",
        DnCnn(width=4, depth=3, channels=1).eval(),
        Card("grey", "denoising", table),
    )
    found = json.loads(command(*FIT, "--restorer", "grey.safetensors", "--json")[1])
    assert found["numbers"] == 25 and found["patches"]["clean"] == 6 * 3 * 44**2
    assert command("apply", "a.safetensors", "test", "--out", "made", "--quiet")[0] == 0


def test_enlarging_restorers_are_fitted_at_the_size_of_their_results(command, folders):
    (folders / "small").mkdir()
    for i in range(6):
        small = torch.nn.functional.avg_pool2d(texture(i), 2)
        write_image(folders / "small" / f"{i}x2.png", small)
    code, out, err = command(*FIT, "--restorer", "bicubic-x2", "--degraded", "small", "--json")
    assert code == 0, err
    assert json.loads(out)["paired"] and load("a.safetensors").scale == 2
    assert command("apply", "a.safetensors", "small/0x2.png", "--out", "b.png", "--quiet")[0] == 0
    assert read_samples(folders / "b.png").shape == (SIDE, SIDE, 3)


@pytest.mark.slow
def test_an_autoencoder_is_fitted_and_its_limit_told(command, folders):
    diffusers = pytest.importorskip("diffusers")
    torch.manual_seed(0)
    diffusers.AutoencoderKL(
        latent_channels=4, layers_per_block=1, norm_num_groups=8, block_out_channels=[8, 16],
        down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2,
        mid_block_add_attention=False,
    ).save_pretrained(folders / "vae")  # fmt: skip
    code, out, err = command(*FIT, "--latent", "vae", "--patch", 3)
    assert code == 0, err
    assert "the autoencoder returns clean images at " in out
    for name in ("b", "c"):
        assert (
            command("apply", "a.safetensors", "test/t0.png", "--out", f"{name}.png", "--seed", 4, "--quiet")[
                0
            ]
            == 0
        )
    assert np.array_equal(read_samples(folders / "b.png"), read_samples(folders / "c.png"))
    assert load("a.safetensors").network.latents.factor == 2


def test_few_patches_and_missing_directions_are_said(command, folders):
    (folders / "flat").mkdir()
    for i in range(6):
        write_image(
            folders / "flat" / f"{i}.png", texture(i).mean((2, 3), keepdim=True).expand(1, 3, SIDE, SIDE)
        )
    code, _, err = command(*FIT, "--degraded", "flat", "--images", 2, "--crop", 12)
    assert code == 0
    assert "patches for covariances of 75² numbers" in err and "restored patches lack " in err


@pytest.mark.parametrize(("words", "line"), [
    (("--restorer", "identiti"), "identiti: no such file and no restorer of that name; did you mean 'identity'?"),
    (("--clean", "nowhere"), "--clean nowhere: no such folder; expected a folder of images"),
    (("--clean", "test/t0.png"), "--clean test/t0.png: a file; expected a folder of images"),
    (("--degraded", "empty"), "--degraded empty: no images in this folder"),
    (("--degraded", "test", "--paired"), "--degraded: no partner for 0.png and 5 more; expected a file of the same "
     "name, or one that ends in x4, _LR or _lq, among 4 files such as t0.png"),
    (("--latent", "pixel"), "--latent pixel: expected pixels, haar, dct, kl-vae-small, sd-vae-ft-mse, or a folder or file of "
     "an AutoencoderKL of diffusers; did you mean 'pixels'?"),
    (("--patch", 4), "transport: patch = 4; expected an odd number of pixels, such as 3 or 5"),
    (("--images", 0), "--images 0, --crop 512: expected one image or more, 8 pixels or more"),
    (("--out", "a.png"), "--out a.png: expected a name that ends in .safetensors"),
    (("--set", "alfa=1"), "--set alfa: unknown key of a transport; did you mean 'alpha'?"),
    (("--set", "alpha=7"), "transport: alpha = 7; expected a number from -1 to 2"),
    (("--patch", 49), "patch = 49: of 3 channels it has 7203 numbers; expected at most 4096"),
    (("--patch", 27, "--crop", 16), "clean/0.png: 16x16 pixels; expected at least 27x27 for one patch"),
    (("--restorer", "bicubic-x2"), "clean/0.png: 48x48 pixels; expected 96x96, 2 times 0.png; or --unpaired"),
    (("--out", "there.safetensors"), "--out there.safetensors: is there already; --overwrite replaces it"),
    (("--latent", "test"), "--latent test: no diffusion_pytorch_model.safetensors in this folder"),
    (("--latent", "clean/0.png"), "--latent clean/0.png: expected a weights file (.ckpt, .pt, .pth, .safetensors)"),
    (("--crop", 4), "--images 16, --crop 4: expected one image or more, 8 pixels or more"),
    (("--set", "eps=0.0"), "transport: eps = 0, weighting = 0; expected 0 < eps < 1 and weighting ≥ 0"),
    (("--set", "blend=pixel"), "transport.blend = \"pixel\": expected 'pixels' or 'latents'; did you mean 'pixels'?"),
    (("--device", "cuda:77"), "--device cuda:77: not to be had here; expected auto, cpu"),
    (("--posterior", "mean"), "'--posterior': 'mean' is not one of 'sample', 'mode'; did you mean 'mode'?"),
    (("--restorer", "clean/0.png"), "clean/0.png: expected a weights file"),
    (("--out", "clean"), "--out clean: expected a name that ends in .safetensors"),
], ids=str)  # fmt: skip
def test_a_wrong_request_is_one_line_and_leaves_nothing(command, folders, words, line):
    (folders / "empty").mkdir()
    (folders / "there.safetensors").write_bytes(b"")
    before = {str(p) for p in folders.rglob("*")}
    code, out, err = command(*FIT, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert line in err
    assert {str(p) for p in folders.rglob("*")} == before


def test_degraded_images_are_needed_but_for_zero_shot(command, folders):
    words = [word for word in FIT if word not in ("--degraded", "blurred")]
    code, _, err = command(*words)
    assert (code, err) == (
        2, "restoration: --degraded: missing; expected a folder of degraded images, or --zero-shot\n",
    )  # fmt: skip
    code, out, err = command(*words, "--zero-shot", "--patch", 3)
    assert code == 0 and "6 clean images" in out and "0 restored" in out
    assert command("apply", "a.safetensors", "test/t0.png", "--out", "b.png", "--quiet")[0] == 0


def test_an_image_that_cannot_be_read_is_named(command, folders):
    (folders / "blurred" / "3.png").write_bytes(b"none")
    code, _, err = command(*FIT)
    assert code == 1 and err.startswith("restoration: blurred/3.png: not a readable image")
    assert not (folders / "a.safetensors").exists()


@pytest.mark.slow
def test_blocks_as_stable_diffusion_has_them_are_blended_and_said_to_be(command, folders):
    """Four levels, two blocks each, attention in the middle: any size, whole and in tiles."""
    diffusers = pytest.importorskip("diffusers")
    torch.manual_seed(0)
    diffusers.AutoencoderKL(
        latent_channels=4, layers_per_block=2, norm_num_groups=4, block_out_channels=[4, 8, 16, 16],
        down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
    ).save_pretrained(folders / "vae")  # fmt: skip
    code, out, err = command(*FIT, "--latent", "vae", "--patch", 3, "--json")
    assert code == 0, err
    found = json.loads(out)
    assert (found["numbers"], found["patches"]["clean"]) == (36, 6 * 4 * 4)
    assert "autoencoder_psnr" in found and found["notes"][0].startswith("only 96 patches")
    network = load("a.safetensors").network
    assert network.latents.factor == network.multiple == 8
    assert any(".mid_block.attentions.0.to_q." in name for name in network.state_dict())
    write_image(folders / "odd.png", texture(3)[..., :41, :37])
    write_image(folders / "dot.png", texture(3)[..., :1, :1])
    for name, tile in (("odd", "off"), ("odd", "16"), ("dot", "off")):
        made = f"{name}{tile}.png"
        code, out, err = command("apply", "a.safetensors", f"{name}.png", "--out", made, "--tile", tile)
        assert code == 0, err
        assert ("blended tiles differ from the untiled result" in out + err) == (tile == "16")
        assert read_samples(folders / made).shape == read_samples(folders / f"{name}.png").shape


@pytest.mark.slow
def test_the_shipped_autoencoder_by_its_name(command, folders):
    pytest.importorskip("diffusers")
    code, out, err = command(*FIT, "--latent", "kl-vae-small", "--patch", 3)
    assert code == 0, err
    assert (
        "kl-vae-small, patches of 3 (72 numbers)" in out and "the autoencoder returns clean images at " in out
    )
    restorer = load("a.safetensors")
    assert restorer.network.latents.factor == 4 and "non-commercial" in restorer.card.licence
    for name in ("b", "c"):
        assert command("apply", "a.safetensors", "test", "--out", name, "--seed", 4, "--quiet")[0] == 0
    assert np.array_equal(read_samples(folders / "b" / "t1.png"), read_samples(folders / "c" / "t1.png"))
    assert command("apply", "a.safetensors", "test", "--out", "d", "--seed", 4, "--perception=0.5")[0] == 0


def test_an_autoencoder_for_colours_does_not_take_grey(command, folders):
    diffusers = pytest.importorskip("diffusers")
    torch.manual_seed(0)
    diffusers.AutoencoderKL(norm_num_groups=4, block_out_channels=[4]).save_pretrained(folders / "vae")
    table = {"name": "dncnn", "width": 4, "depth": 3, "channels": 1}
    network = DnCnn(width=4, depth=3, channels=1).eval()
    save(folders / "grey.safetensors", network, Card("grey", "denoising", table))
    code, out, err = command(*FIT, "--restorer", "grey.safetensors", "--latent", "vae")
    assert (code, out) == (2, "")
    assert err == "restoration: transport: the autoencoder has in_channels 3; expected 1\n"
