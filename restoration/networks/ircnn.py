"""IRCNN: seven dilated convolutions that predict the noise, one set of them per noise level."""

import math

from torch import Tensor, nn

from restoration.networks.network import Network
from restoration.networks.noise_level import chain

DILATIONS = (1, 2, 3, 4, 3, 2, 1)
STEP = 2.0  # noise levels between one set and the next, in 1/255


class IrCnn(Network):
    """The denoiser prior of Zhang et al. (2017): 188,163 parameters per set in colour.

    The authors' files hold ``sets`` = 25, for the levels 2, 4 … 50 (in 1/255): the set whose level is next above
    ``sigma`` is used. With one set, ``sigma`` has no part. Without dilations (all 1) it is DnCNN.
    """

    def __init__(
        self,
        *,
        channels: int = 3,
        width: int = 64,
        sets: int = 1,
        sigma: float = 25.0,
        dilations: tuple[int, ...] = DILATIONS,
    ) -> None:
        super().__init__()
        if sets < 1:
            raise ValueError(f"sets = {sets}: expected at least 1")
        if sets > 1 and not 0 < sigma <= STEP * sets:
            raise ValueError(f"sigma = {sigma:g}: these weights reach from 0 to {STEP * sets:g}")
        self.channels = channels
        self.sigma = sigma
        self.receptive_field = sum(dilations)
        widths = [channels, *[width] * (len(dilations) - 1), channels]
        self.sets = nn.ModuleList(chain(widths, dilations) for _ in range(sets))

    def forward(self, degraded: Tensor, sigma: float | None = None) -> Tensor:
        """Return the degraded image without its predicted noise; ``sigma`` is the level in [0, 1]."""
        level = self.sigma if sigma is None else 255 * sigma
        # a level that is a set's own must not round up to the next
        chosen = min(max(math.ceil(level / STEP - 1e-6) - 1, 0), len(self.sets) - 1)
        return degraded - self.sets[chosen](degraded)
