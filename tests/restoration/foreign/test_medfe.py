"""MEDFE against what its official modules gave, as released and repaired."""

from pathlib import Path

import parity
import pytest
import torch

from restoration.errors import WeightsError
from restoration.foreign import recognise
from restoration.foreign.medfe import PARTS
from restoration.foreign.split import completed, joined

HERE = Path("10_net_EN.pth")
PAINT = torch.tensor([2 * c / 255 - 1 for c in (123, 104, 117)]).view(1, 3, 1, 1)


def picture():
    image = (-1 + 2 * torch.from_numpy(parity.draws().rand(1, 3, 256, 256))).float()
    mask = torch.zeros(1, 1, 256, 256)
    mask[..., 64:192, 64:192] = 1
    return image, mask


@pytest.mark.slow
@torch.no_grad()
@pytest.mark.parametrize("form", ["released", "repaired"])
def test_every_recorded_output(form):
    sample = parity.sample("medfe", f"{'as_' if form == 'released' else ''}{form}_centre")
    state = parity.formula_state(sample.entries, sample.facts["gain"])
    network, spec = recognise(state, HERE, {"form": form})
    assert sum(p.numel() for p in network.parameters()) == sample.parameters
    assert spec["counting"] and spec["heads"]
    image, mask = picture()
    restored = 2 * network.eval()(torch.cat(((image + 1) / 2, mask), 1)) - 1
    filled = network.middle(network.encoder(network.seen((image + 1) / 2, mask)), mask)
    sample.check(restored[..., ::3, ::3], "image_every_third", 1e-3)
    sample.check(network.heads(filled.structure).tanh(), "structure_head", 1e-3)
    sample.check(network.heads(filled.texture).tanh(), "texture_head", 1e-3)
    # recorded after the decoder, whose first ReLU works in place
    sample.check(filled.maps[5][:, :32].relu(), "middle_4x4_first32", 1e-3)
    sample.check(filled.maps[2][:, :4], "middle_32x32_first4", 1e-3)
    outputs = sample.outputs
    assert restored.sum().item() == pytest.approx(outputs["image_sum"].item(), abs=0.5)
    assert restored.abs().sum().item() == pytest.approx(outputs["image_abs_sum"].item(), rel=1e-5)


def test_painted_input_is_the_official_one():
    from restoration.networks.medfe import Medfe

    image, mask = picture()
    seen = Medfe(width=2, blocks=1).seen((image + 1) / 2, mask)
    expected = torch.cat((image * (1 - mask) + PAINT * mask, (1 - mask).expand(-1, 3, -1, -1)), 1)
    assert torch.allclose(seen, expected, atol=1e-6)


def small_parts(width=4):
    """Official names at 1/16 of the official width."""
    parts = {}
    for part in PARTS:
        entries, _ = parity.layout("medfe", part)
        shapes = {name: [max(2, n * width // 64) if n >= 32 else n for n in s] for name, s, _ in entries}
        parts[part] = {name: parity.formula(name, shape, 0.3) for name, shape in shapes.items()}
    return parts


def test_three_files_side_by_side_make_one_network(tmp_path):
    parts = small_parts()
    for part, state in parts.items():
        torch.save({"net": state, "optimize": {}}, tmp_path / f"10_net_{part}.pth")
    for part in PARTS:
        whole = completed(parts[part], tmp_path / f"10_net_{part}.pth")
        assert set(whole) == set(joined(parts))
    network, spec = recognise(whole, tmp_path)
    assert spec["width"] == 4
    assert sum(p.numel() for p in network.parameters()) == sum(t.numel() for t in whole.values())
    (tmp_path / "10_net_DE.pth").unlink()
    with pytest.raises(WeightsError, match=r"part EN of MEDFE; beside it are missing: 10_net_DE\.pth"):
        completed(parts["EN"], tmp_path / "10_net_EN.pth")


@torch.no_grad()
def test_known_cells_and_other_sizes():
    network, _ = recognise(joined(small_parts()), HERE)
    mask = torch.zeros(1, 1, 256, 256)
    mask[..., 64:192, 64:192] = 1
    assert int((1 - network.middle.known(mask)).sum()) == 320
    for height, width in ((256, 320), (1, 5), (61, 83)):
        restored = network.eval()(torch.rand(1, 4, height, width))
        assert restored.shape == (1, 3, height, width)


@pytest.mark.slow
def test_official_sizes_load_whole():
    layouts = {part: parity.layout("medfe", part) for part in PARTS}
    state = joined({p: {n: torch.zeros(s) for n, s, _ in entries} for p, (entries, _) in layouts.items()})
    network, _ = recognise(state, HERE)
    expected = {part: about["parameters"] for part, (_, about) in layouts.items()}
    counted = {"EN": network.encoder, "DE": network.decoder, "MEDFE": [*network.middle.parameters()]}
    assert sum(p.numel() for p in counted["EN"].parameters()) == expected["EN"]
    assert sum(p.numel() for p in counted["DE"].parameters()) == expected["DE"]
    middle = [*network.middle.parameters(), *network.heads.parameters()]
    assert sum(p.numel() for p in middle) == expected["MEDFE"]
    learnt = sum(p.numel() for p in middle if p.requires_grad)
    assert learnt == layouts["MEDFE"][1]["trainable_parameters"]
