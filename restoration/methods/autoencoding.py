"""The method autoencoding: an image comes back from latents drawn from their posterior."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from restoration.losses.draws import Keys, generator, one_key_each
from restoration.losses.stack import Stack
from restoration.method import Batch, Method, Update
from restoration.networks.kl_autoencoder import KlAutoencoder


class Autoencoding(Method):
    """``restored = decode(mean + deviation·ε)``, of the posterior that ``encode(degraded)`` is; ε ~ N(0, 1) by key.

    Beside the stack, ``divergence`` weighs the Kullback-Leibler divergence of the posterior from N(0, 1), summed over
    the latents of an image: it keeps their scale, and gives them as much noise as hardly costs anything (Kingma &
    Welling, 2014; weights as small in Rombach et al., 2022). Errors of the stack are means, so it weighs more on
    larger crops; the default is for 64². With the degradation ``clip`` the images that are encoded are the clean ones.
    """

    def __init__(self, network: nn.Module, stack: Stack, *, divergence: float = 1e-6) -> None:
        if not isinstance(network, KlAutoencoder):
            raise ValueError(
                f"network is {type(network).__name__}; this method needs the network 'kl-autoencoder'"
            )
        if divergence < 0:
            raise ValueError(f"divergence = {divergence:g}; expected a number from 0")
        self.network = network
        self.stack = stack
        self.divergence = divergence

    def groups(self) -> dict[str, nn.Module]:
        """Return the autoencoder and whatever the stack's terms train."""
        return {"restorer": self.network, **self.stack.groups()}

    def updates(self, batch: Batch, step: int) -> Iterator[Update]:
        """Yield the autoencoder's update, then one for every term that owns parts; one forward pass serves all."""
        rows, columns = (side // self.network.multiple for side in batch.degraded.shape[-2:])
        noise = _noise(batch.keys, (self.network.latent, rows, columns), batch.degraded)
        # one call of the network itself: ranks share the gradients, and the parameters, of nothing else
        restored, posterior = self.network(batch.degraded, noise)
        loss, logs = self.stack.of_restored(restored, batch)
        divergence = posterior.divergence().mean()
        logs = {**logs, "divergence": divergence.detach()}
        yield Update(
            "restorer", loss + self.divergence * divergence, logs, self.stack.slopes_of(restored, batch)
        )

        for group, own in self.stack.of_own_parts(restored, batch):
            yield Update(group, own)

    def restorer(self) -> nn.Module:
        """Return the autoencoder, which restores by the posterior's mode."""
        return self.network


def _noise(keys: Keys, shape: Sequence[int], like: Tensor) -> Tensor:
    one_key_each(keys, len(like), "autoencoding")
    rngs = [generator(key, "autoencoding noise") for key in keys]
    drawn = np.stack([rng.standard_normal(tuple(shape), np.float32) for rng in rngs])
    return torch.from_numpy(drawn).to(like)
