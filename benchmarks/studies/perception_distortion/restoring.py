"""What each arm makes of the photographs: one set of restored images for each setting of its dial."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from restoration import weights
from restoration.benchmarks.studies.perception_distortion.arms import CHOSEN, EULER, MEAN, Arm, Task
from restoration.benchmarks.studies.perception_distortion.measures import Detail
from restoration.benchmarks.studies.perception_distortion.photographs import Photographs, degraded
from restoration.networks.transport import Transport
from restoration.restorers.network import Restorer
from restoration.transport.gaussian import Gaussian, gelbrich
from restoration.transport.latents import Autoencoder, named
from restoration.transport.patches import Moments, moments

COUNTS, DRAWS = (1, 4, 8, 12, 32), 5  # photographs of each kind that transports are fitted to, and how often
ENOUGH = 12  # of them, as the paper says
ALPHAS = tuple(i / 10 for i in range(-10, 21))
PATCH = 5
WAYS = {
    "authors": False,
    "mean-free": True,
}  # mapping the mean of patches too, as the paper does, or leaving it


@dataclass(frozen=True)
class Variant:
    """An arm at one setting, the restored photographs, how much of them is measured, and facts beside that."""

    settings: Mapping[str, float | str]
    images: Sequence[Tensor]
    detail: Detail
    facts: Mapping[str, Any] = field(default_factory=dict)


@torch.no_grad()
def variants(task: Task, arm: Arm, files: Mapping[str, Path], photographs: Photographs) -> Iterator[Variant]:
    """Yield an arm at each of its settings; ``files`` holds the weights of the arms it needs, and its own."""
    seen = photographs.degraded(task)
    if arm.kind == "flow":
        flow = weights.load(files[arm.name])
        for steps in EULER:
            yield Variant(
                {"steps": steps}, sampled(flow, seen, steps), "all" if steps == CHOSEN else "intervals"
            )
    elif arm.kind == "transport":
        inner = weights.load(files["gan" if "gan" in arm.needs else MEAN])
        yield from _transports(task, arm, inner, seen, photographs)
    else:
        yield Variant({}, restored(weights.load(files[arm.name]), seen), "all")


@torch.no_grad()
def restored(restorer: Restorer, seen: Sequence[Tensor]) -> list[Tensor]:
    """Return what a restorer makes of images, clipped to [0, 1] as flows start from it."""
    return [restorer(image).clamp(0, 1) for image in seen]


@torch.no_grad()
def sampled(restorer: Restorer, seen: Sequence[Tensor], steps: int) -> list[Tensor]:
    """Return what a flow makes of images in so many steps; each has a seed of its own, the same in every arm."""
    return [restorer.restore(image, seed=i, steps=steps).image for i, image in enumerate(seen)]


def _transports(
    task: Task, arm: Arm, inner: Restorer, seen: Sequence[Tensor], photographs: Photographs
) -> Iterator[Variant]:
    """Yield transports fitted to ever more photographs, and one of 12 at every α."""
    start = restored(inner, seen)
    truth = _gaussian(photographs.clean)
    before = _apart(start, truth)
    for way, mean_free in WAYS.items():
        for count in COUNTS:
            for draw in range(DRAWS):
                network = unfitted(arm, inner, mean_free)
                _fit(network, task, inner, photographs.samples(count, draw), draw)
                moved = [network.transported(image.double()).float() for image in start]
                facts = {"patch_w2_squared": _apart(moved, truth), "before": before}
                settings = {"way": way, "photographs": count, "draw": draw}
                first = (count, draw) == (ENOUGH, 0)
                yield Variant(settings, moved, "all" if first else "intervals", facts)
                if first:
                    yield from _mixed(way, moved, start)


def _mixed(way: str, moved: Sequence[Tensor], start: Sequence[Tensor]) -> Iterator[Variant]:
    for alpha in ALPHAS:
        images = [torch.lerp(far, near, alpha) for far, near in zip(moved, start, strict=True)]
        yield Variant({"way": way, "alpha": alpha}, images, "errors" if alpha * 2 % 1 else "intervals")


def unfitted(arm: Arm, inner: Restorer, mean_free: bool) -> Transport:
    """Return the transport of an arm without statistics, its autoencoder filled."""
    asked = {"latent": "pixels", "patch": PATCH, **(arm.network or {})}
    latent, config, state = named(asked["latent"])
    network = Transport(
        inner=inner.network, latent=latent, autoencoder=config, posterior="mode", patch=asked["patch"],
        mean_free=mean_free,
    )  # fmt: skip
    if isinstance(network.latents, Autoencoder):
        network.latents.model.load_state_dict(state)
    return network


def _fit(
    network: Transport, task: Task, inner: Restorer, sets: tuple[list[Tensor], list[Tensor]], draw: int
) -> None:
    """Fit a transport to what is restored of one set of photographs and the clean ones of another."""
    clean, others = sets
    found = restored(inner, degraded(others, task, 100 + draw))
    of_clean, of_restored = (
        _moments([network.latents.encode(image.double(), network.drawn) for image in images], network.patch)
        for images in (clean, found)
    )
    network.fit(of_restored.gaussian(), of_clean.gaussian(), (of_restored.count, of_clean.count))


def _apart(images: Sequence[Tensor], truth: Gaussian) -> float:
    """Return W₂² between the Gaussians of patches, for each number of a patch."""
    return float(gelbrich(_gaussian(images), truth)) / len(truth.mean)


def _gaussian(images: Sequence[Tensor]) -> Gaussian:
    return _moments(images).gaussian()


def _moments(images: Sequence[Tensor], patch: int = PATCH) -> Moments:
    found = Moments.none(images[0].shape[1] * patch**2)
    for image in images:
        found += moments(image.double(), patch)
    return found
