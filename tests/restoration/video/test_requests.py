"""Files, settings and requests that are refused, each in one line; videos among other inputs."""

import sys

import pytest
import torch
from clips import av, farthest, planes, times, tone, write

from restoration.apply import apply
from restoration.errors import ImageError, RequestError
from restoration.image import write_image
from restoration.restorers import baseline
from restoration.video import Films, Settings, restore_video


def test_files_that_are_no_videos(tmp_path, identity):
    (tmp_path / "text.mkv").write_text("hello")
    (tmp_path / "empty.mp4").write_bytes(b"")
    whole = write(tmp_path / "a.mp4", options={"g": "6"}, audio=True).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    whole = write(tmp_path / "a.mkv", frames=40).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) * 3 // 4])
    with av.open(str(tmp_path / "sound.mp4"), "w") as output:
        stream = output.add_stream("aac", rate=48000, layout="stereo")
        output.mux(tone(stream, 0.2))
    expected = {
        "text.mkv": r"text.mkv: cannot be read as a video \(.*\)$",
        "empty.mp4": r"empty.mp4: cannot be read as a video \(.*\)$",
        "cut.mp4": r"cut.mp4: truncated, \d+ of at least \d+ bytes are there$",
        "cut.mkv": r"cut.mkv: truncated, \d+ of at least \d+ bytes are there$",
        "sound.mp4": r"sound.mp4: holds no video stream$",
    }
    for name, message in expected.items():
        with pytest.raises((ImageError, RequestError), match=message) as caught:
            restore_video(identity, tmp_path / name, tmp_path / "out.mkv")
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("*out*"))


def test_interlaced_and_transparent_videos_are_refused(tmp_path, identity):
    write(tmp_path / "fields.mkv", options={"x264-params": "tff=1"})
    with pytest.raises(RequestError, match=r"fields.mkv: is interlaced; expected progressive frames"):
        restore_video(identity, tmp_path / "fields.mkv", tmp_path / "b.mkv")
    write(tmp_path / "alpha.mkv", pix_fmt="yuva420p", codec="ffv1")
    with pytest.raises(
        RequestError, match=r"alpha.mkv: has samples of the kind yuva420p; expected .* opaque"
    ):
        restore_video(identity, tmp_path / "alpha.mkv", tmp_path / "b.mkv")


def test_what_a_codec_cannot_do_is_refused(tmp_path, identity):
    write(tmp_path / "odd.mkv", codec="ffv1", size=(47, 63), frames=3)
    for name, settings, line in [
        (
            "b.mp4",
            Settings(codec="h265"),
            "h265 takes no odd size such as 63x47 .*; expected --codec vp9 or av1$",
        ),
        ("b.mov", Settings(), "h264 or h265 takes no odd size such as 63x47 .*; expected a .mkv or .mp4$"),
    ]:
        with pytest.raises(RequestError, match=f"odd.mkv: {line}"):
            restore_video(identity, tmp_path / "odd.mkv", tmp_path / name, settings=settings)
    write(tmp_path / "rgb.mkv", codec="ffv1", pix_fmt="bgr0", frames=3)
    with pytest.raises(
        RequestError, match=r"samples are bgr0, which libx264 does not encode; expected --codec h265"
    ):
        restore_video(identity, tmp_path / "rgb.mkv", tmp_path / "b.mp4")
    assert not list(tmp_path.glob(".b*"))


@pytest.mark.parametrize("name", ["b.mkv", "b.mp4"])
def test_an_odd_size_gets_a_codec_that_takes_it(tmp_path, identity, name):
    source = write(tmp_path / "odd.webm", codec="libvpx-vp9", size=(47, 63), frames=3)
    before = planes(source)
    said = "h264 takes no odd sizes with chroma of half the size"
    for scale, network in ((1, identity), (2, baseline("nearest-x2"))):
        settings = Settings(crf=0 if scale == 1 else None)
        notes = restore_video(network, source, tmp_path / name, settings=settings)
        assert notes == ((f"encoded as vp9: {said}",) if scale == 1 else ())
        after = planes(tmp_path / name)
        assert [frame[0].shape for frame in after] == [(47 * scale, 63 * scale)] * 3
        assert scale == 2 or farthest(before, after) == 0


@pytest.mark.parametrize(("settings", "message"), [
    ({"codec": "h256"}, r"--codec h256: expected .*; did you mean 'h265'\?"),
    ({"codec": "ffv1", "crf": 4}, r"--crf 4: ffv1 is lossless"),
    ({"codec": "h264", "crf": 60}, r"--crf 60: expected 0 to 51 for h264"),
    ({"segment": 0}, r"--segment 0: expected a number of frames, at least 1"),
])  # fmt: skip
def test_settings_that_mean_nothing(settings, message):
    with pytest.raises(RequestError, match=message):
        Settings(**settings)


# --- among other inputs


def test_a_folder_may_hold_videos_beside_pictures(tmp_path, identity):
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    write(folder / "a.mp4", frames=3)
    write(folder / "sub" / "b.avi", codec="mpeg4", frames=3)
    write_image(folder / "sub" / "c.png", torch.rand(1, 3, 8, 8))
    report = apply(identity, [folder], tmp_path / "out", suffix="_x")
    files = [p for p in (tmp_path / "out").rglob("*") if p.is_file() and not p.name.startswith(".")]
    found = sorted(str(p.relative_to(tmp_path / "out")) for p in files)
    assert found == ["a_x.mp4", "sub/b_x.mkv", "sub/c_x.png"]
    assert not report.failed and len(report.written) == 3
    again = apply(identity, [folder], tmp_path / "out", suffix="_x")
    assert len(again.kept) == 3 and not again.written


def test_one_bad_video_stops_nothing(tmp_path, identity):
    write(tmp_path / "a.mp4", frames=3)
    (tmp_path / "b.mp4").write_text("no video")
    report = apply(identity, [str(tmp_path / "*.mp4")], tmp_path / "out", films=Films(Settings("1:")))
    assert [path.name for path in report.written] == ["a.mp4"]
    ((source, line),) = report.failed.items()
    assert source.name == "b.mp4" and line.endswith("; skipped") and report.exit_code == 1
    assert len(times(tmp_path / "out" / "a.mp4")) == 2


@pytest.mark.parametrize(("inputs", "out", "message"), [
    (["a.mp4"], "b.xyz", r"cannot write '.xyz' videos; expected .m4v .mkv .mov .mp4 .webm"),
    (["a.mp4"], "a.mp4", r"a.mp4: would replace an input"),
    (["a.mp4"], ".", r"a.mp4: would replace an input"),
    (["a.mp4", "sub/a.mp4"], "out", r"a.mp4: would be written from both"),
    (["none.mp4"], "out", r"none.mp4: no such file or folder"),
    (["a.mp4", "sub"], "both.mp4", r"--out both.mp4: names a file; expected a folder, as the input is not one file"),
    (["a.mp4", "sub"], "text", r"--out text: names a file; expected a folder, as the input is not one file"),
])  # fmt: skip
def test_requests_that_are_refused(tmp_path, identity, monkeypatch, inputs, out, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "text").write_text("a file")
    write(tmp_path / "a.mp4", frames=2)
    write(tmp_path / "sub" / "a.mp4", frames=2)
    with pytest.raises(RequestError, match=message):
        apply(identity, inputs, out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "sub", "text"]


@pytest.mark.parametrize(
    ("options", "asked"), [({"format": "png"}, "--format png"), ({"quality": 5}, "--quality 5")]
)
def test_what_is_asked_of_pictures_alone_is_refused_for_videos(tmp_path, identity, options, asked):
    source = write(tmp_path / "a.mp4", frames=2)
    with pytest.raises(RequestError, match=f"{asked}: no picture among the inputs"):
        apply(identity, [source], tmp_path / "out", **options)


def test_videos_made_otherwise_are_kept_but_said(tmp_path, identity):
    source, out = write(tmp_path / "a.mp4", frames=3), tmp_path / "out"

    def notes(restorer=identity, target=out, **settings):
        report = apply(restorer, [source], target, films=Films(Settings(**settings)))
        return [note.split("kept, but ")[1] for note in report.notes]

    assert notes() == [] and notes() == []
    assert notes(crf=3) == ["was made with video.crf none; --overwrite makes it again"]
    assert notes(segment=2) == []  # it decides no sample
    (note,) = notes(baseline("nearest-x2"))
    assert note.startswith("was made with network.name identity, restorer ")
    write(source, frames=2)
    assert notes() == ["was made of another source; --overwrite makes it again"]
    unknown = "what made it is not known; --overwrite makes it again"
    assert notes(target=tmp_path / "b.mp4") == [] and notes(target=tmp_path / "b.mp4") == [unknown]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4", "out"]


def test_a_wrong_request_for_one_of_many_stops_none(tmp_path, identity):
    write(tmp_path / "fields.mkv", options={"x264-params": "tff=1"}, frames=3)
    write_image(tmp_path / "c.png", torch.rand(1, 3, 8, 8))
    report = apply(identity, [tmp_path], tmp_path / "out")
    assert [path.name for path in report.written] == ["c.png"]
    assert [line.split(": ", 1)[1] for line in report.failed.values()] == [
        "is interlaced; expected progressive frames (deinterlace it first); skipped"
    ]


def test_frames_without_a_video_are_refused(tmp_path, identity):
    write_image(tmp_path / "c.png", torch.rand(1, 3, 8, 8))
    with pytest.raises(RequestError, match=r"--frames 0:3: no video among the inputs"):
        apply(identity, [tmp_path / "c.png"], tmp_path / "out", films=Films(Settings("0:3")))


def test_without_pyav_one_line_says_what_to_install(tmp_path, identity, monkeypatch):
    source = write(tmp_path / "a.mp4", frames=2)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(
        RequestError, match=r'a.mp4: video needs PyAV: pip install "restoration-suite\[video\]"'
    ):
        restore_video(identity, source, tmp_path / "b.mp4")


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    from restoration.cli import main

    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["restoration", *words])
        with pytest.raises(SystemExit) as left:
            main()
        output = capsys.readouterr()
        return left.value.code, output.out, output.err

    return run


def test_the_command_restores_a_video(tmp_path, command):
    write(tmp_path / "a.mp4", frames=9)
    words = (
        "apply",
        "bicubic-x2",
        "a.mp4",
        "--out",
        "b.mkv",
        "--frames",
        "2:7",
        "--codec",
        "ffv1",
        "--segment",
        "2",
    )
    code, out, err = command(*words)
    assert (code, out) == (0, "1 written\n") and "b.mkv" in err
    assert len(times(tmp_path / "b.mkv")) == 5
    assert command(*words)[:2] == (0, "1 kept\n")


@pytest.mark.parametrize(("words", "code", "line"), [
    (("a.mp4", "--out", "b.mp4", "--frames", "5:10"), 2, "--frames 5:10: a.mp4 has 9 frames; expected A:B with A < B <= 9"),
    (("a.mp4", "--out", "b.wmv"), 2, "--out b.wmv: cannot write '.wmv' videos; expected .m4v .mkv .mov .mp4 .webm"),
    (("a.mp4", "--out", "b.mp4", "--codec", "h246"), 2, "--codec h246: expected auto, av1, ffv1, h264, h265, vp9; did you"),
    (("bad.mp4", "--out", "b.mp4"), 1, "bad.mp4: cannot be read as a video ("),
])  # fmt: skip
def test_the_command_refuses_in_one_line(tmp_path, command, words, code, line):
    write(tmp_path / "a.mp4", frames=9)
    (tmp_path / "bad.mp4").write_text("no video")
    left, _, err = command("apply", "identity", *words)
    assert left == code and err.startswith(f"restoration: {line}") and err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "bad.mp4"]
