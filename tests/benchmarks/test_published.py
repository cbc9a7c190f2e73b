"""Published tables measured again: the committed record is of the known values, and the README says no more than it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from restoration.benchmarks.published import (
    BICUBIC,
    METRICS,
    PRINTED,
    SCALES,
    SETS,
    edited_values,
    measured,
    protocol,
    tables,
)
from restoration.benchmarks.readme import has_published
from restoration.benchmarks.result import Result, read_result
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


def committed(change=lambda published: None):
    """Return the committed record, edited."""
    document = json.loads(COMMITTED.read_text())
    change(document["provenance"]["published"])
    result = read_result(COMMITTED)
    return replace(result, provenance=document["provenance"])


EDITS = [
    (lambda p: p["values"][0].update(farthest=0.0), "set5-x2-classic/bicubic-x2/psnr-y: farthest 0.0 recorded, "),
    (lambda p: p["values"][1].update(mean=0.5), "set5-x2-classic/bicubic-x2/ssim-y: mean 0.5 recorded, "),
    (lambda p: p["values"][2].update(source="me"), "set5-x2/bicubic-x2/psnr-y: source me recorded, "),
    (lambda p: p["values"][0].update(printed="33.67"), "set5-x2-classic/bicubic-x2/psnr-y: printed 33.67 recorded, None"),
    (lambda p: p["farthest"].update(ssim=1e-9), "ssim 1e-09 recorded, "),
    (lambda p: p["values"].pop(0), "set5-x2-classic/bicubic-x2/psnr-y: no published value"),
    (lambda p: p["values"][0].update(restorer="x"), "set5-x2-classic/x/psnr-y: a published value of no row"),
    (lambda p: p.update(values=3), "not as it was recorded: "),
]  # fmt: skip


@pytest.mark.parametrize(("change", "said"), EDITS, ids=[said.partition(":")[0] for _, said in EDITS])
def test_a_record_of_published_values_that_was_edited_is_told(data_root, change, said):
    assert edited_values(committed(), data_root) == ([], [])
    wrong, unseen = edited_values(committed(change), data_root)
    assert not unseen and any(line.startswith(f"edited: published: {said}") for line in wrong), wrong


def test_where_published_values_are_not_here_their_means_are_looked_at(tmp_path):
    wrong, (unseen,) = edited_values(committed(), tmp_path)
    assert not wrong and unseen.startswith("published values: their means alone were looked at; ")
    assert "\n" not in unseen
    for change, said in (
        (lambda p: p["values"][1].update(mean=0.5), "set5-x2-classic/bicubic-x2/ssim-y: its mean is 0.43 from "),
        (lambda p: p["values"][0].update(printed="33.67"), "set5-x2-classic/bicubic-x2/psnr-y: printed 33.67 "),
        (lambda p: p["farthest"].update(psnr=0.0), "psnr 0.0 recorded, "),
    ):  # fmt: skip
        (line,) = edited_values(committed(change), tmp_path)[0]
        assert line.startswith(f"edited: published: {said}")


def test_a_result_without_published_values_has_nothing_to_look_at(tmp_path):
    assert edited_values(Result("", {}, []), tmp_path) == ([], [])
