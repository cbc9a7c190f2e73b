"""Where patches are compared: pixels, orthonormal blocks of them, or the latents of an autoencoder."""

import inspect
import json
import math
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from restoration.errors import RequestError, WeightsError

Latent = Literal["pixels", "haar", "dct", "autoencoder"]
Posterior = Literal["sample", "mode"]
Like = Callable[[Tensor], Tensor]  # normal numbers of the size of a tensor
SIDE = 4  # of orthonormal blocks, in pixels
WEIGHTS = "diffusion_pytorch_model.safetensors"  # as diffusers calls them in a folder, beside config.json
RESTORER = "restorer.safetensors"  # in the folder of a run
KIND = "AutoencoderKL"
PUBLISHED = ("sd-vae-ft-mse",)  # of the catalogue
SHIPPED = ("kl-vae-small",)  # with the package
OWN = "kl-autoencoder"  # the network that is one
# of Stable Diffusion's autoencoder (83.65 million numbers), where no config.json lies beside its weights
STABLE_DIFFUSION: dict[str, Any] = {
    "in_channels": 3, "out_channels": 3, "latent_channels": 4, "layers_per_block": 2, "norm_num_groups": 32,
    "block_out_channels": [128, 256, 512, 512], "down_block_types": ["DownEncoderBlock2D"] * 4,
    "up_block_types": ["UpDecoderBlock2D"] * 4, "sample_size": 256,
}  # fmt: skip
# what attention's layers were called in the files of diffusers before 0.15
FORMERLY = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


class Pixels(nn.Module):
    """The pixels themselves."""

    factor, local = 1, True

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.brightness = tuple(range(channels))

    def encode(self, image: Tensor, like: Like) -> Tensor:
        """Return the image."""
        return image

    def decode(self, latents: Tensor) -> Tensor:
        """Return the image."""
        return latents


class Blocks(nn.Module):
    """An orthonormal transform of blocks of 4×4 pixels: 16 latent channels for each of the image's, invertible.

    ``basis`` (4, 4) is that of one axis, its first row constant.
    """

    factor, local = SIDE, True

    def __init__(self, channels: int, basis: Tensor) -> None:
        super().__init__()
        self.channels = channels * SIDE**2
        self.brightness = tuple(range(0, self.channels, SIDE**2))
        self.basis = torch.kron(basis, basis)  # no buffer: in double precision wherever the network is

    def encode(self, image: Tensor, like: Like) -> Tensor:
        """Return the coefficients of the image, whose sides are multiples of 4."""
        return self._turned(functional.pixel_unshuffle(image, SIDE), self.basis)

    def decode(self, latents: Tensor) -> Tensor:
        """Return the image of coefficients."""
        return functional.pixel_shuffle(self._turned(latents, self.basis.T), SIDE)

    def _turned(self, image: Tensor, matrix: Tensor) -> Tensor:
        colours = image.unflatten(1, (-1, SIDE**2)).movedim(2, -1)
        return (colours @ matrix.to(image).T).movedim(-1, 2).flatten(1, 2)


class Autoencoder(nn.Module):
    """diffusers' AutoencoderKL: [0, 1] becomes [−1, 1], latents are not scaled, and drawn or the posterior's mode."""

    local = False  # group normalisation sees the whole image

    def __init__(self, channels: int, config: Mapping[str, Any], posterior: Posterior) -> None:
        super().__init__()
        self.model = built(config)
        settings = self.model.config
        for side in ("in_channels", "out_channels"):
            if settings[side] != channels:
                raise ValueError(f"the autoencoder has {side} {settings[side]}; expected {channels}")
        self.model.eval().requires_grad_(False)
        self.factor = 2 ** (len(settings["block_out_channels"]) - 1)
        self.channels, self.posterior = settings["latent_channels"], posterior
        self.brightness = tuple(range(self.channels))

    def encode(self, image: Tensor, like: Like) -> Tensor:
        """Return latents of an image whose sides are multiples of the factor."""
        dtype = next(self.model.parameters()).dtype
        found = self.model.encode((2 * image - 1).to(dtype)).latent_dist
        return found.mean if self.posterior == "mode" else found.mean + found.std * like(found.mean)

    def decode(self, latents: Tensor) -> Tensor:
        """Return the image of latents, which may leave [0, 1]."""
        dtype = next(self.model.parameters()).dtype
        return (self.model.decode(latents.to(dtype)).sample + 1) / 2

    def train(self, mode: bool = True) -> "Autoencoder":
        """Stay as it is: it is never in training."""
        return super().train(False)


Latents = Pixels | Blocks | Autoencoder


def latents_of(
    kind: Latent, channels: int, config: Mapping[str, Any] | None, posterior: Posterior
) -> Latents:
    """Return the latents of a kind for images of this many channels; ``config`` is an autoencoder's."""
    if (kind == "autoencoder") != (config is not None):
        expected = "expected the autoencoder's configuration" if config is None else "takes no autoencoder"
        raise ValueError(f"latent = '{kind}': {expected}")
    if config is not None:
        return Autoencoder(channels, config, posterior)
    return Pixels(channels) if kind == "pixels" else Blocks(channels, haar() if kind == "haar" else dct())


def dct() -> Tensor:
    """Return the orthonormal cosine basis (DCT-II) of 4 pixels, one wave a row."""
    places = torch.arange(SIDE, dtype=torch.double, device="cpu")
    waves = (math.pi / SIDE * torch.outer(places, places + 0.5)).cos() * math.sqrt(2 / SIDE)
    return torch.cat([waves[:1] / math.sqrt(2), waves[1:]])


def haar() -> Tensor:
    """Return the orthonormal Haar basis of 4 pixels: mean, halves, and the pairs of each half."""
    rows = [[0.5] * 4, [0.5, 0.5, -0.5, -0.5], [0.5**0.5, -(0.5**0.5), 0, 0], [0, 0, 0.5**0.5, -(0.5**0.5)]]
    return torch.tensor(rows, dtype=torch.double, device="cpu")


def named(latent: str) -> tuple[Latent, dict[str, Any] | None, dict[str, Tensor]]:
    """Return kind, configuration and tensors of what a command line calls a latent.

    That is pixels, haar, dct, a name of `SHIPPED` or `PUBLISHED`, a folder as diffusers writes it, a file of weights,
    beside which a config.json may lie, or a restorer's file whose network is `OWN`.
    """
    from restoration.config import nearest

    linear = [kind for kind in get_args(Latent) if kind != "autoencoder"]
    if latent in linear:
        return latent, None, {}  # type: ignore[return-value]
    path = _place(latent)
    if not path.is_file():
        known = [*linear, *SHIPPED, *PUBLISHED]
        expected = f"{', '.join(known)}, or a folder or file of an {KIND} of diffusers"
        raise RequestError(f"--latent {latent}: expected {expected}{nearest(latent, known)}")
    return "autoencoder", *_read(path)


def licence(latent: str) -> str:
    """Return the licence of the weights of what a command line calls a latent, as far as their file says one."""
    from restoration import weights

    return weights.load(path).card.licence if _is_own(path := _place(latent)) else ""


def _place(latent: str) -> Path:
    """Return the file of weights that a name, folder or file stands for."""
    from restoration.catalogue import require

    if latent in SHIPPED:
        path = Path(str(files("restoration"))) / "shipped" / f"{latent}.safetensors"
        if not path.is_file():
            raise WeightsError(
                f"--latent {latent}: comes with the package in {path}, which is missing; reinstall it"
            )
        return path
    path = require(latent) if latent in PUBLISHED else Path(latent).expanduser()
    if not path.is_dir():
        return path
    for place in (path / WEIGHTS, path / "vae" / WEIGHTS, path / RESTORER):
        if place.is_file():
            return place
    raise RequestError(f"--latent {latent}: no {WEIGHTS} in this folder")


def _is_own(path: Path) -> bool:
    from restoration import weights

    return path.is_file() and weights.is_ours(path)


def _own(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    from restoration import weights

    loaded = weights.load(path)
    if loaded.card.network["name"] != OWN:
        raise RequestError(
            f"--latent {path}: a restorer of the network '{loaded.card.network['name']}'; expected '{OWN}'"
        )
    return loaded.network.configuration, loaded.network.state_dict()


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    from restoration.foreign import SUFFIXES, read_state

    if path.suffix not in SUFFIXES:
        raise RequestError(f"--latent {path}: expected a weights file ({', '.join(SUFFIXES)})")
    if _is_own(path):
        return _own(path)
    beside = path.parent / "config.json"
    config = dict(STABLE_DIFFUSION)
    if beside.is_file():
        try:
            config = json.loads(beside.read_text(encoding="utf-8"))
        except ValueError as error:
            raise RequestError(f"--latent {path}: {beside} is not valid JSON ({error})") from None
        if not isinstance(config, dict) or config.get("_class_name", KIND) != KIND:
            found = config.get("_class_name") if isinstance(config, dict) else type(config).__name__
            raise RequestError(f"--latent {path}: {beside} describes {found}; expected an {KIND}")
    config = {key: value for key, value in config.items() if not key.startswith("_")}
    state = {_renamed(name): tensor for name, tensor in read_state(path).items()}
    _check(config, state, path, beside.is_file())
    return config, state


def _check(config: Mapping[str, Any], state: Mapping[str, Tensor], path: Path, described: bool) -> None:
    from restoration.foreign import difference

    try:
        with torch.device("meta"):
            empty = built(config).state_dict()
    except ValueError as error:
        raise RequestError(f"--latent {path}: {error}") from None
    if complaint := difference(empty, state):
        whose = (
            "as its config.json describes"
            if described
            else "Stable Diffusion's, and no config.json beside it"
        )
        raise WeightsError(f"--latent {path}: not the weights of an {KIND} {whose}: {complaint}")
    if bad := next((name for name, tensor in state.items() if not tensor.isfinite().all()), None):
        raise WeightsError(f"--latent {path}: {bad} holds values that are not finite")


def _renamed(name: str) -> str:
    *front, layer, last = name.split(".") if name.count(".") else ("", name)
    return ".".join([*front, FORMERLY.get(layer, layer), last]) if ".attentions." in name else name


def built(config: Mapping[str, Any]) -> nn.Module:
    """Return diffusers' module of this configuration, with random weights; diffusers takes seconds to import."""
    try:
        from diffusers import AutoencoderKL
    except ImportError:
        raise ValueError(
            'an autoencoder needs diffusers, which is not installed; pip install "diffusers>=0.32", '
            "or use pixels, haar or dct"
        ) from None
    known = set(inspect.signature(AutoencoderKL.__init__).parameters) - {"self"}
    if unknown := next((key for key in config if key not in known and not key.startswith("_")), None):
        raise ValueError(f"an {KIND} has no key '{unknown}'")
    try:
        return AutoencoderKL(**{key: value for key, value in config.items() if key in known})
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"no {KIND} can be built of its configuration: {reason}") from None
