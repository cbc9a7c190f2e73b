"""The pictures of a gallery as a page's script takes them: as data addresses, with the values that stand by them."""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from restoration.benchmarks.gallery import Gallery, Scene, Version
from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.result import Row
from restoration.benchmarks.table import number

BUDGET = 16 * 2**20  # bytes of pictures per page, before base64 adds a third


@dataclass(frozen=True)
class Pictures:
    """What a page shows of one protocol's images.

    ``order`` has the scenes' numbers from the one in which the restorers differ most on; ``clips`` the names of clips,
    each with the numbers of its frames; ``right`` is the version that stands on the right at first.
    """

    scenes: Sequence[Mapping[str, Any]]
    order: Sequence[int]
    clips: Mapping[str, Sequence[int]]
    profiles: Mapping[str, Any]
    right: str
    compared: bool  # whether there are error maps


def pictures(
    protocol: str, scenes: Sequence[Scene], gallery: Gallery | None, rows: Sequence[Row]
) -> Pictures:
    """Return the pictures of a protocol; ``rows`` are those of the metric whose values stand by them."""
    clips: dict[str, list[int]] = {}
    for i, scene in enumerate(scenes):
        if scene.clip is not None:
            clips.setdefault(scene.clip, []).append(i)
    profiles = gallery.profiles_of(protocol) if gallery and clips else {}
    return Pictures(
        scenes=[_scene(scene, rows) for scene in scenes],
        order=_most_different(scenes, rows),
        clips=clips,
        profiles={
            clip: {
                "row": profile.row,
                "frames": profile.frames,
                "versions": [
                    {"label": label, "view": data_uri(data)} for label, data in profile.encoded().items()
                ],
            }
            for clip, profile in profiles.items() if profile.frames > 1
        },
        right=_best(rows),
        compared=any(version.errors for scene in scenes for version in scene.versions),
    )  # fmt: skip


def affordable(
    scenes: Mapping[str, Sequence[Scene]], budget: int | None = None
) -> dict[str, Sequence[Scene]]:
    """Return every scene, or every second, third … of each protocol: the most that the page may hold; one at least."""
    most, stride = BUDGET if budget is None else budget, 1
    while True:
        kept = {name: own[::stride] for name, own in scenes.items()}
        size = sum(scene.size for own in kept.values() for scene in own)
        if size <= most or all(len(own) <= 1 for own in kept.values()):
            return kept
        stride += 1


def data_uri(data: bytes) -> str:
    """Return a picture as an address that holds it."""
    kinds = {b"RIFF": "webp", b"\x89PNG": "png"}
    return f"data:image/{kinds.get(data[:4], 'jpeg')};base64,{b64encode(data).decode()}"


def _scene(scene: Scene, rows: Sequence[Row]) -> dict[str, Any]:
    """Return a scene for the page's script."""
    scores = {row.restorer: row.per_image.get(scene.name) for row in rows}
    metric, view = rows[0].metric, scene.view

    def version(v: Version) -> dict[str, Any]:
        score = f"{number(scores[v.label], metric)} {METRICS[metric].unit}" if v.label in scores else ""
        return {
            "label": v.label,
            "view": data_uri(v.view),
            "crops": [data_uri(crop) for crop in v.crops],
            "errors": data_uri(v.errors) if v.errors else None,
            "score": score.strip(),
        }

    crops = [
        {
            "top": crop.top, "left": crop.left, "height": crop.height, "width": crop.width,
            "y": (crop.top - view.top) / view.height, "x": (crop.left - view.left) / view.width,
            "high": crop.height / view.height, "wide": crop.width / view.width,
        }
        for crop in scene.crops
    ]  # fmt: skip
    return {
        "name": scene.name, "clip": scene.clip, "width": view.width, "height": view.height, "metric": metric,
        "peak": scene.peak, "crops": crops, "versions": [version(v) for v in scene.versions],
    }  # fmt: skip


def _most_different(scenes: Sequence[Scene], rows: Sequence[Row]) -> list[int]:
    """Return the scenes' numbers by the range of the restorers' values; of one restorer alone, the worst first."""
    rank = METRICS[rows[0].metric].rank

    def apart(i: int) -> float:
        values = [rank(row.per_image[scenes[i].name]) for row in rows if scenes[i].name in row.per_image]
        if not values:
            return float("-inf")
        return max(values) - min(values) if len(rows) > 1 else -values[0]

    return sorted(range(len(scenes)), key=apart, reverse=True)


def _best(rows: Sequence[Row]) -> str:
    """Return the restorer of the best mean that is not the first one; that one where it is alone."""
    others = [row for row in rows[1:] if row.mean is not None] or rows[:1]
    return max(others, key=lambda row: METRICS[row.metric].rank(row.mean or 0.0)).restorer
