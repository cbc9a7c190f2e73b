"""The discriminator of PCL-SR against what its official module gave."""

import parity
import pytest
import torch

from restoration.foreign.parts import recognise_part


def count(module):
    return sum(p.numel() for p in module.parameters())


@torch.no_grad()
def test_patch_head_and_features():
    sample = parity.sample("pcl_discriminator", "patch_head_features")
    module, spec = recognise_part(sample.state())
    assert count(module) == sample.parameters
    assert spec == {"name": "haar-trunk", "width": 64, "front": "none"}
    image = parity.uniform(2, 3, 64, 80)
    sample.check(module.eval()(image), "logit")
    for index, feature in enumerate(module.features(image)):
        sample.check(feature[:, :4, :12, :12], f"feature_{index}_first4")


@torch.no_grad()
def test_scalar_head():
    sample = parity.sample("pcl_discriminator", "fc_head_48")
    module, spec = recognise_part(sample.state())
    assert count(module) == sample.parameters
    assert (spec["head"], spec["size"]) == ("scalar", 48)
    sample.check(module.eval()(parity.uniform(3, 3, 48, 48)))


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["", "loss_module.1."])
@pytest.mark.parametrize("layout", ["fc_head_192", "patch_head", "wavelet_fc_192"])
def test_official_sizes_load_whole(layout, prefix):
    entries, about = parity.layout("pcl_discriminator", layout)
    state = {prefix + name: torch.zeros(shape) for name, shape, _ in entries}
    module, spec = recognise_part(state)
    assert count(module) == about["parameters"]
    assert spec["front"] == ("haar" if "wavelet" in layout else "none")


@torch.no_grad()
def test_bands_of_the_released_transform_change_places_with_the_kernel():
    entries, _ = parity.layout("pcl_discriminator", "wavelet_fc_192")
    shapes = {n: [1024, 2048] if n == "classifier.1.weight" else s for n, s, _ in entries}
    state = {n: parity.formula(n, s, 1.3) for n, s in shapes.items() if "tracked" not in n}
    counters = {n: torch.zeros((), dtype=torch.int64) for n in shapes if "tracked" in n}
    module, spec = recognise_part(state | counters)
    assert spec["size"] == 64
    image = parity.uniform(1, 3, 64, 64)
    a, b, c, d = (image[..., y::2, x::2] for y in (0, 1) for x in (0, 1))
    bands = torch.cat([(a + b - c - d) / 2, (a - b + c - d) / 2, (a - b - c + d) / 2], 1)
    first = torch.nn.functional.conv2d(bands, state["features.0.0.weight"], padding=1)
    assert torch.allclose(module.blocks[0][0](torch.zeros(1, 9, 8, 8)), torch.zeros(1, 64, 8, 8))
    norm = module.eval().blocks[0][1]
    expected = torch.nn.functional.leaky_relu(norm(first), 0.2)
    assert (module.features(image, 1)[0] - expected).abs().max() < 1e-5
