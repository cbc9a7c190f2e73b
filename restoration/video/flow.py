"""Motion between frames, for restorers that are given it."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from restoration.errors import RequestError
from restoration.image import rgb

EXTRA = 'pip install "restoration-suite[classical]"'
LUMA = (0.299, 0.587, 0.114)
LEAST = 16  # pixels of a side, under which the search has no patch to start from


def optical_flow(target: Tensor, neighbour: Tensor) -> Tensor:
    """Return the dense flow (1, 2, H, W), in pixels to the right and down: neighbour(x + flow) ≈ target(x).

    Both are images (1, C, H, W) in [0, 1]. Dense inverse search (Kroeger et al., 2016), as OpenCV has it, on luma of
    8 bits; not the variational flow with which RBPN was trained, so its results are near the published, not the same.
    """
    try:
        import cv2
    except ImportError:
        raise RequestError(f"optical flow needs OpenCV: {EXTRA}") from None
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = search.calc(_luma(target), _luma(neighbour), None)  # type: ignore[call-overload]
    height, width = target.shape[-2:]
    return torch.from_numpy(np.ascontiguousarray(flow.transpose(2, 0, 1)))[None, :, :height, :width]


def _luma(image: Tensor) -> np.ndarray:
    weights = image.new_tensor(LUMA)[:, None, None]
    luma = (rgb(image) * weights).sum(1, keepdim=True)
    down, right = (max(0, LEAST - side) for side in image.shape[-2:])
    padded = functional.pad(luma, (0, right, 0, down), mode="replicate")
    return padded[0, 0].clamp(0, 1).mul(255).round().to(torch.uint8).cpu().numpy()
