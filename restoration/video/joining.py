"""Finished segments and everything else of the source become one file, which is read again before it appears."""

import itertools
import os
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from restoration.errors import RestorationError
from restoration.video.copying import CONTAINERS, Cut, chapters, head, options, packets
from restoration.video.encoding import Encoding
from restoration.video.reading import Film, opened, pyav
from restoration.video.segments import Parts

MATROSKA = (".mkv", ".webm")  # whose timestamps are whole milliseconds
MILLISECOND = Fraction(1, 1000)
EXACT = ("audio", "video")  # streams whose packets are counted again; subtitles may gain empty ones


def join(
    film: Film, encoding: Encoding, parts: Parts, target: Path, copied: tuple[int, ...]
) -> tuple[str, ...]:
    """Write ``target`` of the parts and of what is copied; nothing is encoded again. Returns what is to be said."""
    av = pyav(film.path)
    first, last = parts.spans[0][0], parts.spans[-1][1]
    cut = Cut.of(film, first, last)
    draft = parts.folder / f"joined{target.suffix.lower()}"
    suffix = target.suffix.lower()
    try:
        with opened(film.path) as source:
            form, how = CONTAINERS[suffix], options(film, source, suffix)
            with av.open(str(draft), "w", format=form, options=how) as output:
                streams = head(film, encoding, source, output, copied, suffix)
                output.set_chapters(chapters(source, cut))
                output.start_encoding()
                _check_heads(parts, streams.video)
                videos = _video(film, parts, first, cut)
                counts = _mux(output, streams, videos, packets(source, tuple(streams.copies), cut))
        notes = _check(draft, film, first, last, cut, counts)
    except av.FFmpegError as error:
        raise RestorationError(f"{target}: cannot be written ({' '.join(str(error).split())})") from None
    with draft.open("rb+") as stream:
        os.fsync(stream.fileno())
    os.replace(draft, target)
    return notes


def decoding_times(shown: list[int], times: list[int]) -> list[int]:
    """Return the decoding time of each packet, given the number of the frame it shows and the times of frames.

    They rise, and none is after its frame's time: the times themselves, as many places late as packets are early.
    """
    late = max((place - number for place, number in enumerate(shown)), default=0)
    step = times[1] - times[0] if len(times) > 1 else 1
    return [times[0] - (late - i) * step if i < late else times[i - late] for i in range(len(times))]


def _video(film: Film, parts: Parts, first: int, cut: Cut | None) -> Iterator[Any]:
    import av

    shown = [frame - first for index in parts.indices() for frame, _, _ in index.packets]
    start = round(cut.start / film.base) if cut else 0
    times = [time - start for time in film.times[first : first + len(shown)]]
    ends = [*times[1:], film.end_of(first + len(shown) - 1) - start]
    for part, number, dts in zip(parts.packets(), shown, decoding_times(shown, times), strict=True):
        packet = av.Packet(part.data)
        packet.pts, packet.dts, packet.duration = times[number], dts, ends[number] - times[number]
        packet.time_base, packet.is_keyframe = film.base, part.key
        yield packet


def _mux(output: Any, streams: Any, videos: Iterator[Any], others: Iterator[Any]) -> Counter[int]:  # noqa: ANN401
    """Write packets in order of decoding; return how many of each output stream."""
    counts: Counter[int] = Counter()

    def put(packet: Any, stream: Any) -> None:  # noqa: ANN401
        packet.stream = stream
        output.mux(packet)
        counts[stream.index] += 1

    coming = next(videos, None)
    for packet in others:
        at = Fraction(packet.dts if packet.dts is not None else packet.pts or 0) * packet.time_base
        while coming is not None and coming.dts * coming.time_base <= at:
            put(coming, streams.video)
            coming = next(videos, None)
        put(packet, streams.copies[packet.stream.index])
    for packet in itertools.chain([coming] if coming is not None else [], videos):
        put(packet, streams.video)
    return counts


def _check_heads(parts: Parts, video: Any) -> None:  # noqa: ANN401
    extradata = video.codec_context.extradata or b""
    if any(index.extradata != extradata for index in parts.indices()):
        raise RestorationError(
            f"{parts.folder}: its parts were encoded otherwise; remove this folder and start anew"
        )


def _check(
    draft: Path, film: Film, first: int, last: int, cut: Cut | None, counts: Counter[int]
) -> tuple[str, ...]:
    """Refuse a result whose frames, times or packets are not those intended."""
    found: Counter[int] = Counter()
    times: list[Fraction] = []
    with opened(draft) as container:
        kinds = {stream.index: stream.type for stream in container.streams}
        for packet in container.demux():
            if packet.size:
                found[packet.stream.index] += 1
                if packet.stream.index == 0:
                    times.append(packet.pts * packet.time_base)
    if found[0] != last - first:
        raise RestorationError(f"{draft}: {found[0]} frames were written; expected {last - first}")
    for index, count in counts.items():
        if index not in kinds or (kinds[index] in EXACT and found[index] != count):
            raise RestorationError(
                f"{draft}: {found[index]} packets in stream {index}; expected {count} as copied"
            )
    start = cut.start if cut else 0
    wanted = [time * film.base - start for time in film.times[first:last]]
    return _moved(draft.suffix, [a - b for a, b in zip(sorted(times), wanted, strict=True)])


def _moved(suffix: str, late: list[Fraction]) -> tuple[str, ...]:
    """Return what is to be said of frames that are some seconds later than intended; only Matroska may do that."""
    if not any(late):
        return ()
    notes = []
    shift = round(late[0] * 1000) * MILLISECOND
    off = max(abs(each - shift) for each in late)
    if suffix not in MATROSKA or shift < 0 or off > MILLISECOND / 2:
        raise RestorationError(
            f"frames are up to {float(max(map(abs, late))):g} s from their times in {suffix}"
        )
    if shift:
        notes.append(
            f"all streams are {shift * 1000} ms later: another one begins before 0, which {suffix} cannot say"
        )
    if off:
        notes.append(f"{suffix} holds whole milliseconds: frames are up to {float(off * 1000):.2f} ms off")
    return tuple(notes)
