"""How long a page of a hundred images takes to open from disk in headless Chromium.

``python -m restoration.benchmarks.speed_page --out benchmarks/results/speed_page.json``

The page is that of an ordinary run: three restorers by four metrics on a hundred photographs, with as many pictures as
a page may hold. Every time is one of a browser that was started for it, with a profile of its own and nothing in
caches but the file; once more with a processor that the browser slows down four times, as a phone has.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

from restoration.benchmarks.browser import Browser
from restoration.benchmarks.gallery import Gallery
from restoration.benchmarks.protocol import load_protocol
from restoration.benchmarks.report import page
from restoration.benchmarks.report_pictures import affordable
from restoration.benchmarks.run import benchmark
from restoration.benchmarks.timing import environment
from restoration.data import data_root
from restoration.weights import load

RESTORERS = ("bicubic-x4", "nearest-x4", "sr-x4-small")
METRICS = ("psnr-y", "ssim-y", "gmsd", "spectrum-error")
FOLDER = "bsds500/train"  # photographs of 481 × 321 pixels
SLOWED = 4
TIMES = """(() => {
  const [page] = performance.getEntriesByType("navigation");
  const [paint] = performance.getEntriesByName("first-contentful-paint");
  return page.loadEventEnd && paint ? { painted: paint.startTime, opened: page.loadEventEnd } : null;
})()"""
SHOWN = """new Promise(done => {
  const start = performance.now(), viewer = document.querySelector(".viewer");
  const [image, other] = viewer.querySelectorAll(".stage img");
  const ready = one => one.getAttribute("src") && one.complete && one.naturalWidth;
  const look = () => ready(image) && ready(other) ? done(performance.now() - start) : requestAnimationFrame(look);
  GO;
  requestAnimationFrame(look);
})"""
FIRST = SHOWN.replace("GO", "viewer.scrollIntoView()")
NEXT = SHOWN.replace("GO", "viewer.querySelector('[data-role=next]').click()")


def main() -> None:
    """Make the page, time it, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--keep", type=Path, help="write the page here too")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    text, what = full_page(arguments.images)
    if arguments.keep:
        arguments.keep.write_text(text, encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        path.write_text(text, encoding="utf-8")
        seconds = {
            "full speed": timed(path, arguments.repeats, 1),
            f"processor slowed {SLOWED} times": timed(path, arguments.repeats, SLOWED),
        }
        with Browser() as browser:
            what["browser"] = browser.run("navigator.userAgent").rpartition("(KHTML, like Gecko) ")[2]
    record = {
        "command": "python -m restoration.benchmarks.speed_page",
        "environment": environment(),
        "page": what,
        "repeats": arguments.repeats,
        "seconds": seconds,
    }
    print(json.dumps({key: value for key, value in record.items() if key != "environment"}, indent=1))
    if arguments.out:
        arguments.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def full_page(images: int) -> tuple[str, dict[str, Any]]:
    """Return the page of that many photographs, and what is on it."""
    root, gallery = data_root(), Gallery()
    names = sorted(path.relative_to(root).as_posix() for path in (root / FOLDER).iterdir())[:images]
    if len(names) < images:
        raise SystemExit(f"{root / FOLDER}: {len(names)} images; expected {images}")
    protocol = replace(load_protocol("bsds-dev30-x4", metrics=METRICS), name="page-x4", clean=tuple(names))
    restorers = {name: load(name) for name in RESTORERS}
    result = benchmark(restorers, [protocol], watchers=[gallery])
    shown = affordable({protocol.name: list(gallery.of(protocol.name))})[protocol.name]
    text = page(result, gallery)
    what = {
        "images": images,
        "images with pictures": len(shown),
        "restorers": len(RESTORERS),
        "metrics": len(METRICS),
        "mib": round(len(text.encode()) / 2**20, 2),
    }
    return text, what


def timed(path: Path, repeats: int, slowed: float = 1) -> dict[str, dict[str, float]]:
    """Return the median and the largest seconds of each moment, over browsers that were started anew."""
    found = [_once(path, slowed) for _ in range(repeats)]
    return {
        moment: {
            "median": round(median(one[moment] for one in found), 4),
            "largest": round(max(one[moment] for one in found), 4),
        }
        for moment in found[0]
    }


def _once(path: Path, slowed: float) -> dict[str, float]:
    """Return the seconds from the request to first paint and load event, and from scroll and press to pictures."""
    with Browser() as browser:
        browser.size(1280, 900)
        if slowed != 1:
            browser.call("Emulation.setCPUThrottlingRate", rate=slowed)
        browser.open(path)
        browser.wait(f"{TIMES} !== null")
        times = browser.run(TIMES)
        seen = {"first paint": times["painted"], "opened": times["opened"]}
        seen["pictures after scrolling to them"] = browser.run(FIRST)
        seen["pictures of the next image"] = browser.run(NEXT)
    return {moment: milliseconds / 1000 for moment, milliseconds in seen.items()}


if __name__ == "__main__":
    main()
