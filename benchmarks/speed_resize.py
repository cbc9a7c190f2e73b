"""MATLAB resize of a 1080p image here against BasicSR's ``imresize``, in one process, in turn.

``python -m restoration.benchmarks.speed_resize --out benchmarks/results/speed_resize.json`` (needs the extra basicsr)
"""

import argparse
import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from restoration.benchmarks.peers import basicsr, run
from restoration.benchmarks.timing import alternate, environment, medians
from restoration.degradations.resize import resize
from restoration.errors import RestorationError

LARGE = (1080, 1920)
SCALES = (2, 3, 4)
# BasicSR works in float32 from float32 weights, so the two agree to their rounding and no further.
AGREEMENT = 1e-4


def main() -> None:
    """Time reductions of a 1080p image and enlargements back to it, print and write the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    imresize = basicsr("utils.matlab_functions").imresize
    large = torch.rand(1, 3, *LARGE, generator=torch.Generator().manual_seed(0))
    large = (large * 255).round() / 255
    rows = []
    for scale in SCALES:
        small = resize(large, scale=Fraction(1, scale), levels=255)
        rows.append(compare(imresize, large, Fraction(1, scale), arguments.repeats))
        rows.append(compare(imresize, small, Fraction(scale), arguments.repeats))
        print(*(_line(row) for row in rows[-2:]), sep="\n", flush=True)
    record = {
        "command": "python -m restoration.benchmarks.speed_resize",
        "what": f"bicubic resize of one RGB image of {LARGE[0]}x{LARGE[1]}, and back to it",
        "environment": environment(),
        "rows": rows,
    }
    if arguments.out:
        arguments.out.write_text(json.dumps(record, indent=1) + "\n")


def compare(
    imresize: Callable[[Tensor, float], Tensor], image: Tensor, scale: Fraction, repeats: int
) -> dict[str, object]:
    """Return seconds and ratios of one scale: in floating point as BasicSR, and rounded as MATLAB does 8-bit images."""
    contenders = {
        "ours, float": lambda: resize(image, scale=scale),
        "ours, 8 bits": lambda: resize(image, scale=scale, levels=255),
        "basicsr": lambda: imresize(image[0], float(scale)),
    }
    difference = (contenders["ours, float"]()[0] - contenders["basicsr"]()).abs().max().item()
    if difference > AGREEMENT:
        raise RestorationError(
            f"scale {scale}: results differ by {difference:.2g}; expected {AGREEMENT:g} at most"
        )
    seconds = alternate(contenders, repeats)
    middle = medians(seconds)
    return {
        "scale": str(scale),
        "largest_difference": difference,
        "seconds": seconds,
        "median": middle,
        "ratio": {name: middle["basicsr"] / middle[name] for name in middle if name != "basicsr"},
    }


def _line(row: dict) -> str:
    times = "   ".join(f"{name} {1000 * second:.1f} ms" for name, second in row["median"].items())
    ratios = "   ".join(f"{name} {ratio:.1f}x" for name, ratio in row["ratio"].items())
    return f"x{row['scale']:4} {times}   |   {ratios}   |   differ by {row['largest_difference']:.1e}"


if __name__ == "__main__":
    run(main)
