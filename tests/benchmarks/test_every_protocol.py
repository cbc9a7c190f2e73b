"""Every shipped protocol on small made-up images that have the names its manifests say."""

from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restoration.benchmarks.datasets import cases
from restoration.benchmarks.manifest import SHIPPED, Record, records
from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.protocol import load_protocol, protocol_names, protocol_path
from restoration.benchmarks.protocol_page import scored
from restoration.benchmarks.run import evaluate
from restoration.benchmarks.samples import load_sample
from restoration.benchmarks.sources import Masks
from restoration.image import read_samples
from restoration.weights import load

SIDE = 72  # of clean images: borders, windows and every scale fit
# what is here of a set, with the number of images that are scored
HERE = {
    "polyu": 12, "rain": 4, "levin": 16, "reflection-ceilnet": 8, "reflection-real": 2, "reflection-flash": 1,
    "reflection-noref": 4, "masks-irregular": 30, "masks-large": 30, "vid4-calendar": 11,
    "vid4-calendar-crop8": 7, "vid4-calendar-crop10": 7, "realsr-ntire2019": 1,
}  # fmt: skip
OWN = [name for name in protocol_names() if not name.startswith((SHIPPED, "gaussian"))]
MANY = {  # hundreds or thousands of files
    name
    for name in OWN
    if name.startswith(
        ("paris", "celeba", "lfw", "wider", "webphoto", "div2k", "test", "uhdrr", "vid4-crop8")
    )
}


def test_there_is_a_protocol_for_every_task():
    tasks = {load_protocol(name).task for name in OWN}
    assert tasks >= {
        "super-resolution", "video-super-resolution", "denoising", "deblurring", "deraining", "inpainting", "jpeg",
        "low-light", "reflection-removal", "faces", "colourisation",
        "reconstruction",
    }  # fmt: skip


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Return a function that gives a few small pictures of a size, or masks of rising holes."""
    folder = tmp_path_factory.mktemp("pictures")

    def made(kind: str, side: int, channels: int) -> list[Path]:
        place = folder / f"{kind}{side}x{channels}"
        if not place.exists():
            place.mkdir()
            rng = np.random.default_rng(side)
            for i in range(16):
                samples = rng.integers(0, 256, (side, side, channels), dtype=np.uint8)
                if kind == "mask":
                    rows = np.arange(side * side).reshape(side, side, 1) < side * side * (0.05 + 0.04 * i)
                    samples = np.where(rows, np.uint8(255), np.uint8(0))
                Image.fromarray(samples if channels == 3 else samples[..., 0]).save(place / f"{i}.png")
        return sorted(place.iterdir())

    return made


def lay(root: Path, known: list[Record], sources: list[Path]) -> None:
    """Link a picture to every name of a manifest; unnamed files get numbers."""
    links = cycle(sources)
    for record in known:
        for number in range(record.amount):
            path = root / record.file.replace("*", f"{number:05}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(next(links))


def laid_out(protocol, root: Path, pictures) -> None:
    """Make the data root that a protocol needs."""
    for entry in protocol.clean:
        known = records(entry)
        lay(root, known, pictures("clean", SIDE, int(known[0].channels)))
    given = protocol.source.given
    if given:
        known = records(given)
        kind = "mask" if isinstance(protocol.source, Masks) else "degraded"
        channels = 1 if kind == "mask" else int(known[0].channels)
        lay(root, known, pictures(kind, SIDE // protocol.scale, channels))


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow) if n in MANY else n for n in OWN])
def test_a_protocol_finds_its_images_by_name_and_degrades_them(tmp_path, pictures, name):
    protocol = load_protocol(name)
    laid_out(protocol, tmp_path, pictures)
    found = cases(protocol, tmp_path)
    assert len(found) == scored(protocol) and all(case.cluster for case in found)
    assert len({case.name for case in found}) == len(found)
    for case in (found[0], found[-1]):
        sample = load_sample(protocol, case)
        assert torch.isfinite(sample.degraded).all()
        if sample.clean is not None:
            assert sample.clean.shape[-1] == SIDE == protocol.scale * sample.degraded.shape[-1]
        assert (sample.clean is None) == (not protocol.clean)
        assert (sample.mask is not None) == (
            name.startswith(("masks", "paris")) or name == "celeba-256-inpaint"
        )


@pytest.mark.parametrize("name", sorted(HERE))
def test_a_protocol_of_few_images_runs(tmp_path, pictures, name):
    protocol = load_protocol(name)
    laid_out(protocol, tmp_path, pictures)
    restorer = load(f"bicubic-x{protocol.scale}" if protocol.scale > 1 else "identity")
    for row in evaluate(restorer, protocol, data=tmp_path).rows:
        assert row.n + len(row.missing) in (HERE[name], HERE[name] - 1), row.metric
        if protocol.clean and row.metric in ("psnr-y", "psnr-rgb"):
            assert row.n == HERE[name], row.missing


@pytest.mark.parametrize("name", [n for n in protocol_names() if n.startswith(f"{SHIPPED}-")])
def test_shipped_photographs_need_nothing(name, tmp_path):
    protocol = load_protocol(name)
    found = cases(protocol, tmp_path)
    assert len(found) == (3 if name == "photos-pmrf-sr" else 6)
    first, again = load_sample(protocol, found[1], 1, 6), load_sample(protocol, found[1], 4, 9)
    assert torch.equal(first.degraded, again.degraded)  # whatever its place
    assert first.degraded.shape[-1] * protocol.scale == first.clean.shape[-1]


@pytest.mark.parametrize("name, count", HERE.items())
def test_the_protocols_of_the_data_here_find_all_of_it(data_root, name, count):
    protocol = load_protocol(name)
    found = cases(protocol, data_root)
    assert len(found) == count
    load_sample(protocol, found[0])


MASKS = {  # how many different ones there are
    "masks-irregular-10-20": 1, "masks-irregular-20-30": 2, "masks-irregular-30-40": 8, "masks-irregular-40-50": 3,
    "masks-irregular-50-60": 2, "masks-irregular": 16, "masks-large": 4,
}  # fmt: skip
# of images that share a clean file or a clip: how many there are; masks are part of a protocol
WITNESSES = dict.fromkeys(MASKS, 30) | {"levin": 2, "vid4-calendar": 1, "polyu": 12}
WORDS = {1: "One", 2: "Two", 3: "Three", 4: "Four", 8: "Eight", 16: "Sixteen"}


@pytest.mark.parametrize("name, count", WITNESSES.items())
def test_images_that_share_something_are_one_witness(data_root, name, count):
    found = cases(load_protocol(name), data_root)
    assert len({case.cluster for case in found}) == count
    if name in MASKS:
        masks = len({case.degraded for case in found})
        assert masks == MASKS[name]
        assert protocol_path(name).read_text(encoding="utf-8").startswith(f"# {WORDS[masks]} ")
        assert load_protocol(name).source.turned


def test_a_camera_aside_is_taken_back_by_the_shift():
    plain = "degraded.degradation={name = 'noise', sigma = 0}"
    protocol = load_protocol("photos-reflection-misaligned", [plain])
    aside = 0
    for case in cases(protocol, Path())[:3]:
        sample = load_sample(protocol, case)
        height, width = read_samples(case.clean).shape[:2]
        assert sample.clean.shape[-2:] == sample.degraded.shape[-2:] == (height - 6, width - 6)
        assert METRICS["psnr-rgb-shift"]()(sample.degraded, sample.clean).item() == 100.0
        aside += METRICS["psnr-rgb"]()(sample.degraded, sample.clean).item() < 60
    assert aside == 3


def test_levins_images_have_eight_shakes_each(data_root):
    found = cases(load_protocol("levin"), data_root)
    assert {case.name for case in found} == {f"im{i}_kernel{k}_img.png" for i in (1, 2) for k in range(1, 9)}
    assert all(case.name.split("_")[0] == case.clean.stem for case in found)


def test_the_frames_of_vid4_here_are_matlabs_reductions(data_root):
    from restoration.degradations.resize import resize

    protocol = load_protocol("vid4-calendar")
    sample = load_sample(protocol, cases(protocol, data_root)[5])
    assert torch.equal(sample.degraded, resize(sample.clean, scale=1 / 4, levels=255))
