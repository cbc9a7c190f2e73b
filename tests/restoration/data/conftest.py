"""Small images, and shards of them, as the packer and webdataset lay them out."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from restoration.experiment import Data

from .made import picture


@pytest.fixture
def photos(tmp_path) -> Callable[..., Path]:
    """A function that writes a folder of PNG files and returns it."""

    def write(name: str = "photos", count: int = 6, **size: int) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        for i in range(count):
            Image.fromarray(picture(i, **size)).save(folder / f"{i:04d}.png")
        return folder

    return write


@pytest.fixture
def shards(tmp_path) -> Callable[..., Path]:
    """A function that writes samples, dictionaries of parts, into shards with or without an index."""

    def write(
        samples: list[dict[str, bytes]], per_shard: int, index: bool = True, name: str = "shards"
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        described = []
        for number, first in enumerate(range(0, len(samples), per_shard)):
            file = folder / f"train-{number:06d}.tar"
            entries = []
            with tarfile.open(file, "w", format=tarfile.USTAR_FORMAT) as tar:
                for i, parts in enumerate(samples[first : first + per_shard], first):
                    places = {}
                    for part, data in parts.items():
                        member = tarfile.TarInfo(f"{i:06d}.{part}")
                        member.size = len(data)
                        places[part] = [tar.offset + 512, len(data)]
                        tar.addfile(member, io.BytesIO(data))
                    size = Image.open(io.BytesIO(next(iter(parts.values())))).size[::-1]
                    entries.append({"key": f"{i:06d}", "parts": places, "size": list(size)})
            described.append({"file": file.name, "bytes": file.stat().st_size, "samples": entries})
        if index:
            (folder / "index.json").write_text(json.dumps({"schema": 1, "shards": described}))
        return folder

    return write


@pytest.fixture
def data() -> Callable[..., Data]:
    """A function that returns a data section."""
    return lambda images, **settings: Data(
        str(images) if isinstance(images, Path) else images, **{"crop": 16} | settings
    )
