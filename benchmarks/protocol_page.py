"""The page of all protocols and data sets, ``docs/benchmarks.md``, from their TOML and CSV files.

``python -m restoration.benchmarks.protocol_page`` writes it.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from restoration.benchmarks.manifest import (
    SHIPPED,
    datasets,
    licences,
    lines,
    manifest,
    pages,
    records,
    total,
)
from restoration.benchmarks.protocol import Protocol, load_protocol, protocol_names, protocol_path
from restoration.benchmarks.sources import Files, Frames, Made, Masks

HEAD = """# Protocols and data sets

A protocol is a TOML file: which images, how they are degraded, what the restorer sees, and by which convention its
output is scored. `restoration benchmark set5-x4,photos-jpeg-10 RESTORER...` runs those named, `restoration show NAME`
prints one, and a path to a TOML file of your own works like a name. The protocols of `photos` need no data at all.

| `degraded = { name = … }` | the degraded image is |
|---|---|
| `"files", folder` | the file of the same name in a folder, marks such as `x4` or `_LR` left out |
| `"frames", folder, skip, flow` | the same, of clips with a folder each; `skip` frames at their ends are not scored |
| `"masks", folder, hole, ratio, fill, turned` | the clean one with holes of mask files, which go round |
| `"made", degradation, seed, moved` | what a [degradation](degradations.md) makes, drawn by seed and name |
| `"bicubic", edges, rounded` | MATLAB's reduction of the clean one |
| `"noise", sigma, seed, clip` | the clean one with the noise of the published tables |

With `*` in `folder` and in `clean`, both stand for the same text; where `folder` has more of them, one clean image has
several degraded ones. Of masks, only those with a share of hole in (a, b] are used where `ratio = [a, b]`; `turned`
flips and turns each by one of eight ways, by the image's name. `flow` is a folder of Middlebury's .flo files, each
named as a clean frame and leading to the next; without it metrics of frames estimate the flow. `moved` takes the clean
image up to so many whole pixels from aside. `mean = "clips"` averages over clips, of the mean of each, and the
convention says so. `reference`, or the option `--reference FOLDER`, names images that metrics of sets compare with,
such as FFHQ.
`clean = []` with given files scores degraded images that have no truth, by metrics that look at the output alone.
Where a convention could not be checked against the code of those who print by it, the file says "not verified".

## Data

`restoration data status` says in one table what is here, whether its hashes are those of the published files, where it
belongs and where it comes from; `restoration data status vid4-calendar polyu` does so for the sets of some protocols,
names what is missing and exits with 1 until all of it is here. `--json` is for scripts. A copy with other names or in
another encoding is used all the same, and the result says so: pixels decide. Nothing is ever fetched by itself.

A manifest names each file with its size, sha256 and licence where somebody here had it. Sets that nobody here had are
described by counts and, where there is a rule, names.

Made by `python -m restoration.benchmarks.protocol_page`.
"""


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    (parser.parse_args().docs / "benchmarks.md").write_text(page(), encoding="utf-8")


def page() -> str:
    """Return the page's text."""
    protocols = [load_protocol(name) for name in protocol_names()]
    tasks = sorted({protocol.task for protocol in protocols})
    parts = [HEAD, "## Protocols\n"]
    for task in tasks:
        rows = [_protocol_row(protocol) for protocol in protocols if protocol.task == task]
        parts.append(f"### {task}\n\n" + _table(("protocol", "what", "scored", "degraded", "by"), rows))
    rows = [_set_row(name) for name in datasets()]
    parts.append("## Data sets\n\n" + _table(("set", "files", "hashes", "folder", "licence", "from"), rows))
    return "\n".join(parts)


def _protocol_row(protocol: Protocol) -> tuple[str, ...]:
    sentence = protocol_path(protocol.name).read_text(encoding="utf-8").split("\n", 1)[0].lstrip("# ")
    images = scored(protocol)
    conventions = dict.fromkeys(protocol.convention(metric) for metric in protocol.metrics)
    scores = "; ".join(
        f"{', '.join(m for m in protocol.metrics if protocol.convention(m) == convention)} `{convention}`"
        for convention in conventions
    )
    return f"`{protocol.name}`", sentence, f"{images:,}", _degraded(protocol), scores


def scored(protocol: Protocol) -> int:
    """Return how many images a protocol scores: degraded ones where a clean one has several, without skipped frames."""
    clean = [record for entry in protocol.clean for record in records(entry)]
    given = records(protocol.source.given or "") if isinstance(protocol.source, Files | Frames) else []
    most = max(total(clean), total(given))
    if not isinstance(protocol.source, Frames):
        return most
    clips = {Path(record.file).parent for record in clean or given}
    return most - sum(protocol.source.skip) * len(clips)


def _degraded(protocol: Protocol) -> str:
    source = protocol.source
    if isinstance(source, Made):
        aside = f", up to {source.moved} pixels aside" if source.moved else ""
        return f"made: {protocol.degraded['degradation']['name']}{aside}"
    if isinstance(source, Masks):
        turned = ", turned" if source.turned else ""
        return f"holes of {source.folder} ({source.hole}), ratio {source.ratio[0]:g} to {source.ratio[1]:g}{turned}"
    if isinstance(source, Frames):
        left = "" if source.skip == (0, 0) else f", without {source.skip[0]} + {source.skip[1]} frames"
        return f"`{source.folder}`{left}"
    if isinstance(source, Files):
        return f"`{source.folder}`"
    return ", ".join(
        f"{value}" if key == "name" else f"{key} {value}" for key, value in protocol.degraded.items()
    )


def _set_row(name: str) -> tuple[str, ...]:
    found = list(manifest(name).values())
    hashed = sum(bool(record.sha256) for record in found)
    folder = (
        "in the package"
        if name == SHIPPED
        else ", ".join(dict.fromkeys(_folder(f.file) for f in lines(name)))
    )
    return name, f"{total(found):,}", f"{hashed:,}", folder, licences(found), ", ".join(_short(pages(found)))


def _folder(file: str) -> str:
    return f"`{Path(file).parent.as_posix()}`"


def _short(places: Sequence[str]) -> list[str]:
    """Return sites without the folders there; a set may lie in many."""
    return list(dict.fromkeys(place.split(" (")[0] for place in places))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    cells = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells) + "\n"


if __name__ == "__main__":
    main()
