"""Animated PNG: composed as its specification says, with all bits kept."""

import struct
import zlib

import numpy as np
import pytest
from image import corpus
from PIL import Image

from restoration.apply import apply
from restoration.image import read_all
from restoration.weights import load

KINDS = {1: 0, 2: 4, 3: 2, 4: 6}
NONE, BACKGROUND, PREVIOUS = 0, 1, 2


def animated(frames, depth, still=None, plays=3):
    """Return an APNG by the specification: frames are (samples, left, top, milliseconds, dispose, blend)."""
    first = frames[0][0] if still is None else still
    height, width, channels = first.shape

    def packed(samples):
        rows = samples.astype(">u2" if depth == 16 else np.uint8)
        return zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))

    parts = [(b"IHDR", struct.pack(">LL5B", width, height, depth, KINDS[channels], 0, 0, 0))]
    parts += [(b"acTL", struct.pack(">LL", len(frames), plays))]
    parts += [(b"IDAT", packed(still))] if still is not None else []
    number = 0
    for i, (samples, left, top, time, dispose, blend) in enumerate(frames):
        size = (samples.shape[1], samples.shape[0])
        parts += [(b"fcTL", struct.pack(">5L2H2B", number, *size, left, top, time, 1000, dispose, blend))]
        number += 1
        data = packed(samples)
        if i == 0 and still is None:
            parts += [(b"IDAT", data[:50]), (b"IDAT", data[50:])]
        else:
            parts += [(b"fdAT", struct.pack(">L", number) + data)]
            number += 1
    parts += [(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">L", len(d)) + k + d + struct.pack(">L", zlib.crc32(k + d)) for k, d in parts
    )


def story(channels, depth):
    rng = np.random.default_rng(channels)

    def part(height, width):
        samples = rng.integers(0, 256, (height, width, channels))
        if channels in (2, 4):
            samples[..., -1] = rng.choice([0, 255], (height, width))
        return samples.astype(np.uint16) * (257 if depth == 16 else 1)

    return [
        (part(12, 15), 0, 0, 40, NONE, 0), (part(5, 6), 3, 2, 50, PREVIOUS, 1), (part(4, 9), 1, 7, 60, BACKGROUND, 0),
        (part(6, 6), 8, 3, 70, NONE, 1), (part(12, 15), 0, 0, 80, NONE, 1), (part(2, 2), 13, 10, 90, NONE, 0),
    ]  # fmt: skip


def told(frames):
    """Return each frame as it is shown, (H, W, RGBA), pixel by pixel; alpha is all or nothing."""
    height, width, channels = frames[0][0].shape
    canvas, shown = np.zeros((height, width, 4), int), []
    for samples, left, top, _, dispose, blend in frames:
        before = canvas.copy()
        for y, row in enumerate(samples):
            for x, pixel in enumerate(row):
                clear = channels == 4 and pixel[3] == 0
                if not (blend and clear):
                    canvas[top + y, left + x] = 0 if clear else (*pixel[:3], 255)
        shown.append(canvas.copy())
        place = np.s_[top : top + samples.shape[0], left : left + samples.shape[1]]
        if dispose != NONE:
            canvas[place] = 0 if dispose == BACKGROUND else before[place]
    return shown


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [3, 4])
def test_frames_are_composed_as_they_tell(tmp_path, channels, depth):
    frames, factor = story(channels, depth), 257 if depth == 16 else 1
    (tmp_path / "a.png").write_bytes(animated(frames, depth))
    picture = read_all(tmp_path / "a.png")
    assert len(picture.frames) == 6 and picture.loop == 3
    for frame, expected, (*_, time, _, _) in zip(
        picture.frames, told(story(channels, 8)), frames, strict=True
    ):
        alpha = np.full((12, 15, 1), 255) if frame.alpha_samples is None else frame.alpha_samples // factor
        visible = alpha > 0
        assert frame.depth == depth and frame.duration == time and np.array_equal(alpha, expected[..., 3:])
        assert np.array_equal(frame.samples // factor * visible, expected[..., :3] * visible)


def test_opencv_sees_the_same_frames(tmp_path):
    cv2 = pytest.importorskip("cv2")
    if not hasattr(cv2, "imreadanimation"):
        pytest.skip("OpenCV without animations")
    (tmp_path / "a.png").write_bytes(animated(story(4, 8), 8))
    apply(load("identity"), [tmp_path / "a.png"], tmp_path / "out", device="cpu")
    (_, before), (_, after) = (cv2.imreadanimation(str(tmp_path / p)) for p in ("a.png", "out/a.png"))
    assert len(before.frames) == len(after.frames) == 6
    for one, other in zip(before.frames, after.frames, strict=True):
        visible = one[..., 3:] > 0
        assert np.array_equal(one * visible, other * (other[..., 3:] > 0))


def test_palette_of_an_animation_stays(tmp_path):
    frames = [Image.fromarray(np.roll(corpus.smooth() // 64 * 64, i, 1)).quantize(16) for i in range(3)]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:], duration=[40, 50, 60])
    assert (tmp_path / "a.png").read_bytes()[25] == 3
    for restorer, scale in (("identity", 1), ("nearest-x2", 2)):
        apply(load(restorer), [tmp_path / "a.png"], tmp_path / restorer, device="cpu")
        assert (tmp_path / restorer / "a.png").read_bytes()[25] == 3
        before, after = read_all(tmp_path / "a.png"), read_all(tmp_path / restorer / "a.png")
        for one, other in zip(before.frames, after.frames, strict=True):
            assert (
                np.array_equal(one.samples, other.samples[::scale, ::scale])
                and one.duration == other.duration
            )


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_all_bits_come_back(tmp_path, channels):
    frames = [(corpus.samples(channels, 16) >> i, 0, 0, 40 + i, NONE, 0) for i in range(3)]
    still = corpus.samples(channels, 16) ^ 0x5555
    for name, data in (("a.png", animated(frames, 16)), ("b.png", animated(frames, 16, still))):
        (tmp_path / name).write_bytes(data)
        report = apply(load("identity"), [tmp_path / name], tmp_path / "out", device="cpu")
        assert not report.failed and not report.lost
        back = read_all(tmp_path / "out" / name)
        expected = [samples for samples, *_ in frames]
        expected = [still, *expected] if name == "b.png" else expected
        assert [f.duration for f in back.frames] == [0] * (name == "b.png") + [40, 41, 42] and back.loop == 3
        assert (tmp_path / "out" / name).read_bytes()[24:26] == bytes((16, KINDS[channels]))
        for frame, samples in zip(back.frames, expected, strict=True):
            colours = 1 if channels < 3 else 3
            visible = samples[..., colours:] > 0 if channels > colours else True
            assert np.array_equal(frame.samples * visible, samples[..., :colours] * visible)
            assert frame.alpha_samples is None or np.array_equal(frame.alpha_samples, samples[..., colours:])


def test_half_transparent_frames_are_laid_over(tmp_path):
    below, above = np.full((2, 2, 4), (60000, 0, 0, 65535)), np.full((2, 2, 4), (0, 40000, 0, 16384))
    above[0, 0, 3], below[1, 1, 3] = 0, 32768
    frames = [(below, 0, 0, 40, NONE, 0), (above, 0, 0, 40, NONE, 1)]
    (tmp_path / "a.png").write_bytes(animated(frames, 16))
    _, shown = read_all(tmp_path / "a.png").frames
    part = 16384 / 65535
    assert np.array_equal(shown.samples[0, 0], (60000, 0, 0))
    assert np.allclose(shown.samples[0, 1], (60000 * (1 - part), 40000 * part, 0), atol=0.5)
    behind = 32768 / 65535 * (1 - part)
    mixed = np.array((60000 * behind, 40000 * part, 0)) / (part + behind)
    assert np.allclose(shown.samples[1, 1], mixed, atol=0.5)
    assert abs(int(shown.alpha_samples[1, 1, 0]) - (part + behind) * 65535) <= 0.5


def test_a_deep_animation_that_is_cut_is_refused(tmp_path):
    data = animated(story(3, 16), 16)
    for end in range(60, len(data) - 12, 41):
        (tmp_path / "a.png").write_bytes(data[:end])
        report = apply(load("identity"), [tmp_path / "a.png"], tmp_path / "out", device="cpu")
        (line,) = report.failed.values()
        assert "not a readable image (" in line and "\n" not in line
