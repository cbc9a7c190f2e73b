"""The direct method: the network's output is the restored image."""

from collections.abc import Iterator

from torch import nn

from restoration.losses.stack import Stack
from restoration.method import Batch, Method, Update


class Direct(Method):
    """``restored = network(degraded)``, lowered by the stack; it adds no loss of its own.

    ``clamp`` sets results to [0, 1] before the stack sees them, as PMRF's posterior mean is trained (Ohayon et al.,
    2025): values beyond have no gradient, and nothing is spent on what writing clamps anyway.
    """

    def __init__(self, network: nn.Module, stack: Stack, *, clamp: bool = False) -> None:
        self.network = network
        self.stack = stack
        self.clamp = clamp

    def groups(self) -> dict[str, nn.Module]:
        """Return the restorer and whatever the stack's terms train."""
        return {"restorer": self.network, **self.stack.groups()}

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        """Yield the restorer's update, then one for every term that owns parts; one forward pass serves all."""
        restored = self.network(batch.degraded)
        restored = restored.clamp(0, 1) if self.clamp else restored
        loss, logs = self.stack.of_restored(restored, batch)
        yield Update("restorer", loss, logs, self.stack.slopes_of(restored, batch))

        for group, own in self.stack.of_own_parts(restored, batch):
            yield Update(group, own)

    def restorer(self) -> nn.Module:
        """Return the network."""
        return self.network
