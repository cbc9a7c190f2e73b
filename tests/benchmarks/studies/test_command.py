"""The command of the study, and its page."""

import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from restoration.benchmarks.studies.perception_distortion import __main__ as command
from restoration.benchmarks.studies.perception_distortion.arms import ARMS, MEAN, TASKS
from restoration.benchmarks.studies.perception_distortion.evaluating import identity_of, write_record
from restoration.benchmarks.studies.perception_distortion.page import FIGURES, page
from restoration.benchmarks.studies.perception_distortion.picture import svg
from restoration.benchmarks.studies.perception_distortion.records import read_records
from restoration.benchmarks.studies.perception_distortion.schedule import Job
from restoration.errors import RequestError
from restoration.image import write_image

ROOT = Path(__file__).parents[3]
RESULTS, PAGE = ROOT / "benchmarks/results/perception_distortion", ROOT / "docs/perception_distortion.md"


def run(*arguments):
    with pytest.raises(SystemExit) as caught:
        sys.argv[1:] = arguments
        command.main()
    return caught.value.code


@pytest.fixture
def photographs(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["study"])
    monkeypatch.setattr(command, "signal", SimpleNamespace(signal=lambda *_: None, SIGTERM=None))
    monkeypatch.setenv("RESTORATION_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    for name in ("learnt", "measured"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(2):
            write_image(tmp_path / "data" / name / f"{name}{i}.png", torch.rand(1, 3, 160, 160))
    return ["--training", "learnt", "--held-out", "measured"]


@pytest.mark.slow
def test_an_arm_is_trained_measured_and_then_left_alone(photographs, tmp_path, capfd):
    arguments = ["--task", "denoise", "--arm", MEAN, "--steps", "2", "--jobs", "1", *photographs]
    assert run(*arguments) == 0
    assert "1 of 1 arms to run" in capfd.readouterr().out
    record = tmp_path / "runs/perception_distortion/trial-2-steps/denoise/posterior-mean.json"
    assert record.is_file() and not (tmp_path / "benchmarks").exists()
    assert '--steps 2 --training learnt --held-out measured"' in record.read_text()
    assert run(*arguments) == 0
    assert "0 of 1 arms to run" in capfd.readouterr().out
    assert run("--steps", "2", "--page", "page.md") == 0
    text = (tmp_path / "page.md").read_text()
    assert "## Denoise" in text and "posterior mean" in text
    assert (tmp_path / "perception_distortion" / "denoise.svg").read_text().startswith("<?xml")


def test_requests_that_cannot_be_are_one_line(photographs, capsys):
    assert run("--training", "learnt", "--held-out", "nowhere") == 2
    assert capsys.readouterr().err.startswith("perception_distortion: nowhere: no photographs in ")
    assert run("--page", "page.md") == 2
    assert (
        capsys.readouterr().err
        == "perception_distortion: --page page.md: no records to make it of; run the study first\n"
    )
    for wrong in (["--task", "blur"], ["--arm", "pmfr"], ["--steps", "0"], ["--jobs", "two"]):
        assert run(*wrong) == 2


def test_help_names_what_can_be_chosen(photographs, capsys):
    assert run("--help") == 0
    text = capsys.readouterr().out
    assert all(option in text for option in ("--task", "--arm", "--seeds", "--minutes", "--page"))


def test_close_arms_are_trained_with_three_seeds(photographs, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(command, "_run_jobs", lambda place, jobs, options: asked.append(jobs) or [])
    monkeypatch.setattr(
        command, "close_pairs", lambda study, tasks: [(tasks[0], "pmrf"), (tasks[0], "naive")]
    )
    assert run("--task", "inpainting", *photographs) == 0
    assert asked[1] == [Job("inpainting", arm, seed) for arm in ("pmrf", "naive") for seed in (1, 2)]
    for narrower in (["--seeds", "1"], ["--arm", "pmrf"]):
        assert run("--task", "inpainting", *narrower, *photographs) == 0
    assert len(asked) == 4


def test_records_of_another_study_beside_are_not_read(photographs, tmp_path):
    place = command.Place(tmp_path / "work", tmp_path / "results", 2, "learnt", "measured")
    task, arm = TASKS["denoise"], ARMS[MEAN]
    own = identity_of(place, place.photographs(), task, arm, 0)
    made = {"task": "denoise", "arm": MEAN, "seed": 0, "training": None, "variants": []}
    write_record(place.record("denoise", MEAN, 0), made | {"digest": own, "photographs": {"sha256": "1"}})
    for i, other in enumerate(({"digest": "other"}, {"digest": own, "arm": "older"}), 1):
        write_record(place.record("denoise", MEAN, i), made | {"photographs": {"sha256": "2"}, **other})
    assert list(command._own_records(place).records) == [("denoise", MEAN)]
    with pytest.raises(RequestError, match="of other photographs than the records before it"):
        read_records(place.results)


def test_records_are_of_the_experiments_that_the_package_has():
    for records in read_records(RESULTS).records.values():
        for record in records:
            place, seen = (
                command.Place(Path(), RESULTS),
                SimpleNamespace(identity=record["photographs"]["sha256"]),
            )
            task, arm = TASKS[record["task"]], ARMS[record["arm"]]
            assert record["digest"] == identity_of(place, seen, task, arm, record["seed"])


def written(drawn):
    """Return all words and numbers of a picture; lines differ by matplotlib's version."""
    return re.findall(r">([^<>]+)</text>", drawn)


def test_the_page_is_that_of_the_records():
    found = read_records(RESULTS)
    if not found.tasks:
        pytest.skip("no records of the study")
    assert PAGE.read_text(encoding="utf-8") == page(found)
    for task in found.tasks:
        if found.has(task, MEAN):
            drawn = (PAGE.parent / FIGURES / f"{task}.svg").read_text(encoding="utf-8")
            assert written(drawn) == written(svg(found, task).decode())
