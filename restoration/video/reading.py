"""What a video is, and its frames, each with the time at which it is shown."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from restoration.errors import ImageError, RequestError
from restoration.video.colour import FULL, UNSPECIFIED, Colour, Layout
from restoration.video.frames import layout_of
from restoration.video.settings import EXTRA
from restoration.video.wholeness import promised

if TYPE_CHECKING:
    import av

RATE = Fraction(25)  # of videos that name none
Timed = tuple[
    int | None, int, bool
]  # a packet's time, how long its frame is shown, whether it is a key frame
PROGRESSIVE = (0, 1)  # field orders: unknown, progressive
LOST = {  # what a decoder finds beside the samples, and an encoder is not given
    "A53_CC": "closed captions inside the pictures",
    "CONTENT_LIGHT_LEVEL": "HDR light levels",
    "DOVI_METADATA": "Dolby Vision metadata",
    "DOVI_RPU_BUFFER": "Dolby Vision metadata",
    "DYNAMIC_HDR_PLUS": "HDR10+ metadata",
    "MASTERING_DISPLAY_METADATA": "HDR mastering metadata",
    "STEREO3D": "the stereo arrangement",
}


@dataclass(frozen=True)
class Film:
    """The video stream of a file, by its packets and its first frame."""

    path: Path
    index: int  # among the file's streams
    height: int
    width: int
    format: str
    layout: Layout
    colour: Colour
    aspect: Fraction | None  # of a sample
    matrix: tuple[int, ...] | None  # nine numbers that turn the picture when it is shown
    rate: Fraction
    base: Fraction  # seconds per unit of time
    times: tuple[int, ...]  # of every frame, in order of showing
    ending: int  # how long the last frame is shown
    keys: tuple[int, ...]  # times of key frames
    timed: bool  # the times are the file's; else frames are counted
    notes: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """Return the number of frames."""
        return len(self.times)

    def end_of(self, frame: int) -> int:
        """Return the time at which a frame is followed by the next one."""
        return self.times[frame + 1] if frame + 1 < self.count else self.times[-1] + self.ending


def probe(path: Path) -> Film:
    """Return what a file's video stream is; what cannot be restored faithfully is refused in one line."""
    with opened(path) as container:
        stream = video_stream(path, container)
        packets = [
            (p.pts, p.duration or 0, p.is_keyframe)
            for p in container.demux(stream)
            if p.size and not p.is_discard
        ]
    with opened(path) as container:
        stream = video_stream(path, container)
        stream.thread_type = "AUTO"
        first = next(iter(container.decode(stream)), None)
        if first is None or not packets:
            raise ImageError(f"{path}: holds no frame that can be decoded")
        _check_frame(path, first, stream)
        rate = stream.average_rate or stream.guessed_rate or RATE
        return _film(path, stream, first, packets, rate)


def _film(path: Path, stream: Any, first: "av.VideoFrame", packets: list[Timed], rate: Fraction) -> Film:  # noqa: ANN401
    layout, colour = _samples(path, first)
    times = sorted(time for time, _, _ in packets if time is not None)
    timed = len(times) == len(packets) == len({*times}) and first.pts in times
    notes = [f"{what} are not kept" for what in dict.fromkeys(_lost(first))]
    if timed and (skipped := sum(time < (first.pts or 0) for time in times)):
        times = times[skipped:]
        notes.append(f"the first {skipped} frames cannot be decoded: what they build on is not in the file")
    base = stream.time_base
    if not timed:
        base, times = 1 / rate, list(range(len(packets)))
        notes.append(f"the file has no usable timestamps; its frames are {float(rate):g} a second")
    ending = next((span for time, span, _ in packets if timed and time == times[-1]), 0)
    if not ending:
        ending = times[-1] - times[-2] if len(times) > 1 else max(1, round(1 / rate / base))
    keys = tuple(sorted(time for time, _, key in packets if key and time is not None))
    return Film(
        path, stream.index, first.height, first.width, first.format.name, layout, colour,
        stream.sample_aspect_ratio, _matrix(first), rate, base, tuple(times), ending, keys, timed, tuple(notes),
    )  # fmt: skip


def _samples(path: Path, frame: "av.VideoFrame") -> tuple[Layout, Colour]:
    name = frame.format.name
    layout = layout_of(name)
    if layout is None:
        raise RequestError(
            f"{path}: has samples of the kind {name}; expected YCbCr, RGB or grey of 8 to 16 bits, opaque"
        )
    reach = FULL if name.startswith("yuvj") else frame.color_range
    colour = Colour(reach, frame.colorspace, frame.color_primaries, frame.color_trc)
    if layout.kind == "yuv" and colour.weights(frame.height) is None:
        raise RequestError(
            f"{path}: has colour matrix {colour.matrix} of H.273; expected BT.601, 709 or 2020"
        )
    return layout, colour


def frames(film: Film, first: int, last: int) -> Iterator["av.VideoFrame"]:
    """Yield frames from number ``first`` to before ``last``, each checked against its time.

    Decoding starts at a key frame before the first; where the decoder then leaves out frames that build on what
    lies before it, at the key frame before that, and at last from the beginning.
    """
    if first >= last:
        return
    for start in _starts(film, first):
        number = first
        for counted, frame in enumerate(_decoded(film, start)):
            time = frame.pts if film.timed else counted
            if time is not None and time < film.times[number] and number == first:
                continue
            if time != film.times[number]:
                if number == first:
                    break
                raise ImageError(f"{film.path}: frame {number} cannot be decoded")
            _check_like(film, frame, number)
            yield frame
            number += 1
            if number == last:
                return
        if number > first:
            raise ImageError(f"{film.path}: ends after {number} of {film.count} frames")
    raise ImageError(f"{film.path}: frame {first} cannot be decoded")


def video_stream(path: Path, container: Any) -> Any:  # noqa: ANN401
    """Return the first video stream that is not a cover picture."""
    stream = next((s for s in container.streams.video if not is_cover(s)), None)
    if stream is None:
        raise RequestError(f"{path}: holds no video stream")
    if stream.codec_context is None:
        raise RequestError(f"{path}: no decoder for its video in this build of PyAV")
    return stream


def is_cover(stream: Any) -> bool:  # noqa: ANN401
    """Return whether a video stream is one picture that stands for the file."""
    return bool(stream.disposition & type(stream.disposition).attached_pic)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Yield a file's container; what is wrong with the file becomes one line."""
    av = pyav(path)
    try:
        size, wanted = path.stat().st_size, promised(path)
        if wanted is not None and size < wanted:
            raise ImageError(f"{path}: truncated, {size} of at least {wanted} bytes are there")
        with av.open(str(path)) as container:
            yield container
    except (av.FFmpegError, OSError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise ImageError(f"{path}: cannot be read as a video ({reason})") from None


def pyav(path: object) -> ModuleType:
    """Return the module ``av``; without it, one line says what to install."""
    try:
        import av
    except ImportError:
        raise RequestError(f"{path}: video needs PyAV: {EXTRA}") from None
    return av


def _starts(film: Film, first: int) -> list[int | None]:
    if not film.timed or not first:
        return [None]
    before = [key for key in film.keys if key <= film.times[first]]
    return [*before[-2:][::-1], None]


def _decoded(film: Film, start: int | None) -> Iterator["av.VideoFrame"]:
    with opened(film.path) as container:
        stream = container.streams[film.index]
        stream.thread_type = "AUTO"
        if start is not None:
            container.seek(start, stream=stream, backward=True)
        yield from container.decode(stream)


def _check_frame(path: Path, frame: "av.VideoFrame", stream: Any) -> None:  # noqa: ANN401
    if frame.interlaced_frame or stream.codec_context.field_order not in PROGRESSIVE:
        raise RequestError(f"{path}: is interlaced; expected progressive frames (deinterlace it first)")


def _check_like(film: Film, frame: "av.VideoFrame", number: int) -> None:
    if frame.interlaced_frame:
        raise ImageError(f"{film.path}: frame {number} is interlaced; expected progressive frames")
    got = (frame.width, frame.height, frame.format.name)
    if got != (film.width, film.height, film.format):
        raise ImageError(
            f"{film.path}: frame {number} is {got[0]}x{got[1]} {got[2]}; expected "
            f"{film.width}x{film.height} {film.format} as at the start"
        )


def _lost(frame: "av.VideoFrame") -> Iterator[str]:
    found: Any = frame.side_data
    names = {data.type.name for data in found}
    yield from (what for name, what in LOST.items() if name in names)


def _matrix(frame: "av.VideoFrame") -> tuple[int, ...] | None:
    found: Any = frame.side_data
    for data in found:
        if data.type.name == "DISPLAYMATRIX":
            numbers = memoryview(bytes(data)).cast("i")
            return tuple(numbers)
    return None


def tags_for(film: Film, scale: int) -> Colour:
    """Return the colour tags of the result: the source's; a matrix that went by the height is named if need be."""
    unnamed = film.layout.kind == "yuv" and film.colour.matrix == UNSPECIFIED
    if not unnamed or film.colour.weights(film.height) == film.colour.weights(film.height * scale):
        return film.colour
    named = 1 if film.colour.weights(film.height) == Colour(matrix=1).weights(0) else 6
    return Colour(film.colour.range, named, film.colour.primaries, film.colour.transfer)
