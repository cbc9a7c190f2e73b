"""What a user says about a video: which frames, and how the result is encoded."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from restoration.config import nearest
from restoration.errors import RequestError
from restoration.video.colour import Layout

Noise = Literal["still", "moving"]
EXTRA = 'pip install "restoration-suite[video]"'


@dataclass(frozen=True)
class Codec:
    """An encoder: its name in FFmpeg, the quality that stands where none is asked for, and the lowest quality."""

    encoder: str
    crf: int | None = None  # None: lossless whatever is asked
    worst: int = 0
    options: Mapping[str, str] | None = None
    even: bool = False  # takes no odd sizes where chroma is halved
    lossless: Mapping[str, str] | None = None  # what quality 0 is asked for by

    def options_of(self, crf: int | None) -> dict[str, str]:
        """Return the encoder's options for a quality; 0 is lossless where the encoder can be."""
        options = dict(self.options or {})
        if self.crf is None:
            return options
        quality = self.crf if crf is None else crf
        if quality == 0 and self.lossless:
            return options | dict(self.lossless)
        return options | {"crf": str(quality)}


CODECS = {
    "av1": Codec("libsvtav1", 20, 63, {"preset": "6"}),
    "ffv1": Codec("ffv1", options={"level": "3", "slicecrc": "1", "context": "1"}),
    # x264's macroblock tree makes other bytes of the same frames from run to run
    "h264": Codec("libx264", 16, 51, {"preset": "medium", "x264-params": "mbtree=0"}, True, {"qp": "0"}),
    "h265": Codec("libx265", 18, 51, {"preset": "medium", "x265-params": "log-level=error"}, True,
                  {"x265-params": "log-level=error:lossless=1"}),
    "vp9": Codec("libvpx-vp9", 20, 63, {"b": "0", "row-mt": "1", "cpu-used": "2"}, False, {"lossless": "1"}),
}  # fmt: skip
# a file's suffix → the codecs that belong in it, the default first
HOLDS = {
    ".m4v": ("h264", "h265"),
    ".mkv": ("h264", "h265", "ffv1", "vp9", "av1"),
    ".mov": ("h264", "h265"),
    ".mp4": ("h264", "h265", "vp9", "av1"),
    ".webm": ("vp9", "av1"),
}


@dataclass(frozen=True)
class Settings:
    """Which frames are restored, and how they are encoded.

    ``frames`` is "A:B", from A to before B, counted from 0, either left out; "" means all. ``codec`` "auto" is the
    first that belongs into the file (H.264 at quality 16; VP9 at 20 in WebM), or lossless FFV1 for RGB in Matroska.
    ``crf`` runs from 0, lossless except in AV1, to 51 or 63. ``segment`` frames at a time are finished for good:
    each starts with a key frame, and an interrupted run goes on after the last. ``noise`` of restorers that start
    from some is "still", the same in every frame, or "moving": each frame has a seed of its own.
    """

    frames: str = ""
    codec: str = "auto"
    crf: int | None = None
    segment: int = 96
    noise: Noise = "still"

    def __post_init__(self) -> None:
        if self.noise not in get_args(Noise):
            raise RequestError(f"--noise {self.noise}: expected {' or '.join(get_args(Noise))}")
        if self.codec not in ("auto", *CODECS):
            known = ("auto", *CODECS)
            raise RequestError(
                f"--codec {self.codec}: expected {', '.join(known)}{nearest(self.codec, known)}"
            )
        if self.segment < 1:
            raise RequestError(f"--segment {self.segment}: expected a number of frames, at least 1")
        self.frames_of(None)
        if self.codec != "auto":
            self._check_quality(self.codec)

    def frames_of(self, count: int | None, path: object = "") -> tuple[int, int]:
        """Return (first, last), last outside, of a video of ``count`` frames."""
        start, colon, stop = self.frames.partition(":")
        good = all(not text or text.isdecimal() for text in (start, stop)) and (bool(colon) or not start)
        first, last = (int(start or 0), int(stop) if stop else count) if good else (0, 0)
        if not good or (last is not None and first >= last):
            raise RequestError(f"--frames {self.frames}: expected A:B, from A to before B, counted from 0")
        if count is not None and (last is None or last > count):
            raise RequestError(
                f"--frames {self.frames}: {path} has {count} frames; expected A:B with A < B <= {count}"
            )
        return first, last or 0

    def codec_for(self, suffix: str, layout: Layout, height: int, width: int, path: object = "") -> str:
        """Return the name of the codec for a file of this suffix, and samples of this size that lie like this."""
        held = HOLDS[suffix]
        if self.codec not in ("auto", *held):
            raise RequestError(f"--codec {self.codec}: not in {suffix} files; expected {', '.join(held)}")
        odd = any(side % 2 and halved for side, halved in zip((height, width), layout.down, strict=True))
        fit = [name for name in held if not (odd and CODECS[name].even)]
        wanted = fit if self.codec == "auto" else [name for name in fit if name == self.codec]
        if not wanted:
            tried = " or ".join(held) if self.codec == "auto" else self.codec
            raise RequestError(
                f"{path}: {tried} takes no odd size such as {width}x{height} with chroma of half the size; "
                f"expected {'--codec ' + ' or '.join(fit) if fit else 'a .mkv or .mp4'}"
            )
        lossy = [name for name in wanted if CODECS[name].crf is not None]
        name = "ffv1" if layout.kind == "rgb" and "ffv1" in wanted else [*lossy, *wanted][0]
        self._check_quality(name)
        return name

    def decisive(self) -> dict[str, object]:
        """Return what decides which frames a result has, and their samples."""
        moving = {} if self.noise == "still" else {"noise": self.noise}
        return {"frames": self.frames, "codec": self.codec, "crf": self.crf, **moving}

    def asked(self) -> str:
        """Return the first option that is not at its default, as it was typed."""
        for name, value in vars(self).items():
            if value != getattr(type(self), name):
                return f"--{name} {value}"
        return ""

    def _check_quality(self, name: str) -> None:
        codec = CODECS[name]
        if self.crf is not None and codec.crf is None:
            raise RequestError(f"--crf {self.crf}: {name} is lossless; expected no --crf beside it")
        if self.crf is not None and not 0 <= self.crf <= codec.worst:
            raise RequestError(f"--crf {self.crf}: expected 0 to {codec.worst} for {name}")
