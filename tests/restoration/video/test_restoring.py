"""Videos through a restorer: frames, times, other streams, tags, cuts, interruptions, refusals."""

import re
from fractions import Fraction

import numpy as np
import pytest
import torch
from clips import MILLISECOND, Inverse, av, farthest, frame_of, packets, planes, restorer, tags, times, write

from restoration.apply import Inference
from restoration.degradations.resize import resize
from restoration.errors import RequestError
from restoration.networks.network import Network
from restoration.video import Settings, restore_video

UNEVEN = [0, 40, 90, 91, 200, 260, 300, 333, 401, 470, 500, 700]
LOSSLESS = Settings(codec="ffv1", segment=5)
SHORT = Settings(segment=5)


class Doubled(Network):
    """Every pixel four times."""

    scale, receptive_field = 2, 0

    def forward(self, degraded):
        return degraded.repeat_interleave(2, -1).repeat_interleave(2, -2)


class Neighbours(Network):
    """The mean of the frames before and after."""

    receptive_field, conditions = 0, ("neighbour",) * 6

    def forward(self, degraded):
        return (degraded[:, -6:-3] + degraded[:, -3:]) / 2


# --- frames, times, tags


@pytest.mark.parametrize("colour", [(0, 2, 2, 2), (1, 1, 1, 1), (2, 1, 1, 1), (1, 9, 9, 16), (1, 6, 6, 6)])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "yuv444p"])
def test_identity_keeps_samples_tags_and_uneven_times(tmp_path, identity, colour, pix_fmt):
    source = write(tmp_path / "a.mkv", pix_fmt=pix_fmt, colour=colour, times=UNEVEN, base=MILLISECOND)
    notes = restore_video(identity, source, tmp_path / "b.mkv", settings=LOSSLESS)
    assert not notes
    assert farthest(planes(source), planes(tmp_path / "b.mkv")) == 0
    assert times(tmp_path / "b.mkv") == times(source) == [t * MILLISECOND for t in UNEVEN]
    assert tags(tmp_path / "b.mkv") == colour
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv", "b.mkv"]


@pytest.mark.parametrize(
    ("name", "codec"), [("b.mp4", "h264"), ("b.mov", "h265"), ("b.mp4", "av1"), ("b.webm", "vp9")]
)
def test_times_hold_whatever_order_frames_are_encoded_in(tmp_path, identity, name, codec):
    base = Fraction(1, 90000)
    source = write(tmp_path / "a.mp4", times=[t * 90 for t in UNEVEN], base=base)
    restore_video(identity, source, tmp_path / name, settings=Settings(codec=codec, segment=7))
    assert times(tmp_path / name) == [t * MILLISECOND for t in UNEVEN]
    assert farthest(planes(source), planes(tmp_path / name)) < 25
    decoded = [time for time, _ in packets(tmp_path / name)[0]]
    assert codec in ("av1", "vp9") or decoded != sorted(decoded)  # some frame comes before its turn


@pytest.mark.parametrize(("codec", "name"), [("h264", "b.mkv"), ("h265", "b.mp4"), ("vp9", "b.webm")])
def test_quality_0_is_lossless(tmp_path, identity, codec, name):
    source = write(tmp_path / "a.mp4")
    restore_video(identity, source, tmp_path / name, settings=Settings(codec=codec, crf=0))
    assert farthest(planes(source), planes(tmp_path / name)) == 0


@pytest.mark.parametrize(("reach", "total"), [(1, 16 + 235), (2, 255)])
def test_range_is_honoured(tmp_path, reach, total):
    source = write(tmp_path / "a.mkv", colour=(reach, 1, 1, 1), codec="ffv1")
    restore_video(restorer(Inverse()), source, tmp_path / "b.mkv", settings=LOSSLESS)
    for before, after in zip(planes(source), planes(tmp_path / "b.mkv"), strict=True):
        assert np.abs(before[0] + after[0] - total).max() <= 1
        assert np.abs(before[1] + after[1] - 256).max() <= 1


def test_an_enlarged_video_has_the_colours_of_its_source(tmp_path):
    source = write(tmp_path / "a.mkv", size=(320, 64), frames=2, codec="ffv1")
    restore_video(restorer(Doubled()), source, tmp_path / "b.mkv", settings=LOSSLESS)
    assert tags(tmp_path / "b.mkv")[1] == 6  # unnamed, 640 rows would be taken for BT.709
    before, after = planes(source)[0], planes(tmp_path / "b.mkv")[0]
    assert after[0].shape == (640, 128)
    assert np.abs(after[0].reshape(320, 2, 64, 2).mean((1, 3)) - before[0]).max() <= 1


@pytest.mark.parametrize(("name", "codec"), [("b.mkv", "h264"), ("b.mkv", "h265"), ("b.mp4", "vp9")])
def test_the_shape_of_pixels_is_kept(tmp_path, identity, name, codec):
    source = write(tmp_path / "a.mp4", frames=2, aspect=Fraction(4, 3))
    restore_video(identity, source, tmp_path / name, settings=Settings(codec=codec))
    with av.open(str(tmp_path / name)) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(4, 3)
    with pytest.raises(
        RequestError, match=r"its pixels are 4/3 as wide as high, which ffv1 in .mkv cannot say here"
    ):
        restore_video(identity, source, tmp_path / "c.mkv", settings=LOSSLESS)


@pytest.mark.parametrize("pix_fmt", ["gray", "bgr0", "yuv411p", "gbrp10le", "yuv444p16le"])
def test_other_samples(tmp_path, identity, pix_fmt):
    source = write(tmp_path / "a.mkv", pix_fmt=pix_fmt, codec="ffv1", frames=3)
    settings = Settings() if pix_fmt in ("bgr0", "gbrp10le") else LOSSLESS
    restore_video(identity, source, tmp_path / "b.mkv", settings=settings)
    assert farthest(planes(source), planes(tmp_path / "b.mkv")) == 0


def test_fewer_bits_are_said(tmp_path, identity):
    source = write(tmp_path / "a.mkv", pix_fmt="yuv422p12le", codec="ffv1", frames=3)
    notes = restore_video(identity, source, tmp_path / "b.mkv")
    assert notes == ("libx264 holds 10 of the source's 12 bits",)


def test_sound_that_begins_before_0_delays_all_of_a_matroska_file(tmp_path, identity):
    source = write(tmp_path / "a.mp4", audio=True)
    notes = restore_video(identity, source, tmp_path / "b.mkv", settings=LOSSLESS)
    assert notes == ("all streams are 21 ms later: another one begins before 0, which .mkv cannot say",)
    before, after = packets(source), packets(tmp_path / "b.mkv")
    assert {b - a for a, b in zip(times(source), times(tmp_path / "b.mkv"), strict=True)} == {
        21 * MILLISECOND
    }
    assert [data for _, data in before[1]] == [data for _, data in after[1]]
    shifts = [b - a for (a, _), (b, _) in zip(before[1], after[1], strict=True)]
    assert max(abs(shift - 21 * MILLISECOND) for shift in shifts) <= MILLISECOND / 2


def test_rotation_is_kept(tmp_path, identity):
    source = write(tmp_path / "a.mp4", rotate=90, frames=3)
    restore_video(identity, source, tmp_path / "b.mp4")
    with av.open(str(tmp_path / "b.mp4")) as container:
        frame = next(container.decode(video=0))
        assert (frame.rotation, frame.width, frame.height) == (90, 64, 48)


def test_colours_that_drift_are_said(tmp_path, identity):
    source = write(tmp_path / "a.mkv", pix_fmt="yuv444p", codec="ffv1", frames=7, colour=(2, 1, 1, 1))
    assert restore_video(identity, source, tmp_path / "b.mkv", settings=LOSSLESS) == ()
    (note,) = restore_video(restorer(Inverse()), source, tmp_path / "c.mkv", settings=LOSSLESS)
    assert re.fullmatch(r"frame [05]: colours drift by ΔE \d+\.\d in the mean, .* at most \(R .*\)", note)


# --- everything else in the file


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_other_streams_chapters_and_metadata_are_kept(tmp_path, identity, suffix):
    words = [(0, 100, "one"), (150, 300, "two")] if suffix == ".mkv" else []
    base = MILLISECOND if suffix == ".mkv" else Fraction(1, 16000)
    source = write(
        tmp_path / f"a{suffix}", times=[round(t * MILLISECOND / base) for t in UNEVEN], base=base, audio=True,
        subtitles=words, title="Über", chapters=[(0, 200, "first"), (200, 700, "second")],
    )  # fmt: skip
    target = tmp_path / f"b{suffix}"
    assert restore_video(identity, source, target, settings=SHORT) == ()
    before, after = packets(source), packets(target)
    assert times(target) == times(source)
    assert len(before) == (3 if words else 2)
    assert all(before[i] == after[i] for i in before if i)
    with av.open(str(source)) as one, av.open(str(target)) as other:
        assert other.metadata["title"] == "Über"
        assert [c["metadata"] for c in other.chapters()] == [{"title": "first"}, {"title": "second"}]
        assert [(c["start"] * c["time_base"], c["end"] * c["time_base"]) for c in other.chapters()] == [
            (0, Fraction(1, 5)), (Fraction(1, 5), Fraction(7, 10)),
        ]  # fmt: skip
        assert [s.language for s in one.streams] == [s.language for s in other.streams]


def test_attachments_are_kept(tmp_path, identity):
    write(tmp_path / "a.mkv", frames=3)
    with av.open(str(tmp_path / "a.mkv")) as source, av.open(str(tmp_path / "c.mkv"), "w") as output:
        stream = output.add_stream_from_template(source.streams.video[0], opaque=True)
        output.add_attachment("font.ttf", "application/x-truetype-font", b"letters" * 9)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    restore_video(identity, tmp_path / "c.mkv", tmp_path / "b.mkv")
    with av.open(str(tmp_path / "b.mkv")) as container:
        (found,) = container.streams.attachments
        assert (found.name, found.data) == ("font.ttf", b"letters" * 9)


def test_a_stream_that_does_not_fit_is_refused_before_anything_is_made(tmp_path, identity):
    source = write(tmp_path / "a.mkv", frames=3, audio=True)
    with pytest.raises(
        RequestError,
        match=r"stream 1 \(audio, aac\) does not fit into .webm; expected another kind, such as .mkv$",
    ):
        restore_video(identity, source, tmp_path / "b.webm")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv"]


def test_a_real_clip(tmp_path, data_root, identity):
    source = data_root / "video" / "bigbuckbunny.mp4"
    if not source.is_file():
        pytest.skip("video/bigbuckbunny.mp4 is not in RESTORATION_DATA")
    clip = Settings("3:9", "ffv1", segment=4)
    notes = restore_video(identity, source, tmp_path / "b.mkv", settings=clip)
    assert not notes
    assert farthest(planes(source)[3:9], planes(tmp_path / "b.mkv")) == 0
    assert times(tmp_path / "b.mkv") == [Fraction(i, 25) for i in range(6)]
    start, end = Fraction(3, 25), Fraction(9, 25)
    sound = [(time - start, data) for time, data in packets(source)[1] if start <= time < end]
    found = packets(tmp_path / "b.mkv")[1]
    assert [data for _, data in found] == [data for _, data in sound]
    assert max(abs(a - b) for (a, _), (b, _) in zip(found, sound, strict=True)) <= MILLISECOND / 2


# --- cuts


def test_a_cut_starts_at_zero_with_what_belongs_to_it(tmp_path, identity):
    words = [(0, 100, "gone"), (150, 280, "under way"), (310, 350, "inside"), (600, 650, "later")]
    source = write(
        tmp_path / "a.mkv", times=UNEVEN, base=MILLISECOND, audio=True, subtitles=words,
        chapters=[(0, 220, "a"), (220, 400, "b"), (400, 700, "c")],
    )  # fmt: skip
    restore_video(identity, source, tmp_path / "b.mkv", settings=Settings("4:8", "ffv1", segment=3))
    assert times(tmp_path / "b.mkv") == [t * MILLISECOND for t in (0, 60, 100, 133)]
    assert farthest(planes(source)[4:8], planes(tmp_path / "b.mkv")) == 0
    found = packets(tmp_path / "b.mkv")
    assert found[2] == [(0, b"under way"), (110 * MILLISECOND, b"inside")]
    sound = [(t - 200 * MILLISECOND, d) for t, d in packets(source)[1] if 200 <= t / MILLISECOND < 401]
    assert found[1] == sound and len(sound) > 5
    with av.open(str(tmp_path / "b.mkv")) as container:
        chapters = [
            (c["start"] * c["time_base"] * 1000, c["metadata"]["title"]) for c in container.chapters()
        ]
    assert [(round(at), name) for at, name in chapters] == [(0, "a"), (20, "b"), (200, "c")]


@pytest.mark.parametrize(("frames", "message"), [
    ("3:13", r"--frames 3:13: .*a.mp4 has 12 frames; expected A:B with A < B <= 12"),
    ("12:", r"--frames 12:: expected A:B"),
    ("5:5", r"--frames 5:5: expected A:B, from A to before B, counted from 0"),
    ("x:3", r"--frames x:3: expected A:B"),
    ("3", r"--frames 3: expected A:B"),
    ("-2:3", r"--frames -2:3: expected A:B"),
])  # fmt: skip
def test_frames_that_are_not_there(tmp_path, identity, frames, message):
    source = write(tmp_path / "a.mp4")
    with pytest.raises(RequestError, match=message) as caught:
        restore_video(identity, source, tmp_path / "b.mp4", settings=Settings(frames))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "b.mp4").exists()


# --- several frames


def test_a_restorer_of_several_frames_is_given_its_neighbours(tmp_path):
    source = write(tmp_path / "a.mkv", pix_fmt="yuv444p", codec="ffv1", frames=6, colour=(2, 1, 1, 1))
    restore_video(
        restorer(Neighbours()), source, tmp_path / "b.mkv", settings=Settings("1:", "ffv1", segment=2)
    )
    before, after = planes(source), planes(tmp_path / "b.mkv")
    for number in range(1, 6):
        following = min(number + 1, 5)  # outside the clip, the frame itself
        for i in range(3):
            mean = (before[number - 1][i] + before[following][i]) / 2
            assert np.abs(after[number - 1][i] - mean).max() <= 1


@pytest.mark.slow
def test_rbpn_restores_a_video(tmp_path):
    pytest.importorskip("cv2", reason="needs the extra 'classical'")
    from restoration.networks.rbpn import Rbpn

    torch.manual_seed(0)
    small = restorer(Rbpn(scale=2, width=4, features=4, blocks=1, frames=3))
    source = write(tmp_path / "a.mp4", frames=4, size=(32, 48))
    restore_video(small, source, tmp_path / "b.mkv", settings=LOSSLESS, inference=Inference(precision="fp32"))
    assert [frame[0].shape for frame in planes(tmp_path / "b.mkv")] == [(64, 96)] * 4


def test_frames_restored_by_several_are_made_consistent(tmp_path):
    class Dim(Network):
        scale, receptive_field, conditions = 2, 0, ("neighbour",) * 6

        def forward(self, degraded):
            return 0.95 * degraded[:, :3].repeat_interleave(2, -1).repeat_interleave(2, -2)

    source = write(tmp_path / "a.mkv", frames=3, codec="ffv1", pix_fmt="yuv444p", colour=(2, 1, 1, 1))
    consistent = Inference(precision="fp32", consistent=True)
    notes = restore_video(
        restorer(Dim()), source, tmp_path / "c.mkv", settings=LOSSLESS, inference=consistent
    )
    assert any(note.startswith("consistent with the input before frames are rounded") for note in notes)
    for one, other in zip(planes(source), planes(tmp_path / "c.mkv"), strict=True):
        luma = resize(torch.from_numpy(other[0]).double()[None, None], scale=0.5)[0, 0].numpy()
        assert np.abs(luma - one[0]).max() < 1  # of 255: rounding


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov"])
def test_a_cover_is_kept_or_named(tmp_path, identity, suffix):
    from PIL import Image

    Image.new("RGB", (16, 16), (200, 30, 30)).save(tmp_path / "cover.jpg")
    picture = (tmp_path / "cover.jpg").read_bytes()
    with av.open(str(tmp_path / "a.mkv"), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        output.add_attachment("cover.jpg", "image/jpeg", picture)
        for i in range(3):
            output.mux(stream.encode(frame_of(i, 48, 64, "yuv420p", (0, 2, 2, 2))))
        output.mux(stream.encode(None))
    notes = restore_video(identity, tmp_path / "a.mkv", tmp_path / f"b{suffix}")
    found = packets(tmp_path / f"b{suffix}")
    if suffix == ".mov":
        assert notes == ("stream 1 (video, mjpeg) does not fit into .mov: left out",) and len(found) == 1
    else:
        assert not notes and [data for _, data in found[1]] == [picture]
