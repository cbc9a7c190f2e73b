"""Restorers of the Hugging Face hub, by ``hf:owner/name``; folders laid out as the hub has them."""

import re
from pathlib import Path

from restoration.errors import RequestError, WeightsError

PREFIX = "hf:"
WEIGHTS = "model.safetensors"
CONFIG = "config.json"
EXTRA = 'pip install "restoration-suite[hub]"'
ADDRESS = re.compile(r"hf:(?P<repo>[\w.-]+/[\w.-]+)(?:/(?P<file>[^@]+))?(?:@(?P<revision>.+))?")


def fetched(source: str) -> Path:
    """Return the local copy of ``hf:owner/name[/file][@revision]``: its model.safetensors unless a file is named.

    What is in the hub's cache is used without a network. Everything that stands in the way is one line.
    """
    address = ADDRESS.fullmatch(source)
    if address is None:
        raise WeightsError(f"{source}: expected hf:owner/name, with /file and @revision where needed")
    try:
        import huggingface_hub
        from huggingface_hub import errors
    except ImportError:
        raise RequestError(f"{source}: huggingface_hub is not installed; {EXTRA}") from None
    file = address["file"] or WEIGHTS
    try:
        return Path(huggingface_hub.hf_hub_download(address["repo"], file, revision=address["revision"]))
    except errors.LocalEntryNotFoundError:
        raise WeightsError(
            f"{source}: {file} is not in the hub's cache, and the hub is out of reach (no network, or offline)"
        ) from None
    except errors.RepositoryNotFoundError:
        raise WeightsError(f"{source}: no such repository on the hub, or a private one") from None
    except errors.RevisionNotFoundError:
        raise WeightsError(f"{source}: the repository has no revision '{address['revision']}'") from None
    except errors.EntryNotFoundError:
        raise WeightsError(
            f"{source}: the repository has no {file}; name another as hf:{address['repo']}/FILE"
        ) from None
    except Exception as error:  # the client's, or of the library below it that talks to the network
        raise WeightsError(f"{source}: could not be fetched: {first_line(error)}") from None


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
