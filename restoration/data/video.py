"""Video files as clips of consecutive frames, exact to the frame whatever the file's key frames."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from restoration.data.kept import Latest
from restoration.data.source import Source
from restoration.errors import ConfigError, ImageError

SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpg", ".ts", ".webm", ".y4m")
EXTRA = 'pip install "restoration-suite[video]"'
BLOCK_BYTES = 128 << 20  # of samples that are decoded at one go, at most, if that is more than one clip
MIXED_BYTES = 1 << 30  # of blocks that an epoch mixes, at most, if that is more than one
MOST_JOINED = 64  # blocks, of short videos
HIGH = 576  # rows: above, a file that does not name its colour matrix has that of HDTV, BT.709, as players assume


@dataclass(frozen=True)
class Frames:
    """What a file's packets say without decoding: the time of every frame in order of showing, and of key frames.

    ``times`` are in units of the stream, None where the file has none: then frames are counted from the start.
    """

    count: int
    height: int
    width: int
    times: tuple[int, ...] | None
    keys: tuple[int, ...]


class Videos(Source):
    """Clips of ``frames`` consecutive frames, one after the other; what is left over at a video's end is not used.

    A block is what is decoded at one go: groups of frames that begin with a key frame, as many as 128 MiB of samples
    hold, or a part of one group. ``budget`` bytes of blocks are kept, and whatever the budget the blocks of two groups
    of the order, or each of them would be decoded anew for every clip.
    """

    def __init__(self, files: Sequence[str], frames: int, budget: int) -> None:
        self.files, self.clip = tuple(files), frames
        self.about = [_frames(file) for file in files]
        for file, about in zip(files, self.about, strict=True):
            if about.count < frames:
                raise ConfigError(f"{file}: {about.count} frames; expected at least data.frames = {frames}")
        runs = [(i, *run) for i, about in enumerate(self.about) for run in _runs(about, frames)]
        self.runs = np.array(runs, np.int64)  # file, first clip, clips
        self.blocks = self.runs[:, 2]
        self._ends = np.cumsum(self.blocks)
        of_clips = [3 * a.height * a.width * frames for a in self.about]
        largest = max(count * of_clips[file] for file, _, count in runs)
        self.joined = int(np.clip(MIXED_BYTES // largest, 1, MOST_JOINED))
        counts = [about.count // frames * frames for about in self.about]
        self.sizes = np.repeat([(a.height, a.width) for a in self.about], counts, axis=0)
        self._blocks: Latest[np.ndarray] = Latest(budget, least=2 * self.joined)
        self._broken: dict[int, str] = {}

    def __len__(self) -> int:
        return int(self._ends[-1]) * self.clip

    def samples(self, index: int) -> np.ndarray:
        """Return a frame, (H, W, 3) of uint8."""
        block, file, frame = self._place(index)
        _, first, count = map(int, self.runs[block])
        if block not in self._broken:
            try:
                frames = self._blocks.get(
                    block, lambda: self._decoded(file, first * self.clip, count * self.clip)
                )
                return frames[frame - first * self.clip]
            except ImageError as error:
                self._broken[block] = str(error)  # other clips of it may be whole
        start = frame // self.clip * self.clip
        return self._decoded(file, start, self.clip)[frame - start]

    def partner(self, index: int) -> np.ndarray | None:
        """Return None: videos have no degraded partners."""
        return None

    def name(self, index: int) -> str:
        """Return the file and the frame, counted from 0."""
        _, file, frame = self._place(index)
        return f"{self.files[file]}/{frame}"

    def size(self, index: int) -> tuple[int, int]:
        """Return (height, width) of the frames."""
        about = self.about[self._place(index)[1]]
        return about.height, about.width

    def share_memory(self, processes: int) -> None:
        """Keep only this process's share of decoded blocks."""
        self._blocks.budget //= processes

    def contents(self) -> Iterator[bytes]:
        """Yield the files' own names and how many frames each has."""
        for file, about in zip(self.files, self.about, strict=True):
            yield f"{Path(file).name} {about.count}".encode()

    def _place(self, index: int) -> tuple[int, int, int]:
        """Return the block, the file and the frame in it."""
        clip, frame = divmod(index, self.clip)
        block = int(np.searchsorted(self._ends, clip, side="right"))
        file, first, count = map(int, self.runs[block])
        within = clip - (int(self._ends[block]) - count)
        return block, file, (first + within) * self.clip + frame

    def _decoded(self, file: int, first: int, count: int) -> np.ndarray:
        frames = decoded(self.files[file], self.about[file], first, count)
        return np.stack(list(frames))


def _runs(about: Frames, frames: int) -> list[tuple[int, int]]:
    """Return (first clip, clips) of the blocks of a file, in order.

    A block ends at the last key frame within 128 MiB, so that the next begins where decoding can; where there is none,
    at 128 MiB. One clip at least is in each.
    """
    clips = about.count // frames
    most = max(1, BLOCK_BYTES // (3 * about.height * about.width * frames))
    times = {time: number for number, time in enumerate(about.times or ())}
    starts = sorted(
        {-(-times[time] // frames) for time in about.keys}
    )  # of clips that lie behind a key frame
    found, first = [], 0
    while first < clips:
        last = min(clips, first + most)
        if last < clips:
            within = bisect_right(starts, last) - 1
            last = starts[within] if within >= 0 and starts[within] > first else last
        found.append((first, last - first))
        first = last
    return found


def decoded(file: str, about: Frames, first: int, count: int) -> Iterator[np.ndarray]:
    """Yield ``count`` frames from number ``first`` on, each (H, W, 3) of uint8.

    Decoding starts at the last key frame before the first frame; where the decoder leaves out frames that need what
    lies before that key frame, at the one before, and at last from the beginning.
    """
    wanted, starts = tuple(range(first, first + count)), [None]
    if about.times:
        wanted = about.times[first : first + count]
        place = bisect_right(about.keys, wanted[0])
        starts = [*about.keys[max(0, place - 2) : place][::-1], None]
    asked = {*wanted}
    for start in starts:
        found = {}
        for number, frame in _from(file, start):
            time = frame.pts if about.times else number
            if time in asked:
                found[time] = _rgb(frame)
            if time is not None and time >= wanted[-1]:
                break
        if len(found) == count:
            yield from (found[time] for time in wanted)
            return
    raise ImageError(f"{file}: frames {first} to {first + count - 1} cannot be decoded")


def _from(file: str, start: int | None) -> Iterator[tuple[int, Any]]:
    """Yield frames, counted from 0, from a key frame's time on; from the beginning where there is none."""
    av = _av(file)
    try:
        with av.open(file) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            if start is not None:
                container.seek(start, stream=stream, backward=True)
            yield from enumerate(container.decode(stream))
    except (av.FFmpegError, OSError) as error:
        raise ImageError(f"{file}: cannot be decoded ({' '.join(str(error).split())})") from None


def _frames(file: str) -> Frames:
    """Return the frames of a file by its packets, which are read and not decoded."""
    av = _av(file)
    try:
        with av.open(file) as container:
            if not container.streams.video:
                raise ConfigError(f"{file}: holds no video")
            stream = container.streams.video[0]
            packets = [(p.pts, p.is_keyframe) for p in container.demux(stream) if p.size and not p.is_discard]
            height, width = stream.codec_context.height, stream.codec_context.width
    except (av.FFmpegError, OSError) as error:
        raise ConfigError(f"{file}: cannot be read as a video ({' '.join(str(error).split())})") from None
    times = sorted(time for time, _ in packets if time is not None)
    timed = len(times) == len(packets) and len({*times}) == len(times)
    keys = tuple(sorted(time for time, key in packets if key)) if timed else ()
    return Frames(len(packets), height, width, tuple(times) if timed else None, keys)


def _rgb(frame: Any) -> np.ndarray:  # noqa: ANN401
    from av.video.reformatter import Colorspace

    named = [matrix for matrix in Colorspace if matrix.value == frame.colorspace]
    matrix = named[0] if named else Colorspace.ITU709 if frame.height > HIGH else Colorspace.ITU601
    return frame.reformat(format="rgb24", src_colorspace=matrix).to_ndarray()


def _av(file: str) -> Any:  # noqa: ANN401
    try:
        import av
    except ImportError:
        raise ConfigError(f"{file}: reading video needs PyAV: {EXTRA}") from None
    return av
