"""Discriminators that judge patches: of one image, of its scales, of the surroundings of its hole."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad
from torch.nn.utils.parametrize import is_parametrized

from restoration.losses.checks import from_one
from restoration.losses.discriminators.discriminator import Discriminator
from restoration.losses.discriminators.layers import Norm, block


class Patch(Discriminator):
    """PatchGAN: each logit sees 70×70 pixels (Isola et al., 2017, appendix 6.1.2); 2,765,633 parameters.

    ``layers`` strided 4×4 convolutions of 1, 2, 4, … times ``width``, at most 8 times, one more that keeps the size,
    and the logits. All but the first and the last are normalised; kernels start from N(0, 0.02²).
    """

    name = "patch"

    def __init__(self, layers: int = 3, width: int = 64, channels: int = 3, norm: Norm = "batch") -> None:
        super().__init__()
        from_one("layers", layers)
        from_one("width", width)
        self.channels, self.minimum_size = channels, 3 * 2**layers
        widths = [width * min(2**i, 8) for i in range(layers + 1)]
        inner = [
            block(before, after, 4, 2 if i < layers - 1 else 1, norm)
            for i, (before, after) in enumerate(pairwise(widths))
        ]
        self.blocks = nn.ModuleList([block(channels, width, 4, 2), *inner])
        self.last = nn.Conv2d(widths[-1], 1, 4, padding=1)
        self.apply(_small_)

    def outputs(self, image: Tensor) -> list[list[Tensor]]:
        """Return the outputs of all blocks and a map of logits."""
        self.expect(image)
        found = [image]
        for layer in self.blocks:
            found.append(layer(found[-1]))
        return [[*found[1:], self.last(found[-1])]]


class MultiScale(Discriminator):
    """``scales`` PatchGANs, each on the image averaged down by two once more (Wang et al., 2018, pix2pixHD, eq. 3).

    Its value is the mean over scales, where theirs is the sum, so that a weight means the same for any number.
    """

    name = "multi-scale"

    def __init__(
        self, scales: int = 3, layers: int = 3, width: int = 64, channels: int = 3, norm: Norm = "instance"
    ) -> None:
        super().__init__()
        from_one("scales", scales)
        self.parts = nn.ModuleList([Patch(layers, width, channels, norm) for _ in range(scales)])
        # the pooling below makes (n + 1) // 2 pixels of n
        self.channels, self.minimum_size = channels, (3 * 2**layers - 1) * 2 ** (scales - 1) + 1

    def outputs(self, image: Tensor) -> list[list[Tensor]]:
        """Return what each scale's network gives, finest first."""
        self.expect(image)
        found = []
        for i, part in enumerate(self.parts):
            if i:
                image = avg_pool2d(image, 3, stride=2, padding=1, count_include_pad=False)
            found += part.outputs(image)
        return found


class GlobalLocal(Discriminator):
    """One PatchGAN for the whole image and one for a window on its hole (Iizuka et al., 2017, section 3.3).

    The window has ``window`` pixels a side and is the one that holds most of the hole; of several, the nearest to the
    hole's centre of mass. Patches under spectral normalisation take the place of the paper's full layers.
    """

    name = "global-local"
    masked = True

    def __init__(
        self, window: int = 64, layers: int = 3, width: int = 64, channels: int = 3, norm: Norm = "spectral"
    ) -> None:
        super().__init__()
        self.whole = Patch(layers, width, channels, norm)
        self.near = Patch(layers, width, channels, norm)
        if window < self.near.minimum_size:
            raise ValueError(f"window = {window}; expected at least {self.near.minimum_size}")
        self.channels, self.minimum_size, self.window = channels, window, window

    def outputs(self, image: Tensor) -> list[list[Tensor]]:
        """Return what the two networks give, that of the whole image first."""
        self.expect(image)
        image, mask = image[:, :-1], image[:, -1]
        return self.whole.outputs(image) + self.near.outputs(_around(image, mask, self.window))


def _around(image: Tensor, mask: Tensor, side: int) -> Tensor:
    """Return the window of each image that holds most of its mask (N, H, W): (N, C, side, side)."""
    top, left = _windows(mask, side)
    steps = torch.arange(side, device=image.device)
    batch = torch.arange(len(image), device=image.device)[:, None, None]
    rows, columns = (top[:, None] + steps)[:, :, None], (left[:, None] + steps)[:, None, :]
    return image.permute(0, 2, 3, 1)[batch, rows, columns].permute(0, 3, 1, 2)


def _windows(mask: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Return the first row and column of each mask's fullest window, nearest to its centre of mass: (N,) each."""
    height, width = mask.shape[1:]
    sums = pad(mask.cumsum(1).cumsum(2), [1, 0, 1, 0])
    held = sums[:, side:, side:] - sums[:, :-side, side:] - sums[:, side:, :-side] + sums[:, :-side, :-side]
    rows, columns = (torch.arange(n, device=mask.device, dtype=mask.dtype) for n in (height, width))
    total = mask.sum((1, 2)).clamp(min=1)
    y, x = (mask.sum(2) * rows).sum(1) / total, (mask.sum(1) * columns).sum(1) / total
    middle = (side - 1) / 2
    from_y = (rows[: height - side + 1] + middle - y[:, None]).square()
    from_x = (columns[: width - side + 1] + middle - x[:, None]).square()
    distance = from_y[:, :, None] + from_x[:, None, :]
    # one pixel of the hole counts more than any distance
    best = (held.round() - distance / (height**2 + width**2)).flatten(1).argmax(1)
    return best // held.shape[2], best % held.shape[2]


def _small_(module: nn.Module) -> None:
    # spectral normalisation divides a kernel's scale out
    if isinstance(module, nn.Conv2d) and not is_parametrized(module):
        nn.init.normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
