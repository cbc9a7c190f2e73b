"""The loop: a method says what to descend; this says how, when to save, and what to keep."""

import copy
import csv
import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from restoration import checkpoint, distributed
from restoration.data import Pairs, prefetch
from restoration.errors import TrainingStopped
from restoration.experiment import Experiment, Schedule
from restoration.method import Batch, Method
from restoration.preview import write_preview

Validate = Callable[[nn.Module, int], dict[str, float]]
Progress = Callable[[int, dict[str, float]], None]
LOG_EVERY = 100


@dataclass
class Run:
    """One training run: what learns, how it learns, and where it lives on disk."""

    experiment: Experiment
    method: Method
    optimizers: Mapping[str, Any]
    data: Pairs
    folder: Path
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    validate: Validate | None = None
    progress: Progress = lambda step, logs: None
    seconds: float = 0.0  # spent so far, interrupted parts included

    def __post_init__(self) -> None:
        schedule, strategy = self.experiment.schedule, self.experiment.distributed.strategy
        self.groups = self.method.groups()
        sharded = strategy == "fully-shard" and distributed.world() > 1  # shards are of contiguous parameters
        layout = torch.channels_last if schedule.channels_last and not sharded else torch.preserve_format
        for module in self.groups.values():
            if self.device.type == "cuda" and distributed.world() > 1:
                nn.SyncBatchNorm.convert_sync_batchnorm(module)
            module.to(self.device, memory_format=layout).train()
        self.template = copy.deepcopy(self.method.restorer()).cpu().eval()
        self.average = copy.deepcopy(self.method.restorer()).eval() if schedule.average else None
        for module in self.groups.values():
            distributed.spread(module, strategy, self.device)
        if self.average is not None and sharded:
            distributed.spread(self.average, strategy, self.device)
        self.stepping = {name: self.optimizers[name].over(module) for name, module in self.groups.items()}
        self.rates = {n: [[g["lr"] for g in o.param_groups] for o in os] for n, os in self.stepping.items()}
        if schedule.compile:
            self.method.restorer().compile()

    @property
    def state(self) -> checkpoint.State:
        """What a checkpoint holds."""
        return checkpoint.State(self.groups, self.stepping, self.average)

    def restorer(self) -> nn.Module:
        """Return a whole copy of the averaged restorer (of the restorer itself, where no average is kept)."""
        source = self.method.restorer() if self.average is None else self.average
        restorer = copy.deepcopy(self.template)
        restorer.load_state_dict({k: distributed.whole(v).cpu() for k, v in source.state_dict().items()})
        return restorer.to(self.device)


def train(run: Run) -> nn.Module:
    """Train to the last step of the schedule, resuming where the folder's last checkpoint stands.

    Returns the averaged restorer. Every draw is keyed by (seed, step), so an interrupted run ends with the weights
    of an uninterrupted one.
    """
    schedule = run.experiment.schedule
    start, best = resume(run)
    steps = range(start, schedule.steps)
    logs = Log(run.folder, start) if distributed.rank() == 0 else None
    started = time.monotonic() - run.seconds
    pending: tuple[int, dict[str, Tensor]] | None = None
    for step, batch in prefetch(_maker(run), steps, run.experiment.data.workers, run.experiment.data.ahead):
        torch.manual_seed(hash((run.experiment.seed, step, distributed.rank())))
        found = take_step(run, batch, step)
        update_average(run, step)
        if pending:
            stop_if_not_finite(run, *pending)
        pending, done = (step, found), step + 1
        if done % LOG_EVERY == 0 or done == schedule.steps:
            _log(run, logs, done, found)
        else:
            run.progress(done, {})
        if done % run.experiment.validation.every == 0 or done == schedule.steps:
            stop_if_not_finite(run, step, found)
            best = _validated(run, logs, done, best)
        if done % schedule.checkpoint == 0 or done == schedule.steps:
            stop_if_not_finite(run, step, found)
            run.seconds = time.monotonic() - started
            _saved(run, done, best)
    return run.restorer()


def take_step(run: Run, batch: Batch, step: int) -> dict[str, Tensor]:
    """Apply every update that the method yields for one batch and return what it logged.

    Micro-batches advance in lockstep: each update is the average over all of them before the next is computed.
    """
    schedule = run.experiment.schedule
    layout = torch.channels_last if schedule.channels_last else torch.preserve_format
    parts = batch.to(run.device, layout).split(schedule.micro_batches)
    sequences = [run.method.updates(part, step) for part in parts]
    logs: dict[str, Tensor] = {}
    while True:
        group = None
        for i, sequence in enumerate(sequences):
            # before the forward pass: that is where data parallelism decides whether to average over ranks
            for module in run.groups.values():
                distributed.synchronise_gradients(module, now=i == len(sequences) - 1)
            with autocast(run.device, schedule.bfloat16):
                update = next(sequence, None)
            if i and (update and update.group) != group:
                raise AssertionError(
                    "micro-batches disagree on which group learns: decide by the step, not by data"
                )
            if update is None:
                group = None
                continue
            group = update.group
            learning = [p for p in run.groups[group].parameters() if p.requires_grad]
            (update.loss / len(sequences)).backward(inputs=learning)
            _collect(logs, {**update.logs, group: update.loss.detach()}, len(sequences))
        if group is None:
            return logs
        logs[f"{group}.gradient"] = _descend(run, group, step)


def rate(schedule: Schedule, step: int) -> float:
    """Return the factor on every learning rate at ``step``, counted from 0: a linear warm-up, then the decay."""
    if step < schedule.warmup:
        return (step + 1) / schedule.warmup
    if schedule.decay == "cosine":
        progress = (step - schedule.warmup) / max(1, schedule.steps - schedule.warmup)
        return 0.5 * (1 + math.cos(math.pi * progress))
    if schedule.decay == "step":
        return schedule.factor ** sum(step >= share * schedule.steps for share in schedule.milestones)
    return 1.0


def update_average(run: Run, step: int) -> None:
    """Move the average towards the restorer: a ← a + (1 − d)(θ − a), d = min(average, (1 + step) / (10 + step)).

    Buffers, such as batch statistics, are copied.
    """
    if run.average is None:
        return
    decay = min(run.experiment.schedule.average, (1 + step) / (10 + step))
    restorer = run.method.restorer()
    with torch.no_grad():
        ours, theirs = list(run.average.parameters()), list(restorer.parameters())
        torch._foreach_lerp_(ours, theirs, 1 - decay)
        for mine, other in zip(run.average.buffers(), restorer.buffers(), strict=True):
            mine.copy_(other)


def stop_if_not_finite(run: Run, step: int, logs: Mapping[str, Tensor]) -> None:
    """Raise when a logged value or gradient of ``step`` is not finite; name the term and the images."""
    values = distributed.mean(torch.stack([v.detach().float().reshape(()) for v in logs.values()]))
    if bool(torch.isfinite(values).all()):
        return
    bad = next(name for name, value in zip(logs, values.tolist(), strict=True) if not math.isfinite(value))
    first = step * run.data.batch_size
    files = run.data.names([(run.data.seed, i) for i in range(first, first + run.data.batch_size)])
    saved = checkpoint.every(run.folder / "checkpoints")
    kept = f"the last good checkpoint is {saved[-1]}" if saved else "no checkpoint was written yet"
    raise TrainingStopped(f"step {step + 1}: '{bad}' is not finite; {kept}\n images: {', '.join(files)}")


def resume(run: Run) -> tuple[int, tuple[int, float] | None]:
    """Load the last checkpoint of the run's folder, if there is one; return the next step and the best score."""
    saved = checkpoint.every(run.folder / "checkpoints")
    if not saved:
        return 0, None
    record = checkpoint.load(saved[-1], run.state)
    run.seconds = record.get("seconds", 0.0)
    return record["step"], tuple(record["best"]) if record["best"] else None


def autocast(device: torch.device, bfloat16: bool) -> Any:  # noqa: ANN401
    """Return the context of the forward pass: bfloat16 where asked, else nothing."""
    return torch.autocast(device.type, torch.bfloat16) if bfloat16 else nullcontext()


class Log:
    """``log.csv``, ``validation.csv`` and, where tensorboard is installed, its events; rows after ``start`` go."""

    def __init__(self, folder: Path, start: int) -> None:
        self.folder = folder
        for name in ("log.csv", "validation.csv"):
            _truncate(folder / name, start)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self.board = None
        else:
            self.board = SummaryWriter(str(folder), purge_step=start + 1)

    def row(self, name: str, step: int, values: Mapping[str, float]) -> None:
        """Append one row to NAME.csv and to the events."""
        path = self.folder / f"{name}.csv"
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["step", *values])
            writer.writerow([step, *(f"{v:.8g}" for v in values.values())])
        if self.board:
            for key, value in values.items():
                self.board.add_scalar(f"{name}/{key}", value, step)
            self.board.flush()


def _descend(run: Run, group: str, step: int) -> Tensor:
    """Clip, step and clear one group; return the norm of its gradient before clipping."""
    parameters = [p for p in run.groups[group].parameters() if p.grad is not None]
    limit = run.experiment.schedule.clip or math.inf
    norm = distributed.whole(torch.nn.utils.clip_grad_norm_(parameters, limit))
    for optimizer, rates in zip(run.stepping[group], run.rates[group], strict=True):
        for settings, base in zip(optimizer.param_groups, rates, strict=True):
            settings["lr"] = base * rate(run.experiment.schedule, step)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return norm.detach()


def _collect(logs: dict[str, Tensor], values: Mapping[str, Tensor], parts: int) -> None:
    for name, value in values.items():
        logs[name] = logs.get(name, 0) + value.detach() / parts


def _maker(run: Run) -> Callable[[int], Batch]:
    rank, world = distributed.rank(), distributed.world()
    return lambda step: run.data.batch(step, rank, world)


def _log(run: Run, logs: Log | None, done: int, found: Mapping[str, Tensor]) -> None:
    values = distributed.mean(torch.stack([v.float().reshape(()) for v in found.values()])).tolist()
    row = dict(zip(found, values, strict=True))
    run.progress(done, row)
    if logs:
        logs.row("log", done, {**row, "rate": rate(run.experiment.schedule, done - 1), "time": time.time()})


def _validated(
    run: Run, logs: Log | None, done: int, best: tuple[int, float] | None
) -> tuple[int, float] | None:
    """Measure the averaged restorer, show what it does; return the best (step, score) so far."""
    restorer = run.restorer()
    if logs and run.experiment.validation.previews:
        keys = [(run.data.seed, i) for i in range(run.experiment.validation.previews)]
        write_preview(run.folder / "previews" / f"step-{done:08d}.png", restorer, run.data.of_keys(keys))
    if run.validate is None:
        return best
    scores = run.validate(restorer, done)
    if not scores:
        return best
    if logs:
        logs.row("validation", done, scores)
    run.progress(done, {f"validation/{k}": v for k, v in scores.items()})
    score = next(iter(scores.values()))
    return (done, score) if best is None or score > best[1] else best


def _saved(run: Run, done: int, best: tuple[int, float] | None) -> None:
    folder = run.folder / "checkpoints"
    checkpoint.save(folder, run.state, done, {"best": best, "seconds": run.seconds})
    if distributed.rank() == 0:
        checkpoint.prune(folder, run.experiment.schedule.keep, best[0] if best else None)


def _truncate(path: Path, start: int) -> None:
    """Drop rows of steps after ``start``: the resumed run writes them again."""
    if path.exists():
        header, *rows = path.read_text().splitlines()
        kept = [row for row in rows if int(row.split(",", 1)[0]) <= start]
        path.write_text("\n".join([header, *kept]) + "\n")
