"""BasicSR's own modules, imported narrowly: what its package breaks on is stood in for, and nothing stays behind.

Two ways. `whole` runs the package, which takes one function from a module that torchvision has removed; `parts` gives
it empty parents instead, so that one architecture or loss comes without the rest. In both, what was imported is kept
here, not in ``sys.modules``: a program's own ``import basicsr`` does what it would have done without us. Where the
program has imported it already, its modules are used.
"""

import importlib
import importlib.util
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from restoration.errors import RequestError

PACKAGE = "basicsr"
REMOVED = "torchvision.transforms.functional_tensor"
EMPTY = (PACKAGE, f"{PACKAGE}.archs", f"{PACKAGE}.losses")  # run nothing of their own under `parts`
# under other terms than the rest of the package: why, and a pattern of what
NVIDIA = "under NVIDIA's Source Code License-NC (research and evaluation only)"
NON_COMMERCIAL = "under CC BY-NC-SA 4.0 (no commercial use)"
REFUSED = {
    r"basicsr\.(archs|models)\.stylegan2_\w+": NVIDIA,
    r"basicsr\.ops\.(upfirdn2d|fused_act)(\.\w+)?": NVIDIA,
    r"basicsr\.archs\.dfdnet_\w+": NON_COMMERCIAL,
}
TRUSTED = "RESTORATION_MODULES"  # an environment variable: modules that weights may name, with commas between
REMEDY = "or translate its option file, which needs none of it: restoration import OPTIONS.yml"

_lock = threading.RLock()
_kept: dict[tuple[object, ...], dict[str, ModuleType]] = {}  # (way, where the package lies) → its modules


class StandIn(ModuleType):
    """What torchvision has removed: `rgb_to_grayscale` is now in ``torchvision.transforms.functional``."""

    def __getattr__(self, name: str) -> object:
        """Return the function where it is now."""
        if name != "rgb_to_grayscale":
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'")
        return importlib.import_module("torchvision.transforms.functional").rgb_to_grayscale


class Refused(ModuleType):
    """In the place of a module that is never run; whoever takes something from it is told why."""

    def __getattr__(self, name: str) -> object:
        """Refuse every name that does not belong to the import machinery."""
        if name.startswith("__"):
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'")
        raise RequestError(_why(self.__name__))


def refuse(module: str) -> None:
    """Raise for a module whose licence keeps it out, such as ``"basicsr.archs.stylegan2_arch"``."""
    if any(re.fullmatch(pattern, module) for pattern in REFUSED):
        raise RequestError(_why(module))


def location() -> Path | None:
    """Return the folder of the package where it is installed; nothing of it is run."""
    present = sys.modules.get(PACKAGE)
    if present is not None and getattr(present, "__path__", None):
        return Path(next(iter(present.__path__)))
    spec = importlib.util.find_spec(PACKAGE) if present is None else None
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def require(what: str) -> Path:
    """Return the folder of the package, or say in one line how to get it."""
    found = location()
    if found is not None:
        return found
    if sys.version_info >= (3, 13):
        version = ".".join(map(str, sys.version_info[:2]))
        raise RequestError(
            f"{what}: basicsr cannot be installed on Python {version} (its build fails from 3.13 on); "
            f"use Python 3.11 or 3.12, {REMEDY}"
        )
    raise RequestError(
        f'{what}: basicsr is not installed; pip install "restoration-suite[basicsr]", {REMEDY}'
    )


@contextmanager
def whole(module: str = PACKAGE) -> Iterator[None]:
    """Let the package be imported within the block, for the sake of ``module``; refused modules are not run."""
    refuse(module)
    with _lock, _imported("whole", _refused_modules()):
        yield


@contextmanager
def parts(module: str) -> Iterator[None]:
    """Let ``module`` be imported within the block without its parents."""
    refuse(module)
    with _lock:  # before anything is looked up: another thread's block has modules of its own in place
        folder = location()
        empty = [] if folder is None or PACKAGE in sys.modules else [_empty(name, folder) for name in EMPTY]
        with _imported("parts", [*empty, *_refused_modules()]):
            yield


def part(noun: str, name: str) -> Callable[..., Any]:
    """Return what ``"basicsr/EDSR"`` names: a constructor of one of our ``noun``s, with its ``keywords``."""
    from restoration.bridge import registry

    return registry.part(noun, name)


def module_to_run(table: Mapping[str, Any]) -> str | None:
    """Return the first module of somebody's own that building a network from its table would run, unless trusted.

    Weights come from anywhere, and reading them runs nothing. A module that the program has imported, or that the
    environment variable RESTORATION_MODULES names, is trusted. What is no name is refused where the network is built.
    """
    own = table.get("module") if str(table.get("name", "")).startswith(f"{PACKAGE}/") else None
    trusted = {name.strip() for name in os.environ.get(TRUSTED, "").split(",")} | sys.modules.keys()
    if isinstance(own, str) and own not in trusted:
        return own
    return next(filter(None, map(module_to_run, _tables(table.values()))), None)


def _tables(values: Iterable[Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the tables among values and in lists of them."""
    for value in values:
        if isinstance(value, Mapping):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tables(value)


@contextmanager
def _imported(way: str, instead: Sequence[ModuleType]) -> Iterator[None]:
    """Exchange the modules of the package for our own ones, and back."""
    present = PACKAGE in sys.modules
    theirs = {name: module for name, module in sys.modules.items() if _of_package(name)}
    ours = {} if present else _kept.setdefault((way, location()), {})
    if not present:  # what an import that failed has left goes aside too
        _remove(theirs)
    placed = {module.__name__: module for module in instead} | ours
    placed |= {} if REMOVED in sys.modules else {REMOVED: StandIn(REMOVED)}
    placed = {name: module for name, module in placed.items() if name not in sys.modules}
    sys.modules.update(placed)
    try:
        yield
    finally:
        _remove(name for name, module in placed.items() if sys.modules.get(name) is module)
        if not present:
            ours |= {n: m for n, m in placed.items() if _of_package(n) and not isinstance(m, Refused)}
            ours |= {n: m for n, m in sys.modules.items() if _of_package(n)}
            _remove(ours)
            sys.modules.update(theirs)


def _remove(names: Iterable[str]) -> None:
    for name in list(names):
        sys.modules.pop(name, None)


def _of_package(name: str) -> bool:
    return name == PACKAGE or name.startswith(f"{PACKAGE}.")


def _empty(name: str, folder: Path) -> ModuleType:
    """Return a package that finds its modules in the installed folder and runs nothing of its own."""
    spec = ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = [str(folder.joinpath(*name.split(".")[1:]))]
    return importlib.util.module_from_spec(spec)


def _refused_modules() -> list[ModuleType]:
    """Return what takes the place of every refused module of the installed package."""
    folder = location()
    if folder is None:
        return []
    files = sorted(folder.rglob("*.py"))
    names = [".".join((PACKAGE, *file.relative_to(folder).with_suffix("").parts)) for file in files]
    names = [name.removesuffix(".__init__") for name in names]
    return [Refused(name) for name in names if any(re.fullmatch(p, name) for p in REFUSED)]


def _why(module: str) -> str:
    reason = next(why for pattern, why in REFUSED.items() if re.fullmatch(pattern, module))
    return f"{module}: {reason}; it is never imported here"
