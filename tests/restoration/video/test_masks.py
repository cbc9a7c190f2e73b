"""Masks of videos: one for all frames, one for each, another video; noise of frames, still or moving."""

import errno
from itertools import pairwise

import numpy as np
import pytest
import torch
from clips import av, planes, restorer, write

from restoration.apply import apply
from restoration.applying.manifest import Manifest
from restoration.dials.masks import Masks
from restoration.dials.sampling import STRIDE, of_frame
from restoration.errors import ImageError, RequestError
from restoration.image import Picture
from restoration.image import write as write_picture
from restoration.networks.network import Network
from restoration.networks.placing import Place, placed_noise
from restoration.video import Films, Settings, restore_video
from restoration.video.masks import masks_of
from restoration.video.reading import probe

FRAMES, HEIGHT, WIDTH = 6, 48, 64


class Paint(Network):
    """White in holes; what it is shown outside them, spoilt, so that it must not come through."""

    conditions = ("mask",)
    receptive_field = 0
    channels = None

    def forward(self, degraded):
        image, mask = degraded[:, :-1], degraded[:, -1:]
        assert ((mask == 0) | (mask == 1)).all() and (image * mask == 0).all()
        return mask + (1 - mask) * (1 - image)


def hole(number=0):
    """Return a square of 16 pixels that moves by two pixels a frame."""
    found = np.zeros((HEIGHT, WIDTH, 1), bool)
    found[16:32, 8 + 2 * number : 24 + 2 * number] = True
    return found


def save(path, found):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, Picture((found * 255).astype(np.uint8)))
    return path


@pytest.fixture
def clip(tmp_path):
    return write(tmp_path / "in" / "a.mkv", codec="ffv1", frames=FRAMES, size=(HEIGHT, WIDTH), pix_fmt="gray")


@pytest.fixture(autouse=True)
def folder(tmp_path):
    (tmp_path / "in").mkdir()


def mask_video(path, count=FRAMES, size=(HEIGHT, WIDTH)):
    path.parent.mkdir(exist_ok=True)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = *size, "gray"
        for i in range(count):
            shown = np.zeros(size, np.uint8)
            part = hole(i)[: size[0], : size[1], 0]
            shown[: part.shape[0], : part.shape[1]] = part * 255
            output.mux(stream.encode(av.VideoFrame.from_ndarray(shown, "gray")))
        output.mux(stream.encode(None))
    return path


def check(clip, made, moving):
    for number, (before, after) in enumerate(zip(planes(clip), planes(made), strict=True)):
        found = hole(number if moving else 0)[..., 0]
        assert (after[0][found] == 255).all()
        assert np.array_equal(after[0][~found], before[0][~found])


def test_one_mask_for_all_frames(tmp_path, clip):
    masks = Masks(save(tmp_path / "m.png", hole()))
    notes = restore_video(restorer(Paint()), clip, tmp_path / "b.mkv", settings=LOSSLESS, masks=masks)
    check(clip, tmp_path / "b.mkv", moving=False)
    assert notes == ()


LOSSLESS = Settings(codec="ffv1")


@pytest.mark.parametrize("kind", ["folder of frames", "frames", "named video", "video", "black"])
def test_a_mask_for_each_frame(tmp_path, clip, kind):
    masks = Masks(_made(tmp_path / "masks", kind), "black" if kind == "black" else "white")
    restore_video(restorer(Paint()), clip, tmp_path / "b.mkv", settings=LOSSLESS, masks=masks)
    check(clip, tmp_path / "b.mkv", moving=True)


def _made(place, kind):
    place.mkdir()
    if kind == "video":
        return mask_video(place / "other.mkv")
    if kind == "named video":
        mask_video(place / "a.mkv")
        return place
    for number in range(FRAMES):  # in the order of numbers, not of letters
        found = hole(number) if kind != "black" else ~hole(number)
        save(place / ("a" if kind == "folder of frames" else ".") / f"f{number + 8}.png", found)
    return place


def test_frames_from_the_middle_get_their_own_masks_and_interruptions_do_not_mix_them(tmp_path, clip):
    masks = Masks(_made(tmp_path / "masks", "frames"))
    settings = Settings("2:5", codec="ffv1", segment=2)
    restore_video(restorer(Paint()), clip, tmp_path / "b.mkv", settings=settings, masks=masks)
    for number, after in enumerate(planes(tmp_path / "b.mkv"), 2):
        assert np.array_equal(after[0] == 255, hole(number)[..., 0])
    before = masks_of(masks, probe(clip)).described()
    save(tmp_path / "masks" / "f9.png", hole(3))
    assert masks_of(masks, probe(clip)).described() != before


def test_a_folder_of_clips_with_masks_by_name(tmp_path, clip):
    save(tmp_path / "masks" / "a.png", hole())
    report = apply(
        restorer(Paint()),
        [tmp_path / "in"],
        tmp_path / "out",
        masks=Masks(tmp_path / "masks"),
        films=Films(LOSSLESS),
    )
    assert report.written == [tmp_path / "out" / "a.mkv"] and not report.failed and not report.notes
    check(clip, report.written[0], moving=False)


def test_masks_that_do_not_fit_are_one_line(tmp_path, clip):
    place = tmp_path / "masks"
    wrong = {
        mask_video(
            tmp_path / "short.mkv", FRAMES - 1
        ): f"{FRAMES} frames, but its mask {tmp_path}/short.mkv has 5",
        mask_video(
            tmp_path / "small.mkv", size=(40, 64)
        ): f"64x48 pixels, but its mask {tmp_path}/small.mkv has 64x40",
        save(tmp_path / "m.png", hole()[1:]): f"64x48 pixels, but its mask {tmp_path}/m.png has 64x47",
    }
    for path, line in wrong.items():
        with pytest.raises(ImageError) as caught:
            restore_video(restorer(Paint()), clip, tmp_path / "b.mkv", masks=Masks(path), settings=LOSSLESS)
        assert str(caught.value).startswith(f"{clip}: {line}") and "\n" not in str(caught.value)
    save(place / "a" / "0.png", hole())
    with pytest.raises(ImageError, match=r"a\.mkv: 6 frames, but .*/masks/a holds 1 masks; expected as many"):
        restore_video(restorer(Paint()), clip, tmp_path / "b.mkv", masks=Masks(place))
    (place / "a").rename(place / "other")
    with pytest.raises(
        ImageError, match=r"no mask in .*; expected a\.png, a\.mp4 or a folder a there, or an image"
    ):
        restore_video(restorer(Paint()), clip, tmp_path / "b.mkv", masks=Masks(place))
    with pytest.raises(ImageError, match=r"its mask .*short\.mkv is a video; expected an image"):
        Masks(tmp_path / "short.mkv").of(tmp_path / "a.png", HEIGHT, WIDTH)


def test_masks_where_none_belong_and_none_where_one_does(tmp_path, clip, identity):
    masks = Masks(save(tmp_path / "m.png", hole()))
    for network, given, line in [
        (identity, masks, f"--mask {tmp_path}/m.png: 'identity' takes no mask"),
        (restorer(Paint()), None, "'paint' needs a mask beside the image: expected --mask FILE or folder"),
    ]:
        with pytest.raises(RequestError) as caught:
            restore_video(network, clip, tmp_path / "b.mkv", masks=given)
        assert str(caught.value) == line
        with pytest.raises(RequestError) as caught:
            apply(network, [clip], tmp_path / "out", masks=given)
        assert str(caught.value) == line


class Snow(Network):
    """Noise alone."""

    receptive_field = 0
    channels = None

    def __init__(self):
        super().__init__()
        self.seed, self.place = 4, Place()

    def forward(self, degraded):
        return self.place.noise(self.seed, degraded) * 0.1 + 0.5


@pytest.mark.parametrize("noise", ["still", "moving"])
def test_noise_lies_still_unless_asked_to_move(tmp_path, clip, noise):
    snow = restorer(Snow())
    settings = Settings(codec="ffv1", noise=noise, segment=4)
    restore_video(snow, clip, tmp_path / "b.mkv", settings=settings)
    made = [torch.from_numpy(frame[0].astype(np.float32)) for frame in planes(tmp_path / "b.mkv")]
    restore_video(snow, clip, tmp_path / "c.mkv", settings=LOSSLESS)
    assert np.array_equal(made[0], planes(tmp_path / "c.mkv")[0][0]) and snow.network.seed == 4
    for one, other in pairwise(made):
        correlation = torch.corrcoef(torch.stack((one.flatten(), other.flatten())))[0, 1]
        assert correlation > 0.999 if noise == "still" else abs(correlation) < 0.1


def test_noise_of_compiled_networks_moves_without_compiling_them_again():
    snow, image, graphs = Snow(), torch.zeros(1, 3, 8, 12), []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(snow, backend=backend, dynamic=True)
    for number in range(4):
        with of_frame(snow, number), torch.no_grad():
            assert torch.equal(compiled(image), placed_noise(4 + number * STRIDE, image) * 0.1 + 0.5)
    assert len(graphs) == 1 and snow.place.moved == 0 and not snow.state_dict()


@pytest.mark.parametrize("seed", [0, 2**40 + 5, -3, 2**63 - 1, 2**64 + 7])
def test_seeds_draw_the_same_as_numbers_and_as_tensors(seed):
    image = torch.zeros(1, 3, 8, 12)
    assert torch.equal(Place().noise(seed, image), placed_noise(seed, image))


def test_noise_that_does_not_exist_cannot_move(tmp_path, clip, identity):
    with pytest.raises(RequestError, match="--noise loud: expected still or moving"):
        Settings(noise="loud")
    with pytest.raises(RequestError, match="--noise moving: 'identity' draws nothing"):
        restore_video(identity, clip, tmp_path / "b.mkv", settings=Settings(noise="moving"))


def test_a_manifest_that_cannot_be_written_is_one_note(tmp_path, clip, identity, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Manifest, "add", full)
    write(tmp_path / "in" / "b.mkv", codec="ffv1", frames=2)
    report = apply(identity, [tmp_path / "in"], tmp_path / "out", films=Films(LOSSLESS))
    assert len(report.written) == 2 and not report.failed
    (line,) = report.notes
    assert line == (
        ".restoration-manifest.jsonl: cannot be written (No space left on device); "
        "what made these files will not be known"
    )
