"""Whole runs on every kind of source: they resume exactly, skip what is damaged, and say how long they wait."""

import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from restoration import runs
from restoration.errors import ConfigError, ImageError
from restoration.experiment import load
from restoration.losses.temporal import Flicker
from restoration.runs import build_run, claim, dry_run
from restoration.train import train

from .made import picture, ppm

EXPERIMENT = """
name = "tiny"
task = "super-resolution"
[schedule]
steps = 8
batch = 4
bfloat16 = false
average = 0.9
checkpoint = 3
[data]
images = "{images}"
crop = 16
{pairs}
[network]
name = "plain-sr"
scale = 2
width = 4
blocks = 1
[[stack]]
name = "l1"
[optimizer.default]
name = "adam"
lr = 1e-2
"""
BICUBIC = 'degradation = { name = "bicubic", scale = 2 }'
CPU = torch.device("cpu")


@pytest.fixture
def tiny(tmp_path):
    def make(images: object, folder: str = "run", *settings: str, pairs: str = BICUBIC) -> object:
        path = tmp_path / "tiny.toml"
        path.write_text(EXPERIMENT.format(images=images, pairs=pairs))
        run = build_run(load(str(path), settings), tmp_path / folder, CPU)
        claim(run.folder, run.experiment)
        return run

    return make


def weights(run) -> dict[str, torch.Tensor]:
    return {k: v.clone() for k, v in train(run).state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def pairs_of(count: int) -> list[dict[str, bytes]]:
    return [{"clean.ppm": ppm(picture(i)), "degraded.ppm": ppm(picture(i)[::2, ::2])} for i in range(count)]


class Interrupted(Exception):
    pass


def interrupt(done: int, logs: dict[str, float]) -> None:
    if done == 5:
        raise Interrupted


@pytest.mark.slow
def test_a_run_on_shards_resumes_at_the_exact_sample(tiny, shards):
    folder = shards(pairs_of(10), 3)
    straight = weights(tiny(folder, "straight", pairs=""))
    broken = tiny(folder, "broken", pairs="")
    broken.progress = interrupt
    with pytest.raises(Interrupted):
        train(broken)
    resumed = tiny(
        folder, "broken", "data.workers=1", 'data.worker="process"', pairs=""
    )  # neither changes a byte
    assert same(weights(resumed), straight)
    assert resumed.data.scale == 2 and resumed.record.step == 8


def test_a_run_goes_on_with_the_images_that_it_began_with(tiny, photos, tmp_path):
    folder = photos()
    broken = tiny(folder)
    broken.progress = interrupt
    with pytest.raises(Interrupted):
        train(broken)
    moved = folder.rename(tmp_path / "kept")
    shutil.copytree(moved, folder)
    (folder / "0000.png").unlink()
    with pytest.raises(
        ConfigError, match=r"^data: 5 images, the run began with 6; expected the same ones, or"
    ):
        train(tiny(folder))
    with pytest.raises(ConfigError, match=r"^data: 5 images, the run began with 6"):
        dry_run(broken.experiment, broken.folder, CPU)
    shutil.copy(moved / "0000.png", folder / "9999.png")
    with pytest.raises(
        ConfigError, match=r"^data: the run began with 6 images of other names or in another order"
    ):
        train(tiny(folder))
    (folder / "9999.png").unlink()
    (folder / "0000.png").write_bytes(b"")  # damage changes no order
    train(tiny(folder, "run", 'data.damaged="skip"'))


def test_a_run_that_kept_no_record_of_its_images_goes_on(tiny, photos, monkeypatch):
    broken = tiny(photos())
    broken.progress = interrupt
    monkeypatch.setattr("restoration.train.identity", lambda source: {})
    with pytest.raises(Interrupted):
        train(broken)
    monkeypatch.undo()
    again = tiny(broken.data.source.paths[0].parent)
    train(again)
    assert again.record.data["images"] == 6


def test_later_ranks_tell_what_they_skip_unless_quiet(capsys, monkeypatch):
    monkeypatch.setenv("RANK", "3")
    for quiet in (True, False):
        runs._later_rank_note(quiet)("data: skipped x.png")
    assert capsys.readouterr().err == "rank 3: data: skipped x.png\n"


def test_a_folder_a_list_and_another_place_to_degrade_train_alike(tiny, photos):
    folder = photos()
    (folder.parent / "list.txt").write_text("".join(f"photos/{i:04d}.png\n" for i in range(6)))
    files, listed = (weights(tiny(p, f"of-{p.name}")) for p in (folder, folder.parent / "list.txt"))
    assert same(files, listed)
    here = weights(tiny(folder, "device", 'data.degrade_on="device"'))
    assert same(files, here)


@pytest.mark.slow
def test_a_whole_run_of_pairs_says_what_it_was_trained_on(tiny, photos, tmp_path, capsys):
    clean, small = photos(), tmp_path / "small"
    small.mkdir()
    for path in clean.iterdir():
        image = Image.open(path)
        image.resize((image.width // 2, image.height // 2), Image.BOX).save(small / path.name)
    pairs = f'degraded = "{small}"'
    run = tiny(clean, "run", "schedule.steps=40", pairs=pairs)
    (run.folder / "config.toml").unlink()
    run.folder.rmdir()
    runs.run(run.experiment, run.folder, CPU, None, quiet=False)
    said = capsys.readouterr().err
    assert said.count("data: ") == 1 and " % of the time is waiting" in said
    card = (run.folder / "card.md").read_text()
    assert f"- data: 6 images of `{clean}`, partners of `{small}`\n" in card
    assert load_file(run.folder / "restorer.safetensors")
    assert f'degraded = "{small}"' in dry_run(run.experiment, run.folder, CPU)


def test_quiet_runs_say_nothing_of_the_data(tiny, photos, capsys):
    run = tiny(photos(), "run", "schedule.steps=40")
    (run.folder / "config.toml").unlink()
    run.folder.rmdir()
    runs.run(run.experiment, run.folder, CPU, None, quiet=True)
    assert capsys.readouterr().err == ""


def test_a_damaged_image_stops_a_run_or_is_skipped_and_told(tiny, photos, capsys):
    folder = photos()
    whole = (folder / "0002.png").read_bytes()
    (folder / "0002.png").write_bytes(whole[:400])  # sound by its header
    (folder / "0004.png").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"^data.images: .*0004.png: not a readable image \(empty file\)$"):
        tiny(folder)
    (folder / "0004.png").unlink()
    with pytest.raises(ImageError, match=r"0002.png: not a readable image"):
        train(tiny(folder))
    (folder / "0004.png").write_bytes(b"")
    first = tiny(folder, "skips", 'data.damaged="skip"')
    runs.run(first.experiment, first.folder, CPU, None, quiet=False)
    said = capsys.readouterr().err
    assert (
        said.count("0004.png: not a readable image") == 1
        and said.count("0002.png: not a readable image") == 1
    )
    again = tiny(folder, "again", 'data.damaged="skip"', "data.workers=1")
    assert same(weights(again), load_file(first.folder / "restorer.safetensors"))


def test_clips_train_terms_that_compare_frames(tiny, tmp_path):
    for video in range(3):
        (tmp_path / "clips" / str(video)).mkdir(parents=True)
        for frame in range(6):
            Image.fromarray(np.roll(picture(video), frame, 1)).save(
                tmp_path / "clips" / str(video) / f"{frame}.png"
            )
    text = EXPERIMENT.replace(
        "[optimizer.default]",
        '[[stack]]\nname = "flicker"\nframes = 2\nmotion = "still"\n[optimizer.default]',
    )
    path = tmp_path / "clips.toml"
    path.write_text(text.format(images=tmp_path / "clips", pairs=BICUBIC))
    run = build_run(load(str(path), ["data.frames=2"]), tmp_path / "run", CPU)
    assert run.data.clip == 2 and isinstance(run.method.stack.entries[1].term, Flicker)
    claim(run.folder, run.experiment)
    train(run)
    with pytest.raises(ConfigError, match=r"data.images are clips of 3 frames, not of 2 frames$"):
        build_run(load(str(path), ["data.frames=3", "schedule.batch=6"]), tmp_path / "other", CPU)


@pytest.mark.parametrize(
    ("pairs", "settings", "line"),
    [
        ("", (), "data.degradation: missing; expected a table, such as"),
        (BICUBIC, ("network.scale=4",), "network: 'plain-sr' enlarges by 4, but data.degradation 'bicubic' shrinks by 2"),
        ('degraded = "{same}"', (), "network: 'plain-sr' enlarges by 2, but the degraded partner of each image shrinks by 1"),
        (BICUBIC, ('data.worker="fork"',), 'data.worker = "fork": expected \'thread\' or \'process\''),
        (BICUBIC, ("data.degraded_on=1",), "data.degraded_on: unknown key; did you mean 'degrade_on'?"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_the_run(tiny, photos, pairs, settings, line):
    folder = photos()
    with pytest.raises(ConfigError) as error:
        tiny(folder, "run", *settings, pairs=pairs.replace("{same}", str(folder)))
    assert str(error.value).startswith(line) and "\n" not in str(error.value)
