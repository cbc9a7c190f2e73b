"""Files that BasicSR, spandrel, and so chaiNNer and ComfyUI read: written, read back, compared, then put in place."""

import io
import math
from pathlib import Path

import torch
from safetensors.torch import save

from restoration import bridge
from restoration.errors import RequestError, RestorationError, WeightsError
from restoration.exporting.official import READERS, Official, Program, official
from restoration.exporting.staging import staged
from restoration.foreign import read_state
from restoration.networks.network import Network
from restoration.networks.spandrel import Adapter
from restoration.restorers.network import Restorer

SUFFIXES = (".pth", ".safetensors")
SIZES = (
    (1, 32, 40),
    (2, 35, 43),
)  # images, height, width, and then to multiples: programs pad in ways of their own
ROUNDING = 1e-5  # of the output's standard deviation, where a program computes in another order


def write(restorer: Restorer, path: Path, program: Program) -> str:
    """Write ``path`` for ``program`` and say how it was read back.

    A ``.pth`` holds ``{"params": tensors by name}``, a ``.safetensors`` the tensors. What ``program`` does not read
    back as the same network is a `RestorationError`, and no file appears.
    """
    if path.suffix not in SUFFIXES:
        raise RequestError(f"--out {path}: expected a name that ends in {' or '.join(SUFFIXES)}")
    found = official(restorer, program)
    with staged(path) as made:
        made.write_bytes(_serialised(restorer, found, path.suffix))
        said = _checked(restorer, made, found, program)
        made.replace(path)
    return said


def _serialised(restorer: Restorer, found: Official, suffix: str) -> bytes:
    if suffix == ".safetensors":
        card = restorer.card
        return save(found.state, {"format": "pt", "name": card.name, "licence": card.licence})
    stream = io.BytesIO()  # torch, writing to a full disk by itself, does not say so
    torch.save({"params": found.state}, stream)
    return stream.getvalue()


def read_by_spandrel(path: Path) -> Network:
    """Return the network as spandrel's own loader makes it of ``path``, not clamped."""
    from spandrel import ModelLoader, UnsupportedModelError

    try:
        descriptor = ModelLoader(device="cpu").load_from_file(path)
    except UnsupportedModelError:
        raise WeightsError("of none of the layouts that it knows") from None
    return Adapter(descriptor.model, descriptor).eval()


def read_by_basicsr(path: Path, found: Official) -> Network:
    """Return the network as BasicSR's class makes it, filled strictly with ``path``."""
    network = bridge.part("network", f"{bridge.PACKAGE}/{found.architecture}")(**found.keywords)
    network.load_state_dict(read_state(path))
    return network.eval()


def _checked(restorer: Restorer, made: Path, found: Official, program: Program) -> str:
    keywords = ", ".join(f"{name}={value!r}" for name, value in found.keywords.items())
    built = f"{found.architecture}({keywords})" if keywords else found.architecture
    if program == "basicsr" and bridge.location() is None:
        return f"{built}; not read back: basicsr is not installed"
    try:
        network = read_by_spandrel(made) if program == "spandrel" else read_by_basicsr(made, found)
    except (WeightsError, RuntimeError, ValueError, LookupError, AssertionError) as error:
        raise RestorationError(
            f"{made.name}: {READERS[program]} does not read it back: {_in_one_line(error)}; not written"
        ) from None
    worst = _difference(restorer.network, network, made)
    if worst > (ROUNDING if found.rounded else 0.0):
        raise RestorationError(
            f"{made.name}: {READERS[program]} would compute otherwise, by {worst:.1e} of the output's standard "
            f"deviation: settings that no tensor tells; not written"
        )
    equal = f"equal to {worst:.0e} of the output's standard deviation" if worst else "difference 0"
    return f"{built}; read back by {READERS[program]}: {equal}"


def _difference(ours: Network, theirs: Network, made: Path) -> float:
    """Return the largest difference of the results, in standard deviations of the output."""
    ours, worst = ours.cpu().float().eval(), 0.0
    multiple = math.lcm(ours.multiple, theirs.multiple)
    draws = torch.Generator().manual_seed(7)
    for count, *sides in SIZES:
        height, width = (-(-side // multiple) * multiple for side in sides)
        image = torch.rand(count, ours.channels or 3, height, width, generator=draws)
        mask = torch.rand(count, len(ours.conditions), height, width, generator=draws).round()
        degraded = torch.cat((image, mask), 1)
        with torch.inference_mode():
            expected, restored = ours(degraded), theirs(degraded)
        if restored.shape != expected.shape:
            raise RestorationError(
                f"{made.name}: read back, it makes {tuple(restored.shape)} of {tuple(degraded.shape)}; "
                f"expected {tuple(expected.shape)}; not written"
            )
        worst = max(worst, ((restored - expected).abs().max() / (expected.std() or 1.0)).item())
    return worst


def _in_one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
