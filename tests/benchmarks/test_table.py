"""Markdown tables: nothing measured in different ways stands in one column."""

import pytest

from restoration.benchmarks.result import Result, compare, make_row
from restoration.benchmarks.table import BEGIN, END, fill_markers, readme_tables, run_table
from restoration.errors import RequestError

FLOAT, ROUNDED = "y-float,border=4,uint8-output", "y-uint8,border=4,uint8-output"


def result(protocol, restorer, values, metric="psnr-y", convention=FLOAT, parameters=0, **settings):
    rows = [
        make_row(protocol, restorer, metric, convention, {str(i): v for i, v in enumerate(values)}, 0.5, 300)
    ]
    settings = {"task": "super-resolution", "scale": 4, "colour": "rgb"} | settings
    provenance = {
        "protocols": {protocol: {"settings": settings}},
        "restorers": {restorer: {"parameters": parameters}},
    }
    return Result("restoration benchmark", provenance, rows)


def commit(folder, name, made):
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(made.to_json())


def columns(line):
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_table_of_a_run():
    values = [28.0, 31.0, 24.0, 30.0, 29.0]
    rows = [
        make_row(
            "set5-x4", "bicubic-x4", "psnr-y", FLOAT, {str(i): v for i, v in enumerate(values)}, 0.25, 310.4
        ),
        make_row(
            "set5-x4", "ours", "psnr-y", FLOAT, {str(i): v + 2 for i, v in enumerate(values)}, 1.5, 420.0
        ),
    ]
    text = run_table(Result("", {}, rows, compare(rows)))
    assert "| restorer | psnr-y | seconds | peak MiB |" in text
    assert "| bicubic-x4 | 28.4000 (25.05 to 31.75) | 0.25 | 310 |" in text
    assert "- ours against bicubic-x4, psnr-y: +2.00 (+2.00 to +2.00), too few images" in text
    assert f"- psnr-y: {FLOAT}" in text


def test_one_column_per_protocol_and_convention(tmp_path):
    folder = tmp_path / "results"
    commit(folder, "a.json", result("set5-x4", "bicubic-x4", [28.0, 29.0]))
    commit(folder, "b.json", result("set5-x4", "bicubic-x4", [27.0, 28.5], convention=ROUNDED))
    commit(folder, "c.json", result("set5-x4", "ours", [31.0, 32.0], parameters=123456))
    lines = readme_tables(folder).split("\n")
    assert lines[0] == "**Super-resolution ×4**"
    assert columns(lines[2]) == ["restorer", "parameters", "set5-x4 psnr-y (1)", "set5-x4 psnr-y (2)"]
    assert columns(lines[4]) == ["bicubic-x4", "0", "28.5000", "27.7500"]
    assert columns(lines[5]) == ["ours", "123,456", "31.5000", ""]
    assert lines[-1] == f"Conventions: (1) {FLOAT}; (2) {ROUNDED}."


def test_metrics_of_one_convention_share_a_cell_and_tasks_do_not_share_a_table(tmp_path):
    folder = tmp_path / "results"
    commit(folder, "a.json", result("set5-x4", "ours", [31.0, 32.0]))
    commit(folder, "b.json", result("set5-x4", "ours", [0.9, 0.8], metric="ssim-y"))
    commit(folder, "c.json", result("kodak5-color-25", "identity", [20.0], task="denoising", scale=1))
    text = readme_tables(folder)
    assert "set5-x4 psnr-y / ssim-y (1)" in text and "31.5000 / 0.8500" in text
    assert text.index("**Super-resolution ×4**") < text.index("**Denoising**")


def test_files_that_are_no_results_are_passed_over_and_two_that_disagree_are_refused(tmp_path):
    folder = tmp_path / "results"
    commit(folder, "a.json", result("set5-x4", "ours", [31.0, 32.0]))
    (folder / "speed.json").write_text("[1, 2]")
    assert "31.5000" in readme_tables(folder)
    commit(folder, "b.json", result("set5-x4", "ours", [31.0, 32.5]))
    with pytest.raises(RequestError) as caught:
        readme_tables(folder)
    assert str(caught.value) == (
        f"{folder}/b.json and {folder}/a.json: different values for ours on set5-x4 (psnr-y, {FLOAT}); delete one"
    )


def test_the_markers_of_a_readme_are_filled_and_must_be_there():
    assert fill_markers(f"a\n{BEGIN}\nold\n{END}\nb\n", "new") == f"a\n{BEGIN}\n\nnew\n\n{END}\nb\n"
    with pytest.raises(RequestError) as caught:
        fill_markers("nothing", "new")
    assert str(caught.value) == f"README: expected one '{BEGIN}' and after it one '{END}'"
