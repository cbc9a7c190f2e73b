"""What is measured and by which convention: one TOML file per protocol, every choice spelled out."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from restoration.benchmarks.clips import CLIPS
from restoration.benchmarks.metrics import METRICS, Metric
from restoration.benchmarks.metrics.distributions import FEATURES, SetMetric
from restoration.benchmarks.sources import SOURCES, Files, Frames, Made, Source
from restoration.config import build, check, differences, nearest, override, read_toml, typed
from restoration.errors import ConfigError, RequestError
from restoration.experiment import Task

# changes of these show in a row's convention or metric already
VISIBLE = {"luma", "border", "output", "mean", "reference", "metrics"}

TOY = "gaussian-toy"  # measured by its own estimators, not by restorers of images
PAIRS = ("border", "colour", "luma", "mean", "output", "reference", "scale")  # what --pairs lets one set


@dataclass(frozen=True)
class Protocol:
    """Images, how they are degraded, and how restored ones are scored.

    ``clean`` lists folders and files below the data root (``photos`` is shipped), ``*`` for any text within a name;
    it is empty where there are degraded images alone. ``colour`` is what the restorer sees: "rgb" replicates
    one-channel files; "luma" is 8-bit BT.601 luma, one-channel files as they are; "grey" is
    MATLAB's rgb2gray, rounded half up. ``luma`` says whether luma is rounded to 8 bits before it is scored, ``output``
    whether the restored image is. ``border`` pixels at each edge are not scored. Clean images are cropped at the
    bottom and right to a multiple of ``scale``. ``mean`` is over images, or over clips of their means. ``reference`` is
    a folder, below the data root or anywhere, of images that metrics of sets compare restored ones with, instead of
    with the clean ones.
    """

    name: str
    task: Task
    clean: tuple[str, ...]
    degraded: Mapping[str, Any]
    scale: Annotated[int, Field(ge=1)] = 1
    colour: Literal["rgb", "luma", "grey"] = "rgb"
    output: Literal["uint8", "float"] = "uint8"
    luma: Literal["float", "uint8"] = "float"
    border: Annotated[int, Field(ge=0)] = 0
    mean: Literal["images", "clips"] = "images"
    reference: str = ""
    metrics: Annotated[tuple[str, ...], Field(min_length=1)] = ("psnr-y", "ssim-y")

    @cached_property
    def source(self) -> Source:
        """Return how the degraded images are had."""
        return build(SOURCES, dict(self.degraded), f"{self.name}.degraded", "source")

    @property
    def digest(self) -> str:
        """Return the sha256 of every setting but the choice of metrics, which a row names itself."""
        settings = {key: value for key, value in asdict(self).items() if key != "metrics"}
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()

    def metric(self, name: str) -> type[Metric]:
        """Return a metric by name, or say why this protocol has no such one; what it needs is not looked for."""
        if name not in METRICS:
            raise ConfigError(f"{self.name}.metrics: unknown metric '{name}'{nearest(name, METRICS)}")
        metric = METRICS[name]
        if metric.plane == "rgb" and self.colour != "rgb":
            raise ConfigError(
                f"{self.name}.metrics: '{name}' needs three channels, but colour = \"{self.colour}\" has one; "
                "expected metrics of one channel, such as psnr-y and ssim-y"
            )
        return metric

    def convention(self, metric: str) -> str:
        """Return by which convention a metric is measured; rows of different conventions are never mixed."""
        found = METRICS[metric]
        of_colour = found.makes or (f"y-{self.luma}" if found.plane == "y" else "rgb")
        plane = {"grey": "grey", "luma": "y-only-uint8", "rgb": of_colour}[self.colour]
        border = 0 if found.plane == "whole" else self.border
        told = [plane, f"border={border}", f"{self.output}-output"]
        if issubclass(found, SetMetric):
            told += [f"features={FEATURES[found.features]}", *self._compared(found)]
        elif self.mean == "clips":
            told.append(CLIPS)
        known = isinstance(self.source, Frames) and self.source.flow
        told.append(found.given_flow if known and found.given_flow else found.convention)
        return ",".join(filter(None, told))

    @property
    def paired(self) -> bool:
        """Return whether metrics of sets compare each restored image's own clean one, among others."""
        return bool(self.clean) and not self.reference

    def _compared(self, metric: type[SetMetric]) -> list[str]:
        """Return how a metric of sets is estimated, and from what where that is not the clean images."""
        if not self.reference:
            return [metric.of_pairs]
        return [metric.of_others, f"reference={Path(self.reference).name}"]


def protocol_names() -> list[str]:
    """Return the shipped protocols, numbers in numerical order."""
    folder = files("restoration.benchmarks").joinpath("protocols")
    names = (entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))
    return sorted(names, key=_natural)


def protocol_path(source: str | Path) -> Path:
    """Return the file of a shipped protocol, or the TOML file that ``source`` is."""
    if str(source).endswith(".toml"):
        return Path(source).expanduser()
    names = protocol_names()
    if str(source) == TOY:
        raise ConfigError(f"'{TOY}' is a test of the instrument, alone: restoration benchmark {TOY}")
    if str(source) not in names:
        raise ConfigError(f"unknown protocol '{source}'{nearest(str(source), [*names, TOY])}")
    return Path(str(files("restoration.benchmarks").joinpath("protocols", f"{source}.toml")))


def load_protocol(source: str | Path, settings: Iterable[str] = (), metrics: Iterable[str] = ()) -> Protocol:
    """Return a shipped protocol or one of a TOML file, with ``KEY=VALUE`` settings and other metrics applied.

    A change that no convention shows becomes part of the name: ``kodak5-color-25[degraded.sigma=30]``.
    """
    path = protocol_path(source)
    original = read_toml(path)
    document = override(original, settings)
    if metrics:
        document["metrics"] = list(metrics)
    name = str(document.get("name", path.stem))
    protocol = _parsed(document, name)
    changed = [
        key for key in differences(asdict(_parsed(original, name)), asdict(protocol)) if key not in VISIBLE
    ]
    if not changed:
        return protocol
    values = [f"{key}={_value(document, key)}" for key in changed if key != "name"]
    return _parsed(document | {"name": f"{name}[{','.join(values)}]"} if values else document, name)


def load_protocols(sources: str, settings: Iterable[str] = (), metrics: Iterable[str] = ()) -> list[Protocol]:
    """Return the protocols of a comma-separated list; settings and metrics hold for each of them."""
    names = [name.strip() for name in sources.split(",")]
    if not all(names):
        raise RequestError(f"'{sources}': expected protocols separated by single commas")
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise RequestError(f"'{sources}': protocol '{twice[0]}' is named twice")
    settings, metrics = list(settings), list(metrics)
    return [load_protocol(name, settings, metrics) for name in names]


def load_pairs_protocol(
    settings: Iterable[str] = (), metrics: Iterable[str] = (), clips: bool = False
) -> Protocol:
    """Return how folders of images are compared; only scoring keys have a meaning and may be set.

    ``clips`` says that images are frames, each folder of them a clip.
    """
    settings = list(settings)
    for setting in settings:
        key = setting.partition("=")[0].strip()
        if key not in PAIRS:
            raise ConfigError(
                f"--set {setting}: with --pairs expected one of {', '.join(PAIRS)}{nearest(key, PAIRS)}"
            )
    document = {
        "name": "pairs",
        "task": "restoration",
        "clean": ["."],
        "degraded": {"name": "frames" if clips else "files", "folder": "."},
    }
    chosen = {"metrics": list(metrics)} if metrics else {}
    return _parsed(override(document | chosen, settings), "pairs")


def _parsed(document: dict[str, Any], where: str) -> Protocol:
    if "degraded" not in document:
        raise ConfigError(
            f'{where}.degraded: missing; expected a table such as {{ name = "files", folder = "…" }}'
        )
    source = check(SOURCES, document["degraded"], f"{where}.degraded", "source")
    protocol = typed(Protocol, document | {"degraded": source}, where)
    if not protocol.clean and not isinstance(protocol.source, Files | Frames):
        raise ConfigError(
            f"{where}.clean = []: expected folders or files; only given degraded images do without clean ones"
        )
    if isinstance(protocol.source, Made) and protocol.source.moved and protocol.scale > 1:
        raise ConfigError(f"{where}.degraded.moved: expected 0, since scale = {protocol.scale}")
    if protocol.mean == "clips" and not isinstance(protocol.source, Frames):
        raise ConfigError(f'{where}.mean = "clips": expected degraded = {{ name = "frames", … }}')
    for name in protocol.metrics:
        protocol.metric(name)
    return protocol


def _value(document: Mapping[str, Any], key: str) -> str:
    """Return a changed value as it stands in a name; long ones by the start of their hash."""
    value: Any = document
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 40 else hashlib.sha256(text.encode()).hexdigest()[:8]


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
