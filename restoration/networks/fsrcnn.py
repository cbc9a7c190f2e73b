"""FSRCNN: all work at the small size, enlargement by one transposed convolution."""

from torch import Tensor, nn

from restoration.networks.layers import Transposed, conv3, receptive_radius
from restoration.networks.network import Network


class FsrCnn(Network):
    """Accelerated SRCNN (Dong et al., 2016): 12,464 kernel weights with the defaults; a grey network.

    State: ``first_part.0`` (5×5) with slopes ``first_part.1``; ``mid_part.0`` (1×1, narrow), then ``maps`` 3×3
    convolutions ``mid_part.2, .4 …``, then ``mid_part`` (1×1, wide), each followed by its slopes; ``last_part``
    (9×9, transposed).
    """

    def __init__(
        self, *, scale: int = 4, channels: int = 1, width: int = 56, narrow: int = 12, maps: int = 4
    ) -> None:
        super().__init__()
        if not 1 <= scale <= 8:
            raise ValueError(f"scale = {scale}: expected 1 to 8")
        self.scale = scale
        self.channels = channels
        self.receptive_field = receptive_radius(2 + maps, Transposed(9, scale, 4))
        self.first_part = nn.Sequential(nn.Conv2d(channels, width, 5, padding=2), nn.PReLU(width))
        middle: list[nn.Module] = [nn.Conv2d(width, narrow, 1), nn.PReLU(narrow)]
        for _ in range(maps):
            middle += [conv3(narrow, narrow), nn.PReLU(narrow)]
        self.mid_part = nn.Sequential(*middle, nn.Conv2d(narrow, width, 1), nn.PReLU(width))
        self.last_part = nn.ConvTranspose2d(
            width, channels, 9, stride=scale, padding=4, output_padding=scale - 1
        )

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the restored image, ``scale`` times as large."""
        return self.last_part(self.mid_part(self.first_part(degraded)))
