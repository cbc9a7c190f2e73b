"""The images of one protocol, one at a time, through every restorer and every metric; only their numbers stay."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from restoration import memory
from restoration.apply import Inference, restore_image
from restoration.benchmarks.aside import Aside
from restoration.benchmarks.cache import Cache, Kept
from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.protocol import Protocol
from restoration.benchmarks.provenance import PeakMemory
from restoration.benchmarks.result import Row, make_row
from restoration.benchmarks.samples import Sample, loaded_ahead
from restoration.benchmarks.scores import Beside, Planes, Score, in_a_line, planes, score
from restoration.benchmarks.sets import CLEAN, Sets
from restoration.benchmarks.sources import Frames
from restoration.errors import ImageError, RequestError, RestorationError
from restoration.losses.features import forget, shared_passes
from restoration.restorers.network import Restorer

# called with each restored image in the order of the protocol, by one thread
Watcher = Callable[[Protocol, str, Sample, Tensor], None]
Progress = Callable[[str, int, int], None]  # protocol, images done, images in all
Facts = Mapping[str, Any]  # hashes of an image
Placed = tuple[int, Any]  # a place in the protocol, and a `Case` or `Entry`
Outcome = tuple[str, Tensor | str]  # a restorer, and what it made of an image, or why it made nothing


@dataclass
class Tally:
    """What one restorer has gathered on one protocol."""

    values: dict[str, dict[str, Score]]  # metric → image → value
    seconds: float = 0.0
    peak_mib: float = 0.0
    cached: int = 0  # images that were restored before; their cost is that of then

    def note(self, image: str, scores: Mapping[str, Score]) -> None:
        """Add the scores of one image."""
        for metric, value in scores.items():
            self.values[metric][image] = value


class Measuring:
    """One protocol under way: tallies of every restorer, and the sets that some metrics compare.

    ``total`` is how many images the protocol has; this process may see a share of them. ``overlap`` scores an image in
    a second thread while the next one is restored, with the same results. By default that is done where restorers run
    on another device than the processor, which scores: on one processor both would wait for each other, and the
    seconds of restorers would be those of scoring too.
    """

    def __init__(
        self,
        protocol: Protocol,
        restorers: Mapping[str, Restorer],
        inference: Inference,
        total: int,
        forced: bool = False,
        cache: Cache | None = None,
        watchers: Sequence[Watcher] = (),
        overlap: bool | None = None,
    ) -> None:
        self.protocol, self.restorers, self.inference, self.total = protocol, restorers, inference, total
        self.cache, self.watchers = cache, watchers
        self.sets = Sets(protocol, total, forced)
        self.each = [name for name in protocol.metrics if METRICS[name].kind != "set"]  # of every image
        self.planes = [*protocol.metrics, *self.sets.metrics]  # whose planes are needed
        self.tallies = {name: Tally({metric: {} for metric in self.each}) for name in restorers}
        self.clusters: dict[str, str] = {}  # image → what it shares with others
        self.places: dict[str, int] = {}  # image → its place in the protocol
        self.clip: Path | None = None
        self.before: dict[str, Planes] = {}  # restorer, and the clean one → planes of the frame before
        elsewhere = torch.device(inference.device).type != "cpu"
        self.aside = Aside[Outcome]() if (elsewhere if overlap is None else overlap) else None

    def take(self, sample: Sample) -> None:
        """Restore one image by every restorer and score it; features of the clean one are made once for all."""
        self._place(sample)
        outcomes = self._outcomes(sample)
        if self.aside is None:
            self._score(sample, outcomes)
        else:
            self.aside.follow(partial(self._score, sample), outcomes)

    def lose(self, image: str, reason: str, place: int) -> None:
        """Note why the image of a place in the protocol could not be read."""
        self.finish()
        self.places[image] = place
        for name in self.tallies:
            self._miss(name, image, reason)

    def through(
        self, load: Callable[[Placed], Sample], ours: Sequence[Placed], told: Callable[[Sample], Facts],
        progress: Progress | None = None,
    ) -> dict[str, Facts]:  # fmt: skip
        """Take in images (place, entry), the next loaded meanwhile; return what ``told`` says of each, if anything.

        Where one cannot be read, the others still count, and every row says why this one does not.
        """
        facts: dict[str, Facts] = {}

        def tried(placed: Placed) -> Sample | str:
            try:
                return load(placed)
            except ImageError as error:
                return str(error)

        for done, (placed, sample) in enumerate(zip(ours, loaded_ahead(tried, ours), strict=True), 1):
            if isinstance(sample, str):
                self.lose(placed[1].name, sample, placed[0])
            else:
                facts[sample.name] = {key: value for key, value in told(sample).items() if value}
                self.take(sample)
            if progress is not None:
                progress(self.protocol.name, done, len(ours))
        self.finish()
        return facts

    def rows(self, restorer: str) -> list[Row]:
        """Return the row of every metric of a restorer, and those of what stands in for one."""
        protocol, tally, rows = self.protocol, self.tallies[restorer], list[Row]()
        for metric in protocol.metrics:
            if METRICS[metric].kind == "set":
                rows += self.sets.rows(restorer, metric, tally.seconds, tally.peak_mib)
                continue
            head = (protocol.name, restorer, metric, protocol.convention(metric))
            rows.append(make_row(*head, tally.values[metric], tally.seconds, tally.peak_mib, self.clusters))
        return rows

    def finish(self) -> None:
        """Wait until every image that was taken is scored."""
        if self.aside is not None:
            self.aside.finish()

    def _outcomes(self, sample: Sample) -> Iterator[Outcome]:
        """Yield every restorer's name with the restored image, or with why there is none: the others still run."""
        for name, restorer in self.restorers.items():
            try:
                yield name, self._restored(restorer, sample, self.tallies[name])
            except RestorationError as error:
                yield name, in_a_line(error)

    def _place(self, sample: Sample) -> None:
        """Note where in the protocol an image is, and what it shares with others."""
        self.places[sample.name] = sample.position
        if sample.cluster:
            self.clusters[sample.name] = self.sets.clusters[sample.position] = sample.cluster

    def _score(self, sample: Sample, outcomes: Iterator[Outcome]) -> None:
        """Score one image of every restorer."""
        with self._told(sample):
            self._scored(sample, outcomes)

    @contextmanager
    def _told(self, sample: Sample) -> Iterator[None]:
        """Tell what goes wrong with the image's name."""
        try:
            yield
        except RestorationError as error:
            raise RestorationError(f"{self.protocol.name}, {sample.name}: {error}") from error
        except Exception as error:
            error.add_note(f"while {sample.name} of {self.protocol.name} was measured")
            raise

    def _scored(self, sample: Sample, outcomes: Iterator[Outcome]) -> None:
        clip = Path(sample.name).parent if isinstance(self.protocol.source, Frames) else None
        if clip != self.clip:
            self.clip, self.before = clip, {}
        with shared_passes():
            with memory.kept():
                clean = None if sample.clean is None else planes(sample.clean, self.protocol, self.planes)
                self.sets.add(CLEAN, sample.position, clean)
            seen: dict[str, Planes] = {} if clip is None or clean is None else {CLEAN: clean}
            for name, restored in outcomes:
                if isinstance(restored, str):
                    self._miss(name, sample.name, restored)
                    continue
                with memory.kept():
                    found = self._compared(sample, name, restored, clean)
                if clip is not None:
                    seen[name] = found
                for watch in self.watchers:
                    watch(self.protocol, name, sample, restored)
        self.before = seen

    def _compared(self, sample: Sample, restorer: str, restored: Tensor, clean: Planes | None) -> Planes:
        """Note what all metrics say of a restored image, and return its planes."""
        found, scores = self._valued(sample, restorer, restored, clean)
        self._note(sample, restorer, found, scores)
        for plane in found.values():
            forget(plane)
        return found

    def _valued(
        self, sample: Sample, restorer: str, restored: Tensor, clean: Planes | None
    ) -> tuple[Planes, dict[str, Score]]:
        """Return a restored image's planes, and what all metrics of single images say of it."""
        found = planes(restored, self.protocol, self.planes)
        return found, score(found, clean, self.protocol, self.each, self._beside(sample, restorer))

    def _note(self, sample: Sample, restorer: str, found: Planes, scores: Mapping[str, Score]) -> None:
        self.tallies[restorer].note(sample.name, scores)
        self.sets.add(restorer, sample.position, found)

    def _miss(self, restorer: str, image: str, reason: str) -> None:
        self.tallies[restorer].note(image, dict.fromkeys(self.each, reason))
        self.sets.skip(restorer, self.places[image], reason)

    def _beside(self, sample: Sample, restorer: str) -> Beside:
        before = None
        if restorer in self.before and CLEAN in self.before:
            before = self.before[restorer], self.before[CLEAN]
        return Beside(sample.degraded, sample.mask, self.clip is not None, before, sample.flow)

    def _restored(self, restorer: Restorer, sample: Sample, tally: Tally) -> Tensor:
        """Return the restored image on the CPU, and add time and memory to the tally."""
        inference, output = self.inference, self.protocol.output
        mask = sample.mask if "mask" in restorer.conditions else None
        key = self.cache and self.cache.key(restorer, sample.degraded, mask, inference, output)
        kept = self.cache.get(key) if self.cache else None
        if kept is None:
            kept = self._run(restorer, sample, mask)
            if self.cache:
                self.cache.put(key, kept, output)
        else:
            tally.cached += 1
        tally.seconds += kept.seconds
        tally.peak_mib = max(tally.peak_mib, kept.peak_mib)
        return kept.image

    def _run(self, restorer: Restorer, sample: Sample, mask: Tensor | None) -> Kept:
        image = sample.degraded
        if "mask" in restorer.conditions:
            if mask is None:
                raise RequestError(f"'{restorer.card.name}' fills holes: this task has no masks")
            image = torch.cat((image * (1 - mask), mask), 1)
        peak = PeakMemory(torch.device(self.inference.device))
        peak.reset()
        started = time.perf_counter()
        restored = restore_image(
            restorer, image, tile=self.inference.tile, precision=self.inference.precision,
            ensemble=self.inference.ensemble, device=self.inference.device,
        ).cpu()  # fmt: skip
        if mask is not None and restored.shape == sample.degraded.shape:  # what is known stays as it is
            restored = torch.where(mask > 0.5, restored, sample.degraded)
        return Kept(restored, time.perf_counter() - started, peak.read())
