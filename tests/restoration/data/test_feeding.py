"""Feeding: the same bytes from threads, processes and the device; damage told once; processes end with their parent."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from restoration.data import Feeding, Pairs, build_source, feed, prefetch
from restoration.data.feeding import undisturbed
from restoration.degradations.chain import Chain
from restoration.degradations.noise import Noise
from restoration.degradations.resize import Bicubic
from restoration.errors import ImageError, RestorationError

from .made import file_of, picture, ppm

CHAIN = Chain((Noise(sigma=20.0), Bicubic(2)))
CPU = torch.device("cpu")


@pytest.fixture
def pairs(shards, data):
    return Pairs(
        build_source(data(shards([{"clean.ppm": ppm(picture(i))} for i in range(10)], 4))), CHAIN, 16, 4, 0
    )


def batches(pairs: Pairs, steps: range, **settings: object) -> list:
    return list(feed(pairs, steps, Feeding(**settings), device=CPU))


@pytest.mark.slow
def test_threads_processes_and_the_device_give_the_same_bytes(pairs):
    expected = [(step, pairs.batch(step)) for step in range(3, 9)]
    ways = (
        {"workers": 1}, {"workers": 3, "ahead": 1}, {"degrade_on": "device"},
        {"worker": "process"}, {"worker": "process", "workers": 1, "degrade_on": "device"},
    )  # fmt: skip
    for way in ways:
        found = batches(pairs, range(3, 9), **way)
        for (step, batch), (place, other) in zip(expected, found, strict=True):
            assert step == place == other.step and batch.keys == other.keys
            assert torch.equal(batch.clean, other.clean) and torch.equal(batch.degraded, other.degraded)


def test_on_the_device_partners_and_layers_are_those_of_the_workers(shards, data):
    samples = [{"clean.ppm": ppm(picture(i)), "degraded.ppm": ppm(picture(i)[::2, ::2])} for i in range(6)]
    source = build_source(data(shards(samples, 3)))
    for degradation in (None, Noise(sigma=5.0)):
        pairs = Pairs(source, degradation, 16, 4, 0)
        (_, here), (_, there) = (batches(pairs, range(1), degrade_on=on)[0] for on in ("device", "workers"))
        assert torch.equal(here.degraded, there.degraded) and here.degraded.shape[-1] == 8


def test_skipped_images_are_told_once(shards, data):
    samples = [{"clean.ppm": ppm(picture(i))} for i in range(10)]
    samples[4] = {"clean.png": file_of(picture(4))[:200]}
    folder, lines = shards(samples, 5), []
    pairs = Pairs(build_source(data(folder)), CHAIN, 16, 5, 0, damaged="skip")
    pairs.of_keys([(0, s) for s in range(10)])  # met before the run, by a check
    for _ in feed(pairs, range(8), Feeding(), note=lines.append):
        pass
    assert len(lines) == 1 and lines[0].endswith("; 1 of 10 so far")
    assert lines[0].startswith(f"data: skipped {folder}/train-000000.tar/000004.clean: not a readable image")
    with pytest.raises(ImageError, match=r"000004.clean: not a readable image"):
        batches(Pairs(pairs.source, CHAIN, 16, 5, 0), range(4))


@pytest.mark.slow
def test_processes_tell_what_went_wrong(shards, data):
    folder = shards([{"clean.png": file_of(picture(0))[:200]}], 1)
    pairs = Pairs(build_source(data(folder)), CHAIN, 16, 1, 0)
    with pytest.raises(ImageError, match=r"000000.clean: not a readable image"):
        batches(pairs, range(2), worker="process", workers=1)
    with pytest.raises(
        RestorationError, match=r'data.worker = "process": a process that makes batches ended by itself'
    ):
        list(prefetch(os._exit, range(1, 3), 1, 1, "process"))


def test_what_starts_undisturbed_sees_no_interrupt_and_its_parent_sees_it_after():
    asked = "import signal; print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))"
    handler, before = signal.default_int_handler, signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, handler)  # what a shell begins in the background ignores interrupts
    try:
        with pytest.raises(KeyboardInterrupt), undisturbed():
            os.kill(os.getpid(), signal.SIGINT)
            child = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True)
        assert child.stdout == "True\n" and signal.getsignal(signal.SIGINT) is handler
        assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])
        with undisturbed():
            pass
    finally:
        signal.signal(signal.SIGINT, before)


def test_every_rank_tells_what_it_skips_and_only_the_first_how_long_it_waits(photos, data):
    folder = photos()
    (folder / "0002.png").write_bytes((folder / "0002.png").read_bytes()[:400])
    told = {}
    for rank in (0, 1):
        pairs = Pairs(build_source(data(folder, damaged="skip")), CHAIN, 16, 2, 0, damaged="skip")
        lines = told.setdefault(rank, [])
        for _ in feed(pairs, range(40), Feeding(), rank=rank, world=2, note=lines.append):
            pass
    for lines in told.values():
        assert sum("0002.png: not a readable image" in line for line in lines) == 1
    waits = [sum("of the time is waiting" in line for line in lines) for lines in told.values()]
    assert waits == [1, 0]


SCRIPT = """
import sys
from restoration.data import Feeding, Pairs, build_source, feed
from restoration.degradations.resize import Bicubic
from restoration.experiment import Data

if __name__ == "__main__":
    pairs = Pairs(build_source(Data(sys.argv[1], 16)), Bicubic(2), 16, 4, 0)
    for step, batch in feed(pairs, range(10**9), Feeding(worker="process", workers=1)):
        if step == 2:
            print("running", flush=True)
"""


@pytest.mark.slow
def test_processes_end_when_their_parent_is_killed(photos, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    with subprocess.Popen(
        [sys.executable, script, photos()], stdout=subprocess.PIPE, start_new_session=True
    ) as parent:
        assert parent.stdout.readline() == b"running\n"
        children = _children(parent.pid)
        assert children
        parent.send_signal(signal.SIGKILL)
    ended = time.monotonic() + 10
    while any(_alive(child) for child in children) and time.monotonic() < ended:
        time.sleep(0.1)
    assert not any(_alive(child) for child in children)


def _children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    return [int(line) for line in listed.split()]


def _alive(pid: int) -> bool:
    state = subprocess.run(
        ["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True
    ).stdout.strip()
    return state not in ("", "Z")
