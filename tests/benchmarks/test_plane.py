"""The perception-distortion plane: axes, curves, front, bound, and its picture."""

import json
import re
import xml.etree.ElementTree as ET
from importlib.resources import files

import numpy as np
import pytest

from restoration.benchmarks.palette import DARK, LIGHT, VARIABLES, shape
from restoration.benchmarks.plane import asked, axes, notes, plane_table, planes
from restoration.benchmarks.plane_picture import (
    NARROW,
    page_planes,
    page_svg,
    png,
    svg,
    write_planes,
)
from restoration.benchmarks.result import Result, make_row
from restoration.errors import RequestError

CONVENTION = "y-float,border=0,uint8-output"


def result(values, metrics=("psnr-y", "sliced-wasserstein"), n=10, **provenance):
    """Return a result of restorers whose means are ``values``: name → (distortion, perception)."""
    spread = np.linspace(-1, 1, n)
    rows = [
        make_row("photos-x4", name, metric, CONVENTION, {f"{i}.png": mean * (1 + 0.01 * s) for i, s in enumerate(spread)})
        for name, means in values.items() for metric, mean in zip(metrics, means, strict=True)
    ]  # fmt: skip
    return Result("restoration benchmark", provenance, rows)


def plane(values, metrics=("psnr-y", "sliced-wasserstein"), **keywords):
    (found,) = planes(result(values, metrics, **keywords), *metrics)
    return found


@pytest.mark.parametrize(
    "text, words",
    [
        (
            "psnr-y",
            "--plane psnr-y: expected DISTORTION:PERCEPTION, two metrics such as psnr-y:sliced-wasserstein",
        ),
        ("psnr-y:", "--plane psnr-y:: expected DISTORTION:PERCEPTION"),
        ("psnr-y:niqe:vif", "expected DISTORTION:PERCEPTION"),
        ("psnry:niqe", "--plane psnry:niqe: unknown metric 'psnry'; did you mean 'psnr-y'?"),
        ("psnr-y:nique", "unknown metric 'nique'; did you mean 'niqe'?"),
        ("niqe:niqe", "expected two metrics, got one twice"),
    ],
)
def test_axes_that_cannot_be_are_refused(text, words):
    with pytest.raises(RequestError) as caught:
        axes(text)
    assert words in str(caught.value)


def test_axes_are_any_two_metrics():
    assert axes("psnr-y:niqe") == ("psnr-y", "niqe") and axes(" patch-mse:patch-w2 ") == (
        "patch-mse",
        "patch-w2",
    )


def test_the_front_is_who_no_other_beats_on_both_axes():
    found = plane({"a": (30, 9), "b": (28, 5), "c": (27, 6), "d": (25, 4), "e": (30, 10)})
    assert found.front == ["a", "b", "d"]
    assert not found.point("c").front and not found.point("e").front


def test_better_is_what_each_metric_says():
    values = {"a": (0.02, 0.5), "b": (0.03, 1.1), "c": (0.04, 1.5)}
    found = plane(values, ("patch-mse", "high-frequency-ratio"))
    assert found.front == ["a", "b"]


def test_equal_points_are_both_on_the_front():
    assert plane({"a": (30, 5), "b": (30, 5)}).front == ["a", "b"]


def test_restorers_that_differ_in_one_number_are_a_curve():
    found = plane(
        {
            "flow[steps=25]": (28, 5), "flow[steps=1]": (30, 9), "flow[steps=5]": (29, 7), "other": (27, 8),
            "dot[perception=0.5]": (28.5, 8), "dot[perception=1]": (28, 6), "dot[perception=-0.5]": (27, 12),
            "lonely[steps=5]": (26, 9),
        }
    )  # fmt: skip
    by_family = {curve.family: curve for curve in found.curves}
    assert by_family["flow"].key == "steps"
    assert by_family["flow"].restorers == ("flow[steps=1]", "flow[steps=5]", "flow[steps=25]")
    assert by_family["dot"].restorers[0] == "dot[perception=-0.5]" and len(found.curves) == 2
    assert found.point("flow[steps=5]").dial == 5 and found.point("flow[steps=5]").family == "flow"
    assert (
        found.point("lonely[steps=5]").dial is None
        and found.point("lonely[steps=5]").family == "lonely[steps=5]"
    )
    assert found.point("flow[steps=1]").index == 0 and found.point("other").index == 1


def test_of_two_dials_each_point_is_on_one_curve():
    values = {f"a[steps={s},perception={p}]": (30 - p, 5 + s) for s in (1, 5, 25) for p in (0.0, 1.0)}
    found = plane(values)
    assert {(c.family, c.key, len(c.restorers)) for c in found.curves} == {
        ("a[perception=0.0]", "steps", 3), ("a[perception=1.0]", "steps", 3),
    }  # fmt: skip


def test_seeds_are_one_point():
    found = plane({"a[seed=0]": (30, 9), "a[seed=1]": (31, 8), "b": (28, 5)})
    assert [point.restorer for point in found.points] == ["a", "b"] and found.curves == ()
    assert found.point("a").distortion.mean == pytest.approx(30.5)


def test_conventions_never_share_a_plane_and_rows_without_a_partner_are_left_out():
    rows = [
        make_row("p", "a", "psnr-y", "one", {"x": 30.0}), make_row("p", "b", "psnr-y", "two", {"x": 31.0}),
        make_row("p", "a", "niqe", "one", {"x": 5.0}), make_row("p", "b", "niqe", "one", {"x": 4.0}),
        make_row("q", "a", "psnr-y", "one", {"x": 30.0}),
    ]  # fmt: skip
    found = planes(Result("", {}, rows), "psnr-y", "niqe")
    assert [(p.protocol, p.conventions, [q.restorer for q in p.points]) for p in found] == [
        ("p", ("one", "one"), ["a"]), ("p", ("two", "one"), ["b"]),
    ]  # fmt: skip


def test_the_bound_is_that_of_the_least_distortion_and_names_its_space():
    found = plane(
        {"mean": (0.01, 0.05), "sharp": (0.0125, 0.0), "poor": (0.02, 0.03)}, ("patch-mse", "patch-w2")
    )
    bound = found.bound
    assert (bound.restorer, bound.least, bound.gap) == ("mean", pytest.approx(0.01), pytest.approx(0.05))
    assert (
        bound.distortion(0) == pytest.approx(0.0125)
        and bound.distortion(0.05) == bound.distortion(1) == bound.least
    )
    assert "5×5 patches of luma" in bound.space
    assert any("D* = 0.01" in note and bound.space in note for note in notes(found))
    assert plane({"a": (30, 5)}).bound is None


def test_who_lies_below_the_bound_shows_that_the_posterior_mean_is_none():
    found = plane({"mean": (0.01, 0.05), "better": (0.011, 0.001)}, ("patch-mse", "patch-w2"))
    assert any(
        "Below the bound, so that mean is not the posterior mean: better." in note for note in notes(found)
    )


def test_the_table_has_every_point_with_its_intervals():
    text = plane_table(plane({"a": (30, 9), "b": (28, 5)}))
    assert re.search(r"\| a \| 30\.0000 \(\S+ to \S+\) \| 9\.000 \(\S+ to \S+\) \| 10 \| yes \|", text)
    assert "Pareto front, from the least distortion on: a, b." in text and CONVENTION in text


def test_the_document_holds_points_curves_front_and_bound():
    found = plane({"a[steps=1]": (0.01, 0.05), "a[steps=2]": (0.012, 0.02)}, ("patch-mse", "patch-w2"))
    document = json.loads(found.to_json())
    assert document["front"] == ["a[steps=1]", "a[steps=2]"] and document["bound"]["least"] == pytest.approx(
        0.01
    )
    assert document["curves"][0]["restorers"] == ["a[steps=1]", "a[steps=2]"]
    assert document["points"][1]["perception"]["mean"] == pytest.approx(0.02)


def shown():
    values = {"a[steps=1]": (0.01, 0.05), "a[steps=2]": (0.012, 0.02), "<b>": (0.02, 0.04)}
    return plane(values, ("patch-mse", "patch-w2"))


def test_the_picture_is_a_document_with_every_name_and_the_same_each_time():
    text = svg(shown())
    words = "".join(ET.fromstring(text).itertext())
    for name in ("a", "<b>", "bound D(P)", "Pareto front", "distortion: patch-mse", "perception: patch-w2"):
        assert name in words
    assert text == svg(shown())
    assert png(shown()).startswith(b"\x89PNG")


def test_the_picture_of_a_page_takes_its_colours_and_loads_nothing():
    text = page_svg(shown())
    assert text.startswith(
        '<svg role="img" class="wide" aria-label="photos-x4: patch-mse against patch-w2 of 3 '
    )
    assert "http" not in text and "<style" not in text and "xmlns" not in text
    assert "var(--ink, #16191d)" in text and "var(--r0, #0b57c2)" in text
    assert "&lt;b&gt;" in text and "<b>" not in text
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(set(ids)) == len(ids)
    used = re.findall(r'(?:url\(|href=")#([^")]+)', text)
    assert used and set(used) <= set(ids)
    assert not set(ids) & set(re.findall(r'\bid="([^"]+)"', page_svg(shown(), NARROW)))
    assert not set(ids) & set(re.findall(r'\bid="([^"]+)"', page_svg(plane({"a": (30, 5), "b": (29, 4)}))))


@pytest.mark.parametrize(
    "metrics", [("psnr-y", "niqe"), ("ssim-y", "high-frequency-ratio"), ("patch-mse", "patch-w2")]
)
@pytest.mark.parametrize("values", [{"a": (1.0, 1.0)}, {"a": (0.9, 0.7), "b": (0.8, 1.2)}])
def test_pictures_of_one_point_and_of_all_directions_can_be_drawn(metrics, values):
    assert svg(plane(values, metrics, n=1)).rstrip().endswith("</svg>")


def test_a_page_shows_what_was_asked_for_or_what_makes_a_plane():
    values = {"a": (30, 9), "b": (28, 5)}
    assert asked(result(values, planes=[["psnr-y", "niqe"]])) == [("psnr-y", "niqe")]
    assert asked(result(values)) == [("psnr-y", "sliced-wasserstein")]
    assert asked(result(values, ("psnr-y", "ssim-y"))) == [] and asked(result({"a": (30, 9)})) == []
    assert asked(result(values, ("patch-mse", "patch-w2"))) == [("patch-mse", "patch-w2")]
    ((found, text),) = page_planes(result(values))
    assert found.protocol == "photos-x4" and text.count('<svg role="img"') == 2
    assert 'class="wide"' in text and 'class="narrow"' in text


def test_the_files_of_each_plane_are_written(tmp_path):
    paths = write_planes(tmp_path, result({"a": (30, 9), "b": (28, 5)}), [("psnr-y", "sliced-wasserstein")])
    assert {path.name for path in paths} == {
        f"plane-photos-x4-psnr-y-sliced-wasserstein{kind}"
        for kind in (".svg", ".png", "-dark.svg", "-dark.png", ".json", ".md")
    }
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in paths}


def labels(text):
    """Return what a picture writes, as text → how often."""
    words = [
        "".join(element.itertext()).strip()
        for element in ET.fromstring(text).iter()
        if element.tag.endswith("}text")
    ]
    return {word: words.count(word) for word in words}


def test_points_have_their_names_beside_them_and_the_legend_those_that_have_not():
    long = "a-restorer-with-quite-a-long-name.safetensors"
    found = labels(svg(plane({"sr-small": (30, 5), "sr-large": (31, 4), long: (28, 3), "dot[alpha=-0.5]": (27, 2), "dot[alpha=1]": (26, 1)})))  # fmt: skip
    assert found["sr-small"] == found["sr-large"] == 1, "beside the point, and not again in the legend"
    assert found[long] == 1 and any("…" in word for word in found), (
        "short beside the point, whole in the legend"
    )
    assert found["−0.5"] == found["dot, along alpha"] == 1


def test_dark_pictures_have_the_same_words_in_other_colours():
    light, dark = svg(shown()), svg(shown(), DARK)
    assert labels(light) == labels(dark)
    assert DARK.ground in dark and DARK.ground not in light and LIGHT.ground not in dark
    assert png(shown(), DARK) != png(shown())


def test_the_colours_of_pictures_are_those_of_the_page():
    style = files("restoration.benchmarks").joinpath("report.css").read_text(encoding="utf-8")
    for colour, variable in VARIABLES.items():
        light, dark = re.search(rf"{variable}: light-dark\((#\w+), (#\w+)\)", style).groups()
        index = list(VARIABLES).index(colour)
        ours = (DARK.ink, DARK.soft, DARK.rule, DARK.ground, *DARK.restorers)[index]
        assert (light, dark) == (colour, ours)


def test_thirty_six_restorers_have_no_mark_and_colour_in_common():
    assert len({(i % 6, shape(i)) for i in range(36)}) == 36


def test_a_curve_of_many_points_has_no_settings_beside_them_but_others_keep_their_names():
    values = {f"dot[alpha={i}]": (30 - 0.1 * i, 5 - 0.2 * i) for i in range(14)}
    found = labels(svg(plane(values | {"other": (29.9, 2.0)})))
    assert found["other"] == 1 and found["dot, along alpha"] == 1 and "13" not in found
