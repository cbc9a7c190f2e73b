"""Runs that stop half-way: what is kept, what is made again, and that the result is the same."""

import itertools
import signal
import subprocess
import sys

import numpy as np
import pytest
from clips import Inverse, packets, restorer, write

from restoration.errors import RestorationError
from restoration.video import Settings, joining, restore_video, restoring


def test_an_error_keeps_finished_segments_and_the_next_run_goes_on(tmp_path, identity):
    source = write(tmp_path / "a.mp4", audio=True)
    seen = []

    def stop(path, done, total):
        seen.append(done)
        if done == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore_video(
            identity, source, tmp_path / "b.mkv", settings=Settings(codec="ffv1", segment=3), on_frame=stop
        )
    parts = tmp_path / ".b.mkv.parts"
    assert sorted(p.name for p in parts.iterdir()) == [
        "00000000-00000003.packets", "00000003-00000006.packets", "plan.json",
    ]  # fmt: skip
    assert not (tmp_path / "b.mkv").exists()
    seen.clear()
    restore_video(
        identity, source, tmp_path / "b.mkv", settings=Settings(codec="ffv1", segment=3),
        on_frame=lambda path, done, total: seen.append((done, total)),
    )  # fmt: skip
    assert seen == [(done, 12) for done in range(6, 13)]
    assert not parts.exists()
    restore_video(identity, source, tmp_path / "c.mkv", settings=Settings(codec="ffv1", segment=3))
    assert packets(tmp_path / "b.mkv") == packets(tmp_path / "c.mkv")


def interrupted(identity, source, target, settings, after):
    def stop(path, done, total):
        if done == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore_video(identity, source, target, settings=settings, on_frame=stop)
    return target.with_name(f".{target.name}.parts")


def test_parts_of_other_settings_are_made_again(tmp_path, identity):
    source = write(tmp_path / "a.mp4")
    interrupted(identity, source, tmp_path / "b.mkv", Settings(codec="ffv1", segment=3), 7)
    inverse = restorer(Inverse())
    notes = restore_video(inverse, source, tmp_path / "b.mkv", settings=Settings(codec="ffv1", segment=4))
    assert notes[0] == "parts of an earlier run with other settings were made again"
    restore_video(inverse, source, tmp_path / "c.mkv", settings=Settings(codec="ffv1", segment=4))
    assert packets(tmp_path / "b.mkv") == packets(tmp_path / "c.mkv")


@pytest.mark.parametrize("damage", [lambda data: data[:-3], lambda data: b"x" + data[1:], lambda data: b""])
def test_a_damaged_part_is_made_again(tmp_path, identity, damage):
    source = write(tmp_path / "a.mp4")
    parts = interrupted(identity, source, tmp_path / "b.mkv", Settings(codec="ffv1", segment=3), 8)
    part = parts / "00000000-00000003.packets"
    part.write_bytes(damage(part.read_bytes()))
    seen = []
    restore_video(
        identity, source, tmp_path / "b.mkv", settings=Settings(codec="ffv1", segment=3),
        on_frame=lambda path, done, total: seen.append(done),
    )  # fmt: skip
    assert seen[0] == 3  # the second segment is kept
    restore_video(identity, source, tmp_path / "c.mkv", settings=Settings(codec="ffv1", segment=3))
    assert packets(tmp_path / "b.mkv") == packets(tmp_path / "c.mkv")


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(tmp_path, identity):
    source = write(tmp_path / "a.mp4", frames=40, audio=True)
    script = (
        "import os, signal, sys\n"
        "from restoration.video import Settings, restore_video\n"
        "from restoration.weights import load\n"
        "kill = lambda path, done, total: done == 17 and os.kill(os.getpid(), signal.SIGKILL)\n"
        "how = Settings(codec='ffv1', segment=5)\n"
        "restore_video(load('identity'), sys.argv[1], sys.argv[2], settings=how, on_frame=kill)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(source), str(tmp_path / "b.mkv")], timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "b.mkv").exists()
    seen = []
    restore_video(
        identity, source, tmp_path / "b.mkv", settings=Settings(codec="ffv1", segment=5),
        on_frame=lambda path, done, total: seen.append(done),
    )  # fmt: skip
    assert seen == [*range(15, 41)]
    restore_video(identity, source, tmp_path / "c.mkv", settings=Settings(codec="ffv1", segment=5))
    assert packets(tmp_path / "b.mkv") == packets(tmp_path / "c.mkv")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mkv", "c.mkv"]


@pytest.mark.parametrize("codec", ["h264", "h265", "vp9", "av1"])
def test_a_resumed_result_is_that_of_an_uninterrupted_run(tmp_path, identity, codec):
    source = write(tmp_path / "a.mp4", frames=8, size=(128, 192), audio=True)
    settings = Settings(codec=codec, segment=4)
    restore_video(identity, source, tmp_path / "whole.mp4", settings=settings)
    for attempt in range(4):  # what goes by chance does not come out alike four times
        target = tmp_path / f"{attempt}.mp4"
        interrupted(identity, source, target, settings, 5)
        restore_video(identity, source, target, settings=settings)
        assert target.read_bytes() == (tmp_path / "whole.mp4").read_bytes()


def test_a_result_of_fewer_frames_is_an_error(tmp_path, identity, monkeypatch):
    source = write(tmp_path / "a.mp4")
    whole = joining._video
    monkeypatch.setattr(joining, "_video", lambda *args: itertools.islice(whole(*args), 11))
    with pytest.raises(RestorationError, match="11 frames were written; expected 12"):
        restore_video(identity, source, tmp_path / "b.mp4")
    assert not (tmp_path / "b.mp4").exists()


def test_decoding_times_rise_and_are_never_late():
    rng = np.random.default_rng(0)
    for _ in range(200):
        count = int(rng.integers(1, 20))
        shown = sorted(range(count), key=lambda i: i + rng.uniform(0, 5))
        at = np.cumsum(rng.integers(1, 50, count)).tolist()
        found = joining.decoding_times(shown, at)
        assert all(b > a for a, b in itertools.pairwise(found))
        assert all(dts <= at[number] for dts, number in zip(found, shown, strict=True))


def test_what_runs_ahead_stops_with_its_reader_and_passes_errors_on():
    taken = []

    def numbers():
        for i in range(100):
            taken.append(i)
            yield i
        raise ValueError

    ahead = restoring._ahead(numbers())
    assert [next(ahead) for _ in range(3)] == [0, 1, 2]
    ahead.close()
    assert len(taken) <= 3 + restoring.AHEAD + 2
    with pytest.raises(ValueError):
        list(restoring._ahead(numbers()))
