"""Large tensors on processors: let the C library keep freed memory, which the system would hand out page by page again.

glibc maps every allocation above 32 MB afresh and unmaps it when it is freed: in a training step a fifth of the
processor's time is page faults. There, `keep` makes it reuse what it has; elsewhere nothing here does anything.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD, MMAP_MAX = -1, -2, -3, -4  # mallopt's parameters, as in malloc.h
# what glibc's own rule comes to as soon as a large tensor has been freed: setting a number ends the rule
DEFAULTS = {TRIM_THRESHOLD: 64 << 20, TOP_PAD: 128 << 10, MMAP_THRESHOLD: 32 << 20, MMAP_MAX: 65_536}
KEPT = {MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 64 << 20}


_keeping = False


def keep() -> None:
    """Keep freed memory for the next tensor, for the rest of this process."""
    global _keeping
    _keeping = True
    _set(KEPT)


def give_back() -> None:
    """Return freed memory to the system, now and from now on, as the C library does by itself."""
    global _keeping
    _keeping = False
    _set(DEFAULTS)
    trim()


def trim() -> None:
    """Return what is free now to the system, once."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


@contextmanager
def kept() -> Iterator[None]:
    """Keep freed memory within the block; where it was kept already, it still is afterwards."""
    if _keeping:
        yield
        return
    keep()
    try:
        yield
    finally:
        give_back()


def _set(options: dict[int, int]) -> None:
    with suppress(AttributeError, OSError, TypeError):  # not glibc, or no C library to ask
        for parameter, value in options.items():
            ctypes.CDLL(None).mallopt(parameter, value)
