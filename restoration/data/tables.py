"""Images in the columns of parquet files, and which columns of any table hold images."""

import posixpath
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from restoration.config import nearest
from restoration.data import storage
from restoration.data.images import decoded
from restoration.data.kept import Latest, each, nbytes
from restoration.data.pairing import scale_of_first
from restoration.data.source import Source
from restoration.errors import ConfigError, ImageError
from restoration.image import read_samples

MIXED_BYTES = 1 << 30  # of row groups that an epoch mixes, at most, if that is more than one
EXTRA = 'pip install "restoration-suite[stream]"'
PAIR = ("clean", "degraded")  # columns that make a pair without being asked for


class Parquet(Source):
    """Images in a column of bytes, or of {"bytes", "path"} as Hugging Face stores them; a row group is a block.

    Up to 8 row groups are mixed, as many as 1 GiB holds. ``budget`` bytes of them are kept, and whatever the budget the
    row groups of two groups of the order, or each of them would be read anew for every image. ``columns`` names the
    clean images' column and the degraded ones'.
    """

    def __init__(self, files: Sequence[str], budget: int, columns: Sequence[str] = ()) -> None:
        self.files, self._broken = tuple(files), {}
        self._open: Latest[_File] = Latest(storage.OPEN, each)
        groups, remarks = [], []
        for i, file in enumerate(files):
            found = _layout(file, remarks)
            if found is None:
                continue
            if not groups:
                self.columns = chosen(columns, _image_columns(found.schema), found.schema.names, file)
            _check_columns(self.columns, found.schema.names, file)
            groups += [(i, group, rows, size) for group, (rows, size) in enumerate(found.groups)]
        if not groups and remarks:
            raise ConfigError(remarks[0])
        self.groups = [(i, group) for i, group, _, _ in groups]
        self.blocks = np.array([rows for _, _, rows, _ in groups], np.int64)
        if not self.blocks.sum():
            raise ConfigError(f"{files[0]}: holds no rows")
        largest = max(size for *_, size in groups)
        self.joined = int(np.clip(MIXED_BYTES // max(1, largest), 1, Source.joined))
        self._groups: Latest[Any] = Latest(budget, nbytes, least=2 * self.joined)
        self._ends = np.cumsum(self.blocks)
        self.paired = len(self.columns) == 2
        if self.paired:
            self.scale, self.damage = scale_of_first(self)
        self.remarks = (*remarks, *self.damage.values())

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

    def contents(self) -> Iterator[bytes]:
        """Yield the files' own names and the row groups."""
        yield from (posixpath.basename(file.replace("\\", "/")).encode() for file in self.files)
        yield repr(self.groups).encode()

    def _place(self, index: int) -> tuple[int, int]:
        block = int(np.searchsorted(self._ends, index, side="right"))
        return block, index - int(self._ends[block] - self.blocks[block])

    def _image(self, index: int, column: int) -> np.ndarray:
        block, row = self._place(index)
        group = self._groups.get(block, lambda: self._read(block))
        return cell(group.column(column)[row].as_py(), f"{self.name(index)}.{self.columns[column]}")

    def _read(self, block: int) -> Any:  # noqa: ANN401
        from pyarrow import ArrowException

        file, group = self.groups[block]
        place, names = self.files[file], list(self.columns)
        if block in self._broken:
            raise ImageError(self._broken[block])
        try:
            opened = self._file(place)
            with opened.lock:
                return opened.table.read_row_group(group, columns=names).select(names)
        except (ArrowException, OSError, ConfigError) as error:
            line = f"{place}/{group}: damaged row group ({' '.join(str(error).split())})"
            if not storage.is_remote(place):  # there it may be the store that fails, and not for good
                self._broken[block] = line
            raise ImageError(line) from None

    def _file(self, file: str) -> "_File":
        return self._open.get(file, lambda: _File(file))


class _File:
    """An open parquet file, which one thread reads at a time."""

    def __init__(self, file: str) -> None:
        self.table, self.lock = _opened(file), threading.Lock()


@dataclass(frozen=True)
class _Layout:
    """What is kept of a file that is not open: its schema, and (rows, bytes) of each row group."""

    schema: Any
    groups: list[tuple[int, int]]


def _layout(file: str, remarks: list[str]) -> _Layout | None:
    """Return the layout of a file, or add a remark that it cannot be read; it is closed again."""
    _parquet(file)
    try:
        table = _opened(file)
    except ConfigError as error:
        remarks.append(str(error))
        return None
    about = [table.metadata.row_group(group) for group in range(table.metadata.num_row_groups)]
    found = _Layout(table.schema_arrow, [(group.num_rows, group.total_byte_size) for group in about])
    table.close(force=True)
    return found


def _opened(file: str) -> Any:  # noqa: ANN401
    parquet = _parquet(file)
    import pyarrow

    try:
        return parquet.ParquetFile(storage.opened(file) if storage.is_remote(file) else file)
    except (pyarrow.ArrowException, OSError) as error:
        reason = storage.reason(error) if isinstance(error, OSError) else " ".join(str(error).split())
        raise ConfigError(f"{file}: not a readable parquet file ({reason})") from None


def _parquet(file: str) -> Any:  # noqa: ANN401
    try:
        from pyarrow import parquet
    except ImportError:
        raise ConfigError(f"{file}: reading parquet needs pyarrow: {EXTRA}") from None
    return parquet


def _check_columns(columns: Sequence[str], names: Sequence[str], file: str) -> None:
    for name in columns:
        if name not in names:
            raise ConfigError(
                f"{file}: no column '{name}', as the files before it have; it has {', '.join(names)}"
            )


def chosen(
    asked: Sequence[str], images: Mapping[str, Any], names: Sequence[str], where: str
) -> tuple[str, ...]:
    """Return the columns of clean and, for pairs, degraded images: those asked for, else those that must be meant."""
    if len(asked) > len(PAIR) or len({*asked}) < len(asked):
        raise ConfigError(
            f"data.columns = {', '.join(asked)}: expected the clean images' column, "
            "or that and the degraded images' column"
        )
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


def cell(value: object, name: str) -> np.ndarray:
    """Return the image of a cell: bytes, or {"bytes", "path"} where either may be missing."""
    data = value.get("bytes") if isinstance(value, Mapping) else value
    if isinstance(data, bytes):
        return decoded(data, name)
    path = value.get("path") if isinstance(value, Mapping) else None
    if not path:
        raise ImageError(f"{name}: empty")
    return read_samples(path)
