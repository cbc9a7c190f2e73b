"""Fixtures shared by all tests."""

import os
import tempfile
from pathlib import Path

import pytest
import torch

from restoration.losses import published

torch.set_num_threads(
    1
)  # xdist runs one process per core; threads that wait for each other cost more than they give


# weights that somebody fetched stay where they are
os.environ.setdefault("RESTORATION_WEIGHTS", str(published.folder()))
os.environ["RESTORATION_CACHE"] = tempfile.mkdtemp(
    prefix="restoration-cache-"
)  # of this process, and its children


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of benchmark images and official weights; tests that need it skip without it."""
    root = os.environ.get("RESTORATION_DATA")
    if not root or not Path(root).is_dir():
        pytest.skip("RESTORATION_DATA names no folder of benchmark images")
    return Path(root)


@pytest.fixture
def as_gpus_divide(monkeypatch):
    """Return what has tensors multiplied by the rounded reciprocal of a plain number, as GPUs do."""
    divide = torch.Tensor.div_

    def reciprocal(image: torch.Tensor, by: torch.Tensor | float) -> torch.Tensor:
        return divide(image, by) if isinstance(by, torch.Tensor) else image.mul_(image.new_tensor(1) / by)

    def begin() -> None:
        monkeypatch.setattr(torch.Tensor, "div_", reciprocal)
        assert (torch.arange(256.0).div_(255) != torch.arange(256.0) / 255).sum() == 126

    return begin
