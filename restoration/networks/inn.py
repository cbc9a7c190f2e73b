"""Invertible rescaling ×2: the way back from a small image is the inverse of a learnt reduction."""

from torch import Tensor

from restoration.losses.invertible import Coupling, Invertible
from restoration.networks.network import Network


class Inn(Network):
    """A bijection of images with (coarse image, details), inverted where the details are 0 (Xiao et al., 2020).

    Its method, ``invertible``, makes the coarse image the bicubic reduction and the details normal, so 0 is what they
    most probably were. ``flow`` is the bijection; its detail features are those of the high-frequency loss.
    """

    scale = 2

    def __init__(self, *, channels: int = 3, couplings: int = 4, width: int = 16) -> None:
        super().__init__()
        self.channels = channels
        self.receptive_field = Coupling.reach * couplings
        self.flow = Invertible(channels=channels, couplings=couplings, width=width)

    def forward(self, degraded: Tensor) -> Tensor:
        """Return the image whose coarse half is the degraded one and whose details are 0."""
        batch, channels, height, width = degraded.shape
        return self.flow.inverse(degraded, degraded.new_zeros(batch, 3 * channels, height, width))
