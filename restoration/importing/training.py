"""How long and how fast: ``train``'s counts, optimisers and scheduler, and the precision, as ours."""

import math
from collections.abc import Callable
from typing import Any

from restoration.errors import ConfigError
from restoration.importing.options import Options, Place

Table = dict[str, Any]
OPTIMIZERS = {"adam": "adam", "adamw": "adamw", "muon": "muon"}
STANDS = "adamw"  # for optimisers that are not here
# what a scheduler's table may say beside what is read below, and why it has no meaning here
RESTARTS = "there are no restarts here"
FLOOR = "the rate falls to 0 here"


def schedule(options: Options, batch: int, parts: int) -> Table:
    """Return the table of the schedule; what theirs do where they say nothing is said in it."""
    steps = options.whole(
        ("train", "total_iter"), ("logger", "total_iter"), ("total_iter",), to="schedule.steps"
    )
    if steps is None:
        raise ConfigError(f"{options.file}: train.total_iter is missing; expected a number of steps")
    warmup = options.whole(("train", "warmup_iter"), to="schedule.warmup") or 0
    average = options.number(("train", "ema_decay"), ("train", "ema"), to="schedule.average") or 0.0
    checkpoint = options.whole(("logger", "save_checkpoint_freq"), to="schedule.checkpoint")
    table: Table = {"steps": steps, "batch": batch}
    table |= {"micro_batches": parts} if parts > 1 else {}
    table |= {"warmup": max(0, warmup), **_decay(options, steps), **_precision(options)}
    table |= {"clip": _clip(options), "average": max(0.0, float(average))}
    return table | ({"checkpoint": checkpoint} if checkpoint else {})


def optimizers(options: Options, discriminator: bool) -> dict[str, Table]:
    """Return the optimiser of the restorer as the default, and the discriminator's where it is another."""
    restorer = _optimizer(options, ("train", "optim_g"))
    if restorer is None:
        raise ConfigError(f"{options.file}: train.optim_g is missing; expected an optimiser")
    if not discriminator:
        options.report("train", "optim_d", why="there is no GAN loss, so nothing that it would train")
        return {"default": restorer}
    own = _optimizer(options, ("train", "optim_d"))
    return {"default": restorer, **({"adversarial": own} if own and own != restorer else {})}


def _optimizer(options: Options, place: Place) -> Table | None:
    kind = options.get(*place, "type")
    if not isinstance(options.get(*place), dict):
        return None
    name = OPTIMIZERS.get(str(kind).casefold())
    if name is None:
        options.report(
            *place, "type", why=f'no such optimiser here; "{STANDS}" stands, and may want another lr'
        )
    else:
        options.take(*place, "type", to="optimizer.name")
    table: Table = {"name": name or STANDS}
    rate = options.number((*place, "lr"), to="optimizer.lr")
    table |= {} if rate is None else {"lr": float(rate)}
    _betas(options, place, table)
    _decay_of_weights(options, place, table)
    eps = options.number((*place, "eps"), to="optimizer.eps")
    table |= {} if eps is None else {"eps": float(eps)}
    for key, same in (("amsgrad", False), ("fused", False), ("foreach", False), ("schedule_free", False)):
        if options.get(*place, key) is same:
            options.take(*place, key, to="optimizer.name")
    momentum = options.number((*place, "momentum"), to="optimizer.momentum") if name == "muon" else None
    table |= {} if momentum is None else {"momentum": float(momentum)}
    options.report(*place, why=f"optimiser '{table['name']}' has no such keyword")
    return table


def _betas(options: Options, place: Place, table: Table) -> None:
    betas = options.get(*place, "betas")
    if isinstance(betas, list) and len(betas) == 2:
        table["betas"] = options.numbers(*place, "betas", to="optimizer.betas")
    elif betas is not None:
        options.report(*place, "betas", why=f"optimiser '{table['name']}' has two; its own stand")


def _decay_of_weights(options: Options, place: Place, table: Table) -> None:
    decay = options.number((*place, "weight_decay"), to="optimizer.weight_decay")
    if not decay:
        return
    if table["name"] != "adam":
        table["weight_decay"] = float(decay)
        return
    leaf = (*place, "weight_decay")
    options.translated.pop(leaf, None)
    options.report(
        *leaf,
        why='"adam" has none here (theirs adds it to the gradient); "adamw" decays the weights themselves',
    )


def _decay(options: Options, steps: int) -> Table:
    """Return how the rate falls: at milestones, along a cosine, or not at all."""
    place = ("train", "scheduler")
    kind = options.get(*place, "type")
    if not isinstance(kind, str):
        options.take(*place, to="schedule.decay")
        return {"decay": "constant"}
    folded = kind.casefold().replace("restart", "").replace("_", "").removesuffix("lr")
    made = DECAYS.get(folded)
    if made is None:
        options.report(
            *place, why='no such decay here; "constant" stands; "cosine" and "step" are the others'
        )
        return {"decay": "constant"}
    options.take(*place, "type", to="schedule.decay")
    table = made(options, place, steps)
    options.report(*place, why=f'decay "{table["decay"]}" has no such keyword')
    return table


def _at_milestones(options: Options, place: Place, steps: int) -> Table:
    given = options.get(*place, "milestones")
    given = given if isinstance(given, list) else [given]
    if not all(isinstance(m, int | float) and not isinstance(m, bool) for m in given):
        raise options.wrong(((*place, "milestones"),), options.get(*place, "milestones"), "a list of numbers")
    options.take(*place, "milestones", to="schedule.milestones")
    factor = options.number((*place, "gamma"), to="schedule.factor")
    inside = [milestone for milestone in given if 0 < milestone < steps]
    if len(inside) < len(given):
        options.remark(
            *place, "milestones", why=f"those that are not within the {steps} steps change nothing"
        )
    options.report(*place, "restarts", why=RESTARTS)
    options.report(*place, "restart_weights", why=RESTARTS)
    if not inside:
        return {"decay": "constant"}
    shares = [share_of(int(milestone), steps) for milestone in inside]
    return {"decay": "step", "milestones": shares, "factor": 0.1 if factor is None else float(factor)}


def share_of(milestone: int, steps: int) -> float:
    """Return the share of all steps that is reached at ``milestone``, not one step later by rounding."""
    share = milestone / steps
    return share if milestone >= share * steps else math.nextafter(share, 0)


def _along_a_cosine(options: Options, place: Place, steps: int) -> Table:
    for key in ("periods", "T_max", "t_max", "T_0"):
        value = options.get(*place, key)
        first = value[0] if isinstance(value, list) and value else value
        if first in (steps, None):
            options.take(*place, key, to="schedule.decay")
        options.report(*place, key, why=f"the one period is of all {steps} steps; {RESTARTS}")
    if options.get(*place, "restart_weights") in (1, [1], [1.0]):
        options.take(*place, "restart_weights", to="schedule.decay")
    options.report(*place, "restart_weights", why=RESTARTS)
    for key in ("eta_min", "eta_mins"):
        value = options.get(*place, key)
        if all(v == 0 for v in (value if isinstance(value, list) else [value or 0])):
            options.take(*place, key, to="schedule.decay")
        options.report(*place, key, why=FLOOR)
    return {"decay": "cosine"}


DECAYS: dict[str, Callable[[Options, Place, int], Table]] = {
    "multistep": _at_milestones,
    "cosineannealing": _along_a_cosine,
    "truecosineannealing": _along_a_cosine,
    "cosine": _along_a_cosine,
}


def _clip(options: Options) -> float:
    place = next((p for p in (("train", "grad_clip"), ("train", "use_grad_clip")) if options.below(*p)), None)
    if place is None:
        if options.of_neosr:
            options.chosen.append("schedule.clip is 1.0, as neosr clips where nothing is said")
        return 1.0 if options.of_neosr else 0.0
    value = options.take(*place, to="schedule.clip")
    if not isinstance(value, bool):
        return float(options.number(place, to="schedule.clip") or 0.0)
    if value and place[-1] == "use_grad_clip":
        options.remark(*place, why="projects clip at norms of their own, often 0.01; 1.0 stands")
    return 1.0 if value else 0.0


def _precision(options: Options) -> Table:
    mixed = options.switch(("use_amp",), to="schedule.bfloat16") or False
    brain = options.switch(("amp_bf16",), ("bfloat16",), to="schedule.bfloat16") or False
    if mixed and not brain:
        options.remark("use_amp", why="mixed precision here is bfloat16, not float16 with scaled losses")
    table: Table = {"bfloat16": mixed}
    last = options.switch(("use_channels_last",), to="schedule.channels_last")
    table |= {} if last is None else {"channels_last": last}
    compiled = options.switch(("use_compile",), ("compile",), to="schedule.compile")
    return table | ({} if compiled is None else {"compile": compiled})
