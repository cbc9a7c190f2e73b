"""Files that appear whole or not at all."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """Yield a stream whose bytes become ``path`` when the block ends well; else nothing is left behind."""
    temporary = path.with_name(f".{secrets.token_hex(8)}.part")  # same folder: a rename never copies
    try:
        with temporary.open("x+b") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        if error.filename in (None, str(temporary)):
            error.filename = str(path)  # what was to be written, not the temporary
        raise
    finally:
        temporary.unlink(missing_ok=True)
