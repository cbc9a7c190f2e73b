"""What every term of a stack costs, value and gradient, beside the libraries that have it, in one process, in turn.

``python -m restoration.benchmarks.speed_losses --out benchmarks/results/speed_losses.json`` (needs the extras basicsr
and features; a term whose weights are missing is left out, and the record says so)
"""

import argparse
import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from restoration.benchmarks.peers import basicsr, peer, run
from restoration.benchmarks.term_samples import CONFIGURATIONS, LEFT_OUT, made
from restoration.benchmarks.timing import alternate, environment, medians
from restoration.degradations.resize import resize
from restoration.errors import RestorationError
from restoration.image import read
from restoration.losses import TERMS
from restoration.losses.stack import Stack
from restoration.method import Batch

SIDE = 192
PATCHES = 4
PHOTOGRAPHS = ("chelsea.png", "astronaut.png", "coffee.png", "china.jpg")
Function = Callable[[Tensor, Tensor], Tensor]
SHARING = ("perceptual", "style", "contextual")


def main() -> None:
    """Time the terms and their peers, print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--only", nargs="*", help="names of terms")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    batch, rows, missing = patches(), {}, dict(LEFT_OUT)
    for name in arguments.only or sorted(TERMS):
        if name in LEFT_OUT:
            continue
        try:
            rows[name] = compare(name, batch, arguments.repeats)
        except (RestorationError, FileNotFoundError, ModuleNotFoundError) as error:
            missing[name] = str(error).splitlines()[0]
            continue
        print(_line(name, rows[name]), flush=True)
    record = {
        "command": "python -m restoration.benchmarks.speed_losses",
        "what": f"value and gradient of {PATCHES} RGB patches of {SIDE}x{SIDE}; milliseconds per patch, medians",
        "environment": environment(),
        "rows": rows,
        "left_out": missing,
        "shared": sharing(batch, arguments.repeats),
    }
    print(json.dumps(record["shared"]))
    if arguments.out:
        arguments.out.write_text(json.dumps(record, indent=1) + "\n")


def patches(count: int = PATCHES) -> Batch:
    """Return patches of photographs, with what terms need beside the pair."""
    folder = Path(str(files("restoration"))) / "photos"
    clean = torch.cat([read(folder / name).pixels[..., :SIDE, :SIDE] for name in PHOTOGRAPHS[:count]])
    mask = torch.zeros(count, 1, SIDE, SIDE)
    mask[..., SIDE // 4 : SIDE // 2, SIDE // 4 : SIDE // 2] = 1
    return Batch(
        resize(clean, scale=0.5),
        clean,
        mask=mask,
        layers={"reflection": clean.flip(0), "next": clean, "flow": torch.ones(count, 2, SIDE, SIDE)},
        keys=tuple((0, i) for i in range(count)),
    )


def compare(name: str, batch: Batch, repeats: int) -> dict[str, Any]:
    """Return seconds per patch of a term and of every peer that has it, and how many times as fast it is."""
    restored = (0.9 * batch.clean + 0.05).requires_grad_()
    entry = Stack(made(name)).entries[-1]
    contenders = {"ours": lambda: _descend(restored, entry.term.of_restored(restored, batch).mean())}
    for label, function in PEERS.get(name, {}).items():
        measured = function()
        contenders[label] = lambda f=measured: _descend(restored, f(restored, batch.clean).mean())
    seconds = alternate(contenders, repeats)
    middle = {label: 1000 * value / PATCHES for label, value in medians(seconds).items()}
    ratio = {label: middle[label] / middle["ours"] for label in middle if label != "ours"}
    return {"configuration": CONFIGURATIONS.get(name, {}), "milliseconds": middle, "ratio": ratio}


def sharing(batch: Batch, repeats: int) -> dict[str, Any]:
    """Return what one pass shared by several terms of the same features saves."""
    try:
        entries = [entry for name in SHARING for entry in made(name)]
    except (RestorationError, FileNotFoundError, ModuleNotFoundError) as error:
        return {"left_out": str(error).splitlines()[0]}
    together, apart = Stack(entries), [Stack([entry]) for entry in entries]
    restored = (0.9 * batch.clean + 0.05).requires_grad_()

    def separately() -> None:
        _descend(restored, sum(stack.of_restored(restored, batch)[0] for stack in apart))

    contenders = {
        "shared": lambda: _descend(restored, together.of_restored(restored, batch)[0]),
        "apart": separately,
    }
    middle = {label: 1000 * v / PATCHES for label, v in medians(alternate(contenders, repeats)).items()}
    return {"terms": list(SHARING), "milliseconds": middle, "ratio": middle["apart"] / middle["shared"]}


def _descend(restored: Tensor, value: Tensor) -> None:
    torch.autograd.grad(value, restored)


def _clamped(function: Function) -> Function:
    """Let a library that asserts the range [0, 1] see values in it only."""
    return lambda restored, clean: function(restored.clamp(0, 1), clean)


def _piq(name: str, **keywords: object) -> Callable[[], Function]:
    def load() -> Function:
        function = getattr(peer("piq", "piq"), name)
        return _clamped(lambda restored, clean: function(restored, clean, **keywords))

    return load


def _kornia(name: str, *positional: object) -> Callable[[], Function]:
    def load() -> Function:
        function = getattr(peer("kornia.losses", "kornia"), name)
        return lambda restored, clean: function(restored, clean, *positional)

    return load


def _torch(name: str) -> Callable[[], Function]:
    return lambda: getattr(torch.nn.functional, name)


def _basicsr(name: str, **keywords: object) -> Callable[[], Function]:
    return lambda: getattr(basicsr("losses.basic_loss"), name)(**keywords)


def _alone(load: Callable[[], Callable[[Tensor], Tensor]]) -> Callable[[], Function]:
    def loaded() -> Function:
        function = load()
        return lambda restored, clean: function(restored)

    return loaded


def _gan() -> Function:
    """BasicSR's U-Net discriminator of the same width with its GAN loss: what asks the restorer to fool it."""
    network = basicsr("archs.discriminator_arch").UNetDiscriminatorSN(3, num_feat=64)
    objective = basicsr("losses.gan_loss").GANLoss("vanilla")
    return lambda restored, clean: objective(network(restored), True, is_disc=False)


PEERS: dict[str, dict[str, Callable[[], Function]]] = {
    "adversarial": {"basicsr": _gan},
    "charbonnier": {
        "kornia": _kornia("charbonnier_loss"),
        "basicsr": _basicsr("CharbonnierLoss", eps=1e-6),
    },
    "fsim": {"piq": _piq("fsim")},
    "gmsd": {"piq": _piq("gmsd")},
    "haarpsi": {"piq": _piq("haarpsi")},
    "huber": {"torch": _torch("huber_loss")},
    "l1": {"torch": _torch("l1_loss"), "basicsr": _basicsr("L1Loss")},
    "l2": {"torch": _torch("mse_loss"), "basicsr": _basicsr("MSELoss")},
    "mdsi": {"piq": _piq("mdsi")},
    "ms-ssim": {"piq": _piq("multi_scale_ssim")},
    "psnr": {"piq": _piq("psnr"), "kornia": _kornia("psnr_loss", 1.0)},
    "ssim": {"piq": _piq("ssim", downsample=False), "kornia": _kornia("ssim_loss", 11)},
    "total-variation": {
        "piq": _alone(lambda: lambda x: peer("piq", "piq").total_variation(x.clamp(0, 1), norm_type="l1")),
        "kornia": _alone(lambda: peer("kornia.losses", "kornia").total_variation),
        "basicsr": _alone(_basicsr("WeightedTVLoss")),
    },
    "vif": {"piq": _piq("vif_p")},
}


def _line(name: str, row: dict[str, Any]) -> str:
    others = "   ".join(
        f"{n} {t:.2f} ms ({row['ratio'][n]:.2f}x)" for n, t in row["milliseconds"].items() if n != "ours"
    )
    return f"{name:24} {row['milliseconds']['ours']:8.2f} ms   {others}"


if __name__ == "__main__":
    run(main)
