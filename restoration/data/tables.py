"""Images in the columns of tables: parquet files and Hugging Face's datasets."""

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from restoration.config import nearest
from restoration.data import storage
from restoration.data.images import decoded
from restoration.data.kept import Latest, each, nbytes
from restoration.data.pairing import scale_of
from restoration.data.source import Source
from restoration.errors import ConfigError, ImageError
from restoration.image import read_samples

MIXED_BYTES = 1 << 30  # of row groups that an epoch mixes, at most, if that is more than one
EXTRA = 'pip install "restoration-suite[stream]"'
PAIR = ("clean", "degraded")  # columns that make a pair without being asked for


class Parquet(Source):
    """Images in a column of bytes, or of {"bytes", "path"} as Hugging Face stores them; a row group is a block.

    Up to 8 row groups are mixed, as many as 1 GiB holds; ``budget`` bytes of them are kept. ``columns`` names the
    clean images' column and the degraded ones'.
    """

    def __init__(self, files: Sequence[str], budget: int, columns: Sequence[str] = ()) -> None:
        self.files = tuple(files)
        self._open: Latest[_File] = Latest(storage.OPEN, each)
        self._groups: Latest[Any] = Latest(budget, nbytes)
        tables = [self._file(file).table for file in files]
        schema = tables[0].schema_arrow
        self.columns = _chosen(columns, _image_columns(schema), schema.names, files[0])
        groups = [
            (i, group, table.metadata.row_group(group))
            for i, table in enumerate(tables)
            for group in range(table.metadata.num_row_groups)
        ]
        self.groups = [(i, group) for i, group, _ in groups]
        self.blocks = np.array([about.num_rows for _, _, about in groups], np.int64)
        if not self.blocks.sum():
            raise ConfigError(f"{files[0]}: holds no rows")
        largest = max(about.total_byte_size for _, _, about in groups)
        self.joined = int(np.clip(MIXED_BYTES // max(1, largest), 1, Source.joined))
        self._ends = np.cumsum(self.blocks)
        self.paired = len(self.columns) == 2
        self.scale = _scale_of_first(self) if self.paired else 1

    def __len__(self) -> int:
        return int(self._ends[-1])

    def samples(self, index: int) -> np.ndarray:
        """Return a clean image as stored."""
        return self._image(index, 0)

    def partner(self, index: int) -> np.ndarray | None:
        """Return the degraded image of a pair."""
        return self._image(index, 1) if self.paired else None

    def name(self, index: int) -> str:
        """Return the file, the row group and the row in it."""
        block, row = self._place(index)
        file, group = self.groups[block]
        return f"{self.files[file]}/{group}/{row}"

    def size(self, index: int) -> tuple[int, int]:
        """Return (height, width) of a clean image, which is decoded for it."""
        return self.samples(index).shape[:2]

    def share_memory(self, processes: int) -> None:
        """Keep only this process's share of row groups."""
        self._groups.budget //= processes

    def _place(self, index: int) -> tuple[int, int]:
        block = int(np.searchsorted(self._ends, index, side="right"))
        return block, index - int(self._ends[block] - self.blocks[block])

    def _image(self, index: int, column: int) -> np.ndarray:
        block, row = self._place(index)
        group = self._groups.get(block, lambda: self._read(block))
        return _cell(group.column(column)[row].as_py(), f"{self.name(index)}.{self.columns[column]}")

    def _read(self, block: int) -> Any:  # noqa: ANN401
        file, group = self.groups[block]
        opened, names = self._file(self.files[file]), list(self.columns)
        with opened.lock:
            return opened.table.read_row_group(group, columns=names).select(names)

    def _file(self, file: str) -> "_File":
        return self._open.get(file, lambda: _File(file))


class HuggingFace(Source):
    """A map-style dataset of Hugging Face, on disk or by its name there; any row is as near as any other."""

    def __init__(self, name: str, columns: Sequence[str] = ()) -> None:
        self.source = f"hf:{name}"
        self.rows = _loaded(name)
        kinds = _image_features(self.rows.features)
        self.columns = _chosen(columns, kinds, list(self.rows.features), self.source)
        self.rows = self.rows.select_columns(list(self.columns))
        for column in self.columns:
            if kinds[column]:
                self.rows = self.rows.cast_column(column, kinds[column])
        if not len(self.rows):
            raise ConfigError(f"{self.source}: holds no rows")
        self.paired = len(self.columns) == 2
        self.scale = _scale_of_first(self) if self.paired else 1

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

    def _image(self, index: int, column: int) -> np.ndarray:
        name = self.columns[column]
        return _cell(self.rows[index][name], f"{self.name(index)}.{name}")


class _File:
    """An open parquet file, which one thread reads at a time."""

    def __init__(self, file: str) -> None:
        self.table, self.lock = _opened(file), threading.Lock()


def _opened(file: str) -> Any:  # noqa: ANN401
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ConfigError(f"{file}: reading parquet needs pyarrow: {EXTRA}") from None
    try:
        return parquet.ParquetFile(storage.opened(file) if storage.is_remote(file) else file)
    except (pyarrow.ArrowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{file}: not a readable parquet file ({reason})") from None


def _loaded(name: str) -> Any:  # noqa: ANN401
    """Return the data set of a folder that ``save_to_disk`` wrote, or of a name and an optional split."""
    try:
        import datasets
    except ImportError:
        raise ConfigError(f"hf:{name}: needs Hugging Face's datasets: {EXTRA}") from None
    place, _, split = name.rpartition(":") if ":" in name else (name, "", "")
    folder = Path(place).expanduser()
    saved = any((folder / known).is_file() for known in ("state.json", "dataset_dict.json"))
    try:
        found = datasets.load_from_disk(str(folder)) if saved else datasets.load_dataset(place)
    except (
        Exception
    ) as error:  # scripts, hubs and file systems raise what they like; all of it is one line here
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"hf:{place}: cannot be loaded ({reason})") from None
    if not isinstance(found, Mapping):
        return found
    if (split or (len(found) > 1 and "train" not in found)) and split not in found:
        raise ConfigError(f"hf:{name}: no split '{split}'; it has {', '.join(found)}{nearest(split, found)}")
    return found[split or ("train" if "train" in found else next(iter(found)))]


def _chosen(
    asked: Sequence[str], images: Mapping[str, Any], names: Sequence[str], where: str
) -> tuple[str, ...]:
    """Return the columns of clean and, for pairs, degraded images."""
    for name in asked:
        if name not in names:
            raise ConfigError(f"{where}: data.columns: unknown column '{name}'{nearest(name, names)}")
        if name not in images:
            raise ConfigError(
                f"{where}: data.columns: '{name}' holds no images; expected one of {_list(images)}"
            )
    if asked:
        return tuple(asked)
    if PAIR[0] in images:
        return tuple(name for name in PAIR if name in images)
    if len(images) == 1:
        return tuple(images)
    if not images:
        raise ConfigError(f"{where}: no column of images among {', '.join(names)}")
    raise ConfigError(f"{where}: images in columns {_list(images)}; expected data.columns to say which")


def _list(names: Mapping[str, Any]) -> str:
    return ", ".join(names) or "none"


def _image_columns(schema: Any) -> dict[str, None]:  # noqa: ANN401
    """Return the columns of a parquet file that may hold images: bytes, or a structure with bytes."""
    from pyarrow import types

    def holds(kind: Any) -> bool:  # noqa: ANN401
        if types.is_struct(kind):
            return any(kind.field(i).name == "bytes" for i in range(kind.num_fields))
        return types.is_binary(kind) or types.is_large_binary(kind)

    return {field.name: None for field in schema if holds(field.type)}


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


def _cell(value: object, name: str) -> np.ndarray:
    """Return the image of a cell: bytes, or {"bytes", "path"} where either may be missing."""
    data = value.get("bytes") if isinstance(value, Mapping) else value
    if isinstance(data, bytes):
        return decoded(data, name)
    path = value.get("path") if isinstance(value, Mapping) else None
    if not path:
        raise ImageError(f"{name}: empty")
    return read_samples(path)


def _scale_of_first(source: Source) -> int:
    return scale_of(source.samples(0).shape[:2], source.partner(0).shape[:2], source.name(0))
