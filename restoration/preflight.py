"""What is checked of an experiment before its run starts and anything is written."""

import math

import torch

from restoration import distributed
from restoration.data import Pairs
from restoration.errors import ConfigError
from restoration.experiment import Experiment
from restoration.losses.stack import Entry
from restoration.method import Method
from restoration.parts import build_stack


def check_ranks(experiment: Experiment) -> None:
    """Refuse a batch that ranks and micro-batches cannot share equally, and optimisers that sharding rules out."""
    schedule, world = experiment.schedule, distributed.world()
    if schedule.batch % (world * schedule.micro_batches):
        raise ConfigError(
            f"schedule.batch = {schedule.batch}: expected a multiple of {world} ranks x "
            f"{schedule.micro_batches} micro-batches"
        )
    muon = [k for k, v in experiment.optimizer.items() if v["name"] == "muon"]
    if muon and experiment.distributed.strategy == "fully-shard":
        raise ConfigError(
            f'optimizer.{muon[0]}: muon needs whole matrices; expected distributed.strategy = "replicate"'
        )


def check_compiler(experiment: Experiment, device: torch.device) -> None:
    """Refuse what has to be compiled where PyTorch finds nothing to do it with."""
    keys = ["schedule.compile"] if experiment.schedule.compile else []
    for key, table in (
        ("network", experiment.network),
        ("network.velocity", experiment.network.get("velocity") or {}),
    ):
        if device.type == "cuda" and table.get("flex") and "neighbourhood" in table["attention"]:
            keys.append(f"{key}.flex")
    if not keys:
        return
    try:
        torch.compile(torch.nn.Softplus())(torch.ones(8, device=device))
    except Exception as error:  # of many kinds: no C compiler, no triton, a Python that is too new
        told = str(getattr(error, "inner_exception", error)).splitlines()
        reason = next((line.strip() for line in told if line.strip()), type(error).__name__)
        raise ConfigError(
            f"{' and '.join(keys)} = true: PyTorch cannot compile for {device.type} here ({reason[:200]}); "
            "expected a C and a C++ compiler, and triton for GPUs, or false"
        ) from None


def check_stack(experiment: Experiment, data: Pairs) -> None:
    """Let every term and what it trains see one micro-batch: what they cannot measure is refused before the run."""
    schedule, crop = experiment.schedule, experiment.data.crop
    share = schedule.batch // distributed.world() // schedule.micro_batches
    batch = data.of_keys([(data.seed, sample) for sample in range(share)])
    for i, entry in enumerate(build_stack(experiment).entries):
        try:
            _check_even(experiment, entry)
            if entry.term.clip not in (1, data.clip):
                found = "photographs, not clips" if data.clip == 1 else f"clips of {data.clip} frames, not"
                raise ValueError(
                    f"'{entry.name}' compares frames of clips; data.images are {found} of {entry.term.clip} frames"
                )
            with torch.no_grad():
                entry.term.of_restored(batch.clean.clone(), batch)
            if entry.term.groups():
                entry.term.of_own_parts(batch.clean.clone(), batch)
        except (ValueError, RuntimeError) as error:
            about_size = f"; data.crop = {crop}" if f"{crop}x{crop}" in str(error) else ""
            raise ConfigError(f"stack.{i}: {error}{about_size}") from None


def _check_even(experiment: Experiment, entry: Entry) -> None:
    """Refuse crops that a term would have to continue by mirroring in every step."""
    crop, multiple = experiment.data.crop, entry.term.multiple
    if crop % multiple:
        raise ValueError(
            f"'{entry.name}' halves the image by Haar's transform; "
            f"data.crop = {crop}: expected a multiple of {multiple}"
        )


def check_steps(experiment: Experiment, method: Method) -> None:
    """Refuse stacks that leave a step without a term, or a balanced term without one to balance against."""
    options = [entry.options for entry in method.stack.entries]
    turns = {0, *(o.start for o in options), *(o.stop for o in options)}
    for step in sorted(t for t in turns if t < experiment.schedule.steps):
        acting = method.stack.acting(step)
        if not acting:
            raise ConfigError(
                f"stack: no term acts at step {step}; expected one at every step of the schedule"
            )
        if all(entry.options.balance for entry in acting):
            raise ConfigError(f"stack: only balanced terms act at step {step}; expected one without balance")
    if method.stack.balanced and experiment.distributed.strategy == "fully-shard":
        raise ConfigError(
            'stack: balance needs a whole last layer; expected distributed.strategy = "replicate"'
        )


def check_fit(experiment: Experiment, data: Pairs, network: torch.nn.Module) -> None:
    """Refuse a network that cannot take the degraded crop or does not give back the clean one's size."""
    scale, multiple, part = data.scale, network.multiple, experiment.data.degradation
    if network.scale != scale:
        by = f"data.degradation '{part['name']}'" if part else "the degraded partner of each image"
        by += " of the smaller partner" if part and data.source.scale > 1 else ""
        raise ConfigError(
            f"network: '{experiment.network['name']}' enlarges by {network.scale}, but {by} shrinks by {scale}"
        )
    channels = 1 if experiment.data.grey else 3
    if network.channels != channels:
        raise ConfigError(
            f"network: takes {network.channels} channel(s), but data.grey = "
            f"{str(experiment.data.grey).lower()} gives {channels}"
        )
    if (data.crop // scale) % multiple:
        raise ConfigError(
            f"data.crop = {data.crop}: expected a multiple of {math.lcm(scale, scale * multiple)} for this network"
        )
