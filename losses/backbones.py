"""The feature networks that terms may name: convolutional trunks of ImageNet classifiers, and a vision transformer.

Every one takes the state that its authors published and builds the layers itself, so that none is ever used untrained:
weights that are not here are refused by `published.require` or by the name of the package that ships them.
"""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate

from restoration.losses.efficientnet import efficientnet_lite0, shipped_state
from restoration.losses.features import Backbone
from restoration.losses.invertible import shipped_inn
from restoration.losses.published import MissingPackageError, require

State = Mapping[str, Tensor]

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
# convolutions of each of the five stages of VGG (Simonyan and Zisserman, 2015, table 1, columns D and E)
VGG = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
VGG_WIDTHS = (64, 128, 256, 512, 512)


def vgg(name: str, state: State, pool: Callable[[int], nn.Module] | None = None) -> Backbone:
    """Return the trunk of VGG16 or VGG19 (Simonyan and Zisserman, 2015) with torchvision's state.

    Layers are named after stage and place: conv3_2 is before the activation, relu3_2 after it, pool3 ends the stage.
    Another ``pool`` than the maximum is made from the number of channels.
    """
    stages: dict[str, nn.Module] = {}
    smallest, channels = [], 3
    for stage, (count, width) in enumerate(zip(VGG[name], VGG_WIDTHS, strict=True), 1):
        for place in range(1, count + 1):
            stages[f"conv{stage}_{place}"] = nn.Conv2d(channels, width, 3, padding=1)
            stages[f"relu{stage}_{place}"] = nn.ReLU()  # not in place: what comes before it is a layer too
            channels = width
        stages[f"pool{stage}"] = pool(width) if pool else nn.MaxPool2d(2)
        smallest += [2 ** (stage - 1)] * (2 * count) + [2**stage]
    last = f"conv5_{VGG[name][-1]}"
    return _filled(Backbone(name, stages, **IMAGENET, smallest=smallest, usual=(last,)), state)


def vgg16_l2pool(state: State) -> Backbone:
    """Return VGG16 with the pooling of DISTS: roots of Hann-weighted means of squares (Ding et al., 2020, eq. 2)."""
    trunk = vgg("vgg16", state, L2Pool)
    trunk.name, trunk.usual = "vgg16-l2pool", DISTS_LAYERS
    return trunk


DISTS_LAYERS = ("relu1_2", "relu2_2", "relu3_3", "relu4_3", "relu5_3")


class L2Pool(nn.Module):
    """``√(g * x²)`` at every second pixel, g the 3×3 Hann window of sum 1 (Hénaff and Simoncelli, 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        window = torch.tensor([0.25, 0.5, 0.25])
        self.register_buffer("window", torch.outer(window, window).expand(channels, 1, 3, 3).clone())

    def forward(self, x: Tensor) -> Tensor:
        """Return the map at half the size."""
        means = conv2d(x.square(), self.window, stride=2, padding=1, groups=x.shape[1])
        return (means + 1e-12).sqrt()  # the root has a slope at 0 too


def alexnet(state: State) -> Backbone:
    """Return the trunk of AlexNet (Krizhevsky, 2014, one column) with torchvision's state: conv1, relu1, pool1 …"""
    stages = {
        "conv1": nn.Conv2d(3, 64, 11, stride=4, padding=2), "relu1": nn.ReLU(), "pool1": nn.MaxPool2d(3, 2),
        "conv2": nn.Conv2d(64, 192, 5, padding=2), "relu2": nn.ReLU(), "pool2": nn.MaxPool2d(3, 2),
        "conv3": nn.Conv2d(192, 384, 3, padding=1), "relu3": nn.ReLU(),
        "conv4": nn.Conv2d(384, 256, 3, padding=1), "relu4": nn.ReLU(),
        "conv5": nn.Conv2d(256, 256, 3, padding=1), "relu5": nn.ReLU(), "pool5": nn.MaxPool2d(3, 2),
    }  # fmt: skip
    smallest = [7] * 2 + [15] * 3 + [31] * 7 + [63]
    return _filled(Backbone("alexnet", stages, **IMAGENET, smallest=smallest, usual=("relu5",)), state)


def squeezenet(state: State) -> Backbone:
    """Return the trunk of SqueezeNet 1.1 (Iandola et al., 2016) with torchvision's state: conv1, relu1, fire2 …"""
    stages: dict[str, nn.Module] = {"conv1": nn.Conv2d(3, 64, 3, stride=2), "relu1": nn.ReLU()}
    channels = 64
    for number, width in enumerate((64, 64, 128, 128, 192, 192, 256, 256), 2):
        if number in (2, 4, 6):
            stages[f"pool{number - 1}"] = nn.MaxPool2d(3, 2, ceil_mode=True)
        stages[f"fire{number}"] = Fire(channels, width // 4, width)
        channels = 2 * width
    smallest = [3] * 2 + [5] * 3 + [9] * 3 + [17] * 5
    return _filled(Backbone("squeezenet", stages, **IMAGENET, smallest=smallest, usual=("fire9",)), state)


class Fire(nn.Module):
    """Squeeze to few channels, expand by 1×1 and by 3×3 convolutions side by side (Iandola et al., 2016, figure 1)."""

    def __init__(self, channels: int, squeezed: int, width: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, width, 1)
        self.expand3x3 = nn.Conv2d(squeezed, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return twice ``width`` channels, after their activation."""
        x = self.squeeze(x).relu()
        return torch.cat([self.expand1x1(x), self.expand3x3(x)], 1).relu()


def dinov2(state: State) -> Backbone:
    """Return DINOv2 ViT-S/14 (Oquab et al., 2024) with its authors' state, built by timm.

    Layers are normalised tokens as maps (N, 384, tokens, 1): ``tokens``, of which ``cls`` is the first and
    ``patches`` are the others, in rows. Images are resized to the nearest multiple of 14 pixels.
    """
    try:
        import timm
        from timm.models.vision_transformer import checkpoint_filter_fn
    except ModuleNotFoundError as error:
        raise MissingPackageError(
            f"features 'dinov2' are built by timm ({error})\npip install \"restoration-suite[features]\""
        ) from None
    network = timm.create_model(
        "vit_small_patch14_dinov2.lvd142m", pretrained=False, num_classes=0, dynamic_img_size=True
    )
    network.load_state_dict(checkpoint_filter_fn(dict(state), network))
    stages = {"tokens": Tokens(network), "cls": Rows(0, 1), "patches": Rows(1, None)}
    after = {"cls": "tokens", "patches": "tokens"}
    return Backbone("dinov2", stages, **IMAGENET, smallest=[14] * 3, usual=("patches",), after=after)


class Tokens(nn.Module):
    """The normalised tokens of a vision transformer as a map: (N, C, tokens, 1), the class token first."""

    def __init__(self, network: nn.Module, patch: int = 14) -> None:
        super().__init__()
        self.network, self.patch = network, patch

    def forward(self, image: Tensor) -> Tensor:
        """Return the tokens of an image."""
        size = [max(1, round(side / self.patch)) * self.patch for side in image.shape[-2:]]
        if size != list(image.shape[-2:]):
            image = interpolate(image, size, mode="bicubic", antialias=True)
        return self.network.forward_features(image).transpose(1, 2)[..., None]


class Rows(nn.Module):
    """Some rows of a map."""

    def __init__(self, first: int, end: int | None) -> None:
        super().__init__()
        self.rows = slice(first, end)

    def forward(self, x: Tensor) -> Tensor:
        """Return the rows."""
        return x[:, :, self.rows]


def _filled(trunk: Backbone, state: State) -> Backbone:
    """Fill the stages from the ``features`` of a torchvision classifier, whose order is that of the stages."""
    prefix = "features."
    own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    pools = {key: value for key, value in trunk.stages.state_dict().items() if key.endswith(".window")}
    trunk.stages.load_state_dict(own | pools)
    return trunk


def _weights(name: str) -> State:
    return torch.load(require(name), map_location="cpu", weights_only=True)


def _published_alexnet() -> Backbone:
    """AlexNet trained on ImageNet (Krizhevsky, 2014, one column).

    Layers conv1 to conv5, relu1 to relu5, pool1, pool2, pool5. Weights: `restoration weights fetch alexnet`, 233 MB.
    """
    return alexnet(_weights("alexnet"))


def _published_dinov2() -> Backbone:
    """DINOv2 ViT-S/14, trained without labels (Oquab et al., 2024).

    Layers tokens, cls, patches. Weights: `restoration weights fetch dinov2`, 88 MB; timm of the extra `features`.
    """
    return dinov2(_weights("dinov2"))


def _shipped_efficientnet() -> Backbone:
    """EfficientNet-Lite0 trained on ImageNet (Tan & Le, 2019; Liu, 2020).

    Layers stem, block0 to block15, head. The extra `features` brings the weights.
    """
    return efficientnet_lite0(shipped_state())


def _published_squeezenet() -> Backbone:
    """SqueezeNet 1.1 trained on ImageNet (Iandola et al., 2016).

    Layers conv1, relu1, fire2 to fire9, pool1, pool3, pool5. Weights: `restoration weights fetch squeezenet`, 5 MB.
    """
    return squeezenet(_weights("squeezenet"))


def _published_vgg16() -> Backbone:
    """VGG16 trained on ImageNet (Simonyan & Zisserman, 2015).

    Layers conv1_1 to conv5_3, relu1_1 to relu5_3, pool1 to pool5. Weights: `restoration weights fetch vgg16`, 528 MB.
    """
    return vgg("vgg16", _weights("vgg16"))


def _published_vgg16_l2pool() -> Backbone:
    """VGG16 with the pooling of DISTS (Ding et al., 2020, eq. 2).

    Layers and weights are those of vgg16.
    """
    return vgg16_l2pool(_weights("vgg16"))


def _published_vgg19() -> Backbone:
    """VGG19 trained on ImageNet (Simonyan & Zisserman, 2015).

    Layers conv1_1 to conv5_4, relu1_1 to relu5_4, pool1 to pool5. Weights: `restoration weights fetch vgg19`, 548 MB.
    """
    return vgg("vgg19", _weights("vgg19"))


BACKBONES: dict[str, Callable[[], Backbone]] = {
    "alexnet": _published_alexnet,
    "dinov2": _published_dinov2,
    "efficientnet-lite0": _shipped_efficientnet,
    "inn": shipped_inn,
    "squeezenet": _published_squeezenet,
    "vgg16": _published_vgg16,
    "vgg16-l2pool": _published_vgg16_l2pool,
    "vgg19": _published_vgg19,
}
