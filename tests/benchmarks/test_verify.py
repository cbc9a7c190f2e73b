"""The ledger: a row that holds is equal, and every way in which it may not is told in one line."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from restoration.benchmarks import verify as ledger
from restoration.benchmarks.findings import TOLERANCES, tolerance
from restoration.benchmarks.matching import Folders
from restoration.benchmarks.pairs import score_pairs
from restoration.benchmarks.protocol import load_protocol
from restoration.benchmarks.result import read_result
from restoration.benchmarks.run import benchmark
from restoration.benchmarks.scores import made
from restoration.benchmarks.side_by_side import by_conventions, measurers
from restoration.benchmarks.toys import load_toy
from restoration.benchmarks.toys_checks import self_test
from restoration.benchmarks.verify import committed, load_rows, verify, wanted_rows
from restoration.cli import main
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
    assert found.findings[0].line.startswith(
        "equal    tiny  bicubic-x2  psnr-y [y-float,border=2,uint8-output]: "
    )
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
    edit(written, lambda document: document["rows"][3].update(per_image={}))
    assert "of n = 2, but no images" in lines(written, "tiny/nearest-x2/ssim-y")[0]


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
    assert any(", but the rows differ by " in problem for problem in found.problems)


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
        line.startswith(
            "differs  tiny  nearest-x2  ssim-y [y-float,border=2,uint8-output]: tiny: no degraded image in "
        )
        and "b.png" in line
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
    path = root / "result.json"
    path.write_text(result.to_json())
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


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"verdict": "significant"}, "verdict significant, but too few images of the rows"),
        ({"low": 1.0, "high": 2.0}, "interval +1.00 to +2.00, but "),
        ({"n": 500}, "n 500, but 2 of the rows"),
        ({"difference": 3.5}, "+3.50, but the rows differ by "),
        ({"seeds": 3}, "seeds 3, but 1 of the rows"),
        ({"needed": 77}, "needed 77, but "),
        ({"restorer": "other"}, "the rows have no such comparison"),
    ],
)
def test_a_comparison_that_was_edited_in_any_part_is_told(written, change, said):
    edit(written, lambda document: document["comparisons"][0].update(change))
    found = checked(written)
    assert not found.equal and found.count("equal") == 4
    assert any(said in problem and problem.startswith("edited: ") for problem in found.problems), (
        found.problems
    )


def test_a_comparison_that_was_taken_out_is_told(written):
    edit(written, lambda document: document["comparisons"].pop(0))
    (problem,) = checked(written).problems
    assert problem.endswith("the rows have a comparison that it lacks")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("licence", "free for all", "licence of bicubic-x2: free for all then, MIT now"),
        ("parameters", 12, "parameters of bicubic-x2: 12 then, 0 now"),
        ("scale", 3, "scale of bicubic-x2: 3 then, 2 now"),
    ],
)
def test_an_edited_record_of_a_restorer_is_told(written, key, value, said):
    edit(written, lambda d: d["provenance"]["restorers"]["bicubic-x2"].update({key: value}))
    found = checked(written)
    assert [f.word for f in found.findings] == ["differs", "differs", "equal", "equal"]
    assert found.findings[0].differences == (said,)


def test_an_edited_sentence_about_images_is_told(written):
    edit(
        written,
        lambda d: d["provenance"]["protocols"]["tiny"].update(
            images="all 2 images are those of the manifest"
        ),
    )
    (problem,) = checked(written).problems
    assert problem.startswith(
        "edited: tiny: it says 'all 2 images are those of the manifest' of its images, but "
    )


def no_value(document, row, reason="weights are not here"):
    document["rows"][row].update(mean=None, low=None, high=None, n=0, per_image={})
    document["rows"][row]["missing"] = {"a.png": reason, "b.png": reason}


def test_a_value_that_was_made_up_differs_where_nothing_can_be_measured_now(root, monkeypatch):
    """The weights are missing now, so no value of the file can be right or wrong but by what is said."""
    (root / "tiny.toml").write_text(TINY + '[degraded]\nname = "files"\nfolder = "small"\n')
    protocol = load_protocol(root / "tiny.toml", metrics=["psnr-y", "lpips-alex", "kid-dinov2"])
    monkeypatch.setenv("RESTORATION_WEIGHTS", str(root / "none"))
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(root / "none"))
    made.cache_clear()
    path = root / "result.json"
    path.write_text(benchmark({"bicubic-x2": load("bicubic-x2")}, [protocol], data=root).to_json())
    found = checked(path)
    assert [f.word for f in found.findings] == ["equal", "not comparable", "not comparable"] and found.equal
    assert found.findings[1].line.startswith("not comparable tiny  bicubic-x2  lpips-alex [")
    assert "no value then, none now: weights 'alexnet' are not here" in found.findings[1].line

    def invent(document):
        document["rows"][1].update(mean=0.01, n=2, per_image={"a.png": 0.01, "b.png": 0.01}, missing={})
        document["rows"][2].update(mean=1.234, n=2, missing={})

    edit(path, invent)
    found = checked(path)
    assert [f.word for f in found.findings] == ["equal", "differs", "differs"] and not found.equal
    assert found.findings[1].differences[0].startswith("0.0100 then, no value now: weights 'alexnet'")
    assert found.findings[2].differences[0].startswith("1.234000 then, no value now: ")


def test_a_row_without_a_value_counts_neither_way_but_one_that_has_a_value_now_differs(written):
    edit(written, lambda document: no_value(document, 0))
    found = checked(written, "tiny/bicubic-x2/psnr-y")
    assert found.findings[0].differences[0].startswith("no value then (weights are not here), ")
    assert not found.equal


def test_other_gaps_are_told(written):
    def change(document):
        row = document["rows"][0]
        row["per_image"].pop("b.png")
        row.update(n=1, mean=row["per_image"]["a.png"], missing={"c.png": "it was too dark"})

    edit(written, change)
    differences = checked(written, "tiny/bicubic-x2/psnr-y").findings[0].differences
    assert "b.png: a value now, none then" in differences
    assert "c.png: missing then, no such image now" in differences


def test_a_result_without_rows_is_refused(written):
    edit(written, lambda document: document.update(rows=[]))
    with pytest.raises(RequestError) as caught:
        load_rows(written)
    assert str(caught.value) == f"{written}: a result without rows; expected at least one to measure again"


def test_the_command_counts_what_is_comparable(written, monkeypatch, capsys):
    def code(*words):
        monkeypatch.setattr("sys.argv", ["restoration", "verify", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            main()
        return caught.value.code, capsys.readouterr()

    status, printed = code(written)
    assert status == 0 and printed.out.splitlines()[-1] == "4 of 4 rows are equal"
    edit(written, lambda document: document["comparisons"][0].update(n=500))
    status, printed = code(written)
    assert status == 1 and "n 500, but 2 of the rows" in printed.out
    edit(written, lambda document: document.update(rows=[]))
    status, printed = code(written)
    assert status == 2 and printed.err.endswith(
        "a result without rows; expected at least one to measure again\n"
    )


def test_several_folders_are_verified_one_by_one(root):
    for name, step in (("one", 2), ("two", 5)):
        for image in ("a", "b"):
            samples = np.array(Image.open(root / "own" / f"{image}.png"))
            (root / name).mkdir(exist_ok=True)
            Image.fromarray(np.minimum(samples, 250) + np.uint8(step)).save(root / name / f"{image}.png")
    result = score_pairs([root / "one", root / "two"], root / "own", ["psnr-y"])
    path = root / "result.json"
    path.write_text(result.to_json())
    assert checked(path).equal and len(checked(path).findings) == 2
    Image.fromarray(samples).save(root / "two" / "b.png")
    found = checked(path)
    assert [f.word for f in found.findings] == ["equal", "differs"]
    assert "another restored file of b.png (" in found.findings[1].line


def test_threads_are_no_other_machine_and_versions_that_a_row_needs_are(written):
    (row, *_) = read_result(written).rows
    here = {
        "hardware": {"device": "cpu", "processor": "x", "threads": 1},
        "versions": {"torch": "2", "piq": "1"},
    }
    threads = here | {"hardware": {**here["hardware"], "threads": 8}}
    piq = here | {"versions": {"torch": "2", "piq": "2"}}
    other = replace(row, metric="vif")
    assert tolerance(row, here, threads)[1] == "the same machine and versions"
    assert tolerance(row, here, piq)[1] == "the same machine and versions"
    assert tolerance(other, here, piq)[1] == "another processor or other versions"
    weights = here | {"metric_weights": {"alexnet": "1"}}
    assert tolerance(other, weights, here | {"metric_weights": {"alexnet": "2"}})[1].startswith(
        "another processor"
    )
    assert tolerance(other, weights, weights | {"metric_weights": {"alexnet": "1", "vgg16": "3"}})[
        1
    ].startswith("the same")


def test_results_record_the_versions_and_the_weights_that_shape_numbers(monkeypatch):
    from importlib.metadata import version

    from restoration.benchmarks import provenance

    found = provenance.versions()
    assert found["piq"] == version("piq") and "torch" in found and "pillow" in found
    monkeypatch.setattr(provenance, "OPENED", {})
    assert provenance.metric_weights() == {}
    monkeypatch.setattr(provenance, "OPENED", {"alexnet": "7be5"})
    assert provenance.metric_weights() == {"metric_weights": {"alexnet": "7be5"}}


def test_reasons_are_compared_without_the_folders_of_a_machine():
    from restoration.benchmarks.findings import _bare

    assert _bare("weights are not here. Expected a.pth in ~/.cache/w/x.pth") == _bare(
        "weights are not here. Expected a.pth in /home/me/x.pth"
    )
    assert _bare("no such image") != _bare("no such mask")


def test_a_librarys_value_is_held_against_our_own_code_where_the_library_is_not_here(
    root, written, monkeypatch
):
    protocol = load_protocol(root / "tiny.toml")
    measures = measurers("piq,matlab")
    written.write_text(
        by_conventions({"bicubic-x2": load("bicubic-x2")}, [protocol], measures, data=root).to_json()
    )

    def absent(library):
        raise RequestError(f"peer {library}: cannot be imported")

    monkeypatch.setattr("restoration.benchmarks.libraries._module", absent)
    found = checked(written)
    assert found.equal and found.count("equal") == 4
    by_piq = [f for f in found.findings if f.row.convention.endswith("; by piq")]
    assert {f.because for f in by_piq} == {"computed by piq then, by our own code now"}
    assert [f.tolerance for f in by_piq] == pytest.approx([1e-3, 1e-4])

    def change(document):
        for row in document["rows"]:
            row["per_image"] = {name: value + 0.01 for name, value in row["per_image"].items()}
            row["mean"], row["low"], row["high"] = (row[key] + 0.01 for key in ("mean", "low", "high"))

    edit(written, change)
    assert checked(written).count("differs") == 4


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


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.update(provenance=[]), "provenance = []: expected a table"),
        (lambda d: d["provenance"].update(restorers="x"), 'provenance.restorers = "x": expected a table'),
        (lambda d: d["rows"][1].update(metric=None), "rows.1.metric = null: expected text"),
        (lambda d: d["rows"][0].update(missing={"a.png": 3}), "rows.0.missing.a.png = 3: expected text"),
        (lambda d: d["comparisons"][0].update(verdict={}), "comparisons.0.verdict = {}: expected text"),
    ],
)
def test_a_result_of_another_shape_is_one_line(written, change, said):
    edit(written, change)
    with pytest.raises(RequestError) as caught:
        load_rows(written)
    assert str(caught.value) == f"{written}: not a whole result: {said}"


def test_a_comparison_whose_numbers_are_none_is_told(written):
    edit(written, lambda d: d["comparisons"][0].update(difference="large"))
    assert checked(written).problems[0].endswith("its difference or its interval is no number")


@pytest.fixture
def alone(root):
    """A result of two folders without a clean one, of which neither has all images, as a file."""
    for name, step in (("one", 2), ("two", 5)):
        for image in ("a", "b"):
            samples = np.array(Image.open(root / "own" / f"{image}.png"))
            (root / name).mkdir(exist_ok=True)
            Image.fromarray(np.minimum(samples, 250) + np.uint8(step)).save(root / name / f"{image}.png")
    (root / "two" / "b.png").rename(root / "two" / "c.png")
    path = root / "result.json"
    given = Folders.of([root / "one", root / "two"], degraded=root / "small")
    path.write_text(score_pairs(given, None, ["consistency"], ["scale=2"]).to_json())
    return path


def test_folders_without_a_clean_one_are_verified_one_by_one(alone, root):
    found = checked(alone)
    assert found.equal and [f.word for f in found.findings] == ["equal", "equal"], [
        f.line for f in found.findings
    ]
    assert checked(alone, "pairs/two").equal
    Image.fromarray(np.zeros((48, 40, 3), np.uint8)).save(root / "two" / "a.png")
    found = checked(alone)
    assert [f.word for f in found.findings] == ["equal", "differs"]
    assert "another restored file of a.png (" in found.findings[1].line


def test_pixels_that_were_recorded_of_the_first_folder_tell_nothing_of_the_second(alone):
    def change(document):
        for own in document["provenance"]["images"]["pairs"].values():
            own["pixels_sha256"] = "0" * 64

    edit(alone, change)
    assert checked(alone).equal


def test_a_folder_that_is_gone_is_told_where_it_is_scored_alone(root):
    for name in ("one", "two"):
        shutil.copytree(root / "own", root / name)
    path = root / "result.json"
    path.write_text(score_pairs([root / "one", root / "two"], root / "own", ["psnr-y"]).to_json())
    shutil.rmtree(root / "one")
    found = checked(path)
    assert found.findings[0].differences == (f"--pairs {root}/one: no such folder",)
    assert found.findings[1].word == "equal"


def test_records_that_break_in_several_lines_are_told_in_one(written, monkeypatch):
    def broken(*_):
        raise ValueError("the first line\nand the second")

    monkeypatch.setattr(ledger, "measured_again", broken)
    found = checked(written, "tiny/bicubic-x2/psnr-y").findings[0]
    assert found.differences == ("records: the first line; and the second",)
    monkeypatch.setattr(ledger, "read_result", broken)
    with pytest.raises(RequestError) as caught:
        load_rows(written)
    assert str(caught.value) == f"{written}: not a whole result: the first line; and the second"


def test_published_values_are_looked_at(tmp_path, data_root):
    path = next(path for path in committed() if path.name == "published-tables.json")
    copy = tmp_path / "result.json"
    shutil.copy(path, copy)
    assert not verify(copy, load_rows(copy), []).problems
    edit(copy, lambda d: d["provenance"]["published"]["farthest"].update(psnr=0.0))
    (problem,) = verify(copy, load_rows(copy), []).problems
    assert problem.startswith("edited: published: psnr 0.0 recorded, ")
