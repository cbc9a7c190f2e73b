"""Two minutes of everything on shipped photographs: train, apply, benchmark, look."""

from importlib.resources import files
from pathlib import Path

import torch
from torch import Tensor

from restoration.apply import Inference, apply, restore_image
from restoration.benchmarks.command import scored, show
from restoration.benchmarks.validation import validator
from restoration.degradations.resize import resize
from restoration.experiment import load as load_experiment
from restoration.image import quantise, read_samples, to_float, write_image
from restoration.runs import run as train
from restoration.weights import load

ENLARGER = "sr-x4-small"
SCALE = 4
BESIDE = "sr-x2-small"  # what the trained network is compared with: its own scale, trained for an hour
NEXT = """
What to try next
  restoration apply sr-x4-small YOUR.jpg --out restored/          enlarge your own pictures four times
  restoration apply denoise-color-small YOUR.jpg --out restored/  take noise out of them
  restoration list experiments                                    what can be trained, and how long it takes
  restoration train sr-x2-small --set data.images=FOLDER          train on your own photographs
  restoration benchmark photos-x2 bicubic-x2 YOURS.safetensors --out scores/
"""


def run(out: Path, device: torch.device) -> None:
    """Train a tiny network, apply a shipped one, compare both with bicubic; everything goes below ``out``."""
    photos = Path(str(files("restoration"))) / "photos"
    print("1/3  train: a tiny ×2 network on one photograph, about a minute", flush=True)
    experiment = load_experiment("demo")
    train(experiment, out / "run", device, validator(experiment), quiet=False)

    print(f"\n2/3  apply: {ENLARGER} to a photograph shrunk by four", flush=True)
    small, restored = out / "chelsea-small.png", out / "restored"
    clean = to_float(read_samples(photos / "chelsea.png"))
    clean = clean[..., : clean.shape[-2] // SCALE * SCALE, : clean.shape[-1] // SCALE * SCALE]
    write_image(small, resize(clean, scale=1 / SCALE, levels=255))
    report = apply(load(ENLARGER), [small], restored, overwrite=True, device=device)
    write_image(out / "comparison.png", comparison(clean, device))
    print(f"     {report.written[0]}; {out / 'comparison.png'}: bicubic | {ENLARGER} | original")

    print("\n3/3  benchmark: six photographs, against bicubic", flush=True)
    words = ["photos-x2", "bicubic-x2", str(out / "run" / "restorer.safetensors"), BESIDE]
    result, gallery = scored(
        words, [], [], None, Inference(precision="fp32", device=device), None, quiet=False
    )
    show(result, gallery, out / "scores", quiet=False, json=False)
    print(f"\nOpen {out / 'scores' / 'report.html'} in a browser.\n{NEXT}")


def comparison(clean: Tensor, device: torch.device) -> Tensor:
    """Return bicubic, restored and clean beside each other: a detail, enlarged twice."""
    degraded = resize(clean, scale=1 / SCALE, levels=255)
    versions = [
        restore_image(load(name), degraded, precision="fp32", device=device)
        for name in (f"bicubic-x{SCALE}", ENLARGER)
    ]
    top, left = 76, 152  # the cat's eyes
    details = [quantise(v)[..., top : top + 128, left : left + 160] for v in (*versions, clean)]
    gap = torch.ones(1, 3, 128, 4)
    row = torch.cat([details[0], gap, details[1], gap, details[2]], -1)
    return resize(row, scale=2, kernel="nearest")
