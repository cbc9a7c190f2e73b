"""Quality without a reference as models have learnt it of people: BRISQUE and CLIP-IQA, as piq computes them."""

import importlib.util
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from restoration.benchmarks.metrics.metric import Metric
from restoration.catalogue import require
from restoration.errors import WeightsError

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # of CLIP's images
GAMMA, RHO = 0.05, -153.591  # of the support vector machine that its authors fitted to LIVE


class Brisque(Metric):
    """BRISQUE (Mittal et al., 2012) of full-swing luma, fitted to LIVE, as piq does; lower is better, sides from 32."""

    plane = "rgb"
    better = "lower"
    reference = False
    kind = "alone"
    places = 3
    rough = 3
    smallest = 32
    makes = "y-of-yiq-uint8"
    convention = "fitted to LIVE, as piq"

    def __init__(self) -> None:
        _need_piq()
        weights: Any = torch.load(require("brisque"), map_location="cpu", weights_only=True)
        self.coefficients, vectors = (part.double() for part in weights)
        self.vectors = vectors.mT

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the score of each image, about 0 to 100; ``clean`` is not looked at. A flat image has none: NaN."""
        return torch.cat([self._score(image) for image in restored.double().split(1)]).to(restored.dtype)

    def _score(self, image: Tensor) -> Tensor:
        from piq.brisque import _natural_scene_statistics, _scale_features
        from piq.functional import imresize, rgb2yiq

        luma = rgb2yiq(255 * image)[:, :1].round()
        try:
            finer = _natural_scene_statistics(luma)
            coarser = _natural_scene_statistics(imresize(luma, sizes=tuple(n // 2 for n in luma.shape[-2:])))
        except AssertionError:  # of piq, where there is no variance to fit anything to
            return image.new_full((1,), torch.nan)
        features = _scale_features(torch.cat((finer, coarser), -1))
        apart = (features[..., None] - self.vectors).square().sum(1)
        return (torch.exp(-GAMMA * apart) @ self.coefficients).flatten() - RHO


class ClipIqa(Metric):
    """CLIP-IQA (Wang et al., 2023), ResNet-50, "Good photo." against "Bad photo.", as piq; higher is better, 0 to 1."""

    plane = "rgb"
    reference = False
    kind = "alone"
    smallest = 32
    floor = 0.0
    ceiling = 1.0
    convention = "piq, no position embedding"

    def __init__(self) -> None:
        _need_piq()
        self.network = clip(require("clip-rn50"))
        tokens = torch.load(require("clip-iqa-tokens"), map_location="cpu", weights_only=True)
        with torch.no_grad():
            self.anchors = functional.normalize(self.network.encode_text(tokens).float(), dim=-1)

    def __call__(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Return the share of "good" of each image; ``clean`` is not looked at."""
        mean, std = (restored.new_tensor(values).float().view(1, 3, 1, 1) for values in (MEAN, STD))
        with torch.no_grad():
            seen = self.network.encode_image((restored.float() - mean) / std, pos_embedding=False)
            alike = functional.normalize(seen.float(), dim=-1) @ self.anchors.T
            return (self.network.logit_scale.exp() * alike).softmax(-1)[:, 0].to(restored.dtype)


def clip(path: Path) -> nn.Module:
    """Return CLIP (Radford et al., 2021) in float32 from its authors' archive, built by piq.

    The archive is a TorchScript module; it is read only after its sha256 was found to be theirs, and only its tensors
    are used.
    """
    from piq.feature_extractors.clip import build_model

    with torch.random.fork_rng(devices=[]):
        return build_model(torch.jit.load(str(path), map_location="cpu").state_dict()).float().eval()


def _need_piq() -> None:
    if importlib.util.find_spec("piq") is None:
        raise WeightsError("this metric is computed by piq, which is not here: pip install piq")
