"""Weights given by a formula of their names, so that published outputs can be met without published files."""

import zlib
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn


def _value(name: str, tensor: Tensor, gain: float) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    shape, last = tuple(tensor.shape), name.split(".")[-1]
    draw = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(shape)
    if len(shape) >= 2:
        draw = gain * draw / np.sqrt(np.prod(shape[1:]))
    elif last == "weight":
        draw = 1 + 0.1 * draw
    else:
        draw = 1 + 0.1 * abs(draw) if last == "running_var" else 0.1 * draw
    return torch.from_numpy(np.asarray(draw)).float()


@pytest.fixture
def formula_output() -> Callable[..., Tensor]:
    """Return what a network makes of the input that RandomState(7) draws, with weights by the formula."""

    def output(network: nn.Module, shape: tuple[int, ...], gain: float) -> Tensor:
        state = network.state_dict()
        network.load_state_dict({name: _value(name, tensor, gain) for name, tensor in state.items()})
        image = torch.from_numpy(np.random.RandomState(7).rand(*shape).astype("float32"))
        with torch.no_grad():
            return network.eval()(image)

    return output


@pytest.fixture
def check_against() -> Callable[..., None]:
    """Compare an output with frozen values, relative to its spread: rounding stays far below the bound."""

    def check(output: Tensor, mean: float, std: float, samples: dict[int, float]) -> None:
        flat = output.double().flatten()
        assert flat.mean().item() == pytest.approx(mean, abs=2e-5 * std)
        assert flat.std(correction=0).item() == pytest.approx(std, rel=2e-5)
        for index, value in samples.items():
            assert flat[index].item() == pytest.approx(value, abs=2e-5 * std)

    return check
