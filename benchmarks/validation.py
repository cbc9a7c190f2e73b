"""Protocols as the validation of a training run, its images shared out over the ranks."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import nn

from restoration import distributed
from restoration.apply import Inference
from restoration.benchmarks.datasets import cases
from restoration.benchmarks.protocol import Protocol, load_protocol
from restoration.benchmarks.result import merge
from restoration.benchmarks.run import evaluate
from restoration.data import data_root
from restoration.errors import ConfigError
from restoration.experiment import Experiment
from restoration.parts import build_degradation
from restoration.restorers.card import Card
from restoration.restorers.network import Restorer

Validate = Callable[[nn.Module, int], dict[str, float]]


def validator(experiment: Experiment) -> Validate | None:
    """Return what measures an experiment's validation protocols, with all of their files found; None without any."""
    protocols = [load_protocol(name) for name in experiment.validation.protocols]
    for protocol in protocols:
        _check_scale(protocol, build_degradation(experiment).scale)
        cases(protocol, data_root())
    if not protocols:
        return None

    def validate(network: nn.Module, step: int) -> dict[str, float]:
        restorer = Restorer(
            network, Card(experiment.name, experiment.task, experiment.network, network.scale)
        )
        device = next(network.parameters()).device
        return dict(scores(restorer, protocols, device))

    return validate


def scores(
    restorer: Restorer, protocols: Iterable[Protocol], device: torch.device
) -> Iterable[tuple[str, float]]:
    """Yield ("protocol metric", mean) for every metric, the same on every rank."""
    for protocol in protocols:
        how, rank, world = Inference(precision="fp32", device=device), distributed.rank(), distributed.world()
        part = evaluate(restorer, protocol, inference=how, rank=rank, world=world)
        for row in merge(distributed.gather(part)).rows:
            yield f"{protocol.name} {row.metric}", math.nan if row.mean is None else row.mean


def _check_scale(protocol: Protocol, scale: int) -> None:
    if protocol.scale != scale:
        raise ConfigError(
            f"validation.protocols: '{protocol.name}' has scale {protocol.scale}; data.degradation has {scale}"
        )
