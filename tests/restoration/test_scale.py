"""Applying at scale: manifests, killed runs, ranks that share files and tiles, memory that stays flat."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from restoration.apply import apply, restore_image
from restoration.applying import sharing
from restoration.applying.manifest import NAME, UNKNOWN
from restoration.applying.pace import Pace
from restoration.applying.running import LONG, Inference, Runner
from restoration.dials.perception import with_perception
from restoration.dials.sampling import with_sampling
from restoration.distributed import fast_bfloat16
from restoration.formats.bands import release
from restoration.image import Picture, blank_samples, read_samples, write
from restoration.networks.plainsr import PlainSr
from restoration.networks.posterior_mean_flow import PosteriorMeanFlow
from restoration.outcome import Report
from restoration.ranks import APART, PATIENCE, speaks
from restoration.restorers import Card, baseline
from restoration.tiling.memory import resident
from restoration.weights import load, save


class Gain(nn.Module):
    """Pixels times a number, so that results tell who made them; it counts what it is given."""

    scale, multiple, receptive_field, conditions = 1, 1, 0, ()

    def __init__(self, gain=0.5):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(gain))
        self.calls = []

    def forward(self, image):
        self.calls.append(tuple(image.shape))
        return image * self.weight


def photos(folder, count, height=9, width=11):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        samples = np.random.default_rng(i).integers(0, 256, (height, width, 3)).astype(np.uint8)
        write(folder / f"{i:02}.png", Picture(samples))
    return folder


def lines(out):
    return [json.loads(line) for line in (out / NAME).read_text().splitlines()]


# --- manifest


def test_manifest_has_a_line_for_each_output_and_a_second_run_does_nothing(tmp_path):
    source, out = photos(tmp_path / "in", 3), tmp_path / "out"
    apply(Gain(), [source], out)
    assert [line["target"] for line in lines(out)] == ["00.png", "01.png", "02.png"]
    assert lines(out)[0]["source"]["size"] == (source / "00.png").stat().st_size
    again = apply(Gain(), [source], out)
    assert len(again.kept) == 3 and again.notes == [] and again.written == []


def test_outputs_made_otherwise_are_kept_but_said(tmp_path):
    source, out = photos(tmp_path / "in", 1), tmp_path / "out"
    apply(Gain(), [source], out)
    target = out / "00.png"

    def notes(restorer, **options):
        return [
            note.removeprefix(f"{target}: kept, but ")
            for note in apply(restorer, [source], out, **options).notes
        ]

    (note,) = notes(Gain(0.25))
    assert note.startswith("was made with restorer ") and note.endswith("; --overwrite makes it again")
    assert notes(Gain(), ensemble=True) == ["was made with ensemble False; --overwrite makes it again"]
    assert notes(Gain(), tile=4) == []  # exact tiles decide nothing
    write(source / "00.png", Picture(np.zeros((9, 11, 3), np.uint8)))
    assert notes(Gain()) == ["was made of another source; --overwrite makes it again"]
    apply(Gain(), [source], out, overwrite=True)
    assert notes(Gain()) == []
    (out / NAME).unlink()
    assert notes(Gain()) == [f"{UNKNOWN}; --overwrite makes it again"]


def test_dials_that_change_the_result_are_in_the_manifest(tmp_path):
    torch.manual_seed(0)
    mean = {"name": "plain-sr", "scale": 2, "width": 4, "blocks": 1}
    table = {"name": "posterior-mean-flow", "scale": 2, "width": 8, "steps": 2, "posterior_mean": mean}
    network = PosteriorMeanFlow(scale=2, width=8, steps=2, posterior_mean=PlainSr(scale=2, width=4, blocks=1))
    save(tmp_path / "flow.safetensors", network, Card("flow", "super-resolution", table, 2))
    flow = load(tmp_path / "flow.safetensors")
    source, out = photos(tmp_path / "in", 1, 16, 16), tmp_path / "out"
    apply(flow, [source], out)

    def said(restorer, **options):
        kept = [note for note in apply(restorer, [source], out, **options).notes if "kept, but " in note]
        return kept and kept[0].split("was made with ")[1].removesuffix("; --overwrite makes it again")

    assert said(flow) == said(with_perception(flow, 1)) == []
    assert said(with_sampling(flow, steps=3)) == "network.steps 2"
    assert said(with_sampling(flow, seed=3)) == "network.seed none"
    assert said(load(tmp_path / "flow.safetensors", {"sigma": 0.2})) == "network.sigma none"
    assert said(with_perception(flow, 0)).startswith("perception none")
    assert said(with_perception(flow, 0.3)) == "perception none"
    assert said(flow, ensemble=True) == "ensemble False"
    assert said(flow, consistent=True) == "consistent False"
    assert said(flow, wrap="x") == "wrap off"


def test_source_that_was_only_touched_is_the_same(tmp_path):
    source, out = photos(tmp_path / "in", 1), tmp_path / "out"
    apply(Gain(), [source], out)
    os.utime(source / "00.png", (1, 1))
    assert apply(Gain(), [source], out).notes == []


def test_manifest_with_a_line_cut_short_is_read_as_far_as_it_goes(tmp_path):
    source, out = photos(tmp_path / "in", 2), tmp_path / "out"
    apply(Gain(), [source], out)
    text = (out / NAME).read_text()
    (out / NAME).write_text(text[: -len(text) // 4])
    assert len(apply(Gain(), [source], out).notes) == 1


def test_a_single_file_by_its_name_leaves_no_manifest_beside_it(tmp_path):
    source = photos(tmp_path / "in", 1)
    apply(Gain(), [source / "00.png"], tmp_path / "one.png")
    (note,) = apply(Gain(), [source / "00.png"], tmp_path / "one.png").notes
    assert note.endswith(f"one.png: kept, but {UNKNOWN}; --overwrite makes it again")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "one.png"]


# --- pipeline


def test_small_pictures_of_one_size_are_restored_at_once_to_the_same_samples(tmp_path):
    source = photos(tmp_path / "in", 5)
    photos(tmp_path / "in" / "z", 2, height=20)
    restorer = Gain()
    report = apply(restorer, [source], tmp_path / "out", precision="fp32")
    assert len(report.written) == 7
    assert max(shape[0] for shape in restorer.calls) > 1
    for target in report.written:
        original = read_samples(source / target.relative_to(tmp_path / "out"))
        assert np.array_equal(read_samples(target), (original * np.float32(0.5) + 0.5).astype(np.uint8))


def test_one_of_many_that_fails_does_so_alone(tmp_path):
    class Picky(Gain):
        def forward(self, image):
            if (image[:, :, 0, 0] == 0).all(1).any():
                raise RuntimeError("too dark")
            return super().forward(image)

    source = photos(tmp_path / "in", 4)
    dark = np.full((9, 11, 3), 9, np.uint8)
    dark[0, 0] = 0
    write(source / "02.png", Picture(dark))
    report = apply(Picky(), [source], tmp_path / "out")
    assert [path.name for path in report.written] == ["00.png", "01.png", "03.png"]
    assert list(report.failed.values()) == [f"{source}/02.png: could not be restored (too dark); skipped"]


def test_progress_has_rate_and_time_left(capsys, monkeypatch):
    monkeypatch.setattr("restoration.live.PLAIN_EVERY", -1)
    with Pace(quiet=False) as pace:
        pace.begin(4)
        pace.live.started -= 60
        pace.window(500_000, 1_000_000)
        pace.file(Path("a.png"), "written")
    err = capsys.readouterr().err.splitlines()
    assert err[0] == "0/4 files  0.01 megapixels/s  7.0 min left"
    assert err[1] == "written  a.png"
    assert err[2] == "1/4 files  0.01 megapixels/s  3.0 min left"
    with Pace() as pace:
        pace.begin(1)
        pace.file(Path("a.png"), "written")
    assert capsys.readouterr().err == ""


# --- processes


SLOWLY = """
    import sys, time
    from restoration.apply import apply
    from test_scale import Gain

    class Slow(Gain):
        def forward(self, image):
            time.sleep(0.02)
            return super().forward(image[:1]) if len(image) == 1 else super().forward(image)

    apply(Slow(), [sys.argv[1]], sys.argv[2])
"""


def started(code, *arguments, **environment):
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", **environment}
    )


@pytest.mark.slow
def test_killed_in_the_middle_of_fifty_files_no_half_file_is_left_and_the_rest_is_finished(tmp_path):
    source, out = photos(tmp_path / "in", 50, height=300, width=300), tmp_path / "out"
    process = started(SLOWLY, source, out)
    until = time.monotonic() + 60
    while len(list(out.glob("*.png"))) < 10 and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = sorted(p.name for p in out.iterdir() if p.name != NAME)
    assert 10 <= len(done) < 50
    assert all(name.endswith(".png") for name in done)  # nothing temporary either
    for name in done:
        assert read_samples(out / name).shape == (300, 300, 3)
    before = {name: (out / name).stat().st_mtime_ns for name in done}
    report = apply(Gain(), [source], out)
    assert len(report.kept) == len(done) and len(report.written) == 50 - len(done)
    assert all((out / name).stat().st_mtime_ns == time for name, time in before.items())
    assert (
        len([note for note in report.notes if "kept, but" in note]) <= 1
    )  # between its appearance and its line


RANKS = """
    import os
    import sys
    import torch
    import restoration.apply
    from restoration.networks.plainsr import PlainSr
    from restoration.restorers import Card, Restorer

    restoration.apply.GIANT = 10_000
    torch.manual_seed(0)
    network = PlainSr(scale=2, width=8, blocks=1)
    if sys.argv[3] == "blended":
        network.receptive_field = None
    restorer = Restorer(network, Card("tiny", "super-resolution", {"name": "plain-sr"}, 2))
    if sys.argv[3] == "blended":
        restorer.card.training["receptive field"] = {"radius": None, "period": 1}
    report = restoration.apply.apply(restorer, [sys.argv[1]], sys.argv[2], tile=32, precision="fp32", shard=None)
    with open(f"{sys.argv[2]}-{os.environ.get('RANK', 0)}.txt", "w") as stream:
        print(len(report.written), [line.rsplit("/", 1)[-1] for line in report.failed.values()], file=stream)
"""


def ranks(source, out, kind):
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(29500 + os.getpid() % 2000), "WORLD_SIZE": "2"}
    processes = [
        started(RANKS, source, out, kind, RANK=str(rank), LOCAL_RANK="0", **address) for rank in range(2)
    ]
    return [process.wait(120) for process in processes]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["exact", "blended"])
def test_two_processes_share_files_and_tiles_and_write_the_same_bytes(tmp_path, kind):
    source = photos(tmp_path / "in", 3, height=20, width=30)
    (source / "01.png").write_bytes(b"no picture")  # the second rank's
    photos(tmp_path / "in" / "giant", 1, height=150, width=130)
    assert started(RANKS, source, tmp_path / "one", kind).wait(120) == 0
    assert ranks(source, tmp_path / "two", kind) == [0, 0]
    names = [p.relative_to(tmp_path / "one") for p in sorted((tmp_path / "one").rglob("*.png"))]
    assert len(names) == 3
    told = [(tmp_path / f"two-{rank}.txt").read_text() for rank in range(2)]
    assert told[0].startswith("3 ['01.png: ") and told[1] == "0 []\n"  # the first tells of all
    for name in names:
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    assert sorted(line["target"] for line in lines(tmp_path / "two")) == [str(name) for name in names]


def test_alone_nothing_is_shared():
    with sharing.group():
        assert sharing.agreed("mine") == "mine"
        report = Report(written=[Path("a")], notes=["n"])
        assert sharing.reported(report) == report


def test_reports_of_ranks_are_joined_to_one():
    one = Report([Path("a")], [Path("k")], {Path("b"): "b: bad"}, {Path("a"): {"x": 1}}, notes=["n", "m"])
    other = Report([Path("c")], notes=["n"], tiling={"tile": 4}, seconds=2.0, pixels=5)
    both = Report.joined([one, other])
    assert both.written == [Path("a"), Path("c")] and both.kept == [Path("k")] and both.exit_code == 1
    assert both.notes == ["n", "m"] and both.tiling == {"tile": 4} and (both.seconds, both.pixels) == (2.0, 5)


def test_a_shard_beside_ranks_is_refused(monkeypatch, capsys):
    from restoration.cli import main

    monkeypatch.setattr(
        sys, "argv", ["restoration", "apply", "identity", "a.png", "--out", "b", "--shard", "0/2"]
    )
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(os, "_exit", sys.exit)
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2 and capsys.readouterr().err == (
        "restoration: --shard 0/2: the ranks of torchrun share the files; expected one or the other\n"
    )


@pytest.mark.parametrize(
    "words", [["identity", "a.png", "--out", "b", "--tile", "x"], ["identity", "--nothing"]]
)
@pytest.mark.parametrize("rank", [0, 1])
def test_a_bad_request_is_told_by_the_first_rank_and_refused_by_all(monkeypatch, capsys, words, rank):
    from restoration.cli import main

    monkeypatch.setattr(sys, "argv", ["restoration", "apply", *words])
    monkeypatch.setenv("RANK", str(rank))
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setattr(os, "_exit", sys.exit)
    with pytest.raises(SystemExit) as left:
        main()
    told = capsys.readouterr().err
    assert left.value.code == 2 and told.count("\n") == (rank == 0)


def test_a_rank_whose_trouble_is_its_own_speaks_after_a_while(monkeypatch):
    waited, heard = [], []
    monkeypatch.setattr(time, "sleep", waited.append)
    monkeypatch.setattr(signal, "signal", lambda number, what: heard.append((number, what)))
    monkeypatch.setattr(os, "_exit", heard.append)
    for name, value in {
        "RANK": "3",
        "LOCAL_RANK": "1",
        "WORLD_SIZE": "4",
        "TORCHELASTIC_RUN_ID": "x",
    }.items():
        monkeypatch.setenv(name, value)
    assert speaks(2) and waited == [PATIENCE + APART]
    (number, ended) = heard[0]
    ended(number, None)  # torchrun ends it: the first has spoken
    assert number == signal.SIGTERM and heard[1:] == [2]


@pytest.mark.slow
def test_a_bad_request_under_torchrun_is_one_line(tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    words = ["-m", "restoration", "apply", "identity", "a.png", "--out", "b", "--precision", "half"]
    done = subprocess.run([*torchrun, *words], capture_output=True, text=True, cwd=tmp_path, timeout=60)
    line = "restoration: --precision half: expected auto, fp32, bf16"
    assert done.returncode and done.stderr.count(line) == 1 and "exitcode  : 2" in done.stderr


@pytest.mark.slow
def test_memory_of_programs_does_not_grow_with_the_picture(tmp_path):
    code = """
        import sys
        import numpy as np
        from restoration.apply import apply
        from restoration.restorers import baseline
        from restoration.tiling.memory import resident
        import threading, time
        peak, before = [0], None

        def watch():
            while True:
                peak[0] = max(peak[0], resident("RssAnon"))
                time.sleep(0.005)

        apply(baseline("nearest-x2"), [sys.argv[1]], sys.argv[2] + "/warm", tile=512)
        threading.Thread(target=watch, daemon=True).start()
        report = apply(baseline("nearest-x2"), [sys.argv[3]], sys.argv[2] + "/large", tile=512)
        assert report.exit_code == 0, report.failed
        print(peak[0])
    """
    if not resident("RssAnon"):
        pytest.skip("this system does not tell anonymous memory")
    small = photos(tmp_path / "small", 1, 200, 200)
    peaks = []
    for megapixels in (12, 48):
        source = tmp_path / f"{megapixels}"
        source.mkdir()
        side = int((megapixels * 1e6) ** 0.5)
        row = (np.arange(side * 3) % 251).astype(np.uint8).reshape(1, side, 3)
        write(source / "a.png", Picture(np.broadcast_to(row, (side, side, 3))))
        path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
        command = [sys.executable, "-c", textwrap.dedent(code), small, tmp_path / f"out{megapixels}", source]
        done = subprocess.run(
            list(map(str, command)),
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout) / 2**20)
    assert peaks[1] - peaks[0] < 60  # megabytes; the samples alone grew by 108 and 432
    assert baseline("nearest-x2").scale == 2


def test_mapped_samples_leave_memory_and_are_the_same_when_they_come_back(monkeypatch):
    monkeypatch.setattr("restoration.formats.bands.MAPPED_BYTES", 1000)
    samples = blank_samples(500, 400, 3)
    samples[...] = np.arange(500, dtype=np.uint16)[:, None, None] % 256
    before = resident("VmRSS")
    release(samples)
    assert samples.base is not None and resident("VmRSS") <= before
    assert np.array_equal(samples[:, 7, 1], np.arange(500) % 256)
    release(np.zeros((2, 2, 3), np.uint8))  # not mapped: nothing happens


def test_network_is_compiled_once_where_asked_for(monkeypatch):
    compiled = []

    def compile(module, **options):
        compiled.append(options)
        return module

    monkeypatch.setattr(torch, "compile", compile)
    restorer, image = Gain(), torch.rand(1, 3, 8, 8)
    expected = restore_image(restorer, image, precision="fp32")
    for _ in range(2):
        assert torch.equal(restore_image(restorer, image, precision="fp32", compile=True), expected)
    assert compiled == [{"dynamic": True}]


def test_what_is_compiled_is_used_again(monkeypatch):
    """By PyTorch's own wrapper, which has a truth value only where the network has a length."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    restorer, tile = Gain(), torch.rand(1, 3, 8, 8)
    first = Runner(restorer, Inference(precision="fp32"))
    monkeypatch.setattr(first, "_seconds", lambda tile: 0.5 if first.compiled else 1.0)
    first.settle(LONG, tile)
    second = Runner(restorer, Inference(precision="fp32", compile=True))
    assert first.compiled and second.compiled and first.forward is second.forward
    assert torch.equal(second(tile), restorer(tile))


@pytest.mark.parametrize(
    ("pace", "expected"), [(0.5, True), (2.0, False), (None, False)], ids=["faster", "slower", "impossible"]
)
def test_network_is_compiled_where_long_work_gets_faster(monkeypatch, pace, expected):
    tried = []

    def compile(module, **options):
        tried.append(options)
        if pace is None:
            raise RuntimeError("no compiler")
        return lambda image: module(image)

    monkeypatch.setattr(torch, "compile", compile)
    restorer, tile = Gain(), torch.rand(1, 3, 8, 8)
    runner = Runner(restorer, Inference(precision="fp32"))
    monkeypatch.setattr(runner, "_seconds", lambda tile: (pace or 1.0) if runner.compiled else 1.0)
    runner.settle(LONG / 2, tile)
    assert tried == [] and not runner.compiled
    runner.settle(LONG, tile)
    runner.settle(LONG, tile)
    assert tried == [{"dynamic": True}] and runner.compiled is expected
    assert torch.equal(runner(tile), restorer(tile))
    assert Runner(restorer, Inference(precision="fp32")).compiled is expected
    assert not Runner(restorer, Inference(precision="fp32", compile=False)).compiled


def test_what_was_measured_of_bfloat16_is_reported(tmp_path):
    source = photos(tmp_path / "in", 1)
    report = apply(Gain(), [source], tmp_path / "out")
    if fast_bfloat16(torch.device("cpu")):
        assert report.tiling["bf16_psnr"] > 60
        assert lines(tmp_path / "out")[0]["facts"]["bf16_psnr"] == report.tiling["bf16_psnr"]
    else:
        assert "bf16_psnr" not in report.tiling
