"""The discriminator of PCL-SR: published sizes, outputs of the released code, its names, odd and wrong sizes."""

import zlib

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, leaky_relu

from restoration.losses.discriminators.haar_trunk import HaarTrunk, from_official
from restoration.losses.haar import haar


def official_state(part: HaarTrunk, gain: float = 1.3) -> dict[str, Tensor]:
    """Weights by a formula of the released code's names, so that published outputs need no published file."""
    state = {}
    for own, tensor in part.state_dict().items():
        kind, index, rest = own.split(".", 2)
        name = f"features.{2 * int(index)}.{rest}" if kind == "blocks" else f"classifier.{index}.{rest}"
        if not tensor.is_floating_point():
            state[name] = tensor
            continue
        draw = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(tuple(tensor.shape))
        if tensor.ndim >= 2:
            draw = gain * draw / np.sqrt(np.prod(tensor.shape[1:]))
        elif name.endswith((".weight", ".running_var")):
            draw = 1 + 0.1 * (abs(draw) if name.endswith("var") else draw)
        else:
            draw = 0.1 * draw
        state[name] = torch.from_numpy(np.asarray(draw)).float()
    return state


def released(**settings) -> HaarTrunk:
    part = HaarTrunk(**settings)
    part.load_state_dict(from_official(official_state(part)))
    return part.eval()


def image(*shape: int) -> Tensor:
    return torch.from_numpy(np.random.RandomState(7).rand(*shape).astype("float32"))


def count(part: torch.nn.Module) -> int:
    return sum(p.numel() for p in part.parameters())


def test_published_parameter_counts():
    with torch.device("meta"):
        assert count(HaarTrunk().blocks) == 4_690_752 and count(HaarTrunk().head) == 513
        assert count(HaarTrunk(front="none")) == 4_687_809
        assert count(HaarTrunk(head="scalar", size=192)) == 23_567_169
        assert count(HaarTrunk(head="scalar", size=192, front="none")) == 80_186_817


@torch.no_grad()
def test_outputs_are_those_of_the_released_code():
    # of PCL-SISR's discriminator with patch head, features after activation; images without wavelet
    *features, logits = released(front="none").outputs(image(2, 3, 64, 80))[0]
    assert logits.shape == (2, 1, 4, 4) and len(features) == 8
    flat = logits.flatten()
    for index, value in (
        (0, -0.183214262),
        (7, 0.252889484),
        (11, 0.641476512),
        (19, -0.06894134),
        (31, 0.497283816),
    ):
        assert float(flat[index]) == pytest.approx(value, abs=1e-5)
    published = {
        0: (0.280706782, 0.50604157, {0: 0.132262379, 575: 1.031993747, 1151: 0.949051321}),
        3: (0.251738819, 0.490706676, {143: 1.800655007, 287: -0.095093153, 719: 0.955731988}),
        4: (0.177063729, 0.536060215, {0: 0.23102051, 143: 0.974172235, 1151: -0.117754377}),
        7: (0.040030645, 0.191619276, {0: 0.579863429, 39: 0.154717341, 159: -0.060358774}),
    }  # fmt: skip
    for layer, (mean, deviation, values) in published.items():
        part = features[layer][:, :4, :12, :12].double()
        assert float(part.mean()) == pytest.approx(mean, abs=1e-5)
        assert float(part.std(correction=0)) == pytest.approx(deviation, abs=1e-5)
        for index, value in values.items():
            assert float(part.flatten()[index]) == pytest.approx(value, abs=1e-5)


@torch.no_grad()
def test_scalar_head_is_that_of_the_released_code():
    logits = released(front="none", head="scalar", size=48)(image(3, 3, 48, 48))
    torch.testing.assert_close(
        logits, torch.tensor([[0.129604593], [-0.020063058], [0.145928293]]), rtol=0, atol=1e-5
    )


@torch.no_grad()
def test_bands_of_the_released_code_change_places():
    part = HaarTrunk(width=2).eval()
    state = official_state(part)
    part.load_state_dict(from_official(state))
    picture = image(1, 3, 32, 36)
    bands = haar(picture)[:, :, 1:]
    theirs = torch.cat([bands[:, :, band] for band in range(3)], 1)  # LH of all colours, HL of all, HH of all
    block = part.blocks[0]
    expected = leaky_relu(block[1](conv2d(theirs, state["features.0.0.weight"], padding=1)), 0.2)
    torch.testing.assert_close(part.features(picture, 1)[0], expected)


def test_released_files_hold_it_among_other_things():
    part = HaarTrunk(width=2)
    state = {f"loss_module.1.{name}": value for name, value in official_state(part).items()}
    found = from_official(state | {"log": torch.zeros(3)})
    assert found.keys() == part.state_dict().keys()


def test_flat_images_show_it_nothing():
    part = released(width=2)
    flat = torch.rand(2, 3, 1, 1).expand(-1, -1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(part(flat), part(torch.zeros_like(flat)), rtol=0, atol=1e-6)
        assert not torch.allclose(part(torch.rand(2, 3, 64, 64)), part(flat), atol=1e-3)


@pytest.mark.parametrize("before", [False, True])
def test_features_before_and_after_activation(before):
    torch.manual_seed(0)
    part = HaarTrunk(width=2, before_activation=before).eval()
    other = HaarTrunk(width=2, before_activation=not before).eval()
    other.load_state_dict(part.state_dict())
    picture = image(2, 3, 48, 40)
    with torch.no_grad():
        assert torch.equal(part(picture), other(picture))
        for ours, theirs in zip(part.features(picture), other.features(picture), strict=True):
            before_it, after = (ours, theirs) if before else (theirs, ours)
            assert torch.equal(leaky_relu(before_it, 0.2), after) and not torch.equal(ours, theirs)
            assert (before_it < 0).any()


def test_few_features_cost_no_more_and_are_the_same():
    part, picture = HaarTrunk(width=2).eval(), image(1, 3, 40, 40)
    calls = []
    part.blocks[5].register_forward_hook(lambda *_: calls.append(5))
    with torch.no_grad():
        few, all_features = part.features(picture, 5), part.outputs(picture)[0]
    assert len(few) == 5 and calls == [5]
    assert all(torch.equal(one, other) for one, other in zip(few, all_features, strict=False))
    assert [tuple(f.shape[1:]) for f in all_features[:-1]] == [
        (2, 20, 20), (2, 10, 10), (4, 10, 10), (4, 5, 5), (8, 5, 5), (8, 3, 3), (16, 3, 3), (16, 2, 2),
    ]  # fmt: skip


def test_odd_sides_are_mirrored_on():
    part, picture = HaarTrunk(width=2).eval(), image(1, 3, 41, 47)
    longer = torch.cat([picture, picture[..., -2:-1, :]], -2)
    longer = torch.cat([longer, longer[..., -2:-1]], -1)
    with torch.no_grad():
        assert torch.equal(part(picture), part(longer))


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: HaarTrunk(width=2)(torch.rand(2, 3, 31, 64)), "haar-trunk: images are 31x64; expected at least 32 pixels a side"),
        (
            lambda: HaarTrunk(width=2)(torch.rand(1, 3, 32, 32)),
            "haar-trunk: a single image of 32x32; expected two images, or a side above 32 pixels, to take statistics of",
        ),
        (
            lambda: HaarTrunk(width=2, head="scalar", size=64)(torch.rand(2, 3, 64, 96)),
            'haar-trunk: images are 64x96; expected 64x64, or head = "patch", which takes any size',
        ),
        (lambda: HaarTrunk(width=2, head="scalar", size=16), "size = 16; expected at least 32"),
        (lambda: HaarTrunk(width=0), "width = 0; expected a whole number from 1"),
    ],
)  # fmt: skip
def test_wrong_sizes_are_refused(call, line):
    with pytest.raises(ValueError) as error:
        call()
    assert str(error.value) == line


def test_smallest_images_train():
    for part, picture in ((HaarTrunk(width=2), torch.rand(2, 3, 32, 32)), (HaarTrunk(width=2), torch.rand(1, 3, 33, 32))):  # fmt: skip
        part(picture).sum().backward()
        assert all(bool(p.grad.isfinite().all()) for p in part.parameters())
