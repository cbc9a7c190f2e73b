"""Restorers at settings of their dials, by name: ``NAME[perception=0.5]``, ``NAME[steps=1|5|25]``."""

import re
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import TypeVar

from restoration.config import override
from restoration.dials.perception import with_perception
from restoration.dials.sampling import with_sampling
from restoration.errors import RequestError
from restoration.restorers.network import Restorer
from restoration.weights import load

DIALS = ("perception", "with", "interpolate", "steps", "seed")
_SETTINGS = re.compile(r"(?P<base>.+)\[(?P<settings>[^\[\]]*)\]")
Number = TypeVar("Number", int, float)


def split_name(name: str) -> tuple[str, dict[str, str]]:
    """Return the name without its settings, and these; a name without any is returned as it is."""
    found = _SETTINGS.fullmatch(name)
    pairs = [pair.partition("=") for pair in found["settings"].split(",")] if found else []
    if found is None or not all(key.strip() and sign and value.strip() for key, sign, value in pairs):
        return name, {}
    return found["base"], {key.strip(): value.strip() for key, _, value in pairs}


def with_settings(base: str, settings: Mapping[str, str]) -> str:
    """Return the name of a restorer at settings."""
    return f"{base}[{','.join(f'{key}={value}' for key, value in settings.items())}]" if settings else base


def expanded(source: str) -> list[str]:
    """Return one source for each value of ``NAME[key=a|b|c]``; of several such keys, for each combination."""
    base, settings = split_name(source)
    if not settings:
        if _SETTINGS.fullmatch(source) and not Path(source).expanduser().exists():
            raise RequestError(f"{source}: expected NAME[KEY=VALUE,…], such as NAME[perception=0.5]")
        return [source]
    choices = [[value.strip() for value in values.split("|")] for values in settings.values()]
    return [with_settings(base, dict(zip(settings, chosen, strict=True))) for chosen in product(*choices)]


def label(source: str) -> str:
    """Return what results call a source: names as they are, files without their folder, settings as they are."""
    base, settings = split_name(source)
    return with_settings(Path(base).name if "." in base else base, settings)


def load_dialled(source: str) -> Restorer:
    """Return the restorer that a source names, at its settings.

    ``perception`` (with ``with`` and ``interpolate``), ``steps`` and ``seed`` are those of ``restoration apply``;
    other keys replace keywords of the file's network.
    """
    base, settings = split_name(source)
    own = {key: value for key, value in settings.items() if key not in DIALS}
    restorer = load(base, override({}, [f"{key}={value}" for key, value in own.items()]))
    steps, seed = _number(source, settings, "steps", int), _number(source, settings, "seed", int)
    restorer = with_sampling(restorer, steps, seed)
    perception = _number(source, settings, "perception", float)
    if perception is None:
        alone = next((key for key in ("with", "interpolate") if key in settings), None)
        if alone:
            raise RequestError(f"{source}: '{alone}' has a meaning beside 'perception' alone")
        return restorer
    other = load(settings["with"]) if "with" in settings else None
    return with_perception(restorer, perception, other, settings.get("interpolate", "outputs"))  # type: ignore[arg-type]


def _number(
    source: str, settings: Mapping[str, str], key: str, kind: Callable[[str], Number]
) -> Number | None:
    if key not in settings:
        return None
    try:
        return kind(settings[key])
    except ValueError:
        expected = "a whole number" if kind is int else "a number"
        raise RequestError(f"{source}: {key} = {settings[key]}: expected {expected}") from None
