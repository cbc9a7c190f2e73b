"""Which files of two folders are a pair: by the rule that training pairs them by; called by the commands about data."""

from collections.abc import Sequence
from pathlib import Path

from restoration.data.pairing import MARK, matched
from restoration.errors import ConfigError, RequestError

Pairs = list[tuple[Path, Path]]


def partners(clean: Sequence[Path], degraded: Sequence[Path], folder: str) -> list[Path]:
    """Return the degraded file of every clean one; one without is refused, as in training."""
    return matched(clean, degraded, where=f"--degraded {folder}")


def pairs_of(degraded: Sequence[Path], clean: Sequence[Path], folder: Path) -> tuple[Pairs, bool]:
    """Return (degraded, clean) pairs, and whether they are by order: where no two names match and counts agree.

    Files whose name is in one folder alone are passed over, so that a part of a set can be identified.
    """
    shared = set(map(_bare, degraded)) & set(map(_bare, clean))
    if not shared and len(degraded) == len(clean):
        return list(zip(degraded, clean, strict=True)), True
    if not shared:
        raise RequestError(
            f"{folder}: none of {len(degraded)} files such as {degraded[0].name} has the name of one of "
            f"{len(clean)} clean files such as {clean[0].name}"
        )
    small = [path for path in degraded if _bare(path) in shared]
    large = [path for path in clean if _bare(path) in shared]
    try:
        return list(zip(matched(large, small, where=str(folder)), large, strict=True)), False
    except ConfigError:  # clean files of the same name in folders that have no degraded ones
        return list(zip(small, matched(small, large, where=str(folder)), strict=True)), False


def _bare(path: Path) -> str:
    """Return the name without what tells a degraded file from a clean one."""
    return MARK.sub("", path.stem).lower()
