"""Everything of a file but its restored video: streams copied packet by packet, chapters, metadata."""

import io
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from restoration.errors import RequestError
from restoration.video.encoding import Encoding
from restoration.video.reading import Film, is_cover, opened, pyav
from restoration.video.settings import CODECS

STALE = ("BPS", "DURATION", "ENCODER", "NUMBER_OF_", "_STATISTICS_")  # of the video that was
OWN = ("compatible_brands", "encoder", "major_brand", "minor_version")  # what a muxer says of its own file
MUXER_OPTIONS = {".mp4": "+faststart", ".m4v": "+faststart", ".mov": "+faststart"}
COVERLESS = (".mov", ".webm")
IMAGES = {"mjpeg": ("jpg", "image/jpeg"), "png": ("png", "image/png")}
CONTAINERS = {".m4v": "mp4", ".mkv": "matroska", ".mov": "mov", ".mp4": "mp4", ".webm": "webm"}


@dataclass(frozen=True)
class Cut:
    """A span of time in seconds, from ``start`` to before ``end``; what begins there begins at 0 in the result."""

    start: Fraction
    end: Fraction

    @classmethod
    def of(cls, film: Film, first: int, last: int) -> "Cut | None":
        """Return the span of these frames; None where they are all."""
        if (first, last) == (0, film.count):
            return None
        start = film.times[first] * film.base if first else Fraction(0)
        return cls(start, film.end_of(last - 1) * film.base)


@dataclass
class Head:
    """An output file's streams: the restored video's, and those copied packet by packet, by index in the source."""

    video: Any
    copies: dict[int, Any] = field(default_factory=dict)


def rehearse(film: Film, encoding: Encoding, suffix: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the streams that can be copied into such a file, and what is said of others; writes nothing.

    Audio, subtitles and other videos that do not fit are refused in one line, since something would be lost
    unnoticed; a cover, or data that no muxer knows (a telephone's sensors, say), is left out and named.
    """
    with opened(film.path) as source:
        fits, notes = [], []
        _try(film, encoding, source, suffix, ())
        for stream in source.streams:
            if stream.index == film.index or _is_chapters(source, stream):
                continue
            spare = is_cover(stream) or stream.type in ("data", "attachment", "unknown")
            try:
                if is_cover(stream) and suffix in COVERLESS:
                    raise RequestError(f"{suffix} holds no cover")
                _try(film, encoding, source, suffix, (stream.index,))
            except RequestError:
                what = f"stream {stream.index} ({stream.type}, {_name(stream)})"
                if spare:
                    notes.append(f"{what} does not fit into {suffix}: left out")
                    continue
                kind = film.path.suffix.lower()
                other = (
                    kind if kind in CONTAINERS and kind != suffix else ".mkv" if suffix != ".mkv" else ".mp4"
                )
                raise RequestError(
                    f"{film.path}: {what} does not fit into {suffix}; expected another kind, such as {other}"
                ) from None
            fits.append(stream.index)
    return tuple(fits), tuple(notes)


def head(
    film: Film,
    encoding: Encoding,
    source: Any,  # noqa: ANN401
    output: Any,  # noqa: ANN401
    copied: tuple[int, ...],
    suffix: str,
) -> Head:
    """Add the streams to an output, with all that is said about them; nothing is written yet."""
    video = output.add_stream(CODECS[encoding.codec].encoder, rate=encoding.rate)
    encoding.configure(video.codec_context, suffix)
    was = source.streams[film.index]
    video.time_base = film.base
    video.metadata.update({k: v for k, v in was.metadata.items() if not k.upper().startswith(STALE)})
    video.disposition = was.disposition
    if film.matrix:
        video.set_display_matrix(film.matrix)
    streams = Head(video)
    for index in copied:
        template = source.streams[index]
        if is_cover(template) and suffix == ".mkv":
            output.add_attachment(*_cover(film.path, index))
            continue
        copy = output.add_stream_from_template(template, opaque=True)
        copy.metadata.update(template.metadata)
        copy.disposition = template.disposition
        streams.copies[index] = copy
    output.metadata.update({k: v for k, v in source.metadata.items() if k.lower() not in OWN})
    return streams


def options(film: Film, source: Any, suffix: str) -> dict[str, str]:  # noqa: ANN401
    """Return the muxer's options; an Apple file's own keys are kept as such."""
    if suffix not in MUXER_OPTIONS:
        return {}
    own = any(key.startswith("com.") for key in source.metadata)
    return {"movflags": MUXER_OPTIONS[suffix] + ("+use_metadata_tags" if own else "")}


def chapters(source: Any, cut: Cut | None) -> list[dict[str, Any]]:  # noqa: ANN401
    """Return the chapters, those of a cut clipped to it."""
    if cut is None:
        return list(source.chapters())
    kept = []
    for chapter in source.chapters():
        base = chapter["time_base"] or Fraction(1, 1000)
        start, end = (
            max(cut.start, min(chapter[key] * base, cut.end)) - cut.start for key in ("start", "end")
        )
        if start < end:
            kept.append({**chapter, "start": round(start / base), "end": round(end / base)})
    return kept


def packets(source: Any, copied: tuple[int, ...], cut: Cut | None) -> Iterator[Any]:  # noqa: ANN401
    """Yield the packets of the copied streams; of a cut, those that begin in it, moved to its beginning.

    Subtitles that are shown when a cut begins begin with it; another video begins with its first key frame.
    """
    if not copied:
        return
    begun: set[int] = set()
    for packet in source.demux([source.streams[index] for index in copied]):
        if not packet.size:
            continue
        if cut is None or is_cover(packet.stream):
            yield packet
        elif _moved(packet, cut, packet.stream.type == "subtitle"):
            whole = packet.stream.type != "video" or packet.stream.index in begun or packet.is_keyframe
            if whole:
                begun.add(packet.stream.index)
                yield packet


def _cover(path: Path, index: int) -> tuple[str, str, bytes]:
    """Return the name, the type and the bytes of a cover picture, which Matroska keeps as an attachment."""
    with opened(path) as source:
        stream = source.streams[index]
        end, kind = IMAGES.get(stream.codec_context.name, ("bin", "application/octet-stream"))
        name = stream.metadata.get("filename", f"cover.{end}")
        data = next((bytes(packet) for packet in source.demux(stream) if packet.size), b"")
        return name, stream.metadata.get("mimetype", kind), data


def _moved(packet: Any, cut: Cut, shown: bool) -> bool:  # noqa: ANN401
    """Return whether a packet belongs to a cut; if so, its times count from the cut's beginning."""
    base, time = packet.time_base, packet.pts if packet.pts is not None else packet.dts
    if time is None:
        return False
    start, end = (
        round(cut.start / base),
        cut.end / base,
    )  # a cut from the first frame on takes what precedes it
    if shown and time < start < time + (packet.duration or 0):
        packet.duration = time + packet.duration - start
        packet.pts = packet.dts = 0
        return True
    if (start and time < start) or time >= end:
        return False
    packet.pts = None if packet.pts is None else packet.pts - start
    packet.dts = None if packet.dts is None else packet.dts - start
    return True


def _try(film: Film, encoding: Encoding, source: Any, suffix: str, copied: tuple[int, ...]) -> None:  # noqa: ANN401
    av = pyav(film.path)
    try:
        with suppress(io.UnsupportedOperation):
            output = av.open(io.BytesIO(), "w", format=CONTAINERS[suffix])
            head(film, encoding, source, output, copied, suffix)
            output.start_encoding()
            output.close()
    except (av.FFmpegError, ValueError, AttributeError) as error:
        codec = CODECS[encoding.codec]
        raise RequestError(
            f"{film.path}: {codec.encoder} in {suffix} does not take {encoding.width}x{encoding.height} "
            f"{encoding.format} ({' '.join(str(error).split())}); expected another --codec or file"
        ) from None


def _is_chapters(source: Any, stream: Any) -> bool:  # noqa: ANN401
    """Return whether a stream is where MP4 keeps its chapters' names, which no one reads; they are written anew."""
    return stream.type == "data" and stream.discard == type(stream.discard).all and bool(source.chapters())


def _name(stream: Any) -> str:  # noqa: ANN401
    return str(getattr(stream, "name", None) or "unknown")
