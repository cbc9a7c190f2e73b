"""Restored images that were restored before: found again by what made them, so that a new metric restores nothing.

A file's name is a hash of the weights, the degraded pixels and every setting that shapes the result. Only restorers
with weights are kept, each image as it is scored: in 8 bits where the protocol rounds, else in float32.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

import restoration
from restoration.apply import Inference
from restoration.errors import RequestError
from restoration.files import atomic
from restoration.image import PEAKS, quantise
from restoration.losses.user_cache import cache_folder
from restoration.restorers.network import Restorer

LIMIT = 8 * 2**30  # bytes of images that are kept; the longest unused go first
LEVELS = PEAKS[8]


@dataclass(frozen=True)
class Kept:
    """A restored image (1, C, H, W), and what it cost when it was restored."""

    image: Tensor
    seconds: float
    peak_mib: float


class Cache:
    """A folder of restored images."""

    def __init__(self, folder: Path | None = None, limit: int = LIMIT) -> None:
        self.folder = folder or default_folder()
        self.limit = limit
        self.known: dict[int, tuple[Restorer, str | None]] = {}  # by id, which is its own while it is held
        self.written = 0

    def key(
        self, restorer: Restorer, degraded: Tensor, mask: Tensor | None, inference: Inference, output: str
    ) -> str | None:
        """Return by what a restored image is found again; None for restorers that are not kept."""
        if id(restorer) not in self.known:
            self.known[id(restorer)] = restorer, identity(restorer)
        who = self.known[id(restorer)][1]
        if who is None:
            return None
        settings = {k: str(v) for k, v in asdict(inference).items() if k != "device"}
        settings |= {"device": torch.device(inference.device).type, "output": output}
        settings |= {"torch": torch.__version__, "restoration": restoration.__version__}
        told = hashlib.sha256(json.dumps([who, settings], sort_keys=True).encode())
        for tensor in (degraded, mask):
            told.update(_hashed(tensor))
        return told.hexdigest()

    def get(self, key: str | None) -> Kept | None:
        """Return a kept image, or None; a file that cannot be read is deleted."""
        path = None if key is None else self._path(key)
        if path is None or not path.is_file():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                image, facts = file.get_tensor("image"), file.metadata()
        except (SafetensorError, OSError):
            path.unlink(missing_ok=True)
            return None
        with suppress(OSError):
            os.utime(path)  # the last use, by which files are dropped
        image = image.float() / LEVELS if image.dtype == torch.uint8 else image
        return Kept(image, float(facts["seconds"]), float(facts["peak_mib"]))

    def put(self, key: str | None, kept: Kept, output: str) -> None:
        """Keep an image, whole or not at all; one that is not finite is not kept."""
        if key is None or not torch.isfinite(kept.image).all():
            return
        image = kept.image.detach().cpu()
        if output == "uint8":
            image = (quantise(image.double()) * LEVELS).round().to(torch.uint8)
        facts = {"seconds": repr(kept.seconds), "peak_mib": repr(kept.peak_mib)}
        path = self._path(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic(path) as stream:
                stream.write(save({"image": image.contiguous()}, facts))
        except OSError as error:
            raise RequestError(f"{path}: {error.strerror}; --no-cache does without it") from None
        self.written += path.stat().st_size
        if self.written > self.limit // 16:
            self._prune()

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"

    def _prune(self) -> None:
        """Delete the longest unused images until the others fit."""
        self.written = 0
        found = []
        for path in self.folder.glob("*/*.safetensors"):
            with suppress(OSError):  # another process may have deleted it
                found.append((path.stat().st_mtime, path.stat().st_size, path))
        excess = sum(size for _, size, _ in found) - self.limit
        for _, size, path in sorted(found):
            if excess <= 0:
                return
            path.unlink(missing_ok=True)
            excess -= size


def default_folder() -> Path:
    """Return where images are kept: ``restored`` in the user's cache."""
    return cache_folder() / "restored"


def identity(restorer: Restorer) -> str | None:
    """Return a hash of all that a restorer is: file, card, every tensor; None where it comes from no file."""
    if restorer.digest is None:
        return None
    told = hashlib.sha256(restorer.digest.encode())
    told.update(json.dumps(_plain(asdict(restorer.card)), sort_keys=True).encode())
    for name, tensor in sorted(restorer.state_dict().items()):
        told.update(name.encode())
        told.update(_hashed(tensor))
    return told.hexdigest()


def _hashed(tensor: Tensor | None) -> bytes:
    if tensor is None:
        return b"none"
    plain = tensor.detach().cpu().contiguous()
    head = f"{tuple(plain.shape)}{plain.dtype}".encode()
    return head + hashlib.sha256(plain.flatten().view(torch.uint8).numpy()).digest()


def _plain(value: object) -> object:
    """Return what JSON can hold of a card."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value if isinstance(value, str | int | float | bool | None) else repr(value)
