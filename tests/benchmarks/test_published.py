"""Published tables measured again: the committed record is of the known values, and the README says no more than it."""

import json
import re
from pathlib import Path

import pytest

from restoration.benchmarks.published import (
    BICUBIC,
    METRICS,
    PRINTED,
    SCALES,
    SETS,
    measured,
    protocol,
    tables,
)
from restoration.benchmarks.readme import has_published
from restoration.benchmarks.result import read_result
from restoration.errors import RequestError

ROOT = Path(__file__).parent.parent.parent
COMMITTED = ROOT / "benchmarks" / "results" / "published-tables.json"


def test_settings_that_show_in_conventions_alone_are_in_the_name_of_a_table():
    rounded = protocol("set5-x4[luma=uint8]")
    assert (rounded.name, rounded.luma, rounded.metrics) == ("set5-x4[luma=uint8]", "uint8", METRICS)
    assert protocol("set5-x4").luma == "float" and protocol("set5-x4-classic").colour == "luma"


def test_values_that_are_not_here_are_one_line(tmp_path):
    with pytest.raises(RequestError) as caught:
        list(tables(tmp_path))
    assert str(caught.value) == (
        f"{tmp_path}/golden/{BICUBIC}.json: no such file; expected the values that others measured, image by image"
    )


def test_every_table_of_which_values_are_known_is_measured(data_root):
    found = list(tables(data_root))
    assert len(found) == len(SETS) * len(SCALES) * 3 + len(SETS) * 2 + 1
    assert len({(t.protocol.name, t.restorer) for t in found}) == len(found)
    assert all(t.known for t in found)


def test_a_table_is_held_against_its_values(data_root):
    table = next(t for t in tables(data_root) if t.protocol.name == "set5-x3")
    result = measured([table], "test")
    assert has_published(result) and [row.n for row in result.rows] == [5, 5]
    farthest = result.provenance["published"]["farthest"]
    assert farthest["psnr"] < 1e-4 and farthest["ssim"] < 1e-5
    first = result.provenance["published"]["values"][0]
    assert first["source"] == f"{BICUBIC}, B_u8rgb_f" and first["mean"] == pytest.approx(30.4033, abs=1e-4)


def test_the_committed_record_is_complete_and_what_the_tables_print_comes_out():
    result = read_result(COMMITTED)
    published = result.provenance["published"]
    assert len(result.rows) == len(published["values"]) == 46
    for value, row in zip(published["values"], result.rows, strict=True):
        assert (value["protocol"], value["restorer"], value["metric"], value["convention"]) == row.key
        assert abs(row.mean - value["mean"]) <= value["farthest"]
    for metric in ("psnr", "ssim"):
        own = [value["farthest"] for value in published["values"] if value["metric"].startswith(metric)]
        assert published["farthest"][metric] == max(own)
    printed = {
        (v["protocol"], v["restorer"], v["metric"]): v["printed"]
        for v in published["values"]
        if "printed" in v
    }
    assert printed == PRINTED
    for row in result.rows:
        if text := printed.get(row.key[:3]):
            assert f"{row.mean:.{len(text.partition('.')[2])}f}" == text


def test_the_committed_values_are_those_of_the_files(data_root):
    known = {(t.protocol.name, Path(t.restorer).name): t for t in tables(data_root)}
    for value in json.loads(COMMITTED.read_text())["provenance"]["published"]["values"]:
        values = known[value["protocol"], value["restorer"]].known.values()
        mean = sum(each[METRICS.index(value["metric"])] for each in values) / len(values)
        assert value["mean"] == pytest.approx(mean, abs=1e-12)


def test_the_readme_says_no_more_than_the_record():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    said = re.search(r"to ([\d.]+) dB and ([\d.]+) of SSIM\s+\(\[", text)
    farthest = read_result(COMMITTED).provenance["published"]["farthest"]
    assert farthest["psnr"] <= float(said[1]) <= 10 * farthest["psnr"]
    assert farthest["ssim"] <= float(said[2]) <= 10 * farthest["ssim"]
