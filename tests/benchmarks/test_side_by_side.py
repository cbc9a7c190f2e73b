"""Conventions side by side: the spread that was measured on Set5, one column each, files that others restored."""

import json

import numpy as np
import pytest
from PIL import Image

from restoration.benchmarks.conventions import CONVENTIONS
from restoration.benchmarks.gallery import Gallery
from restoration.benchmarks.libraries import measurer
from restoration.benchmarks.matching import Folders
from restoration.benchmarks.protocol import load_protocol
from restoration.benchmarks.readme import ledger_tables
from restoration.benchmarks.result import Result, merge, read_result
from restoration.benchmarks.run import benchmark
from restoration.benchmarks.side_by_side import by_conventions, measurers, pairs_by_conventions, show
from restoration.benchmarks.table import conventions_table, run_table
from restoration.errors import RequestError
from restoration.weights import load

# Set5, bicubic ×4, every library by its defaults, measured independently
PSNR = {
    "matlab": 28.43, "basicsr": 28.43, "basicsr-swapped": 28.60, "pyiqa": 27.12, "pyiqa-rgb": 26.70, "piq": 26.70,
    "piq-grey": 27.11, "torchmetrics": 26.70, "kornia": 26.70, "scikit-image": 26.70,
}  # fmt: skip
SSIM = {
    "matlab": 0.811, "basicsr": 0.811, "pyiqa": 0.791, "pyiqa-ycbcr": 0.810, "piq": 0.790, "piq-full-size": 0.773,
    "torchmetrics": 0.772, "kornia": 0.772, "scikit-image": 0.790,
}  # fmt: skip


def means(result):
    records = result.provenance["conventions"]
    return {(records[r.convention]["name"], records[r.convention]["measure"]): r.mean for r in result.rows}


@pytest.mark.slow
def test_set5_has_the_values_that_every_library_gives_it(data_root):
    protocol = load_protocol("set5-x4")
    result = by_conventions({"bicubic-x4": load("bicubic-x4")}, [protocol], measurers("all"), data=data_root)
    found = means(result)
    for expected, measure, unit in ((PSNR, "psnr", 0.01), (SSIM, "ssim", 0.001)):
        for name, value in expected.items():
            assert found[name, measure] == pytest.approx(value, abs=unit), name
    plain = benchmark({"bicubic-x4": load("bicubic-x4")}, [protocol], data=data_root)
    assert found["matlab", "psnr"] == pytest.approx(plain.mean("psnr-y"), abs=1e-9)
    assert found["matlab", "ssim"] == pytest.approx(plain.mean("ssim-y"), abs=1e-9)


@pytest.mark.slow
def test_set5_has_the_same_values_without_any_library(data_root, monkeypatch):
    monkeypatch.setattr("restoration.benchmarks.libraries._module", _absent)
    result = by_conventions(
        {"bicubic-x4": load("bicubic-x4")}, [load_protocol("set5-x4")], measurers("all"), data=data_root
    )
    found = means(result)
    assert all(row.convention.endswith("; ours") for row in result.rows)
    for expected, measure, unit in ((PSNR, "psnr", 0.01), (SSIM, "ssim", 0.001)):
        for name, value in expected.items():
            assert found[name, measure] == pytest.approx(value, abs=unit), name


def _absent(library):
    raise RequestError(f"peer {library}: cannot be imported")


@pytest.fixture
def folders(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        clean = rng.integers(10, 240, (40, 36, 3), dtype=np.uint8)
        for folder, samples in (("clean", clean), ("restored", clean + np.uint8(5))):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(samples).save(tmp_path / folder / f"{name}.png")
    return tmp_path / "restored", tmp_path / "clean"


def test_files_are_measured_by_every_convention(folders):
    result = pairs_by_conventions(Folders.of(*folders), measurers("matlab,piq,scikit-image"), ["border=2"])
    assert len({row.convention for row in result.rows}) == len(result.rows) == 6
    found = means(result)
    assert found["piq", "psnr"] == pytest.approx(20 * np.log10(51), abs=1e-3)
    assert found["scikit-image", "psnr"] == pytest.approx(20 * np.log10(51), abs=1e-6)
    assert found["matlab", "psnr"] == pytest.approx(20 * np.log10(51 * 255 / 219), abs=1e-6)
    assert result.rows[0].convention == "matlab: y-float,border=2,uint8-output,float64; ours"


def test_a_file_that_cannot_be_scored_is_named_and_the_rest_goes_on(folders, capsys, tmp_path):
    restored, clean = folders
    Image.fromarray(np.zeros((4, 5, 3), np.uint8)).save(restored / "a.png")
    result = pairs_by_conventions(Folders.of(restored, clean), measurers("matlab"))
    reason = f"{restored}/a.png: 5x4 pixels; expected the 36x40 of {clean}/a.png"
    assert all(row.missing == {"a.png": reason} for row in result.rows)
    assert all(list(row.per_image) == ["b.png"] for row in result.rows)
    assert show(result, Gallery(), None, True, False) == 1
    assert capsys.readouterr().err == f"restoration: pairs: restored: a.png: {reason}\n"


def test_equal_files_have_reasons_in_place_of_infinities(folders, capsys):
    _, clean = folders
    result = pairs_by_conventions(Folders.of(clean, clean), measurers("scikit-image"))
    assert "Infinity" not in result.to_json()
    assert show(result, Gallery(), None, False, False) == 1
    printed = capsys.readouterr()
    assert (
        "pairs: clean (restored): psnr-rgb: the images are equal: an infinite value by this convention"
        in printed.err
    )
    assert "(2 missing)" in printed.out


def test_what_is_written_is_a_result_with_a_column_for_each_convention(folders, tmp_path, capsys):
    result = pairs_by_conventions(Folders.of(*folders), measurers("matlab,piq,torchmetrics"))
    (tmp_path / "out").mkdir()
    assert show(result, Gallery(), tmp_path / "out", False, False) == 0
    again = read_result(tmp_path / "out" / "result.json")
    assert [row.key for row in again.rows] == [row.key for row in result.rows]
    table = (tmp_path / "out" / "table.md").read_text().splitlines()
    marked = [
        m.convention.name + (" (ours)" if m.by == "ours" and m.convention.library else "")
        for m in measurers("matlab,piq,torchmetrics") if m.convention.measure == "psnr"
    ]  # fmt: skip
    assert table[0] == "**pairs, psnr**"
    assert table[2] == f"| restorer | n | {' | '.join(marked)} |"
    assert table[4].startswith("| restored | 2 | 35.4") and table[5].startswith(
        "| restored: a.png | 1 | 35.4"
    )
    assert any(line.startswith("- matlab: what super-resolution papers print") for line in table)
    printed = capsys.readouterr().out
    assert "restored: a.png" not in printed and "wrote" in printed
    assert show(result, Gallery(), None, False, True) == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["convention"] == result.rows[0].convention


def test_no_table_puts_two_conventions_in_one_column(folders, tmp_path):
    result = pairs_by_conventions(Folders.of(*folders), measurers("matlab,basicsr-swapped"))
    head = next(line for line in run_table(result).splitlines() if line.startswith("| restorer"))
    assert "psnr-y (1) | ssim-y (1) | psnr-y (2) | ssim-y (2)" in head
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "conventions.json").write_text(result.to_json())
    text = ledger_tables(tmp_path / "results")
    assert text.startswith("**One set of images by the conventions of several libraries**")
    assert conventions_table(result).splitlines()[2] in text


def test_ranks_find_what_one_process_finds(data_root):
    restorers, protocols = {"bicubic-x4": load("bicubic-x4")}, [load_protocol("set5-x4")]
    measures = measurers("matlab,kornia")
    alone = by_conventions(restorers, protocols, measures, data=data_root)
    parts = [
        by_conventions(restorers, protocols, measures, data=data_root, rank=rank, world=2) for rank in (0, 1)
    ]
    joined = merge(parts)
    values = [{row.key: (list(row.per_image.items()), row.mean) for row in r.rows} for r in (alone, joined)]
    assert values[0] == values[1]


def test_shipped_photographs_without_any_data():
    result = by_conventions(
        {"bicubic-x4": load("bicubic-x4")}, [load_protocol("photos-x4")], measurers("matlab")
    )
    assert isinstance(result, Result) and all(row.n == 6 and not row.missing for row in result.rows)
    assert result.provenance["conventions"][result.rows[0].convention]["by"] == measurer(CONVENTIONS[0]).by


def test_the_pairs_have_pictures_with_values_on_their_page(folders, tmp_path):
    gallery = Gallery()
    result = pairs_by_conventions(Folders.of(*folders), measurers("matlab"), gallery=gallery)
    (tmp_path / "out").mkdir()
    assert show(result, gallery, tmp_path / "out", True, False) == 0
    text = (tmp_path / "out" / "report.html").read_text()
    assert [scene.name for scene in gallery.of("pairs")] == ["a.png", "b.png"]
    assert text.count('<script type="application/json" id="scene-1-') == 2 and "35.4" in text


def test_several_folders_share_the_columns_and_ranks_their_images(folders, tmp_path):
    restored, clean = folders
    (tmp_path / "worse").mkdir()
    for name in ("a", "b"):
        samples = np.array(Image.open(clean / f"{name}.png"))
        Image.fromarray(samples + np.uint8(9)).save(tmp_path / "worse" / f"{name}.png")
    given, measures = Folders.of([restored, tmp_path / "worse"], clean), measurers("matlab,piq")
    alone = pairs_by_conventions(given, measures)
    assert [row.restorer for row in alone.rows] == ["restored"] * 4 + ["worse"] * 4
    assert len({row.convention for row in alone.rows}) == 4
    joined = merge([pairs_by_conventions(given, measures, rank=rank, world=2) for rank in (0, 1)])
    values = [{row.key: (list(row.per_image.items()), row.mean) for row in r.rows} for r in (alone, joined)]
    assert values[0] == values[1]
    lines = conventions_table(alone).splitlines()
    assert lines[4].startswith("| restored | 2 | ") and lines[5].startswith("| worse | 2 | ")
    assert "35.4" in lines[4] and lines[4].count(" to ") == 2, "every value has its interval"
