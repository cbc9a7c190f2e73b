"""Tiles: joined they equal the whole; blending is exact where nothing differs; memory errors only cost time."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from restoration.degradations.resize import resize
from restoration.errors import RestorationError
from restoration.tiling import Tiling, Window, fast_side, reflected, self_ensemble, tiled

SIZES = [(1, 1), (2, 3), (31, 1), (37, 53), (64, 64)]


class Stack(nn.Module):
    """Random 3×3 convolutions with zero padding, optionally on a smaller or a larger grid."""

    def __init__(self, layers=4, scale=1, multiple=1, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.scale, self.multiple, self.receptive_field = scale, multiple, (layers + 2) * multiple
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.down = nn.Conv2d(8, 8, multiple, stride=multiple)
        self.body = nn.Sequential(*[nn.Conv2d(8, 8, 3, padding=1) for _ in range(layers)])
        self.up = nn.ConvTranspose2d(8, 3 * scale**2, multiple, stride=multiple)
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, image):
        assert not any(side % self.multiple for side in image.shape[-2:])
        features = self.down(self.first(image))
        return self.shuffle(self.up(torch.relu(self.body(features))))


def padded(image, multiple):
    """Return the image padded as its whole: reflection by the definition, one pixel at a time."""
    height, width = image.shape[-2:]
    for _ in range(-height % multiple):
        n = image.shape[-2]
        image = torch.cat([image, image[..., [bounce(n, height)], :]], -2)
    for _ in range(-width % multiple):
        n = image.shape[-1]
        image = torch.cat([image, image[..., [bounce(n, width)]]], -1)
    return image


def bounce(index, length):
    position, step = 0, 1
    for _ in range(index):
        if length == 1:
            return 0
        if not 0 <= position + step < length:
            step = -step
        position += step
    return position


def call(function, image, network, **options):
    settings = {
        "scale": network.scale,
        "multiple": network.multiple,
        "receptive_field": network.receptive_field,
    }
    return tiled(function, image, **(settings | options))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("scale", "multiple"), [(1, 1), (2, 1), (1, 4), (2, 4), (3, 2)])
@pytest.mark.parametrize("tile", [20, "auto"])
def test_tiles_equal_the_whole(size, scale, multiple, tile):
    network = Stack(scale=scale, multiple=multiple).eval()
    image = torch.rand(2, 3, *size)
    with torch.inference_mode():
        whole = network(padded(image, multiple))[..., : size[0] * scale, : size[1] * scale]
        restored = call(network, image, network, tile=tile)
    assert restored.shape == whole.shape
    assert (restored - whole).abs().max() < 1e-5


def test_a_margin_one_pixel_short_would_be_seen():
    # the test above can fail: two pixels of margin less than the layers reach change the result
    network = Stack(layers=4)
    network.receptive_field = 3
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert (call(network, image, network, tile=16) - network(image)).abs().max() > 1e-5


def test_tiles_with_their_margin_are_what_the_network_sees():
    seen = []

    def function(image):
        seen.append(tuple(image.shape[-2:]))
        return image

    image = torch.rand(1, 3, 40, 56)
    assert torch.equal(tiled(function, image, multiple=4, receptive_field=5, tile=18), image)
    # tiles of 20, margins of 8, cut off at the image's borders
    assert seen == [(28, 28), (28, 36), (28, 24), (28, 28), (28, 36), (28, 24)]


@pytest.mark.parametrize("length", [1, 2, 3, 7])
def test_reflection_goes_back_and_forth(length):
    expected = [bounce(i, length) for i in range(20)]
    assert reflected(0, 20, length).tolist() == expected
    assert reflected(5, 9, length).tolist() == expected[5:9]


@pytest.mark.parametrize("tile", [16, 33])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("scale", "multiple"), [(1, 1), (2, 1), (1, 4)])
def test_blended_tiles_of_the_identity_are_the_image(size, tile, scale, multiple):
    image = torch.rand(1, 3, *size)
    enlarge = lambda tile: tile.repeat_interleave(scale, -1).repeat_interleave(scale, -2)  # noqa: E731
    restored = tiled(enlarge, image, scale=scale, multiple=multiple, receptive_field=None, tile=tile)
    assert torch.equal(restored, enlarge(image))


def test_blended_tiles_fade_without_a_step():
    # every tile is constant: its number; the joined result passes from one to the next in small steps
    number = iter(range(100))
    image = torch.zeros(1, 1, 64, 128)
    restored = tiled(lambda tile: torch.full_like(tile, next(number)), image, receptive_field=None, tile=64)
    assert restored[0, 0, :, 0].unique().tolist() == [0.0]
    steps = restored[0, 0, 0].diff()
    assert steps.min() >= 0 and steps.max() < 0.15
    assert restored[0, 0, 0, -1] == next(number) - 1


def test_small_images_are_not_tiled():
    calls = []
    tiled(
        lambda tile: calls.append(tile.shape) or tile, torch.rand(1, 3, 50, 60), receptive_field=None, tile=64
    )
    assert [tuple(shape) for shape in calls] == [(1, 3, 50, 60)]


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(),
                                   RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")])  # fmt: skip
@pytest.mark.parametrize("receptive_field", [6, None])
@pytest.mark.parametrize("tile", [64, "off"])
def test_too_little_memory_halves_the_tile_and_goes_on(error, receptive_field, tile):
    network, finished = Stack(), []

    def function(image):
        if image.shape[-2] * image.shape[-1] > 48 * 48:
            raise error
        finished.append(image.shape)
        return network(image) if receptive_field else image

    image = torch.rand(1, 3, 150, 130)
    with torch.inference_mode():
        restored = tiled(function, image, receptive_field=receptive_field, tile=tile)
        expected = network(image) if receptive_field else image
    assert (restored - expected).abs().max() < 1e-5
    assert finished


def test_finished_tiles_are_kept_when_memory_runs_out():
    calls = []

    def function(image):
        calls.append(tuple(image.shape[-2:]))
        if len(calls) == 3:
            raise MemoryError
        return image

    tiled(function, torch.rand(1, 3, 128, 128), receptive_field=0, tile=64)
    assert calls == [(64, 64)] * 3 + [(32, 32)] * 8


def test_no_memory_at_all_is_an_error_and_other_errors_pass():
    def function(image):
        raise MemoryError

    with pytest.raises(RestorationError) as refusal:
        tiled(function, torch.rand(1, 3, 128, 128), receptive_field=2, tile=64)
    assert str(refusal.value) == "not enough memory even for tiles of 16x16 pixels"

    def broken(image):
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        tiled(broken, torch.rand(1, 3, 8, 8), receptive_field=2)


def test_side_is_a_multiple_and_fits_the_image():
    cpu = torch.device("cpu")
    assert Tiling(multiple=8, tile=100, receptive_field=3).side(cpu, 5000, 5000) == 104
    assert Tiling(multiple=8, tile=100, receptive_field=3).side(cpu, 30, 20) == 32
    assert Tiling(multiple=8, tile="off").side(cpu, 5001, 20) == 5008


@pytest.mark.parametrize("receptive_field", [0, 1, 19, 60, 127, 200, 511, 2000])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_margins_never_cost_more_than_they_must(receptive_field, device):
    side = fast_side(receptive_field, torch.device(device))
    assert side > 0
    assert side + 2 * receptive_field <= max(1024, 4 * receptive_field)


def test_windows_split_in_reading_order():
    assert Window(0, 5, 2, 8).split(4) == [
        Window(0, 4, 2, 6), Window(0, 4, 6, 8), Window(4, 5, 2, 6), Window(4, 5, 6, 8)
    ]  # fmt: skip


def test_ensemble_is_exact_for_what_commutes_and_symmetric_for_the_rest():
    image = torch.rand(2, 3, 12, 17)
    assert torch.equal(self_ensemble(lambda tile: tile)(image), image)
    function = self_ensemble(Stack(scale=2).double())
    image = torch.rand(1, 3, 10, 14, dtype=torch.float64)
    with torch.inference_mode():
        assert torch.allclose(function(image.flip(-1)), function(image).flip(-1), atol=1e-12)
        assert torch.allclose(function(image.mT), function(image).mT, atol=1e-12)


def test_ensemble_equals_the_mean_by_hand():
    network = Stack()
    image = torch.rand(1, 3, 9, 11)
    with torch.inference_mode():
        by_hand = torch.zeros_like(image)
        for turns in range(4):
            for mirror in (False, True):
                turned = torch.rot90(image, turns, (-2, -1))
                turned = turned.flip(-1) if mirror else turned
                result = network(turned)
                result = result.flip(-1) if mirror else result
                by_hand += torch.rot90(result, -turns, (-2, -1)) / 8
        assert (self_ensemble(network)(image) - by_hand).abs().max() < 1e-6


def test_bicubic_enlargement_reaches_two_pixels():
    image = torch.rand(1, 1, 40, 30)
    whole = resize(image, scale=4)
    parts = tiled(lambda tile: resize(tile, scale=4), image, scale=4, receptive_field=2, tile=7)
    assert (whole - parts).abs().max() < 1e-6


def test_pooling_over_the_image_is_blended():
    function = lambda tile: tile - functional.adaptive_avg_pool2d(tile, 1)  # noqa: E731
    image = torch.rand(1, 3, 200, 200)
    restored = tiled(function, image, receptive_field=None, tile=128)
    assert (restored - function(image)).abs().max() < 0.05
