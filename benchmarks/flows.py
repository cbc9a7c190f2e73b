"""Known motion between frames: the .flo files of Middlebury's optical flow benchmark (Baker et al., 2011)."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from restoration.errors import ImageError

MAGIC = 202021.25  # the first four bytes, as a float: "PIEH"
HEAD = 12  # bytes: the magic number, width, height
SUFFIX = ".flo"


def read_flow(path: Path) -> Tensor:
    """Return the flow of a file in pixels, right and down: (1, 2, H, W), float32; beyond 1e9 where it is not known.

    Raises ImageError where the file is no flow, or is cut short.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: {error.strerror}") from None
    head = np.frombuffer(data[:HEAD].ljust(HEAD, b"\0"), "<f4, <i4, <i4")[0]
    if head[0] != MAGIC:
        raise ImageError(f"{path}: no flow in Middlebury's format: it does not begin with PIEH")
    width, height = int(head[1]), int(head[2])
    expected = HEAD + 8 * width * height
    if min(width, height) < 1 or len(data) != expected:
        raise ImageError(
            f"{path}: {len(data)} bytes; expected {expected} of a flow of {width}x{height} pixels"
        )
    flow = np.frombuffer(data, "<f4", offset=HEAD).reshape(height, width, 2)
    if not np.isfinite(flow).all():
        raise ImageError(f"{path}: holds values that are not finite")
    return torch.from_numpy(flow.transpose(2, 0, 1).astype(np.float32)).unsqueeze(0)
