"""What goes with an image through a chain: masks that unite, targets that come first, channels that are needed."""

import pytest
import torch

from restoration.degradations import DEGRADATIONS
from restoration.degradations.camera import Camera
from restoration.degradations.chain import Chain, OneOf, Sometimes
from restoration.degradations.mask import Boxes, Centre, Half, Lines, Pixels
from restoration.degradations.mosaic import Mosaic
from restoration.degradations.plain import Clip
from restoration.degradations.published import RealEsrgan
from restoration.degradations.published_pmrf import PmrfBlindFace
from restoration.degradations.rescale import Fit, Rescale, Resize
from restoration.degradations.sharpen import Sharpen
from restoration.degradations.shuffle import Shuffle
from restoration.degradations.strokes import Strokes
from restoration.degradations.video import MovingClip
from restoration.image import write_image

MANY = [(0, sample) for sample in range(20)]


@pytest.mark.parametrize(
    "parts",
    [
        (Centre(side=0.5), Pixels(ratio=0.3), Lines(every=4)),
        (Half(side="left"), Sometimes(of=Boxes()), Clip(), OneOf(of=(Pixels(ratio=0.2), Half(side="top")))),
        (Chain(of=(Boxes(), Boxes())), Clip(), Strokes()),
    ],
)
def test_the_mask_has_the_holes_of_all_parts(parts):
    clean = torch.rand(20, 3, 16, 24) * 0.5 + 0.5
    made = Chain(of=parts)(clean, MANY[:20])
    assert torch.equal(made.mask, (made.image == 0).all(1, keepdim=True).float())
    assert torch.equal(made.image, clean * (1 - made.mask))
    shuffled = Shuffle(of=parts)(clean, MANY[:20])
    assert torch.equal(shuffled.mask, (shuffled.image == 0).all(1, keepdim=True).float())


def test_masks_of_other_sizes_meet_at_the_last_ones():
    clean = torch.rand(6, 3, 16, 24) * 0.5 + 0.5
    made = Chain(of=(Pixels(ratio=0.1), Resize(scale=2, kernel="area"), Pixels(ratio=0.2)))(clean, MANY[:6])
    whole = Resize(scale=2, kernel="area")(clean, MANY[:6]).image
    touched = ((made.image - whole).abs() > 1e-6).any(1, keepdim=True)
    assert made.mask.shape == (6, 1, 8, 12) and torch.equal(made.mask, touched.float())
    fitted = Chain(of=(Rescale(factor=(0.5, 1.5)), Pixels(ratio=0.5), Fit(scale=1)))(clean, MANY[:6])
    assert fitted.mask.shape == (6, 1, 16, 24) and set(fitted.mask.unique().tolist()) == {0.0, 1.0}


def test_what_makes_its_own_target_has_to_see_the_clean_image():
    sharpen = Sharpen(target=True)
    for allowed in (Chain(of=(sharpen, Clip())), Chain(of=(Chain(of=(Sometimes(of=sharpen),)), Clip()))):
        assert allowed.aims
    assert not Chain(of=(Clip(), Sharpen())).aims and RealEsrgan().aims and PmrfBlindFace().aims
    for place, build in (
        (1, lambda: Chain(of=(Clip(), sharpen))),
        (2, lambda: Chain(of=(Clip(), Clip(), OneOf(of=(Clip(), sharpen))))),
        (1, lambda: Chain(of=(Clip(), RealEsrgan()))),
        (1, lambda: Shuffle(of=(Clip(), sharpen))),
        (0, lambda: Shuffle(of=(sharpen, Clip()))),
    ):
        with pytest.raises(ValueError) as error:
            build()
        assert str(error.value) == (
            f"of.{place} makes what restorers shall reach, of a degraded image; "
            "expected it first in a chain, or its target or sharpen = false"
        )


def test_channels_are_those_that_some_part_needs():
    camera = Camera()
    for part in (
        camera,
        Mosaic(),
        Chain(of=(Clip(), camera)),
        OneOf(of=(Clip(), camera)),
        Sometimes(of=camera),
        Shuffle(of=(Clip(), camera)),
        MovingClip(of=Clip(), fresh=camera),
        Pixels(fill=(0.1, 0.2, 0.3)),
    ):
        assert part.channels == 3
    assert Chain(of=(Clip(), Pixels())).channels is None and RealEsrgan().channels is None


@pytest.mark.parametrize("name", ["clip", "jpeg", "jpeg-differentiable", "reflection"])
def test_samples_do_not_depend_on_how_a_device_divides(as_gpus_divide, tmp_path, name):
    clean = torch.arange(256).view(1, 1, 16, 16).repeat(1, 3, 3, 2) / 255
    write_image(tmp_path / "scene.png", clean)
    options = {"clip": {"levels": 255}, "reflection": {"images": str(tmp_path)}}
    degradation = DEGRADATIONS[name](**options.get(name, {}))
    expected = degradation(clean.clone(), [(0, 0)]).image
    as_gpus_divide()
    assert torch.equal(degradation(clean.clone(), [(0, 0)]).image, expected)
