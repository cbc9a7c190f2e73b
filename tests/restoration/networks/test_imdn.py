"""IMDN+ against its authors' file and a plain second implementation."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from restoration.networks.imdn import Imdn


def plain(state: dict[str, Tensor], degraded: Tensor) -> Tensor:
    """IMDN+ written out as its description reads."""

    def conv(name: str, features: Tensor) -> Tensor:
        weight = state[f"{name}.weight"]
        return functional.conv2d(features, weight, state[f"{name}.bias"], padding=weight.shape[-1] // 2)

    first = features = conv("FEM.0", degraded)
    for block in range(8):
        name, rest, kept = f"FEM.1.sub.{block}", features, []
        for stage in range(1, 6):
            made = functional.silu(conv(f"{name}.c{stage}", rest))
            aside, rest = made.split([6, made.shape[1] - 6], dim=1)
            kept.append(aside)
        kept.append(functional.silu(conv(f"{name}.c6", rest)))
        features = features + conv(f"{name}.c7", torch.cat(kept, 1))
    return functional.pixel_shuffle(conv("RM.0", first + conv("FEM.1.sub.8", features)), 4)


def test_has_as_many_parameters_as_published():
    assert sum(p.numel() for p in Imdn().parameters()) == 275_844


def test_equals_a_plain_second_implementation():
    torch.manual_seed(0)
    network, degraded = Imdn().double(), torch.rand(2, 3, 11, 14, dtype=torch.double)
    with torch.no_grad():
        torch.testing.assert_close(
            network(degraded), plain(network.state_dict(), degraded), rtol=1e-12, atol=1e-12
        )


def test_released_file_loads(data_root):
    state = torch.load(data_root / "weights" / "imdn_plus_x4.pth", weights_only=True)
    Imdn().load_state_dict(state)


def test_refuses_a_width_that_does_not_split():
    with pytest.raises(ValueError) as refusal:
        Imdn(width=36, distilled=5)
    assert str(refusal.value) == "width = 36: expected a multiple of distilled = 5, at least twice"
