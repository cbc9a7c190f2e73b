"""HDiT's attention to neighbours on a GPU: by PyTorch's FlexAttention, and by what is taken without it.

``python -m restoration.benchmarks.speed_attention --experiments pmrf-denoise --repeats 9 --out
benchmarks/results/speed_attention.json``

Without it natten's kernels are taken where that package is installed, else squares of queries in plain PyTorch. For
every experiment: the attention of its first level by itself, and its whole velocity network, forward alone and with
gradients, which networks also take compiled by PyTorch; in bfloat16. Errors are relative to float64, of networks to
float32. All run in turn, in one process. Networks have random weights; speed does not depend on them.
"""

import argparse
import json
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from restoration.benchmarks.provenance import PeakMemory
from restoration.benchmarks.timing import alternate, command, environment, medians
from restoration.distributed import named
from restoration.experiment import load
from restoration.networks.flexed import flexed_attention
from restoration.networks.hdit import Hdit
from restoration.networks.hdit_attention import SelfAttention
from restoration.networks.neighbourhood import neighbourhood_attention

# at once: micro-batches of the GPUs that they are written for
IMAGES = {"pmrf-denoise": 16, "pmrf-blind-faces": 8}
Call = Callable[[], object]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--experiments", nargs="+", choices=IMAGES, default=list(IMAGES))
    parser.add_argument("--images", type=int, help="at once; by default a micro-batch of the experiment")
    parser.add_argument("--side", type=int, help="of the images; by default the experiment's crop")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    device = named(arguments.device)
    record: dict[str, Any] = {
        "what": "HDiT in bfloat16, random weights; medians of seconds, and MiB beyond what stays",
        "command": command("speed_attention", arguments),
        "environment": environment(),
        "experiments": {},
    }
    for name in arguments.experiments:
        experiment = load(name)
        settings = {k: v for k, v in experiment.network["velocity"].items() if k not in ("name", "flex")}
        side = arguments.side or experiment.data.crop
        image = torch.randn(arguments.images or IMAGES[name], 3, side, side, device=device)
        found = record["experiments"][name] = {
            "image": list(image.shape),
            "attention": of_attention(settings, image, arguments.repeats),
            "network": of_network(settings, image, arguments.repeats),
        }
        print(
            f"{name}, {' × '.join(map(str, image.shape))}", table(found), sep="\n\n", end="\n\n", flush=True
        )
        if arguments.out:
            arguments.out.write_text(json.dumps(record, indent=1) + "\n")


def ways(device: torch.device) -> dict[str, bool]:
    """Return what computes attention on a device, by name, and whether FlexAttention is asked for: on GPUs alone."""
    if device.type != "cuda":
        return {"plain": False}
    return {"natten" if find_spec("natten") else "plain": False, "flex": True}


def of_attention(settings: dict[str, Any], image: Tensor, repeats: int) -> dict[str, Any]:
    """Return errors, seconds and memory of the attention of a network's first level."""
    network = Hdit(**settings)
    first = next(one for one in network.modules() if isinstance(one, SelfAttention))
    if first.kind != "neighbourhood":
        raise ValueError(f"attention of the first level = {first.kind!r}: expected 'neighbourhood'")
    tokens, width = image.shape[-1] // network.patch, settings["widths"][0] // first.heads
    query, key, value = torch.randn(3, len(image), first.heads, tokens, tokens, width, device=image.device)
    parts = [query / width**0.5, key, value]

    def attending(flex: bool) -> Callable[..., Tensor]:
        # by itself: within `neighbourhood_attention` it is for gradients alone
        attend = flexed_attention if flex else neighbourhood_attention
        return lambda *given: attend(*given, first.side)

    exact = attending(False)(*(part[:1].double() for part in parts))
    errors, calls = {}, {}
    for name, flex in ways(image.device).items():
        half = [part.bfloat16() for part in parts]
        errors[name] = _error(attending(flex)(*(part[:1] for part in half)), exact)
        calls[f"{name}, forward"] = partial(_forward, attending(flex), half)
        calls[f"{name}, with gradients"] = partial(_with_gradients, attending(flex), half, half)
    return {"tokens": [*query.shape], "window": first.side, "error": errors} | _timed(
        calls, image.device, repeats
    )


def of_network(settings: dict[str, Any], image: Tensor, repeats: int) -> dict[str, Any]:
    """Return errors, seconds and memory of the velocity network of an experiment."""
    t = torch.rand(len(image), device=image.device)
    networks = {
        name: Hdit(**settings, flex=flex).to(image.device) for name, flex in ways(image.device).items()
    }
    first, *others = networks.values()
    with torch.no_grad():
        for one in first.parameters():
            one.normal_(std=0.02)  # those of layers that begin at zero too, or errors would be
        exact = first(image[:1], t[:1])
    for other in others:
        other.load_state_dict(first.state_dict())
    errors, calls = {}, {}
    for name, network in networks.items():
        with torch.no_grad(), torch.autocast(image.device.type, torch.bfloat16):
            errors[name] = _error(network(image[:1], t[:1]), exact)
        learning = list(network.parameters())
        if name != "flex":  # which is for gradients
            calls[f"{name}, forward"] = partial(_forward, network, [image, t])
        calls[f"{name}, with gradients"] = partial(_with_gradients, network, [image, t], learning)
        compiled = torch.compile(network)
        calls[f"{name}, compiled, with gradients"] = partial(_with_gradients, compiled, [image, t], learning)
    parameters = sum(one.numel() for one in first.parameters())
    return {"parameters": parameters, "error": errors} | _timed(calls, image.device, repeats)


def _forward(function: Callable[..., Tensor], inputs: list[Tensor]) -> Tensor:
    with torch.no_grad(), torch.autocast(inputs[0].device.type, torch.bfloat16):
        return function(*inputs)


def _with_gradients(
    function: Callable[..., Tensor], inputs: list[Tensor], learning: list[Tensor]
) -> tuple[Tensor, ...]:
    for one in learning:
        one.requires_grad_()
    with torch.autocast(inputs[0].device.type, torch.bfloat16):
        loss = function(*inputs).float().square().mean()
    return torch.autograd.grad(loss, learning)


def _timed(calls: dict[str, Call], device: torch.device, repeats: int) -> dict[str, Any]:
    """Return seconds, and the memory that each call takes beyond what stays."""
    seconds, peak, mebibytes = medians(alternate(calls, repeats)), PeakMemory(device), {}
    for name, call in calls.items():
        peak.reset()
        before = peak.read()
        call()
        mebibytes[name] = peak.read() - before
    return {"seconds": seconds, "mebibytes": mebibytes}


def _error(found: Tensor, exact: Tensor) -> float:
    """Return the distance to what is exact, as a part of its length."""
    return float((found.double() - exact.double()).norm() / exact.double().norm())


def table(found: dict[str, Any]) -> str:
    """Return what was found as Markdown."""
    lines = ["| of | way | ms | MiB |", "|---|---|---|---|"]
    for part in ("attention", "network"):
        for name, seconds in found[part]["seconds"].items():
            lines.append(f"| {part} | {name} | {1000 * seconds:.2f} | {found[part]['mebibytes'][name]:.0f} |")
        errors = ", ".join(f"{name} {value:.1e}" for name, value in found[part]["error"].items())
        lines.append(f"| {part} | error in bfloat16 | {errors} | |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
