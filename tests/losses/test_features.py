"""Feature networks in general: named layers, input, precision, and one pass for all terms of a stack."""

from collections import Counter
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor, nn

from restoration.losses.contextual import Contextual
from restoration.losses.features import Backbone, backbone, shared, shared_passes
from restoration.losses.lpips import Lpips
from restoration.losses.perceptual import Perceptual, Style
from restoration.losses.stack import Entry, PairTerm, Stack


@dataclass
class Batch:
    clean: Tensor
    mask: Tensor | None = None
    layers: dict[str, Tensor] = field(default_factory=dict)
    step: int = 0


class Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor, self.seen = nn.Parameter(torch.tensor(factor)), []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x)
        return x * self.factor


def chain(**more) -> Backbone:
    stages = {"double": Times(2.0), "triple": Times(3.0), "tenfold": Times(10.0)}
    return Backbone("chain", stages, (0.5, 0.25, 0.0), (0.5, 0.5, 2.0), [1, 2, 4], ("triple",), **more)


def test_layers_are_named_and_the_input_is_normalised_by_colour():
    image = torch.full((1, 3, 4, 4), 0.75)
    double, tenfold = chain()(image, ["double", "tenfold"])
    torch.testing.assert_close(double[0, :, 0, 0], torch.tensor([1.0, 2.0, 0.75]))
    torch.testing.assert_close(tenfold, 30 * double)
    # one channel is shown as three equal ones
    torch.testing.assert_close(chain()(image[:, :1], ["double"])[0], double)
    assert chain().chosen() == ("triple",)


def test_a_stage_may_go_on_from_an_earlier_one():
    image = torch.full((1, 3, 4, 4), 0.75)
    double, tenfold = chain(after={"tenfold": "double"})(image, ["double", "tenfold"])
    torch.testing.assert_close(tenfold, 10 * double)


def test_nothing_of_it_learns():
    network = chain().train()
    assert not network.training and not any(p.requires_grad for p in network.parameters())
    image = torch.rand(1, 3, 4, 4).requires_grad_()
    network(image, ["tenfold"])[0].sum().backward()
    assert image.grad is not None and all(p.grad is None for p in network.parameters())


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(ValueError) as caught:
        chain()(torch.rand(1, 3, 4, 4), ["trible"])
    assert str(caught.value) == "chain: unknown layer 'trible'; did you mean 'triple'?"
    with pytest.raises(ValueError) as caught:
        chain().chosen(["xyz"])
    assert str(caught.value) == "chain: unknown layer 'xyz'; it has double, triple, tenfold"
    with pytest.raises(ValueError) as caught:
        backbone("vgg91")
    assert str(caught.value) == "unknown features 'vgg91'; did you mean 'vgg19'?"
    with pytest.raises(ValueError, match=r"^unknown features 'x'; expected alexnet, dinov2, .*, vgg19$"):
        backbone("x")


def test_each_layer_says_how_large_an_image_it_needs():
    network = chain()
    network(torch.rand(1, 3, 2, 5), ["triple"])
    with pytest.raises(ValueError) as caught:
        network(torch.rand(1, 3, 2, 5), ["double", "tenfold"])
    assert str(caught.value) == "chain: images are 2x5; expected at least 4 pixels a side"


@pytest.mark.parametrize(
    ("given", "seen"), [(torch.bfloat16, torch.float32), (torch.float32,) * 2, (torch.float64,) * 2]
)
def test_half_precision_is_seen_in_float32_and_weights_lose_nothing(given, seen):
    network = chain()
    with torch.no_grad():
        network.stages[0].factor.fill_(1 / 3)
    assert network(torch.rand(1, 3, 4, 4, dtype=given), ["double"])[0].dtype == seen
    assert network(torch.rand(1, 3, 4, 4), ["double"])[0].dtype == torch.float32
    assert network.stages[0].factor.item() == torch.tensor(1 / 3).item()


def test_a_network_first_used_while_measuring_can_still_serve_training(untrained, images):
    with torch.inference_mode():
        backbone("vgg16")(images[1], ["relu1_1"])
    restored = images[0].clone().requires_grad_()
    backbone("vgg16")(restored, ["relu1_2"])[0].sum().backward()
    assert torch.count_nonzero(restored.grad) > 0


def test_passes_of_one_image_are_shared_and_those_of_another_are_not():
    network, first, second = chain(), torch.rand(1, 3, 4, 4), torch.rand(1, 3, 4, 4)
    with shared_passes():
        network.chosen(["double"])
        a = network(first, ["triple"])[0]
        b = network(first, ["double", "triple", "tenfold"])
        assert a is b[1] and [len(stage.seen) for stage in network.stages] == [1, 1, 1]
        assert network(second, ["triple"])[0] is not a
        with torch.no_grad():  # a pass without a graph cannot stand in for one with it
            assert network(first, ["triple"])[0] is not a
    assert network(first, ["triple"])[0] is not a
    assert [len(stage.seen) for stage in network.stages] == [4, 4, 1]


def test_layers_that_nobody_asked_for_are_not_kept():
    network, image = chain(), torch.rand(1, 3, 4, 4)
    with shared_passes():
        expected = network(image, ["tenfold"])[0]
        torch.testing.assert_close(network(image, ["double"])[0] * 30, expected)
    assert [len(stage.seen) for stage in network.stages] == [2, 1, 1]


def test_what_others_share_is_made_once_per_network_and_image():
    made, image = [], torch.rand(1, 3, 4, 4)
    compute = lambda: made.append(0) or len(made)  # noqa: E731
    assert (shared("a", image, compute), shared("a", image, compute)) == (1, 2)
    with shared_passes():
        assert [shared(name, image, compute) for name in ("a", "a", "b", "a")] == [3, 3, 4, 3]


def entries() -> list[Entry]:
    losses = [Perceptual("vgg16"), Style("vgg16"), Contextual("vgg16"), Lpips("vgg")]
    return [Entry(f"term{i}", PairTerm(loss)) for i, loss in enumerate(losses)]


def test_terms_on_one_network_run_every_stage_once_per_image(untrained, images):
    restored, clean = images[0].clone().requires_grad_(), images[1]
    stack, network, calls = Stack(entries()), backbone("vgg16"), Counter()
    hooks = [
        stage.register_forward_hook(lambda *_, name=name: calls.update([name]))
        for name, stage in zip(network.names, network.stages, strict=True)
    ]
    total, logs = stack.of_restored(restored, Batch(clean))
    needed = network.names[: network.names.index("relu5_3") + 1]
    assert calls == dict.fromkeys(needed, 2)  # the restored image and the clean one
    alone = [entry.term.loss(restored, clean).mean() for entry in entries()]
    torch.testing.assert_close(torch.stack([logs[f"term{i}"] for i in range(4)]), torch.stack(alone))
    (together,) = torch.autograd.grad(total, restored)
    (separately,) = torch.autograd.grad(sum(alone), restored)
    torch.testing.assert_close(together, separately, rtol=1e-4, atol=1e-6)
    assert sum(calls.values()) == 2 * len(needed) + sum(2 * n for n in (29, 26, 16, 30))
    for hook in hooks:
        hook.remove()
