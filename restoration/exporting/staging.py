"""A place beside a file where it is made and checked, before it takes its name."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from restoration.errors import RequestError, RestorationError


@contextmanager
def staged(path: Path) -> Iterator[Path]:
    """Yield a path of the same name in a hidden folder beside ``path``, which is gone afterwards.

    The block moves what it made. Folders that are missing are made, and taken away again where the block fails. A
    folder or disk that cannot be written to is a `RestorationError` that names ``path``, a file where a folder is
    needed a `RequestError`.
    """
    missing = [folder for folder in path.parents if not folder.exists()]
    above = next((folder for folder in path.parents if folder.exists()), path.parent)
    if not above.is_dir():
        raise RequestError(f"{path}: {above} is a file; expected a folder")
    done = False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".", suffix=".part", dir=path.parent) as folder:
            try:
                yield Path(folder) / path.name
            except RestorationError as error:
                raise type(error)(str(error).replace(f"{Path(folder) / path.name}", str(path))) from None
        done = True
    except OSError as error:
        reason = error.strerror or str(error)
        raise RestorationError(f"{path}: could not be written ({reason}); nothing was left behind") from None
    finally:
        for made in [] if done else missing:
            with suppress(OSError):
                made.rmdir()
