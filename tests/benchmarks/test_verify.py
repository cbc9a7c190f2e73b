"""The ledger: a row that holds is equal, and every way in which it may not is told in one line."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from restoration.benchmarks import verify as ledger
from restoration.benchmarks.pairs import score_pairs
from restoration.benchmarks.protocol import load_protocol
from restoration.benchmarks.result import read_result
from restoration.benchmarks.run import benchmark
from restoration.benchmarks.side_by_side import by_conventions, measurers
from restoration.benchmarks.toys import load_toy
from restoration.benchmarks.toys_checks import self_test
from restoration.benchmarks.verify import TOLERANCES, committed, load_rows, tolerance, verify, wanted_rows
from restoration.errors import RequestError
from restoration.weights import load, shipped

TINY = 'name = "tiny"\ntask = "super-resolution"\nscale = 2\nborder = 2\nclean = ["own"]\n'


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A data root with two clean images and a degraded folder."""
    rng = np.random.default_rng(0)
    for name in ("a", "b"):
        clean = rng.integers(0, 256, (48, 40, 3), dtype=np.uint8)
        for folder, samples in (("own", clean), ("small", clean[::2, ::2])):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(samples).save(tmp_path / folder / f"{name}.png")
    monkeypatch.setenv("RESTORATION_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def written(root):
    """A result of two restorers on those images, as a file."""
    (root / "tiny.toml").write_text(TINY + '[degraded]\nname = "files"\nfolder = "small"\n')
    restorers = {name: load(name) for name in ("bicubic-x2", "nearest-x2")}
    path = root / "result.json"
    path.write_text(benchmark(restorers, [load_protocol(root / "tiny.toml")], data=root).to_json())
    return path


def edit(path, change):
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def checked(path, *patterns, folders=()):
    result = load_rows(path)
    (rows,) = wanted_rows({path: result}, patterns).values()
    return verify(path, result, rows, folders)


def lines(path, *patterns):
    return [finding.line for finding in checked(path, *patterns).findings]


def test_a_result_just_made_is_equal(written):
    found = checked(written)
    assert found.equal and len(found.findings) == 4 and not found.notes
    assert all(finding.largest == 0 for finding in found.findings)
    assert found.findings[0].line.startswith("equal    tiny  bicubic-x2  psnr-y: ")
    assert found.findings[0].line.endswith(
        "(largest difference 0, tolerance 0.0001: the same machine and versions)"
    )
    json.dumps(found.to_dict(), allow_nan=False)


def test_rows_are_chosen_by_name(written):
    assert len(lines(written, "tiny/nearest-x2")) == 2
    assert len(lines(written, "*/*/ssim-y")) == len(lines(written, "*ssim-y")) == 2
    with pytest.raises(RequestError) as caught:
        lines(written, "tiny/bicubic-x2/psnr")
    assert str(caught.value) == (
        "--row tiny/bicubic-x2/psnr: no such row; did you mean 'tiny/bicubic-x2/psnr-y'?; "
        "expected PROTOCOL/RESTORER/METRIC, such as tiny/bicubic-x2/psnr-y"
    )


def test_an_edited_mean_is_told_without_measuring(written, monkeypatch):
    monkeypatch.setattr(ledger, "measured_again", None)
    edit(written, lambda document: document["rows"][0].update(mean=41.0))
    assert "edited: its mean says 41.0000, its images " in lines(written, "tiny/bicubic-x2/psnr-y")[0]
    edit(written, lambda document: document["rows"][1].update(n=7))
    assert lines(written, "tiny/bicubic-x2/ssim-y")[0].endswith("edited: n = 7, but 2 images")
    edit(written, lambda document: document["rows"][2]["per_image"].update({"a.png": "high"}))
    assert lines(written, "tiny/nearest-x2/psnr-y")[0].endswith("edited: a value of an image is no number")


def test_an_edited_value_differs_from_what_is_measured(written):
    def change(document):
        row = document["rows"][0]
        row["per_image"]["a.png"] += 1
        row["mean"] += 0.5

    edit(written, change)
    found = checked(written)
    assert not found.equal and [bool(f.differences) for f in found.findings] == [True, False, False, False]
    assert (
        found.findings[0].differences[0].startswith("a.png ") and "then" in found.findings[0].differences[0]
    )
    assert "1 of 2 values differ by more than 0.0001" in found.findings[0].differences[1]
    assert any("not the difference of the rows" in problem for problem in found.problems)


def test_an_edited_interval_is_told(written):
    edit(written, lambda document: document["rows"][0].update(low=0.0))
    assert "interval 0.0000 to " in lines(written, "tiny/bicubic-x2/psnr-y")[0]


def test_an_edited_protocol_is_told(written):
    edit(written, lambda d: d["provenance"]["protocols"]["tiny"]["settings"].update(border=0))
    (line,) = lines(written, "tiny/bicubic-x2/psnr-y")
    assert "protocol 'tiny': its settings have sha256 " in line and line.endswith("beside them: edited")


def test_other_images_are_named_by_their_hashes(written, root):
    samples = np.array(Image.open(root / "own" / "b.png"))
    Image.fromarray(samples[::-1]).save(root / "own" / "b.png")
    (line,) = lines(written, "tiny/bicubic-x2/psnr-y")
    assert "another clean image of b.png (" in line and "b.png " in line.partition("; ")[2]


def test_a_file_that_only_is_written_otherwise_is_equal(written, root):
    Image.open(root / "own" / "a.png").save(root / "own" / "a.png", compress_level=1)
    assert checked(written).equal


def test_missing_images_are_named(written, root):
    (root / "small" / "b.png").unlink()
    (line,) = lines(written, "tiny/nearest-x2/ssim-y")
    assert (
        line.startswith("differs  tiny  nearest-x2  ssim-y: tiny: no degraded image in ") and "b.png" in line
    )


def test_weights_are_found_by_their_digest_and_others_refused(root):
    name, file = next((n, p) for n, p in shipped().items() if n.startswith("sr-x2"))
    (root / "tiny.toml").write_text(TINY + '[degraded]\nname = "files"\nfolder = "small"\n')
    copy = root / "mine" / "small.safetensors"
    copy.parent.mkdir()
    shutil.copy(file, copy)
    result = benchmark({"small.safetensors": load(copy)}, [load_protocol(root / "tiny.toml")], data=root)
    path = root / "result.json"
    path.write_text(replace(result, command="restoration benchmark tiny.toml small.safetensors").to_json())
    missing = checked(path)
    assert "restorer 'small.safetensors' is not here: sha256 " in missing.findings[0].line
    assert checked(path, folders=[copy.parent]).equal
    edit(path, lambda d: d["provenance"]["restorers"]["small.safetensors"].update(weights_sha256="0" * 64))
    (first, *_) = checked(path, folders=[copy.parent]).findings
    assert f"weights of 'small.safetensors': 00000000… then, {load(name).digest[:8]}… now" in first.line


def test_two_folders_are_compared_again(root):
    shutil.copytree(root / "own", root / "restored")
    samples = np.array(Image.open(root / "restored" / "a.png"))
    Image.fromarray(samples // 2).save(root / "restored" / "a.png")
    result = score_pairs(root / "restored", root / "own", ["psnr-rgb"], ["border=3"])
    command = f"restoration benchmark --pairs {root}/restored {root}/own --metrics psnr-rgb --set border=3"
    path = root / "result.json"
    path.write_text(replace(result, command=command).to_json())
    assert checked(path).equal
    Image.fromarray(samples // 3).save(root / "restored" / "a.png")
    found = checked(path)
    assert "another restored file of a.png (" in found.findings[0].line and not found.equal


def test_conventions_are_measured_again(root, written):
    protocol = load_protocol(root / "tiny.toml")
    result = by_conventions(
        {"bicubic-x2": load("bicubic-x2")}, [protocol], measurers("matlab,piq"), data=root
    )
    written.write_text(result.to_json())
    found = checked(written)
    assert found.equal and len(found.findings) == 4
    edit(written, lambda d: d["rows"][2].update(convention=d["rows"][2]["convention"] + " once"))
    line = checked(written).findings[2].line
    assert "measured as 'piq: " in line or "records" in line


def test_what_is_no_result_is_one_line(tmp_path):
    def refusal(path):
        with pytest.raises(RequestError) as caught:
            load_rows(path)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    path = tmp_path / "speed.json"
    assert refusal(path) == f"{path}: no such file; expected the result.json of a benchmark"
    path.write_text('{"command": "python -m it"}')
    assert refusal(path).endswith(
        "no rows to run again; it holds what `python -m it` measured on its machine"
    )
    path.write_text("{")
    assert refusal(path).startswith(f"{path}: not readable as JSON: ")
    path.write_text('{"schema": 1, "command": "", "provenance": {}, "rows": [{"protocol": "x"}]}')
    assert refusal(path).startswith(f"{path}: not a whole result: ")


def test_tolerances_grow_with_what_is_different(written):
    row = read_result(written).rows[0]
    here = {"hardware": {"device": "cpu", "processor": "x"}, "versions": {"torch": "2"}, "inference": {}}
    cases = [
        (here, here),
        (here, here | {"versions": {"torch": "3"}}),
        (here, here | {"hardware": {"device": "cuda:0", "processor": "x"}}),
        (here | {"inference": {"precision": "bf16"}}, here),
    ]
    found = [tolerance(row, *case) for case in cases]
    assert [reason for _, reason in found] == list(TOLERANCES)
    assert [allowed for allowed, _ in found] == pytest.approx([1e-4, 1e-3, 5e-3, 5e-2])


@pytest.mark.slow
@pytest.mark.parametrize("path", committed(), ids=lambda path: path.name)
def test_committed_results_hold(path, data_root, monkeypatch):
    """One row of each, bicubic or the smallest there is; the command's ``--all`` runs them all."""
    result = load_rows(path)
    cheap = [row for row in result.rows if row.restorer.startswith(("bicubic", "identity"))] or result.rows[
        :1
    ]
    found = verify(path, result, cheap[:1])
    assert found.equal, [finding.line for finding in found.findings]


@pytest.mark.slow
def test_the_gaussian_toy_is_drawn_again(tmp_path):
    toy = load_toy(["batches=8", "vectors=512"])
    path = tmp_path / "result.json"
    path.write_text(self_test(toy)[0].to_json())
    assert checked(path).equal
