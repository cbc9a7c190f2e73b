"""NAFNet: its start, its names, and what the attention sees."""

import pytest
import torch

from restoration.networks.nafnet import NafBlock, NafNet


def test_has_as_many_parameters_as_the_papers_denoiser():
    with torch.device("meta"):
        network = NafNet(width=64, encoders=(2, 2, 4, 8), middle=12, decoders=(2, 2, 2, 2))
    assert sum(p.numel() for p in network.parameters()) == 115_982_915  # published as 115.98 million


def test_a_new_block_is_the_identity():
    features = torch.randn(1, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    for attention in ("global", "none"):
        assert torch.equal(NafBlock(4, attention)(features), features)


def test_spandrels_nafnet_has_the_same_names_and_output():
    from spandrel.architectures.NAFNet import NAFNet

    torch.manual_seed(0)
    peer = NAFNet(img_channel=3, width=4, middle_blk_num=1, enc_blk_nums=[1, 2], dec_blk_nums=[1, 1]).eval()
    for parameter in peer.parameters():
        parameter.data = torch.randn_like(parameter) * 0.3
    network = NafNet(width=4, encoders=(1, 2), middle=1, decoders=(1, 1)).eval()
    network.load_state_dict(peer.state_dict())
    degraded = torch.rand(2, 3, 12, 16)
    with torch.no_grad():
        expected = peer(degraded)
        torch.testing.assert_close(
            network(degraded), expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item()
        )


def test_refuses_uneven_levels():
    with pytest.raises(ValueError) as refusal:
        NafNet(encoders=(1, 1), decoders=(1,))
    assert str(refusal.value) == "encoders has 2 levels but decoders 1; expected as many"
