"""Discriminators: published sizes, one wiring for logits and features, spectral norms, windows on holes."""

import copy
import inspect

import pytest
import torch
from torch import Tensor, nn

from restoration.losses.discriminators import DISCRIMINATORS, Discriminator
from restoration.losses.discriminators.patch import GlobalLocal, MultiScale, Patch
from restoration.losses.discriminators.unet import UnetSpectral
from restoration.losses.discriminators.vgg import VggStyle

# keywords with which the smallest image is small enough for a CPU; all run at width 4
SETTINGS: dict[str, dict[str, object]] = {
    "global-local": {"window": 32},
    "multi-scale": {"scales": 2},
    "vgg-style": {"size": 32},
}


def made(name: str, **more: object) -> Discriminator:
    torch.manual_seed(0)
    return DISCRIMINATORS[name](width=4, **SETTINGS.get(name, {}) | more)


def image_for(part: Discriminator, count: int = 2, side: int = 0) -> Tensor:
    rng = torch.Generator().manual_seed(1)
    side = side or part.minimum_size
    return torch.rand(count, part.channels + part.masked, side, side, generator=rng)


def parameters(part: nn.Module) -> int:
    return sum(p.numel() for p in part.parameters())


def logits_of(part: Discriminator, image: Tensor) -> list[Tensor]:
    logits = part(image)
    return logits if isinstance(logits, list) else [logits]


def test_names_are_sorted_and_their_own():
    assert list(DISCRIMINATORS) == sorted(DISCRIMINATORS)
    assert all(part.name == name for name, part in DISCRIMINATORS.items())


@pytest.mark.parametrize(
    ("part", "count"),
    [
        # BasicSR's VGGStyleDiscriminator(3, 64, 128) and UNetDiscriminatorSN(3, 64), counted
        (lambda: VggStyle(), 14_499_401),
        (lambda: VggStyle(size=256), 21_055_049),
        (lambda: UnetSpectral(), 4_376_897),
        # Ledig et al., 2017, figure 4, with biases; and with an average in place of the 6x6 map
        (lambda: VggStyle(layout="srgan", size=96), 23_565_505),
        (lambda: VggStyle(layout="srgan", head="adaptive"), 5_215_425),
        # what pix2pix prints of its discriminator of input and output, 2.769 M, and CycleGAN of its own, 2.765 M
        (lambda: Patch(channels=6), 2_768_705),
        (lambda: Patch(norm="instance"), 2_764_737),
        (lambda: MultiScale(scales=3), 3 * 2_764_737),
    ],
    ids=["esrgan-128", "esrgan-256", "unet-spectral", "srgan-96", "srgan-adaptive", "pix2pix", "cyclegan", "scales"],
)  # fmt: skip
def test_published_parameter_counts(part, count):
    assert parameters(part()) == count


def test_patch_sees_seventy_pixels():
    part = Patch(width=4, norm="none").double()
    image = torch.rand(1, 3, 142, 142, dtype=torch.float64).requires_grad_()
    logits = part(image)
    centre = logits.shape[-1] // 2
    (slope,) = torch.autograd.grad(logits[0, 0, centre, centre], image)
    rows, columns = slope[0].abs().sum(0).nonzero().unbind(1)
    assert (int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1) == (70, 70)


@pytest.mark.parametrize("name", sorted(DISCRIMINATORS))
def test_constructors_are_typed_and_have_defaults(name):
    signature = inspect.signature(DISCRIMINATORS[name])
    assert {"width", "channels"} <= set(signature.parameters)
    for parameter in signature.parameters.values():
        assert parameter.annotation is not parameter.empty and parameter.default is not parameter.empty


@pytest.mark.parametrize("name", sorted(DISCRIMINATORS))
@pytest.mark.parametrize("channels", [1, 3])
def test_smallest_image_is_what_the_class_says(name, channels):
    part = made(name, channels=channels)
    image = image_for(part)
    assert image.shape[1] == channels + part.masked
    assert all(bool(logits.isfinite().all()) and len(logits) == 2 for logits in logits_of(part, image))
    side = part.minimum_size
    with pytest.raises(ValueError, match=rf"^{name}: images are {side - 1}x{side}; expected .*{side}"):
        part(image[..., 1:, :])
    with pytest.raises(
        ValueError, match=rf"^{name}: images have {image.shape[1] + 1} channel\(s\); expected"
    ):
        part(torch.cat([image, image[:, :1]], 1))


@pytest.mark.parametrize("name", sorted(DISCRIMINATORS))
def test_features_and_logits_are_of_one_pass(name):
    part = made(name).eval()
    image = image_for(part)
    seen: list[Tensor] = []
    hooks = [
        m.register_forward_hook(lambda module, given, output: seen.append(output.detach().clone()))
        for m in part.modules()
        if isinstance(m, (nn.Conv2d, nn.Linear))
    ]
    features, once = part.features(image), len(seen)
    logits, twice = logits_of(part, image), len(seen)
    for hook in hooks:
        hook.remove()
    # the logits' layers are run last, and the features' by both
    inner = [a for a in seen[:once] if a.ndim == 4]
    assert len(features) > 3 and all(f.ndim == 4 and len(f) == 2 for f in features)
    assert sum(torch.equal(a, b) for a, b in zip(inner, seen[once:twice], strict=False)) >= len(inner) - 1
    outputs = part.outputs(image)
    assert all(torch.equal(a, o[-1]) for a, o in zip(logits, outputs, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(features, [f for o in outputs for f in o[:-1]], strict=True))


@pytest.mark.parametrize("name", sorted(DISCRIMINATORS))
def test_every_parameter_learns_from_the_logits(name):
    part = made(name)
    sum(logits.square().sum() for logits in logits_of(part, image_for(part))).backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in part.parameters())
    assert all(bool(p.grad.any()) for n, p in part.named_parameters() if n.endswith(("weight", "original")))


@pytest.mark.parametrize("name", sorted(DISCRIMINATORS))
def test_state_and_copies_give_the_same_logits(name):
    part = made(name)
    image = image_for(part)
    for _ in range(3):
        part(image)  # moves batch statistics and power iterations
    copied, other = copy.deepcopy(part), DISCRIMINATORS[name](width=4, **SETTINGS.get(name, {}))
    other.load_state_dict(part.state_dict())
    for mode in (False, True):
        expected = logits_of(part.train(mode), image)
        for twin in (copied.train(mode), other.train(mode)):
            assert all(torch.equal(a, b) for a, b in zip(logits_of(twin, image), expected, strict=True))


@pytest.mark.parametrize("kernel", ["down.0.0", "up.1.0", "after.1.0"])
def test_spectral_norm_iterates_in_training_only_and_finds_the_largest_singular_value(kernel):
    torch.manual_seed(0)
    part = UnetSpectral(width=4)
    image, buffers = image_for(part, 1), dict(part.named_buffers())
    assert len(buffers) == 16 and set(buffers) <= set(part.state_dict())
    convolution = part.get_submodule(kernel)
    with torch.no_grad():
        convolution.parametrizations.weight.original.add_(torch.randn_like(convolution.weight))
    before = {name: value.clone() for name, value in buffers.items()}
    part.eval()(image)
    assert all(torch.equal(buffers[name], value) for name, value in before.items())
    part.train()(image)
    assert any(not torch.equal(buffers[name], value) for name, value in before.items())
    raw = convolution.parametrizations.weight.original
    with torch.no_grad():
        for _ in range(200):
            part(image)
        part.eval()
        expected = raw / torch.linalg.matrix_norm(raw.flatten(1), 2)
        torch.testing.assert_close(convolution.weight, expected, rtol=1e-4, atol=1e-5)
        assert raw.norm() > 2 * convolution.weight.norm()


def test_unet_equals_basicsr_given_the_same_weights():
    peers = pytest.importorskip("restoration.benchmarks.peers")
    from restoration.errors import RequestError

    try:
        theirs = peers.basicsr("archs.discriminator_arch").UNetDiscriminatorSN(3, num_feat=8)
    except RequestError as error:
        pytest.skip(str(error))
    ours, image = UnetSpectral(width=8), torch.rand(2, 3, 32, 40, generator=torch.Generator().manual_seed(0))
    mapped = ["first.0", *(f"{part}.{i}.0" for part, n in (("down", 3), ("up", 3), ("after", 2)) for i in range(n)), "last"]  # fmt: skip
    with torch.no_grad():
        for _ in range(300):
            theirs(image)  # the two iterate in another order, to the same singular vectors
    state = theirs.state_dict()
    given = {}
    for i, own in enumerate(mapped):
        for key, value in state.items():
            if key.startswith(f"conv{i}."):
                kind = key.removeprefix(f"conv{i}.")
                spelled = {"weight_orig": "parametrizations.weight.original", "weight_u": "parametrizations.weight.0._u",
                           "weight_v": "parametrizations.weight.0._v"}.get(kind, kind)  # fmt: skip
                given[f"{own}.{spelled}"] = value
    ours.load_state_dict(given)
    with torch.no_grad():
        for mode in (False, True):
            torch.testing.assert_close(
                ours.train(mode)(image), theirs.train(mode)(image), rtol=1e-5, atol=1e-6
            )


def test_vgg_style_equals_basicsr_given_the_same_weights():
    peers = pytest.importorskip("restoration.benchmarks.peers")
    from restoration.errors import RequestError

    try:
        theirs = peers.basicsr("archs.discriminator_arch").VGGStyleDiscriminator(3, num_feat=8)
    except RequestError as error:
        pytest.skip(str(error))
    ours, image = VggStyle(width=8), torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    theirs.linear1 = nn.Linear(8 * 8 * 16, ours.head[2].out_features)  # theirs has 100 at every width
    theirs.linear2 = nn.Linear(ours.head[2].out_features, 1)
    own = [m for m in ours.modules() if isinstance(m, (nn.Conv2d, nn.BatchNorm2d, nn.Linear))]
    order = ["conv0_0", "conv0_1", "bn0_1"]
    order += [f"{kind}{i}_{j}" for i in range(1, 5) for j in (0, 1) for kind in ("conv", "bn")]
    for name, part in zip([*order, "linear1", "linear2"], own, strict=True):
        part.load_state_dict(getattr(theirs, name).state_dict())
    with torch.no_grad():
        torch.testing.assert_close(ours(image), theirs(image), rtol=1e-5, atol=1e-5)


def test_unet_takes_odd_sides():
    part = UnetSpectral(width=4)
    assert part(torch.rand(1, 3, 37, 51)).shape == (1, 1, 37, 51)


def test_adaptive_head_takes_any_size():
    part = VggStyle(layout="srgan", head="adaptive", width=4)
    assert part(torch.rand(2, 3, 17, 60)).shape == part(torch.rand(2, 3, 33, 17)).shape == (2, 1)
    blocks = part.blocks
    pooled = part.outputs(torch.rand(2, 3, 40, 40))[0]
    expected = part.head[2:](pooled[-2].mean((2, 3)))
    torch.testing.assert_close(pooled[-1], expected)
    assert len(blocks) == len(pooled) - 1 == 8


@pytest.mark.parametrize(
    ("build", "line"),
    [
        (lambda: VggStyle(layout="srgan", size=16), "size = 16; expected at least 17 in the layout of srgan"),
        (lambda: VggStyle(size=3), "size = 3; expected at least 4 in the layout of esrgan"),
        (lambda: GlobalLocal(window=16), "window = 16; expected at least 24"),
        (lambda: MultiScale(scales=0), "scales = 0; expected a whole number from 1"),
        (lambda: Patch(layers=0), "layers = 0; expected a whole number from 1"),
    ],
)
def test_what_cannot_be_built_is_refused(build, line):
    with pytest.raises(ValueError) as error:
        build()
    assert str(error.value) == line


def test_wrong_size_names_both_sizes_and_the_way_out():
    with pytest.raises(ValueError) as error:
        VggStyle(layout="srgan", size=96, width=4)(torch.rand(2, 3, 96, 128))
    line = 'vgg-style: images are 96x128; expected 96x96, or head = "adaptive", which takes any size'
    assert str(error.value) == line


def test_scales_are_averages_of_the_image():
    part = MultiScale(scales=3, layers=1, width=4)
    image = torch.rand(1, 3, 40, 41)
    padded = nn.functional.pad(image, [1, 1, 1, 1])
    count = nn.functional.pad(torch.ones(1, 1, 40, 41), [1, 1, 1, 1])
    window = (..., slice(0, 3), slice(4, 7))  # rows −1 to 1 and columns 3 to 5 of the image
    expected = padded[window].sum((-1, -2)) / count[window].sum((-1, -2))
    seen: list[Tensor] = []
    outputs = part.parts[1].outputs
    part.parts[1].outputs = lambda given: (seen.append(given), outputs(given))[1]
    found = part(image)
    torch.testing.assert_close(seen[0][..., 0, 2], expected)
    assert seen[0].shape[-2:] == (20, 21) and len(found) == 3
    assert torch.equal(found[0], part.parts[0](image))


@pytest.mark.parametrize(
    ("hole", "top_left"),
    [
        ((slice(20, 28), slice(30, 40)), (8, 19)),  # a small hole: in the middle of the window
        ((slice(0, 4), slice(0, 4)), (0, 0)),  # at the corner: the window stays inside
        ((slice(44, 48), slice(50, 60)), (16, 28)),
        ((slice(0, 48), slice(10, 12)), (8, 0)),  # longer than the window
    ],
)
def test_window_is_where_the_hole_is(hole, top_left):
    part = GlobalLocal(window=32, width=4).eval()
    mask = torch.zeros(2, 1, 48, 60)
    mask[0][(0, *hole)] = 1
    mask[1, 0, 40:, 52:] = 1  # a neighbour with another hole
    image = torch.rand(2, 3, 48, 60)
    top, left = top_left
    expected = part.near(image[:1, :, top : top + 32, left : left + 32])
    whole, near = part(part.shown(image, mask))
    torch.testing.assert_close(near[:1], expected)
    torch.testing.assert_close(near[1:], part.near(image[1:, :, 16:, 28:]))
    torch.testing.assert_close(whole, part.whole(image))


def test_window_holds_most_of_several_holes():
    part = GlobalLocal(window=32, width=4).eval()
    mask = torch.zeros(1, 1, 90, 90)
    mask[..., 0:6, 0:6] = 1
    mask[..., 60:80, 64:84] = 1  # the larger one, alone in its window
    image = torch.rand(1, 3, 90, 90).requires_grad_()
    near = part(part.shown(image, mask))[1]
    (slope,) = torch.autograd.grad(near.sum(), image)
    rows, columns = slope[0].abs().sum(0).nonzero().unbind(1)
    assert rows.min() <= 60 and rows.max() >= 79 and columns.min() <= 64 and columns.max() >= 83
    assert int(rows.max() - rows.min()) < 32


def test_masks_are_asked_for():
    part = GlobalLocal(window=32, width=4)
    with pytest.raises(ValueError) as error:
        part.shown(torch.rand(1, 3, 32, 32), None)
    assert str(error.value) == "global-local: these images come without masks"
    with pytest.raises(ValueError) as error:
        part(torch.rand(1, 3, 32, 32))
    assert str(error.value) == "global-local: images have 3 channel(s); expected 4 with the mask"
