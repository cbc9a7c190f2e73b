"""What a processor gains by bfloat16, by channels last and by keeping freed memory: one training step each way.

``python -m restoration.benchmarks.speed_processor --out benchmarks/results/speed_processor.json``
"""

import argparse
import json
from collections.abc import Callable
from os import times
from pathlib import Path

import torch
from torch import Tensor

from restoration import memory
from restoration.benchmarks.timing import alternate, environment, medians
from restoration.networks.msrresnet import MsrResNet

BATCH = 4
LARGE = (BATCH, 64, 192, 192)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = {
        f"training step of MSRResNet x4, batch {BATCH} of 48x48": {
            "float32, contiguous": step(torch.contiguous_format),
            "float32, channels last": step(torch.channels_last),
            "float32, contiguous, memory kept": step(torch.contiguous_format, kept=True),
        },
        f"gradient of the 3x3 kernels of 64 to 64 channels, {BATCH} images of 192x192": {
            "contiguous": kernels_gradient(torch.contiguous_format),
            "channels last": kernels_gradient(torch.channels_last),
        },
        "training step of MSRResNet x4, 1 image of 48x48": {
            "float32": step(torch.contiguous_format, batch=1),
            "bfloat16": step(torch.contiguous_format, batch=1, bfloat16=True),
        },
    }
    found = {name: medians(alternate(ways, arguments.repeats)) for name, ways in rows.items()}
    record = {
        "command": "python -m restoration.benchmarks.speed_processor",
        "environment": environment(),
        "seconds": found,
        "share_of_system_time": {
            "freed memory returned": system_share(step(torch.contiguous_format)),
            "freed memory kept": system_share(step(torch.contiguous_format, kept=True)),
        },
    }
    print(json.dumps({k: v for k, v in record.items() if k != "environment"}, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(record, indent=1) + "\n")


def step(
    layout: torch.memory_format, kept: bool = False, batch: int = BATCH, bfloat16: bool = False
) -> Callable[[], None]:
    """Return one forward and backward pass of MSRResNet."""
    network = MsrResNet(scale=4).to(memory_format=layout)
    degraded = torch.rand(batch, 3, 48, 48).to(memory_format=layout)

    def run() -> None:
        (memory.keep if kept else memory.give_back)()
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            restored = network(degraded)
        restored.float().abs().mean().backward()
        network.zero_grad(set_to_none=True)

    return run


def kernels_gradient(layout: torch.memory_format) -> Callable[[], Tensor]:
    """Return the gradient of a convolution's kernels on a large map."""
    images, slopes = (torch.rand(LARGE).to(memory_format=layout) for _ in range(2))
    kernels = torch.rand(64, 64, 3, 3).to(memory_format=layout)
    backward = torch.ops.aten.convolution_backward
    fixed = ([1, 1], [1, 1], [1, 1], False, [0, 0], 1, [False, True, False])
    return lambda: backward(slopes, images, kernels, None, *fixed)[1]


def system_share(call: Callable[[], None], calls: int = 5) -> float:
    """Return the share of processor time that the system takes, by handing out pages."""
    call()
    before = times()
    for _ in range(calls):
        call()
    after = times()
    system, user = after.system - before.system, after.user - before.user
    return system / (system + user)


if __name__ == "__main__":
    main()
