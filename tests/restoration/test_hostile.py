"""Files, names and places that mean no good, through the whole command: one line each, all other files done."""

import json
import os
import re
import resource
import signal
import struct
import subprocess
import sys
import time
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from image import corpus
from PIL import Image

from restoration.applying import manifest
from restoration.cli import main
from restoration.image import Picture, read, write
from restoration.image import reading as image_reading
from restoration.live import Live


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["restoration", "apply", *map(str, words), "--device", "cpu"])
        with pytest.raises(SystemExit) as left:
            main()
        output = capsys.readouterr()
        counts = re.sub(r": .* a second$", "", output.out, flags=re.MULTILINE)  # without what varies
        return left.value.code, counts, output.err.splitlines()

    return run


def photo(path, height=6, width=7, **fields):
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, Picture(corpus.samples(3, 8, height, width), **fields))
    return path


def chunks(*parts):
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">L", len(d)) + k + d + struct.pack(">L", zlib.crc32(k + d)) for k, d in parts
    )


def bomb(megabytes):
    deflater = zlib.compressobj(9)
    return b"".join(deflater.compress(bytes(1 << 20)) for _ in range(megabytes)) + deflater.flush()


def tiff(tags, data=b"", following=0):
    entries = b"".join(struct.pack("<HHLL", tag, kind, count, value) for tag, kind, count, value in tags)
    body = struct.pack("<H", len(tags)) + entries + struct.pack("<L", following)
    return struct.pack("<4sL", b"II*\0", 8) + body + data


def plain_tiff(*more, data=bytes(64), following=0):
    tags = [(256, 4, 1, 8), (257, 4, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (277, 3, 1, 1)]
    tags += [(278, 4, 1, 8), (279, 4, 1, 64), *more]
    start = 8 + 2 + 12 * (len(tags) + 1) + 4
    return tiff(sorted([*tags, (273, 4, 1, start)]), data, following)


def gif(frames, side=1):
    frame = b"\x21\xf9\x04\0\1\0\0\0\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0"
    head = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6)
    return head + frame * frames + b";"


ROWS = (b"IDAT", zlib.compress(bytes(8 * 25)))
HEAD = (b"IHDR", struct.pack(">LL5B", 8, 8, 8, 2, 0, 0, 0))
HUGE = (b"IHDR", struct.pack(">LL5B", 30_000, 30_000, 8, 2, 0, 0, 0))
INFLATES = "not a readable image (damaged: a text or profile in it inflates beyond 64 MiB)"
HOSTILE = {
    "empty.png": (b"", "not a readable image (empty file)"),
    "empty.tif": (b"", "not a readable image (empty file)"),
    "text.png": (b"words " * 90, "not a readable image (none of "),
    "huge.png": (
        chunks(HUGE, (b"IDAT", bomb(90)), (b"IEND", b"")),
        "30000x30000 by its header, 900.0 megapixels; expected at most 512 (apply: --max-pixels)",
    ),
    "profile.png": (chunks(HEAD, (b"iCCP", b"x\0\0" + bomb(70)), ROWS, (b"IEND", b"")), INFLATES),
    "comment.png": (chunks(HEAD, (b"zTXt", b"Comment\0\0" + bomb(70)), ROWS, (b"IEND", b"")), INFLATES),
    "count.tif": (
        plain_tiff().replace(
            struct.pack("<HHLL", 279, 4, 1, 64), struct.pack("<HHLL", 279, 4, 0xFFFFFFF0, 8)
        ),
        "not a readable image (truncated after ",
    ),
    "complex.tif": (
        plain_tiff((339, 3, 1, 5)),
        "complex samples of 8 bits; expected whole numbers of at most 32 bits, or floats",
    ),
    "frame.gif": (
        corpus.saved(Image.new("L", (4, 4)), "GIF")[:-1]
        + gif(1).replace(bytes((1, 0, 1, 0, 0)), b"\xff" * 4 + b"\0")[19:],
        "not a readable image (damaged: frame 1 is 65535x65535, the first 4x4)",
    ),
    "frame.png": (
        chunks(
            HEAD,
            (b"acTL", struct.pack(">LL", 2, 0)),
            (b"fcTL", struct.pack(">5L2H2B", 0, 8, 8, 0, 0, 1, 9, 0, 0)),
            ROWS,
            (b"fcTL", struct.pack(">5L2H2B", 1, 60_000, 60_000, 0, 0, 1, 9, 0, 0)),
            (b"fdAT", bytes(30)),
            (b"IEND", b""),
        ),
        "not a readable image (damaged: a frame of 60000x60000 at 0, 0 of 8x8)",
    ),
    "foreign.tif": (
        plain_tiff().replace(struct.pack("<HHLL", 259, 3, 1, 1), struct.pack("<HHLL", 259, 3, 1, 34887)),
        "TIFF compressed as LERC; expected one of none, deflate, LZW, PackBits, LZMA, Zstandard, JPEG, fax",
    ),
}


def test_every_hostile_file_is_one_line_and_the_others_are_done(tmp_path, command):
    folder = tmp_path / "in"
    photo(folder / "good.png")
    for name, (data, _) in HOSTILE.items():
        (folder / name).write_bytes(data)
    (folder / "nowhere.png").symlink_to("/nonexistent.png")
    (folder / "circle.png").symlink_to(folder / "circle.png")
    (folder / "folder.png").mkdir()
    expected = {name: line for name, (_, line) in HOSTILE.items()}
    expected["nowhere.png"] = "cannot be read (No such file or directory)"
    expected["circle.png"] = "cannot be read (Too many levels of symbolic links)"
    os.mkfifo(folder / "pipe.png")
    (folder / "device.png").symlink_to("/dev/zero")
    expected |= dict.fromkeys(("pipe.png", "device.png"), "cannot be read (no regular file)")
    if os.path.exists("/proc/self/mem"):
        (folder / "broken-disk.png").symlink_to("/proc/self/mem")
        expected["broken-disk.png"] = "cannot be read (Input/output error)"
    code, out, errors = command("bicubic-x2", "in", "--out", "out")
    assert (code, out) == (1, f"1 written, {len(expected)} failed\n")
    assert len(errors) == len(expected) + 1  # and the one that was written
    for name, line in expected.items():
        (found,) = (e for e in errors if e.startswith(f"restoration: in/{name}: "))
        assert found.startswith(f"restoration: in/{name}: {line}") and found.endswith("; skipped")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [manifest.NAME, "good.png"]


def test_named_one_by_one_they_stop_nothing_either(tmp_path, command):
    photo(tmp_path / "good.png")
    (tmp_path / "circle.png").symlink_to(tmp_path / "circle.png")
    (tmp_path / "nowhere.png").symlink_to("/nonexistent.png")
    (tmp_path / "folder.png").mkdir()
    code, out, errors = command(
        "identity", "circle.png", "nowhere.png", "folder.png", "good.png", "--out", "out"
    )
    assert (code, out) == (1, "1 written, 3 failed\n")
    assert "restoration: folder.png: cannot be read (Is a directory); skipped" in errors
    code, out, _ = command("identity", "*.png", "--out", "other")
    assert (code, out) == (1, "1 written, 2 failed\n")


def test_directories_that_run_in_a_circle_are_read_once(tmp_path, command):
    (tmp_path / "plain.tif").write_bytes(plain_tiff(following=8))
    (tmp_path / "exif.tif").write_bytes(plain_tiff((34665, 4, 1, 8)))
    code, out, _ = command("identity", "plain.tif", "exif.tif", "--out", "out")
    assert (code, out) == (0, "2 written\n")
    assert read(tmp_path / "out" / "plain.tif").samples.shape == (8, 8, 1)


def test_more_frames_than_are_read(tmp_path, monkeypatch, command):
    monkeypatch.setattr(image_reading, "MAX_FRAMES", 30)
    (tmp_path / "many.gif").write_bytes(gif(31))
    (tmp_path / "some.gif").write_bytes(gif(30))
    pages = [Picture(corpus.samples(1, 8, 2, 2)) for _ in range(31)]
    write(tmp_path / "many.tif", Picture(pages[0].samples, following=tuple(pages[1:])))
    code, out, errors = command("identity", "many.gif", "some.gif", "many.tif", "--out", "out")
    assert (code, out) == (1, "1 written, 2 failed\n")
    line = "holds more than 30 frames or pages, the most that is read; skipped"
    for name in ("many.gif", "many.tif"):
        assert f"restoration: {name}: {line}" in errors


def test_a_large_text_is_kept(tmp_path, command):
    text = (b"zTXt", b"Comment\0\0" + bomb(3))
    (tmp_path / "a.png").write_bytes(chunks(HEAD, text, ROWS, (b"IEND", b"")))
    assert command("identity", "a.png", "--out", "out")[0] == 0
    assert text in corpus.png_chunks((tmp_path / "out" / "a.png").read_bytes())


def test_samples_that_are_no_numbers(tmp_path, command):
    for name, value in (("nan", np.nan), ("inf", np.inf)):
        samples = corpus.samples(3, 32)
        samples[3, 4, 1] = value
        write(tmp_path / f"{name}.tif", Picture(samples))
    code, _, errors = command("bicubic-x2", "nan.tif", "inf.tif", "--out", "out")
    assert code == 1
    assert [e.split(": ", 2)[2] for e in errors] == [
        "holds samples that are infinite or not numbers; skipped"
    ] * 2


NAMES = [
    "two\nlines.png", "tab\tname.png", "\x1b[31mred.png", "smile😀.png", "a..b.png", "-dash.png", "--help.png",
    "~.png", "~nobody.png", "*?.png", "[a].png", "[bold] :smile:.png", "$(x)`y`.png", " blank .png",
    "x" * 251 + ".png", "é" * 125 + "x.png", os.fsdecode(b"bad\xff\xfe.png"),
]  # fmt: skip


def test_odd_names_are_kept_and_printed_on_one_line(tmp_path, command):
    for name in NAMES:
        photo(tmp_path / "in" / name)
    code, out, lines = command("bicubic-x2", "in", "--out", "out")
    assert (code, out) == (0, f"{len(NAMES)} written\n")
    assert len(lines) == len(NAMES) and all(line.isprintable() for line in lines)
    made = {p.name for p in (tmp_path / "out").iterdir()} - {manifest.NAME}
    assert made == set(NAMES)
    code, out, _ = command("bicubic-x2", "in", "--out", "out")
    assert (code, out) == (0, f"{len(NAMES)} kept\n")
    each = [f"./in/{name}" for name in NAMES]
    assert command("bicubic-x2", *each, "--out", "each")[:2] == (0, f"{len(NAMES)} written\n")
    monkey = photo(tmp_path / "~nobody.png")
    assert command("identity", monkey.name, "--out", "home")[0] == 0


def test_a_refusal_shows_names_on_one_line(tmp_path, command):
    photo(tmp_path / "a\nb" / "x\n.png"), photo(tmp_path / "c" / "x\n.png")
    code, _, errors = command("identity", "a\nb/x\n.png", "c/x\n.png", "--out", "out")
    assert code == 2
    assert errors == [r"restoration: out/x\n.png: would be written from both a\nb/x\n.png and c/x\n.png"]
    assert command("identity", "no\nthing", "--out", "out")[2] == [
        r"restoration: no\nthing: no such file or folder"
    ]


def test_names_are_no_markup_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with Live("restoring", 1, quiet=False) as live:
        live.note("written  [/red] [bold]x[/bold] :smile:.png")
    assert "[/red] [bold]x[/bold] :smile:.png" in capsys.readouterr().err


def test_a_name_that_becomes_too_long_is_one_failure(tmp_path, command):
    photo(tmp_path / ("n" * 250 + ".png")), photo(tmp_path / "a.png")
    code, out, errors = command("identity", "n" * 250 + ".png", "a.png", "--out", "out", "--suffix", "-x2")
    assert (code, out) == (1, "1 written, 1 failed\n")
    assert errors[-1].endswith("could not be written (File name too long); nothing was left behind; skipped")
    code, _, errors = command("identity", "z" * 300, "--out", "out")
    assert (code, len(errors)) == (2, 1)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("nothing*.png", "--out", "out"), "nothing*.png: matches no image"),
        (("", "--out", "out"), "an input without a name; expected files, folders or globs"),
        (("bare", "--out", "out"), "bare: no images in this folder"),
        (("in", "--out", "in"), "in/a.png: would replace an input; expected another --out, or --suffix"),
        (("in", "--out", "in/a.png/x"), "--out in/a.png/x: in/a.png is a file; expected a folder for 1 inputs"),
        (("in/a.png", "--out", "in/a.png/b.png"), "--out in/a.png/b.png: in/a.png is a file; expected a folder"),
        (("in", "--out", "out", "--quality", "80"),
         "--quality 80: no output is of a lossy format; expected one of .avif .jpeg .jpg .webp"),
        (("in", "--out", "out", "--quality", "0", "--format", "jpg"), "--quality 0: expected a number from 1 to 100"),
        (("in", "--out", "out", "--quality", "101", "--format", "jpg"),
         "--quality 101: expected a number from 1 to 100"),
    ],
)  # fmt: skip
def test_requests_that_are_wrong(tmp_path, command, words, line):
    photo(tmp_path / "in" / "a.png")
    (tmp_path / "bare").mkdir()
    if ".avif" in line and ".avif" not in Image.registered_extensions():
        line = line.replace(".avif ", "")
    assert command("identity", *words) == (2, "", [f"restoration: {line}"])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bare", "in"]


def test_output_inside_the_input(tmp_path, command):
    photo(tmp_path / "in" / "a.png")
    for expected in ("1 written\n", "1 kept\n"):
        assert command("identity", "in", "--out", "in/out")[:2] == (0, expected)
    for expected in ("1 written\n", "1 kept\n"):
        assert command("identity", "in/a.png", "--out", "in", "--suffix", "-x")[:2] == (0, expected)
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.png")) == [
        "in/a-x.png", "in/a.png", "in/out/a.png"
    ]  # fmt: skip


@contextmanager
def at_most(size):
    """Let no file grow beyond ``size`` bytes."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_files_that_find_no_room_leave_nothing_and_stop_nothing(tmp_path, command):
    photo(tmp_path / "in" / "large.png", 90, 90), photo(tmp_path / "in" / "small.png")
    with at_most(5000):
        code, out, errors = command("identity", "in", "--out", "out")
    assert (code, out) == (1, "1 written, 1 failed\n")
    assert errors[-1] == (
        "restoration: out/large.png: could not be written (File too large); nothing was left behind; skipped"
    )
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [manifest.NAME, "small.png"]
    assert command("identity", "in", "--out", "out")[:2] == (0, "1 written, 1 kept\n")


def test_a_folder_that_cannot_be_made_fails_each_file(tmp_path, monkeypatch, command):
    photo(tmp_path / "in" / "a.png"), photo(tmp_path / "in" / "b.png")

    def read_only(self, *_, **__):
        raise OSError(30, "Read-only file system", str(self))

    monkeypatch.setattr(Path, "mkdir", read_only)
    code, _, errors = command("identity", "in", "--out", "out")
    assert code == 1
    assert errors == [
        f"restoration: in/{name}.png: could not be restored (out: Read-only file system); skipped"
        for name in "ab"
    ]


def test_results_stay_where_the_manifest_cannot_be_written(tmp_path, command):
    photo(tmp_path / "in" / "a.png")
    (tmp_path / "out" / manifest.NAME).mkdir(parents=True)
    code, out, errors = command("identity", "in", "--out", "out")
    assert (code, out) == (0, "1 written\n") and (tmp_path / "out" / "a.png").exists()
    assert errors[-1] == (
        f"{manifest.NAME}: cannot be written (Is a directory); what made these files will not be known"
    )


def test_a_line_of_the_manifest_that_was_cut_short_spoils_no_other(tmp_path, command):
    photo(tmp_path / "in" / "a.png")
    command("identity", "in", "--out", "out")
    notes = tmp_path / "out" / manifest.NAME
    whole = notes.read_text()
    notes.write_text(whole + '[1]\n{"target": "c.png", "source": 3, "maker": 4}\n' + whole[:40])
    photo(tmp_path / "in" / "b.png")
    assert command("identity", "in", "--out", "out")[:2] == (0, "1 written, 1 kept\n")
    assert json.loads(notes.read_text().splitlines()[-1])["target"] == "b.png"
    assert command("identity", "in", "--out", "out") == (
        0,
        "2 kept\n",
        ["kept  out/a.png", "kept  out/b.png"],
    )


def test_a_source_that_has_gone_keeps_its_result(tmp_path, command):
    photo(tmp_path / "in" / "a.png"), photo(tmp_path / "in" / "b.png")
    command("identity", "in", "--out", "out")
    (tmp_path / "in" / "a.png").unlink()
    (tmp_path / "in" / "a.png").symlink_to("/nonexistent.png")
    code, out, errors = command("identity", "in", "--out", "out")
    assert (code, out) == (0, "2 kept\n")
    assert errors[-1] == (
        "out/a.png: kept, but its source cannot be read (No such file or directory); --overwrite makes it again"
    )


def test_what_is_lost_is_told_unless_quiet(tmp_path, command):
    photo(tmp_path / "a.png", icc=corpus.WIDE)
    line = "out/a.bmp: .bmp has no place for its profile"
    assert line in command("identity", "a.png", "--out", "out", "--format", "bmp")[2]
    words = ("identity", "a.png", "--out", "out", "--format", "bmp", "--overwrite")
    assert command(*words, "--quiet") == (0, "", [])
    code, out, errors = command(*words, "--json")
    assert (code, errors, json.loads(out)["lost"]) == (0, [], [line])


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="needs signals")
def test_killed_among_fifty_files(tmp_path, command):
    """No half file; the same command makes the rest, and leaves what is finished as it is."""
    for i in range(50):
        photo(tmp_path / "in" / f"{i:02d}.{('png', 'jpg', 'tif', 'webp', 'bmp')[i % 5]}", 60, 70 + i)
    words = ("denoise-color-small", "in", "--out", "out")
    program = [sys.executable, "-m", "restoration", "apply", *words, "--device", "cpu", "--quiet"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(program, cwd=tmp_path, env=environment)
    out = tmp_path / "out"
    while process.poll() is None and (not out.exists() or len(list(out.iterdir())) < 8):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    finished = {p: p.stat().st_mtime_ns for p in out.iterdir() if p.name != manifest.NAME}
    assert 7 <= len(finished) < 50
    for path in finished:
        assert path.name[0] != "." and read(path).samples.shape[0] == 60
    report = json.loads(command(*words, "--json")[1])
    assert (report["written"], report["kept"]) == (50 - len(finished), len(finished))
    assert all(path.stat().st_mtime_ns == then for path, then in finished.items())
    assert len([p for p in out.iterdir() if p.name != manifest.NAME]) == 50
