"""TOML written: Python reads it, but has nothing that writes it."""

import json
from collections.abc import Mapping
from typing import Any


def dumps(document: Mapping[str, Any]) -> str:
    """Return ``document`` as TOML text that reads back equal."""
    lines: list[str] = []
    _dump_table(document, (), lines)
    return "\n".join(lines).strip() + "\n"


def _dump_table(table: Mapping[str, Any], path: tuple[str, ...], lines: list[str]) -> None:
    tables = {k: v for k, v in table.items() if _is_table(v)}
    for key, value in table.items():
        if key not in tables and value is not None:
            lines.append(f"{_key(key)} = {_literal(value)}")
    for key, value in tables.items():
        dotted = ".".join(_key(p) for p in (*path, key))
        for entry in value if isinstance(value, list) else [value]:
            lines += ["", f"[[{dotted}]]" if isinstance(value, list) else f"[{dotted}]"]
            _dump_table(entry, (*path, key), lines)


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping) or (
        isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) for v in value)
    )


def _key(key: str) -> str:
    return key if key and all(c.isascii() and (c.isalnum() or c in "-_") for c in key) else json.dumps(key)


def _literal(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return (
            "{ " + ", ".join(f"{_key(k)} = {_literal(v)}" for k, v in value.items() if v is not None) + " }"
        )
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_literal(v) for v in value) + "]"
    return repr(value)
