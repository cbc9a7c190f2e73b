"""The page of conventions: one column each, how far apart they lie, whether the order changes."""

import re

import numpy as np
import pytest

from restoration.benchmarks.report import page, write_result
from restoration.benchmarks.report_conventions import headlines, measures
from restoration.benchmarks.result import Result, make_row

RECORD = {"measure": "psnr", "words": "as <papers> print", "remark": ""}
RECORDS = {
    "matlab: y-float,border=4; ours": RECORD | {"name": "matlab", "library": "", "by": "ours"},
    "piq: rgb,border=0; by piq": RECORD | {"name": "piq", "library": "piq", "by": "piq 0.8.0"},
    "pyiqa: rgb,border=0,more; ours": RECORD
    | {"name": "pyiqa", "library": "pyiqa", "by": "ours", "remark": "pyiqa is not installed"},
}


def result(values, records=RECORDS):
    """Return a result: restorer → its mean by each convention; None stands for no value."""
    rows = [
        make_row(
            "set5-x4", name, "psnr-y", convention,
            {"a.png": "refused", "b.png": "refused"} if mean is None else {"a.png": mean - 1, "b.png": mean + 1},
        )
        for name, means in values.items() for convention, mean in zip(records, means, strict=False)
    ]  # fmt: skip
    return Result("restoration benchmark --conventions all", {"conventions": records}, rows)


@pytest.fixture(scope="module")
def made():
    return result({"bicubic-x4": (28.4, 26.7, 26.8), "sr-small": (31.5, 29.5, 29.6)})


def test_there_is_a_column_for_each_convention_and_no_number_of_another_in_it(made):
    (measure,) = measures(made, "set5-x4")
    assert [column.name for column in measure.columns] == ["matlab", "piq", "pyiqa"]
    assert [column.by for column in measure.columns] == [
        "our own code",
        "piq 0.8.0",
        "our own code in its stead",
    ]
    assert [column.exactly for column in measure.columns] == [
        "y-float,border=4",
        "rgb,border=0",
        "rgb,border=0,more",
    ]
    for row in made.rows:
        cell = measure.cells[row.restorer, list(RECORDS).index(row.convention)]
        assert cell.order == row.mean and cell.best == (row.restorer == "sr-small")


def test_the_spread_is_that_of_the_restorer_that_they_disagree_on_most(made):
    (measure,) = measures(made, "set5-x4")
    assert (
        measure.spread
        == "PSNR of the same images of sr-small is 29.50 dB by piq and 31.50 dB by matlab, 2.00 dB apart."
    )
    assert headlines(made) == [f"set5-x4: {measure.spread}"]


def test_whether_the_order_depends_on_the_convention_is_said(made):
    (measure,) = measures(made, "set5-x4")
    assert measure.ranking == "All put the restorers in one order: sr-small, bicubic-x4."
    (measure,) = measures(result({"a": (30, 20, 20), "b": (29, 21, 19)}), "set5-x4")
    assert measure.ranking == (
        "The order of the restorers depends on the convention: a, b by matlab, pyiqa (ours); b, a by piq."
    )
    (measure,) = measures(result({"a": (30, 20, 20)}), "set5-x4")
    assert measure.ranking == "" and not any(cell.best for cell in measure.cells.values())


def test_what_a_library_refuses_is_a_gap_with_its_reason():
    found = result({"a": (30, None, 20)})
    (measure,) = measures(found, "set5-x4")
    assert measure.cells["a", 1].text == "–" and measure.cells["a", 1].missing == "2 missing: refused"
    assert ("a: a.png", ["29.0000", "–", "19.0000"]) in measure.images
    assert "2 missing: refused" in page(found)


def test_without_any_value_there_is_a_page_too():
    found = result({"a": (None, None, None)})
    (measure,) = measures(found, "set5-x4")
    assert measure.plot is None and measure.spread == "" and headlines(found) == []
    assert "2 missing: refused" in page(found)


def test_the_dots_of_a_line_are_those_of_its_convention(made):
    (measure,) = measures(made, "set5-x4")
    assert [line.name for line in measure.plot.lines] == ["matlab", "piq", "pyiqa (ours)"]
    low, high = float(measure.plot.ticks[0][1]), float(measure.plot.ticks[-1][1])
    places = [[dot.x for dot in line.dots] for line in measure.plot.lines]
    expected = [[28.4, 31.5], [26.7, 29.5], [26.8, 29.6]]
    assert np.allclose(places, 100 * (np.array(expected) - low) / (high - low), atol=0.01)


def test_the_page_has_no_other_tables_and_escapes_words(made):
    text = page(made)
    heads = re.findall(r'<th scope="col"[^>]*><button type="button">([^<]*)</button>', text)
    assert heads == ["restorer", "matlab", "piq", "pyiqa"]
    assert "as &lt;papers&gt; print" in text and "<papers>" not in text
    assert "Everyone against everyone" not in text and "Perception and distortion" not in text
    assert "pyiqa is not installed" in text


def test_the_files_are_a_result_its_table_and_its_page(made, tmp_path):
    paths = write_result(tmp_path, made)
    assert [path.name for path in paths] == ["result.json", "table.md", "report.html"]
    assert paths[1].read_text().startswith("**set5-x4, psnr**")
