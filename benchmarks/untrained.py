"""Feature networks with drawn weights, ours and other projects': for equal values and for times, never for scores.

What a term costs, and whether two projects compute the same, does not depend on what a network has learnt. Both can so
be measured where the published files are not. No command of the suite reaches these.
"""

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor, nn

from restoration.benchmarks.peers import basicsr, peer
from restoration.losses import backbones, features, lpips, published
from restoration.losses.features import Backbone

State = Mapping[str, Tensor]
NAMES = ("alexnet", "squeezenet", "vgg16", "vgg16-l2pool", "vgg19")
COLUMNS = {"vgg16": "D", "vgg19": "E"}  # of VGG's table 1


def torchvision_layers(name: str) -> nn.Sequential:
    """Return torchvision's own trunk of that name, with whatever it starts with."""
    from torchvision.models import AlexNet, squeezenet1_1
    from torchvision.models.vgg import cfgs, make_layers

    if name in COLUMNS:
        return make_layers(cfgs[COLUMNS[name]])
    return {"alexnet": AlexNet, "squeezenet": squeezenet1_1}[name]().features


@lru_cache
def trunk_state(name: str) -> State:
    """Return a seeded state of a torchvision classifier's trunk whose kernels keep the size of what passes."""
    rng = torch.Generator("cpu").manual_seed(0)
    state = {}
    with torch.device("meta"):  # only names and shapes
        layers = torchvision_layers(name)
    for key, parameter in layers.named_parameters():
        size = (2 / parameter[0].numel()) ** 0.5 if parameter.ndim == 4 else 0.1
        state[f"features.{key}"] = size * torch.randn(parameter.shape, generator=rng, device="cpu")
    return state


@lru_cache
def dists_state() -> State:
    """Return seeded α and β in the layout of the authors' file; like those of piq they sum to 1."""
    both = torch.rand(2, 1, sum(lpips.CHANNELS), 1, 1, generator=torch.Generator().manual_seed(3))
    alpha, beta = both / both.sum()
    return {"alpha": alpha, "beta": beta}


@contextmanager
def drawn_trunks() -> Iterator[None]:
    """Put drawn weights where published ones would be, as long as the block lasts."""
    table = {name: lambda name=name: _trunk(name) for name in NAMES}
    features.backbone.cache_clear()
    try:
        with mock.patch.dict(backbones.BACKBONES, table):
            yield
    finally:
        features.backbone.cache_clear()


@contextmanager
def drawn_dists() -> Iterator[None]:
    """Put α and β into the catalogue, as long as the block lasts; three times too large: the loss divides by all."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "dists.pth"
        torch.save({key: 3 * value for key, value in dists_state().items()}, path)
        entry = published.Entry(path.name, published.digest(path), 1, "", "", "")
        lpips.dists_weights.cache_clear()
        try:
            with (
                mock.patch.dict(os.environ, {published.FOLDER_VARIABLE: folder}),
                mock.patch.dict(published.CATALOGUE, {"dists": entry}),
            ):
                yield
        finally:
            lpips.dists_weights.cache_clear()


def lpips_package(net: str) -> nn.Module:
    """Return LPIPS of the package ``lpips`` over the drawn trunk of that name: "alex", "vgg" or "squeeze"."""
    package = peer("lpips", "lpips")
    # without the classifier, whose hundred million weights would be drawn for nothing
    with mock.patch("lpips.pretrained_networks.tv.vgg16", lambda pretrained: _classifier("vgg16")):
        measure = package.LPIPS(net=net, pnet_rand=True, verbose=False)
    state = trunk_state(lpips.TRUNKS[net][0])
    # the package cuts torchvision's trunk into slices and keeps the number of each layer
    own = {key: state[f"features.{key.split('.', 1)[1]}"] for key in measure.net.state_dict()}
    measure.net.load_state_dict(own)
    return measure


def piq_dists(reduction: str = "none") -> nn.Module:
    """Return DISTS of piq over the drawn VGG16 with the drawn α and β."""
    piq = peer("piq", "piq")
    with (
        mock.patch("piq.perceptual.vgg16", lambda **_: _classifier("vgg16")),
        mock.patch.object(torch.hub, "load_state_dict_from_url", lambda *_, **__: dict(dists_state())),
    ):
        return piq.DISTS(reduction=reduction)


def basicsr_perceptual(layers: Mapping[str, float], perceptual: float, style: float) -> nn.Module:
    """Return BasicSR's PerceptualLoss over the drawn VGG19."""
    module = basicsr("losses.basic_loss")
    torchvision_vgg = sys.modules["torchvision.models.vgg"]
    with mock.patch.object(torchvision_vgg, "vgg19", lambda pretrained: _classifier("vgg19")):
        return module.PerceptualLoss(dict(layers), perceptual_weight=perceptual, style_weight=style)


def _classifier(name: str) -> type:
    """Return what torchvision's constructor would, as far as others ask for it: an object with ``features``."""
    layers = torchvision_layers(name)
    layers.load_state_dict({key.removeprefix("features."): value for key, value in trunk_state(name).items()})
    return type("Classifier", (), {"features": layers})


@lru_cache
def _trunk(name: str) -> Backbone:
    state = trunk_state(name.removesuffix("-l2pool"))
    if name in backbones.VGG:
        return backbones.vgg(name, state)
    makers = {
        "alexnet": backbones.alexnet,
        "squeezenet": backbones.squeezenet,
        "vgg16-l2pool": backbones.vgg16_l2pool,
    }
    return makers[name](state)
