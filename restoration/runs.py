"""A run folder: prepared, described before it starts, resumed, exported."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from restoration import checkpoint, cost, distributed, frozen, preflight
from restoration.config import differences, read_toml
from restoration.data import Pairs, build_source
from restoration.data.identity import check_identity, identity
from restoration.errors import ConfigError
from restoration.experiment import FREE, Experiment
from restoration.files import atomic
from restoration.parts import build_degradation, build_method, build_optimizers, taken_over
from restoration.progress import Progress
from restoration.toml import dumps
from restoration.train import Run, Validate, train
from restoration.weights import Card, save

GIB = 2**30


def build_data(experiment: Experiment) -> Pairs:
    """Return the training pairs of an experiment; every file's header or index is checked."""
    data = experiment.data
    return Pairs(
        build_source(data),
        degradation=build_degradation(experiment) if data.degradation else None,
        crop=data.crop,
        batch_size=experiment.schedule.batch,
        seed=experiment.seed,
        augment=data.augment,
        grey=data.grey,
        damaged=data.damaged,
    )


def run(
    experiment: Experiment, folder: Path, device: torch.device, validate: Validate | None, quiet: bool
) -> None:
    """Train an experiment in its folder, or go on where it stopped, and export the restorer."""
    prepared = build_run(experiment, folder, device, validate)
    if state_of(folder, experiment) != "finished":
        preflight.check_compiler(experiment, device)
    state = _claimed(folder, experiment)
    if state == "finished":
        if distributed.rank() == 0 and not quiet:
            print(f"{folder} is finished: {folder / 'restorer.safetensors'}")
        return
    with Progress(experiment, quiet or distributed.rank() > 0) as progress:
        prepared.progress = progress
        prepared.note = progress.note if distributed.rank() == 0 else _later_rank_note(quiet)
        progress.note(f"{experiment.name} in {folder}" + (" (resumed)" if state == "resume" else ""))
        for key, file in frozen.taken(experiment.network).items():
            progress.note(f"network.{key}: {file}")
        for line in prepared.data.source.remarks:
            progress.note(f"data: skipped {line}")
        restorer = train(prepared)
        parts = prepared.parts()  # on every rank: sharded tensors are put together by all of them
    if distributed.rank() == 0:
        path = export(prepared, restorer, parts)
        if not quiet:
            print(f"wrote {path}")


def _later_rank_note(quiet: bool) -> Callable[[str], None]:
    """Return what tells a later rank's lines: it shows no progress, but what it skips nobody else knows."""

    def note(line: str) -> None:
        if not quiet:
            print(f"rank {distributed.rank()}: {line}", file=sys.stderr, flush=True)

    return note


def dry_run(experiment: Experiment, folder: Path, device: torch.device) -> str:
    """Return the resolved config and what training it would take; nothing is written."""
    state = state_of(folder, experiment)
    prepared = build_run(experiment, folder, device, described=True)
    if saved := checkpoint.every(folder / "checkpoints"):
        check_identity(identity(prepared.data.source), checkpoint.record_of(saved[-1]).get("data"))
    facts = description(prepared)
    for key, file in frozen.taken(experiment.network).items():
        facts["takes"] = f"network.{key}: {file}"
    for key, name in frozen.untrained(experiment.network).items():
        facts["waits for"] = f"network.{key}: restoration train {name}"
    if experiment.initial:
        facts["starts from"] = (
            f"{experiment.initial}: {taken_over(prepared.template, experiment.initial)} taken over"
        )
    width = max(map(len, facts))
    lines = [f"{key:<{width}}  {value}" for key, value in facts.items()]
    return "\n".join([dumps(experiment.resolved()), *lines, f"{'run folder':<{width}}  {folder}, {state}"])


def build_run(
    experiment: Experiment,
    folder: Path,
    device: torch.device,
    validate: Validate | None = None,
    described: bool = False,
) -> Run:
    """Return the run of an experiment, with everything checked that can be checked before it starts.

    One that is only ``described`` may wait for the restorer that another experiment will make.
    """
    preflight.check_ranks(experiment)
    method = build_method(experiment, described)
    optimizers = build_optimizers(experiment, method.groups())
    data = build_data(experiment)
    preflight.check_fit(experiment, data, method.restorer())
    preflight.check_steps(experiment, method)
    preflight.check_stack(experiment, data)
    return Run(experiment, method, optimizers, data, folder, device, validate)


def _claimed(folder: Path, experiment: Experiment) -> str:
    """Let the first rank claim the folder, and tell all what it found: a state, or why not."""
    state: str | ConfigError = ""
    if distributed.rank() == 0:
        try:
            state = claim(folder, experiment)
        except ConfigError as error:
            state = error
    state = distributed.gather(state)[0]
    if isinstance(state, ConfigError):
        raise state
    return state


def claim(folder: Path, experiment: Experiment) -> str:
    """Make the folder this experiment's own and return ``"new"``, ``"resume"`` or ``"finished"``."""
    state = state_of(folder, experiment)
    if state == "new":
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"--out {folder}: {error.strerror}; expected a folder that can be made"
            ) from None
        with atomic(folder / "config.toml") as stream:
            document = dumps(experiment.resolved())
            stream.write(f"# {experiment.name}: every setting, defaults filled in\n{document}".encode())
        return state
    for part in (folder / "checkpoints").glob(".*.part"):  # a whole checkpoint each, left by a kill
        part.unlink()
    return state


def state_of(folder: Path, experiment: Experiment) -> str:
    """Return what `claim` would, and change nothing.

    A folder that holds something else is refused, and so is one of the same experiment with other settings.
    """
    config = folder / "config.toml"
    document = experiment.resolved()
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: a file; expected a folder for the run")
    if not config.exists():
        # what our own interrupted write left is no other run; nothing is deleted in a folder that is not ours yet
        if folder.exists() and any(path.suffix != ".part" for path in folder.iterdir()):
            raise ConfigError(f"{folder}: holds files but no run of ours; choose another --out")
        return "new"
    ours, theirs = ({**d, "network": frozen.called(d["network"])} for d in (document, read_toml(config)))
    changed = [k for k in differences(ours, theirs) if k not in FREE]
    if changed:
        raise ConfigError(
            f"{folder}: holds a run with other settings: {', '.join(changed)}; choose another --out, or delete it"
        )
    saved = checkpoint.every(folder / "checkpoints")
    done = checkpoint.record_of(saved[-1])["step"] if saved else 0
    exported = (folder / "restorer.safetensors").exists() and (folder / "card.md").exists()
    return "finished" if done >= experiment.schedule.steps and exported else "resume"


def description(run: Run) -> dict[str, str]:
    """Return what a dry run says beside the resolved config: sizes, costs, data, and what splitting changes."""
    experiment, data = run.experiment, run.data
    network, channels = run.template, 1 if experiment.data.grey else 3
    side = data.crop // data.scale
    share = experiment.schedule.batch // distributed.world() // experiment.schedule.micro_batches
    needed = cost.training_bytes(
        network, (share, channels, side, side), run.bfloat16, experiment.schedule.average > 0
    )
    number = "bfloat16" if run.bfloat16 else "float32"
    if experiment.schedule.bfloat16 and not run.bfloat16:
        number += " (this device would emulate bfloat16)"
    facts = {
        "parameters": f"{cost.parameters(network):,}",
        "multiply-adds": f"{digits(cost.multiply_adds(network, channels, side) / 1e3)} G per megapixel of input",
        "memory": f"about {digits(needed / GIB, 2)} GiB for a step of {_counted(share, 'image')} of {side}x{side}",
        "data": f"{len(data.source)} images; {digits(_epochs(run))} epochs",
        **_idle(experiment),
        "learns": ", ".join(f"{n} ({cost.parameters(m):,})" for n, m in run.groups.items()),
        "device": f"{run.device}, {_counted(distributed.world(), 'process', 'processes')}, {number}",
    }
    return facts | splitting(run)


def digits(value: float, count: int = 3) -> str:
    """Return a number of so many digits that tell, written out: 53,800 and not 5.38e+04."""
    return f"{float(f'{value:.{count}g}'):,.12g}"


def _idle(experiment: Experiment) -> dict[str, str]:
    """Return which terms ask for nothing: they start after the last step, or their weight is not above 0."""
    late = [s["name"] for s in experiment.stack if s["start"] >= experiment.schedule.steps]
    weightless = [s["name"] for s in experiment.stack if s["weight"] <= 0]
    reasons = {"never starts": late, "has no weight": [name for name in weightless if name not in late]}
    told = [f"{', '.join(names)} {reason}" for reason, names in reasons.items() if names]
    return {"idle terms": "; ".join(told)} if told else {}


def splitting(run: Run) -> dict[str, str]:
    """Return what accumulation and ranks change for networks with batch statistics or dropout; nothing for others."""
    parts, world = run.experiment.schedule.micro_batches, distributed.world()
    if parts * world == 1:
        return {}
    facts = {}
    if getattr(run.template, "batch_statistics", False):
        images = run.experiment.schedule.batch // (parts * (1 if run.device.type == "cuda" else world))
        counted = _counted(images, "image")
        facts["batch norm"] = f"statistics are those of {counted}, not of the batch of {run.data.batch_size}"
    if any(_drops(module) for module in run.template.modules()):
        facts["dropout"] = "drawn anew for every rank and micro-batch: another split is another training"
    return facts


def _drops(module: torch.nn.Module) -> bool:
    rate = getattr(module, "drop_prob", None) if not hasattr(module, "p") else module.p
    return "drop" in type(module).__name__.lower() and bool(rate)


def export(run: Run, restorer: Any, parts: Mapping[str, Mapping[str, torch.Tensor]]) -> Path:  # noqa: ANN401
    """Write ``restorer.safetensors``, ``card.md`` and what the terms' own parts learnt; return the first."""
    experiment = run.experiment
    card = Card(
        name=experiment.name,
        task=experiment.task,
        network=experiment.resolved()["network"],
        scale=run.data.scale,
        licence=experiment.licence,
        training={
            "experiment": experiment.resolved(),
            "images": len(run.data.source),
            "seconds": round(run.record.seconds),
            "hardware": f"{run.device}, {_counted(torch.get_num_threads(), 'thread')} in each of "
            f"{_counted(distributed.world(), 'process', 'processes')}",
            "torch": torch.__version__,
            "command": " ".join(["restoration", *sys.argv[1:]]),
        },
        scores=run.record.scores,
    )
    path = run.folder / "restorer.safetensors"
    save(path, restorer.cpu(), card)
    for name, state in parts.items():  # a discriminator, an embedding: another run's term may start from it
        checkpoint.write(run.folder / f"{name}.safetensors", state, {"part": name, "of": experiment.name})
    with atomic(run.folder / "card.md") as stream:
        stream.write(card_text(card, cost.parameters(restorer)).encode())
    return path


def card_text(card: Card, parameters: int) -> str:
    """Return the card of a restorer as Markdown."""
    training = card.training
    experiment = training["experiment"]
    scores = "\n".join(f"- {name}: {value:.4f}" for name, value in card.scores.items()) or "- none measured"
    return f"""# {card.name}

{card.task}, scale {card.scale}, network `{card.network["name"]}` with {parameters:,} parameters.
Licence: {card.licence}.

{experiment.get("notes", "")}

## Training

- data: {training["images"]} images of `{experiment["data"]["images"]}`, {_degraded_by(experiment["data"])}
- {experiment["schedule"]["steps"]:,} steps of {experiment["schedule"]["batch"]} crops of \
{experiment["data"]["crop"]} pixels, seed {experiment["seed"]}
- {training["seconds"] / 60:.0f} minutes on {training["hardware"]}, torch {training["torch"]}
- command: `{training["command"]}`

## Scores

{scores}
"""


def _degraded_by(data: Mapping[str, Any]) -> str:
    """Return how a card says where degraded images come from."""
    words = [f"partners of `{data['degraded']}`"] if data.get("degraded") else []
    words += [f"degradation `{data['degradation']['name']}`"] if data.get("degradation") else []
    return ", ".join(words) or "each with its degraded partner"


def _counted(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _epochs(run: Run) -> float:
    return run.experiment.schedule.steps * run.data.batch_size / len(run.data.source)
