"""One video, decoded, restored and encoded at once, a segment at a time."""

import hashlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from restoration.apply import Inference, restore_image
from restoration.dials.drift import Drift, drift
from restoration.dials.masks import Masks, check_masked
from restoration.dials.sampling import MEANINGLESS, draws, of_frame
from restoration.errors import RequestError
from restoration.restorers.network import Restorer
from restoration.video.colour import Conversion, Picture
from restoration.video.copying import rehearse
from restoration.video.encoding import Encoding, Segment
from restoration.video.flow import optical_flow
from restoration.video.frames import nearest_format, planes_of
from restoration.video.joining import MATROSKA, join
from restoration.video.masks import FrameMasks, masks_of, with_hole
from restoration.video.reading import Film, frames, probe, pyav, tags_for
from restoration.video.segments import Parts
from restoration.video.settings import CODECS, HOLDS, Settings
from restoration.video.window import Flow, radius_of, windows, with_conditions

Item = TypeVar("Item")
OnFrame = Callable[[Path, int, int], None]  # (source, frames done, of how many)
AHEAD = 2  # frames decoded, and as many to be encoded, beside the one that is being restored
EDGE = 1 << 20  # bytes at a file's beginning and end that tell it from others


def restore_video(
    restorer: Restorer,
    source: str | Path,
    target: str | Path,
    *,
    settings: Settings | None = None,
    inference: Inference | None = None,
    flow: Flow | None = None,
    masks: Masks | None = None,
    on_frame: OnFrame = lambda source, done, total: None,
) -> tuple[str, ...]:
    """Restore a video; returns lines about what could not stay as it was.

    Frames keep their times, the file its other streams, chapters, metadata and colour tags. Finished segments are
    kept in ``.NAME.parts`` beside ``target``: the same call goes on where an interrupted one was. The file appears
    whole or not at all. A restorer with conditions "neighbour" and "flow" is given them; ``flow`` makes the latter,
    ``optical_flow`` by default. One with the condition "mask" is given that of each frame; see
    `restoration.video.masks`.
    """
    source, target = Path(source), Path(target)
    settings, inference = settings or Settings(), inference or Inference()
    suffix = check_suffix(target)
    film = probe(source)
    if film.layout.bits > 8 and inference.precision == "auto":
        inference = replace(inference, precision="fp32")
    flow = flow or optical_flow
    check_masked(restorer.conditions, restorer.card.name, masks, pictures=False)
    radius = 0 if masks else radius_of(restorer.conditions, restorer.card.name)
    if settings.noise == "moving" and not draws(restorer):
        raise RequestError(f"--noise moving: '{restorer.card.name}' {MEANINGLESS['seed']}")
    if radius and inference.ensemble:
        raise RequestError("--self-ensemble: has no meaning for a restorer that is given motion")
    first, last = settings.frames_of(film.count, source)
    encoding, notes = encoding_for(film, settings, suffix, restorer.scale)
    copied, left = rehearse(film, encoding, suffix)
    frame_masks = masks_of(masks, film) if masks else None
    plan = _plan(restorer, inference, film, encoding, settings, frame_masks)
    parts = Parts(target, plan, settings.segment, first, last)
    parts.ready()
    made = Work(restorer, film, encoding, inference, radius, flow, frame_masks, settings.noise == "moving")
    missing = parts.missing()
    done = last - first - sum(stop - start for start, stop in missing)
    on_frame(source, done, last - first)
    for spans in _runs(missing):
        for _ in made.segments(parts, spans):
            done += 1
            on_frame(source, done, last - first)
    late = join(film, encoding, parts, target, copied)
    parts.remove()
    late += made.drifted()
    anew = ("parts of an earlier run with other settings were made again",) if parts.anew else ()
    if inference.consistent:
        notes += ("consistent with the input before frames are rounded and encoded, which costs some of it",)
    return (*film.notes, *notes, *left, *anew, *late)


class Work:
    """What is done with frames: decoded by one thread, restored by the caller's, encoded by another."""

    def __init__(
        self, restorer: Restorer, film: Film, encoding: Encoding, inference: Inference, radius: int,
        flow: Flow, masks: FrameMasks | None = None, moving: bool = False,
    ) -> None:  # fmt: skip
        self.masks, self.moving = masks, moving
        self.restorer, self.film, self.encoding, self.inference = restorer, film, encoding, inference
        self.radius, self.flow = radius, flow
        self.drifts: dict[int, Drift] = {}
        self.decoded = Conversion(film.layout, film.colour, film.height)
        self.encoded = Conversion(encoding.layout, encoding.colour, film.height)

    def segments(self, parts: Parts, spans: list[tuple[int, int]]) -> Iterator[None]:
        """Make the segments of adjoining spans; yields after every frame."""
        stretch = windows(self._pictures, spans[0][0], spans[-1][1], self.film.count, self.radius)
        with closing(_ahead(stretch)) as coming, closing(self._holes(spans[0][0], spans[-1][1])) as holes:
            for span in spans:
                with parts.writer(span) as writer, ThreadPoolExecutor(1, thread_name_prefix="encode") as pool:
                    segment = Segment(self.encoding, writer, span[0])
                    pending: deque[Future[None]] = deque()
                    for number in range(*span):
                        picture, restored = self._restored(next(coming), next(holes), number)
                        if number == span[0] and not self.masks:
                            self.drifts[number] = drift(
                                _samples(picture.image), _samples(restored.clamp(0, 1))
                            )
                        pending.append(pool.submit(self._encode, segment, picture, restored))
                        if len(pending) > AHEAD:
                            pending.popleft().result()
                        yield
                    for future in pending:
                        future.result()
                    segment.close()

    def drifted(self) -> tuple[str, ...]:
        """Return a line of the frame whose colours moved most, of the first ones of segments, where that is seen."""
        most = max(self.drifts, key=lambda number: self.drifts[number].mean, default=None)
        if most is None or not self.drifts[most].visible:
            return ()
        return (f"frame {most}: {self.drifts[most]}",)

    def _pictures(self, first: int, last: int) -> Iterator[Picture]:
        for frame in frames(self.film, first, last):
            yield self.decoded.picture(planes_of(frame, self.film.layout))

    def _holes(self, first: int, last: int) -> Generator[np.ndarray | None, None, None]:
        yield from self.masks.holes(first, last) if self.masks else repeat(None, last - first)

    def _restored(
        self, window: tuple[Picture | None, ...], hole: np.ndarray | None, number: int
    ) -> tuple[Picture, Tensor]:
        picture = window[len(window) // 2]
        if picture is None:
            raise ValueError("the window has no frame in its middle")
        with of_frame(self.restorer, number) if self.moving else nullcontext():
            if hole is not None:
                return self._filled(picture, hole)
            images = [None if near is None else near.image for near in window]
            degraded = with_conditions(images, self.restorer.conditions, self.flow)
            return picture, restore_image(self.restorer, degraded, **vars(self.inference))

    def _filled(self, picture: Picture, hole: np.ndarray) -> tuple[Picture, Tensor]:
        """Return the picture without what its hole hides, and the restored image: outside the hole the picture's."""
        degraded, mask = with_hole(picture.image, hole)
        restored = restore_image(self.restorer, degraded, **vars(self.inference))
        excess = None if picture.excess is None else picture.excess.masked_fill(mask, 0)
        return replace(picture, excess=excess), torch.where(mask, restored, picture.image)

    def _encode(self, segment: Segment, picture: Picture, restored: Tensor) -> None:
        segment.add(self.encoded.planes(picture.with_excess(restored, self.restorer.scale)))


def _samples(image: Tensor) -> np.ndarray:
    return image[0].permute(1, 2, 0).float().cpu().numpy()


def encoding_for(film: Film, settings: Settings, suffix: str, scale: int) -> tuple[Encoding, tuple[str, ...]]:
    """Return how the result is encoded, and what is said of samples that it cannot hold as they are."""
    av = pyav(film.path)
    size = (film.height * scale, film.width * scale)
    name = settings.codec_for(suffix, film.layout, *size, film.path)
    encoder = CODECS[name].encoder
    try:
        av.codec.Codec(encoder, "w")
    except av.codec.codec.UnknownCodecError:
        raise RequestError(f"--codec {name}: this build of PyAV has no {encoder}") from None
    found = nearest_format(encoder, film.layout)
    if found is None:
        others = [other for other in HOLDS[suffix] if other != name]
        raise RequestError(
            f"{film.path}: its samples are {film.format}, which {encoder} does not encode; "
            f"expected --codec {', '.join(others) or 'ffv1 and .mkv'}"
        )
    if film.aspect not in (None, 0, 1) and suffix in MATROSKA and name not in ("h264", "h265"):
        raise RequestError(
            f"{film.path}: its pixels are {film.aspect} as wide as high, which {name} in {suffix} cannot say here; "
            "expected --codec h264 or h265 (--crf 0 is lossless), or a .mp4"
        )
    format, layout = found
    notes: tuple[str, ...] = ()
    if layout.bits < film.layout.bits:
        notes = (f"{encoder} holds {layout.bits} of the source's {film.layout.bits} bits",)
    if settings.codec == "auto" and name != (usual := settings.codec_for(suffix, film.layout, 2, 2)):
        notes += (f"encoded as {name}: {usual} takes no odd sizes with chroma of half the size",)
    colour = tags_for(film, scale)
    return Encoding(name, settings.crf, format, layout, *size, film.rate, colour, film.aspect), notes


def check_suffix(target: Path) -> str:
    """Return the suffix of a video that can be written; others are refused."""
    suffix = target.suffix.lower()
    if suffix not in HOLDS:
        raise RequestError(f"--out {target}: cannot write '{suffix}' videos; expected {' '.join(HOLDS)}")
    return suffix


def _plan(
    restorer: Restorer, inference: Inference, film: Film, encoding: Encoding, settings: Settings,
    masks: FrameMasks | None,
) -> dict[str, object]:  # fmt: skip
    """Return what decides the result, to be compared with what an earlier run wrote down."""
    av = pyav(film.path)
    beside: dict[str, object] = {} if masks is None else {"masks": masks.described()}
    if settings.noise != "still":
        beside["noise"] = settings.noise
    return beside | {
        "source": {"size": film.path.stat().st_size, "edges": _edges(film.path), "stream": film.index},
        "frames": settings.frames_of(film.count, film.path),
        "segment": settings.segment,
        "encoding": encoding.described(),
        "restorer": [restorer.card.name, repr(restorer.card.network), repr(restorer.card.training)],
        "weights": restorer.digest or _weights(restorer),
        "inference": {k: v for k, v in vars(inference).items() if k not in ("device", "tile")},
        "libraries": {name: list(version) for name, version in av.library_versions.items()},
    }


def _edges(path: Path) -> str:
    """Return the sha256 of a file's first and last bytes."""
    total = hashlib.sha256()
    with path.open("rb") as stream:
        total.update(stream.read(EDGE))
        stream.seek(max(0, path.stat().st_size - EDGE))
        total.update(stream.read(EDGE))
    return total.hexdigest()


def _weights(restorer: Restorer) -> str:
    total = hashlib.sha256()
    for name, value in restorer.state_dict().items():
        total.update(name.encode())
        total.update(value.detach().cpu().contiguous().numpy().tobytes())
    return total.hexdigest()


def _runs(spans: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """Return spans in groups in which each begins where the one before ends."""
    groups: list[list[tuple[int, int]]] = []
    for span in spans:
        if groups and groups[-1][-1][1] == span[0]:
            groups[-1].append(span)
        else:
            groups.append([span])
    return groups


def _ahead(items: Iterator[Item]) -> Generator[Item, None, None]:
    """Yield what a thread of its own takes from ``items``, a few ahead; its errors are raised here."""
    ready: queue.Queue[tuple[bool, Item | BaseException | None]] = queue.Queue(AHEAD)
    stopped = threading.Event()

    def put(good: bool, what: Item | BaseException | None) -> None:
        while not stopped.is_set():
            try:
                ready.put((good, what), timeout=0.1)
            except queue.Full:
                continue
            return

    def fill() -> None:
        try:
            for item in items:
                put(True, item)
                if stopped.is_set():
                    return
            put(False, None)
        except BaseException as error:
            put(False, error)

    thread = threading.Thread(target=fill, name="decode", daemon=True)
    thread.start()
    try:
        while True:
            good, what = ready.get()
            if not good:
                if what is not None:
                    raise what  # type: ignore[misc]
                return
            yield what  # type: ignore[misc]
    finally:
        stopped.set()
        thread.join()
