"""Which network a set of tensors belongs to: ours first, then spandrel's."""

import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restoration.config import nearest
from restoration.errors import WeightsError
from restoration.foreign.hints import hinted
from restoration.foreign.layout import Match, Spec, State, difference, few, names_in
from restoration.foreign.layouts import LAYOUTS
from restoration.foreign.signatures import nearest_layout
from restoration.networks import NETWORKS
from restoration.networks.network import Network
from restoration.networks.spandrel import Adapter

if TYPE_CHECKING:
    from spandrel import ModelDescriptor

# what trainers call the part that restores, in files that hold other parts beside it; moving averages first
AVERAGES = (
    "ema_model.",
    "model_ema.",
    "net_g_ema.",
    "netG_ema.",
    "generator_ema.",
    "ema.",
    "averaged_model.",
)
PARTS = (
    "netG.", "net_g.", "generator.", "model.", "net.", "network.", "restorer.", "sr_model.", "backbone.",
)  # fmt: skip
# what wrappers put before every name
MARKS = ("module.", "_orig_mod.")
MISFIT = (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError)
DEPTH = 4  # of parts within parts


def recognise(state: State, path: Path, settings: Mapping[str, Any] | None = None) -> tuple[Network, Spec]:
    """Return the network that ``state`` belongs to, filled with it, and the table that describes it.

    ``settings`` replaces keywords of that table: what shapes cannot tell, as a noise level, or ×3 where ×2 has the
    same shapes. ``path`` is for messages alone.
    """
    state = _unmarked(state)
    network, spec, complaint = _first_fitting(_known_parts(state, DEPTH), path, settings or {})
    if network is None and not complaint:
        network, spec, complaint = _first_fitting(_other_parts(state), path, settings or {})
    if network is not None:
        return network, spec
    if settings:
        names = ", ".join(settings)
        raise WeightsError(f"{path}: {complaint or f'of no network of ours, which alone take {names}'}")
    return _recognised_by_spandrel(state, path, complaint)


def _first_fitting(
    parts: Iterable[State], path: Path, settings: Mapping[str, Any]
) -> tuple[Network | None, Spec, str]:
    """Return the network of the first part that fits one of ours, and its table; else why the first did not."""
    complaint = ""
    for part in parts:
        for layout in LAYOUTS:
            found = layout(part)
            if found is None:
                continue
            match = found if isinstance(found, Match) else Match(found, part)
            spec = {**match.spec, **hinted(match.spec, path), **settings}
            misfit = _unknown(spec)
            network, misfit = (
                (None, misfit) if misfit else _built(spec, match.state, names_in(part, match.state))
            )
            if network is not None:
                return network, spec, ""
            complaint = complaint or f"looks like {spec['name']}, but {misfit}"
    return None, {}, complaint


def _known_parts(state: State, depth: int) -> Iterator[State]:
    """Yield the tensors as they are, then those under each name that trainers give to the restoring part."""
    yield state
    prefixes: Iterable[str] = (*AVERAGES, *PARTS) if depth else ()
    for prefix in prefixes:
        if part := _under(state, prefix):
            yield from _known_parts(part, depth - 1)


def _other_parts(state: State) -> Iterator[State]:
    """Yield what stands under other names, each as a whole."""
    for prefix in dict.fromkeys(f"{name.split('.')[0]}." for name in state if "." in name):
        if prefix not in (*AVERAGES, *PARTS) and not prefix[0].isdecimal():
            yield from _known_parts(_under(state, prefix), 1)


def _under(state: State, prefix: str) -> State:
    return _unmarked({n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)})


def _unmarked(state: State) -> State:
    """Return the tensors without the prefixes that wrappers gave to all of them, counters of averages aside."""
    named = {name: t for name, t in state.items() if name != "n_averaged"}
    while mark := next((m for m in MARKS if named and all(n.startswith(m) for n in named)), None):
        named = state = {name.removeprefix(mark): tensor for name, tensor in named.items()}
    return state


def _unknown(spec: Spec) -> str:
    known = list(inspect.signature(NETWORKS[spec["name"]]).parameters)
    name = next((name for name in spec if name not in ("name", *known)), None)
    return "" if name is None else f"it has no keyword '{name}'{nearest(name, known)}"


def _built(spec: Spec, state: State, called: Callable[[str], str]) -> tuple[Network | None, str]:
    """Return the network of ``spec`` filled with ``state``, or what stands against it."""
    try:
        network = _of_table(spec)
    except MISFIT as error:
        return None, str(error).split("\n")[0]
    own = network.state_dict()
    # counters came to normalisation late, and have no effect on what is restored
    state = {k: v for k, v in own.items() if k.endswith(".num_batches_tracked")} | state
    if complaint := difference(own, state, called):
        return None, complaint
    network.load_state_dict(state)
    return network, ""


def _of_table(spec: Spec) -> Network:
    """Return the network of a table, networks within it included."""
    parts = {k: _of_table(v) if isinstance(v, dict) else v for k, v in spec.items() if k != "name"}
    return NETWORKS[spec["name"]](**parts)


def _recognised_by_spandrel(state: State, path: Path, complaint: str) -> tuple[Network, Spec]:
    found, misfit = _descriptor(state)
    if found is None:
        _refuse_part(state, path)
        complaint = complaint or misfit
        names = few(list(state))
        raise WeightsError(
            f"{path}: {complaint or f'of no known network (its tensors begin with {names}){nearest_layout(state)}'}"
        )
    keywords = getattr(found.model, "hyperparameters", {})
    plain = {k: v for k, v in keywords.items() if isinstance(v, (bool, int, float, str, list, tuple))}
    spec = {"name": "spandrel", "architecture": str(found.architecture.id), **plain}
    return Adapter(found.model, found), spec


def _descriptor(state: State) -> "tuple[ModelDescriptor | None, str]":
    """Return what spandrel makes of the tensors, or what it complains about; its warnings are its own affair."""
    from spandrel import MAIN_REGISTRY, UnsupportedModelError

    complaint = ""
    for part in _known_parts(state, DEPTH):
        try:
            with warnings.catch_warnings(action="ignore"):
                return MAIN_REGISTRY.load(part), ""
        except UnsupportedModelError:
            continue
        except MISFIT as error:
            reason = str(error).strip().split("\n")[0]
            complaint = complaint or f"fits no known network ({reason})"
    return None, complaint


def _refuse_part(state: State, path: Path) -> None:
    """Refuse what is known and restores nothing, by what it is."""
    from restoration.foreign.parts import KINDS, named, recognise_part

    for part in (*_known_parts(state, DEPTH), *_other_parts(state)):
        if kind := named(part):
            raise WeightsError(f"{path}: {kind}, no restorer")
        try:
            _, spec = recognise_part(part)
        except WeightsError:
            continue
        raise WeightsError(f"{path}: {KINDS[spec['name']]} ({spec['name']}), no restorer")
