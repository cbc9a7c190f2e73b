"""A transport fitted to two folders of images: statistics of a dozen on each side, no training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from restoration.apply import restore_image
from restoration.config import build, check, nearest
from restoration.data.pairing import MARK, matched
from restoration.errors import ConfigError, RequestError
from restoration.exporting.adoption import rebuilt
from restoration.image import find_images, read, rgb, to_float, to_srgb
from restoration.networks import NETWORKS
from restoration.networks.spandrel import for_applying
from restoration.networks.transport import Transport
from restoration.restorers import RESTORERS
from restoration.restorers.card import Card
from restoration.restorers.network import Restorer
from restoration.tiling.receptive import NOTED
from restoration.transport.gaussian import Gaussian, gelbrich
from restoration.transport.latents import Autoencoder, Posterior, licence, named
from restoration.transport.patches import Moments, moments

CROP = 512  # pixels of the middle of a clean image that count, in both directions, unless told otherwise
FEW = 10  # patches for each number of a patch: below, covariances are guesses
SETTINGS = ("alpha", "blend", "eps", "seed", "weighting")  # of the network, that --set may say


@dataclass(frozen=True)
class Choice:
    """What a transport is fitted with.

    ``paired`` and ``mean_free`` of None choose: pairs where the two folders' names allow it, and means of patches
    left untouched where there are no pairs. ``paired`` and ``mean_free`` both False are the authors' way.
    """

    latent: str = "pixels"
    patch: int = 5
    images: int = 16
    paired: bool | None = None
    mean_free: bool | None = None
    zero_shot: bool = False
    posterior: Posterior = "sample"
    crop: int = CROP
    settings: Mapping[str, Any] = field(default_factory=dict)  # further keywords of the network


@dataclass(frozen=True)
class Fitted:
    """The transport with its card, and what was found: plain facts, and what a user should know."""

    network: Transport
    card: Card
    facts: dict[str, Any]
    notes: tuple[str, ...]


def fit(
    restorer: Restorer,
    source: str,
    clean: Path,
    degraded: Path | None,
    choice: Choice,
    name: str = "transport",
    device: str | torch.device = "cpu",
) -> Fitted:
    """Return the transport of what ``restorer`` makes of degraded images to clean ones.

    ``source`` is what the restorer is called: a name or a file. ``degraded`` may be left out where every image is to
    bring its own statistics (``zero_shot``).
    """
    if choice.images < 1 or choice.crop < 8:
        raise RequestError(
            f"--images {choice.images}, --crop {choice.crop}: expected one image or more, 8 pixels or more"
        )
    if degraded is None and (not choice.zero_shot or choice.paired):
        raise RequestError("--degraded: missing; expected a folder of degraded images, or --zero-shot")
    targets, sources, paired = _chosen(clean, degraded, choice)
    network, table = _network(restorer, source, choice, paired)
    network.eval().to(device)
    with torch.inference_mode():
        found, errors = _of_clean(network, targets, choice.crop)
        restored = _of_restored(network, restorer, sources, targets if paired else (), choice.crop, device)
    network.cpu()
    gaussians = found.gaussian(), restored.gaussian() if sources else None
    network.fit(gaussians[1], gaussians[0], (restored.count, found.count))
    facts = {
        "restorer": source, "sha256": restorer.digest, "latent": choice.latent, "patch": choice.patch,
        "numbers": len(found.total), "images": {"clean": len(targets), "restored": len(sources)}, "paired": paired,
        "patches": {"clean": found.count, "restored": restored.count}, "mean_free": network.mean_free,
        "zero_shot": network.zero_shot,
    }  # fmt: skip
    if gaussians[1] is not None:
        facts |= _distances(network, gaussians[1], gaussians[0])
    if errors:
        facts["autoencoder_psnr"] = float(np.mean(errors))
    training = dict(facts)
    if network.receptive_field is None and not _finite(network):
        training[NOTED] = {"radius": None, "period": network.multiple}  # nothing to be measured
    licences = dict.fromkeys(filter(None, (restorer.card.licence, _latent_licence(network, choice.latent))))
    card = Card(name, restorer.card.task, table, network.scale, "; ".join(licences), training)
    return Fitted(network, card, facts, _notes(facts))


def _chosen(clean: Path, degraded: Path | None, choice: Choice) -> tuple[list[Path], list[Path], bool]:
    """Return clean and degraded files, and whether they are pairs; without pairs, of different images if there are."""
    targets = _images("--clean", clean)
    if degraded is None:
        return _spread(targets, choice.images), [], False
    sources = _images("--degraded", degraded)
    if choice.paired is not False:
        try:
            chosen = _spread(targets, choice.images)
            return chosen, matched(chosen, sources, "--degraded"), True
        except ConfigError:
            if choice.paired:
                raise
    sources = _spread(sources, choice.images)
    taken = {_bare(path) for path in sources}
    others = [path for path in targets if _bare(path) not in taken]
    return (
        _spread(others if len(others) >= min(choice.images, len(targets)) else targets, choice.images),
        sources,
        False,
    )


def _images(option: str, folder: Path) -> list[Path]:
    if not folder.is_dir():
        what = "a file" if folder.exists() else "no such folder"
        raise RequestError(f"{option} {folder}: {what}; expected a folder of images")
    found = find_images(folder)
    if not found:
        raise RequestError(f"{option} {folder}: no images in this folder")
    return found


def _spread(paths: Sequence[Path], count: int) -> list[Path]:
    """Return at most ``count`` of the files, evenly spread over all."""
    if count >= len(paths):
        return list(paths)
    return [paths[i * len(paths) // count] for i in range(count)]


def _bare(path: Path) -> str:
    return MARK.sub("", path.stem).lower()


def _network(
    restorer: Restorer, source: str, choice: Choice, paired: bool
) -> tuple[Transport, dict[str, Any]]:
    """Return the transport, filled with the restorer and the autoencoder, and the table that builds it."""
    if wrong := next((key for key in choice.settings if key not in SETTINGS), None):
        hint = nearest(wrong, SETTINGS) or f"; expected one of {', '.join(SETTINGS)}"
        raise RequestError(f"--set {wrong}: unknown key of a transport{hint}")
    kind, config, state = named(choice.latent)
    mean_free = choice.zero_shot or not paired if choice.mean_free is None else choice.mean_free
    table: dict[str, Any] = {
        "name": "transport", "channels": restorer.channels or 3, "latent": kind, "patch": choice.patch,
        "mean_free": mean_free, "zero_shot": choice.zero_shot,
        "posterior": choice.posterior, **choice.settings,
    }  # fmt: skip
    if config is not None:
        table["autoencoder"] = config
    inner = None
    if restorer.card.network.get("name") in RESTORERS:
        table["baseline"] = restorer.card.network["name"]
    else:
        inner, own = rebuilt(restorer.network, restorer.card, Path(source))
        table["inner"] = own | {"restorer": source, "sha256": str(restorer.digest)}
    try:
        with for_applying(), torch.random.fork_rng(devices=[]):
            table = check(NETWORKS, table, "transport", "network")
            network = build(NETWORKS, table, "transport", "network")
    except ConfigError as error:
        raise RequestError(str(error)) from None
    if inner is not None:
        network.inner.load_state_dict(inner.state_dict())
    if isinstance(network.latents, Autoencoder):
        network.latents.model.load_state_dict(state)
    return network, table


def _of_clean(network: Transport, paths: Sequence[Path], crop: int) -> tuple[Moments, list[float]]:
    """Return the moments of clean patches, and how well an autoencoder returns the images, in decibels."""
    found, errors = Moments.none(len(network.affine.shift)), []
    for path in paths:
        image = _middle(_read(path), crop, network.latents.factor)
        found += moments(latents := _encoded(network, image, path), network.patch)
        if isinstance(network.latents, Autoencoder):
            again = network.latents.decode(latents).cpu()
            errors.append(-10 * float((again - _as_seen(network, image)).square().mean().log10()))
    return found, errors


def _of_restored(
    network: Transport,
    restorer: Restorer,
    paths: Sequence[Path],
    clean: Sequence[Path],
    crop: int,
    device: str | torch.device,
) -> Moments:
    found = Moments.none(len(network.affine.shift))
    for i, path in enumerate(paths):
        image = _read(path)
        if clean:
            _check_pair(image, clean[i], path, network.scale)
        degraded = _middle(image, max(1, crop // network.scale), 1)
        restored = restore_image(restorer, degraded, device=device, precision="fp32")
        found += moments(
            _encoded(network, _middle(restored, crop, network.latents.factor), path), network.patch
        )
    return found


def _encoded(network: Transport, image: Tensor, path: Path) -> Tensor:
    """Return the latents of an image as patches are taken from them; one that is too small is refused."""
    if min(image.shape[-2:]) < network.patch * network.latents.factor:
        least = network.patch * network.latents.factor
        height, width = image.shape[-2:]
        raise RequestError(
            f"{path}: {width}x{height} pixels; expected at least {least}x{least} for one patch"
        )
    seen = _as_seen(network, image).to(network.place.at.device)
    return network.latents.encode(seen, network.drawn)


def _as_seen(network: Transport, image: Tensor) -> Tensor:
    """Return an image as the network sees it: a grey one takes every colour for an image."""
    return rgb(image) if network.channels == 3 else image.transpose(0, 1)


def _read(path: Path) -> Tensor:
    picture = read(path)
    return to_srgb(to_float(picture.samples), picture.icc)


def _middle(image: Tensor, side: int, multiple: int) -> Tensor:
    """Return the middle of an image, at most ``side`` pixels wide and high, of whole multiples."""
    height, width = image.shape[-2:]
    rows, columns = (min(n, max(multiple, side)) // multiple * multiple for n in (height, width))
    top, left = (height - rows) // 2, (width - columns) // 2
    return image[..., top : top + rows, left : left + columns]


def _check_pair(degraded: Tensor, clean: Path, path: Path, scale: int) -> None:
    expected = [side * scale for side in degraded.shape[-2:]]
    found = list(read(clean).samples.shape[:2])
    if found != expected:
        raise RequestError(
            f"{clean}: {found[1]}x{found[0]} pixels; expected {expected[1]}x{expected[0]}, {scale} times {path.name}; "
            "or --unpaired"
        )


def _distances(network: Transport, restored: Gaussian, clean: Gaussian) -> dict[str, Any]:
    """Return squared distances, for each number of a patch."""
    facts: dict[str, Any] = {"distance": float(gelbrich(restored, clean)) / len(clean.mean)}
    if not network.zero_shot:
        facts["lacking"] = network.affine.lacking
        facts["noise"] = 0 if network.affine.root is None else network.affine.root.shape[1]
        facts["cost"] = float(network.affine.cost(restored)) / len(clean.mean)
    return facts


def _latent_licence(network: Transport, latent: str) -> str:
    return licence(latent) if isinstance(network.latents, Autoencoder) else ""


def _finite(network: Transport) -> bool:
    """Return whether how far the network sees may be finite though the restorer does not say so."""
    return network.latents.local and not network.zero_shot


def _notes(facts: Mapping[str, Any]) -> tuple[str, ...]:
    notes, numbers = [], facts["numbers"]
    least = min(count for count in facts["patches"].values() if count)
    if least < FEW * numbers:
        notes.append(
            f"only {least:,} patches for covariances of {numbers}² numbers: expected {FEW * numbers:,}, "
            "of more images, or a smaller --patch"
        )
    if facts.get("noise"):
        which = "their place" if facts["noise"] == facts["lacking"] else f"the place of {facts['noise']}"
        notes.append(
            f"restored patches lack {facts['lacking']} of {numbers} directions; noise takes {which}, so results "
            "depend on --seed"
        )
    if not (facts["paired"] or facts["mean_free"]):
        notes.append("neither pairs nor --mean-free: few images will lend their brightness to every result")
    return tuple(notes)
