"""Every architecture of spandrel's: keywords checked, and one step of training each."""

import copy
import inspect

import pytest
import torch

from restoration.config import build, check
from restoration.errors import ConfigError
from restoration.networks import NETWORKS
from restoration.networks.spandrel import APPLY_ONLY, Spandrel, _registry, architectures

# spandrel's own code warns of what torch will change
pytestmark = pytest.mark.filterwarnings("ignore")

LEVELS = [1, 1, 1, 1, 1, 1, 1, 1, 1]
# keywords that make each architecture as small as it goes
TINY = {
    "ATD": {"embed_dim": 12, "depths": [1], "num_heads": [2], "upscale": 2, "upsampler": "pixelshuffledirect",
            "img_size": 16, "category_size": 16, "num_tokens": 8},
    "CRAFT": {"embed_dim": 12, "depths": [1], "num_heads": [2]},
    "Compact": {"num_feat": 8, "num_conv": 3},
    "DAT": {"embed_dim": 16, "depth": [2], "num_heads": [2], "img_size": 16},
    "DCTLSA": {"nf": 10},
    "DITN": {"dim": 12, "ITL_blocks": 1, "SAL_blocks": 1},
    "DRCT": {"embed_dim": 24, "depths": [6], "num_heads": [2], "img_size": 16, "window_size": 8, "upscale": 2,
             "upsampler": "pixelshuffle", "gc": 4},
    "DRUNet": {"in_nc": 4, "out_nc": 3, "nc": [8, 8, 8, 8], "nb": 2},
    "DnCNN": {"nc": 8, "nb": 9},
    "ESRGAN": {"num_filters": 8, "num_blocks": 1},
    "FBCNN": {"nc": [8, 8, 8, 512], "nb": 2},
    "FDAT": {"embed_dim": 16, "num_groups": 1, "depth_per_group": 2, "num_heads": 2, "mid_dim": 8},
    "FFTformer": {"dim": 8, "num_blocks": [1, 1, 1], "num_refinement_blocks": 1},
    "GRL": {"embed_dim": 16, "depths": [2], "num_heads_window": [2], "num_heads_stripe": [2], "upscale": 2,
            "upsampler": "pixelshuffledirect", "img_size": 16},
    "HAT": {"embed_dim": 12, "depths": [2], "num_heads": [2], "window_size": 8, "upscale": 2, "num_feat": 16,
            "squeeze_factor": 6},
    "HVICIDNet": {"channels": [8, 8, 16, 32], "heads": [1, 1, 2, 2]},
    "IPT": {"patch_size": 12, "n_feats": 8, "num_heads": 2, "num_layers": 1, "scale": [2]},
    "KBNet": {"variant": "KBNet_s", "width": 8, "middle_blk_num": 1, "enc_blk_nums": [1, 1], "dec_blk_nums": [1, 1]},
    "MMRealSR": {"num_in_ch": 3, "num_out_ch": 3, "num_feat": 8, "num_block": 1, "num_grow_ch": 4,
                 "num_feats": [8, 8, 8, 8]},
    # eight channels make oneDNN's bfloat16 depthwise backward pass crash (torch 2.14)
    "MixDehazeNet": {"embed_dims": [16, 16, 16, 16, 16], "depths": [1, 1, 1, 1, 1]},
    "MoESR": {"dim": 16, "n_blocks": 1, "n_block": 1, "upsample_dim": 8},
    "MoSR": {"n_block": 2, "dim": 16},
    "NAFNet": {"width": 8, "enc_blk_nums": [1], "dec_blk_nums": [1]},
    "OmniSR": {"num_feat": 8},
    "PLKSR": {"variant": "RealPLKSR", "dim": 8, "n_blocks": 2},
    "RCAN": {"n_resgroups": 1, "n_resblocks": 1, "n_feats": 16},
    "RGT": {"embed_dim": 16, "depth": [2], "num_heads": [2], "img_size": 16},
    "RealCUGAN": {"variant": "UpCunet2x"},
    "RetinexFormer": {"n_feat": 8, "stage": 1},
    "SAFMN": {"dim": 8, "n_blocks": 1},
    "SAFMNBCIE": {"dim": 8, "n_blocks": 1, "num_layers": 1},
    "SCUNet": {"config": [1, 1, 1, 1, 1, 1, 1], "dim": 64},
    "SPAN": {"num_in_ch": 3, "num_out_ch": 3, "feature_channels": 8},
    "SeemoRe": {"num_experts": 2, "num_layers": 1, "embedding_dim": 8},
    "Swin2SR": {"embed_dim": 12, "depths": [2], "num_heads": [2], "window_size": 8, "img_size": 16,
                "upsampler": "pixelshuffledirect"},
    "SwiftSRGAN": {"num_channels": 8, "num_blocks": 1},
    "SwinIR": {"embed_dim": 12, "depths": [2], "num_heads": [2], "window_size": 8, "upscale": 2, "img_size": 16,
               "upsampler": "pixelshuffledirect"},
    "Uformer": {"embed_dim": 8, "depths": LEVELS, "num_heads": LEVELS, "img_size": 128},
}  # fmt: skip


def spec(architecture: str, **changed: object) -> dict[str, object]:
    return {"name": "spandrel", "architecture": architecture, **TINY.get(architecture, {}), **changed}


def built(architecture: str) -> Spandrel:
    torch.manual_seed(0)
    return build(NETWORKS, spec(architecture), "network", "network")


def refusal(table: dict[str, object]) -> str:
    with pytest.raises(ValueError) as caught:
        build(NETWORKS, table, "network", "network")
    return str(caught.value).removeprefix("network: ")


def test_how_many_architectures_can_be_trained():
    trainable = set(architectures())
    print(f"\n{len(trainable)} of {len(_registry())} architectures of spandrel's can be trained")
    assert len(trainable) >= 30
    assert trainable == set(TINY)
    assert trainable | set(APPLY_ONLY) == set(_registry())


@pytest.mark.parametrize("architecture", sorted(TINY))
def test_one_step_of_training(architecture):
    # as experiments train by default: channels-last and bfloat16
    network = built(architecture).train().to(memory_format=torch.channels_last)
    degraded = torch.rand(2, network.channels, 20, 24).contiguous(memory_format=torch.channels_last)
    kept = degraded.clone()
    clean = torch.rand(2, network.channels, 20 * network.scale, 24 * network.scale)
    optimizer = torch.optim.SGD(network.parameters(), 1e-2)
    before = copy.deepcopy(network.state_dict())
    with torch.autocast("cpu", torch.bfloat16):
        restored = network(degraded)
    loss = (restored.float() - clean).abs().mean()
    loss.backward()
    optimizer.step()
    assert torch.isfinite(loss)
    assert any(not torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert torch.equal(degraded, kept)
    with torch.no_grad():
        assert network.eval()(degraded).shape == clean.shape


@pytest.mark.parametrize("architecture", sorted(TINY))
def test_keywords_have_types_that_their_defaults_meet(architecture):
    resolved = check(NETWORKS, spec(architecture), "network", "network")
    parameters = Spandrel.keywords(spec(architecture))
    defaults = {
        k: p.default for k, p in parameters.items() if p.default not in (inspect.Parameter.empty, None)
    }
    assert {k: v for k, v in resolved.items() if k in TINY[architecture]} == TINY[architecture]
    assert set(defaults) <= set(resolved)
    assert check(NETWORKS, resolved, "network", "network") == resolved


def test_scale_channels_and_multiple_come_from_the_keywords():
    network = build(NETWORKS, spec("SwinIR", upscale=3), "network", "network")
    assert (network.scale, network.channels, network.multiple) == (3, 3, 1)
    network = build(NETWORKS, spec("DITN", upscale=2), "network", "network")
    assert (network.scale, network.multiple) == (2, 8)
    assert built("DnCNN").batch_statistics
    assert built("DnCNN").channels == 1


def test_same_values_as_spandrels_own_call():
    from spandrel import MAIN_REGISTRY

    network = built("SwinIR").eval()
    descriptor = MAIN_REGISTRY["SwinIR"].architecture.load(network.adapter.model.state_dict())
    degraded = torch.rand(1, 3, 20, 24)
    with torch.no_grad():
        restored = network(degraded).clamp(0, 1)
    torch.testing.assert_close(restored, descriptor.eval()(degraded))


def test_misspelt_architecture():
    assert refusal(spec("swinir")) == "unknown architecture 'swinir'; did you mean 'SwinIR'?"
    assert refusal(spec("SwimIR")) == "unknown architecture 'SwimIR'; did you mean 'SwinIR'?"


def test_apply_only_architecture_says_why():
    assert refusal(spec("LaMa")) == (
        "architecture 'LaMa' can be applied but not trained: takes a mask beside the image; "
        "inpainting networks are trained by methods that draw masks"
    )


def test_misspelt_keyword():
    with pytest.raises(ConfigError) as caught:
        check(NETWORKS, spec("SwinIR", windowsize=8), "network", "network")
    message = "network.windowsize: unknown key of network 'spandrel'; did you mean 'window_size'?"
    assert str(caught.value) == message


def test_keyword_of_the_wrong_type_is_refused_by_the_type_of_its_default():
    with pytest.raises(ConfigError) as caught:
        check(NETWORKS, spec("SwinIR", window_size=8.5), "network", "network")
    assert str(caught.value) == "network.window_size = 8.5: expected a whole number"


def test_keywords_that_do_not_fit_each_other():
    assert refusal(spec("SwinIR", window_size=7)).startswith("SwinIR cannot be built with these keywords: ")


def test_variant_of_an_architecture_with_several():
    assert type(built("KBNet").adapter.model).__name__ == "KBNet_s"
    assert (
        refusal(spec("KBNet", variant="KBNet_m")) == "variant = 'KBNet_m': expected one of KBNet_l, KBNet_s"
    )
