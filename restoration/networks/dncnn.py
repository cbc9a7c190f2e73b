"""DnCNN: a plain chain of convolutions that predicts the noise."""

from itertools import pairwise

from torch import Tensor, nn

from restoration.networks.layers import conv3, scaled_he_
from restoration.networks.network import Network


class DnCnn(Network):
    """Degraded minus predicted noise (Zhang et al., 2017); the state dict has the authors' names.

    ``depth`` counts convolutions: 17 for a known noise level, 20 for blind. The released files have batch
    normalisation merged into the convolutions: they need ``batch_norm = false``.
    """

    def __init__(
        self, *, channels: int = 1, width: int = 64, depth: int = 17, batch_norm: bool = True
    ) -> None:
        super().__init__()
        if depth < 2:
            raise ValueError(f"depth = {depth}: expected at least 2 convolutions")
        self.channels = channels
        self.receptive_field = depth
        self.batch_statistics = batch_norm
        widths = [channels, *[width] * (depth - 1), channels]
        layers: list[nn.Module] = []
        for i, (inputs, outputs) in enumerate(pairwise(widths)):
            layers.append(conv3(inputs, outputs))
            if batch_norm and 0 < i < depth - 1:
                layers.append(nn.BatchNorm2d(outputs, eps=1e-4, momentum=0.9))
            if i < depth - 1:
                layers.append(nn.ReLU())
        self.model = nn.Sequential(*layers)
        scaled_he_(self.model, 1.0)

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the degraded image without its predicted noise."""
        return degraded - self.model(degraded)
