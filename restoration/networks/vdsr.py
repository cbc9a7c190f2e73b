"""VDSR: a deep chain of convolutions that adds detail to an enlarged image."""

from torch import Tensor, nn
from torch.nn import functional

from restoration.networks.layers import Transposed, receptive_radius
from restoration.networks.network import Network


class Vdsr(Network):
    """Very deep super-resolution (Kim et al., 2016): 664,704 parameters with the defaults, no biases; grey.

    The image is enlarged by ``scale`` first (bicubic, a = −0.5); at 1 it is taken as enlarged already, as the paper
    takes it. State: ``input``, ``residual_layer.N.conv`` (``depth`` − 2 of them), ``output``.
    """

    def __init__(self, *, scale: int = 1, channels: int = 1, width: int = 64, depth: int = 20) -> None:
        super().__init__()
        if depth < 2:
            raise ValueError(f"depth = {depth}: expected at least 2 convolutions")
        self.scale = scale
        self.channels = channels
        # four taps about every place; an odd scale meets the kernel's zeros at its ends
        cubic = Transposed(4 * scale - scale % 2, scale, 3 * scale // 2)
        self.receptive_field = depth if scale == 1 else receptive_radius(cubic, depth)
        self.input = _conv(channels, width)
        self.residual_layer = nn.ModuleList(
            nn.ModuleDict({"conv": _conv(width, width)}) for _ in range(depth - 2)
        )
        self.output = _conv(width, channels)

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the enlarged image plus its learnt detail."""
        image = degraded
        if self.scale > 1:  # torch's kernel has a = −0.5 where it may reduce, −0.75 else
            image = functional.interpolate(
                degraded, scale_factor=self.scale, mode="bicubic", align_corners=False, antialias=True
            )
        features = self.input(image).relu()
        for layer in self.residual_layer:
            features = layer["conv"](features).relu()
        return image + self.output(features)


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
