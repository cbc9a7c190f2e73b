"""Frames → encoded packets: one segment, or the head of the file that they end in."""

import os
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from restoration.video.colour import Colour, Layout
from restoration.video.frames import frame_of
from restoration.video.segments import Packet, Writer
from restoration.video.settings import CODECS

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Encoding:
    """How frames are encoded. Frames are numbered for the encoder; their times are put on the packets."""

    codec: str
    crf: int | None
    format: str
    layout: Layout
    height: int
    width: int
    rate: Fraction
    colour: Colour
    aspect: Fraction | None

    def described(self) -> dict[str, object]:
        """Return what decides the bytes, to be compared with what an earlier run wrote down."""
        codec = CODECS[self.codec]
        return {
            "encoder": codec.encoder, "options": codec.options_of(self.crf), "format": self.format,
            "size": [self.height, self.width], "rate": str(self.rate), "aspect": str(self.aspect),
            "colour": list(vars(self.colour).values()),
        }  # fmt: skip

    def context(self) -> Any:  # noqa: ANN401
        """Return an encoder of its own, opened."""
        import av
        from av.codec.context import Flags

        context = av.codec.CodecContext.create(CODECS[self.codec].encoder, "w")
        context.flags |= Flags.global_header
        self.configure(context)
        context.open()
        return context

    def configure(self, context: Any, suffix: str = "") -> None:  # noqa: ANN401
        """Set size, format, colour tags and quality; in the files that want one, the tag that players know."""
        os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder: errors only
        context.width, context.height, context.pix_fmt = self.width, self.height, self.format
        context.framerate, context.time_base = self.rate, 1 / self.rate
        context.bit_rate = 0
        context.color_range, context.colorspace = self.colour.range, self.colour.matrix
        context.color_primaries, context.color_trc = self.colour.primaries, self.colour.transfer
        if self.aspect:
            context.sample_aspect_ratio = self.aspect
        if self.codec == "h265" and suffix in (".m4v", ".mov", ".mp4"):
            context.codec_tag = "hvc1"
        context.options = CODECS[self.codec].options_of(self.crf)


class Segment:
    """Encodes frames from number ``first`` on into a writer."""

    def __init__(self, encoding: Encoding, writer: Writer, first: int) -> None:
        self.context, self.writer = encoding.context(), writer
        self.encoding = encoding
        self.first = self.next = first

    def add(self, planes: "list[np.ndarray]") -> None:
        """Encode the next frame."""
        colour = self.encoding.colour
        frame = frame_of(planes, self.encoding.format)
        frame.color_range, frame.colorspace = colour.range, colour.matrix
        frame.color_primaries, frame.color_trc = colour.primaries, colour.transfer
        frame.pts, frame.time_base = self.next - self.first, 1 / self.encoding.rate
        self.next += 1
        self._write(self.context.encode(frame))

    def close(self) -> None:
        """Encode what the encoder still holds, and end the segment."""
        self._write(self.context.encode(None))
        self.writer.close(self.context.extradata or b"")

    def _write(self, packets: list[Any]) -> None:
        for packet in packets:
            number = self.first + round(packet.pts * packet.time_base * self.encoding.rate)
            self.writer.add(Packet(number, packet.is_keyframe, bytes(packet)))
