"""The invertible method: a reduction and its inverse, learnt as one bijection from photographs alone."""

import math
from collections.abc import Iterator

from torch import Tensor, nn

from restoration.losses.draws import uniform
from restoration.losses.stack import Stack
from restoration.method import Batch, Method, Update
from restoration.networks.inn import Inn

LEVELS = 255
HALF = 0.5 / LEVELS  # a step of 8-bit samples


class InvertibleRescaling(Method):
    """Beside the stack on ``restored = flow⁻¹(degraded, 0)``, three losses of ``(c, z) = flow(clean)``.

    After Xiao et al. (2020), section 3.3. Guidance is ``mean (c − degraded)²``; likelihood, in place of their
    adversarial match, is that of z ~ N(0, 1), ``mean(½z² + ½ln 2π) − ln|det J| / |z|``; reconstruction is
    ``mean |flow⁻¹(round(c), 0) − clean|``, straight through the rounding to 8 bits. The likelihood spreads the clean
    image over its 8-bit step, or it would have no bound where an image is flat (Theis et al., 2016, section 3.1).
    """

    def __init__(
        self,
        network: nn.Module,
        stack: Stack,
        *,
        guidance: float = 50.0,
        likelihood: float = 0.01,
        reconstruction: float = 1.0,
    ) -> None:
        if not isinstance(network, Inn):
            raise ValueError(f"network is {type(network).__name__}; this method needs the network 'inn'")
        self.network = network
        self.stack = stack
        self.weights = {"guidance": guidance, "likelihood": likelihood, "reconstruction": reconstruction}

    def groups(self) -> dict[str, nn.Module]:
        """Return the restorer and whatever the stack's terms train."""
        return {"restorer": self.network, **self.stack.groups()}

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        """Yield the restorer's update, then one for every term that owns parts."""
        restored = self.network(batch.degraded)
        loss, logs = self.stack.of_restored(restored, batch)
        own = self._own(batch)
        for name, weight in self.weights.items():
            loss = loss + weight * own[name]
        yield Update("restorer", loss, {**logs, **own}, self.stack.slopes_of(restored, batch))

        for group, value in self.stack.of_own_parts(restored, batch):
            yield Update(group, value)

    def _own(self, batch: Batch) -> dict[str, Tensor]:
        step = uniform(batch.keys, "dequantisation", batch.clean.shape[1:], -HALF, HALF, batch.clean)
        mapped = self.network.flow(batch.clean + step)
        coarse, details = mapped.coarse.float(), mapped.details.float()
        density = 0.5 * (details.square().mean() + math.log(2 * math.pi))
        rebuilt = self.network(_rounded(coarse)).float()
        return {
            "guidance": (coarse - batch.degraded).square().mean(),
            "likelihood": density - (mapped.log_determinant / details[0].numel()).mean(),
            "reconstruction": (rebuilt - batch.clean).abs().mean(),
        }

    def restorer(self) -> nn.Module:
        """Return the network."""
        return self.network

    def called(self) -> list[nn.Module]:
        """Return the network, which is the way back, and the flow."""
        return [self.network, self.network.flow]


def _rounded(coarse: Tensor) -> Tensor:
    """Return the image of 8-bit steps, with the gradient of the image that came in."""
    return coarse + ((coarse * LEVELS).round().clamp(0, LEVELS) / LEVELS - coarse).detach()
