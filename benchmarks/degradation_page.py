"""The page of all degradations, ``docs/degradations.md``: what each is, its keys, and a picture at three strengths.

``python -m restoration.benchmarks.degradation_page`` makes the pictures and writes the page.
"""

import argparse
import inspect
import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from restoration.config import REQUIRED, build, keywords
from restoration.degradations import DEGRADATIONS
from restoration.image import Picture, quantise, read, to_samples, write

SIDE = 192
# three settings of each degradation, from weak to strong; what has no strength is shown for three keys
Settings = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]
HEAD = """# Degradations

Every name below is a `degradation = {{ name = "…" }}` of an experiment, a part of a `chain`, `one-of`, `sometimes` or
`shuffle`, an argument of `restoration degrade NAME INPUT... --out DIR`, and a function
`DEGRADATIONS[name](…)(clean, keys)` of Python. Draws are keyed by (seed, sample): an image's do not depend on its
batch, its worker or its rank, and `restoration degrade` writes them beside every file, so that `--replay` makes it
again. Bits are those of one thread of PyTorch, which the command and the workers of training use: with more, what
PyTorch itself interpolates (`antialias = false`) may differ in the last bit.

The pictures show a crop of a photograph, {side} pixels a side, and what three settings make of it, from weak to strong;
reduced images are enlarged by repeating pixels. Below each stand the settings.

Made by `python -m restoration.benchmarks.degradation_page`.
"""


def main() -> None:
    """Make the pictures and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", help="names of degradations to picture")
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    arguments = parser.parse_args()
    for name in arguments.only or sorted({*DEGRADATIONS} - {*UNPICTURED}):
        picture(name, arguments.docs / "degradations" / f"{name}.jpg")
        print(name, flush=True)
    (arguments.docs / "degradations.md").write_text(page(), encoding="utf-8")


def page() -> str:
    """Return the page's text."""
    return "\n".join([HEAD.format(side=SIDE), *(_section(name) for name in sorted(DEGRADATIONS))])


def strengths(name: str) -> Settings:
    """Return the three settings that a degradation is shown with."""
    return STRENGTHS.get(name, ({}, {}, {}))


def picture(name: str, path: Path) -> None:
    """Write the clean crop and its three degraded versions side by side."""
    clean = crop()
    shown = [clean]
    each = strengths(name)[: 1 if name in SINGLE else 3]
    for place, settings in enumerate(each):
        part = build(DEGRADATIONS, {"name": name, **settings}, f"{name}.{place}", "degradation")
        sample = place if each[0] == each[-1] else 0  # one draw at three strengths, or three draws
        image = part(clean, [(0, sample)]).image
        image = image.expand(-1, 3, -1, -1) if image.shape[1] == 1 else image
        shown.append(interpolate(image, size=clean.shape[-2:], mode="nearest-exact"))
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, Picture(to_samples(torch.cat([quantise(image) for image in shown], -1))))


def crop() -> Tensor:
    """Return the crop that is shown: an eye, whiskers and fur."""
    pixels = read(Path(str(files("restoration"))) / "photos" / "chelsea.png").pixels
    return pixels[..., 20 : 20 + SIDE, 130 : 130 + SIDE].contiguous()


def _section(name: str) -> str:
    part = DEGRADATIONS[name]
    parameters = keywords(part, {"name": name})
    keys = ", ".join(f"`{key}`{_default(p)}" for key, p in parameters.items()) or "none"
    about = inspect.cleandoc(part.__doc__ or "")
    lines = [f"## {name}", "", about, "", f"Keys: {keys}.", ""]
    if name in UNPICTURED:
        return "\n".join([*lines, f"No picture: {UNPICTURED[name]}.", ""])
    settings = strengths(name)
    shown = "; ".join(f"`{_inline(each)}`" if each else "as it is" for each in settings)
    shown = (
        f"three draws of `{_inline(settings[0])}`" if settings[0] == settings[1] and settings[0] else shown
    )
    shown = "three draws" if not any(settings) else shown
    shown = "as it is" if name in SINGLE else shown
    lines += [f"![clean; {name}](degradations/{name}.jpg)"]
    return "\n".join([*lines, f"*Shown: clean; {shown}.*", ""])


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is REQUIRED:
        return ""
    return f" ({_value(parameter.default)})"


def _inline(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {_value(value)}" for key, value in settings.items())


def _value(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, Mapping):
        return f"{{ {_inline(value)} }}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_value(v) for v in value)}]"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "none" if value is None else json.dumps(value)


def _noise(sigma: float) -> dict[str, Any]:
    return {"name": "noise", "sigma": sigma}


def _each(key: str, *values: Any, **others: Any) -> Settings:  # noqa: ANN401
    weak, medium, strong = ({key: value, **others} for value in values)
    return weak, medium, strong


STRENGTHS: dict[str, Settings] = {
    "avif": _each("quality", 60, 30, 10),
    "bicubic": _each("scale", 2, 3, 4),
    "blur": _each("sigma", 0.8, 2.0, 4.0),
    "blur-down": _each("scale", 2, 3, 4),
    "camera": _each("shot", 1e-3, 4e-3, 1.2e-2),
    "chain": _each(
        "of",
        *(
            [{"name": "blur", "sigma": s}, _noise(n), {"name": "jpeg", "quality": q}]
            for s, n, q in ((0.5, 5, 70), (1.2, 12, 40), (2.0, 25, 20))
        ),
    ),
    "clip": _each("levels", 31, 7, 3),
    "correlated-noise": _each("sigma", 15, 30, 60, blur=0.7),
    "defocus": _each("radius", 1.5, 3.0, 6.0),
    "fit": _each("scale", 2, 3, 4),
    "haze": _each("beta", 0.6, 1.2, 2.4),
    "jpeg": _each("quality", 60, 30, 10),
    "jpeg-differentiable": _each("quality", 60, 30, 10),
    "low-light": _each("exposure", 0.3, 0.12, 0.04),
    "mask": _each("ratio", 0.1, 0.3, 0.6),
    "mask-boxes": _each("count", 1, 3, 6),
    "mask-centre": _each("side", 0.25, 0.5, 0.75),
    "mask-lines": _each("every", 2, 3, 4),
    "mask-pixels": _each("ratio", 0.3, 0.6, 0.9),
    "mosaic": _each("demosaic", "malvar", "bilinear", "none"),
    "motion-blur": _each("length", 5, 11, 21, angle=0.5),
    "moving-clip": _each("of", *3 * [{"name": "bicubic", "scale": 2}], frames=3, shift=12.0),
    "noise": _each("sigma", 10, 25, 50),
    "one-of": _each("of", *([_noise(n), {"name": "blur", "sigma": n / 15}] for n in (15, 30, 60))),
    "pmrf-colorize": _each("sigma", 0.05, 0.15, 0.25),
    "pmrf-denoise": _each("sigma", 0.1, 0.2, 0.35),
    "pmrf-inpaint": _each("ratio", 0.5, 0.75, 0.9),
    "pmrf-sr": _each("factor", 4, 8, 16),
    "poisson": _each("photons", 1000.0, 200.0, 40.0),
    "rain": _each("density", 0.001, 0.003, 0.008),
    "rain-drops": _each("count", 4, 10, 25),
    "reflection": _each("strength", 0.5, 1.0, 2.0),
    "resize": _each("scale", 2, 3, 4),
    "salt-pepper": _each("amount", 0.02, 0.08, 0.25),
    "sharpen": _each("weight", 0.5, 1.5, 4.0),
    "shuffle": _each("of", *([_noise(n), {"name": "jpeg", "quality": 30}] for n in (10, 25, 50))),
    "sinc": _each("cutoff", 2.0, 1.4, 0.8, size=21),
    "sometimes": _each("of", *map(_noise, (15, 30, 60)), probability=0.5),
    "speckle": _each("sigma", 15, 40, 80),
    "varying-noise": _each("sigma", [0, 15], [0, 30], [0, 60]),
    "webp": _each("quality", 60, 30, 5),
}
SINGLE = ("grey",)  # has neither strengths nor chance
# what needs files of one's own, and so has no picture, or cannot stand alone
UNPICTURED = {
    "kernel-files": "it needs files of kernels",
    "mask-files": "it needs files of masks",
    "rescale": "its images have sizes of their own; see real-esrgan",
}


if __name__ == "__main__":
    main()
