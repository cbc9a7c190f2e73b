"""Weights that others published: which file, how large, from where, under which licence, and whether it is here."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from restoration.losses.user_cache import cache_folder

FOLDER_VARIABLE = "RESTORATION_WEIGHTS"
OPENED: dict[
    str, str
] = {}  # entry of the catalogue → sha256 of its file, of all that this process has opened


class MissingWeightsError(FileNotFoundError, ValueError):
    """Weights that somebody else published are not on this machine; the message says what to fetch."""


class MissingPackageError(ModuleNotFoundError, ValueError):
    """A package that ships or builds a feature network is not installed; the message says what to install."""


@dataclass(frozen=True)
class Entry:
    """A published file; ``sha256`` holds as many leading digits as are known."""

    file: str
    sha256: str
    megabytes: float
    source: str
    licence: str
    avoid: str

    @property
    def hash(self) -> str:
        """Return how the sha256 begins, in words."""
        return f"sha256 {self.sha256[:8]}…" if self.sha256 else "sha256 not published"

    @property
    def size(self) -> str:
        """Return the size in words."""
        return f"{self.megabytes:g} MB" if self.megabytes >= 1 else f"{1000 * self.megabytes:g} kB"


TORCHVISION = "https://download.pytorch.org/models"
OPENAI = "https://openaipublic.azureedge.net/clip/models"
# torchvision names its files by the first eight digits of their sha256
CATALOGUE: dict[str, Entry] = {
    "alexnet": Entry(
        file="alexnet-owt-7be5be79.pth",
        sha256="7be5be79",
        megabytes=233,
        source=f"{TORCHVISION}/alexnet-owt-7be5be79.pth",
        licence="BSD-3-Clause (torchvision); trained on ImageNet",
        avoid="a stack without 'lpips' and metrics without 'lpips-alex'",
    ),
    # neither piq nor the authors publish a digest of this one: what is read of it is tensors alone
    "brisque": Entry(
        file="brisque_svm_weights.pt",
        sha256="",
        megabytes=0.112,
        source="https://github.com/photosynthesis-team/piq/releases/download/v0.4.0/brisque_svm_weights.pt",
        licence="Apache-2.0 (piq); Mittal et al.'s model, fitted to LIVE",
        avoid="metrics without 'brisque', such as niqe",
    ),
    "clip-iqa-tokens": Entry(
        file="clipiqa_tokens.pt",
        sha256="",
        megabytes=0.002,
        source="https://github.com/photosynthesis-team/piq/releases/download/v0.7.1/clipiqa_tokens.pt",
        licence="Apache-2.0 (piq)",
        avoid="metrics without 'clip-iqa'",
    ),
    # OpenAI names the folder of a file by its sha256
    "clip-rn50": Entry(
        file="RN50.pt",
        sha256="afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762",
        megabytes=256,
        source=f"{OPENAI}/afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762/RN50.pt",
        licence="MIT (OpenAI); trained on images and texts of the web",
        avoid="metrics without 'clip-iqa'",
    ),
    "clip-vit-l-14-336": Entry(
        file="ViT-L-14-336px.pt",
        sha256="3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02",
        megabytes=934,
        source=f"{OPENAI}/3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02/ViT-L-14-336px.pt",
        licence="MIT (OpenAI); trained on images and texts of the web",
        avoid="metrics without 'cmmd', such as kid-efficientnet-lite0",
    ),
    # its authors publish no digest: this one is what independent projects recorded of the file at this address
    "dinov2": Entry(
        file="dinov2_vits14_pretrain.pth",
        sha256="b938bf1bc15cd2ec0feacfe3a1bb553fe8ea9ca46a7e1d8d00217f29aef60cd9",
        megabytes=88,
        source="https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/dinov2_vits14_pretrain.pth",
        licence="Apache-2.0 (Meta); trained on LVD-142M",
        avoid='features = "efficientnet-lite0"',
    ),
    # the same bytes as weights.pt of the authors' own package, dists-pytorch 0.1
    "dists": Entry(
        file="DISTS_weights-f5e65c96.pth",
        sha256="f5e65c96230b7f6ca995691647d482237e4cab8a50c5c4a5784f219ef0748218",
        megabytes=0.012,
        source="https://huggingface.co/chaofengc/IQA-PyTorch-Weights/resolve/main/DISTS_weights-f5e65c96.pth",
        licence="MIT (Ding et al.); fitted to KADID-10k and to textures",
        avoid="a stack and metrics without 'dists'",
    ),
    "inception": Entry(
        file="weights-inception-2015-12-05-6726825d.pth",
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
        megabytes=96,
        source="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
        "weights-inception-2015-12-05-6726825d.pth",
        licence="Apache-2.0 (Google); trained on ImageNet",
        avoid="the metrics over efficientnet-lite0, such as kid-efficientnet-lite0",
    ),
    # the file at this address, as independent projects recorded it; 334,643,276 bytes
    "sd-vae-ft-mse": Entry(
        file="diffusion_pytorch_model.safetensors",
        sha256="a1d993488569e928462932c8c38a0760b874d166399b14414135bd9c42df5815",
        megabytes=335,
        source="https://huggingface.co/stabilityai/sd-vae-ft-mse/resolve/main/diffusion_pytorch_model.safetensors",
        licence="MIT (Stability AI); trained on LAION",
        avoid="--latent haar",
    ),
    "squeezenet": Entry(
        file="squeezenet1_1-b8a52dc0.pth",
        sha256="b8a52dc0",
        megabytes=5,
        source=f"{TORCHVISION}/squeezenet1_1-b8a52dc0.pth",
        licence="BSD-3-Clause (torchvision); trained on ImageNet",
        avoid="a stack without 'lpips' of net = \"squeeze\"",
    ),
    "vgg16": Entry(
        file="vgg16-397923af.pth",
        sha256="397923af",
        megabytes=528,
        source=f"{TORCHVISION}/vgg16-397923af.pth",
        licence="BSD-3-Clause (torchvision); trained on ImageNet",
        avoid="features = \"efficientnet-lite0\" and neither 'dists' nor 'lpips-vgg'",
    ),
    "vgg19": Entry(
        file="vgg19-dcbb9e9d.pth",
        sha256="dcbb9e9d",
        megabytes=548,
        source=f"{TORCHVISION}/vgg19-dcbb9e9d.pth",
        licence="BSD-3-Clause (torchvision); trained on ImageNet",
        avoid='features = "efficientnet-lite0"',
    ),
}


def folder() -> Path:
    """Return where weights are kept: RESTORATION_WEIGHTS, else ``weights`` in the user's cache."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named).expanduser() if named else cache_folder() / "weights"


def entry(name: str) -> Entry:
    """Return an entry of the catalogue by name."""
    if name not in CATALOGUE:
        raise ValueError(
            f"unknown weights '{name}'{nearest(name, CATALOGUE) or '; expected one of ' + ', '.join(CATALOGUE)}"
        )
    return CATALOGUE[name]


def find(name: str) -> Path | None:
    """Return the file of a catalogue entry where it is here, unchecked: our folder, then torch hub's."""
    import torch

    file = entry(name).file
    places = (folder(), Path(torch.hub.get_dir()) / "checkpoints")
    return next((place / file for place in places if (place / file).is_file()), None)


def require(name: str) -> Path:
    """Return the verified file of a catalogue entry; where it is missing, say what to fetch. Never downloads."""
    wanted, path = entry(name), find(name)
    if path is None:
        raise MissingWeightsError(
            f"weights '{name}' are not here. Expected {wanted.file} ({wanted.size}, "
            f"{wanted.hash}) in {_short(folder())}\n"
            f"fetch: restoration weights fetch {name}    or copy the file there    or use {wanted.avoid}"
        )
    OPENED[name] = verify(path, wanted)
    return path


def verify(path: Path, expected: Entry) -> str:
    """Return the sha256 of the file at ``path``; raise where it is not the one that ``expected`` describes."""
    found = digest(path)
    if not found.startswith(expected.sha256):
        raise ValueError(
            f"{path}: sha256 starts with {found[:8]}; expected {expected.sha256[:8]}…; "
            f"delete it and fetch it again"
        )
    return found


def digest(path: Path) -> str:
    """Return the sha256 of the file at ``path``."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def nearest(name: str, names: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the closest of ``names``, or nothing."""
    close = get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else ""


def _short(path: Path) -> str:
    home = Path.home()
    return f"~/{path.relative_to(home).as_posix()}" if path.is_relative_to(home) else str(path)
