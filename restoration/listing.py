"""What exists, one line each; and one part in full: keys, defaults, units, source."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from restoration import experiment
from restoration.config import REQUIRED, Spec, described, keywords, nearest
from restoration.errors import RequestError
from restoration.toml import dumps

Lines = dict[str, str]
Table = Mapping[str, Any]


def networks() -> Table:
    """Return the networks by name."""
    from restoration.networks import NETWORKS

    return NETWORKS


def terms() -> Table:
    """Return the terms of a loss stack by name."""
    from restoration.losses import TERMS

    return TERMS


def losses() -> Table:
    """Return the losses of a pair of images by name."""
    from restoration.losses import LOSSES

    return LOSSES


def degradations() -> Table:
    """Return the degradations by name."""
    from restoration.degradations import DEGRADATIONS

    return DEGRADATIONS


def methods() -> Table:
    """Return the training methods by name."""
    from restoration.methods import METHODS

    return METHODS


def optimizers() -> Table:
    """Return the optimisers by name."""
    from restoration.optimizers import OPTIMIZERS

    return OPTIMIZERS


def discriminators() -> Table:
    """Return the discriminators by name."""
    from restoration.losses.discriminators import DISCRIMINATORS

    return DISCRIMINATORS


def objectives() -> Table:
    """Return the contrastive objectives by name."""
    from restoration.losses.objectives import OBJECTIVES

    return OBJECTIVES


def features() -> Table:
    """Return the frozen feature networks by name."""
    from restoration.losses.backbones import BACKBONES

    return BACKBONES


TABLES: dict[str, tuple[str, Callable[[], Table]]] = {
    "networks": ("network", networks),
    "terms": ("term", terms),
    "losses": ("loss", losses),
    "degradations": ("degradation", degradations),
    "methods": ("method", methods),
    "optimizers": ("optimiser", optimizers),
    "discriminators": ("discriminator", discriminators),
    "objectives": ("objective", objectives),
    "features": ("features", features),
}


def listing(family: str, others: Mapping[str, Callable[[], Lines]]) -> Lines:
    """Return name → one line for a family such as ``"networks"``; ``others`` list what lies in files."""
    if family in others:
        return others[family]()
    if family not in TABLES:
        known = [*TABLES, *others]
        hint = nearest(family, known) or f"; expected one of {', '.join(known)}"
        raise RequestError(f"list: unknown family '{family}'{hint}")
    noun, table = TABLES[family][0], TABLES[family][1]()
    lines = {name: inspect.cleandoc(part.__doc__ or "").split("\n")[0] for name, part in table.items()}
    return lines | (_bridge_line(noun) if noun in ("network", "term") else {})


def _bridge_line(noun: str) -> Lines:
    """Return the one line that stands for all that BasicSR's registry offers."""
    from restoration import bridge
    from restoration.bridge.registry import usable

    folder = bridge.location()
    names = [name.partition("/")[2] for name in usable(folder, noun)] if folder else []
    which = f": {', '.join(names)}" if names else ""
    return {f"{bridge.PACKAGE}/NAME": f"BasicSR's {noun} of that name (extra {bridge.PACKAGE}){which}."}


def experiments() -> Lines:
    """Return the shipped experiments with their files' first lines."""
    return {name: text_of(name).split("\n", 1)[0].lstrip("# ") for name in experiment.shipped()}


def architectures() -> Lines:
    """Return every architecture of spandrel's, and which of them only run from a checkpoint."""
    from restoration.networks.spandrel import APPLY_ONLY
    from restoration.networks.spandrel import architectures as trainable

    lines = {name: f'{{ name = "spandrel", architecture = "{name}", … }}' for name in trainable()}
    return dict(sorted((lines | {name: f"apply only: {why}" for name, why in APPLY_ONLY.items()}).items()))


def text_of(name: str) -> str:
    """Return the file of a shipped experiment."""
    return experiment.find(name).read_text(encoding="utf-8")


def part_texts(name: str) -> list[str]:
    """Return what there is to know of every part of that name: its docstring and its keys."""
    if name.startswith("basicsr/"):
        return [bridged_text(name)]
    found = {noun: load()[name] for noun, load in TABLES.values() if name in load()}
    if "term" in found:
        found.pop("loss", None)  # the same function
    return [_described(noun, name, part, {"name": name}) for noun, part in found.items()]


def architecture_text(name: str) -> str:
    """Return the keywords of an architecture of spandrel's."""
    from restoration.networks.spandrel import Spandrel

    return _described("architecture", name, Spandrel, {"name": "spandrel", "architecture": name})


def bridged_text(name: str) -> str:
    """Return the docstring and the keywords of an entry of BasicSR's registry, such as ``"basicsr/EDSR"``."""
    from restoration.bridge.loss import BridgedLoss
    from restoration.bridge.registry import Part, noun_of

    try:
        noun = noun_of(name)
        part = Part(noun, name)
        parameters = part.keywords({})
    except ValueError as error:
        raise RequestError(f"show: {error}") from None
    keys = [f"  {key}{_default(parameter)}" for key, parameter in parameters.items()]
    text = [f"{noun} {name}", "", inspect.cleandoc(part.cls(None).__doc__ or ""), "", *keys]
    return "\n".join([*text, *(_facts(BridgedLoss) if noun == "term" else [])])


def _described(noun: str, name: str, part: Any, spec: Spec) -> str:  # noqa: ANN401
    try:
        parameters = keywords(part, spec)
    except ValueError as error:  # a family of networks behind one name needs to know which
        return f"{noun} {name}\n\n{inspect.cleandoc(part.__doc__ or '')}\n\n  {error}"
    keys = [f"  {key}{_default(p)}" for key, p in parameters.items() if key not in ("network", "stack")]
    text = [
        f"{noun} {name}",
        "",
        inspect.cleandoc(part.__doc__ or ""),
        "",
        *(keys or ["  no keys of its own"]),
    ]
    more = {"term": _facts, "degradation": _chain}.get(noun, lambda _: [])
    return "\n".join([*text, *more(part)])


def _chain(degradation: Any) -> list[str]:  # noqa: ANN401
    """Return the chain that a published degradation is made of, at its defaults, as TOML to copy and change."""
    from restoration.degradations.published import Published

    if not issubclass(degradation, Published):
        return []
    made = _spec(degradation().chain)
    return [
        "",
        "its chain at these defaults, to copy and change:",
        "",
        *dumps({"degradation": made}).splitlines(),
    ]


def _spec(part: Any) -> Any:  # noqa: ANN401
    """Return a degradation as the table that builds it: its name and what differs from its defaults."""
    if isinstance(part, (tuple, list)):
        return [_spec(value) for value in part]
    names = {cls: name for name, cls in degradations().items()}
    if type(part) not in names:
        return part
    given = {f.name: getattr(part, f.name) for f in fields(part) if getattr(part, f.name) != f.default}
    return {"name": names[type(part)], **{key: _spec(value) for key, value in given.items()}}


def _facts(term: Any) -> list[str]:  # noqa: ANN401
    """Return what a term's class says of it, and the keys that every entry of a stack takes."""
    from restoration.losses.stack import Options

    what = {
        "pair": "the restored image with the clean one",
        "restored": "nothing: it sees the restored image alone",
        "set": "what the restored and the clean image hold, wherever it lies",
        "batch": "more of the batch than one pair of images",
    }[term.compares]
    metric = f"{', '.join(term.as_metric)}; {term.better} is better" if term.as_metric else "none"
    keys = [f"  {key}{_default(p)}" for key, p in keywords(Options, {}).items()]
    size = "any size" if term.minimum_size == 1 else f"{term.minimum_size} pixels a side at its defaults"
    size = f"that of {term.sized_by}" if getattr(term, "sized_by", "") else size
    return [
        *(
            "",
            f"compares: {what}",
            f"range: {term.value_range}",
            f"smallest image: {size}",
            f"as a metric: {metric}",
        ),
        *("", "and as every entry of a stack:", *keys),
    ]


def _default(parameter: inspect.Parameter) -> str:
    kind = described(parameter.annotation)
    if parameter.default is REQUIRED:
        return f"  (required: {kind})"
    return f" = {parameter.default!r}  ({kind})"
