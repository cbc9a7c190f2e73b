"""The loop: a method says what to descend; this says how, when to save, and what to keep."""

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from restoration import checkpoint, distributed, memory
from restoration.data import Feeding, Pairs, feed
from restoration.data.identity import check_identity, identity
from restoration.errors import RestorationError
from restoration.experiment import Experiment, Schedule
from restoration.finite import stop_if_not_finite
from restoration.log import Log
from restoration.losses.stack import MEASURE_EVERY
from restoration.method import Batch, Method
from restoration.parts import pace_of
from restoration.preview import write_preview

Validate = Callable[[nn.Module, int], dict[str, float]]
Progress = Callable[[int, dict[str, float]], None]


@dataclass
class Record:
    """How far a run is: the next step, the best validation (step, score), the last scores, seconds spent.

    ``data`` tells the images that it began with from others.
    """

    step: int = 0
    best: tuple[int, float] | None = None
    scores: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    data: dict[str, Any] = field(default_factory=dict)


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
    note: Callable[[str], None] = lambda line: None
    record: Record = field(default_factory=Record)
    # of the last two steps and their micro-batches: what tells the terms' gradients apart if one is not finite
    slopes: dict[tuple[int, int], Callable[[], Mapping[str, Tensor]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        schedule, strategy = self.experiment.schedule, self.experiment.distributed.strategy
        self.groups = self.method.groups()
        sharded = strategy == "fully-shard" and distributed.world() > 1  # shards are of contiguous parameters
        last = schedule.channels_last and distributed.fast_channels_last(self.device)
        self.layout = torch.channels_last if last else torch.preserve_format  # of images
        self.bfloat16 = schedule.bfloat16 and distributed.fast_bfloat16(self.device)
        layout = torch.preserve_format if sharded else self.layout
        self.method.restorer().to(self.device, memory_format=layout)  # with what it holds and never learns
        for module in self.groups.values():
            if self.device.type == "cuda" and distributed.world() > 1:
                nn.SyncBatchNorm.convert_sync_batchnorm(module)
            module.to(self.device, memory_format=layout).train()
        self.template = copy.deepcopy(self.method.restorer()).cpu().eval()
        self.paces = {name: pace_of(self.experiment, name).over(schedule) for name in self.groups}
        own = {name: (self.groups[name], self.paces[name].average) for name in self.method.stack.groups()}
        # what may have a moving average, and its decay: the restorer, and the parts that terms own
        self.averaged = {"restorer": (self.method.restorer(), schedule.average), **own}
        self.averages = {name: copy.deepcopy(m).eval() for name, (m, decay) in self.averaged.items() if decay}
        for module in self.groups.values():
            distributed.spread(module, strategy, self.device)
        for average in self.averages.values() if sharded else ():
            distributed.spread(average, strategy, self.device)
        self.stepping = {name: self.optimizers[name].over(module) for name, module in self.groups.items()}
        self.rates = {n: [[g["lr"] for g in o.param_groups] for o in os] for n, os in self.stepping.items()}
        if schedule.compile:
            for module in self.method.called():  # compiling one that is not called itself would do nothing
                module.compile()

    @property
    def state(self) -> checkpoint.State:
        """What a checkpoint holds."""
        return checkpoint.State(self.groups, self.stepping, self.averages)

    def restorer(self) -> nn.Module:
        """Return a whole copy of the averaged restorer (of the restorer itself, where no average is kept)."""
        restorer = copy.deepcopy(self.template)
        restorer.load_state_dict(_whole(self.averages.get("restorer", self.method.restorer())))
        return restorer.to(self.device)

    def parts(self) -> dict[str, dict[str, Tensor]]:
        """Return what the terms' own parts have learnt, averaged where an average is kept."""
        own = {name: self.averages.get(name, part) for name, (part, _) in self.averaged.items()}
        return {name: _whole(part) for name, part in own.items() if name != "restorer"}


def train(run: Run) -> nn.Module:
    """Train to the last step of the schedule, resuming where the folder's last checkpoint stands.

    Returns the averaged restorer. Every draw is keyed by (seed, step), so an interrupted run ends with the weights
    of an uninterrupted one.
    """
    if run.device.type == "cpu":
        memory.keep()
    schedule, record = run.experiment.schedule, resume(run)
    steps = range(record.step, schedule.steps)
    logs = Log(run.folder, record.step) if distributed.rank() == 0 else None
    started = time.monotonic() - record.seconds
    pending: tuple[int, dict[str, Tensor]] | None = None
    for step, batch in _fed(run, steps):
        torch.manual_seed(hash((run.experiment.seed, step, distributed.rank())))
        found = take_step(run, batch, step)
        update_averages(run, step)
        if pending:
            stop_if_not_finite(run, *pending)
        pending, done = (step, found), step + 1
        last = done == schedule.steps
        if last or done % MEASURE_EVERY == 0:
            _log(run, logs, done, found)
        else:
            run.progress(done, {})
        if last or done % run.experiment.validation.every == 0:
            stop_if_not_finite(run, step, found)
            _validated(run, logs, done)
        if last or done % schedule.checkpoint == 0 or (record.best and record.best[0] == done):
            stop_if_not_finite(run, step, found)
            record.step, record.seconds = done, time.monotonic() - started
            _saved(run)
    return run.restorer()


def take_step(run: Run, batch: Batch, step: int) -> dict[str, Tensor]:
    """Apply every update that the method yields for one batch and return what it logged.

    Micro-batches advance in lockstep: each update is the average over all of them before the next is computed.
    """
    schedule = run.experiment.schedule
    parts = batch.to(run.device, run.layout).split(schedule.micro_batches)
    sequences = [run.method.updates(part, step) for part in parts]
    run.slopes = {place: slopes for place, slopes in run.slopes.items() if place[0] == step - 1}
    logs: dict[str, Tensor] = {}
    while True:
        group = None
        for i, sequence in enumerate(sequences):
            # before the forward pass: that is where data parallelism decides whether to average over ranks
            for module in run.groups.values():
                distributed.synchronise_gradients(module, now=i == len(sequences) - 1)
            with autocast(run.device, run.bfloat16):
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
            distributed.settle(run.groups[group])
            # a term's own name is its value's
            name = group if group == "restorer" or group not in run.averaged else f"{group}.own"
            _collect(logs, {**update.logs, name: update.loss.detach()}, len(sequences))
            if update.slopes:
                run.slopes[step, i] = update.slopes
        if group is None:
            return logs
        logs[f"{group}.gradient"] = norm = _descend(run, group, step)
        if run.device.type == "cpu" and not bool(norm.isfinite()):
            stop_if_not_finite(run, step, logs)  # at once: what learns next would learn from it


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


def update_averages(run: Run, step: int) -> None:
    """Move every average towards its module: a ← a + (1 − d)(θ − a), d = min(decay, (1 + step) / (10 + step)).

    Buffers, such as batch statistics, are copied.
    """
    for name, (module, decay) in run.averaged.items():
        if name in run.averages:
            _move(run.averages[name], module, min(decay, (1 + step) / (10 + step)))


def _move(average: nn.Module, module: nn.Module, decay: float) -> None:
    pairs = zip(average.parameters(), module.parameters(), strict=True)
    learnt = [(mine, other) for mine, other in pairs if other.requires_grad]  # the others never move
    with torch.no_grad():
        torch._foreach_lerp_([a for a, _ in learnt], [p for _, p in learnt], 1 - decay)
        for mine, other in zip(average.buffers(), module.buffers(), strict=True):
            mine.copy_(other)


def resume(run: Run) -> Record:
    """Load the last checkpoint of the run's folder, if there is one, and return how far the run is."""
    saved, now = checkpoint.every(run.folder / "checkpoints"), identity(run.data.source)
    run.record.data = now
    if saved:
        check_identity(now, checkpoint.record_of(saved[-1]).get("data"))
        stored = checkpoint.load(saved[-1], run.state)
        best = tuple(stored["best"]) if stored.get("best") else None
        run.record = Record(stored["step"], best, stored.get("scores", {}), stored.get("seconds", 0.0), now)
    if len({*distributed.gather(run.record.step)}) > 1:
        raise RestorationError(
            f"{run.folder}: ranks found different checkpoints; expected one folder that all share"
        )
    return run.record


def autocast(device: torch.device, bfloat16: bool) -> Any:  # noqa: ANN401
    """Return the context of the forward pass: bfloat16 where asked, else nothing."""
    return torch.autocast(device.type, torch.bfloat16) if bfloat16 else nullcontext()


def _whole(module: nn.Module) -> dict[str, Tensor]:
    return {key: distributed.whole(value).cpu() for key, value in module.state_dict().items()}


def _descend(run: Run, group: str, step: int) -> Tensor:
    """Clip, step and clear one group; return the norm of its gradient before clipping."""
    parameters = [p for p in run.groups[group].parameters() if p.grad is not None]
    if not parameters:
        raise AssertionError(f"no gradient reached group '{group}'")
    pace = run.paces[group]
    norm = distributed.whole(torch.nn.utils.clip_grad_norm_(parameters, pace.clip or math.inf))
    for optimizer, rates in zip(run.stepping[group], run.rates[group], strict=True):
        for settings, base in zip(optimizer.param_groups, rates, strict=True):
            settings["lr"] = base * rate(pace, step)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return norm.detach()


def _collect(logs: dict[str, Tensor], values: Mapping[str, Tensor], parts: int) -> None:
    for name, value in values.items():
        logs[name] = logs.get(name, 0) + value.detach() / parts


def _fed(run: Run, steps: range) -> Iterator[tuple[int, Batch]]:
    data, rank, world = run.experiment.data, distributed.rank(), distributed.world()
    feeding = Feeding(data.workers, data.worker, data.ahead, data.degrade_on)
    return feed(run.data, steps, feeding, rank=rank, world=world, device=run.device, note=run.note)


def _log(run: Run, logs: Log | None, done: int, found: Mapping[str, Tensor]) -> None:
    values = distributed.mean(torch.stack([v.float().reshape(()) for v in found.values()])).tolist()
    row = dict(zip(found, values, strict=True))
    run.progress(done, row)
    if logs:
        logs.row("log", done, {**row, "rate": rate(run.experiment.schedule, done - 1), "time": time.time()})


def _validated(run: Run, logs: Log | None, done: int) -> None:
    """Measure the averaged restorer, show what it does, and keep the scores and the best step."""
    _agree(run)
    restorer = run.restorer()
    if logs and run.experiment.validation.previews:
        keys = [(run.data.seed, i) for i in range(run.experiment.validation.previews)]
        write_preview(run.folder / "previews" / f"step-{done:08d}.png", restorer, run.data.of_keys(keys))
    scores = run.validate(restorer, done) if run.validate else {}
    if not scores:
        return
    if logs:
        logs.row("validation", done, scores)
    run.progress(done, {f"validation/{k}": v for k, v in scores.items()})
    score = next(iter(scores.values()))
    run.record.scores = scores
    if not run.method.keeps_best:
        return
    sign = -1 if getattr(run.validate, "better", "higher") == "lower" else 1
    best = run.record.best
    if math.isfinite(score) and (best is None or sign * score > sign * best[1]):
        run.record.best = (done, score)


def _agree(run: Run) -> None:
    """Let all ranks hold the same buffers: what is measured and kept is one network."""
    for module in [*run.groups.values(), *run.averages.values()]:
        distributed.average_buffers(module)


def _saved(run: Run) -> None:
    _agree(run)
    folder, record = run.folder / "checkpoints", run.record
    checkpoint.save(folder, run.state, record.step, asdict(record))
    if distributed.rank() == 0:
        checkpoint.prune(folder, run.experiment.schedule.keep, record.best[0] if record.best else None)
