"""The page of all terms, ``docs/terms.md``: formula, source, range, cost, and a picture of what each one asks for.

``python -m restoration.benchmarks.term_page --pictures`` optimises an image under each term alone and writes the page;
without ``--pictures`` it writes the text only, from the table and ``benchmarks/results/speed_losses.json``.
"""

import argparse
import inspect
import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from restoration.benchmarks.speed_losses import patches
from restoration.benchmarks.term_samples import CONFIGURATIONS, DRAWN, NARROW, UNPICTURED, made
from restoration.config import keywords
from restoration.errors import RestorationError
from restoration.image import Picture, to_samples, write
from restoration.losses import LOSSES, TERMS
from restoration.losses.stack import Stack
from restoration.method import Batch

SIDE = 192
STEPS = 60
RATE = 0.02
STARTS = ("blur", "noise")
HEAD = """# Terms of the loss stack

Every name below is a `[[stack]]` entry, and, where it compares a pair of images, a function
`LOSSES[name]()(restored, clean)` of Python with one number per image, lower is better. Beside its own keys every entry
takes `weight`, `start`, `stop`, `ramp`, `region`, `colour`, `balance` and `initial`: see `restoration show NAME`.

Cost is value and gradient of one RGB patch of {side}×{side}, in milliseconds, from
`benchmarks/results/speed_losses.json` ({hardware}); feature networks whose weights are not shipped were timed with
drawn ones, which cost the same. The pictures show a photograph's patch, and what becomes
of its blurred version and of noise when the term alone is lowered by {steps} steps of Adam, with any parts that it
owns learning beside it: what a term asks for, and what it does not care about.

Made by `python -m restoration.benchmarks.term_page --pictures`.
"""


def main() -> None:
    """Write the page, and the pictures when asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", action="store_true")
    parser.add_argument("--only", nargs="*", help="names of terms to picture")
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    arguments = parser.parse_args()
    if arguments.pictures:
        for name in arguments.only or sorted(TERMS):
            print(name, picture(name, arguments.docs / "terms" / f"{name}.jpg"), flush=True)
    (arguments.docs / "terms.md").write_text(page(arguments.docs), encoding="utf-8")


def page(docs: Path) -> str:
    """Return the page's text."""
    costs = json.loads(files("restoration.benchmarks").joinpath("results", "speed_losses.json").read_text())
    hardware = costs["environment"]["hardware"]
    where = f"{hardware['cores']} cores, {hardware['instructions']}"
    sections = [_section(name, costs, docs) for name in sorted(TERMS)]
    return "\n".join([HEAD.format(side=SIDE, steps=STEPS, hardware=where), *sections])


def picture(name: str, path: Path) -> str:
    """Optimise an image under one term from blur and from noise, write the three side by side, and say how it went."""
    try:
        found = [optimised(name, start) for start in STARTS]
    except (RestorationError, FileNotFoundError, ModuleNotFoundError, ValueError) as error:
        return f"no picture: {str(error).splitlines()[0]}"
    path.parent.mkdir(parents=True, exist_ok=True)
    clean = patches(1).clean
    row = torch.cat([clean, *(image for image, _, _ in found)], -1)
    write(path, Picture(to_samples(row)))
    return "; ".join(f"{s}: {a:.4g} to {b:.4g}" for s, (_, a, b) in zip(STARTS, found, strict=True))


def optimised(name: str, start: str) -> tuple[Tensor, float, float]:
    """Return one patch after descent on the term alone, and the term's value before and after."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        entries = made(name, narrow=True)
    batch = patches(1)
    image = _start(batch, start).requires_grad_()
    stack, descent = Stack(entries), torch.optim.Adam([image], lr=RATE)
    own = {group: torch.optim.Adam(part.parameters(), lr=1e-4) for group, part in stack.groups().items()}
    values = []
    for step in range(STEPS):
        now = replace(batch, step=step, keys=tuple((0, step * len(batch) + i) for i in range(len(batch))))
        asked = entries[-1].term.of_restored(image, now).mean()
        (image.grad,) = torch.autograd.grad(asked, image)
        descent.step()
        values.append(asked.item())
        for group, loss in stack.of_own_parts(image, now):
            parameters = list(stack.groups()[group].parameters())
            for parameter, slope in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                parameter.grad = slope
            own[group].step()
    return image.detach().clamp(0, 1), values[0], values[-1]


def _start(batch: Batch, start: str) -> Tensor:
    if start == "noise":
        return 0.5 + 0.2 * torch.randn(batch.clean.shape, generator=torch.Generator().manual_seed(1))
    kernel = torch.ones(1, 1, 9, 9) / 81
    padded = torch.nn.functional.pad(batch.clean.flatten(0, 1).unsqueeze(1), [4] * 4, mode="reflect")
    return torch.conv2d(padded, kernel).view_as(batch.clean)


def _section(name: str, costs: dict[str, Any], docs: Path) -> str:
    part = TERMS[name]
    kind = "pair loss" if name in LOSSES else "term"
    smallest = f"that of {part.sized_by}" if getattr(part, "sized_by", "") else part.minimum_size
    facts = [f"{kind}; compares {part.compares}", f"range {part.value_range}", f"smallest image {smallest}"]
    facts += [f"metric {', '.join(part.as_metric)} ({part.better} is better)"] if part.as_metric else []
    keys = ", ".join(f"`{key}`" for key in keywords(part, {"name": name})) or "none"
    lines = [f"## {name}", "", inspect.cleandoc(part.__doc__), "", f"{'; '.join(facts)}. Keys: {keys}.", ""]
    labels = [name, *(label for label, (term, _) in DRAWN.items() if term == name and label != name)]
    rows = [(label.removeprefix(name).strip(), costs["rows"].get(label)) for label in labels]
    timed = [_cost(variant, row) for variant, row in rows if row]
    lines += [f"Cost{_with(CONFIGURATIONS.get(name, {}))}: {'; '.join(timed)}.", ""] if timed else []
    if (docs / "terms" / f"{name}.jpg").exists():
        seen = _with(CONFIGURATIONS.get(name, {}) | NARROW.get(name, {}))
        lines += [
            f"![clean; from blur; from noise](terms/{name}.jpg)",
            *([f"*Pictured{seen}.*"] if seen else []),
            "",
        ]
    else:
        lines += [f"No picture: {UNPICTURED[name]}.", ""]
    return "\n".join(lines)


def _with(keys: dict[str, Any]) -> str:
    """Return with which keys beside the defaults a term was seen; nothing for none."""
    return f" with `{_inline(keys)}`" if keys else ""


def _inline(keys: dict[str, Any]) -> str:
    return ", ".join(
        f"{key} = {{ {_inline(value)} }}" if isinstance(value, dict) else f"{key} = {json.dumps(value)}"
        for key, value in keys.items()
    )


def _cost(variant: str, row: dict[str, Any]) -> str:
    milliseconds = dict(row["milliseconds"])
    own = f"{variant} {milliseconds.pop('ours'):.2f} ms".strip()
    others = ", ".join(f"{name} {time:.2f} ms" for name, time in milliseconds.items())
    return own + (f" (beside it {others})" if others else "")


if __name__ == "__main__":
    main()
