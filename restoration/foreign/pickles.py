"""Files of torch without the program in them: tensors and plain values, and empty shells for all other objects."""

import pickle
import re
import sys
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from restoration.errors import WeightsError

# modules of the standard library whose objects are values, and what else of it trainers store beside tensors
VALUES = {"argparse", "collections", "datetime", "decimal", "enum", "fractions", "pathlib", "typing", "uuid"}
KINDS = {
    "bool", "bytearray", "bytes", "complex", "dict", "float", "frozenset", "int", "list", "object", "range", "set",
    "slice", "str", "tuple",
}  # fmt: skip
MORE = {"functools.partial", "inspect._empty", "types.SimpleNamespace"}
# what torch raises on files that are cut off or are something else; OSError where it seeks before the start
DAMAGE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
SHELLS = 500  # kinds of objects beside tensors, of which a real file has a few


class Shell:
    """Stands for an object of another program, of which nothing is made or run."""

    kind = ""

    def __init__(self, *args: object, **keywords: object) -> None:
        """Take what the object is made of, and forget it."""

    def __setstate__(self, state: object) -> None:
        """Forget the state that the object had."""


class ListShell(list[Any]):
    """Stands for an object that a file fills as a list."""

    def __init__(self, *args: object) -> None:
        super().__init__()

    def __setstate__(self, state: object) -> None:
        """Forget the state that the object had."""


def read_pickle(path: Path) -> object:
    """Return what a file of torch holds; nothing in it is executed, and objects of other programs become shells.

    Functions and objects of the standard library, which are how a file runs programs, are refused.
    """
    shells: dict[str, type] = {}
    while True:
        try:
            stored = _loaded(path, shells)
            break
        except pickle.UnpicklingError as error:
            if not _passed_over(str(error), shells):
                raise WeightsError(f"{path}: {_refusal(_unknown(str(error)))}") from None
        except PermissionError:
            raise
        except DAMAGE as error:
            if "TorchScript" in str(error):
                reason = "a TorchScript archive, which is a program; refused. Export its state_dict() instead"
                raise WeightsError(f"{path}: {reason}") from None
            raise WeightsError(f"{path}: not a readable checkpoint; truncated or corrupt") from None
    if isinstance(stored, Shell):
        raise WeightsError(f"{path}: {_refusal(stored.kind)}")
    return stored


def refuse_module(stored: object, path: Path) -> None:
    """Refuse a file whose only weights are within an object of a program."""
    values = stored.values() if isinstance(stored, Mapping) else []
    module = next((value.kind for value in values if isinstance(value, Shell)), None)
    if module is not None:
        raise WeightsError(f"{path}: {_refusal(module)}")


def _passed_over(complaint: str, shells: dict[str, type]) -> bool:
    """Add to ``shells`` what torch complained about, or make of a shell what the file fills; False where it may not."""
    filled = re.search(r"Can only (\w+).*but got <class '[\w.]*\.Shell of ([\w.]+)'>", complaint)
    if filled is not None:
        shells[filled.group(2)] = ListShell if filled.group(1) == "append" else OrderedDict
        return True
    name = _unknown(complaint)
    if name is None or name in shells or not _harmless(name) or len(shells) == SHELLS:
        return False
    shells[name] = type(f"Shell of {name}", (Shell,), {"kind": name})
    return True


def _loaded(path: Path, shells: dict[str, type]) -> object:
    # torch says builtins without their module
    allowed: list[Any] = [
        (shell, name if "." in name else f"builtins.{name}") for name, shell in shells.items()
    ]
    # warnings are about old pickle protocols
    with (
        warnings.catch_warnings(action="ignore", category=UserWarning),
        torch.serialization.safe_globals(allowed),
    ):
        return torch.load(path, map_location="cpu", weights_only=True)


def _unknown(message: str) -> str | None:
    found = re.search(r"(?:GLOBAL|Unsupported class) ([\w.]+)", message)
    return None if found is None else found.group(1)


def _harmless(name: str) -> bool:
    """Return whether an object of that name may be passed over: none that a program is run by."""
    module, _, kind = name.rpartition(".")
    first = module.split(".")[0]
    if first in ("", "builtins", "__builtin__"):
        return kind in KINDS
    return first not in sys.stdlib_module_names or first in VALUES or name in MORE


def _refusal(name: str | None) -> str:
    if name is None:
        return "not readable as weights; corrupt, or a pickle of something else; refused"
    return (
        f"holds a pickled {name}, and loading one can run any program; refused. "
        f"Save the state_dict() of the network instead"
    )
