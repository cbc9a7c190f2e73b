"""What every network promises, over the table itself."""

import copy
import inspect
import typing

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from restoration.networks import NETWORKS
from restoration.networks.dncnn import DnCnn
from restoration.networks.network import Network
from restoration.networks.resshift_unet import ResShiftUnet
from restoration.networks.transport import Transport
from restoration.transport.gaussian import Gaussian

HDIT = {
    "widths": (16, 32), "depths": (2, 1), "head": 8, "patch": 2, "kernel": 3, "mapping_width": 16,
    "mapping_hidden": 16,
}  # fmt: skip
RESSHIFT_UNET = {
    "width": 32, "levels": (1, 1), "blocks": (1, 1), "attention": (0, 1), "swin_width": 32, "head": 16,
    "window": 2, "size": 4, "expansion": 1.0,
}  # fmt: skip


def resshift(channels: int = 3, **changed: object) -> dict[str, object]:
    """Return settings without a codebook, which is a step: rounding may put a latent on its other side."""
    return {"unet": ResShiftUnet(channels=channels, **RESSHIFT_UNET), "scale": 2, "steps": 2, **changed}


def transport(channels: int = 3, **changed: object) -> dict[str, object]:
    """Return settings around a small network."""
    return {"inner": DnCnn(width=4, depth=3, channels=channels), "channels": channels, "patch": 3, **changed}


def fitted(network: Transport) -> Transport:
    """Return the network with statistics: those that it starts with transport nothing."""
    size = len(network.affine.shift)
    drawn = torch.randn(2, size, 2 * size, generator=torch.Generator().manual_seed(8), dtype=torch.double)
    source, target = (Gaussian(factor.mean(1), factor @ factor.T) for factor in drawn)
    network.fit(source, target, (100, 100))
    return network


# small, but with every kind of layer and step that the defaults have
SMALL = {
    "carn": {"width": 8},
    "diffusers-unet": {
        "widths": (8, 16),
        "blocks": 1,
        "attention": (False, True),
        "head": 8,
        "groups": 4,
    },
    "dncnn": {"width": 8, "depth": 5},
    "espcn": {"width": 8, "narrow": 6},
    "fdncnn": {"width": 8, "depth": 5},
    "ffdnet": {"width": 8, "depth": 5},
    "fsrcnn": {"width": 8, "narrow": 6},
    "edsr": {"width": 8, "blocks": 2},
    "errnet": {"width": 16, "blocks": 2, "squeeze": 2},
    "ibcln": {"width": 4, "dropout": 0.0},
    "imdn": {"width": 12, "blocks": 2, "distilled": 4},
    "imdn-attentive": {"width": 32, "blocks": 2},
    "imdn-chain": {"width": 12, "blocks": 2},
    "imdn-edge": {"width": 12, "blocks": 2},
    "ircnn": {"width": 8},
    "inn": {"couplings": 2, "width": 8},
    "kl-autoencoder": {"widths": (8, 8), "groups": 4},
    "medfe": {"width": 2, "blocks": 1},
    "msrresnet": {"width": 8, "blocks": 2},
    "nafnet": {"width": 4, "encoders": (1, 1), "middle": 1, "decoders": (1, 2)},
    "noise-da": {"width": 4, "levels": 3},
    "pan": {"width": 8, "fine": 6, "blocks": 2},
    "rbpn": {"width": 6, "features": 4, "blocks": 1, "frames": 3},
    "rcan": {"width": 8, "groups": 2, "blocks": 2, "squeeze": 2, "span": 1.0},
    "rfdn": {"width": 16, "blocks": 2},
    "plain-sr": {"width": 8, "blocks": 2},
    "posterior-mean-flow": {"width": 4, "steps": 2, "source": "degraded"},
    "res-unet": {"widths": (4, 8, 8), "blocks": (1, 1, 1)},
    "rrdbnet": {"width": 8, "blocks": 1, "growth": 4},
    "rrformer": {"width": 8, "embedding": 12, "depths": (2, 2), "heads": 2},
    "spandrel": {"architecture": "Compact", "num_feat": 8, "num_conv": 2},
    "srgan-generator": {"width": 8, "blocks": 2},
    "srresnet": {"width": 8, "blocks": 2},
    "upconv-srresnet": {"width": 8, "blocks": 2},
    "vdsr": {"width": 8, "depth": 5},
    "hdit": HDIT,
    "resshift-unet": RESSHIFT_UNET,
    "resshift": resshift,
    "swinir-packed": {"width": 8, "groups": (2, 1), "heads": 2, "window": 2, "packing": 2, "enlargement": 2},
    "transport": transport,
    "vq-autoencoder": {"width": 32, "levels": (1, 1), "blocks": (1, 1), "codes": 3},
}
# the keywords that change grids, and so receptive fields
SHAPES = [
    *((name, {}) for name in NETWORKS if name not in ("res-unet", "spandrel")),
    ("res-unet", {"widths": (2, 2, 2)}),
    *((name, {"scale": scale}) for name in ("edsr", "srresnet") for scale in (2, 3)),
    ("edsr", {"scale": 8, "blocks": 1, "width": 4}),
    *(("msrresnet", {"scale": scale}) for scale in (2, 3)),
    *(("rrdbnet", {"scale": scale, "width": 4}) for scale in (1, 2)),
    *((name, {"scale": scale}) for name in ("carn", "espcn", "fsrcnn", "pan", "vdsr") for scale in (2, 3)),
    *((name, {"scale": scale}) for name in ("imdn-chain", "imdn-edge") for scale in (1, 3)),
    *(("upconv-srresnet", {"scale": s, "enlargement": e}) for s in (2, 3) for e in ("nearest", "shuffle")),
    *(("rrdbnet", {"scale": scale, "width": 4, "packed": False}) for scale in (1, 2, 3)),
    ("carn", {"groups": 4, "shared": True}),
    ("hdit", {"attention": ("shifted-window", "none"), "window": 2}),
    ("errnet", {"squeeze": 0, "pyramid": False}),
    ("imdn", {"scale": 3, "width": 8}),
    ("imdn-attentive", {"scale": 1, "entry": "strided"}),
    ("nafnet", {"attention": "none"}),
    ("plain-sr", {"scale": 3}),
    ("posterior-mean-flow", {"width": 2, "steps": 1, "sigma": 0.0}),
    *(("rbpn", {"scale": scale, "frames": 2, "blocks": 2}) for scale in (2, 8)),
    ("res-unet", {"packing": 1, "blocks": (2, 1, 0)}),
    ("res-unet", {"widths": (4,), "blocks": (1,)}),
]

every = pytest.mark.parametrize("name", NETWORKS)


def built(name: str, *, draw: int = 0, **changed: object) -> Network:
    torch.manual_seed(draw)
    small = SMALL.get(name, {})
    network = NETWORKS[name](**(small(**changed) if callable(small) else {**small, **changed}))
    on_meta = torch.get_default_device().type == "meta"
    return fitted(network) if isinstance(network, Transport) and not on_meta else network


def scrambled(network: Network) -> Network:
    """Return the network with every parameter drawn anew: some start at zero, and hide what lies behind."""
    torch.manual_seed(1)
    for parameter in network.parameters():
        parameter.data = torch.randn_like(parameter) * 0.3
    return network


def close(restored: Tensor, expected: Tensor) -> bool:
    return (restored - expected).abs().max().item() <= 1e-9 * expected.abs().max().item()


def image(network: Network, cells: tuple[int, int] = (5, 4), batch: int = 2) -> Tensor:
    side = network.multiple * -(-4 // network.multiple)
    shape = (batch, seen(network), cells[0] * side, cells[1] * side)
    degraded = torch.rand(shape, generator=torch.Generator().manual_seed(2))
    if "mask" in network.conditions:  # a hole in a corner: where nothing is known, there is nothing to see
        degraded[:, -1] = 0
        degraded[:, -1, : shape[2] // 4, : shape[3] // 4] = 1
    return degraded


def seen(network: Network) -> int:
    """Return how many channels the network takes: the image's, then those of conditions."""
    return network.channels + len(network.conditions)


def test_every_network_has_small_settings_here():
    assert set(SMALL) <= set(NETWORKS)


@every
def test_output_is_scale_times_as_large_for_any_multiple(name):
    network = built(name).eval()
    for cells in ((5, 4), (3, 7)):
        degraded = image(network, cells)
        restored = network(degraded)
        height, width = degraded.shape[-2:]
        assert restored.shape == (2, network.channels, height * network.scale, width * network.scale)


@every
def test_declares_what_callers_read(name):
    network = built(name)
    assert network.scale >= 1 and network.multiple >= 1
    assert network.channels in (1, 3)
    assert network.receptive_field is None or network.receptive_field > 0
    assert all(isinstance(condition, str) for condition in network.conditions)
    assert network.batch_statistics == any(isinstance(m, _BatchNorm) for m in network.modules())


@every
def test_batch_statistics_says_whether_images_influence_each_other_in_training(name):
    network = scrambled(built(name)).train()
    degraded = image(network)
    other = torch.stack((degraded[0], 1 - degraded[1]))
    alone = torch.equal(network(degraded)[0], network(other)[0])
    assert alone == (not network.batch_statistics)


@every
def test_eval_is_deterministic_and_independent_of_the_batch(name):
    network = scrambled(built(name)).double().eval()
    degraded = image(network).double()
    with torch.no_grad():
        restored = network(degraded)
        assert torch.equal(restored, network(degraded))
        assert close(network(degraded[1:]), restored[1:])


@every
def test_gradient_reaches_every_parameter(name):
    network = scrambled(built(name)).train()
    network(image(network)).square().mean().backward()
    silent = [
        key
        for key, p in network.named_parameters()
        if p.requires_grad and (p.grad is None or not p.grad.any())
    ]
    assert silent == []


@every
def test_state_dict_round_trip(name):
    network, fresh = scrambled(built(name)).eval(), built(name).eval()
    degraded = image(network)
    fresh.load_state_dict(network.state_dict())
    with torch.no_grad():
        assert torch.equal(fresh(degraded), network(degraded))


@every
def test_a_copy_is_independent(name):
    network = built(name).eval()
    degraded = image(network)
    with torch.no_grad():
        before = network(degraded)
        scrambled(copy.deepcopy(network))
        assert torch.equal(network(degraded), before)


@every
def test_does_not_write_into_its_input(name):
    network = built(name).train()
    degraded = image(network)
    kept = degraded.clone()
    network(degraded)
    assert torch.equal(degraded, kept)


@every
def test_channels_last_gives_the_same_values(name):
    network = scrambled(built(name)).double().eval()
    degraded = image(network).double()
    with torch.no_grad():
        expected = network(degraded)
        last = network.to(memory_format=torch.channels_last)
        assert close(last(degraded.contiguous(memory_format=torch.channels_last)), expected)


@every
def test_bfloat16_autocast_trains_and_stays_close(name):
    for draw in range(5):  # one that ends in a ReLU may draw weights by which all is black
        network = built(name, draw=draw).eval()
        degraded = image(network)
        with torch.no_grad():
            expected = network(degraded)
        if expected.std() > 0:
            break
    with torch.autocast("cpu", torch.bfloat16):
        restored = network(degraded)
    error = (restored.float() - expected).detach().square().mean().sqrt()
    assert error < 0.02 * (expected.std() + expected.mean().abs())
    restored.float().mean().backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in network.parameters())


@every
def test_compiles_as_one_graph(name):
    network = scrambled(built(name)).double().eval()
    degraded = image(network).double()
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        assert close(compiled(degraded), network(degraded))


@every
def test_runs_on_shapes_alone(name):
    with torch.device("meta"):
        network = built(name)
        degraded = torch.empty(1, seen(network), 4 * network.multiple, 4 * network.multiple)
        assert network(degraded).shape[-1] == 4 * network.multiple * network.scale


@every
def test_keywords_are_typed_and_named(name):
    parameters = list(inspect.signature(NETWORKS[name], eval_str=True).parameters.values())
    assert all(p.annotation is not inspect.Parameter.empty for p in parameters)
    open_ended = [p for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    assert [p.name for p in open_ended] == (["keywords"] if name == "spandrel" else [])
    assert all(typing.get_origin(p.annotation) is not list for p in parameters)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", [n for n in NETWORKS if n != "spandrel"])
def test_grey_and_colour(name, channels):
    network = built(name, channels=channels).eval()
    assert network(image(network)).shape[1] == network.channels == channels


@pytest.mark.parametrize(("name", "changed"), SHAPES, ids=str)
def test_receptive_field_is_the_support_of_the_gradient(name, changed):
    network = _positive(built(name, **changed))
    if network.receptive_field is None:
        assert _support(network, side=4 * network.multiple) >= 2 * network.multiple
    else:
        assert _support(network, side=2 * network.receptive_field + 10) == network.receptive_field


def _positive(network: Network) -> Network:
    """Return the network in double precision with positive parameters, so that no two paths cancel."""
    generator = torch.Generator().manual_seed(3)
    for parameter in network.double().eval().parameters():
        drawn = torch.rand(parameter.shape, generator=generator, dtype=torch.double)
        parameter.data = 0.001 + 0.01 * drawn
    return network


def _support(network: nn.Module, side: int) -> int:
    """Return the farthest input pixel with a gradient, over all phases of the output grid on the diagonal."""
    multiple, scale = network.multiple, network.scale
    side = -(-side // multiple) * multiple
    degraded = torch.rand(1, seen(network), side, side, dtype=torch.double, requires_grad=True)
    restored = network(degraded)
    corner, farthest = side // 2 // multiple * multiple, 0
    for phase in range(multiple * scale):
        pixel = corner * scale + phase
        (gradient,) = torch.autograd.grad(restored[0, :, pixel, pixel].sum(), degraded, retain_graph=True)
        touched = (gradient.abs().sum((0, 1)) > 0).nonzero()
        farthest = max(farthest, (touched - pixel // scale).abs().max().item())
    return farthest
