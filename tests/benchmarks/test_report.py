"""The page: one file, nothing from the network, everything escaped."""

import io
import json
import re
from base64 import b64decode, b64encode
from hashlib import sha256

import numpy as np
import pytest
import torch
from PIL import Image

from restoration.benchmarks.gallery import Gallery
from restoration.benchmarks.protocol import load_protocol
from restoration.benchmarks.report import page, write_result
from restoration.benchmarks.result import Result, compare, make_row, read_result
from restoration.benchmarks.samples import Sample
from restoration.image import to_float

CONVENTION = "y-float,border=4,uint8-output"


@pytest.fixture(scope="module")
def made():
    protocol = load_protocol("photos-x4")
    generator = np.random.default_rng(0)
    gallery, values = Gallery(shown=3), {"bicubic-x4": {}, "<b>evil</b>": {}}
    for i in range(9):
        clean = to_float(generator.integers(0, 256, (200, 240, 3), dtype=np.uint8))
        sample = Sample(f"{i}.png", i, 9, clean, clean[..., ::4, ::4], "0", "0")
        for j, (name, found) in enumerate(values.items()):
            gallery(protocol, name, sample, clean * (1 - 0.1 * j))
            found[sample.name] = 25.0 + i + j
    rows = [
        make_row("photos-x4", name, "psnr-y", CONVENTION, found, 1.0, 300.0) for name, found in values.items()
    ]
    provenance = {
        "date": "2026-01-01T00:00:00+00:00",
        "restorers": {n: {"parameters": 10, "multiply_adds_per_input_megapixel": 2e9} for n in values},
    }
    return Result("restoration benchmark photos-x4 bicubic-x4", provenance, rows, compare(rows)), gallery


@pytest.fixture(scope="module")
def text(made):
    return page(*made)


def scenes(text):
    found = re.findall(r'<script type="application/json" id="scene-1-\d+">(.*?)</script>', text, re.DOTALL)
    return [json.loads(scene) for scene in found]


def test_nothing_is_loaded_from_anywhere(text):
    addresses = re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)""", text) + re.findall(r"url\(([^)]*)\)", text)
    assert all(address.startswith(("#", "data:")) for address in addresses)
    assert not re.search(r"https?://", re.sub(r'"data:[^"]*"', "", text))


def test_names_are_escaped(text):
    assert "<b>evil</b>" not in text and "&lt;b&gt;evil&lt;/b&gt;" in text


def test_the_verdict_is_written_in_words(text):
    assert "+1.00 dB against bicubic-x4 (significant)." in text
    assert "Below 8 images no difference is called significant." in text


def test_the_command_and_every_value_stand_on_the_page(text, made):
    assert "restoration benchmark photos-x4 bicubic-x4" in text
    for row in made[0].rows:
        assert all(f"<td>{value:.4f}</td>" in text for value in row.per_image.values())


def test_pictures_are_those_of_three_images_with_the_same_detail_for_everyone(text):
    found = scenes(text)
    assert [scene["name"] for scene in found] == ["0.png", "4.png", "8.png"]
    labels = [version["label"] for version in found[0]["versions"]]
    assert labels == ["degraded", "bicubic-x4", "<b>evil</b>", "clean"]
    details = [version["crops"][0] for version in found[0]["versions"]]
    pictures = [np.asarray(Image.open(io.BytesIO(b64decode(uri.partition(",")[2])))) for uri in details]
    assert pictures[0].shape == (24, 24, 3) and pictures[1].shape == (96, 96, 3)
    assert np.array_equal(pictures[1], pictures[3]), "bicubic-x4 was given the clean image"
    assert np.array_equal(pictures[0], pictures[3][::4, ::4]), (
        "the detail is not on the degraded image's grid"
    )
    assert found[0]["versions"][1]["score"] == "25.0000 dB"


def test_the_detail_is_where_the_clean_image_has_most():
    clean = torch.zeros(1, 3, 400, 600)
    clean[..., 210:290, 410:490] = torch.rand(1, 3, 80, 80, generator=torch.Generator().manual_seed(0))
    gallery = Gallery()
    sample = Sample("a.png", 0, 1, clean, clean[..., ::4, ::4], "0", "0")
    gallery(load_protocol("photos-x4"), "x", sample, clean)
    (scene,) = gallery.of("photos-x4")
    detail = np.asarray(Image.open(io.BytesIO(scene.versions[-1].crops[0])))
    assert (detail > 0).any(-1).sum() == 80 * 80
    assert (scene.view.width, scene.view.height) == (600, 400)


def test_labels_headings_and_alternatives_are_there(text):
    assert '<html lang="en">' in text and "<main>" in text and 'name="viewport"' in text
    assert text.count("<h1") == 1
    assert all("aria-label" in tag or "aria-hidden" in tag for tag in re.findall(r"<svg class[^>]*>", text))
    assert "color-scheme: light dark" in text and "light-dark(" in text
    named = re.findall(r'<(?:section|div|pre)[^>]*role="region"[^>]*>', text)
    assert named and all("aria-label=" in tag for tag in named)
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids)), "an id twice"


def test_a_result_without_pictures_or_provenance_has_a_page_too():
    rows = [make_row("pairs", "a", "psnr-y", CONVENTION, {"x.png": "too small"})]
    text = page(Result("restoration benchmark --pairs", {}, rows, problems=["x: unreadable"]))
    assert "x: unreadable" in text and "too small" in text and "–" in text


def test_three_files_are_written_and_the_json_reads_back(made, tmp_path):
    paths = write_result(tmp_path / "out", *made)
    assert [path.name for path in paths] == ["result.json", "table.md", "report.html"]
    assert list(read_result(paths[0]).rows) == list(made[0].rows)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["report.html", "result.json", "table.md"]


def test_only_the_page_s_own_script_may_run(text):
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy
    assert not re.search(r"\son\w+=", re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL))


def test_error_maps_have_one_scale_per_image_and_none_for_the_clean_image(text):
    for scene in scenes(text):
        errors = {version["label"]: version["errors"] for version in scene["versions"]}
        assert errors["degraded"] is None and errors["clean"] is None
        assert errors["bicubic-x4"] and errors["<b>evil</b>"]
        assert scene["peak"] == 50, "a tenth of the range is 25 levels at most; 5, 10, 20, 50 …"


def test_the_scatter_has_every_value_and_knows_which_images_have_pictures(text):
    data = json.loads(re.search(r'id="values-1">(.*?)</script>', text, re.DOTALL).group(1))
    assert data["images"] == [f"{i}.png" for i in range(9)]
    assert data["series"][1]["values"] == [26.0 + i for i in range(9)]
    assert data["scenes"] == {"0.png": 0, "4.png": 1, "8.png": 2}


def test_metrics_say_which_way_is_better_and_sort_that_way():
    rows = [
        make_row("p", "a", metric, "c", {"x": 1.0}) for metric in ("psnr-y", "gmsd", "high-frequency-ratio")
    ]
    heads = re.findall(r'data-first="(\w+)"[^/]*/button><small>([^<,]*)', page(Result("", {}, rows)))
    assert heads[:3] == [
        ("descending", "higher is better"),
        ("ascending", "lower is better"),
        ("ascending", "best at 1"),
    ]


def test_two_conventions_of_a_metric_have_a_column_each():
    rows = [make_row("p", "a", "psnr-y", c, {"x": v}) for c, v in (("y-float", 30.0), ("y-uint8", 31.0))]
    text = page(Result("", {}, rows))
    assert text.count('<button type="button">psnr-y</button>') == 2
    assert "<small>y-float</small>" in text and "<small>y-uint8</small>" in text


def test_a_page_over_its_budget_shows_fewer_images_and_says_so(made, monkeypatch):
    result, gallery = made
    sizes = [scene.size for scene in gallery.of("photos-x4")]
    monkeypatch.setattr("restoration.benchmarks.report_pictures.BUDGET", sizes[0] + sizes[2])
    text = page(result, gallery)
    assert [scene["name"] for scene in scenes(text)] == ["0.png", "8.png"]
    assert "Of 2 of the 9 images" in text


def test_the_cost_stands_in_a_table_of_its_own_and_says_what_came_from_the_cache(made, text):
    heads = re.findall(r'<button type="button">([^<]*)</button>', text)
    assert heads == ["restorer", "psnr-y", "restorer", "latency", "memory", "parameters", "multiply-adds"]
    assert 'data-value="2000000000.0">2</td>' in text and 'data-value="300.0">300</td>' in text
    assert "Taken from the cache" not in text
    result = made[0]
    cached = Result("", {**result.provenance, "cached": {"photos-x4": {"bicubic-x4": 9}}}, result.rows)
    assert "of the run that restored them: 9 of bicubic-x4." in page(cached)
    rows = [make_row("pairs", "a", "psnr-y", CONVENTION, {"x.png": 30.0})]
    assert "<h3>Cost</h3>" not in page(Result("", {}, rows)), "files that somebody else restored cost nothing"


def test_every_column_is_explained(text):
    (words,) = re.findall(r'<table class="words">(.*?)</table>', text, re.DOTALL)
    assert "psnr-y" in words and CONVENTION in words and "highest" in words and "to 100" in words


def test_the_best_of_a_column_stands_out_where_there_are_several():
    def bold(values, metric="gmsd"):
        rows = [make_row("p", name, metric, "c", {"x": value}) for name, value in values.items()]
        return re.findall(r"<strong>([^<]*)</strong>", page(Result("", {}, rows)))

    assert bold({"a": 0.2, "b": 0.1}) == ["0.1000"]
    assert bold({"a": 0.2, "b": 1.1}, "high-frequency-ratio") == ["1.1000"]
    assert bold({"a": 0.2}) == []


def test_images_in_which_restorers_differ_most_come_first(made):
    _, gallery = made
    values = {"0.png": 25.0, "4.png": 31.0, "8.png": 40.0}
    rows = [
        make_row("photos-x4", "bicubic-x4", "psnr-y", CONVENTION, values),
        make_row("photos-x4", "<b>evil</b>", "psnr-y", CONVENTION, {name: 30.0 for name in values}),
    ]
    assert 'data-order="2 0 1" data-right="&lt;b&gt;evil&lt;/b&gt;"' in page(Result("", {}, rows), gallery)
    assert 'data-order="0 1 2" data-right="bicubic-x4"' in page(Result("", {}, rows[:1]), gallery)


def filmed():
    gallery, protocol = Gallery(), load_protocol("vid4-calendar")
    values = {name: {} for name in ("x", "y")}
    for i in range(4):
        clean = torch.full((1, 3, 64, 96), 0.2 + 0.1 * i)
        sample = Sample(f"calendar/{i}.png", i, 4, clean, clean[..., ::4, ::4], "0", "0")
        for j, (name, found) in enumerate(values.items()):
            gallery(protocol, name, sample, clean * (0.9 - 0.1 * j))
            found[sample.name] = 30.0 - i - j
    rows = [make_row("vid4-calendar", name, "psnr-y", "c", found) for name, found in values.items()]
    rows += [
        make_row(
            "vid4-calendar", name, "flicker", "c", {k: 1.0 + v for k, v in list(found.items())[1:]}
        )
        for name, found in values.items()
    ]  # fmt: skip
    records = {"vid4-calendar": {"settings": {"degraded": {"name": "frames"}}, "sha256": "0"}}
    return Result("restoration benchmark vid4-calendar x y", {"protocols": records}, rows), gallery


def test_a_clip_has_its_frames_in_one_window_its_course_and_its_profile():
    text = page(*filmed())
    assert "4 frames" in text and "Values per frame" in text and "Frame by frame" in text
    assert len({(scene["width"], scene["height"], scene["clip"]) for scene in scenes(text)}) == 1
    assert text.count("<polyline") == 4, "two restorers by two metrics"
    profiles = json.loads(re.search(r'id="profiles-1">(.*?)</script>', text, re.DOTALL).group(1))
    assert profiles["calendar"]["frames"] == 4
    labels = [version["label"] for version in profiles["calendar"]["versions"]]
    assert labels == ["degraded", "x", "y", "clean"]
    assert 'data-clips="{&#34;calendar&#34;: [0, 1, 2, 3]}"' in text
    assert 'data-role="play"' in text and 'data-role="play"' not in page(filmed()[0])


def test_images_of_no_clip_have_neither_slider_nor_profile(text):
    assert 'data-role="frame"' not in text and "profiles-1" not in text and "<polyline" not in text


def test_what_these_images_do_not_tell_says_how_many_would():
    values = {f"{i}.png": 30.0 + i % 3 for i in range(12)}
    other = {name: value + 0.3 * (-1) ** i + 0.05 for i, (name, value) in enumerate(values.items())}
    rows = [make_row("p", name, "psnr-y", "c", own) for name, own in (("a", values), ("b", other))]
    (comparison,) = compare(rows)
    assert comparison.verdict == "not significant" and comparison.needed > 12
    assert f"about {comparison.needed:,} images would tell</small>" in page(
        Result("", {}, rows, [comparison])
    )


def test_a_restorer_of_several_seeds_has_a_line_of_its_own():
    rows = [make_row("p", "a", "psnr-y", "c", {f"{i}.png": 30.0 + i for i in range(9)})]
    for seed in range(3):
        values = {f"{i}.png": 30.5 + i + 0.1 * (seed + i % 2) for i in range(9)}
        rows.append(make_row("p", f"b[seed={seed}]", "psnr-y", "c", values))
    text = page(Result("", {}, rows, compare(rows)))
    (line,) = re.findall(r'<tr>\s*<th scope="row" data-value="b">.*?</tr>', text, re.DOTALL)
    assert re.search(r'class="better">\+0\.6\d, significant</small>', line)


def test_a_reason_stands_once_and_the_first_metric_with_values_makes_the_headline():
    gap = make_row("p", "a", "gmsd", "c", dict.fromkeys("xyz", "there is no clean image"))
    some = make_row("p", "a", "psnr-y", "c", {"x": 30.0, "y": "too small", "z": "too small"})
    text = page(Result("", {}, [gap, some]))
    assert "missing: there is no clean image</small>" in text and "missing: y, z: too small</small>" in text
    assert "<li>p: a has a mean psnr-y of 30.00 dB over 1 image.</li>" in text


def test_the_folders_of_pairs_stand_in_the_provenance():
    rows = [make_row("pairs", "mine", "psnr-y", "c", {"x": 30.0})]
    folders = {"restored": {"mine": "out/mine"}, "clean": "data/clean"}
    text = page(Result("", {"folders": folders}, rows))
    assert "<dt>folder of mine</dt><dd>out/mine</dd>" in text
    assert "<dt>clean folder</dt><dd>data/clean</dd>" in text and "degraded folder" not in text
