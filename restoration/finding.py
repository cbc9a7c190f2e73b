"""Which files are videos, by their names."""

import os
from pathlib import Path

SUFFIXES = (
    ".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv",
    ".ts", ".webm", ".wmv", ".y4m",
)  # fmt: skip


def is_video(path: str | Path) -> bool:
    """Return whether a file's name is that of a video."""
    return str(path).lower().endswith(SUFFIXES)


def find_videos(folder: Path) -> list[Path]:
    """Return the videos below a folder, sorted; hidden files and folders are left out, links followed once."""
    found, seen = [], set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        place = os.path.realpath(parent)
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, name) for name in names if is_video(name) and not name.startswith(".")]
    return sorted(found)
