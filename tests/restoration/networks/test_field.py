"""Over the table: what is measured of receptive fields is what is declared, and tiles of any size equal the whole."""

import copy
import importlib.util
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from restoration import weights
from restoration.apply import apply, restore_image
from restoration.applying.running import Runner
from restoration.config import build
from restoration.dials.masks import Masks
from restoration.image import Picture, read_samples, write
from restoration.networks import NETWORKS
from restoration.restorers import Card, Restorer
from restoration.tiling import receptive
from restoration.tiling.receptive import Field, field_of, measured, noted

_spec = importlib.util.spec_from_file_location("conformance", Path(__file__).with_name("test_conformance.py"))
conformance = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(conformance)
_spec = importlib.util.spec_from_file_location("architectures", Path(__file__).with_name("test_spandrel.py"))
architectures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(architectures)

SLOW = ("resshift", "srgan-generator", "rbpn")
# attention within windows: declared as None for their defaults, finite where few layers look
# (rrformer's coarsest grid is stretched over the image where the sides are no multiples of 32)
WINDOWED = {"swinir-packed": (18, 4), "rrformer": (None, 2)}
every = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in NETWORKS]
)
SIZES = [(1, 1), (1, 7), (5, 2), (13, 17), (37, 41)]


def restorer(name, **changed):
    network = conformance.built(name, **changed).eval()
    torch.manual_seed(3)
    for parameter in network.parameters():  # alive, and neither vanishing nor exploding
        fan_in = math.prod(parameter.shape[1:]) if parameter.ndim > 1 else 1
        parameter.data += torch.randn_like(parameter) * 0.3 / math.sqrt(fan_in)
    return Restorer(network, Card(name, "restoration", {"name": name}, network.scale))


def picture(restorer, height, width):
    channels = (restorer.channels or 3) + len(restorer.conditions)
    image = torch.rand(
        1, channels, height, width, generator=torch.Generator().manual_seed(height * 99 + width)
    )
    if "mask" in restorer.conditions:
        image[:, -1] = 0
        image[:, -1, height // 4 : height // 2 + 1, width // 4 : width // 2 + 1] = 1
    return image


@every
def test_measured_field_is_the_declared_one(name):
    network = conformance.built(name)
    field = measured(network)
    if network.receptive_field is not None:
        assert (field.radius, field.period) == (network.receptive_field, network.multiple)
    if name in WINDOWED:
        assert (field.radius, field.period) == WINDOWED[name]


@every
def test_every_size_works_and_tiles_equal_the_whole(name):
    # groups of one channel have no variance at one pixel; those of real widths do
    found = restorer(name, **({"width": 64} if name == "vq-autoencoder" else {}))
    for height, width in SIZES:
        image = picture(found, height, width)
        whole = restore_image(found, image, tile="off", precision="fp32")
        assert whole.shape[-2:] == (height * found.scale, width * found.scale)
        assert whole.isfinite().all()
    if field_of(found).radius is None:
        return
    for tile in (8, 15):
        parts = restore_image(found, image, tile=tile, precision="fp32")
        assert (parts - whole).abs().max() <= 1e-5 * whole.std()


@pytest.mark.parametrize("name", ["errnet", "ffdnet", "medfe", "rrformer"])
def test_what_pads_by_itself_is_applied_as_it_is_at_every_size(name):
    found = restorer(name)
    assert found.edge == "repeated"
    for height, width in (*SIZES, (33, 47)):
        image = picture(found, height, width)
        with torch.inference_mode():
            own = found.network(image)
        for tile in ("auto", "off"):
            applied = restore_image(found, image, tile=tile, precision="fp32")
            assert (applied - own).abs().max() <= 1e-5 * max(own.abs().max(), 1e-3), (height, width)


@every
def test_files_of_every_network_are_exact_or_say_how_far_they_are(name, tmp_path):
    found = restorer(name, **({"width": 64} if name == "vq-autoencoder" else {}))
    if found.conditions and not {"mask"} & set(found.conditions):
        pytest.skip("takes conditions that files do not give")
    if name == "resshift":  # what it sees takes long to measure
        found.card.training["receptive field"] = {"radius": None, "period": 2}
    channels = found.channels if found.channels in (1, 3) else 3
    size = (2 * max(19, found.multiple), 2 * max(19, found.multiple) + 3)
    samples = np.random.default_rng(0).integers(0, 65536, (*size, channels)).astype(np.uint16)
    write(tmp_path / "a.png", Picture(samples))
    masks = None
    if found.conditions:
        hole = np.zeros((*size, 1), np.uint8)
        hole[8:15, 9:20] = 255
        write(tmp_path / "mask.png", Picture(hole))
        masks = Masks(tmp_path / "mask.png")
    made = {}
    for tile in (max(16, found.multiple), "off"):
        out = tmp_path / str(tile)
        report = apply(found, [tmp_path / "a.png"], out, tile=tile, precision="fp32", masks=masks)
        assert not report.failed
        made[tile] = read_samples(out / "a.png").astype(float)
        line = json.loads((out / ".restoration-manifest.jsonl").read_text())
        if tile == "off":
            continue
        facts, told = (
            line["facts"],
            [note for note in report.notes if note.startswith("blended tiles differ")],
        )
        assert facts == report.tiling
        if facts["receptive_field"] is None:
            assert len(told) == 1 and facts["difference"]["rms"] >= 0
        else:
            assert facts["difference"]["largest"] <= 1e-5 and not told
    parts, whole = made.values()
    if facts["receptive_field"] is not None:
        assert abs(parts - whole).max() <= 1 + 1e-5 * whole.std()
    assert (facts["receptive_field"] is None) == (field_of(found).radius is None)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # spandrel's own code warns of what torch will change
@pytest.mark.parametrize("architecture", sorted(architectures.TINY))
def test_tiles_of_every_architecture_are_exact_or_say_how_far_they_are(architecture):
    torch.manual_seed(3)
    network = architectures.built(architecture).eval()
    for parameter in network.parameters():
        fan_in = math.prod(parameter.shape[1:]) if parameter.ndim > 1 else 1
        parameter.data += torch.randn_like(parameter) * 0.3 / max(1, fan_in) ** 0.5
    found, plans = Restorer(network, Card("a", "restoration", {"name": "spandrel"}, network.scale)), []
    for size in ((1, 1), (37, 43)):
        image = torch.rand(1, found.channels, *size)
        whole = restore_image(found, image, tile="off", precision="fp32")
        assert whole.shape[-2:] == (size[0] * found.scale, size[1] * found.scale)
    parts = restore_image(found, image, tile=16, precision="fp32", on_plan=plans.append)
    (plan,) = plans
    if plan.tiling.receptive_field is not None:
        assert (parts - whole).abs().max() <= 1e-5 * whole.std()
    elif plan.cut:  # the grid of some is larger than the picture
        assert plan.notes[0].startswith("blended tiles differ from the untiled result by ")


def swinir(**changed):
    spandrel = NETWORKS["spandrel"]
    keywords = {
        "architecture": "SwinIR", "upscale": 2, "img_size": 16, "window_size": 8, "depths": [2, 2], "embed_dim": 12,
        "num_heads": [2, 2], "mlp_ratio": 2, "upsampler": "pixelshuffledirect", "resi_connection": "1conv",
    }  # fmt: skip
    torch.manual_seed(0)
    network = spandrel(**{**keywords, **changed}).eval()
    return Restorer(network, Card("swinir", "super-resolution", {"name": "spandrel"}, network.scale))


@pytest.mark.slow
def test_window_attention_of_others_is_tiled_on_its_own_grid():
    found = swinir()
    assert found.receptive_field is None and found.multiple == 1  # it says nothing, and pads within
    field = field_of(found)
    assert field.period == 8 and 16 <= field.radius <= 48
    for parameter in found.parameters():
        parameter.data *= 1.5
    image = torch.rand(1, 3, 83, 101)
    for ensemble in (False, True):
        whole = restore_image(found, image, tile="off", precision="fp32", ensemble=ensemble)
        parts = restore_image(found, image, tile=24, precision="fp32", ensemble=ensemble)
        assert (parts - whole).abs().max() <= 1e-5 * whole.std()


@pytest.mark.slow
def test_field_noted_in_a_card_is_believed(tmp_path):
    found = swinir()
    card = noted(Card("a", "super-resolution", {"name": "spandrel"}, 2), found.network)
    assert card.training["receptive field"]["period"] == 8
    assert field_of(Restorer(found.network, card)) == measured(found.network)
    other = replace(card, training={"receptive field": {"radius": 7, "period": 4}})
    assert field_of(Restorer(found.network, other)) == Field(7, 4)
    declared = conformance.built("dncnn")
    assert noted(card, declared) == card and noted(replace(card, training={}), declared).training == {}


class Strange(torch.nn.Module):
    scale, multiple, receptive_field, channels, conditions = 1, 1, None, 3, ()

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, image):
        return self.function(image)


def test_what_reaches_farthest_decides():
    assert measured(Strange(lambda image: image.roll(5, -1) + image)).radius is None  # around the border
    far = torch.nn.functional.pad
    assert measured(Strange(lambda x: x + far(x, (9, 0, 0, 0))[..., : x.shape[-1]])).radius == 9
    assert measured(Strange(lambda x: x + far(x, (0, 0, 0, 4))[..., 4:, :])).radius == 4
    assert measured(Strange(lambda x: x + x.mean((-2, -1), keepdim=True))).radius is None
    assert measured(Strange(lambda x: x.flip(-1))).radius is None


def windowed(image, side=8, centred=False):
    """Return the means of windows, which begin at the image's corner or lie around its middle."""
    pads = []
    for length in (image.shape[-1], image.shape[-2]):
        lacking = -length % side
        pads += [lacking // 2, lacking - lacking // 2] if centred else [0, lacking]
    padded = torch.nn.functional.pad(image, pads)
    means = (
        torch.nn.functional.avg_pool2d(padded, side).repeat_interleave(side, -1).repeat_interleave(side, -2)
    )
    return means[..., pads[2] : pads[2] + image.shape[-2], pads[0] : pads[0] + image.shape[-1]]


def test_windows_that_begin_where_the_size_says_are_found_out():
    assert measured(Strange(windowed)) == Field(7, 8)
    assert measured(Strange(lambda image: windowed(image, centred=True))).radius is None
    reflect = torch.nn.ReflectionPad2d(3)
    assert measured(Strange(lambda x: torch.nn.functional.avg_pool2d(reflect(x), 7, 1))) == Field(3, 1)
    assert measured(torch.nn.Sequential(torch.nn.Conv2d(3, 3, 3, padding=64, dilation=64))).radius == 64
    assert measured(Strange(lambda x: x.clone())) == Field(0, 1)


def test_a_network_that_cannot_be_run_has_no_known_field():
    def broken(image):
        raise RuntimeError("only squares")

    assert measured(Strange(broken)).radius is None


SMALL_SWINIR = {
    "name": "spandrel", "architecture": "SwinIR", "upscale": 2, "img_size": 16, "window_size": 8, "depths": [2],
    "embed_dim": 12, "num_heads": [2], "mlp_ratio": 2.0, "upsampler": "pixelshuffledirect",
}  # fmt: skip


def test_field_of_a_file_is_measured_once_on_a_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("RESTORATION_CACHE", str(tmp_path / "cache"))
    found = swinir(depths=[2], num_heads=[2])
    first, second, other = (
        Restorer(copy.deepcopy(found.network), found.card, digest)
        for digest in ("a" * 64, "a" * 64, "b" * 64)
    )
    assert field_of(first) == Field(15, 8)
    monkeypatch.setattr(receptive, "measured", lambda network: Field(None))
    assert field_of(second) == Field(15, 8)
    assert field_of(other) == Field(None)
    for broken in ("[]", "{", json.dumps({"radius": "far", "period": 8})):
        for path in (tmp_path / "cache" / "fields").iterdir():
            path.write_text(broken)
        assert field_of(Restorer(copy.deepcopy(found.network), found.card, "a" * 64)) == Field(None)
    monkeypatch.setenv("RESTORATION_CACHE", str(tmp_path / "cache" / "fields" / path.name / "below"))
    assert field_of(Restorer(copy.deepcopy(found.network), found.card, "a" * 64)) == Field(None)


def test_field_is_measured_once_and_saved_with_the_weights(tmp_path, monkeypatch):
    network = build(NETWORKS, SMALL_SWINIR, "network", "network")
    weights.save(tmp_path / "a.safetensors", network, Card("a", "super-resolution", SMALL_SWINIR, 2))
    monkeypatch.setattr(receptive, "measured", lambda network: pytest.fail("measured again"))
    found = weights.load(tmp_path / "a.safetensors")
    assert field_of(found) == Field(15, 8)
    parts = restore_image(found, torch.rand(1, 3, 50, 60), tile=16, precision="fp32")
    assert parts.shape == (1, 3, 100, 120)


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrong",
    [
        {"radius": 3, "period": 8},
        {"radius": 15, "period": 1},
        {"radius": 14, "period": 4},
        {"radius": "far"},
        7,
    ],
)
def test_wrong_note_of_a_card_is_found_out_and_measured_anew(wrong):
    found = swinir(depths=[2], num_heads=[2])
    for parameter in found.parameters():
        parameter.data *= 3
    card = replace(found.card, training={"receptive field": wrong})
    found, plans = Restorer(found.network, card), []
    image = torch.rand(1, 3, 90, 70)
    for tile in (28, 33):
        parts = restore_image(found, image, tile=tile, precision="fp32", on_plan=plans.append)
        whole = restore_image(found, image, tile="off", precision="fp32")
        assert (parts - whole).abs().max() <= 1e-5 * whole.std()
        assert plans[-2 if len(plans) > 2 else 0].certificate.exact


@pytest.mark.slow
def test_note_that_holds_for_multiples_of_a_grid_alone_is_found_out():
    found, plans = restorer("rrformer"), []
    found.card.training["receptive field"] = {"radius": 65, "period": 32}
    image = picture(found, 300, 310)
    whole = restore_image(found, image, tile="off", precision="fp32")
    parts = restore_image(found, image, tile=32, precision="fp32", on_plan=plans.append)
    assert (parts - whole).abs().max() > 1e-5 * whole.std()
    assert plans[0].notes[0].startswith("blended tiles differ from the untiled result by ")


@pytest.mark.slow
@pytest.mark.parametrize("precise", [True, False])
def test_memory_that_ends_on_the_whole_still_gives_exact_tiles_or_says_so(precise, monkeypatch):
    """Nobody asks how far a network sees for a picture that is not cut: where memory ends, it is asked."""
    found = swinir(depths=[2], num_heads=[2]) if precise else restorer("rcan")
    whole, plans = restore_image(found, image := torch.rand(1, 3, 96, 90), precision="fp32"), []
    plain = Runner._restored

    def restored(runner, tile, bfloat16):
        if tile.shape[-1] * tile.shape[-2] > 80 * 80:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(runner, tile, bfloat16)

    monkeypatch.setattr(Runner, "_restored", restored)
    restored = restore_image(found, image, precision="fp32", on_plan=plans.append)
    plan = plans[-1]
    assert plan.cut
    if precise:
        assert plan.tiling.receptive_field is not None and plan.certificate.exact
        assert (restored - whole).abs().max() <= 1e-5 * whole.std()
    else:
        assert plan.notes[0].startswith("blended tiles differ from the untiled result by ")
        assert plan.certificate.rms > 0 or "measured" in plan.notes[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ffdnet", "res-unet", "imdn-edge", "swinir-packed", "swinir"])
@pytest.mark.parametrize("tile", [16, "off"])
def test_wrapped_edges_are_those_of_the_repeated_image(name, tile):
    found = swinir(depths=[2], num_heads=[2]) if name == "swinir" else restorer(name)
    height, width = 32, 48
    image = picture(found, height, width)
    repeats = (1, 1, 7, 1), (1, 1, 1, 5), (1, 1, 7, 5)
    for wrap, times in zip(("y", "x", "both"), repeats, strict=True):
        parts = restore_image(found, image, tile=tile, precision="fp32", wrap=wrap)
        whole = restore_image(found, image.repeat(times), tile="off", precision="fp32")
        top, left = times[2] // 2 * height * found.scale, times[3] // 2 * width * found.scale
        whole = whole[..., top : top + height * found.scale, left : left + width * found.scale]
        assert (parts - whole).abs().max() <= 1e-5 * whole.std()
    odd = picture(found, 23, 37)
    assert restore_image(found, odd, tile=tile, precision="fp32", wrap="both").isfinite().all()
