"""Published tables measured again: bicubic by three chains, a network, a denoiser, each held against known values.

python -m restoration.benchmarks.published --out benchmarks/results/published-tables.json
"""

import argparse
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from restoration.benchmarks.dialled import label
from restoration.benchmarks.findings import EXACT, NAMES, is_number
from restoration.benchmarks.peers import run
from restoration.benchmarks.protocol import Protocol, load_protocol
from restoration.benchmarks.result import Result, Row
from restoration.benchmarks.run import benchmark
from restoration.benchmarks.scores import in_a_line
from restoration.data import data_root
from restoration.errors import RequestError
from restoration.files import atomic
from restoration.weights import load

BICUBIC, NETWORKS = "bicubic_set5_set14", "nets_open"  # files of values that others measured, image by image
SETS, SCALES = ("set5", "set14"), (2, 3, 4)
METRICS = ("psnr-y", "ssim-y")
# what the tables themselves print, where that is known
PRINTED = {
    ("set5-x4-classic", "bicubic-x4", "psnr-y"): "28.42",
    ("set14-x4-classic", "bicubic-x4", "psnr-y"): "26.00",
    ("set5-x4[luma=uint8]", "imdn_plus_x4.pth", "psnr-y"): "32.11",
    ("set5-x4[luma=uint8]", "imdn_plus_x4.pth", "ssim-y"): "0.8934",
}

Values = dict[str, tuple[float, float]]  # image → PSNR and SSIM


@dataclass(frozen=True)
class Table:
    """One restorer on one protocol, with the values that each image has by independent measurement, and whose."""

    protocol: Protocol
    restorer: str
    known: Values
    source: str


def tables(root: Path) -> Iterator[Table]:
    """Yield every table of which values are known."""
    known = _read(root, BICUBIC)["values"]
    chains = {"-classic": "A_floatchain", "": "B_u8rgb_f", "[luma=uint8]": "B_u8rgb_u"}
    for name in SETS:
        for scale in SCALES:
            images = known[f"{name.capitalize()}_x{scale}"]["per_image"]
            for suffix, chain in chains.items():
                values = {f"{image}.png": tuple(value[chain]) for image, value in images.items()}
                yield Table(
                    protocol(f"{name}-x{scale}{suffix}"), f"bicubic-x{scale}", values, f"{BICUBIC}, {chain}"
                )
    networks = _read(root, NETWORKS)
    enlarger, denoiser = (str(root / "weights" / file) for file in ("imdn_plus_x4.pth", "dncnn_25.pth"))
    for name in SETS:
        images = networks["imdn_plus_x4"][name]["per_image"]
        for suffix, kind in {"": "floatY", "[luma=uint8]": "u8Y"}.items():
            values = {f"{k}.png": (v[f"psnr_{kind}"], v[f"ssim_{kind}"]) for k, v in images.items()}
            yield Table(protocol(f"{name}-x4{suffix}"), enlarger, values, f"{NETWORKS}, imdn_plus_x4, {kind}")
    images = networks["dncnn_25_sigma25"]["per_image"]
    values = {image: (value["psnr"], value["ssim"]) for image, value in images.items()}
    yield Table(protocol("grey16-25"), denoiser, values, f"{NETWORKS}, dncnn_25_sigma25")


def protocol(name: str) -> Protocol:
    """Return a shipped protocol; settings in brackets, which show in its conventions alone, are in its name too."""
    base, _, settings = name.partition("[")
    found = load_protocol(base, [settings.rstrip("]")] if settings else [], METRICS)
    return replace(found, name=name)


def measured(chosen: Sequence[Table], command: str) -> Result:
    """Return what restorers reach on protocols today, and how far that is from the values that are known."""
    rows: list[Row] = []
    values: list[dict[str, Any]] = []
    provenance: dict[str, Any] = {}
    for table in chosen:
        name = label(table.restorer)
        found = benchmark({name: load(table.restorer)}, [table.protocol])
        for key in ("protocols", "images", "restorers"):
            provenance.setdefault(key, {}).update(found.provenance[key])
        provenance = {**found.provenance, **provenance}
        rows += found.rows
        values += [_held(row, table, METRICS.index(row.metric)) for row in found.rows]
    published = {"farthest": _farthest(values), "values": values}
    return Result(command, provenance | {"published": published}, rows)


def edited_values(result: Result, root: Path) -> tuple[list[str], list[str]]:
    """Return what a result records wrongly of known values, and in a line what could not be looked at.

    Where the values are below the data root, everything is worked out again from them and those of the rows; elsewhere
    a known mean may be no further from the row's than the farthest image.
    """
    if "published" not in result.provenance:
        return [], []
    known: dict[tuple[str, str], Table] = {}
    unseen: list[str] = []
    try:
        known = {(table.protocol.name, label(table.restorer)): table for table in tables(root)}
    except RequestError as error:
        unseen.append(f"published values: their means alone were looked at; {in_a_line(error)}")
    rows, wrong, record = {row.key: row for row in result.rows}, list[str](), result.provenance["published"]
    try:
        told = {tuple(entry[name] for name in NAMES): entry for entry in record["values"]}
        wrong += [f"{'/'.join(key[:3])}: no published value" for key in rows if key not in told]
        for key, entry in told.items():
            table = known.get(key[:2])
            said = _misstated(entry, rows[key], table) if key in rows else "a published value of no row"
            wrong += [f"{'/'.join(key[:3])}: {said}"] if said else []
        if farthest := _other_record(record["farthest"], _farthest(told.values())):
            wrong.append(farthest)
    except (RequestError, AttributeError, LookupError, TypeError, ValueError) as error:
        wrong.append(f"not as it was recorded: {in_a_line(error)}")
    return [f"edited: published: {line}" for line in wrong], unseen


def _misstated(entry: Mapping[str, Any], row: Row, table: Table | None) -> str:
    """Return what is recorded wrongly of the known values of a row, which are not always here; or nothing."""
    if table is not None:
        return _other_record(entry, _held(row, table, METRICS.index(row.metric)))
    if row.mean is None:
        return "a published value of a row without one"
    apart = abs(row.mean - entry["mean"])
    if not apart <= entry["farthest"] + EXACT:
        return f"its mean is {apart:.2g} from the row's, but no image further than {entry['farthest']:.2g}"
    printed = PRINTED.get((row.protocol, row.restorer, row.metric))
    return _other_record({"printed": entry.get("printed")}, {"printed": printed})


def _other_record(said: Mapping[str, Any], right: Mapping[str, Any]) -> str:
    """Return the first entry of a record that is not right, or nothing."""
    for key in dict.fromkeys([*said, *right]):
        one: Any = said.get(key)
        other: Any = right.get(key)
        numbers = is_number(one) and is_number(other)
        if one != other and not (numbers and math.isclose(one, other, rel_tol=EXACT)):
            return f"{key} {one} recorded, {other} found"
    return ""


def _farthest(values: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Return how far an image is at most from what is known of it, by metric."""
    own = list(values)
    return {m: max(v["farthest"] for v in own if v["metric"].startswith(m)) for m in ("psnr", "ssim")}


def _held(row: Row, table: Table, place: int) -> dict[str, Any]:
    """Return the known mean of a row's images, and how far its images are from theirs at most."""
    known = {image: values[place] for image, values in table.known.items()}
    if set(known) != set(row.per_image):
        raise RequestError(f"{row.protocol}: the values of {table.source} are of other images")
    entry = {"protocol": row.protocol, "restorer": row.restorer, "metric": row.metric}
    entry |= {"convention": row.convention, "mean": sum(known.values()) / len(known), "source": table.source}
    printed = PRINTED.get((row.protocol, row.restorer, row.metric))
    entry |= {"farthest": max(abs(row.per_image[image] - value) for image, value in known.items())}
    return entry | ({"printed": printed} if printed else {})


def _read(root: Path, name: str) -> Mapping[str, Any]:
    path = root / "golden" / f"{name}.json"
    if not path.is_file():
        raise RequestError(f"{path}: no such file; expected the values that others measured, image by image")
    return json.loads(path.read_text(encoding="utf-8"))


def main() -> None:
    """Measure, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the JSON to write")
    out = parser.parse_args().out
    result = measured(list(tables(data_root())), f"python -m restoration.benchmarks.published --out {out}")
    with atomic(out) as stream:
        stream.write(result.to_json().encode())
    farthest = result.provenance["published"]["farthest"]
    print(f"{len(result.rows)} means; no image is further from what is known than {farthest}")


if __name__ == "__main__":
    run(main)
