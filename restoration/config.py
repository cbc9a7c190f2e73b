"""TOML documents to typed objects: a constructor's keywords are its schema, and every refusal names the key."""

import copy
import difflib
import inspect
import json
import tomllib
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from restoration import bridge
from restoration.errors import ConfigError

Table = Mapping[str, Callable[..., Any]]
Spec = dict[str, Any]
T = TypeVar("T")
ORIGIN = ("restorer", "sha256")  # beside a nested network's own keys: the file that its tensors come from
REQUIRED = inspect.Parameter.empty
# what constructors raise when keywords do not fit each other
MISFIT = (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError)
EXPECTED = {
    "bool_type": "true or false",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_type": "a whole number",
    "path_type": "text",
    "string_type": "text",
    "string_pattern_mismatch": "a name of letters, digits, '.', '_' and '-'",
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a table",
}


def nearest(name: str, names: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the closest of ``names`` whatever their case, or nothing."""
    folded = {known.casefold(): known for known in names}
    close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.5)
    return f"; did you mean '{folded[close[0]]}'?" if close else ""


def read_toml(path: Path) -> dict[str, Any]:
    """Return the document at ``path``."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None


def override(document: dict[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """Return a copy of ``document`` with each ``a.b.0.c=value`` applied; values are TOML, else plain text."""
    document = copy.deepcopy(document)
    for assignment in assignments:
        path, separator, text = assignment.partition("=")
        if not separator or not path.strip():
            raise ConfigError(f"--set {assignment}: expected KEY=VALUE")
        _assign(document, path.strip().split("."), _value(text), where=path.strip())
    return document


def check(
    table: Table, spec: Any, where: str, noun: str, given: Iterable[str] = (), beside: Iterable[str] = ()
) -> Spec:
    """Return ``spec`` with every default filled in, or raise on the first unknown name, key or value.

    ``given`` names the keywords that the caller supplies itself, ``beside`` the keys that it took out of ``spec``
    and that a misspelt one may have meant; nothing is built and no file is opened.
    """
    name, constructor = _named(table, spec, where, noun)
    given, resolved = set(given), {"name": name}
    try:
        parameters = keywords(constructor, spec)
    except ValueError as error:
        raise ConfigError(f"{where}: {error}") from None
    for key in spec:
        if key != "name" and (key not in parameters or key in given):
            hint = nearest(key, [*(k for k in parameters if k not in given), *beside])
            raise ConfigError(f"{where}.{key}: unknown key of {noun} '{name}'{hint}")
    for key, parameter in parameters.items():
        if key in given:
            continue
        if key not in spec and parameter.default is REQUIRED:
            raise ConfigError(f"{where}: {noun} '{name}' needs '{key}' ({described(parameter.annotation)})")
        if key in spec:
            annotation = _annotation(parameter)
            resolved[key] = checked_value(annotation, spec[key], f"{where}.{key}")
        elif parameter.default is not None:
            resolved[key] = _plain(parameter.default)
    return resolved


def build(table: Table, spec: Any, where: str, noun: str, **given: Any) -> Any:
    """Return the part that ``spec`` describes, built with its keywords and those ``given``."""
    resolved = check(table, spec, where, noun, given)
    name, constructor = _named(table, spec, where, noun)
    parameters = keywords(constructor, spec)
    arguments = {
        key: _built_value(_annotation(parameters[key]), value, f"{where}.{key}")
        for key, value in resolved.items()
        if key != "name"
    }
    try:
        return constructor(**arguments, **given)
    except MISFIT as error:
        reason = str(error) if isinstance(error, ValueError) else f"{noun} '{name}' cannot be built: {error}"
        raise ConfigError(f"{where}: {reason}") from None


def typed(cls: type[T], table: object, where: str) -> T:
    """Return the dataclass ``cls`` read from a TOML table; unknown keys and wrong types are refused."""
    if not isinstance(table, dict):
        raise ConfigError(f"{where} = {_show(table)}: expected a table")
    parameters = keywords(cls, table)
    prefix = f"{where}." if where else ""
    for key in table:
        if key not in parameters:
            raise ConfigError(f"{prefix}{key}: unknown key{nearest(key, parameters)}")
    arguments = {}
    for key, parameter in parameters.items():
        if key in table:
            arguments[key] = _adapt(_annotation(parameter), table[key], f"{prefix}{key}")
        elif parameter.default is REQUIRED:
            raise ConfigError(f"{prefix}{key}: missing; expected {described(parameter.annotation)}")
    try:
        return cls(**arguments)
    except ValueError as error:
        raise ConfigError(f"{where or cls.__name__.lower()}: {error}") from None


def keywords(constructor: Callable[..., Any], spec: object) -> dict[str, inspect.Parameter]:
    """Return the keywords that ``constructor`` takes; a family behind one name says so by its ``keywords``."""
    if hasattr(constructor, "keywords") and not isinstance(constructor, types.FunctionType):
        return constructor.keywords(spec)
    signature = inspect.signature(constructor, eval_str=True)
    return {k: p for k, p in signature.parameters.items() if k != "self"}


def checked_value(annotation: Any, value: Any, where: str) -> Any:
    """Return ``value`` as plain data after checking it against ``annotation``, parts within included."""
    part = _part(annotation)
    if part is None:
        _adapt(annotation, value, where)
        return value
    table, noun, many = part
    if not many:
        own, origin = without_origin(value, noun, where)
        return check(table, own, where, noun, beside=origin) | origin
    if not isinstance(value, list):
        raise ConfigError(f"{where} = {_show(value)}: expected a list of {noun}s")
    return [check(table, entry, f"{where}.{i}", noun) for i, entry in enumerate(value)]


def without_origin(value: Any, noun: str, where: str) -> tuple[Any, dict[str, str]]:
    """Return the table of a network within another without, and with only, the keys of its tensors' file."""
    if noun != "network" or not isinstance(value, dict):
        return value, {}
    origin = {k: _adapt(str, v, f"{where}.{k}") for k, v in value.items() if k in ORIGIN}
    return {k: v for k, v in value.items() if k not in ORIGIN}, origin


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Return the dotted keys in which two documents differ."""
    keys: list[str] = []
    for key in sorted({*ours, *theirs}):
        a, b = ours.get(key), theirs.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            keys += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            keys.append(f"{prefix}{key}")
    return keys


def _named(table: Table, spec: object, where: str, noun: str) -> tuple[str, Callable[..., Any]]:
    if not isinstance(spec, dict) or not isinstance(spec.get("name"), str):
        raise ConfigError(f'{where} = {_show(spec)}: expected a table with a name, such as {{ name = "…" }}')
    name = spec["name"]
    if "/" not in name and name not in table:
        raise ConfigError(f"{where}: unknown {noun} '{name}'{nearest(name, table)}")
    return name, table[name] if name in table else bridge.part(noun, name)


def _parts() -> dict[type, tuple[Table, str]]:
    # imported late: reading a protocol or an experiment's fixed sections needs no torch
    from restoration.degradations import DEGRADATIONS, Degradation
    from restoration.losses.discriminators import DISCRIMINATORS, Discriminator
    from restoration.losses.objectives import OBJECTIVES, Objective
    from restoration.networks import NETWORKS
    from restoration.networks.network import Network

    return {
        Degradation: (DEGRADATIONS, "degradation"),
        Discriminator: (DISCRIMINATORS, "discriminator"),
        Network: (NETWORKS, "network"),
        Objective: (OBJECTIVES, "objective"),
    }


def _part(annotation: Any) -> tuple[Table, str, bool] | None:
    arguments = [
        a for a in typing.get_args(annotation) if isinstance(a, type) and a is not types.EllipsisType
    ]
    candidates = [annotation] if isinstance(annotation, type) else arguments
    if not any(c.__module__.startswith("restoration") for c in candidates):
        return None
    many = typing.get_origin(annotation) in (tuple, list)
    return next(((*_parts()[c], many) for c in candidates if c in _parts()), None)


def _built_value(annotation: Any, value: Any, where: str) -> Any:
    part = _part(annotation)
    if part is None:
        return _adapt(annotation, value, where)
    table, noun, many = part
    if many:
        return tuple(build(table, entry, f"{where}.{i}", noun) for i, entry in enumerate(value))
    return build(table, without_origin(value, noun, where)[0], where, noun)


def _annotation(parameter: inspect.Parameter) -> Any:
    if parameter.annotation is not REQUIRED:
        return parameter.annotation
    if parameter.default is None or parameter.default is REQUIRED:
        return Any
    return type(parameter.default)


def _adapt(annotation: Any, value: object, where: str) -> Any:
    """Validate strictly as JSON, where lists may become tuples and text paths, but 1.5 and "1" are no int."""
    try:
        return TypeAdapter(annotation).validate_json(json.dumps(value), strict=True)
    except TypeError:
        raise ConfigError(f"{where} = {value!r}: expected {described(annotation)}") from None
    except ValidationError as error:
        raise ConfigError(f"{where} = {_show(value)}: {_reason(error, value)}") from None


def _reason(error: ValidationError, value: object) -> str:
    problems = error.errors()
    if any(p["type"] == "literal_error" for p in problems):
        literal = next(p for p in problems if p["type"] == "literal_error")
        choices = literal["ctx"]["expected"]
        names = choices.replace(" or ", ", ").replace("'", "").split(", ")
        return f"expected {choices}{nearest(str(value), names)}"
    words = [EXPECTED.get(p["type"]) or p["msg"][0].lower() + p["msg"][1:] for p in problems]
    words = [w.removeprefix("input should be ") for w in dict.fromkeys(words)]
    return f"expected {' or '.join(words)}"


def described(annotation: Any) -> str:
    """Return what a keyword takes, in words."""
    named = {
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        str: "text",
        REQUIRED: "a value",
    }
    if typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if typing.get_origin(annotation) is typing.Literal:
        return " or ".join(repr(choice) for choice in typing.get_args(annotation))
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return " or ".join(described(choice) for choice in typing.get_args(annotation))
    if typing.get_origin(annotation) in (tuple, list):
        return "a list"
    if typing.get_origin(annotation) is dict:
        return "a table"
    if annotation is type(None):
        return "nothing"
    return named.get(annotation) or str(getattr(annotation, "__name__", annotation)).lower()


def _show(value: object) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()


def _assign(node: Any, path: list[str], value: object, where: str) -> None:
    key: Any = path[0]
    rest = path[1:]
    if isinstance(node, list):
        if not key.isdecimal() or int(key) >= len(node):
            raise ConfigError(
                f"--set {where}: '{key}' is no entry of a list of {len(node)} (they count from 0)"
            )
        key = int(key)
    elif not isinstance(node, dict):
        raise ConfigError(f"--set {where}: '{key}' lies below a value that is no table")
    if not rest:
        node[key] = value
        return
    child = node.setdefault(key, {}) if isinstance(node, dict) else node[key]
    _assign(child, rest, value, where)
