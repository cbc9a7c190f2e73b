"""Markdown tables: nothing measured in different ways stands in one column."""

from dataclasses import replace

import pytest

from restoration.benchmarks.readme import BEGIN, END, fill_markers, ledger_tables, readme_tables
from restoration.benchmarks.result import Result, Row, compare, make_row
from restoration.benchmarks.table import gaps, run_table
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
    assert "| restorer | n | psnr-y | seconds | peak MiB |" in text
    assert "| bicubic-x4 | 5 | 28.4000 (25.05 to 31.75) | 0.25 | 310 |" in text
    assert "- ours against bicubic-x4, psnr-y: +2.00 (+2.00 to +2.00), too few images" in text
    assert f"- psnr-y: {FLOAT}" in text


def test_one_column_per_protocol_and_convention(tmp_path):
    folder = tmp_path / "results"
    commit(folder, "a.json", result("set5-x4", "bicubic-x4", [28.0, 29.0]))
    commit(folder, "b.json", result("set5-x4", "bicubic-x4", [27.0, 28.5], convention=ROUNDED))
    commit(folder, "c.json", result("set5-x4", "ours", [31.0, 32.0], parameters=123456))
    lines = readme_tables(folder).split("\n")
    assert lines[0] == "**Super-resolution ×4**"
    head = ["restorer", "parameters", "set5-x4 psnr-y, n = 2 (1)", "set5-x4 psnr-y, n = 2 (2)"]
    assert columns(lines[2]) == head
    assert columns(lines[4]) == ["bicubic-x4", "0", "28.5000 (22.15 to 34.85)", "27.7500 (18.22 to 37.28)"]
    assert columns(lines[5]) == ["ours", "123,456", "31.5000 (25.15 to 37.85)", ""]
    assert lines[7] == f"Conventions: (1) {FLOAT}; (2) {ROUNDED}."
    assert lines[-1].startswith("In brackets 95 % intervals. ")


def test_every_metric_has_a_column_and_tasks_do_not_share_a_table(tmp_path):
    folder = tmp_path / "results"
    commit(folder, "a.json", result("set5-x4", "ours", [31.0, 32.0]))
    commit(folder, "b.json", result("set5-x4", "ours", [0.9, 0.8], metric="ssim-y"))
    commit(folder, "c.json", result("kodak5-color-25", "identity", [20.0], task="denoising", scale=1))
    text = readme_tables(folder)
    assert "| set5-x4 psnr-y, n = 2 (1) | set5-x4 ssim-y, n = 2 (1) |" in text
    assert "| 31.5000 (25.15 to 37.85) | 0.85000 (" in text
    assert "| kodak5-color-25 psnr-y, n = 1 (1) |" in text and "| 20.0000 |" in text
    assert text.index("**Super-resolution ×4**") < text.index("**Denoising**")


def test_restorers_that_share_no_protocol_have_tables_of_their_own(tmp_path):
    folder = tmp_path / "results"
    commit(folder, "a.json", result("set5-x4", "ours", [31.0, 32.0], parameters=5))
    commit(folder, "b.json", result("set14-x4", "ours", [28.0, 29.0], parameters=5))
    commit(folder, "c.json", result("set5-x4", "bicubic-x4", [28.0, 29.0]))
    assert "**Super-resolution ×4**" in readme_tables(folder)
    commit(folder, "d.json", result("urban-x4", "bicubic-x4", [22.0, 23.0]))
    commit(folder, "e.json", result("urban-x4", "theirs", [24.0, 25.0], parameters=7))
    text = readme_tables(folder)
    assert (
        "**Super-resolution ×4: set5-x4, set14-x4**" in text and "**Super-resolution ×4: urban-x4**" in text
    )
    last = text[text.index("urban-x4**") :]
    assert "| theirs | 7 | 24.5000" in last and "| bicubic-x4 | 0 | 22.5000" in last and "ours" not in last


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
    assert str(caught.value) == f"README.md: expected one '{BEGIN}' and after it one '{END}'"


def seeded(name, values):
    return make_row("set14-x4", name, "psnr-y", FLOAT, {f"{i:02}": v for i, v in enumerate(values)}, 1.0, 300)


def test_several_seeds_have_a_row_of_all_and_one_comparison():
    base = [28.0 + 0.37 * i % 3 for i in range(12)]
    rows = [seeded("bicubic-x4", base)]
    rows += [seeded(f"ours[seed={s}]", [v + 0.1 + 0.2 * s for v in base]) for s in (-1, 0, 1)]
    text = run_table(Result("", {}, rows, compare(rows)))
    heads = [columns(line)[0] for line in text.splitlines() if line.startswith("| ")]
    assert heads == ["restorer", "---", "bicubic-x4", "ours[seed=-1]", "ours[seed=0]", "ours[seed=1]", "ours"]
    assert text.count(" against bicubic-x4") == 1 and "- ours against bicubic-x4, psnr-y: +0.10 (" in text
    assert "- ours: mean over 3 seeds; its interval and its differences are over images and seeds" in text
    assert "Intervals: bootstrap over images, and over seeds where there are several" in text


def test_what_images_do_not_tell_apart_comes_with_how_many_would():
    base = [28.0 + 0.37 * i % 3 for i in range(12)]
    noise = [0.05 * (-1) ** i for i in range(12)]
    rows = [seeded("a", base), seeded("b", [v + 0.01 + n for v, n in zip(base, noise, strict=True)])]
    (found,) = compare(rows)
    text = run_table(Result("", {}, rows, [found]))
    assert found.verdict == "not significant" and found.needed > 100
    assert f"not significant; about {found.needed} images would tell them apart, in 80 of 100 studies" in text
    sure = [seeded("a", base), seeded("b", [v + 1 for v in base])]
    assert "would tell them apart" not in run_table(Result("", {}, sure, compare(sure)))


def test_the_law_of_numbers_of_sets_is_told_where_there_are_any():
    row = Row(
        "set14-x4", "a", "kid-efficientnet-lite0", "c", 0.1, 0.0, 0.2, 24, {}, 1.0, 2.0, {}, ((3, 0.1),) * 8
    )  # fmt: skip
    text = run_table(Result("", {}, [row]))
    assert "jackknife over 8 groups of images" in text and "bootstrap" not in text


def test_what_is_missing_is_told_below_the_table_with_its_reason():
    values = {f"{i}.png": 30.0 + i for i in range(9)}
    gone = dict.fromkeys(values, "weights 'alexnet' are not here")
    some = values | {"3.png": "the file is damaged", "5.png": "the file is damaged"}
    rows = [
        make_row("set", "a", "psnr-y", FLOAT, values),
        make_row("set", "a", "lpips-alex", "rgb", gone),
        make_row("set", "b", "psnr-y", FLOAT, some),
        make_row("set", "b", "lpips-alex", "rgb", gone),
    ]
    lines = run_table(Result("", {}, rows)).splitlines()
    assert columns(lines[4])[:2] == ["a", "9"] and columns(lines[4])[3] == "– (9 missing)"
    assert columns(lines[5])[:2] == ["b", "7"] and columns(lines[5])[2].endswith("; 2 missing)")
    assert "- no value of a: lpips-alex: weights 'alexnet' are not here" in lines
    assert "- no value of b: lpips-alex: weights 'alexnet' are not here" in lines
    assert "- no value of b: psnr-y of 3.png, 5.png: the file is damaged" in lines
    assert "n = 0" not in "\n".join(lines)


def test_an_image_that_has_no_value_of_any_metric_is_told_once():
    values = {"1.png": 1.0, "2.png": "too small"}
    rows = [make_row("set", "a", metric, FLOAT, values) for metric in ("psnr-y", "ssim-y")]
    assert list(gaps(rows)) == [("set", "a", "2.png", "too small")]


def test_a_set_that_has_no_number_is_no_missing_image_and_one_that_lacks_images_says_how_many():
    whole = Row("set", "a", "kid", "rgb", None, None, None, 9, {}, 0.0, 0.0, {"the set": "no weights"})
    part = Row("set", "b", "kid", "rgb", 0.5, 0.4, 0.6, 7, {}, 0.0, 0.0, {"2 images": "too small"})
    text = run_table(Result("", {}, [whole, part]))
    assert "| a | 9 | – |" in text and "- no value of a: kid: no weights" in text
    assert "2 images missing)" in text and "- no value of b: 2 images: too small" in text


def test_means_over_fewer_images_than_the_row_has_say_so():
    frames = {f"{i}.png": 30.0 + i for i in range(4)}
    rows = [
        make_row("clip", "a", "psnr-y", FLOAT, frames),
        make_row("clip", "a", "flicker", FLOAT, dict(list(frames.items())[1:])),
    ]
    line = run_table(Result("", {}, rows)).splitlines()[4]
    assert (
        columns(line)[1] == "4" and "n = " not in columns(line)[2] and columns(line)[3].endswith("; n = 3)")
    )


def test_published_values_stand_beside_those_that_were_measured(tmp_path):
    made = result("set5-x4", "bicubic-x4", [28.0, 29.0])
    value = {
        "protocol": "set5-x4",
        "restorer": "bicubic-x4",
        "metric": "psnr-y",
        "convention": FLOAT,
        "mean": 28.5001,
    }
    published = {"farthest": {"psnr": 0.0000512, "ssim": 0.0000049}, "values": [value]}
    commit(
        tmp_path / "results", "a.json", replace(made, provenance=made.provenance | {"published": published})
    )
    lines = ledger_tables(tmp_path / "results").split("\n")
    assert readme_tables(tmp_path / "results") == ""
    assert lines[0] == "**Published tables, measured again**"
    assert "0.00006 dB of PSNR and 0.000005 of SSIM" in lines[2]
    assert columns(lines[8]) == ["bicubic-x4", "0", "28.5000 (22.15 to 34.85; known 28.5001)"]


def test_what_counts_as_one_and_how_many_pairs_verdicts_hold_for_is_told():
    values = {f"clip/{i}.png": 30.0 + i for i in range(9)}
    frames = make_row("vid4", "a", "psnr-y", FLOAT, values, clusters=dict.fromkeys(values, "clip"))
    text = run_table(Result("", {}, [frames]))
    assert "share a clip or a clean image count as one" in text and "(Holm)" not in text
    rows = [seeded(name, [28.0 + i % 3 + 0.1 * i for i in range(9)]) for name in "abc"]
    assert "for all pairs of restorers of a column at once (Holm)" in run_table(
        Result("", {}, rows, compare(rows))
    )
