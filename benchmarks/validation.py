"""Protocols as the validation of a training run, its images shared out over the ranks."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from restoration import distributed
from restoration.apply import Inference
from restoration.benchmarks.datasets import cases
from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.protocol import Protocol, load_protocol
from restoration.benchmarks.result import merge
from restoration.benchmarks.run import evaluate
from restoration.benchmarks.scores import made
from restoration.data import data_root
from restoration.errors import ConfigError
from restoration.experiment import Experiment
from restoration.parts import build_degradation, build_network
from restoration.restorers.card import Card
from restoration.restorers.network import Restorer


@dataclass(frozen=True)
class Validator:
    """What measures a network by an experiment's validation protocols; the first one's first metric picks the best."""

    experiment: Experiment
    protocols: tuple[Protocol, ...]

    @property
    def better(self) -> Literal["lower", "higher"]:
        """Return which direction of that metric is better."""
        return METRICS[self.protocols[0].metrics[0]].better

    def __call__(self, network: nn.Module, step: int) -> dict[str, float]:
        """Return "protocol metric" → mean, the same on every rank."""
        known = self.experiment
        restorer = Restorer(network, Card(known.name, known.task, known.network, network.scale))
        return dict(scores(restorer, self.protocols, next(network.parameters()).device))


def validator(experiment: Experiment) -> Validator | None:
    """Return what measures an experiment's validation protocols, with all of their files found; None without any."""
    protocols = [load_protocol(name) for name in experiment.validation.protocols]
    for protocol in protocols:
        _check_scale(protocol, _scale(experiment))
        cases(protocol, data_root())
        for (
            name
        ) in protocol.metrics:  # what a metric lacks is said before training, not after its first steps
            made(name)
    return Validator(experiment, tuple(protocols)) if protocols else None


def scores(
    restorer: Restorer, protocols: Iterable[Protocol], device: torch.device
) -> Iterable[tuple[str, float]]:
    """Yield ("protocol metric", mean) for every metric, the same on every rank."""
    for protocol in protocols:
        how, rank, world = Inference(precision="fp32", device=device), distributed.rank(), distributed.world()
        part = evaluate(restorer, protocol, inference=how, rank=rank, world=world)
        for row in merge(distributed.gather(part)).rows:
            yield f"{protocol.name} {row.metric}", math.nan if row.mean is None else row.mean


def _scale(experiment: Experiment) -> int:
    """Return the scale of the degradation, or of the network where images have degraded partners."""
    data = experiment.data
    made = data.degradation if not data.degraded else None
    return build_degradation(experiment).scale if made else build_network(experiment).scale


def _check_scale(protocol: Protocol, scale: int) -> None:
    if protocol.scale != scale:
        raise ConfigError(
            f"validation.protocols: '{protocol.name}' has scale {protocol.scale}; data.degradation has {scale}"
        )
