"""Restored images that were restored before: found by what made them, and by nothing less."""

import pytest
import torch

from restoration.benchmarks.cache import Cache, Kept, default_folder, identity
from restoration.benchmarks.protocol import load_protocol
from restoration.benchmarks.run import Inference, benchmark
from restoration.weights import load, shipped

ONE = ['clean=["photos/chelsea.png"]']
SMALL = next(iter(sorted(name for name in shipped() if name.startswith("sr-x4"))), None)


@pytest.fixture
def restorer():
    if SMALL is None:
        pytest.skip("no restorer for ×4 is shipped")
    return load(SMALL)


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "kept")


def key(cache, restorer, **changes):
    known = {"degraded": torch.zeros(1, 3, 8, 8), "mask": None, "inference": Inference(), "output": "uint8"}
    return cache.key(restorer, **(known | changes))


def test_every_input_and_setting_is_part_of_the_name(cache, restorer):
    degraded = torch.zeros(1, 3, 8, 8)
    degraded[0, 0, 0, 0] = 1e-6
    keys = [
        key(cache, restorer),
        key(cache, restorer, degraded=degraded),
        key(cache, restorer, degraded=torch.zeros(1, 3, 4, 16)),
        key(cache, restorer, mask=torch.zeros(1, 1, 8, 8)),
        key(cache, restorer, inference=Inference(ensemble=True)),
        key(cache, restorer, inference=Inference(precision="fp32")),
        key(cache, restorer, output="float"),
    ]
    assert len(set(keys)) == len(keys) and key(cache, restorer) == keys[0]
    other = load(SMALL)
    assert key(cache, other) == keys[0]
    with torch.no_grad():
        next(other.parameters()).add_(1e-3)
    assert identity(other) != identity(restorer), "a network that was changed is another"


def test_restorers_without_weights_are_not_kept(cache):
    bicubic = load("bicubic-x4")
    assert key(cache, bicubic) is None
    cache.put(None, Kept(torch.zeros(1, 3, 8, 8), 1.0, 2.0), "uint8")
    assert cache.get(None) is None and not cache.folder.exists()


@pytest.mark.parametrize("output", ["uint8", "float"])
def test_an_image_comes_back_as_it_is_scored(cache, output):
    image = torch.rand(1, 3, 9, 7, generator=torch.Generator().manual_seed(0)) * 1.2 - 0.1
    cache.put("ab" * 32, Kept(image, 1.25, 300.5), output)
    found = cache.get("ab" * 32)
    assert (found.seconds, found.peak_mib, found.image.dtype) == (1.25, 300.5, torch.float32)
    expected = (image.double().clamp(0, 1) * 255 + 0.5).floor() / 255 if output == "uint8" else image
    torch.testing.assert_close(found.image, expected.float(), rtol=0, atol=1e-7)


def test_a_damaged_file_is_deleted_and_what_is_not_finite_is_not_kept(cache):
    cache.put("cd" * 32, Kept(torch.zeros(1, 1, 4, 4), 1.0, 1.0), "uint8")
    (path,) = cache.folder.rglob("*.safetensors")
    path.write_bytes(path.read_bytes()[:20])
    assert cache.get("cd" * 32) is None and not path.exists()
    cache.put("cd" * 32, Kept(torch.full((1, 1, 4, 4), torch.nan), 1.0, 1.0), "float")
    assert cache.get("cd" * 32) is None


def test_the_longest_unused_images_go_where_room_ends(tmp_path):
    import os

    cache = Cache(tmp_path, limit=2000)
    for i in range(5):
        cache.put(f"{i:064d}", Kept(torch.zeros(1, 1, 10, 40), 1.0, 1.0), "uint8")
        path = cache._path(f"{i:064d}")
        if path.exists():
            os.utime(path, (i, i))
    cache._prune()
    kept = sorted(int(path.stem) for path in tmp_path.rglob("*.safetensors"))
    assert kept and kept == list(range(5 - len(kept), 5))
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.safetensors")) <= 2000


def test_the_folder_is_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.delenv("RESTORATION_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "restoration" / "restored"


@pytest.mark.slow
def test_a_further_metric_restores_nothing_and_finds_the_same_numbers(cache, restorer):
    calls = []
    forward = restorer.network.forward
    # not on the meta device, where its multiply-adds are counted
    restorer.network.forward = lambda x: (None if x.is_meta else calls.append(1)) or forward(x)
    restorers = {"r": restorer}
    first = benchmark(restorers, [load_protocol("photos-x4", ONE, ["psnr-y"])], cache=cache)
    run = len(calls)
    more = load_protocol("photos-x4", ONE, ["psnr-y", "ssim-y"])
    second = benchmark(restorers, [more], cache=cache)
    assert run > 0 and len(calls) == run
    assert second.rows[0].per_image == first.rows[0].per_image
    assert second.rows[0].seconds == first.rows[0].seconds, "the time is that of restoring"
    assert list(second.provenance["cached"].values()) == [{"r": 1}]
    without = benchmark(restorers, [more])
    assert [row.per_image for row in without.rows] == [row.per_image for row in second.rows]
    assert len(calls) == 2 * run and "cached" not in without.provenance
