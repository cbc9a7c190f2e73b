"""What every entry of the tables promises; an entry is excused from a rule by a row of EXEMPT, with the reason."""

import inspect
from dataclasses import fields, is_dataclass

import pytest
import torch
from torch import Tensor

from restoration.errors import ConfigError
from restoration.losses import LOSSES, TERMS
from restoration.losses.loss import Loss
from restoration.losses.stack import Entry, PairTerm, Stack
from restoration.losses.term import Term
from restoration.method import Batch

PAIRS = sorted(LOSSES)
OWN = sorted(set(TERMS) - set(LOSSES))

# keywords with which an entry is cheap and can be built here; features that need no weights of others
SETTINGS: dict[str, dict[str, object]] = {
    "contextual": {"features": "efficientnet-lite0"},
    "distribution-js": {"features": "efficientnet-lite0"},
    "perceptual": {"features": "efficientnet-lite0"},
    "style": {"features": "efficientnet-lite0"},
}
# entries whose weights nobody ships: here seeded ones take their place, as the formula must hold with any
UNTRAINED = ("dists", "lpips")
# smaller windows for the derivative check, and the side of its images
SMALL: dict[str, tuple[dict[str, object], int]] = {
    "contextual": ({}, 16),
    "distribution-js": ({}, 16),
    "focal-frequency": ({"alpha": 0.0}, 6),  # other weights are constants to the gradient by definition
    "ms-ssim": ({"window": 3}, 33),
    "ssim": ({"window": 5}, 9),
}
# (entry, rule) → why the rule does not apply to it
EXEMPT: dict[tuple[str, str], str] = {
    ("total-variation", "zero at equality"): "it measures the restored image alone",
    ("charbonnier", "zero at equality"): "its minimum is ε (Lai et al., 2017)",
    ("total-variation", "least at equality"): "it measures the restored image alone",
    ("total-variation", "no slope at equality"): "it measures the restored image alone",
    (
        "vif",
        "no slope at equality",
    ): "it rewards more contrast than the clean image has (Sheikh & Bovik, 2006)",
    ("contextual", "no slope at equality"): "features that are alike share their likelihood",
    ("psnr", "zero at equality"): "its minimum is −100 dB, the floor of the mean square",
}


def made(name: str, **more: object) -> Loss:
    try:
        return LOSSES[name](**SETTINGS.get(name, {}) | more)
    except (FileNotFoundError, ModuleNotFoundError, ConfigError) as error:
        pytest.skip(f"{name}: {error}")


@pytest.fixture(params=PAIRS)
def name(request) -> str:
    if request.param in UNTRAINED:
        request.getfixturevalue("untrained_dists")
    return request.param


@pytest.fixture
def loss(name) -> Loss:
    return made(name)


@pytest.fixture
def pair(name, loss) -> tuple[Tensor, Tensor]:
    side, rng = max(24, loss.minimum_size), torch.Generator().manual_seed(0)
    coarse = torch.rand(3, 3, side // 4 + 2, side // 4 + 2, generator=rng)
    smooth = torch.nn.functional.interpolate(coarse, size=(side, side + 3), mode="bicubic").clamp(0, 1)
    clean = 0.7 * smooth + 0.3 * torch.rand(smooth.shape, generator=rng)
    strength = torch.tensor([0.05, 0.1, 0.3]).view(3, 1, 1, 1)
    return clean + strength * torch.randn(clean.shape, generator=rng), clean


def test_names_are_sorted():
    assert list(LOSSES) == sorted(LOSSES)
    assert [name for name in TERMS if name not in LOSSES] == OWN


def test_excuses_are_of_entries_and_say_why():
    for (name, rule), reason in EXEMPT.items():
        assert name in TERMS and rule and len(reason) > 10
        print(f"{name}: {rule}: {reason}")


@pytest.mark.parametrize("entry", sorted(TERMS))
def test_every_entry_declares_what_it_is(entry):
    part = TERMS[entry]
    assert issubclass(part, Loss | Term) and inspect.cleandoc(part.__doc__)
    assert part.compares in ("pair", "restored", "set", "batch")
    assert part.better in ("lower", "higher") and isinstance(part.as_metric, tuple)
    assert part.minimum_size >= 1
    for key, parameter in inspect.signature(part).parameters.items():
        assert parameter.annotation is not parameter.empty, key
        assert parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL), key


def test_losses_are_frozen_and_have_defaults(name):
    assert is_dataclass(LOSSES[name]) and LOSSES[name].__dataclass_params__.frozen
    for parameter in inspect.signature(LOSSES[name]).parameters.values():
        assert parameter.default is not parameter.empty
    assert all(f.init for f in fields(LOSSES[name]) if not f.name.startswith("_"))


def test_one_finite_number_per_image(loss, pair):
    value = loss(*pair)
    assert value.shape == (3,) and value.dtype == torch.float32 and bool(value.isfinite().all())


def test_the_batch_has_the_mean_of_its_images(loss, pair):
    torch.testing.assert_close(loss.mean(*pair), loss(*pair).mean())


def test_least_at_equality_and_growing_with_the_error(name, loss, pair, excused):
    excused(name, "least at equality")
    restored, clean = pair
    values = loss(restored, clean)
    assert (loss(clean, clean) < values).all() and bool((values.diff() > 0).all())


def test_zero_at_equality(name, loss, pair, excused):
    excused(name, "zero at equality")
    assert loss(pair[1], pair[1]).abs().max() < 1e-5


@pytest.mark.parametrize("where", ["equal", "constant"])
def test_no_slope_at_equality(name, loss, pair, excused, where):
    excused(name, "no slope at equality")
    clean = pair[1] if where == "equal" else torch.full_like(pair[1], 0.5)
    restored = clean.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(restored, clean).sum(), restored)
    assert slope.abs().max() < 1e-5


def test_an_image_does_not_depend_on_its_neighbours(loss, pair):
    restored, clean = pair
    together = loss(restored, clean)
    alone = torch.cat([loss(restored[i : i + 1], clean[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(alone, together, rtol=1e-5, atol=1e-6)
    other = torch.cat([restored[:1], torch.full_like(restored[1:], 7)])
    torch.testing.assert_close(loss(other, clean)[0], together[0], rtol=1e-5, atol=1e-6)


def test_permuting_the_batch_permutes_the_result(loss, pair):
    restored, clean = pair
    order = torch.tensor([2, 0, 1])
    torch.testing.assert_close(
        loss(restored[order], clean[order]), loss(restored, clean)[order], rtol=1e-5, atol=1e-6
    )


def test_gradients_of_an_image_stay_in_it(loss, pair):
    restored, clean = pair[0].clone().requires_grad_(), pair[1]
    (slope,) = torch.autograd.grad(loss(restored, clean)[1], restored)
    assert torch.count_nonzero(slope[[0, 2]]) == 0 and torch.count_nonzero(slope[1]) > 0


@pytest.mark.parametrize("where", ["equal", "constant", "outside", "inverted"])
def test_gradients_are_finite_everywhere(loss, pair, where):
    clean = pair[1] if where != "constant" else torch.full_like(pair[1], 0.5)
    restored = {"outside": 3 * pair[0] - 1, "inverted": 1 - clean}.get(where, clean).clone().requires_grad_()
    value = loss(restored, clean)
    (slope,) = torch.autograd.grad(value.sum(), restored)
    assert bool(value.isfinite().all()) and bool(slope.isfinite().all())


def test_no_gradient_mode_gives_the_same_value(loss, pair):
    restored, clean = pair
    with_gradient = loss(restored.clone().requires_grad_(), clean).detach()
    torch.testing.assert_close(loss(restored, clean), with_gradient, rtol=1e-5, atol=1e-6)


def test_gradients_are_the_derivatives(name):
    arguments, side = SMALL.get(name, ({}, max(6, LOSSES[name].minimum_size)))
    loss, rng = made(name, **arguments), torch.Generator().manual_seed(0)
    clean = torch.rand(2, 1, side, side, generator=rng, dtype=torch.float64)
    restored = (
        clean + 0.2 * torch.rand(clean.shape, generator=rng, dtype=torch.float64) + 0.01
    ).requires_grad_()
    assert torch.autograd.gradcheck(lambda image: loss(image, clean), (restored,), fast_mode=True)


def test_bfloat16_gives_the_values_of_float32(name, loss, pair):
    degraded, clean = pair[0].bfloat16(), pair[1]
    stack, batch = Stack([Entry(name, PairTerm(loss))]), Batch(clean, clean)
    expected, _ = stack.of_restored(degraded.float(), batch)
    with torch.autocast("cpu", torch.bfloat16):
        total, _ = stack.of_restored(degraded.requires_grad_(), batch)
    assert total.dtype == torch.float32
    torch.testing.assert_close(total, expected, rtol=1e-5, atol=1e-6)
    total.backward()
    assert degraded.grad.dtype == torch.bfloat16 and bool(degraded.grad.isfinite().all())


def test_grey_images_are_measured_too(loss, pair):
    restored, clean = (image[:, :1] for image in pair)
    assert loss(restored, clean).shape == (3,) and (loss(restored, clean) > loss(clean, clean)).all()


def test_the_smallest_image_is_what_the_class_says(name, loss):
    rng = torch.Generator().manual_seed(0)
    smallest = loss.minimum_size
    image = torch.rand(1, 3, smallest, smallest, generator=rng)
    assert bool(loss(image, 1 - image).isfinite().all())
    if smallest > 1:
        smaller = image[..., :-1, :]
        with pytest.raises(ValueError, match=rf"{smallest - 1}x{smallest}.*{smallest}"):
            loss(smaller, smaller)


def test_other_sizes_are_refused(loss, pair):
    restored, clean = pair
    with pytest.raises(
        ValueError, match=r"^restored is 3x3x\d+x\d+ but clean is 3x3x\d+x\d+; expected equal sizes$"
    ):
        loss(restored, clean[..., 1:])


def test_the_metric_is_the_inverse_map_of_the_loss(name, loss, pair):
    from restoration.benchmarks.metrics import METRICS

    if not loss.as_metric:
        pytest.skip(f"{name} is no metric of the benchmark")
    restored, clean = (image.double().clamp(0, 1) for image in pair)
    value = loss.metric(loss(restored, clean))
    for metric in loss.as_metric:
        assert METRICS[metric].better == loss.better
        torch.testing.assert_close(METRICS[metric]()(restored, clean), value, rtol=1e-4, atol=1e-5)
