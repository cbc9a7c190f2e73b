"""The U-Net discriminator with spectral normalisation: one logit for every pixel."""

from torch import Tensor, nn
from torch.nn.functional import interpolate

from restoration.losses.checks import from_one
from restoration.losses.discriminators.discriminator import Discriminator
from restoration.losses.discriminators.layers import block


class UnetSpectral(Discriminator):
    """The discriminator of Real-ESRGAN (Wang et al., 2021, section 3.4): 4,376,897 parameters.

    Three halvings, three bilinear doublings with the maps of the way down added, two more convolutions. Every kernel
    but the first and the last is divided by its largest singular value (Miyato et al., 2018, eq. 8), which one power
    iteration follows in every pass in training mode: splitting a batch into micro-batches adds iterations.
    """

    name = "unet-spectral"
    minimum_size = 8

    def __init__(self, width: int = 64, channels: int = 3) -> None:
        super().__init__()
        from_one("width", width)
        self.channels = channels

        def spectral(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
            return block(inputs * width, outputs * width, kernel, stride, "spectral", bias=False)

        self.first = block(channels, width, 3, 1)
        self.down = nn.ModuleList([spectral(1, 2, 4, 2), spectral(2, 4, 4, 2), spectral(4, 8, 4, 2)])
        self.up = nn.ModuleList([spectral(8, 4), spectral(4, 2), spectral(2, 1)])
        self.after = nn.ModuleList([spectral(1, 1), spectral(1, 1)])
        self.last = nn.Conv2d(width, 1, 3, padding=1)

    def outputs(self, image: Tensor) -> list[list[Tensor]]:
        """Return the four maps on the way down, three up, two after, and logits of the image's size."""
        self.expect(image)
        found = [self.first(image)]
        for layer in self.down:
            found.append(layer(found[-1]))
        for layer, beside in zip(self.up, found[2::-1], strict=True):
            # to the size of the map beside it, which odd sides have not exactly doubled
            wide = interpolate(found[-1], size=beside.shape[-2:], mode="bilinear", align_corners=False)
            found.append(layer(wide) + beside)
        for layer in self.after:
            found.append(layer(found[-1]))
        return [[*found, self.last(found[-1])]]
