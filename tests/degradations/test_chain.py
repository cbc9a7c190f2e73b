"""Chains: order, keys of their own, and what is kept."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from restoration.degradations import DEGRADATIONS, Degradation, Degraded
from restoration.degradations.chain import Chain, OneOf, Sometimes
from restoration.degradations.noise import Noise
from restoration.degradations.plain import Clip, Grey
from restoration.degradations.rescale import Fit, Rescale, Resize
from restoration.degradations.resize import Bicubic
from restoration.degradations.sharpen import Sharpen
from restoration.degradations.shuffle import Shuffle
from restoration.degradations.video import MovingClip

KEYS = [(0, 0), (0, 1)]
MANY = [(0, sample) for sample in range(1000)]


@dataclass(frozen=True)
class Hole(Degradation):
    def __call__(self, clean: Tensor, keys: list[tuple[int, int]]) -> Degraded:
        mask = torch.ones_like(clean[:, :1])
        return Degraded(clean * 0, mask=mask, layers={"hole": clean}, draw={"holes": [1] * len(keys)})


def test_parts_apply_in_order():
    clean = torch.rand(2, 3, 16, 16)
    assert torch.equal(Chain(of=(Hole(), Clip()))(clean, KEYS).image, torch.zeros_like(clean))
    noisy_then_small = Chain(of=(Noise(sigma=50.0), Bicubic(scale=4)))(clean, KEYS)
    small_then_noisy = Chain(of=(Bicubic(scale=4), Noise(sigma=50.0)))(clean, KEYS)
    assert (noisy_then_small.image * 255 % 1 - 0.5).abs().min() > 0.49  # rounded last
    assert small_then_noisy.image.std() > noisy_then_small.image.std()


def test_a_chain_of_plain_parts_is_those_parts():
    clean = torch.rand(2, 3, 16, 16) * 3 - 1
    expected = Bicubic(scale=2)(Grey()(clean.clamp(0, 1), KEYS).image, KEYS).image
    assert torch.equal(Chain(of=(Clip(), Grey(), Bicubic(scale=2)))(clean, KEYS).image, expected)


def test_the_scale_is_the_product():
    assert Chain(of=(Bicubic(scale=2), Noise(sigma=1.0), Bicubic(scale=3))).scale == 6


def test_equal_parts_draw_differently_wherever_they_stand():
    noise, zero = Noise(sigma=(1.0, 50.0)), torch.zeros(2, 3, 8, 8)
    nested = Chain(of=(Chain(of=(noise, noise)), noise, Chain(of=(Chain(of=(noise,)), noise))))
    drawn = [sigma for values in nested(zero, KEYS).draw.values() for sigma in values]
    assert len(drawn) == len(set(drawn)) == 10


def test_masks_layers_and_draws_are_kept():
    clean = torch.rand(2, 3, 8, 8)
    degraded = Chain(of=(Clip(), Hole(), Noise(sigma=5.0)))(clean, KEYS)
    assert degraded.draw == {"1.holes": [1, 1], "2.sigma": [5.0, 5.0]}
    assert torch.equal(degraded.mask, torch.ones(2, 1, 8, 8))
    assert torch.equal(degraded.layers["hole"], clean)


def test_gradients_pass_the_rounding_of_levels():
    clean = torch.rand(2, 3, 6, 7, requires_grad=True)
    made = Clip(levels=7)(clean, KEYS).image
    made.sum().backward()
    assert torch.equal(clean.grad, torch.ones_like(clean))
    assert torch.equal(made.detach(), Clip(levels=7)(clean.detach(), KEYS).image)


def test_grey_is_matlabs():
    colours = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]).view(4, 3, 1, 1)
    grey = Grey()(colours, [(0, i) for i in range(4)]).image
    # rgb2gray of the primaries, in 8 bits: 76, 150, 29
    assert (grey[:, 0].flatten() * 255).round().tolist() == [76, 150, 29, 255]
    assert torch.equal(grey[:, 0], grey[:, 1]) and torch.equal(grey[:, 0], grey[:, 2])
    assert torch.equal(Grey()(colours[:, :1], [(0, i) for i in range(4)]).image, colours[:, :1])


def test_an_empty_chain_is_refused():
    with pytest.raises(ValueError, match=r"^of = \[\]; expected at least one degradation$"):
        DEGRADATIONS["chain"](of=())


def share(truth: np.ndarray, probability: float) -> bool:
    """Return whether a share is within 4 standard errors of its probability."""
    return abs(truth.mean() - probability) <= 4 * (probability * (1 - probability) / len(truth)) ** 0.5


def test_one_of_takes_each_part_in_its_share():
    zero = torch.zeros(1000, 1, 2, 2)
    for weights, shares in (((), (0.25,) * 4), ((1.0, 0.0, 5.0, 2.0), (0.125, 0.0, 0.625, 0.25))):
        one_of = OneOf(of=tuple(Noise(sigma=sigma) for sigma in (1.0, 2.0, 3.0, 4.0)), weights=weights)
        degraded = one_of(zero, MANY)
        chosen = np.array(degraded.draw["chosen"])
        assert all(share(chosen == i, probability) for i, probability in enumerate(shares))
        for i in set(chosen):
            sigmas = degraded.draw[f"{i}.sigma"]
            assert [sigma is not None for sigma in sigmas] == (chosen == i).tolist()
            assert {sigma for sigma in sigmas if sigma is not None} == {i + 1.0}


def test_sometimes_acts_on_its_share_and_leaves_the_others_alone():
    clean = torch.rand(1000, 1, 2, 2)
    for probability in (0.0, 0.3, 0.8, 1.0):
        degraded = Sometimes(of=Noise(sigma=25.0), probability=probability)(clean, MANY)
        applied = np.array(degraded.draw["applied"])
        assert share(applied, probability)
        same = (degraded.image == clean).flatten(1).all(1).numpy()
        np.testing.assert_array_equal(same, ~applied)


def test_choices_are_independent_of_each_other():
    choice = OneOf(of=(Clip(), Clip()))
    draw = Chain(of=(choice, choice, Sometimes(of=Sometimes(of=Clip()))))(
        torch.zeros(1000, 1, 1, 1), MANY
    ).draw
    first, second, third = (np.array(draw[name]) for name in ("0.chosen", "1.chosen", "2.applied"))
    assert np.abs(np.corrcoef([first, second, third])[np.triu_indices(3, 1)]).max() < 4 / 1000**0.5
    inner = draw["2.of.applied"]
    assert [value is not None for value in inner] == third.tolist()
    assert share(np.array([value for value in inner if value is not None]), 0.5)


def test_parts_draw_under_keys_of_their_own():
    noise = Noise(sigma=(1.0, 50.0))
    zero = torch.zeros(40, 1, 4, 4)
    alone = noise(zero, MANY[:40]).draw["sigma"]
    halves = OneOf(of=(noise, noise))(zero, MANY[:40]).draw
    chosen = halves["chosen"]
    for place, (key, part) in enumerate(zip(MANY[:40], chosen, strict=True)):
        swapped = OneOf(of=(noise, noise), weights=(float(part == 1), float(part == 0)))(zero[:1], [key])
        sigmas = {alone[place], halves[f"{part}.sigma"][place], swapped.draw[f"{1 - part}.sigma"][0]}
        sigmas.add(Sometimes(of=noise, probability=1.0)(zero[:1], [key]).draw["of.sigma"][0])
        assert len(sigmas) == 4


@pytest.mark.parametrize(
    "part",
    [
        OneOf(of=(Noise(sigma=(1.0, 50.0)), Clip(levels=7), Grey())),
        Sometimes(of=Noise(sigma=(1.0, 50.0))),
        Chain(of=(OneOf(of=(Rescale(factor=(0.3, 1.5)), Bicubic(scale=2))), Noise(sigma=9.0), Fit(scale=2))),
        Chain(
            of=(
                Sometimes(of=Chain(of=(Rescale(factor=(0.3, 1.2), against=4), Noise(sigma=9.0)))),
                Fit(scale=4),
            )
        ),
    ],
)
def test_an_image_does_not_depend_on_its_neighbours(part):
    clean, keys = torch.rand(12, 3, 24, 32), MANY[:12]
    together = part(clean, keys)
    assert together.image.shape == (12, 3, 24 // part.scale, 32 // part.scale) and not part.varies
    for i in range(12):
        alone = part(clean[i : i + 1], keys[i : i + 1])
        assert torch.equal(alone.image[0], together.image[i])
        assert alone.draw == {
            name: values[i : i + 1] for name, values in together.draw.items() if name in alone.draw
        }
        assert all(values[i] is None for name, values in together.draw.items() if name not in alone.draw)


def test_masks_are_joined_and_targets_too():
    clean = torch.rand(40, 3, 12, 12)

    @dataclass(frozen=True)
    class Masked(Degradation):
        scale = 1

        def __call__(self, clean: Tensor, keys: list[tuple[int, int]]) -> Degraded:
            return Degraded(clean * 0, mask=torch.ones_like(clean[:, :1]))

    degraded = Sometimes(of=Masked())(clean, MANY[:40])
    applied = torch.tensor(degraded.draw["applied"]).float().view(-1, 1, 1, 1)
    assert torch.equal(degraded.mask, applied.expand(-1, 1, 12, 12))
    assert torch.equal(degraded.image, clean * (1 - applied))

    sharpened = Sometimes(of=Sharpen(radius=5, threshold=0.0, weight=2.0, target=True))(clean, MANY[:40])
    applied = torch.tensor(sharpened.draw["applied"])
    assert torch.equal(sharpened.clean, sharpened.image)
    assert torch.equal(sharpened.clean[~applied], clean[~applied])
    assert not (sharpened.clean[applied] == clean[applied]).flatten(1).all(1).any()


def test_layers_are_joined_where_all_parts_have_the_same():
    @dataclass(frozen=True)
    class Layered(Degradation):
        scale = 1

        value: float
        name: str = "layer"

        def __call__(self, clean: Tensor, keys: list[tuple[int, int]]) -> Degraded:
            return Degraded(clean, layers={self.name: torch.full_like(clean, self.value)})

    clean = torch.rand(20, 1, 2, 2)
    degraded = OneOf(of=(Layered(0.0), Layered(1.0)))(clean, MANY[:20])
    assert degraded.layers["layer"][:, 0, 0, 0].tolist() == [float(i) for i in degraded.draw["chosen"]]
    with pytest.raises(ValueError) as error:
        OneOf(of=(Layered(0.0), Layered(1.0, "other")))(clean, MANY[:20])
    assert str(error.value) == "images of one batch have different layers: ('layer',) and ('other',)"


def test_sizes_that_vary_to_the_end_make_no_batch():
    chain = Chain(of=(Rescale(factor=(0.2, 0.9)), Noise(sigma=5.0)))
    assert chain.varies
    with pytest.raises(
        ValueError, match=r"^images of one batch came out as (\d+x\d+, )+\d+x\d+; expected a part"
    ):
        chain(torch.rand(5, 3, 40, 40), MANY[:5])


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        (OneOf, {"of": ()}, "of = []; expected at least one degradation"),
        (
            OneOf,
            {"of": (Clip(), Grey()), "weights": (1.0,)},
            "1 weights for 2 degradations; expected one each",
        ),
        (
            OneOf,
            {"of": (Clip(), Grey()), "weights": (0.0, 0.0)},
            "weights = [0.0, 0.0]; expected numbers from 0, not all 0",
        ),
        (
            OneOf,
            {"of": (Clip(), Grey()), "weights": (-1.0, 2.0)},
            "weights = [-1.0, 2.0]; expected numbers from 0, not all 0",
        ),
        (OneOf, {"of": (Clip(), Bicubic(scale=2))}, "scales 1, 2; expected one scale for all parts"),
        (
            OneOf,
            {"of": (Fit(scale=2), Resize(scale=2))},
            "some parts fit the image to a size and others do not; expected all or none",
        ),
        (
            Sometimes,
            {"of": Bicubic(scale=2)},
            "a part that changes the size cannot be left out for some images; see one-of",
        ),
        (
            Sometimes,
            {"of": Clip(), "probability": 1.5},
            "probability = 1.5; expected a probability from 0 to 1",
        ),
    ],
)
def test_choices_that_cannot_be_made_are_refused(kind, arguments, message):
    with pytest.raises(ValueError) as error:
        kind(**arguments)
    assert str(error.value) == message


def test_clips_are_made_outermost_or_not_at_all():
    clip = MovingClip(of=Noise(sigma=1.0), frames=3)
    for build in (
        lambda: Chain(of=(clip,)),
        lambda: OneOf(of=(clip, clip)),
        lambda: Sometimes(of=clip),
        lambda: Shuffle(of=(clip, Clip())),
        lambda: MovingClip(of=clip),
        lambda: MovingClip(of=Clip(), fresh=clip),
    ):
        with pytest.raises(ValueError, match=r"^of holds a moving-clip; expected it outermost"):
            build()
