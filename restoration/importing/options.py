"""Option files of other projects: read without surprises, and every leaf accounted for."""

import math
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from restoration.errors import ConfigError, RequestError

Place = tuple[str | int, ...]
SUFFIXES = (".yml", ".yaml", ".toml")
SECTIONS = ("datasets", "network_g", "network_d", "path", "train", "val", "logger")
# such files hold some hundred leaves and nest six deep; aliases of YAML can make billions of a few lines
LARGEST, MOST_LEAVES, DEEPEST = 2**20, 10_000, 32  # bytes, leaves, keys
UNKNOWN = "no option of these projects that is known here; nothing was made of it"
# YAML 1.1 asks for a dot in numbers with an exponent: without one `1e-4` would be text
FLOAT = re.compile(
    r"^[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+|\.[0-9_]+(?:[eE][-+]?[0-9]+)?"
    r"|\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)


@dataclass(frozen=True)
class Note:
    """A leaf without a counterpart: where it is, what it says, why nothing was made of it or what to use instead."""

    path: str
    value: object
    why: str


@dataclass
class Options:
    """An option file, leaf by leaf: each is translated or reported, once; what nobody asked for is reported too.

    A leaf is a value that holds no other keys: a number, text, a list without tables, something empty.
    """

    file: str
    document: dict[str, Any]
    translated: dict[Place, str] = field(default_factory=dict)  # leaf → our key
    notes: dict[Place, Note] = field(default_factory=dict)
    remarks: dict[Place, Note] = field(default_factory=dict)  # translated, but not the same thing
    chosen: list[str] = field(default_factory=list)  # what the file leaves open

    @property
    def of_neosr(self) -> bool:
        """Whether neosr wrote the file, which clips gradients and flips images unless it is told otherwise."""
        return self.get("model_type") in ("image", "otf", "default")

    def get(self, *path: str | int) -> Any:  # noqa: ANN401
        """Return the value at a path, or None; nothing is accounted for."""
        value: Any = self.document
        for key in path:
            found = isinstance(value, Mapping) and key in value
            found = found or (isinstance(value, list) and isinstance(key, int) and key < len(value))
            if not found:
                return None
            value = value[key]
        return value

    def below(self, *path: str | int) -> list[Place]:
        """Return the paths of the leaves at or below a path; none where nothing is there."""
        return self._below.get(path, [])

    @cached_property
    def _below(self) -> dict[Place, list[Place]]:
        """The leaves at or below every path, in order; the document does not change."""
        found: dict[Place, list[Place]] = {(): []}
        for leaf in leaves(self.document):
            for length in range(len(leaf) + 1):
                found.setdefault(leaf[:length], []).append(leaf)
        return found

    def take(self, *path: str | int, to: str) -> Any:  # noqa: ANN401
        """Return the value at a path, or None, and account for its leaves as translated to our key."""
        for leaf in self.below(*path):
            if leaf not in self.notes:
                self.translated.setdefault(leaf, to)
        return self.get(*path)

    def report(self, *path: str | int, why: str) -> None:
        """Account for the leaves at or below a path as having no counterpart."""
        for leaf in self.below(*path):
            if leaf not in self.translated:
                self.notes.setdefault(leaf, Note(dotted(leaf), self.get(*leaf), why))

    def remark(self, *path: str | int, why: str) -> None:
        """Say of a leaf that is translated how ours differs."""
        self.remarks[path] = Note(dotted(path), self.get(*path), why)

    def first(self, *paths: Place, to: str) -> Any:  # noqa: ANN401
        """Return the first value that is given of several paths to one thing; the others are reported."""
        given = [path for path in paths if self.get(*path) is not None]
        for path in paths:
            if self.below(*path) and given and path != given[0] and self.get(*path) != self.get(*given[0]):
                self.report(*path, why=f"{dotted(given[0])} says it first")
        for path in paths:
            self.take(*path, to=to)
        return self.get(*given[0]) if given else None

    def whole(self, *paths: Place, to: str) -> int | None:
        """Return a whole number, such as 5e3, of the first path given."""
        value = self.number(*paths, to=to)
        if value is not None and not float(value).is_integer():
            raise self.wrong(paths, value, "a whole number")
        return None if value is None else int(value)

    def number(self, *paths: Place, to: str) -> float | None:
        """Return a finite number of the first path given."""
        value = self.first(*paths, to=to)
        if value is None:
            return None
        if not is_number(value):
            raise self.wrong(paths, value, "a number")
        return value

    def numbers(self, *path: str | int, to: str) -> list[float] | None:
        """Return a list of numbers, or the values of a table of them."""
        value = self.take(*path, to=to)
        listed = list(value.values()) if isinstance(value, dict) else value
        if value is None:
            return None
        if not isinstance(listed, list) or not all(is_number(item) for item in listed):
            raise self.wrong((path,), value, "a list of numbers")
        return [float(item) for item in listed]

    def switch(self, *paths: Place, to: str) -> bool | None:
        """Return true or false of the first path given."""
        value = self.first(*paths, to=to)
        if value is not None and not isinstance(value, bool):
            raise self.wrong(paths, value, "true or false")
        return value

    def text(self, *paths: Place, to: str) -> str | None:
        """Return the text of the first path given."""
        value = self.first(*paths, to=to)
        if value is not None and not isinstance(value, str):
            raise self.wrong(paths, value, "text")
        return value

    def wrong(self, paths: tuple[Place, ...], value: object, expected: str) -> ConfigError:
        """Return the refusal of a value, with the first of its paths that is given."""
        path = next((path for path in paths if self.get(*path) is not None), paths[0])
        return ConfigError(f"{self.file}: {dotted(path)} = {value!r}: expected {expected}")

    def finish(self) -> list[Note]:
        """Report what nobody asked for, and return all notes in the order of the file."""
        order = self.below()
        for leaf in order:
            if leaf not in self.translated:
                self.notes.setdefault(leaf, Note(dotted(leaf), self.get(*leaf), UNKNOWN))
        return [self.notes[leaf] for leaf in order if leaf in self.notes]


def is_number(value: object) -> bool:
    """Return whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def leaves(document: Any, above: Place = ()) -> Iterator[Place]:  # noqa: ANN401
    """Yield the path of every leaf, in order."""
    if isinstance(document, Mapping) and document:
        for key, value in document.items():
            yield from leaves(value, (*above, key))
    elif isinstance(document, list) and any(isinstance(value, Mapping) for value in document):
        for i, value in enumerate(document):
            yield from leaves(value, (*above, i))
    elif above:
        yield above


def dotted(path: Place) -> str:
    """Return a path as messages show it."""
    return ".".join(str(key) for key in path)


def read(path: Path) -> Options:
    """Return the options of a YAML or TOML file."""
    if path.suffix.lower() not in SUFFIXES:
        raise RequestError(f"{path}: expected an option file ({', '.join(SUFFIXES)})")
    try:
        if path.stat().st_size > LARGEST:
            raise ConfigError(f"{path}: more than {LARGEST >> 10} KiB; expected an option file")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not text in UTF-8 ({error.reason} at byte {error.start})") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        document = _toml(text, path) if path.suffix.lower() == ".toml" else _yaml(text, path)
    except RecursionError:
        raise ConfigError(f"{path}: nested too deeply; expected at most {DEEPEST} levels") from None
    _check_size(document, path)
    if not isinstance(document, dict) or not document:
        raise ConfigError(f"{path}: expected options by name, such as network_g and train")
    for place in [(name,) for name in SECTIONS] + [("datasets", "train")]:
        value = Options(str(path), document).get(*place)
        if value is not None and not isinstance(value, dict):
            raise ConfigError(f"{path}: {dotted(place)} = {value!r}: expected a table")
    return Options(str(path), document)


def _check_size(document: object, path: Path) -> None:
    """Refuse what is nested too deeply or is too much, level by level: a level is never larger than the limit."""
    level = [document]
    total = 0
    for _ in range(DEEPEST):
        inner: list[object] = []
        for value in level:
            held = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
            inner += held
            if total + len(inner) > MOST_LEAVES:
                raise ConfigError(f"{path}: more than {MOST_LEAVES} values; expected an option file")
        total, level = total + len(inner), inner
        if not level:
            return
    raise ConfigError(f"{path}: nested too deeply; expected at most {DEEPEST} levels")


def _toml(text: str, path: Path) -> object:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None


def _yaml(text: str, path: Path) -> object:
    try:
        import yaml
    except ImportError:
        raise RequestError(f"{path}: reading YAML needs PyYAML: pip install pyyaml") from None

    class Loader(yaml.SafeLoader):
        """Numbers as in YAML 1.2, keys as text, and a key given twice is an error, not the second value."""

        yaml_implicit_resolvers = {  # noqa: RUF012
            first: [(tag, pattern) for tag, pattern in entries if not tag.endswith((":float", ":timestamp"))]
            for first, entries in yaml.SafeLoader.yaml_implicit_resolvers.items()
        }

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[str, Any]:
            """Return a table; what is merged into it may be said otherwise, but once."""
            own = Counter(str(key.value) for key, _ in node.value)
            if own and own.most_common(1)[0][1] > 1:
                twice, line = own.most_common(1)[0][0], node.start_mark.line + 1
                raise ConfigError(f"{path}: '{twice}' is given twice in the table at line {line}")
            self.flatten_mapping(node)
            made = self.construct_object
            return {str(made(key, deep=True)): made(value, deep=True) for key, value in node.value}

        def flatten_mapping(self, node: yaml.MappingNode) -> None:
            """Merge tables, but not without end: every alias may double what is merged."""
            super().flatten_mapping(node)
            if len(node.value) > MOST_LEAVES:
                raise ConfigError(f"{path}: more than {MOST_LEAVES} values; expected an option file")

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+0123456789."))
    Loader.add_constructor(
        "tag:yaml.org,2002:map", lambda loader, node: loader.construct_mapping(node, deep=True)
    )
    try:
        return yaml.load(text, Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or str(error).split("\n")[0]
        raise ConfigError(f"{path}: not valid YAML{where}: {reason}") from None
