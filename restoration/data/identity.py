"""Whether a run that goes on sees the images that it began with, in the order that it began with."""

import hashlib
from collections.abc import Mapping
from typing import Any

from restoration.data.source import Source
from restoration.errors import ConfigError


def identity(source: Source) -> dict[str, Any]:
    """Return how many images there are, and a hash of their names and of what else their order depends on.

    The folder that holds all of them may be another, and what of them can be read.
    """
    digest = hashlib.sha256(f"{len(source)} {source.clip} {source.joined}".encode())
    digest.update(b"" if source.blocks is None else source.blocks.astype("<i8").tobytes())
    for name in source.contents():
        digest.update(len(name).to_bytes(8, "little") + name)
    return {"images": len(source), "names": digest.hexdigest()[:32]}


def check_identity(now: Mapping[str, Any], begun: Mapping[str, Any] | None) -> None:
    """Refuse other images than a run began with; one that kept no record of them goes on."""
    if not begun or now == begun:
        return
    if now["images"] != begun["images"]:
        found = f"{now['images']} images, the run began with {begun['images']}"
    else:
        found = f"the run began with {begun['images']} images of other names or in another order"
    raise ConfigError(f"data: {found}; expected the same ones, or another --out")
