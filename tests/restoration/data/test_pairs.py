"""Pairs: crops, partners of any scale, clips, and what is refused."""

import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from restoration.data import Pairs, Photographs, build_source
from restoration.degradations.chain import Chain
from restoration.degradations.degraded import Degradation, Degraded
from restoration.degradations.draws import generator
from restoration.degradations.mosaic import Mosaic
from restoration.degradations.noise import Noise
from restoration.degradations.rescale import Rescale
from restoration.degradations.resize import Bicubic
from restoration.degradations.video import MovingClip
from restoration.errors import ConfigError, ImageError
from restoration.tiling import turned

from .made import picture


def test_the_bytes_of_a_batch_are_those_of_its_definition(photos, data):
    source = build_source(data(photos()))
    pairs = Pairs(source, Bicubic(2), 16, 4, seed=9)
    batch = pairs.batch(2)
    for place, sample in enumerate(range(8, 12)):
        epoch, number = divmod(sample, 6)
        samples = picture(int(generator((9, epoch), "order").permutation(6)[number]))
        rng = generator((9, sample), "crop")
        top, left = int(rng.integers(25)), int(rng.integers(33))
        window = (
            torch.from_numpy(samples[top : top + 16, left : left + 16].transpose(2, 0, 1).astype(np.float32))
            / 255
        )
        assert torch.equal(batch.clean[place], turned(window, int(rng.integers(8))))
    assert torch.equal(batch.degraded, Bicubic(2)(batch.clean, batch.keys).image)
    assert pairs.names(batch.keys)[0].endswith(".png")


def test_partners_are_degraded_further_where_both_are_asked_for(photos, data, tmp_path):
    clean, small = photos(), tmp_path / "small"
    small.mkdir()
    for path in clean.iterdir():
        image = Image.open(path)
        image.crop((0, 0, 47, 40)).resize((24, 20), Image.BOX).save(
            small / path.name.replace(".png", "x2.bmp")
        )
    source = build_source(data(clean, degraded=str(small)))
    assert source.scale == 2 and source.partners[0].name == "0000x2.bmp"
    alone, both = Pairs(source, None, 16, 6, 0), Pairs(source, Noise(sigma=25.0), 16, 6, 0)
    assert both.scale == 2 and torch.equal(alone.batch(0).clean, both.batch(0).clean)
    noisy = Noise(sigma=25.0)(alone.batch(0).degraded, both.keys(0)).image
    assert torch.equal(both.batch(0).degraded, noisy)
    assert Pairs(source, Bicubic(2), 16, 6, 0).scale == 4
    with pytest.raises(ConfigError, match=r"data.crop = 17: expected a multiple of the scale 2"):
        Pairs(source, None, 17, 6, 0)


def test_a_pair_that_has_another_scale_only_when_it_is_read_is_named(photos, data, tmp_path):
    clean = photos()
    source = build_source(data(clean, degraded=str(clean)))
    odd = Photographs(source.paths, 0, source.paths, scale=2)
    with pytest.raises(ImageError, match=r"000\d.png: 48x40 pixels, degraded 48x40; expected a scale of 2"):
        Pairs(odd, None, 16, 1, 0).batch(0)


def test_frames_of_a_clip_share_crop_and_turns(tmp_path, data):
    for video in ("a", "b", "c"):
        (tmp_path / "clips" / video).mkdir(parents=True)
        for frame in (1, 2, 3, 8, 9, 10, 11):
            # a ramp in every frame, brighter by the frame: what a crop shows says where it lies
            ramp = np.add.outer(np.arange(40), 2 * np.arange(48))[..., None].repeat(3, 2).astype(np.uint8)
            Image.fromarray(ramp + np.uint8(frame)).save(tmp_path / "clips" / video / f"frame{frame}.png")
    source = build_source(data(tmp_path / "clips", frames=3))
    pairs = Pairs(source, Bicubic(2), 16, 12, 0)
    assert len(source) == 18 and pairs.clip == 3  # six clips: the seventh frame of each video is left over
    numbers = [int(path.stem.removeprefix("frame")) for path in source.paths]
    assert numbers == [1, 2, 3, 8, 9, 10] * 3
    clean = (pairs.batch(0).clean * 255).round().reshape(4, 3, -1)
    steps = (clean[:, 1:] - clean[:, :-1]).flatten(2)
    assert (steps == 1).all()
    assert len({tuple(c[0, :2].tolist()) for c in clean}) > 1


def test_photographs_become_clips_that_move(photos, data):
    source = build_source(data(photos()))
    pairs = Pairs(source, MovingClip(Bicubic(2), frames=3, shift=2.0, neighbours=True), 16, 12, 0)
    batch, crops = pairs.batch(1), pairs.crops(pairs.keys(1))
    assert pairs.clip == 3 and batch.frames.shape == (12, 3, 3, 8, 8) and [*batch.layers] == ["flow"]
    assert pairs.names(batch.keys)[::3] == pairs.names(batch.keys)[1::3]
    for clip in range(4):
        frames = slice(3 * clip, 3 * clip + 3)
        assert (crops.clean[frames] == crops.clean[3 * clip]).all()  # one crop of one photograph
        assert torch.equal(batch.clean[3 * clip + 1], crops.clean[3 * clip])  # which is the middle frame
        assert not torch.equal(batch.clean[3 * clip], batch.clean[3 * clip + 2])
        assert torch.equal(batch.frames[3 * clip], batch.degraded[frames])
    with pytest.raises(ConfigError, match=r"'moving-clip' makes clips of photographs; data.images are clips"):
        Pairs(build_source(data(source.paths[0].parent, frames=2)), pairs.degradation, 16, 12, 0)
    with pytest.raises(ConfigError, match=r"'moving-clip' makes clips of photographs; data.images are pairs"):
        folder = str(source.paths[0].parent)
        Pairs(build_source(data(folder, degraded=folder)), pairs.degradation, 16, 12, 0)


def test_what_a_degradation_asks_restorers_to_reach_is_clean(photos, data):
    class Brighter(Degradation):
        scale, multiple = 1, 8

        def __call__(self, clean, keys):
            return Degraded(clean / 2, clean=clean / 4)

    source = build_source(data(photos()))
    pairs = Pairs(source, Brighter(), 16, 4, 0)
    assert torch.equal(pairs.batch(0).clean, pairs.crops(pairs.keys(0)).clean / 4)
    with pytest.raises(
        ConfigError, match=r"data.crop = 12: expected a multiple of 8, as data.degradation needs"
    ):
        Pairs(source, Brighter(), 12, 4, 0)


def test_a_clip_with_a_damaged_frame_is_skipped_as_a_whole(photos, data):
    folder = photos(count=9)
    (folder / "0004.png").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"data.images: .*0004.png: not a readable image \(empty file\)"):
        build_source(data(folder, frames=3))
    source = build_source(data(folder, frames=3, damaged="skip"))
    pairs = Pairs(source, Bicubic(2), 16, 9, 0, damaged="skip")
    names = [name[-8:-4] for name in Pairs(source, Bicubic(2), 16, 9, 0).names(pairs.keys(0))]
    place = names.index("0004") // 3 * 3
    after = pairs.of_keys([(0, place + 3 + t) for t in range(3)]) if place < 6 else None
    assert pairs.batch(0).clean.shape == (9, 3, 16, 16) and sorted(pairs.skipped) == [3, 4, 5]
    assert after is None or not torch.equal(after.clean, pairs.batch(0).clean[place : place + 3])
    (folder / "0007.png").write_bytes(
        (folder / "0007.png").read_bytes()[:200]
    )  # found only when it is decoded
    with pytest.raises(ImageError, match=r"0007.png: not a readable image"):
        Pairs(
            build_source(data(folder, frames=3, damaged="skip")), Bicubic(2), 16, 9, 0, damaged="skip"
        ).batch(0)


def test_names_are_those_of_the_images_that_are_drawn(photos, data):
    folder = photos()
    (folder / "0001.png").write_bytes(b"")  # known by its header
    (folder / "0004.png").write_bytes((folder / "0004.png").read_bytes()[:200])  # only when it is decoded
    pairs = Pairs(build_source(data(folder, damaged="skip")), Bicubic(2), 40, 6, 0, damaged="skip")
    names = [name[-8:] for name in pairs.names(pairs.keys(0))]  # before anything was drawn
    assert not {*names} & {"0001.png", "0004.png"} and len(names) == 6
    batch = Pairs(pairs.source, Bicubic(2), 40, 6, 0, augment=False, damaged="skip").batch(0)
    for name, clean in zip(names, batch.clean, strict=True):
        whole = picture(int(name[:4])).transpose(2, 0, 1) / np.float32(255)
        windows = np.lib.stride_tricks.sliding_window_view(whole, (3, 40, 40))[0, 0]
        assert (np.abs(windows - clean.numpy()).max((1, 2, 3)) < 1e-6).any()


def test_pairs_travel_without_what_they_keep(photos, data):
    pairs = Pairs(build_source(data(photos())), Bicubic(2), 16, 6, 0)
    before = pairs.batch(0)
    assert pairs.source._decoded.spent == 6 * 40 * 48 * 3
    other = pickle.loads(pickle.dumps(pairs))
    assert other.source._decoded.spent == 0 and torch.equal(other.batch(0).clean, before.clean)


def test_images_are_decoded_once_as_long_as_the_cache_lasts(photos, data, monkeypatch):
    from restoration.data import files

    source = build_source(data(photos(), cache=4.5 * 40 * 48 * 3 / (1 << 30)))
    read = []
    monkeypatch.setattr(files, "read_samples", lambda path: read.append(path) or picture(0))
    for _ in range(3):
        for index in range(6):
            source.samples(index)
    assert len(read) == 6 + 2 + 2 and not source.fits


def test_a_degradation_that_leaves_the_size_to_chance_is_refused(photos, data):
    with pytest.raises(
        ConfigError, match=r"^data\.degradation: leaves the size to chance; expected a chain that"
    ):
        Pairs(build_source(data(photos())), Rescale(factor=(0.5, 1.5)), 16, 4, 0)


def test_a_degradation_of_colours_is_refused_for_grey_images(photos, data):
    source = build_source(data(photos()))
    for part in (Mosaic(), Chain(of=(Bicubic(2), Mosaic()))):
        with pytest.raises(ConfigError) as error:
            Pairs(source, part, 16, 4, 0, grey=True)
        assert str(error.value) == "data.degradation: needs 3 channels, but data.grey = true gives 1"
    assert Pairs(source, Bicubic(2), 16, 4, 0, grey=True).batch(0).clean.shape[1] == 1


def test_mirrored_samples_are_never_turned(photos, data):
    source = build_source(data(photos()))
    plain = Pairs(source, Bicubic(2), 16, 24, 0, augment=False).batch(0).clean
    mirrored = Pairs(source, Bicubic(2), 16, 24, 0, augment="mirror").batch(0).clean
    kept = [torch.equal(a, b) for a, b in zip(mirrored, plain, strict=True)]
    assert all(k or torch.equal(a, b.flip(-1)) for k, a, b in zip(kept, mirrored, plain, strict=True))
    assert 4 < sum(kept) < 20
