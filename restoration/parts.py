"""The objects that an experiment describes: network, stack, method, degradation, optimisers."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from restoration import frozen
from restoration.config import Spec, build, nearest, typed
from restoration.errors import ConfigError
from restoration.experiment import Experiment, Pace, split

LEAST_SHARED = 0.25  # of a network's numbers: what shares less is another network


def build_network(experiment: Experiment, described: bool = False) -> Any:  # noqa: ANN401
    """Return the experiment's network, initialised from its seed.

    One that is only ``described`` may wait for the restorer that another experiment will make.
    """
    import torch

    from restoration.networks import NETWORKS

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(experiment.seed)
        network = build(NETWORKS, experiment.network, "network", "network")
    if empty := [name for name, p in network.named_parameters() if not p.numel()]:
        raise ConfigError(f"network: '{empty[0]}' has no numbers; expected sizes from 1")
    if experiment.initial:
        _take_over(network, experiment.initial)
    if not (described and frozen.untrained(experiment.network)):
        frozen.fill(network, experiment.network, "network")
    return network


def _take_over(network: Any, source: str) -> None:  # noqa: ANN401
    """Start from another restorer's tensors, as far as names and shapes agree."""
    shared = _shared(network, source)
    if share_of(network, shared) < LEAST_SHARED:
        raise ConfigError(
            f'initial = "{source}": {taken_over(network, source)} fit the network of this experiment; '
            f"expected at least {LEAST_SHARED:.0%}"
        )
    network.load_state_dict(shared, strict=False)


def taken_over(network: Any, source: str) -> str:  # noqa: ANN401
    """Return in words how much of a network starts from another restorer."""
    shared = _shared(network, source)
    return f"{len(shared)} of {len(network.state_dict())} tensors, {share_of(network, shared):.1%} of the numbers,"


def share_of(network: Any, tensors: Mapping[str, Any]) -> float:  # noqa: ANN401
    """Return which part of a network's numbers the given tensors hold."""
    return sum(t.numel() for t in tensors.values()) / sum(t.numel() for t in network.state_dict().values())


def _shared(network: Any, source: str) -> dict[str, Any]:  # noqa: ANN401
    from restoration.weights import load

    own = network.state_dict()
    found = load(source).network.state_dict()
    return {k: v for k, v in found.items() if k in own and v.shape == own[k].shape}


def build_stack(experiment: Experiment) -> Any:  # noqa: ANN401
    """Return the experiment's loss stack."""
    import torch

    from restoration.losses.stack import Stack

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(experiment.seed)
        entries = [_entry(spec, f"stack.{i}") for i, spec in enumerate(experiment.stack)]
    try:
        return Stack(entries)
    except ValueError as error:
        raise ConfigError(f"stack: {error}") from None


def _entry(spec: Spec, where: str) -> Any:  # noqa: ANN401
    from restoration.losses import TERMS
    from restoration.losses.stack import Entry, Options, PairTerm, Term

    own, beside = split(spec, Options)
    options = typed(Options, beside, where)
    part = build(TERMS, own, where, "term")
    if options.initial:
        _start_from(options.initial, part.groups() if isinstance(part, Term) else {}, where)
    if isinstance(part, Term):
        if (options.region, options.colour) != ("all", "rgb"):
            raise ConfigError(
                f"{where}: term '{spec['name']}' sees whole images in RGB; drop region and colour"
            )
        return Entry(spec["name"], part, options)
    return Entry(spec["name"], PairTerm(part, options.region, options.colour), options)


def _start_from(source: str, parts: Mapping[str, Any], where: str) -> None:
    """Fill a term's own parts from the file that an earlier run wrote of them."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(source).expanduser()
    if not parts:
        raise ConfigError(f'{where}.initial = "{source}": this term owns no parts that learn')
    if not path.is_file():
        raise ConfigError(f'{where}.initial = "{source}": no such file')
    try:
        stored = load_file(path)
        if len(parts) == 1:
            next(iter(parts.values())).load_state_dict(stored)
            return
        for name, part in parts.items():
            part.load_state_dict(
                {k.removeprefix(f"{name}."): v for k, v in stored.items() if k.startswith(f"{name}.")}
            )
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise ConfigError(f'{where}.initial = "{source}": not the parts of this term ({reason})') from None


def build_method(experiment: Experiment, described: bool = False) -> Any:  # noqa: ANN401
    """Return the experiment's method with its network and stack; ``described`` as for `build_network`."""
    from restoration.methods import METHODS

    given = {"network": build_network(experiment, described), "stack": build_stack(experiment)}
    return build(METHODS, experiment.method, "method", "method", **given)


def build_degradation(experiment: Experiment) -> Any:  # noqa: ANN401
    """Return the degradation that makes the training pairs."""
    from restoration.degradations import DEGRADATIONS

    return build(DEGRADATIONS, experiment.data.degradation, "data.degradation", "degradation")


def build_optimizers(experiment: Experiment, groups: Iterable[str]) -> dict[str, Any]:
    """Return the optimiser of every group: its own table, else the default one."""
    from restoration.optimizers import OPTIMIZERS

    names = list(groups)
    for name in experiment.optimizer:
        if name != "default" and name not in names:
            raise ConfigError(
                f"optimizer.{name}: this run has no such group{nearest(name, [*names, 'default'])}"
            )
    return {name: _optimizer(experiment, OPTIMIZERS, name) for name in names}


def _optimizer(experiment: Experiment, table: dict[str, Any], group: str) -> Any:  # noqa: ANN401
    key = group if group in experiment.optimizer else "default"
    if key not in experiment.optimizer:
        raise ConfigError(
            f"optimizer: group '{group}' has no table of its own and there is no [optimizer.default]"
        )
    return build(table, split(experiment.optimizer[key], Pace)[0], f"optimizer.{key}", "optimiser")


def pace_of(experiment: Experiment, group: str) -> Pace:
    """Return what the table of a group says of its schedule; that of the default table where it has none."""
    key = group if group in experiment.optimizer else "default"
    return typed(Pace, split(experiment.optimizer.get(key, {}), Pace)[1], f"optimizer.{key}")
