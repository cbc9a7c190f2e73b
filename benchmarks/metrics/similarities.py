"""Similarities of gradients, phases, wavelets and information, as piq computes them."""

from torch import Tensor

from restoration.benchmarks.metrics.metric import Metric
from restoration.losses import fsim, similarity
from restoration.losses.loss import Loss


class Similarity(Metric):
    """What a loss measures of the colour image."""

    plane = "rgb"
    loss: Loss

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return what the loss says of each image, turned into the metric."""
        return self.loss.metric(self.loss(restored, clean))


class Fsim(Similarity):
    """FSIMc of colour images (Zhang et al., 2011; as piq computes it); higher is better, at most 1, sides from 16."""

    loss = fsim.Fsim()
    smallest = loss.minimum_size
    ceiling = 1.0
    floor = 0.0
    convention = "FSIMc as piq"


class Gmsd(Similarity):
    """GMSD of full-swing luma (Xue et al., 2014; as piq computes it); lower is better, from 0, sides from 6."""

    loss = similarity.Gmsd()
    better = "lower"
    floor = 0.0
    smallest = loss.minimum_size
    makes = "y-of-yiq-float"
    convention = "as piq, at half size"


class Haarpsi(Similarity):
    """HaarPSI of colour images (Reisenhofer et al., 2018; as piq); higher is better, at most 1, sides from 16."""

    loss = similarity.Haarpsi()
    smallest = loss.minimum_size
    ceiling = 1.0
    floor = 0.0
    convention = "as piq, at half size"


class Mdsi(Similarity):
    """MDSI of colour images (Nafchi et al., 2016; as piq computes it); lower is better, from 0, sides from 3."""

    loss = similarity.Mdsi()
    better = "lower"
    floor = 0.0
    smallest = loss.minimum_size
    convention = "as piq"


class Vif(Similarity):
    """VIF of pixels, full-swing luma (Sheikh & Bovik, 2006; as piq computes it); higher is better, sides from 41."""

    loss = similarity.Vif()
    smallest = loss.minimum_size
    floor = 0.0
    makes = "y-of-yiq-float"
    convention = "pixel domain, four scales, as piq"
