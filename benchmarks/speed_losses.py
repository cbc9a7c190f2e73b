"""What every term of a stack costs, value and gradient, beside the libraries that have it, in one process, in turn.

``python -m restoration.benchmarks.speed_losses --out benchmarks/results/speed_losses.json`` (needs the extras basicsr
and features; feature networks whose weights are not shipped are timed with drawn ones, and the record says so)
"""

import argparse
import json
from collections.abc import Callable
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from restoration import memory
from restoration.benchmarks.peers import basicsr, peer, run
from restoration.benchmarks.term_samples import CONFIGURATIONS, DRAWN, VGG_LAYER, made
from restoration.benchmarks.timing import alternate, environment, medians
from restoration.benchmarks.untrained import (
    basicsr_perceptual,
    drawn_dists,
    drawn_trunks,
    lpips_package,
    piq_dists,
)
from restoration.degradations.resize import resize
from restoration.image import read
from restoration.losses import TERMS
from restoration.losses.stack import Stack
from restoration.method import Batch

SIDE = 192
PATCHES = 16
SPENT = 1.0  # seconds that a contender is timed for, where it needs fewer for the least number of repeats
MOST = 300
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
    memory.keep()  # as a training run does, for all contenders alike: else pages of large maps are what is timed
    batch, rows = patches(), {}
    for label in arguments.only or sorted({*TERMS, *DRAWN}):
        with ExitStack() as drawn:
            if label in DRAWN:
                drawn.enter_context(drawn_trunks())
                drawn.enter_context(drawn_dists())
            rows[label] = compare(label, batch, arguments.repeats)
        print(_line(label, rows[label]), flush=True)
    record = {
        "command": "python -m restoration.benchmarks.speed_losses",
        "what": f"value and gradient of {PATCHES} RGB patches of {SIDE}x{SIDE}; milliseconds per patch, medians",
        "environment": environment(),
        "rows": rows,
        "shared": sharing(batch, arguments.repeats),
    }
    print(json.dumps(record["shared"]))
    if arguments.out:
        arguments.out.write_text(json.dumps(record, indent=1) + "\n")


def patches(count: int = PATCHES) -> Batch:
    """Return patches of photographs, with what terms need beside the pair."""
    folder = Path(str(files("restoration"))) / "photos"
    pixels = [read(folder / name).pixels for name in PHOTOGRAPHS]
    corners = [(slice(SIDE), slice(SIDE)), (slice(-SIDE, None), slice(SIDE))]
    corners += [(rows, slice(-SIDE, None)) for rows, _ in corners]
    clean = torch.cat([image[..., rows, columns] for rows, columns in corners for image in pixels][:count])
    mask = torch.zeros(count, 1, SIDE, SIDE)
    mask[..., SIDE // 4 : SIDE // 2, SIDE // 4 : SIDE // 2] = 1
    return Batch(
        resize(clean, scale=0.5),
        clean,
        mask=mask,
        layers={"reflection": clean.flip(0), "next": clean, "flow": torch.ones(count, 2, SIDE, SIDE)},
        keys=tuple((0, i) for i in range(count)),
    )


def compare(label: str, batch: Batch, repeats: int) -> dict[str, Any]:
    """Return seconds per patch of a term and of every peer that has it, and how many times as fast it is."""
    name, keys = DRAWN.get(label, (label, {}))
    restored = (0.9 * batch.clean + 0.05).requires_grad_()
    entry = Stack(made(name, keys)).entries[-1]
    contenders = {"ours": lambda: _descend(restored, entry.term.of_batch(restored, batch))}
    for peer_name, function in PEERS.get(label, {}).items():
        measured = function()
        contenders[peer_name] = lambda f=measured: _descend(restored, _scalar(f(restored, batch.clean)))
    slowest = max(max(times) for times in alternate(contenders, 1).values())
    seconds = alternate(contenders, max(repeats, min(MOST, int(SPENT / slowest))))
    middle = {who: 1000 * value / PATCHES for who, value in medians(seconds).items()}
    return {
        "configuration": CONFIGURATIONS.get(name, {}) | keys,
        "weights": "drawn" if label in DRAWN else "",
        "milliseconds": middle,
        "ratio": {who: middle[who] / middle["ours"] for who in middle if who != "ours"},
    }


def sharing(batch: Batch, repeats: int) -> dict[str, Any]:
    """Return what one pass shared by several terms of the same features saves."""
    entries = [entry for name in SHARING for entry in made(name)]
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


def _scalar(value: Tensor) -> Tensor:
    return value.mean() if value.ndim else value


def _piq(name: str, **keywords: object) -> Callable[[], Function]:
    def load() -> Function:
        function = getattr(peer("piq", "piq"), name)
        return lambda restored, clean: function(restored, clean, **keywords)

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


def _lpips(net: str) -> Callable[[], Function]:
    def load() -> Function:
        measure = lpips_package(net)
        return lambda restored, clean: measure(restored, clean, normalize=True)

    return load


def _basicsr_features(perceptual: float, style: float) -> Callable[[], Function]:
    """BasicSR's perceptual or style loss; it answers with both, one of them None."""

    def load() -> Function:
        measure = basicsr_perceptual({VGG_LAYER: 1.0}, perceptual, style)
        return lambda restored, clean: next(v for v in measure(restored, clean) if v is not None)

    return load


PEERS: dict[str, dict[str, Callable[[], Function]]] = {
    "adversarial": {"basicsr": _gan},
    "charbonnier": {
        "kornia": _kornia("charbonnier_loss"),
        "basicsr": _basicsr("CharbonnierLoss", eps=1e-6),
    },
    "dists": {"piq": piq_dists},
    "fsim": {"piq": _piq("fsim")},
    "gmsd": {"piq": _piq("gmsd")},
    "haarpsi": {"piq": _piq("haarpsi")},
    "huber": {"torch": _torch("huber_loss")},
    "l1": {"torch": _torch("l1_loss"), "basicsr": _basicsr("L1Loss")},
    "l2": {"torch": _torch("mse_loss"), "basicsr": _basicsr("MSELoss")},
    "lpips": {"lpips": _lpips("alex")},
    "lpips of vgg": {"lpips": _lpips("vgg")},
    "mdsi": {"piq": _piq("mdsi")},
    "ms-ssim": {"piq": _piq("multi_scale_ssim")},
    "perceptual on vgg19": {"basicsr": _basicsr_features(1.0, 0.0)},
    "psnr": {"piq": _piq("psnr"), "kornia": _kornia("psnr_loss", 1.0)},
    "ssim": {"piq": _piq("ssim", downsample=False), "kornia": _kornia("ssim_loss", 11)},
    "style on vgg19": {"basicsr": _basicsr_features(0.0, 1.0)},
    "total-variation": {
        "piq": _alone(lambda: lambda x: peer("piq", "piq").total_variation(x, norm_type="l1")),
        "kornia": _alone(lambda: peer("kornia.losses", "kornia").total_variation),
        "basicsr": _alone(_basicsr("WeightedTVLoss")),
    },
    "vif": {"piq": _piq("vif_p")},
    "zhao-mix": {"kornia": lambda: peer("kornia.losses", "kornia").MS_SSIMLoss()},
}


def _line(name: str, row: dict[str, Any]) -> str:
    others = "   ".join(
        f"{n} {t:.2f} ms ({row['ratio'][n]:.2f}x)" for n, t in row["milliseconds"].items() if n != "ours"
    )
    return f"{name:24} {row['milliseconds']['ours']:8.2f} ms   {others}"


if __name__ == "__main__":
    run(main)
