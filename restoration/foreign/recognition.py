"""Which network a set of tensors belongs to: ours first, then spandrel's."""

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from restoration.config import nearest
from restoration.errors import WeightsError
from restoration.foreign.layout import Match, Spec, State
from restoration.foreign.layouts import LAYOUTS
from restoration.networks import NETWORKS
from restoration.networks.network import Network
from restoration.networks.spandrel import Adapter

# what trainers call the part that restores, in files that hold other parts beside it
PARTS = (
    "netG.", "net_g.", "generator.", "model.", "net.", "network.", "module.", "model.model.", "model.net.",
    "_orig_mod.",
)  # fmt: skip
MISFIT = (ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError)


def recognise(state: State, path: Path, settings: Mapping[str, Any] | None = None) -> tuple[Network, Spec]:
    """Return the network that ``state`` belongs to, filled with it, and the table that describes it.

    ``settings`` replaces keywords of that table: what shapes cannot tell, as a noise level, or ×3 where ×2 has the
    same shapes. ``path`` is for messages alone.
    """
    complaint = ""
    for part in _parts(state):
        for layout in LAYOUTS:
            found = layout(part)
            if found is None:
                continue
            match = found if isinstance(found, Match) else Match(found, part)
            spec = {**match.spec, **(settings or {})}
            misfit = _unknown(spec)
            network, misfit = (None, misfit) if misfit else _built(spec, match.state)
            if network is not None:
                return network, spec
            complaint = complaint or f"looks like {spec['name']}, but {misfit}"
    if settings:
        names = ", ".join(settings)
        raise WeightsError(f"{path}: {complaint or f'of no network of ours, which alone take {names}'}")
    return _recognised_by_spandrel(state, path, complaint)


def difference(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """Return the first ways in which two sets of tensors differ in names or shapes, or nothing."""
    parts = [f"it lacks {_few(missing)}"] if (missing := [k for k in expected if k not in found]) else []
    if extra := [k for k in found if k not in expected]:
        parts.append(f"it has {_few(extra)} besides")
    for name in expected:
        if name in found and expected[name].shape != found[name].shape:
            shapes = tuple(found[name].shape), tuple(expected[name].shape)
            parts.append(f"{name} has shape {shapes[0]}; expected {shapes[1]}")
            break
    return "; ".join(parts)


def _parts(state: State) -> Iterator[State]:
    """Yield the tensors as they are, then those under each name that trainers give to the restoring part."""
    yield state
    for prefix in PARTS:
        part = {name.removeprefix(prefix): t for name, t in state.items() if name.startswith(prefix)}
        if part:
            yield part


def _unknown(spec: Spec) -> str:
    known = list(inspect.signature(NETWORKS[spec["name"]]).parameters)
    name = next((name for name in spec if name not in ("name", *known)), None)
    return "" if name is None else f"it has no keyword '{name}'{nearest(name, known)}"


def _built(spec: Spec, state: State) -> tuple[Network | None, str]:
    """Return the network of ``spec`` filled with ``state``, or what stands against it."""
    try:
        network = _of_table(spec)
    except MISFIT as error:
        return None, str(error).split("\n")[0]
    own = network.state_dict()
    # counters came to normalisation late, and have no effect on what is restored
    state = {k: v for k, v in own.items() if k.endswith(".num_batches_tracked")} | state
    if complaint := difference(own, state):
        return None, complaint
    network.load_state_dict(state)
    return network, ""


def _of_table(spec: Spec) -> Network:
    """Return the network of a table, networks within it included."""
    parts = {k: _of_table(v) if isinstance(v, dict) else v for k, v in spec.items() if k != "name"}
    return NETWORKS[spec["name"]](**parts)


def _recognised_by_spandrel(state: State, path: Path, complaint: str) -> tuple[Network, Spec]:
    from spandrel import MAIN_REGISTRY, UnsupportedModelError

    descriptor = None
    for part in _parts(state):
        try:
            descriptor = MAIN_REGISTRY.load(part)
            break
        except UnsupportedModelError:
            continue
        except MISFIT as error:
            reason = str(error).strip().split("\n")[0]
            complaint = complaint or f"fits no known network ({reason})"
    if descriptor is None:
        names = _few(list(state))
        raise WeightsError(f"{path}: {complaint or f'of no known network (its tensors begin with {names})'}")
    keywords = getattr(descriptor.model, "hyperparameters", {})
    plain = {k: v for k, v in keywords.items() if isinstance(v, (bool, int, float, str, list, tuple))}
    spec = {"name": "spandrel", "architecture": str(descriptor.architecture.id), **plain}
    return Adapter(descriptor.model, descriptor), spec


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
