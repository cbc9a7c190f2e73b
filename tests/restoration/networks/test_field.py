"""Over the table: what is measured of receptive fields is what is declared, and tiles of any size equal the whole."""

import importlib.util
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from restoration.apply import restore_image
from restoration.networks import NETWORKS
from restoration.restorers import Card, Restorer
from restoration.tiling.receptive import Field, field_of, measured, noted

_spec = importlib.util.spec_from_file_location("conformance", Path(__file__).with_name("test_conformance.py"))
conformance = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(conformance)

SLOW = ("resshift", "srgan-generator", "rbpn")
# attention within windows: declared as None for their defaults, finite where few layers look
WINDOWED = {"swinir-packed": (18, 4), "rrformer": (65, 32)}
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


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in ("nafnet", "rcan", "hdit", "errnet", "imdn-attentive")])
def test_what_sees_the_whole_is_blended(name):
    found = restorer(name)
    image = picture(found, 70, 51)
    whole = restore_image(found, image, tile="off", precision="fp32")
    parts = restore_image(found, image, tile=32, precision="fp32")
    assert parts.shape == whole.shape and parts.isfinite().all()


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
    image = torch.rand(1, 3, 131, 149)
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


def test_a_network_that_cannot_be_run_has_no_known_field():
    def broken(image):
        raise RuntimeError("only squares")

    assert measured(Strange(broken)).radius is None
