"""How lists are printed."""

import json
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from restoration.outcome import Report


NOTES = 5  # lines about files; more would drown what was done
LISTED = 8  # names that one line holds


def columns(lines: Mapping[str, str]) -> str:
    """Return name and text in two columns, the text folded to the terminal's width."""
    width = max(map(len, lines), default=0) + 2
    room = max(30, shutil.get_terminal_size((110, 40)).columns - width)
    rows = []
    for name, text in lines.items():
        first, *rest = textwrap.wrap(text, room) or [""]
        rows += [f"{name:<{width}}{first}".rstrip(), *(" " * width + line for line in rest)]
    return "\n".join(rows)


def listed(names: Sequence[str], most: int = LISTED) -> str:
    """Return the first names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def dump(lines: Mapping[str, str]) -> str:
    """Return the same as JSON."""
    return json.dumps(dict(lines), indent=1, ensure_ascii=False)


def applied(report: "Report", quiet: bool, as_json: bool) -> None:
    """Print what became of the files; failures go to the error stream, one line each."""
    for line in report.failed.values():
        print(f"restoration: {line}", file=sys.stderr)
    counts = {"written": len(report.written), "kept": len(report.kept), "failed": len(report.failed)}
    if as_json:
        result: dict[str, Any] = counts | {"files": [str(path) for path in report.written]}
        if report.pixels:
            result |= {"seconds": round(report.seconds, 3), "megapixels": report.pixels / 1e6}
        if report.measured:
            result["measured"] = {str(path): values for path, values in report.measured.items()}
        if report.tiling:
            result["tiling"] = report.tiling
        if report.lost:
            result["lost"] = report.lost
        if report.notes:
            result["notes"] = report.notes
        print(json.dumps(result))
    elif not quiet:
        done = ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "nothing to do"
        print(done + _pace(report))
        for note in report.notes[:NOTES]:
            print(note, file=sys.stderr)
        if len(report.notes) > NOTES:
            print(f"and {len(report.notes) - NOTES} notes more: see --json", file=sys.stderr)


def _pace(report: "Report") -> str:
    """Return how long it took and at which rate, where pictures were restored."""
    if not report.pixels:
        return ""
    megapixels, seconds = report.pixels / 1e6, max(report.seconds, 1e-9)
    return f": {_rounded(megapixels)} megapixels in {duration(seconds)}, {_rounded(megapixels / seconds)} a second"


def _rounded(value: float) -> str:
    return f"{value:.2f}" if value >= 1 else f"{value:.2g}"


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    if seconds > 5400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.1f} min" if seconds > 90 else f"{seconds:.1f} s"


def fitted(path: object, facts: Mapping[str, Any]) -> str:
    """Return what became of a transport, in a few lines."""
    images, patches = facts["images"], facts["patches"]
    how = "pairs" if facts["paired"] else "unpaired" + (", means untouched" if facts["mean_free"] else "")
    lines = [
        f"{path}: transport around {facts['restorer']}, {facts['latent']}, patches of {facts['patch']} "
        f"({facts['numbers']} numbers)",
        f"{images['clean']} clean images ({patches['clean']:,} patches), {images['restored']} restored "
        f"({patches['restored']:,}); {'each image brings its own' if facts['zero_shot'] else how}",
    ]
    if "distance" in facts:
        added = (
            f"; carrying them there costs {facts['cost']:.3g} in mean square error" if "cost" in facts else ""
        )
        lines.append(
            f"squared distance of restored from clean patches {facts['distance']:.3g} a number{added}"
        )
    if "autoencoder_psnr" in facts:
        lines.append(
            f"the autoencoder returns clean images at {facts['autoencoder_psnr']:.1f} dB: the transport's ceiling"
        )
    return "\n".join(lines)
