"""Images in Hugging Face's datasets, saved to disk or loaded by name."""

import socket
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from restoration.config import nearest
from restoration.data.pairing import scale_of_first
from restoration.data.source import Source
from restoration.data.tables import EXTRA, cell, chosen
from restoration.errors import ConfigError

PATIENCE = 5.0  # seconds for the hub to answer


class HuggingFace(Source):
    """A map-style dataset of Hugging Face, on disk or by its name there; any row is as near as any other."""

    def __init__(self, name: str, columns: Sequence[str] = ()) -> None:
        self.source = f"hf:{name}"
        self.rows = _loaded(name)
        kinds = _image_features(self.rows.features)
        self.columns = chosen(columns, kinds, list(self.rows.features), self.source)
        self.rows = self.rows.select_columns(list(self.columns))
        for column in self.columns:
            if kinds[column]:
                self.rows = self.rows.cast_column(column, kinds[column])
        if not len(self.rows):
            raise ConfigError(f"{self.source}: holds no rows")
        self.paired = len(self.columns) == 2
        if self.paired:
            self.scale, self.damage = scale_of_first(self)
        self.remarks = tuple(self.damage.values())

    def __len__(self) -> int:
        return len(self.rows)

    def samples(self, index: int) -> np.ndarray:
        """Return a clean image as stored."""
        return self._image(index, 0)

    def partner(self, index: int) -> np.ndarray | None:
        """Return the degraded image of a pair."""
        return self._image(index, 1) if self.paired else None

    def name(self, index: int) -> str:
        """Return the data set and the row."""
        return f"{self.source}/{index}"

    def size(self, index: int) -> tuple[int, int]:
        """Return (height, width) of a clean image, which is decoded for it."""
        return self.samples(index).shape[:2]

    def share_memory(self, processes: int) -> None:
        """Nothing is kept: the rows are mapped from disk."""

    def contents(self) -> Iterator[bytes]:
        """Yield the data set's own name and the number of rows."""
        yield f"{Path(self.source).name} {len(self)}".encode()

    def _image(self, index: int, column: int) -> np.ndarray:
        name = self.columns[column]
        return cell(self.rows[index][name], f"{self.name(index)}.{name}")


def _loaded(name: str) -> Any:  # noqa: ANN401
    """Return the data set of a folder that ``save_to_disk`` wrote, or of a name and an optional split."""
    try:
        import datasets
    except ImportError:
        raise ConfigError(f"hf:{name}: needs Hugging Face's datasets: {EXTRA}") from None
    place, _, split = name.rpartition(":") if ":" in name else (name, "", "")
    if not place:
        raise ConfigError(f"hf:{name} names no data set; expected hf:NAME or hf:NAME:SPLIT")
    folder = Path(place).expanduser()
    saved = any((folder / known).is_file() for known in ("state.json", "dataset_dict.json"))
    try:
        with nullcontext() if folder.exists() else _quick():
            found = datasets.load_from_disk(str(folder)) if saved else datasets.load_dataset(place)
    except (
        Exception
    ) as error:  # scripts, hubs and file systems raise what they like; all of it is one line here
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"hf:{place}: cannot be loaded ({reason})") from None
    if not isinstance(found, Mapping):
        if split and split != str(found.split):
            has = f"only '{found.split}'" if found.split else "no splits"
            raise ConfigError(f"hf:{name}: no split '{split}'; it has {has}")
        return found
    if (split or (len(found) > 1 and "train" not in found)) and split not in found:
        raise ConfigError(f"hf:{name}: no split '{split}'; it has {', '.join(found)}{nearest(split, found)}")
    return found[split or ("train" if "train" in found else next(iter(found)))]


@contextmanager
def _quick() -> Iterator[None]:
    """Let a hub that cannot be reached be known at once, not after minutes of trying; what was loaded before serves.

    Behind a proxy nothing is tried: it reaches what this process does not.
    """
    import datasets
    from huggingface_hub import constants

    if urllib.request.getproxies() or _reached(constants.ENDPOINT):
        yield
        return
    settings = [(constants, "HF_HUB_OFFLINE"), (datasets.config, "HF_HUB_OFFLINE")]
    before = [getattr(where, key) for where, key in settings]
    for where, key in settings:
        setattr(where, key, True)
    try:
        yield
    finally:
        for (where, key), value in zip(settings, before, strict=True):
            setattr(where, key, value)


def _reached(url: str) -> bool:
    parts = urllib.parse.urlsplit(url)
    try:
        socket.create_connection((parts.hostname, parts.port or 443), timeout=PATIENCE).close()
    except OSError:
        return False
    return True


def _image_features(features: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of images, each with the feature that gives their files undecoded."""
    import datasets

    found: dict[str, Any] = {}
    for name, feature in features.items():
        if isinstance(feature, datasets.Image):
            found[name] = datasets.Image(decode=False)
        elif isinstance(feature, datasets.Value) and feature.dtype in ("binary", "large_binary"):
            found[name] = None
    return found
