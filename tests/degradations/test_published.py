"""Published chains: the papers' shares and ranges over many draws, what comes out, what is to be reached."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from restoration.degradations import DEGRADATIONS
from restoration.degradations.chain import Chain, OneOf
from restoration.degradations.degraded import of_each
from restoration.degradations.draws import part_key
from restoration.degradations.noise import STEPS
from restoration.degradations.published import Bsrgan, RealEsrgan, ResShift
from restoration.degradations.published_pmrf import PmrfBlindFace
from restoration.degradations.sharpen import unsharp

COUNT = 1000
KEYS = [(0, sample) for sample in range(COUNT)]
WIDTH = 3.3  # standard deviations: 99.9 % of shares lie within


@pytest.fixture(scope="module")
def draws():
    """What every chain draws for a thousand small images."""
    clean = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    kept = {}

    def of(name: str) -> dict[str, list]:
        if name not in kept:
            part = DEGRADATIONS[name](**({"sharpen": False} if name == "real-esrgan" else {}))
            kept[name] = of_each([{k: v[0] for k, v in part(clean, [key]).draw.items()} for key in KEYS])
        return kept[name]

    return of


def shares(values, expected):
    """Check counts of values, None left out, against their probabilities."""
    values = [value for value in values if value is not None]
    found = Counter(values)
    assert set(found) <= set(expected)
    for value, share in expected.items():
        spread = math.sqrt(share * (1 - share) / len(values))
        assert abs(found[value] / len(values) - share) <= WIDTH * spread, (
            value,
            found[value] / len(values),
            share,
        )


def within(values, low, high, mean=None):
    """Check a range, and that a uniform draw's mean fits it."""
    values = np.array([value for value in values if value is not None], dtype=float)
    assert low <= values.min() and values.max() <= high
    spread = (high - low) / math.sqrt(12 * len(values))
    assert abs(values.mean() - (low + high) / 2) <= WIDTH * spread


KERNELS = dict(enumerate([0.1, 0.405, 0.225, 0.108, 0.027, 0.108, 0.027]))


@pytest.mark.slow
def test_real_esrgan_has_the_papers_shares_and_ranges(draws):
    found = draws("real-esrgan")
    shares(found["0.chosen"], KERNELS)
    within(found["0.1.sigma_x"], 0.2, 3.0)
    within(found["0.2.rotation"], -math.pi, math.pi)
    shares(found["0.1.size"], dict.fromkeys(range(7, 22, 2), 1 / 8))
    sizes = ["up" if f > 1 else "down" if f < 1 else "keep" for f in found["1.factor"]]
    shares(sizes, {"up": 0.2, "down": 0.7, "keep": 0.1})
    within([f for f in found["1.factor"] if f < 1], 0.15, 1.0)
    within([f for f in found["1.factor"] if f > 1], 1.0, 1.5)
    shares(found["1.kernel"], dict.fromkeys(("area", "bilinear", "bicubic"), 1 / 3))
    shares(found["2.chosen"], {0: 0.5, 1: 0.5})
    within(found["2.0.sigma"], 1.0, 30.0)
    within(found["2.1.strength"], 0.05, 3.0)
    shares(found["2.0.grey"], {True: 0.4, False: 0.6})
    within(found["3.quality"], 30.0, 95.0)
    shares(found["4.applied"], {True: 0.8, False: 0.2})
    shares(found["4.of.chosen"], KERNELS)
    within(found["4.of.1.sigma_x"], 0.2, 1.5)
    sizes = ["up" if f > 1 else "down" if f < 1 else "keep" for f in found["5.factor"]]
    shares(sizes, {"up": 0.3, "down": 0.4, "keep": 0.3})
    within([f for f in found["5.factor"] if f < 1], 0.3, 1.0)
    within(found["6.0.sigma"], 1.0, 25.0)
    within(found["6.1.strength"], 0.05, 2.5)
    shares(found["7.chosen"], {0: 0.5, 1: 0.5})
    shares(found["7.0.1.applied"], {True: 0.8, False: 0.2})
    within(found["7.0.1.of.cutoff"], math.pi / 3, math.pi)
    within(found["7.1.1.quality"], 30.0, 95.0)


@pytest.mark.slow
def test_resshift_is_of_second_order_for_half_of_the_images(draws):
    found = draws("resshift")
    shares(found["4.applied"], {True: 0.5, False: 0.5})
    shares(found["4.of.0.applied"], {True: 0.8, False: 0.2})
    assert sum(value is not None for value in found["4.of.1.factor"]) == sum(found["4.applied"])
    shares(found["0.1.size"], dict.fromkeys(range(3, 20, 2), 1 / 9))
    shares(found["4.of.0.of.1.size"], dict.fromkeys(range(3, 14, 2), 1 / 6))


@pytest.mark.slow
def test_bsrgan_shuffles_halves_and_mixes_as_the_paper(draws):
    found = draws("bsrgan")
    shares(found["0.chosen"], {0: 0.75, 1: 0.25})
    orders = [order for order in found["0.0.0.order"] if order is not None]
    assert all(order.index(2) < order.index(3) and sorted(order) == list(range(6)) for order in orders)
    shares(found["0.0.0.4.chosen"], {0: 0.4, 1: 0.4, 2: 0.2})
    shares(found["0.0.0.5.applied"], {True: 0.9, False: 0.1})
    shares(found["0.0.0.2.0.chosen"], {0: 0.75, 1: 0.25})
    factors = [found[f"0.0.0.2.0.0.{i}.factor"] for i in (0, 1)]
    within([1 / f for both in factors for f in both if f is not None], 1.0, 8.0)
    shares(found["0.1.0.chosen"], {0: 1 / 2, 1: 1 / 3, 2: 1 / 6})
    within([s**2 for s in found["0.0.0.0.0.sigma_x"] if s is not None], 0.0, 8.0)
    within(found["0.0.1.quality"], 30, 95)


@pytest.mark.parametrize(
    ("name", "scale"), [("real-esrgan", 4), ("real-esrgan", 2), ("resshift", 4), ("bsrgan", 4)]
)
def test_degraded_images_are_8_bit_images_of_the_right_size(name, scale):
    clean = torch.rand(6, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    image = DEGRADATIONS[name](scale=scale)(clean, KEYS[:6]).image
    assert image.shape == (6, 3, 48 // scale, 64 // scale)
    torch.testing.assert_close(image * STEPS, (image * STEPS).round().clamp(0, STEPS), rtol=0, atol=1e-4)


def test_real_esrgan_asks_for_the_sharpened_image():
    clean = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    made = RealEsrgan()(clean, KEYS[:2])
    assert torch.equal(made.clean, unsharp(clean)) and not torch.equal(made.clean, clean)
    assert RealEsrgan(sharpen=False)(clean, KEYS[:2]).clean is None


def test_some_faces_are_grey_and_so_is_what_is_asked_for():
    clean = torch.rand(40, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    made = PmrfBlindFace(grey=0.5)(clean, KEYS[:40])
    for image, aim, given, grey in zip(made.image, made.clean, clean, made.draw["grey"], strict=True):
        assert torch.equal(aim, given) != grey
        assert bool((aim.std(0) < 1e-6).all()) == grey
        assert bool((image.std(0) < 1e-6).all()) or not grey
    shares(made.draw["grey"], {True: 0.5, False: 0.5})
    chain = PmrfBlindFace(grey=0.5).chain(clean, KEYS[:40])
    assert torch.equal(chain.image, made.image)
    torch.testing.assert_close(made.image * STEPS, (made.image * STEPS).round(), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("real-esrgan", {"scale": 0}, "scale = 0; expected a whole number from 1"),
        ("resshift", {"scale": -4}, "scale = -4; expected a whole number from 1"),
        ("bsrgan", {"scale": 8}, "scale = 8; expected 2, 3 or 4"),
        ("pmrf-sr", {"factor": 0}, "factor = 0; expected a whole number from 1"),
        ("pmrf-inpaint", {"ratio": 1.5}, "ratio = 1.5; expected a probability from 0 to 1"),
        ("pmrf-blind-face", {"grey": 2.0}, "grey = 2; expected a probability from 0 to 1"),
        (
            "pmrf-blind-face",
            {"sigma": (3.0, 1.0)},
            "sigma = [3, 1]; expected a number from 0, or [lowest, highest] of such",
        ),
        (
            "pmrf-blind-face",
            {"divisor": 0.0},
            "divisor = 0; expected a number from 0.1 to 100, or [lowest, highest] of such",
        ),
        *(
            (
                f"pmrf-{name}",
                {"sigma": 25.0},
                "sigma = 25; expected a number from 0 to 1, white being 1: of 8-bit steps it is σ/255",
            )
            for name in ("sr", "denoise", "inpaint", "colorize")
        ),
    ],
)
def test_bad_values_are_refused_at_once_in_their_own_words(name, arguments, message):
    with pytest.raises(ValueError) as error:
        DEGRADATIONS[name](**arguments)
    assert str(error.value) == message


def test_pmrfs_reduction_is_pytorchs():
    clean = torch.rand(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))
    small = interpolate(clean, scale_factor=1 / 8, mode="bicubic", antialias=True).clamp(0, 1)
    expected = interpolate(small, scale_factor=8, mode="nearest-exact")
    made = DEGRADATIONS["pmrf-sr"](sigma=0.0)(clean, KEYS[:2]).image
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-6)


def test_pmrf_tasks_in_closed_form():
    clean = torch.full((200, 3, 16, 16), 0.5)
    found = {name: DEGRADATIONS[f"pmrf-{name}"]() for name in ("sr", "denoise", "inpaint", "colorize")}
    keys = KEYS[:200]
    noisy = found["denoise"](clean, keys).image
    inside = 0.5 - 0.35 * 0.5 / 0.35  # the noise reaches 0 at 1.43 σ
    assert (
        inside == 0
        and abs((noisy > 0.5).float().mean() - 0.5) < 0.01
        and noisy.min() == 0
        and noisy.max() == 1
    )
    blocks = found["sr"](clean, keys).image
    assert torch.equal(blocks[..., ::8, ::8].repeat_interleave(8, -1).repeat_interleave(8, -2), blocks)
    assert abs(blocks[..., ::8, ::8].std() - 0.05) < 0.005
    holes = found["inpaint"](clean, keys)
    assert abs(holes.mask.mean() - 0.9) < 0.005
    seen = holes.image[(holes.mask == 0).expand_as(holes.image)]
    assert abs(seen.std() - 0.1) < 0.003 and abs(seen.mean() - 0.5) < 0.003
    dropped = holes.image[(holes.mask == 1).expand_as(holes.image)]
    assert abs((dropped == 0).float().mean() - 0.5) < 0.01
    tinted = clean * torch.tensor([0.2, 1.0, 1.5]).view(3, 1, 1)
    grey = found["colorize"](tinted, keys).image
    assert torch.equal(grey[:, :1].expand(-1, 3, -1, -1), grey) and abs(grey.median() - 0.45) < 0.01


def test_a_chain_names_its_parts_for_those_who_change_it():
    for chain in (RealEsrgan().chain, ResShift().chain, Bsrgan().chain):
        assert isinstance(chain, Chain)
    first = RealEsrgan(sharpen=False).chain.of[0]
    assert (
        isinstance(first, OneOf)
        and first(torch.rand(1, 3, 32, 32), [part_key((0, 0), "chain.0")]).draw["chosen"]
    )
