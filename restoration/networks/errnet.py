"""ERRNet and BaseNet: reflection removal by residual blocks, a pyramid of means, and columns of VGG features."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from restoration.losses.features import backbone
from restoration.networks.layers import Strided, Transposed, conv3, enlarged_to, receptive_radius
from restoration.networks.network import Network

Columns = Literal["none", "relu-1", "relu-2"]
COLUMN_WIDTHS = (64, 128, 256, 512, 512)  # of VGG19's five stages
COLUMNS = sum(COLUMN_WIDTHS)
POOLS = (4, 8, 16, 32)
LEAST = POOLS[-1]  # the side below which the coarsest mean and the deepest features are empty


class Errnet(Network):
    """Reflection removal (Wei et al., 2019): 18,576,547 parameters, 18,953,379 with VGG columns.

    BaseNet (18,162,947) is the one without ``pyramid`` and with ``squeeze`` = 0. ``columns`` adds to the image
    what VGG19 sees in it, after the first ("relu-1", as published) or second activation of each stage; VGG19's
    own weights are in no checkpoint and come from the weights folder. ``further`` counts channels that the caller
    stacks after the image's, such as columns of another network. The result is a ReLU's, so nowhere negative.
    """

    multiple = 2

    def __init__(
        self,
        *,
        channels: int = 3,
        width: int = 256,
        blocks: int = 13,
        squeeze: int = 8,
        pyramid: bool = True,
        columns: Columns = "none",
        further: int = 0,
        residual_scale: float = 0.1,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.conditions = ("column",) * further
        self.pyramid_or_columns = pyramid or columns != "none"
        self.edge = "repeated" if self.pyramid_or_columns else "mirrored"
        if not self.pyramid_or_columns and not squeeze:
            self.receptive_field = receptive_radius(1, Strided(3, 2, 1), 2 * blocks, Transposed(4, 2, 1), 1)
        self.conv1 = Stem(channels + further, width, columns)
        self.conv2 = conv3(width, width)
        self.conv3 = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.body = nn.Sequential(*[SqueezedBlock(width, squeeze, residual_scale) for _ in range(blocks)])
        self.deconv1 = nn.ConvTranspose2d(width, width, 4, stride=2, padding=1)
        self.deconv2 = conv3(width, width)
        self.pyramid = Pyramid(width) if pyramid else nn.Identity()
        self.deconv3 = nn.Conv2d(width, channels, 1)

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the image behind the reflection.

        The official input, with all columns stacked after the image (N, 1475, H, W), is taken as well.
        """
        height, width = degraded.shape[-2:]
        padded = enlarged_to(degraded, LEAST, 2) if self.pyramid_or_columns else degraded
        features = self.conv2(self.conv1(padded).relu()).relu()
        features = self.body(self.conv3(features).relu())
        features = self.deconv2(self.deconv1(features).relu()).relu()
        return self.deconv3(self.pyramid(features)).relu()[..., :height, :width]


class Stem(nn.Conv2d):
    """A 1×1 convolution of an image stacked with its VGG19 features, enlarged bilinearly, that stacks nothing.

    ``W·[x, U f₁, …, U f₅] = W₀ x + Σ U(Wᵢ fᵢ)``: a 1×1 convolution and an enlargement U commute, so a map of 1472
    channels at full size never exists. The features are constants: no gradient runs through VGG19, which sees the
    image as it is, without ImageNet's mean and deviation.
    """

    def __init__(self, channels: int, width: int, columns: Columns) -> None:
        super().__init__(channels + (0 if columns == "none" else COLUMNS), width, 1)
        self.plain = channels
        self.layers = [f"relu{stage}_{columns[-1]}" for stage in range(1, 6)]

    def forward(self, image: Tensor) -> Tensor:
        """Return what the convolution makes of the image (N, C, H, W) and its columns, or of a given stack."""
        if image.shape[1] == self.in_channels:
            return super().forward(image)
        own, *weights = self.weight.split((self.plain, *COLUMN_WIDTHS), 1)
        result = functional.conv2d(image, own, self.bias)
        for features, weight in zip(self._features(image), weights, strict=True):
            reduced = functional.conv2d(features.to(image.dtype), weight)
            result = result + functional.interpolate(reduced, image.shape[-2:], mode="bilinear")
        return result

    def _features(self, image: Tensor) -> list[Tensor]:
        trunk = backbone("vgg19")
        with torch.no_grad(), torch.autocast(image.device.type, enabled=False):
            trunk.to(image.device)
            seen = image[:, :3].float() * trunk.std.float() + trunk.mean.float()  # which the trunk undoes
            return trunk(seen, self.layers)


class SqueezedBlock(nn.Module):
    """Convolution, ReLU, convolution, channels weighted by their means (Hu et al., 2018), scaled and added."""

    def __init__(self, width: int, squeeze: int, residual_scale: float) -> None:
        super().__init__()
        self.residual_scale = residual_scale
        self.conv1 = conv3(width, width)
        self.conv2 = conv3(width, width)
        self.weigh = (
            nn.Sequential(
                nn.Linear(width, width // squeeze),
                nn.ReLU(),
                nn.Linear(width // squeeze, width),
                nn.Sigmoid(),
            )
            if squeeze
            else None
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return the features plus their residual."""
        residual = self.conv2(self.conv1(features).relu())
        if self.weigh is not None:
            residual = residual * self.weigh(residual.mean((2, 3)))[..., None, None]
        return features + self.residual_scale * residual


class Pyramid(nn.Module):
    """Means over cells of 4, 8, 16 and 32 pixels, each reduced and enlarged again, joined with the features."""

    def __init__(self, width: int) -> None:
        super().__init__()
        reduced = width // 4
        self.stages = nn.ModuleList(nn.Conv2d(width, reduced, 1, bias=False) for _ in POOLS)
        self.bottleneck = nn.Conv2d(width + len(POOLS) * reduced, width, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Return as many channels as came in, at the same size."""
        joined = []
        for cell, stage in zip(POOLS, self.stages, strict=True):
            mean = functional.leaky_relu(stage(functional.avg_pool2d(features, cell)), 0.2)
            joined.append(functional.interpolate(mean, features.shape[-2:], mode="nearest"))
        return functional.leaky_relu(self.bottleneck(torch.cat((*joined, features), 1)), 0.2)
