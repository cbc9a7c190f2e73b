"""Image files of folders and lists: found, checked by their headers, and decoded."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import numpy as np
from PIL import Image

from restoration.data.kept import Filled
from restoration.data.source import Source
from restoration.errors import ConfigError, ImageError
from restoration.formats.exif import exif_of, stated_orientation
from restoration.formats.metadata import xmp_orientation
from restoration.image import find_images, read_samples, stored_size
from restoration.image.decoding import DAMAGE, FORMATS, PILLOW_SETTINGS

PACKAGED = "package:"  # begins what is looked for in the package: its photographs are package:photos
LIST = ".txt"
UPRIGHT = (".bmp", ".gif", ".pbm", ".pgm", ".pnm", ".ppm")  # hold no orientation
ON_ITS_SIDE = (5, 6, 7, 8)  # orientations that exchange height and width


def data_root() -> Path:
    """Return ``RESTORATION_DATA``, else the user's data folder."""
    if os.environ.get("RESTORATION_DATA"):
        return Path(os.environ["RESTORATION_DATA"]).expanduser()
    shared = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(shared) / "restoration"


def training_images(sources: str | Sequence[str], crop: int) -> list[Path]:
    """Return the image files of folders, lists and files, in order; a relative name may be one of the data root.

    Every file's header is read, so that a file that is no image or smaller than the crop is refused before the run.
    """
    sources = [sources] if isinstance(sources, str) else list(sources)
    if not sources or not all(sources):
        raise ConfigError("data.images: names no folder or file")
    paths = [path for source in sources for path in image_files(source)]
    sizes, damage = headers(paths)
    if damage:
        raise ConfigError(f"data.images: {next(iter(damage.values()))}")
    check_crop(paths, sizes, crop)
    return paths


def headers(paths: Sequence[Path]) -> tuple[np.ndarray, dict[int, str]]:
    """Return (height, width) of each file upright by its header, 0 where it cannot be read, and why by number."""
    sizes, damage = np.zeros((len(paths), 2), np.int64), {}
    for i, path in enumerate(paths):
        try:
            sizes[i] = upright_size(path)
        except ImageError as error:
            damage[i] = str(error)
    return sizes, damage


def upright_size(path: str | Path) -> tuple[int, int]:
    """Return (height, width) of a file's samples as they are read, by its header: an orientation tag counts."""
    height, width = stored_size(path)
    if height == width or Path(path).suffix.lower() in UPRIGHT:
        return height, width
    try:
        with PILLOW_SETTINGS, Image.open(path, formats=FORMATS) as image:
            if (
                image.format == "TIFF"
            ):  # Pillow gives upright sizes of some of them, and stored ones of others
                tags = image.tag_v2
                height, width, orientation = tags[0x101], tags[0x100], tags.get(0x112, 1)
            else:
                orientation = stated_orientation(exif_of(image))
                packet = image.info.get("xmp")
                if orientation is None and packet:
                    orientation = xmp_orientation(packet.encode() if isinstance(packet, str) else packet)
    except DAMAGE:  # what is read otherwise than by Pillow
        return height, width
    return (width, height) if orientation in ON_ITS_SIDE else (height, width)


def check_crop(names: Sequence[object], sizes: np.ndarray, crop: int) -> None:
    """Refuse the first image that is smaller than the crop, as far as sizes are known."""
    small = np.flatnonzero((sizes.min(1) < crop) & (sizes.min(1) > 0))
    if len(small):
        height, width = sizes[small[0]]
        raise ConfigError(f"{names[small[0]]}: {width}x{height} pixels, smaller than data.crop = {crop}")


class Photographs(Source):
    """Decoded images of a list of files; each is decoded once, as long as ``budget`` bytes last.

    ``partners`` are their degraded versions, ``scale`` times smaller; ``clip`` consecutive files are frames of a clip.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        budget: int,
        partners: Sequence[Path] = (),
        scale: int = 1,
        clip: int = 1,
        sizes: np.ndarray | None = None,
        damage: Mapping[int, str] | None = None,
    ) -> None:
        self.paths, self.partners, self.scale, self.clip = tuple(paths), tuple(partners), scale, clip
        self.paired, self.sizes, self.damage = bool(partners), sizes, damage or {}
        self.remarks = tuple(self.damage.values())
        pixels = 0 if sizes is None else int(sizes.prod(1).sum())
        # three samples of a byte each: by the header, grey and 16 bits are not told apart
        self.fits = sizes is not None and 3 * pixels * (1 + bool(partners) / scale**2) <= budget
        self._decoded: Filled[np.ndarray] = Filled(budget)

    def __len__(self) -> int:
        return len(self.paths)

    def samples(self, index: int) -> np.ndarray:
        """Return image ``index`` as stored, (H, W, C) of uint8 or uint16."""
        return self._read(self.paths[index])

    def partner(self, index: int) -> np.ndarray | None:
        """Return the degraded version of an image, if the files are pairs."""
        return self._read(self.partners[index]) if self.partners else None

    def name(self, index: int) -> str:
        """Return the path."""
        return str(self.paths[index])

    def size(self, index: int) -> tuple[int, int]:
        """Return (height, width) by the header."""
        return upright_size(self.paths[index])

    def contents(self) -> Iterator[bytes]:
        """Yield the paths below the folder that holds all of them."""
        places = [os.path.abspath(path) for path in self.paths]
        root = os.path.commonpath([os.path.dirname(place) for place in places])
        yield from (os.fsencode(os.path.relpath(place, root)) for place in places)

    def share_memory(self, processes: int) -> None:
        """Keep only this process's share of decoded images."""
        self._decoded.budget //= processes

    def _read(self, path: Path) -> np.ndarray:
        return self._decoded.get(path, lambda: read_samples(path))


def located(source: str) -> Path:
    """Return the file or folder of a path, of the package, or of the data root."""
    if source.startswith(PACKAGED):
        places = [Path(str(files("restoration"))) / source.removeprefix(PACKAGED)]
    else:
        places = [Path(source).expanduser(), data_root() / source]
    path = next((place for place in places if place.exists()), None)
    if path is None:
        tried = "" if places[0].is_absolute() else f" (nor {places[1]})"
        raise ConfigError(f'data.images = "{source}": no such folder or file{tried}')
    return path


def image_files(source: str, missing: bool = False) -> list[Path]:
    """Return the image files of a folder, of a list with a path in each line, or of a file.

    With ``missing`` a list's files need not be there.
    """
    path = located(source)
    if path.is_file():
        return listed(path, missing) if path.suffix.lower() == LIST else [path]
    found = find_images(path)
    if not found:
        raise ConfigError(f'data.images = "{source}": no images in this folder')
    return found


def listed(path: Path, missing: bool = False) -> list[Path]:
    """Return the files that a list names: a path in each line, below the list's own folder or the data root."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a list of paths ({error})") from None
    found = []
    for number, line in enumerate(lines, 1):
        name = Path(line.strip()).expanduser()
        if not line.strip():
            continue
        place = next((p for p in (path.parent / name, data_root() / name) if p.is_file()), None)
        if place is None and not missing:
            raise ConfigError(f"{path}:{number}: {name}: no such file")
        found.append(place or path.parent / name)
    if not found:
        raise ConfigError(f"{path}: names no image; expected a path in each line")
    return found


def frames_of_folders(paths: Sequence[Path], frames: int) -> list[Path]:
    """Return the files of clips: each folder that holds images is one video, cut into clips of ``frames`` files.

    What is left over at a video's end is not used.
    """
    folders: dict[Path, list[Path]] = {}
    for path in paths:
        folders.setdefault(path.parent, []).append(path)
    clips = []
    for folder, found in folders.items():
        found.sort(key=_numbered)
        if len(found) < frames:
            raise ConfigError(f"{folder}: {len(found)} images; expected at least data.frames = {frames}")
        clips += found[: len(found) // frames * frames]
    return clips


def _numbered(path: Path) -> list[tuple[int, str]]:
    """Return what sorts frame 10 after frame 9."""
    return [(int(part) if part.isdecimal() else -1, part) for part in re.split(r"(\d+)", path.name)]
