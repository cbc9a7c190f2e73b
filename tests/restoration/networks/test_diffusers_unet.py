"""diffusers' U-Net: its tensors, the time of each image, what it sees beside, and what does not fit."""

import pytest
import torch

from restoration.networks.diffusers_unet import DiffusersUnet
from restoration.networks.posterior_mean_flow import PosteriorMeanFlow

SMALL = {"widths": (8, 16), "blocks": 1, "attention": (False, True), "head": 8, "groups": 4}
pytestmark = pytest.mark.slow  # diffusers takes seconds to import


def drawn(**keywords: object) -> DiffusersUnet:
    torch.manual_seed(0)
    return DiffusersUnet(**SMALL, **keywords).double().eval()


def test_it_is_the_model_of_diffusers_at_a_thousand_times_the_time():
    from diffusers import UNet2DModel

    network = drawn()
    model = UNet2DModel(
        in_channels=3, out_channels=3, block_out_channels=(8, 16), layers_per_block=1,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=8, norm_num_groups=4,
    ).double()  # fmt: skip
    model.load_state_dict({k.removeprefix("model."): v for k, v in network.state_dict().items()})
    image = torch.rand(2, 3, 8, 12, dtype=torch.double, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = model(image, torch.tensor([250.0, 900.0])).sample
        torch.testing.assert_close(network(image, torch.tensor([0.25, 0.9])), expected)
        torch.testing.assert_close(network(image), model(image, 0).sample)


def test_default_size():
    with torch.device("meta"):
        network = DiffusersUnet()
    assert sum(p.numel() for p in network.parameters()) == 26_623_363
    assert (network.multiple, network.receptive_field, network.seen) == (8, None, 0)


def test_every_image_has_its_own_time_and_sees_its_own_image():
    network = drawn(seen=3)
    between, seen = torch.rand(2, 1, 3, 8, 8, dtype=torch.double, generator=torch.Generator().manual_seed(1))
    pair, t = between.expand(2, -1, -1, -1), torch.tensor([0.1, 0.7], dtype=torch.double)
    with torch.no_grad():
        early, late = network(pair, t, seen.expand(2, -1, -1, -1))
        assert (early - late).abs().max() > 1e-4
        torch.testing.assert_close(network(between, t[1:], seen)[0], late)
        assert (network(between, t[1:], 1 - seen)[0] - late).abs().max() > 1e-4


def test_it_is_the_velocity_of_a_flow():
    flow = PosteriorMeanFlow(velocity=drawn(seen=3).float(), source="noise", condition="degraded", steps=2)
    image = torch.rand(1, 3, 8, 12, generator=torch.Generator().manual_seed(1))
    assert flow.multiple == 2 and flow(image).shape == image.shape
    with pytest.raises(ValueError, match="velocity has channels 3 and sees 3 more; expected 3 and 0"):
        PosteriorMeanFlow(velocity=drawn(seen=3), source="degraded")


def test_widths_that_do_not_attend_may_be_no_multiple_of_a_head():
    network = DiffusersUnet(widths=(16, 32), blocks=1, head=32, groups=16, attention=(False, True))
    assert network(torch.rand(1, 3, 8, 8)).shape == (1, 3, 8, 8)


@pytest.mark.parametrize(
    ("keywords", "line"),
    [
        ({"widths": (8, 16, 32)}, "3 widths, 2 of attention: expected one of each per level"),
        ({"groups": 3}, "widths = (8, 16): 8 is no multiple of groups = 3"),
        ({"groups": 0}, "groups = 0, head = 8; expected numbers from 1"),
        ({"head": 0}, "groups = 4, head = 0; expected numbers from 1"),
        ({"head": 12}, "widths = (8, 16): 16, which attends, is no multiple of head = 12"),
        (
            {"head": 16, "attention": (True, False)},
            "widths = (8, 16): 8, which attends, is no multiple of head = 16",
        ),
        (
            {"widths": (8, 12), "attention": (True, False)},
            "widths = (8, 12): 12, which attends, is no multiple of head = 8",
        ),
    ],
)
def test_misfits_are_one_line(keywords, line):
    with pytest.raises(ValueError) as caught:
        DiffusersUnet(**SMALL | keywords)
    assert str(caught.value) == line
