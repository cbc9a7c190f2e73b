"""Powers: those of the closed form, and the same bits wherever a sample lies."""

import pytest
import torch

from restoration.degradations.light import power


def test_power_of_light():
    light = torch.tensor([-0.5, 0.0, 0.25, 1.0, 2.0])
    torch.testing.assert_close(power(light, 2.2), torch.tensor([0.0, 0.0, 0.25**2.2, 1.0, 2**2.2]))
    assert light[0] == -0.5
    torch.testing.assert_close(power(power(light, 2.2), 1 / 2.2), light.clamp(min=0))
    assert torch.equal(power(light, 1.0), light.clamp(min=0))


@pytest.mark.parametrize("threads", [2, 3])
def test_bits_depend_on_no_thread_and_no_neighbour(threads):
    light = torch.rand(2, 3, 301, 407, generator=torch.Generator().manual_seed(0))
    whole = power(light, 2.2)
    assert torch.equal(power(light[1:], 2.2)[0], whole[1])
    torch.set_num_threads(threads)
    try:
        assert torch.equal(power(light, 2.2), whole)
    finally:
        torch.set_num_threads(1)
