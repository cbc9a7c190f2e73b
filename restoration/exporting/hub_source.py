"""Restorers of the Hugging Face hub, by ``hf:owner/name``; folders laid out as the hub has them."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from restoration.errors import RequestError, WeightsError

PREFIX = "hf:"
WEIGHTS = "model.safetensors"
CONFIG = "config.json"
PATIENCE = 4.0  # seconds until the hub must have begun to answer
EXTRA = 'pip install "restoration-suite[hub]"'
ADDRESS = re.compile(
    r"hf:(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<before>[^/@]+))?(?:/(?P<file>[^@]+))?(?:@(?P<after>[^@]+))?"
)


def fetched(source: str) -> Path:
    """Return the local copy of ``hf:owner/name[@revision][/file]``: its model.safetensors unless a file is named.

    The revision may stand behind the file as well, as one with a slash in its name must. What is in the hub's cache
    is used without a network. Everything that stands in the way is one line, after seconds.
    """
    address = ADDRESS.fullmatch(source)
    if address is None or (address["before"] and address["after"]):
        raise WeightsError(f"{source}: expected hf:owner/name, with @revision and /file where needed")
    try:
        from huggingface_hub import constants, errors
    except ImportError:
        raise RequestError(f"{source}: huggingface_hub is not installed; {EXTRA}") from None
    file, revision = address["file"] or WEIGHTS, address["before"] or address["after"]
    try:
        with quiet():
            return _downloaded(address["repo"], file, revision)
    except errors.LocalEntryNotFoundError:
        raise WeightsError(
            f"{source}: {file} is not in the hub's cache, {constants.HF_HUB_CACHE}, and the hub is out of reach "
            f"(no network, or offline); where it is in reach: {_command(address['repo'], file, revision)}"
        ) from None
    except errors.RepositoryNotFoundError:
        raise WeightsError(f"{source}: no such repository on the hub, or a private one") from None
    except errors.RevisionNotFoundError:
        raise WeightsError(f"{source}: the repository has no revision '{revision}'") from None
    except errors.EntryNotFoundError:
        raise WeightsError(
            f"{source}: the repository has no {file}; name another as hf:{address['repo']}/FILE"
        ) from None
    except Exception as error:  # the client's, or of the library below it that talks to the network
        raise WeightsError(f"{source}: could not be fetched: {first_line(error)}") from None


def _downloaded(repository: str, file: str, revision: str | None) -> Path:
    """Return the file in the hub's cache, brought up to date where the hub is in reach.

    Where nothing is there to fall back on, the hub's client would try again and again, for half a minute: so the hub
    is asked once for the file's size, and then for the file. An answer that refuses the first is left to the second.
    """
    import huggingface_hub as hub
    from huggingface_hub import errors

    if not isinstance(hub.try_to_load_from_cache(repository, file, revision=revision), str):
        try:
            hub.get_hf_file_metadata(hub.hf_hub_url(repository, file, revision=revision), timeout=PATIENCE)
        except errors.HfHubHTTPError:
            pass
        except errors.HFValidationError:
            raise
        except Exception as error:  # of the library below the client that talks to the network
            raise errors.LocalEntryNotFoundError(first_line(error)) from error
    return Path(hub.hf_hub_download(repository, file, revision=revision, etag_timeout=PATIENCE))


def _command(repository: str, file: str, revision: str | None) -> str:
    return f"hf download {repository} {file}" + (f" --revision {revision}" if revision else "")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back what the hub's client says of each attempt."""
    logger = logging.getLogger("huggingface_hub")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
