"""What every degradation promises: pure, keyed, independent of its batch, of the size it documents."""

import json

import pytest
import torch

from restoration.degradations import DEGRADATIONS, Degradation
from restoration.degradations.chain import Chain
from restoration.degradations.noise import Noise
from restoration.degradations.resize import Bicubic

# Arguments of those that have required ones; a new entry of the table without defaults belongs here.
ARGUMENTS = {
    "bicubic": [{"scale": 4}, {"scale": 3, "edges": "clamp"}],
    "chain": [{"of": (Noise(sigma=(0.0, 50.0)), Bicubic(scale=2), Noise(sigma=5.0, clip=True))}],
    "noise": [{"sigma": 25.0}, {"sigma": (5.0, 50.0), "clip": True}],
}
CASES = [(name, arguments) for name in DEGRADATIONS for arguments in ARGUMENTS.get(name, [{}])]
KEYS = [(0, 5), (0, 6), (3, 5)]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{len(case[1])}")
def degradation(request) -> Degradation:
    name, arguments = request.param
    return DEGRADATIONS[name](**arguments)


@pytest.fixture
def clean() -> torch.Tensor:
    steps = torch.randint(0, 256, (3, 3, 48, 60), generator=torch.Generator().manual_seed(0))
    return steps.float() / 255


def test_names_are_sorted():
    assert list(DEGRADATIONS) == sorted(DEGRADATIONS)
    assert set(ARGUMENTS) <= set(DEGRADATIONS)


def test_same_keys_same_bytes(degradation, clean):
    before = clean.clone()
    first, second = degradation(clean, KEYS), degradation(clean, KEYS)
    assert torch.equal(first.image, second.image) and first.draw == second.draw
    assert torch.equal(clean, before)


def test_global_generators_are_neither_used_nor_moved(degradation, clean):
    first = degradation(clean, KEYS).image
    torch.manual_seed(1)
    before = torch.get_rng_state()
    assert torch.equal(degradation(clean, KEYS).image, first)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_image_does_not_depend_on_its_neighbours(degradation, clean):
    together = degradation(clean, KEYS).image
    for i, key in enumerate(KEYS):
        assert torch.equal(degradation(clean[i : i + 1], [key]).image[0], together[i])
    turned = degradation(clean.flip(0), KEYS[::-1]).image
    assert torch.equal(turned.flip(0), together)


def test_size_range_and_type_are_documented(degradation, clean):
    image = degradation(clean, KEYS).image
    assert image.shape == (3, 3, 48 // degradation.scale, 60 // degradation.scale)
    assert image.dtype == torch.float32 and bool(image.isfinite().all())


def test_the_draw_is_json_and_holds_one_value_per_image(degradation, clean):
    draw = degradation(clean, KEYS).draw
    assert json.loads(json.dumps(draw)) == draw
    assert all(len(values) == len(KEYS) for values in draw.values())


@pytest.mark.parametrize("name", sorted(DEGRADATIONS))
def test_other_keys_draw_otherwise_where_there_is_chance(name, clean):
    degradation = DEGRADATIONS[name](**ARGUMENTS.get(name, [{}])[0])
    same = clean[:1].expand_as(clean)
    images = degradation(same, KEYS).image
    assert (not torch.equal(images[0], images[1])) == bool(degradation(same, KEYS).draw)
    assert (not torch.equal(images[0], images[2])) == bool(degradation(same, KEYS).draw)


def test_keys_that_do_not_fit_the_batch_are_refused(degradation, clean):
    with pytest.raises(ValueError) as error:
        degradation(clean, KEYS[:2])
    assert str(error.value) == "2 keys for 3 images; expected one (seed, sample) per image"
    with pytest.raises(ValueError) as error:
        degradation(clean[0], KEYS)
    assert str(error.value) == "clean has shape (3, 48, 60); expected (images, channels, height, width)"


def test_a_degradation_without_a_call_cannot_be_built():
    with pytest.raises(TypeError):
        Degradation()
    assert Chain(of=(Bicubic(scale=2),)).scale == 2 and Noise(sigma=1.0).scale == 1
