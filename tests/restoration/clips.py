"""Short videos made for tests, and what is in a video file."""

import itertools
from fractions import Fraction

import numpy as np
import pytest

from restoration.networks.network import Network
from restoration.restorers.card import Card
from restoration.restorers.network import Restorer

av = pytest.importorskip("av", reason="needs the extra 'video'")
MILLISECOND = Fraction(1, 1000)


class Inverse(Network):
    """One minus the image."""

    receptive_field = 0

    def forward(self, degraded):
        return 1 - degraded


def restorer(network):
    return Restorer(network, Card(type(network).__name__.lower(), "test", {}, network.scale)).eval()


def farthest(one, other):
    pairs = itertools.chain.from_iterable(zip(a, b, strict=True) for a, b in zip(one, other, strict=True))
    return max(np.abs(a - b).max() for a, b in pairs)


def picture(number, height, width, peak):
    """Return three smooth planes (H, W) of samples that differ from frame to frame."""
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin(rows / (5 + c) + columns / (7 - c) + number * 0.7 + c) for c in range(3)]
    swings = (0.2, 0.05, 0.05)  # small enough for every colour to be one of RGB
    return [
        ((0.5 + swing * wave) * peak).astype(np.uint16 if peak > 255 else np.uint8)
        for swing, wave in zip(swings, waves, strict=True)
    ]


def frame_of(number, height, width, pix_fmt, colour):
    frame = av.VideoFrame(width, height, pix_fmt)
    peak = 2 ** frame.format.components[0].bits - 1
    for plane, whole in zip(frame.planes, picture(number, height, width, peak), strict=False):
        target = np.frombuffer(plane, whole.dtype).reshape(-1, plane.line_size // whole.itemsize)
        step = height // plane.height, width // plane.width
        part = whole[:: step[0], :: step[1]][: plane.height, : plane.width]
        target[: part.shape[0], : part.shape[1]] = part
    frame.color_range, frame.colorspace, frame.color_primaries, frame.color_trc = colour
    return frame


def write(
    path, *, frames=12, size=(48, 64), codec="libx264", pix_fmt="yuv420p", options=None, times=None, base=None,
    colour=(0, 2, 2, 2), audio=False, subtitles=(), rotate=0, chapters=(), title="", form=None, aspect=None,
):  # fmt: skip
    """Write a video whose frame i is shown at ``times[i]`` units of ``base``; 25 a second by default."""
    times, base = times or range(frames), base or Fraction(1, 25)
    with av.open(str(path), "w", format=form) as output:
        stream = output.add_stream(codec, rate=25, options=options or {"g": "6"})
        stream.height, stream.width, stream.pix_fmt = *size, pix_fmt
        context = stream.codec_context
        context.time_base = stream.time_base = base
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = colour
        if aspect:
            context.sample_aspect_ratio = aspect
        if rotate:
            stream.set_display_rotation(rotate)
        sound = output.add_stream("aac", rate=48000, layout="stereo") if audio else None
        words = output.add_stream_from_template(subtitle_template()) if subtitles else None
        if title:
            output.metadata["title"] = title
        if chapters:
            output.set_chapters([
                {"id": i, "start": a, "end": b, "time_base": MILLISECOND, "metadata": {"title": name}}
                for i, (a, b, name) in enumerate(chapters)
            ])  # fmt: skip
        packets = []
        for i, time in enumerate(times):
            frame = frame_of(i, *size, pix_fmt, colour)
            frame.pts, frame.time_base = time, base
            packets += stream.encode(frame)
        packets += stream.encode(None)
        if sound:
            packets += tone(sound, float(times[len(times) - 1] * base) + 0.04)
        packets += [cue(words, *c) for c in subtitles]
        packets.sort(key=lambda p: float(p.dts * p.time_base))
        output.mux(packets)
    return path


def tone(stream, seconds):
    packets = []
    wave = np.sin(np.arange(int(48000 * seconds)) / 20).astype(np.float32)
    for start in range(0, len(wave) - 1023, 1024):
        frame = av.AudioFrame.from_ndarray(np.stack([wave[start : start + 1024]] * 2), "fltp", "stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        packets += stream.encode(frame)
    return packets + stream.encode(None)


_kept = []


def subtitle_template():
    """Return a stream of SubRip subtitles to copy the head of; such streams come from files only."""
    import io

    text = io.BytesIO(b"1\n00:00:00,100 --> 00:00:00,200\nx\n\n")
    container = av.open(text, format="srt")
    _kept.append(container)
    return container.streams.subtitles[0]


def cue(stream, start, end, text):
    packet = av.Packet(text.encode())
    packet.pts = packet.dts = start
    packet.duration, packet.time_base, packet.stream = end - start, MILLISECOND, stream
    return packet


def packets(path):
    """Return, for each stream, its packets as (pts in seconds, bytes), in the order of the file."""
    found = {}
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.size:
                time = (packet.pts or 0) * packet.time_base  # a cover has no time
                found.setdefault(packet.stream.index, []).append((time, bytes(packet)))
    return found


def times(path):
    return sorted(time for time, _ in packets(path)[0])


def planes(path):
    """Return the decoded planes of every frame, as integers."""
    from restoration.video.frames import layout_of, planes_of

    with av.open(str(path)) as container:
        return [
            [plane.astype(int) for plane in planes_of(frame, layout_of(frame.format.name))]
            for frame in container.decode(video=0)
        ]


def tags(path):
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        return frame.color_range, frame.colorspace, frame.color_primaries, frame.color_trc
