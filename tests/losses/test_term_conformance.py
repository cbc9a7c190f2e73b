"""What terms promise that see more than a pair; one is excused from a rule by a row of EXEMPT, with the reason."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from restoration.benchmarks.metrics import METRICS
from restoration.benchmarks.term_samples import made
from restoration.degradations.resize import resize
from restoration.errors import ConfigError
from restoration.losses import LOSSES, TERMS
from restoration.losses.stack import Entry, Stack
from restoration.method import Batch

OWN = sorted(set(TERMS) - set(LOSSES))
ASKS_FOR_OTHERS = "it asks for an answer of its discriminator or embedding, not for the clean image"
# (term, rule) → why the rule does not apply to it
EXEMPT: dict[tuple[str, str], str] = {
    ("flicker", "independent of neighbours"): "frames of one clip share a value",
    (
        "frequency-contrastive",
        "independent of neighbours",
    ): "its embedding normalises by the batch, as PCL-SR's",
    ("adversarial", "zero at equality"): ASKS_FOR_OTHERS,
    ("contrastive", "zero at equality"): ASKS_FOR_OTHERS,
    ("frequency-contrastive", "zero at equality"): ASKS_FOR_OTHERS,
    ("exclusion", "zero at equality"): "it compares the restored image with the reflection",
}


@pytest.fixture(params=OWN)
def name(request) -> str:
    return request.param


@pytest.fixture
def stack(name) -> Stack:
    """The term as the last entry, after the one whose parts it takes, if any."""
    torch.manual_seed(0)
    try:
        entries = made(name, narrow=True)
    except ConfigError as error:
        pytest.skip(f"{name}: {error}")
    stack = Stack(entries)  # connects them
    for found in stack.entries:
        for part in found.term.groups().values():
            part.eval()  # what a look at the parts leaves behind in them would move the next value
    return stack


@pytest.fixture
def entry(stack) -> Entry:
    return stack.entries[-1]


@pytest.fixture
def batch() -> Batch:
    rng = torch.Generator().manual_seed(0)
    coarse = torch.rand(8, 3, 12, 12, generator=rng)
    smooth = torch.nn.functional.interpolate(coarse, size=(48, 48), mode="bicubic").clamp(0, 1)
    clean, reflection = (0.7 * smooth + 0.3 * torch.rand(smooth.shape, generator=rng)).chunk(2)
    flow = torch.randn(4, 2, 48, 48, generator=rng)
    keys = tuple((0, sample) for sample in range(4))
    return Batch(resize(clean, scale=0.5), clean, layers={"reflection": reflection, "flow": flow}, keys=keys)


@pytest.fixture
def restored(batch) -> Tensor:
    noise = torch.randn(batch.clean.shape, generator=torch.Generator().manual_seed(1))
    return batch.clean + torch.tensor([0.05, 0.1, 0.2, 0.3]).view(4, 1, 1, 1) * noise


def taken(batch: Batch, order: list[int]) -> Batch:
    layers = {name: layer[order] for name, layer in batch.layers.items()}
    keys = tuple(batch.keys[place] for place in order)
    return replace(batch, degraded=batch.degraded[order], clean=batch.clean[order], layers=layers, keys=keys)


def test_excuses_are_of_terms_and_say_why():
    for (name, rule), reason in EXEMPT.items():
        assert name in TERMS and rule and len(reason) > 10
        print(f"{name}: {rule}: {reason}")


@pytest.mark.parametrize("name", sorted(TERMS))
def test_metrics_that_are_promised_are_there(name):
    assert {*TERMS[name].as_metric} <= {*METRICS}


def test_one_finite_number_per_image(entry, restored, batch):
    value = entry.term.of_restored(restored, batch)
    assert value.shape == (4,) and value.dtype == torch.float32 and bool(value.isfinite().all())


def test_the_batch_has_the_mean_of_its_images(entry, restored, batch):
    expected = entry.term.of_restored(restored, batch).mean()
    torch.testing.assert_close(entry.term.of_batch(restored, batch), expected)


def test_zero_where_nothing_is_wrong(name, entry, batch, excused):
    excused(name, "zero at equality")
    made_small = replace(batch, degraded=_half(batch.clean))
    assert entry.term.of_restored(batch.clean, made_small).abs().max() < 1e-5


@pytest.mark.parametrize("where", ["equal", "constant", "outside", "inverted"])
def test_gradients_are_finite_everywhere(entry, restored, batch, where):
    clean = batch.clean if where != "constant" else torch.full_like(batch.clean, 0.5)
    batch = replace(batch, clean=clean)
    image = {"outside": 3 * restored - 1, "inverted": 1 - clean}.get(where, clean).clone().requires_grad_()
    value = entry.term.of_restored(image, batch)
    (slope,) = torch.autograd.grad(value.sum(), image)
    assert bool(value.isfinite().all()) and bool(slope.isfinite().all())


def test_permuting_the_batch_permutes_the_result(entry, restored, batch):
    order = [2, 0, 3, 1]
    permuted = entry.term.of_restored(restored[order], taken(batch, order))
    torch.testing.assert_close(permuted, entry.term.of_restored(restored, batch)[order], rtol=1e-4, atol=1e-6)


def test_an_image_does_not_depend_on_its_neighbours(name, entry, restored, batch, excused):
    excused(name, "independent of neighbours")
    together = entry.term.of_restored(restored, batch)
    alone = [entry.term.of_restored(restored[[i]], taken(batch, [i])) for i in range(4)]
    torch.testing.assert_close(torch.cat(alone), together, rtol=1e-4, atol=1e-6)


def test_bfloat16_gives_the_values_of_float32(stack, restored, batch):
    low = restored.bfloat16()
    expected, _ = stack.of_restored(low.float(), batch)
    with torch.autocast("cpu", torch.bfloat16):
        total, _ = stack.of_restored(low.requires_grad_(), batch)
    assert total.dtype == torch.float32
    torch.testing.assert_close(total, expected, rtol=1e-4, atol=1e-6)
    total.backward()
    assert low.grad.dtype == torch.bfloat16 and bool(low.grad.isfinite().all())


def test_gradients_are_the_derivatives(stack, restored, batch):
    for part in (part for entry in stack.entries for part in entry.term.groups().values()):
        part.double()
    layers = {layer: value.double() for layer, value in batch.layers.items()}
    exact = replace(batch, degraded=batch.degraded.double(), clean=batch.clean.double(), layers=layers)
    image, term = restored.double().requires_grad_(), stack.entries[-1].term
    assert torch.autograd.gradcheck(lambda x: term.of_restored(x, exact), (image,), fast_mode=True)


def test_smaller_images_are_refused_in_one_line(entry, restored, batch):
    smallest = entry.term.minimum_size
    if smallest == 1:
        pytest.skip("any image is large enough")
    side = slice(smallest - 1)
    layers = {name: layer[..., side, side] for name, layer in batch.layers.items()}
    tiny = replace(
        batch, degraded=batch.clean[..., side, side], clean=batch.clean[..., side, side], layers=layers
    )
    with pytest.raises(ValueError, match=rf"^[^\n]*{smallest - 1}x{smallest - 1}[^\n]*$"):
        entry.term.of_restored(restored[..., side, side], tiny)


def _half(clean: Tensor) -> Tensor:
    return torch.nn.functional.interpolate(clean, scale_factor=0.5, mode="bicubic", antialias=True)
