"""Adversarial training: a discriminator of the stack's own, its objectives, and the match of its features."""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from restoration.losses.checks import from_one, not_negative
from restoration.losses.discriminators import Discriminator, discriminator_of, outputs_of
from restoration.losses.draws import one_key_each, uniform
from restoration.losses.loss import per_image
from restoration.losses.term import Pair, Partless, Term

Logits = list[Tensor]  # of each network of a discriminator: (N, …)


class Rules(NamedTuple):
    """What the discriminator lowers of each logit, of clean and of restored images, and what the restorer lowers.

    Under ``relative`` rules logits are first compared with the mean of the other side, and the restorer lowers what
    the discriminator does with the two sides exchanged.
    """

    clean: Callable[[Tensor], Tensor]
    restored: Callable[[Tensor], Tensor]
    wanted: Callable[[Tensor], Tensor]
    relative: bool = False


def _surprise(logit: Tensor) -> Tensor:
    return softplus(-logit)  # −log sigmoid


def _square(target: float) -> Callable[[Tensor], Tensor]:
    return lambda logit: (logit - target).square()


RULES = {
    # Goodfellow et al., 2014, section 3, in the form that does not saturate
    "bce": Rules(_surprise, softplus, _surprise),
    # Mao et al., 2017, eq. 9, without its factor of one half
    "least-squares": Rules(_square(1), _square(0), _square(1)),
    # Lim & Ye, 2017; Miyato et al., 2018, eq. 16 and 17
    "hinge": Rules(lambda logit: relu(1 - logit), lambda logit: relu(1 + logit), torch.neg),
    # Gulrajani et al., 2017, eq. 3
    "wasserstein-gp": Rules(torch.neg, lambda logit: logit, torch.neg),
    # Jolicoeur-Martineau, 2018, eq. 10 and 11; Wang et al., 2018, eq. 1 and 2; the mean of the two sides
    "relativistic": Rules(_surprise, softplus, _surprise, relative=True),
    "relativistic-least-squares": Rules(_square(1), _square(-1), _square(1), relative=True),
}


class Adversarial(Term):
    """Make restored images pass for clean ones before a discriminator that learns beside the restorer.

    Of each image the mean over its logits, and the mean over networks where the discriminator is several. The value
    may depend on the batch: always under the relativistic rules (Jolicoeur-Martineau, 2018), which take means over a
    micro-batch of one process, and wherever the discriminator normalises over a batch; its batch statistics stay in
    training mode.

    ``penalty`` is λ of ``λ · mean (‖∇D(x̂)‖ − 1)²``, x̂ = u·clean + (1 − u)·restored, u from U(0, 1) of each image
    (Gulrajani et al., 2017, eq. 3), for "wasserstein-gp". ``r1`` is γ of ``γ/2 · mean ‖∇D(clean)‖²`` (Mescheder et
    al., 2018, eq. 9), evaluated every ``r1_every`` steps and then that many times as strong (Karras et al., 2020,
    section 4.1). Norms are over all of an image; D is the mean over its logits.
    """

    value_range = "from 0, any number under hinge and wasserstein-gp"
    sized_by = "its discriminator"

    def __init__(
        self,
        discriminator: Discriminator,
        objective: Literal[
            "bce", "least-squares", "hinge", "wasserstein-gp", "relativistic", "relativistic-least-squares"
        ] = "bce",
        penalty: float = 10.0,
        r1: float = 0.0,
        r1_every: int = 16,
    ) -> None:
        self.discriminator, self.rules = discriminator, RULES[objective]
        self.minimum_size, self.multiple = discriminator.minimum_size, discriminator.multiple
        self.penalty = penalty if objective == "wasserstein-gp" else 0.0
        self.r1, self.r1_every = r1, r1_every
        not_negative("penalty", penalty)
        not_negative("r1", r1)
        from_one("r1_every", r1_every)
        together = any(isinstance(part, nn.BatchNorm2d) for part in discriminator.modules())
        if together and (self.penalty or r1):
            key = f"penalty = {penalty:g}" if self.penalty else f"r1 = {r1:g}"
            why = "batch normalisation makes the slope at one image that of all"
            raise ValueError(f'{key}: {why}; expected a discriminator with norm = "instance" or "none"')

    def groups(self) -> dict[str, nn.Module]:
        """Return the discriminator."""
        return {"discriminator": self.discriminator}

    def of_restored(self, restored: Tensor, batch: Pair) -> Tensor:
        """Return how surely each restored image is told from clean ones: (N,)."""
        found = [outputs[-1] for outputs in outputs_of(self.discriminator, restored, batch)]
        if not self.rules.relative:
            return _mean([self.rules.wanted(logits) for logits in found])
        with torch.no_grad():
            clean = [outputs[-1] for outputs in outputs_of(self.discriminator, batch.clean, batch)]
        pairs = list(zip(clean, found, strict=True))
        one = _mean([self.rules.restored(real - fake.mean()) for real, fake in pairs])
        return (one + _mean([self.rules.clean(fake - real.mean()) for real, fake in pairs])) / 2

    def of_own_parts(self, restored: Tensor, batch: Pair) -> Tensor:
        """Return how badly the discriminator tells the two apart, and its penalties."""
        one_key_each(batch.keys, len(restored) if self.penalty else len(batch.keys), "adversarial")
        lazily = bool(self.r1) and batch.step % self.r1_every == 0
        real = batch.clean.detach().requires_grad_(lazily)
        clean, found = self._logits(real, batch), self._logits(restored, batch)
        value = self._told_apart(clean, found)
        if self.penalty:
            share = uniform(batch.keys, "wasserstein-gp", (1, 1, 1), 0, 1, restored)
            between = (share * batch.clean + (1 - share) * restored).detach().requires_grad_()
            value = value + self.penalty * gradient_penalty(self._logits(between, batch), between)
        if lazily:
            value = value + self.r1_every * self.r1 / 2 * _slopes(clean, real).square().sum(1).mean()
        return value

    def _told_apart(self, clean: Logits, restored: Logits) -> Tensor:
        rules, pairs = self.rules, list(zip(clean, restored, strict=True))
        if not rules.relative:
            sides = [rules.clean(real).mean() + rules.restored(fake).mean() for real, fake in pairs]
            return torch.stack(sides).mean()
        shifted = [(real - fake.detach().mean(), fake - real.detach().mean()) for real, fake in pairs]
        sides = [rules.clean(real).mean() + rules.restored(fake).mean() for real, fake in shifted]
        return torch.stack(sides).mean() / 2

    def _logits(self, image: Tensor, batch: Pair) -> Logits:
        """Call the discriminator as a module: here it learns."""
        logits = self.discriminator(self.discriminator.shown(image, batch.mask))
        return logits if isinstance(logits, list) else [logits]


def gradient_penalty(logits: Logits, image: Tensor) -> Tensor:
    """Return ``mean (‖∇D(image)‖ − 1)²`` with a graph, norms over a whole image (Gulrajani et al., 2017, eq. 3)."""
    return (torch.linalg.vector_norm(_slopes(logits, image), dim=1) - 1).square().mean()


class FeatureMatching(Partless):
    """``mean |D_l(restored) − D_l(clean)|`` over the features of a discriminator, and over its layers l.

    The difference of features is Salimans et al. (2016, section 3.1); L1, per image and summed over layers it is Wang
    et al. (2018, pix2pixHD, eq. 4): here the mean over layers. The discriminator is that of the entry ``of``, which
    trains it; nothing here does. Values depend on the batch where the discriminator normalises over it.
    """

    sized_by = "its discriminator"

    def __init__(self, of: str = "adversarial") -> None:
        self.of = of

    def connect(self, terms: Mapping[str, Term]) -> None:
        """Take the discriminator of the entry ``of``."""
        self.discriminator = discriminator_of(terms, self.of)
        self.minimum_size, self.multiple = self.discriminator.minimum_size, self.discriminator.multiple

    def of_restored(self, restored: Tensor, batch: Pair) -> Tensor:
        """Return the mean difference of the features of each image: (N,)."""
        found = self._features(restored, batch)
        with torch.no_grad():
            wanted = self._features(batch.clean, batch)
        return _mean([(one - other).abs() for one, other in zip(found, wanted, strict=True)])

    def _features(self, image: Tensor, batch: Pair) -> list[Tensor]:
        return [f for outputs in outputs_of(self.discriminator, image, batch) for f in outputs[:-1]]


def _mean(maps: list[Tensor]) -> Tensor:
    """Return the mean over maps of each one's mean over an image: (N,)."""
    return torch.stack([per_image(values) for values in maps]).mean(0)


def _slopes(logits: Logits, image: Tensor) -> Tensor:
    """Return the gradient of each image's mean logit with respect to its pixels, with a graph: (N, pixels)."""
    (slope,) = torch.autograd.grad(_mean(logits).sum(), image, create_graph=True)
    return slope.flatten(1)
