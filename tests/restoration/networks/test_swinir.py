"""SwinIR on packed pixels: sizes, scales, and windows that see each other through the shift."""

import pytest
import torch

from restoration.networks.swinir import SwinIrPacked

SMALL = {"width": 8, "groups": (2,), "heads": 2, "window": 2, "packing": 2, "enlargement": 2}


@pytest.mark.parametrize(
    ("keywords", "expected"), [({}, 4_741_007), ({"width": 180, "groups": (6,) * 8}, 15_792_587)]
)
def test_sizes_are_those_of_the_authors(keywords, expected):
    with torch.device("meta"):
        network = SwinIrPacked(**keywords)
    assert sum(p.numel() for p in network.parameters()) == expected
    assert (network.scale, network.multiple) == (1, 64)


@pytest.mark.parametrize(("packing", "enlargement"), [(1, 2), (1, 4), (2, 8), (4, 4)])
def test_scale_is_what_enlargement_leaves_of_packing(packing, enlargement):
    network = SwinIrPacked(**SMALL | {"packing": packing, "enlargement": enlargement})
    image = torch.rand(1, 3, 2 * network.multiple, network.multiple)
    assert network(image).shape[-1] == network.multiple * enlargement // packing


def test_windows_exchange_pixels_in_every_second_layer_alone():
    def touched(groups: tuple[int, ...]) -> torch.Tensor:
        torch.manual_seed(0)
        grid = torch.rand(1, 8, 8, 8, requires_grad=True)
        block = SwinIrPacked(**SMALL | {"groups": groups}).layers[0].residual_group["blocks"][-1]
        block(grid)[0, 2, 2].sum().backward()
        return (grid.grad.abs().sum((0, 3)) > 0).nonzero()

    assert touched((1,)).min() == 2 and touched((1,)).max() == 3
    assert touched((2,)).min() == 1 and touched((2,)).max() == 2


def test_misfits_are_refused():
    with pytest.raises(ValueError, match="enlargement = 3: expected 2, 4 or 8"):
        SwinIrPacked(enlargement=3)
    with pytest.raises(ValueError, match="expected a multiple of packing"):
        SwinIrPacked(packing=8, enlargement=4)


def test_halves_of_layers_are_left_out_in_training_alone_and_ever_more_often():
    network = SwinIrPacked(**SMALL | {"groups": (2, 3), "drop": 0.4})
    blocks = [block for layer in network.layers for block in layer.residual_group["blocks"]]
    assert [block.drop.drop_prob for block in blocks] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    images, last = torch.ones(4000, 2, 2, 1), blocks[-1].drop
    assert torch.equal(last.eval()(images), images)
    torch.manual_seed(0)
    dropped = last.train()(images)
    assert torch.equal(dropped, dropped[:, :1, :1].expand_as(dropped))  # of an image, all or nothing
    assert sorted({round(float(x), 4) for x in dropped.flatten()}) == [0, pytest.approx(1 / 0.6, abs=1e-4)]
    assert float(dropped.mean()) == pytest.approx(1, abs=0.05)
    with pytest.raises(ValueError, match=r"drop = 1\.0; expected a number from 0, below 1"):
        SwinIrPacked(drop=1.0)


def test_without_dropping_training_is_as_restoring():
    torch.manual_seed(0)
    network = SwinIrPacked(**SMALL)
    image = torch.rand(1, 3, 8, 8)
    assert torch.equal(network.train()(image), network.eval()(image))
