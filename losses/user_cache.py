"""The one folder of the user's in which everything is kept that can be had again.

Weights that were fetched, fields that were measured, images that were restored. It is told here because every package
may import this one.
"""

import os
from pathlib import Path

VARIABLE = "RESTORATION_CACHE"


def cache_folder() -> Path:
    """Return that folder: RESTORATION_CACHE, else ``restoration`` in XDG_CACHE_HOME or in ~/.cache."""
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "restoration"
