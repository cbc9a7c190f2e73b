"""Videos: exact to the frame from any key frame on, in several containers and codecs."""

from dataclasses import replace

import numpy as np
import pytest

from restoration.data import Pairs, build_source
from restoration.data.video import _frames, decoded
from restoration.degradations.resize import Bicubic
from restoration.errors import ConfigError, ImageError

av = pytest.importorskip("av", reason="needs the extra 'video'")
FRAMES, HEIGHT, WIDTH, STEP = 24, 48, 64, 9


def write(path, codec: str, options: dict[str, str], frames: int = FRAMES) -> None:
    """Write a video whose frame i has the grey level 20 + 9 i."""
    with av.open(str(path), "w") as container:
        try:
            stream = container.add_stream(codec, rate=25)
        except (av.FFmpegError, ValueError):
            pytest.skip(f"this PyAV has no encoder {codec}")
        stream.width, stream.height, stream.pix_fmt, stream.options = WIDTH, HEIGHT, "yuv420p", options
        for i in range(frames):
            frame = av.VideoFrame.from_ndarray(
                np.full((HEIGHT, WIDTH, 3), 20 + STEP * i, np.uint8), format="rgb24"
            )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def number(image: np.ndarray) -> int:
    return round((float(image.mean()) - 20) / STEP)


CODECS = {
    "frames that follow and precede": ("a.mp4", "libx264", {"g": "7", "bf": "3", "crf": "1"}),
    "open groups": ("b.mkv", "libx264", {"x264-params": "open-gop=1:keyint=7:bframes=3", "crf": "1"}),
    "one key frame": ("c.mp4", "libx264", {"g": "250", "bf": "2", "crf": "1"}),
    "a transport stream": ("d.ts", "libx264", {"g": "7", "bf": "3", "crf": "1"}),
    "an older codec": ("e.avi", "mpeg4", {"g": "7", "qscale": "1"}),
    "vp9": ("f.webm", "libvpx-vp9", {"g": "7", "crf": "4", "b": "0"}),
}


@pytest.mark.parametrize(("name", "codec", "options"), CODECS.values(), ids=CODECS)
def test_frames_are_exact(tmp_path, data, name, codec, options):
    write(tmp_path / name, codec, options)
    source = build_source(data(tmp_path / name))
    assert len(source) == FRAMES and source.size(0) == (HEIGHT, WIDTH)
    for index in (0, 17, 6, 7, 13, 14, 23, 3):
        assert number(source.samples(index)) == index
    about = _frames(str(tmp_path / name))
    for first in (0, 5, 12, 19):
        for known in (about, replace(about, times=None, keys=())):  # without times, frames are counted
            assert [number(f) for f in decoded(str(tmp_path / name), known, first, 5)] == [
                *range(first, first + 5)
            ]


def test_clips_are_consecutive_frames_under_one_crop(tmp_path, data):
    (tmp_path / "videos").mkdir()
    for name in ("a", "b"):
        write(tmp_path / "videos" / f"{name}.mp4", "libx264", {"g": "7", "bf": "2", "crf": "1"}, frames=23)
    source = build_source(data(tmp_path / "videos", frames=5))
    assert len(source) == 2 * 20 and source.name(21).endswith("b.mp4/1")
    pairs = Pairs(source, Bicubic(2), 16, 20, 0)
    levels = ((pairs.batch(1).clean.mean((1, 2, 3)) * 255 - 20) / STEP).round().reshape(4, 5)
    assert (levels[:, 1:] - levels[:, :-1] == 1).all() and (levels[:, 0] % 5 == 0).all()


def test_high_videos_that_name_no_matrix_are_bt709():
    from restoration.data.video import _rgb

    y, u, v = 120, 90, 180
    for height, (kr, kb) in ((480, (0.299, 0.114)), (720, (0.2126, 0.0722))):
        frame = av.VideoFrame(64, height, "yuv420p")
        for plane, value in zip(frame.planes, (y, u, v), strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        luma, blue, red = (y - 16) / 219, (u - 128) / 224, (v - 128) / 224
        r, b = luma + 2 * (1 - kr) * red, luma + 2 * (1 - kb) * blue
        g = (luma - kr * r - kb * b) / (1 - kr - kb)
        assert _rgb(frame)[5, 5] == pytest.approx(np.array([r, g, b]) * 255, abs=2)


def test_what_is_no_video_is_refused_in_one_line(tmp_path, data):
    (tmp_path / "x.mp4").write_bytes(b"nothing" * 100)
    with pytest.raises(ConfigError, match=r"x.mp4: cannot be read as a video \(.*\)$"):
        build_source(data(tmp_path / "x.mp4"))
    write(tmp_path / "short.mp4", "libx264", {}, frames=4)
    with pytest.raises(ConfigError, match=r"short.mp4: 4 frames; expected at least data.frames = 5"):
        build_source(data(tmp_path / "short.mp4", frames=5))


def test_a_damaged_video_is_named_when_it_is_decoded(tmp_path, data):
    write(tmp_path / "a.ts", "libx264", {"g": "7", "crf": "1"})
    source = build_source(data(tmp_path / "a.ts"))
    (tmp_path / "a.ts").write_bytes((tmp_path / "a.ts").read_bytes()[:3000])
    with pytest.raises(ImageError, match=r"a.ts: frames 23 to 23 cannot be decoded"):
        source.samples(23)


@pytest.mark.parametrize("options", [{"g": "250", "bf": "2"}, {"g": "5", "bf": "2"}], ids=["one key", "keys"])
@pytest.mark.parametrize("frames", [1, 4])
def test_an_epoch_decodes_each_block_once_whatever_the_cache(tmp_path, data, monkeypatch, frames, options):
    from restoration.data import video

    monkeypatch.setattr(video, "BLOCK_BYTES", 9 * 3 * HEIGHT * WIDTH)
    write(tmp_path / "a.mp4", "libx264", {**options, "crf": "1"})
    source = build_source(data(tmp_path / "a.mp4", frames=frames, cache=0.0))
    assert (
        source.blocks.sum() * frames == FRAMES
        and len(source.blocks) > 2
        and max(source.blocks) <= 9 // frames
    )
    source.share_memory(4)
    made, plain = [], source._decoded
    source._decoded = lambda *run: made.append(run) or plain(*run)
    order = Pairs(source, Bicubic(2), 16, 1, 0)._order
    seen = [order.index((0, s)) for s in range(FRAMES)]
    assert sorted(seen) == [*range(FRAMES)] and seen != sorted(seen)
    assert [number(source.samples(index)) for index in seen] == seen
    assert len(made) == len(source.blocks)


def test_blocks_begin_where_decoding_can():
    from restoration.data.video import Frames, _runs

    def about(count: int, keys: tuple[int, ...]) -> Frames:
        return Frames(count, 1024, 1365, tuple(range(count)), keys)  # 32 frames in 128 MiB

    assert _runs(about(100, (0,)), 1) == [(0, 32), (32, 32), (64, 32), (96, 4)]
    assert _runs(about(100, (0, 25, 30, 70)), 1) == [(0, 30), (30, 32), (62, 8), (70, 30)]
    assert _runs(about(40, tuple(range(40))), 1) == [(0, 32), (32, 8)]
    assert _runs(about(23, (0, 12)), 5) == [(0, 4)] and _runs(about(23, (0, 12)), 23) == [(0, 1)]
    assert _runs(Frames(70, 1024, 1365, None, ()), 64) == [(0, 1)]


def test_what_is_whole_of_a_damaged_block_is_read(tmp_path, data):
    write(tmp_path / "a.ts", "libx264", {"g": "6", "crf": "1"})
    source = build_source(data(tmp_path / "a.ts"))
    whole = (tmp_path / "a.ts").read_bytes()
    (tmp_path / "a.ts").write_bytes(whole[: len(whole) // 2])
    assert len(source.blocks) == 1 and number(source.samples(2)) == 2
    with pytest.raises(ImageError, match=r"a.ts: frames 22 to 22 cannot be decoded"):
        source.samples(22)
