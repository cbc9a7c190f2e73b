"""What a dry run would refuse of an imported experiment, as far as no data are needed to see it."""

import math

import numpy as np

from restoration.data import Pairs
from restoration.data.source import Source
from restoration.errors import ConfigError
from restoration.experiment import Experiment


class _NotHere(Source):
    """The images that an option file names, of which nothing is known but their scale."""

    def __init__(self, scale: int, paired: bool) -> None:
        self.scale, self.paired = scale, paired

    def __len__(self) -> int:
        return 1

    def samples(self, index: int) -> np.ndarray:
        """Refuse: there are none."""
        raise NotImplementedError

    def partner(self, index: int) -> np.ndarray | None:
        """Refuse: there are none."""
        raise NotImplementedError

    def name(self, index: int) -> str:
        """Return what stands for all of them."""
        return "data.images"

    def size(self, index: int) -> tuple[int, int]:
        """Return that no size is known."""
        return 0, 0

    def share_memory(self, processes: int) -> None:
        """Keep nothing, as before."""


def fitting_crop(experiment: Experiment) -> int:
    """Return the largest crop up to the given one that network and degradation take; refuse parts that do not fit."""
    import torch

    from restoration.config import build
    from restoration.networks import NETWORKS
    from restoration.parts import build_degradation
    from restoration.preflight import check_fit, check_ranks

    data = experiment.data
    with torch.random.fork_rng(devices=[]):
        network = build(NETWORKS, experiment.network, "network", "network")
    degradation = build_degradation(experiment) if data.degradation else None
    source = _NotHere(network.scale if data.degraded else 1, bool(data.degraded))
    scale = source.scale * (degradation.scale if degradation else 1)
    unit = math.lcm(scale * network.multiple, source.scale * (degradation.multiple if degradation else 1))
    crop = data.crop // unit * unit
    if not crop:
        raise ConfigError(f"data.crop = {data.crop}: expected a multiple of {unit} for network and scale")
    pairs = Pairs(source, degradation, crop, experiment.schedule.batch, experiment.seed, grey=data.grey)
    check_fit(experiment, pairs, network)
    check_ranks(experiment)
    return crop
