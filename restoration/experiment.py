"""One experiment file: its typed sections, and the objects they describe."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from restoration import agreement, frozen
from restoration.config import Spec, Table, check, nearest, override, read_toml, typed
from restoration.errors import ConfigError

Task = Literal[
    "super-resolution", "denoising", "deblurring", "deraining", "jpeg", "low-light", "inpainting",
    "reflection-removal", "video-super-resolution", "faces", "colourisation", "reconstruction", "restoration",
]  # fmt: skip
Count = Annotated[int, Field(ge=1)]
Natural = Annotated[int, Field(ge=0)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]  # names a folder below runs
FREE = (  # may change between the parts of one run: none of it changes a weight
    "data.ahead",
    "data.cache",
    "data.damaged",
    "data.shifted",
    "data.worker",
    "data.workers",
    "schedule.checkpoint",
    "schedule.keep",
    "validation.every",
    "validation.previews",
    "validation.protocols",
)


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: counts are steps, ``batch`` counts images over all ranks and micro-batches."""

    steps: Count
    batch: Count = 16
    micro_batches: Count = 1
    warmup: Natural = 0
    decay: Literal["cosine", "step", "constant"] = "cosine"
    milestones: tuple[Share, ...] = (0.5, 0.8, 0.9, 0.95)  # of all steps; for decay = "step"
    factor: Positive = 0.5  # at each milestone
    bfloat16: bool = (
        True  # where the device multiplies it in hardware; elsewhere float32, and the run says so
    )
    channels_last: bool = True  # where training is faster so: GPUs, processors with AVX-512
    compile: bool = False
    clip: Annotated[float, Field(ge=0)] = 0.0  # largest gradient norm; 0 leaves gradients as they are
    average: Share = 0.999  # of the moving average; 0 keeps none
    checkpoint: Count = 500
    keep: Count = 2

    def __post_init__(self) -> None:
        if self.batch % self.micro_batches:
            raise ValueError(f"batch = {self.batch} is no multiple of micro_batches = {self.micro_batches}")


@dataclass(frozen=True)
class Pace:
    """What a group's optimiser table may say beside the optimiser's own keys; what is absent is as in ``[schedule]``.

    ``average`` is that of the group's own moving average; 0 keeps none. The restorer's is ``schedule.average``.
    """

    warmup: Natural | None = None
    decay: Literal["cosine", "step", "constant"] | None = None
    milestones: tuple[Share, ...] | None = None
    factor: Positive | None = None
    clip: Annotated[float, Field(ge=0)] | None = None
    average: Share = 0.0

    def over(self, schedule: Schedule) -> Schedule:
        """Return the schedule with what this pace says otherwise."""
        return replace(schedule, **{k: v for k, v in asdict(self).items() if v is not None})


@dataclass(frozen=True)
class Data:
    """Where the clean images are, and how a training pair is made of them; sizes are pixels, ``cache`` is GiB.

    ``images`` is a folder, a file, a ``.txt`` list with a path in each line, tar shards (their folder, a pattern such
    as ``train-{000..099}.tar``), parquet files, ``hf:NAME[:SPLIT]`` of Hugging Face's datasets, videos, an fsspec URL
    of shards or parquet, or a list of these; a relative name may also be one of the data root. Pairs are in shards
    (``key.clean.ppm`` and ``key.degraded.ppm``), in two columns, or in ``degraded``: a folder, pattern or list of the
    same names. A partner takes the place of the degradation, or goes through it. The ranks of a machine share
    ``cache``, and the processes of a rank its part; the blocks that the order mixes are kept even beyond it.
    """

    images: str | list[str]
    crop: Count
    degradation: dict[str, Any] | None = None
    degraded: str | list[str] = ""
    columns: tuple[str, ...] = ()  # of tables: that of clean images, and that of degraded ones
    frames: Count = 1  # consecutive frames of a clip; above 1, videos are files or folders of frames
    damaged: Literal["stop", "skip"] = "stop"  # skip: the next of the order takes its place
    shifted: Literal["stop", "keep"] = "stop"  # of pairs that show different pixels
    augment: bool | Literal["mirror"] = True  # the eight flips and quarter turns, or left and right alone
    grey: bool = False
    workers: Count = 2
    worker: Literal["thread", "process"] = "thread"
    degrade_on: Literal["workers", "device"] = "workers"
    ahead: Count = 4  # batches made before they are asked for
    cache: Annotated[float, Field(ge=0)] = 4.0


@dataclass(frozen=True)
class Validation:
    """Which protocols are measured every so many steps; the first one's first metric picks the best checkpoint.

    Method rectified-flow keeps none as the best: fidelity falls as it learns.
    """

    protocols: tuple[str, ...] = ()
    every: Count = 2000
    previews: Natural = 4


@dataclass(frozen=True)
class Distributed:
    """How parameters lie on the ranks under torchrun."""

    strategy: Literal["replicate", "fully-shard"] = "replicate"


@dataclass(frozen=True)
class Experiment:
    """A complete experiment; parts with a name of their own stay plain tables until they are built."""

    name: Name
    task: Task
    schedule: Schedule
    data: Data
    network: dict[str, Any]
    stack: list[dict[str, Any]]
    seed: Seed = 0
    initial: str = ""  # a restorer to start from: every tensor of the same name and shape is taken over
    licence: str = "unknown"  # of the weights: that of the training images, usually
    notes: str = ""
    method: dict[str, Any] = field(default_factory=lambda: {"name": "direct"})
    optimizer: dict[str, dict[str, Any]] = field(default_factory=lambda: {"default": {"name": "adamw"}})
    validation: Validation = field(default_factory=Validation)
    distributed: Distributed = field(default_factory=Distributed)

    def resolved(self) -> dict[str, Any]:
        """Return the whole document, defaults filled in."""
        return _plain(asdict(self))


SECTIONS = {"schedule": Schedule, "data": Data, "validation": Validation, "distributed": Distributed}


def shipped() -> list[str]:
    """Return the names of the experiments in the package."""
    return sorted(
        p.name.removesuffix(".toml") for p in files("restoration").joinpath("experiments").iterdir()
    )


def load(source: str, overrides: Iterable[str] = ()) -> Experiment:
    """Return the experiment of a shipped name or a TOML file, checked down to every keyword; nothing is built."""
    document = override(read_toml(find(source)), overrides)
    for name, section in SECTIONS.items():
        if name in document:
            document[name] = asdict(typed(section, document[name], name))
    flat = {k: v for k, v in document.items() if k not in SECTIONS}
    names = {f.name for f in fields(Experiment)}
    for key in flat:
        if key not in names:
            raise ConfigError(f"{key}: unknown key of an experiment{nearest(key, names)}")
    experiment = typed(Experiment, _plain(document), "")
    return _checked(experiment)


def find(source: str) -> Path:
    """Return the file of a shipped experiment or of a path."""
    path = Path(source).expanduser()
    if path.suffix == ".toml":
        if not path.is_file():
            raise ConfigError(f"{source}: no such experiment file")
        return path
    if source not in shipped():
        hint = nearest(source, shipped()) or f"; expected one of {', '.join(shipped())}, or a TOML file"
        raise ConfigError(f"unknown experiment '{source}'{hint}")
    return Path(str(files("restoration").joinpath("experiments", f"{source}.toml")))


def _checked(experiment: Experiment) -> Experiment:
    """Check every pluggable part against its constructor and fill in its defaults."""
    from restoration.degradations import DEGRADATIONS
    from restoration.losses import TERMS
    from restoration.methods import METHODS
    from restoration.networks import NETWORKS
    from restoration.optimizers import OPTIMIZERS

    optimizer = {
        k: _checked_beside(OPTIMIZERS, v, f"optimizer.{k}", "optimiser", Pace)
        for k, v in experiment.optimizer.items()
    }
    agreement.check_terms(experiment.stack, experiment.method)
    network, stack = agreement.one_flow(
        experiment.method, experiment.network, experiment.stack, experiment.schedule.batch
    )
    data = asdict(experiment.data)
    if data["degradation"] is not None:
        data["degradation"] = check(DEGRADATIONS, data["degradation"], "data.degradation", "degradation")
    parts = {
        "network": check(NETWORKS, frozen.resolved(network, "network"), "network", "network"),
        "method": check(METHODS, experiment.method, "method", "method", given=("network", "stack")),
        "stack": _checked_stack(TERMS, stack),
        "optimizer": optimizer,
        "data": data,
    }
    return typed(Experiment, _plain({**asdict(experiment), **parts}), "")


def _checked_stack(terms: dict[str, Any], stack: list[Spec]) -> list[Spec]:
    if not stack:
        raise ConfigError("stack: empty; expected at least one [[stack]] entry")
    from restoration.losses.stack import Options

    return [_checked_beside(terms, spec, f"stack.{i}", "term", Options) for i, spec in enumerate(stack)]


def _checked_beside(table: Table, spec: Spec, where: str, noun: str, beside: type) -> Spec:
    """Return the table of a part with the keys of the dataclass ``beside`` checked too, and all defaults filled in."""
    own, others = split(spec, beside)
    checked = check(table, own, where, noun, beside=[f.name for f in fields(beside)])
    return checked | asdict(typed(beside, others, where))


def split(spec: Spec, beside: type) -> tuple[Spec, Spec]:
    """Return a table without, and with only, the keys that belong to the dataclass ``beside``."""
    names = {f.name for f in fields(beside)}
    return {k: v for k, v in spec.items() if k not in names}, {k: v for k, v in spec.items() if k in names}


def _plain(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if v is not None}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value
