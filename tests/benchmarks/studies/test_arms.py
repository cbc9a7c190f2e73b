"""Arms: their trainings are experiments that build, alike but for what is compared; digests and photographs."""

import json
from pathlib import Path

import pytest
import torch

from restoration import cost, weights
from restoration.benchmarks.known import BSD100
from restoration.benchmarks.studies.perception_distortion import evaluating, photographs, restoring
from restoration.benchmarks.studies.perception_distortion.arms import (
    ARMS,
    CROP,
    MEAN,
    TASKS,
    arms_of,
    experiment,
)
from restoration.benchmarks.studies.perception_distortion.evaluating import (
    Place,
    identity_of,
    is_finished,
    run_arm,
)
from restoration.benchmarks.studies.perception_distortion.photographs import prepared
from restoration.benchmarks.studies.perception_distortion.records import NONE, read_records
from restoration.data import data_root
from restoration.errors import RequestError
from restoration.experiment import load
from restoration.image import find_images, read_samples, rgb, to_float, write_image
from restoration.parts import build_method, build_network
from restoration.restorers.card import Card
from restoration.tiling.receptive import NOTED
from restoration.toml import dumps

LEARNT = [(task, arm.name) for task in TASKS for arm in arms_of(task) if arm.learns]


def saved(path, experiment_file):
    """Write the untrained restorer of an experiment, as a training would the trained one."""
    made = load(str(experiment_file))
    path.parent.mkdir(parents=True, exist_ok=True)
    training = {"seconds": 0, "hardware": "none", NOTED: {"radius": None, "period": 8}}
    weights.save(
        path, build_network(made), Card(made.name, made.task, made.resolved()["network"], 1, "none", training)
    )
    return path


def written(folder, task, arm, files, images="photos", seed=0, steps=None):
    path = folder / f"{task}-{arm}.toml"
    path.write_text(dumps(experiment(TASKS[task], ARMS[arm], seed, str(images), files, steps)))
    return path


@pytest.fixture(scope="module")
def mean(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mean")
    return str(saved(folder / "restorer.safetensors", written(folder, "denoise", MEAN, {})))


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Six photographs to learn from and two to measure."""
    monkeypatch.setenv("RESTORATION_DATA", str(tmp_path / "data"))
    generator = torch.Generator().manual_seed(0)
    for name, count in (("learnt", 6), ("measured", 2)):
        for i in range(count):
            image = torch.rand(1, 3, 161, 131 + 2 * i, generator=generator)
            path = tmp_path / "data" / name / f"{name}{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_image(path, image)
    return Place(tmp_path / "work", tmp_path / "results", None, "learnt", "measured")


def test_every_arm_needs_those_before_it():
    for task in TASKS:
        names = [arm.name for arm in arms_of(task)]
        for arm in arms_of(task):
            assert all(names.index(need) < names.index(arm.name) for need in arm.needs)
    assert len(ARMS) == 12
    assert [arm.name for arm in ARMS.values() if arm not in arms_of("inpainting")] == [
        "pmrf-sigma-0.1"
    ]  # its own σ_s
    assert len(arms_of("denoise")) == 12


@pytest.mark.parametrize("task, arm", LEARNT)
def test_every_training_is_an_experiment_that_builds(task, arm, mean, tmp_path):
    made = load(str(written(tmp_path, task, arm, {MEAN: mean})))
    method = build_method(made)
    assert made.data.degradation["name"] == TASKS[task].degradation["name"]
    assert (made.data.crop, made.data.images, made.validation.previews) == (CROP, "photos", 0)
    learning = next(module for name, module in method.groups().items() if name in ("restorer", "velocity"))
    assert 0.25e6 < cost.parameters(learning) < 0.5e6
    assert method.restorer()(torch.rand(1, 3, 16, 16)).shape == (1, 3, 16, 16)


def test_flows_differ_in_where_they_start_and_what_they_see(mean, tmp_path):
    made = {
        arm: load(str(written(tmp_path, "denoise", arm, {MEAN: mean}))).network
        for arm in ARMS
        if ARMS[arm].kind == "flow"
    }
    said = {arm: (n["source"], n["condition"], n.get("sigma")) for arm, n in made.items()}
    schedules = [load(str(tmp_path / f"denoise-{arm}.toml")).schedule for arm in made]
    assert len({(s.steps, s.batch, s.average) for s in schedules}) == 1
    assert said["pmrf"] == ("posterior-mean", "none", 0.025)
    assert said["flow-degraded"][:2] == ("noise", "degraded") and said["flow-mean"][:2] == (
        "noise",
        "posterior-mean",
    )
    assert said["naive"] == ("degraded", "none", 0.025) and "posterior_mean" not in made["naive"]
    assert [said[f"pmrf-sigma-{s}"][2] for s in ("0", "0.1", "0.2")] == [0.0, 0.1, 0.2]


def test_photographs_are_halved_once_and_cut_to_whole_cells(places):
    found = prepared(places.work, "learnt", "measured")
    assert [tuple(image.shape) for image in found.clean] == [(1, 3, 80, 64)] * 2
    original = rgb(to_float(read_samples(find_images(places.work.parent / "data" / "measured")[0])))
    assert found.clean[0].mean().item() == pytest.approx(original.mean().item(), abs=0.01)
    before = [path.stat().st_mtime_ns for path in find_images(found.training)]
    assert [
        path.stat().st_mtime_ns for path in find_images(prepared(places.work, "learnt", "measured").training)
    ] == before
    seen = found.degraded(TASKS["denoise"])
    assert (seen[0] - found.clean[0]).std().item() == pytest.approx(0.25, abs=0.06)  # σ 0.35, clipped
    assert torch.equal(seen[0], found.degraded(TASKS["denoise"])[0])
    one, other = found.samples(3, 0)
    assert len(one) == len(other) == 3 and len({float(image.sum()) for image in [*one, *other]}) == 6
    assert float(one[0].sum()) != float(found.samples(3, 1)[0][0].sum())


def test_what_is_measured_may_not_be_learnt_from(places):
    with pytest.raises(RequestError, match="learnt0 and 5 more are learnt from"):
        prepared(places.work, "learnt", "learnt")
    with pytest.raises(RequestError, match="nowhere: no photographs in"):
        prepared(places.work, "nowhere", "measured")
    with pytest.raises(RequestError, match="expected 8, for two sets"):
        prepared(places.work, "learnt", "measured").samples(4, 0)


def test_small_photographs_are_refused(places, tmp_path):
    write_image(tmp_path / "data" / "learnt" / "small.png", torch.rand(1, 3, 100, 200))
    with pytest.raises(RequestError, match=r"small.png: 200x100 pixels; expected at least 128"):
        prepared(places.work, "learnt", "measured")


def test_a_digest_is_of_what_decides_the_numbers_not_of_places(places, tmp_path):
    found = places.photographs()

    def identity(place=places, task="denoise", arm="pmrf", seed=0):
        return identity_of(place, found, TASKS[task], ARMS[arm], seed)

    elsewhere = Place(tmp_path / "other", tmp_path / "results", None, "learnt", "measured")
    assert identity() == identity(elsewhere)
    steps = Place(places.work, places.results, 20, "learnt", "measured")
    others = [
        identity(steps), identity(task="inpainting"), identity(arm="naive"), identity(seed=1), identity(arm="transport"),
        identity(arm="pmrf-sigma-0"),
    ]  # fmt: skip
    assert len({identity(), *others}) == 7


@pytest.mark.slow
def test_arms_are_measured_and_written_and_then_left_alone(places, monkeypatch):
    """All kinds of arms, untrained: what matters is what is written of them."""
    trained = []

    def untrained(place, photos, task, arm, seed, files):
        path = place.weights(task.name, arm.name, seed)
        named = {name: str(file) for name, file in files.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        trained.append(arm.name)
        return saved(path, written(path.parent, task.name, arm.name, named, photos.training, seed))

    monkeypatch.setattr(evaluating, "_trained", untrained)
    monkeypatch.setattr(restoring, "COUNTS", (1, 2))
    monkeypatch.setattr(restoring, "ENOUGH", 2)
    monkeypatch.setattr(restoring, "DRAWS", 2)
    monkeypatch.setattr(restoring, "EULER", (1, 2))
    monkeypatch.setattr(restoring, "ALPHAS", (0.0, 0.3, 1.0))
    monkeypatch.setattr(evaluating.measures, "RESAMPLES", 8)
    task, names = TASKS["denoise"], (MEAN, "pmrf", "flow-mean", "gan", "transport", "transport-latents")
    for name in names:
        path = run_arm(places, task, ARMS[name], 0)
        record = json.loads(path.read_text())
        assert is_finished(path, identity_of(places, places.photographs(), task, ARMS[name], 0))
        assert record["photographs"]["names"] == ["measured0", "measured1"]
        assert str(places.work) not in path.read_text()
        assert (record["training"]["experiment"]["schedule"]["steps"] > 1000) if ARMS[name].learns else True
    assert trained == list(names[:4])
    study = read_records(places.results)
    assert study.values("denoise", MEAN, "from_mean").tolist() == [[0.0, 0.0]]
    assert study.values("denoise", MEAN, "mse", **NONE).mean() == pytest.approx(0.06, abs=0.03)
    first = study.values("denoise", "pmrf", "from_mean", steps=1).mean()
    assert 0 < first < 0.002  # an untrained velocity: the source's noise is left
    alphas = study.variants("denoise", "transport", way="authors")
    near = next(v for v in alphas if v["settings"].get("alpha") == 1.0)
    assert near["mse"] == study.values("denoise", MEAN, "mse")[0].tolist()
    latents = study.values("denoise", "transport-latents", "mse", way="authors", alpha=1.0)
    assert latents.tolist() == study.values("denoise", MEAN, "mse").tolist()
    moved = [
        study.values("denoise", arm, "mse", way="authors", alpha=0.0)
        for arm in ("transport", "transport-latents")
    ]
    assert (moved[0] != moved[1]).all()
    far = next(v for v in alphas if v["settings"].get("alpha") == 0.0)
    assert far["mse"] == study.each("denoise", "transport", way="authors", photographs=2, draw=0)[0]["mse"]
    for name in names:
        run_arm(places, task, ARMS[name], 0)
    assert trained == list(names[:4])


def test_photographs_that_are_learnt_from_are_not_those_of_the_benchmark():
    folder = data_root() / photographs.TRAINING
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    names = {path.stem for path in find_images(folder)}
    assert len(names) > 300 and not names & {Path(name).stem for name in BSD100}
    if (measured := data_root() / photographs.HELD_OUT[-1]).is_dir():
        assert not names & {path.stem for path in find_images(measured)}


def test_what_restorers_make_is_clipped_before_it_is_transported():
    class Beyond(torch.nn.Module):
        def forward(self, image):
            return 3 * image - 1

    (found,) = restoring.restored(Beyond(), [torch.linspace(0, 1, 48).view(1, 3, 4, 4)])
    assert (found.min(), found.max()) == (0, 1)


def test_records_of_two_studies_are_not_read_as_one(tmp_path):
    def record(name, photographs, steps, seed=0):
        training = {"experiment": {"name": name, "seed": seed, "schedule": {"steps": steps}}}
        made = {"task": "denoise", "arm": "pmrf", "seed": seed, "photographs": {"sha256": photographs}}
        path = tmp_path / "denoise" / f"{name}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(made | {"training": training}))

    record("a", "p", 10)
    record("b", "p", 10, 1)
    assert [r["seed"] for r in read_records(tmp_path).records["denoise", "pmrf"]] == [0, 1]
    record("c", "p", 20, 2)
    with pytest.raises(RequestError, match=r"c.json: of other trainings than the records before it"):
        read_records(tmp_path)
    record("c", "q", 10, 2)
    with pytest.raises(RequestError, match=r"c.json: of other photographs"):
        read_records(tmp_path)
