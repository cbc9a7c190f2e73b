"""One row of pixels of every frame of a clip, one below the other: flicker shows as steps, movement as slopes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from restoration.benchmarks import pictures
from restoration.benchmarks.pictures import Window

LONGEST = 400  # frames that a profile has at most; those after them are left out


@dataclass
class Profile:
    """The profile of one clip, by the label of each version: the row in the middle of ``best``, as wide as ``view``."""

    view: Window
    best: Window
    frames: int = 0
    rows: dict[str, list[np.ndarray]] = field(default_factory=dict)

    @property
    def row(self) -> int:
        """Return which row it is, of the clean frame."""
        return self.best.top + self.best.height // 2

    def add(self, images: Mapping[str, np.ndarray]) -> None:
        """Take in the next frame: label → samples (H, W, C); a smaller version gives the row that shows the same."""
        if self.frames >= LONGEST:
            return
        height = max(image.shape[0] for image in images.values())
        for label, image in images.items():
            shrink = max(1, height // image.shape[0])
            left, width = self.view.left // shrink, max(1, self.view.width // shrink)
            row = image[min(self.row // shrink, image.shape[0] - 1), left : left + width]
            self.rows.setdefault(label, []).append(row)
        self.frames += 1

    def encoded(self) -> dict[str, bytes]:
        """Return each version's picture without loss, time downwards; those that lack frames are left out."""
        whole = {label: rows for label, rows in self.rows.items() if len(rows) == self.frames}
        return {label: pictures.encoded(np.stack(rows), lossless=True) for label, rows in whole.items()}
