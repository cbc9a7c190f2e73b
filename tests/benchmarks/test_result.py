"""Results: means, comparisons, parts of several ranks, and JSON that reads back equal."""

import json
from dataclasses import replace

import pytest

from restoration.benchmarks.intervals import images_needed, mean_interval
from restoration.benchmarks.result import Result, compare, make_row, merge, read_result
from restoration.errors import RequestError

CONVENTION = "y-float,border=4,uint8-output"


def row(restorer, values, metric="psnr-y", convention=CONVENTION, **costs):
    named = values if isinstance(values, dict) else {f"{i}.png": v for i, v in enumerate(values)}
    return make_row("set5-x4", restorer, metric, convention, named, **costs)


def result(*rows, baseline=None, **provenance):
    return Result("restoration benchmark", provenance, rows, compare(rows, baseline))


def test_a_row_has_the_plain_mean_and_the_interval_over_images():
    values = [30.0, 31.0, 28.5, 33.0, 29.0]
    found = row("a", values, seconds=1.23456, peak_mib=310.04)
    assert (found.mean, found.n, found.seconds, found.peak_mib) == (30.3, 5, 1.235, 310.0)
    assert (found.low, found.high) == mean_interval(values)


def test_a_missing_value_is_named_and_never_averaged_over():
    found = row("a", {"0.png": 30.0, "1.png": "too small"})
    assert (found.mean, found.n, found.missing) == (30.0, 1, {"1.png": "too small"})
    assert row("a", {"0.png": "too small"}).mean is None


def test_the_json_has_the_documented_shape_and_reads_back_equal(tmp_path):
    made = result(row("bicubic-x4", [28.0, 31.0, 24.0, 30.0, 29.0]), row("a", [29.0, 33.0, 26.5, 31.0, 30.1]))
    document = json.loads(made.to_json())
    assert list(document) == ["schema", "command", "provenance", "rows", "comparisons"]
    assert document["schema"] == 1
    keys = ["protocol", "restorer", "metric", "convention", "mean", "low", "high", "n"]
    assert list(document["rows"][0]) == [*keys, "per_image", "seconds", "peak_mib"]
    path = tmp_path / "result.json"
    path.write_text(made.to_json())
    again = read_result(path)
    assert list(again.rows) == list(made.rows) and list(again.comparisons) == list(made.comparisons)


def test_other_json_is_passed_over_and_broken_json_is_named(tmp_path):
    other = tmp_path / "speed.json"
    other.write_text('{"schema": 2, "cases": []}')
    assert read_result(other) is None
    other.write_text("{")
    with pytest.raises(RequestError) as caught:
        read_result(other)
    assert str(caught.value).startswith(f"{other}: not readable as JSON: ")


def test_comparisons_are_paired_by_image():
    base = [20.0, 40.0, 25.0, 35.0, 30.0, 22.0, 38.0, 28.0]
    better = [value + 0.1 + 0.01 * i for i, value in enumerate(base)]
    (found,) = compare([row("a", base), row("b", better)])
    assert found.difference == pytest.approx(0.135) and found.verdict == "significant"
    assert found.low > 0.1 and found.baseline == "a" and found.restorer == "b"
    assert compare([row("a", base), row("b", better)], baseline="b")[0].difference == pytest.approx(-0.135)


def test_below_eight_images_nothing_is_called_significant():
    (found,) = compare([row("a", [1.0] * 7), row("b", [2.0] * 7)])
    assert found.verdict == "too few images"


def test_only_images_that_both_have_are_compared():
    (found,) = compare([row("a", {"x": 1.0, "y": 2.0}), row("b", {"x": 2.0, "y": "too small"})])
    assert (found.n, found.difference) == (1, 1.0)


def test_different_conventions_are_never_compared():
    rows = [row("a", [1.0] * 8), row("b", [2.0] * 8, convention="y-uint8,border=4,uint8-output")]
    assert compare(rows) == []


@pytest.mark.parametrize("world", [1, 2, 3, 7])
def test_the_parts_of_ranks_join_to_what_one_process_finds(world):
    base = {f"{i}.png": 20.0 + i * 1.7 % 3 for i in range(5)}
    other = base | {"1.png": "too small", "4.png": 31.0}
    whole = result(row("a", base), row("b", other), images={"set5-x4": {name: {} for name in base}})
    parts = []
    for rank in range(world):
        share = list(base)[rank::world]
        rows = [
            row(n, {k: v[k] for k in share}, seconds=1.0, peak_mib=rank)
            for n, v in (("a", base), ("b", other))
        ]
        parts.append(result(*rows, images={"set5-x4": {name: {} for name in share}}))
    joined = merge(parts)
    for ours, theirs in zip(joined.rows, whole.rows, strict=True):
        assert (ours.mean, ours.low, ours.high, ours.n, ours.missing) == (
            theirs.mean, theirs.low, theirs.high, theirs.n, theirs.missing
        )  # fmt: skip
        assert list(ours.per_image.items()) == list(theirs.per_image.items())
        assert (ours.seconds, ours.peak_mib) == (world, world - 1)
    assert joined.comparisons == whole.comparisons
    assert list(joined.provenance["images"]["set5-x4"]) == list(base)


def test_a_mean_is_found_by_what_names_it():
    made = result(row("a", [1.0, 3.0]), row("a", [0.5, 0.7], metric="ssim-y"))
    assert made.mean("psnr-y") == 2.0 and made.mean("ssim-y", "set5-x4", "a") == pytest.approx(0.6)
    with pytest.raises(ValueError, match="0 rows have metric 'lpips'"):
        made.mean("lpips")


def test_what_a_set_is_without_groups_of_images_is_written_and_read_back(tmp_path):
    left_out = tuple((3, 0.1 + 0.01 * i) for i in range(8))
    of_set = replace(row("a", [1.0]), metric="kid-efficientnet-lite0", per_image={}, left_out=left_out)
    path = tmp_path / "result.json"
    path.write_text(result(of_set, row("a", [1.0])).to_json())
    again = read_result(path)
    assert list(again.rows) == [of_set, row("a", [1.0])]
    written = json.loads(path.read_text())["rows"]
    assert written[0]["left_out"][0] == [3, 0.1] and "left_out" not in written[1]


def test_a_comparison_says_how_many_images_would_do():
    base = [20.0 + i for i in range(10)]
    near = [value + 0.01 + 0.05 * (-1) ** i for i, value in enumerate(base)]
    (found,) = compare([row("a", base), row("b", near)])
    assert found.verdict == "not significant" and found.needed == images_needed(
        [n - b for n, b in zip(near, base, strict=True)]
    )
    document = json.loads(result(row("a", base), row("b", near)).to_json())
    assert document["comparisons"][0]["needed"] == found.needed
    (equal,) = compare([row("a", base), row("b", base)])
    assert equal.needed is None and equal.verdict == "not significant"
