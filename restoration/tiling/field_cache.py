"""Fields that were measured of weights' files, kept in the user's cache: files of others have no place to note them."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import nn

from restoration.files import atomic
from restoration.losses.user_cache import cache_folder

METHOD = 2  # of measuring; what another one found does not count


def kept(restorer: nn.Module) -> Mapping[str, Any] | None:
    """Return what was noted of the field of a file's network; None where nothing was, or it cannot be read."""
    path = _path(restorer)
    if path is None:
        return None
    with suppress(OSError, ValueError, RuntimeError):
        found = json.loads(path.read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else None
    return None


def keep(restorer: nn.Module, field: Mapping[str, Any]) -> None:
    """Note the field of a file's network; a cache that cannot be written is no failure."""
    path = _path(restorer)
    if path is None:
        return
    with suppress(OSError, RuntimeError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as stream:
            stream.write(json.dumps(dict(field)).encode())


def _path(restorer: nn.Module) -> Path | None:
    """Return the file of a restorer's field, by its weights' digest and its network's settings."""
    digest, card = getattr(restorer, "digest", None), getattr(restorer, "card", None)
    if not digest or card is None:
        return None
    settings = json.dumps([METHOD, digest, card.network], sort_keys=True, default=str)
    return cache_folder() / "fields" / f"{hashlib.sha256(settings.encode()).hexdigest()}.json"
