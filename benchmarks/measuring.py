"""The images of one protocol, one at a time, through every restorer and every metric; only their numbers stay."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from restoration.apply import Inference, restore_image
from restoration.benchmarks.cache import Cache, Kept
from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.protocol import Protocol
from restoration.benchmarks.provenance import PeakMemory
from restoration.benchmarks.samples import Sample
from restoration.benchmarks.scores import Beside, Planes, Score, planes, score
from restoration.benchmarks.sets import CLEAN, Sets
from restoration.benchmarks.sources import Frames
from restoration.errors import RequestError, RestorationError
from restoration.losses.features import forget, shared_passes
from restoration.restorers.network import Restorer

# called with each restored image as it comes, before the next one exists
Watcher = Callable[[Protocol, str, Sample, Tensor], None]


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

    ``total`` is how many images the protocol has; this process may see a share of them.
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
    ) -> None:
        self.protocol, self.restorers, self.inference, self.total = protocol, restorers, inference, total
        self.cache, self.watchers = cache, watchers
        self.sets = Sets(protocol, total, forced)
        self.each = [name for name in protocol.metrics if METRICS[name].kind != "set"]  # of every image
        self.planes = [*protocol.metrics, *self.sets.metrics]  # whose planes are needed
        self.tallies = {name: Tally({metric: {} for metric in self.each}) for name in restorers}
        self.clip: Path | None = None
        self.before: dict[str, Planes] = {}  # restorer, and the clean one → planes of the frame before

    def take(self, sample: Sample) -> None:
        """Restore one image by every restorer and score it; features of the clean one are made once for all."""
        clean = None if sample.clean is None else planes(sample.clean, self.protocol, self.planes)
        clip = Path(sample.name).parent if isinstance(self.protocol.source, Frames) else None
        if clip != self.clip:
            self.clip, self.before = clip, {}
        seen: dict[str, Planes] = {} if clip is None or clean is None else {CLEAN: clean}
        with shared_passes():
            self.sets.add(CLEAN, sample.position, clean)
            for name, restorer in self.restorers.items():
                try:
                    restored = self._restored(restorer, sample, self.tallies[name])
                except RestorationError as error:  # the others still run, and the gap in this row says why
                    self._miss(name, sample.name, " ".join(str(error).split()))
                    continue
                found = planes(restored, self.protocol, self.planes)
                beside = self._beside(sample, name)
                scores = score(found, clean, self.protocol, self.each, beside)
                self.tallies[name].note(sample.name, scores)
                self.sets.add(name, sample.position, found)
                for plane in found.values():
                    forget(plane)
                if clip is not None:
                    seen[name] = found
                for watch in self.watchers:
                    watch(self.protocol, name, sample, restored)
        self.before = seen

    def lose(self, image: str, reason: str) -> None:
        """Note why an image could not be read."""
        for name in self.tallies:
            self._miss(name, image, reason)

    def _miss(self, restorer: str, image: str, reason: str) -> None:
        self.tallies[restorer].note(image, dict.fromkeys(self.each, reason))
        if self.sets.metrics:
            self.sets.skipped.setdefault(restorer, []).append(reason)

    def _beside(self, sample: Sample, restorer: str) -> Beside:
        before = None
        if restorer in self.before and CLEAN in self.before:
            before = self.before[restorer], self.before[CLEAN]
        return Beside(sample.degraded, sample.mask, self.clip is not None, before)

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
        memory = PeakMemory(torch.device(self.inference.device))
        memory.reset()
        started = time.perf_counter()
        restored = restore_image(
            restorer, image, tile=self.inference.tile, precision=self.inference.precision,
            ensemble=self.inference.ensemble, device=self.inference.device,
        ).cpu()  # fmt: skip
        if mask is not None and restored.shape == sample.degraded.shape:  # what is known stays as it is
            restored = torch.where(mask > 0.5, restored, sample.degraded)
        return Kept(restored, time.perf_counter() - started, memory.read())
