"""FlexAttention to neighbours equals the others, and is taken where it is faster alone."""

from collections import Counter

import pytest
import torch

from restoration.networks import flexed
from restoration.networks.neighbourhood import blocked_attention, gathered_attention

CASES = [(9, 17), (16, 16), (5, 12), (20, 33), (3, 2)]


def drawn(height: int, width: int, dtype: torch.dtype = torch.float) -> torch.Tensor:
    return torch.randn(3, 2, 2, height, width, 16, generator=torch.Generator().manual_seed(0), dtype=dtype)


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), CASES)
@pytest.mark.parametrize("side", [3, 7])
def test_it_is_attention_to_neighbours(height, width, side):
    parts = drawn(height, width)
    found = flexed.flexed_attention(*parts, side)
    torch.testing.assert_close(found, gathered_attention(*parts, side), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found, blocked_attention(*parts, side), rtol=1e-5, atol=1e-5)


def test_masks_leave_out_blocks_far_away():
    mask = flexed._near(32, 64, 7, torch.device("cpu"))  # 16 blocks of two rows each
    assert mask.sparsity() > 60


def test_the_quicker_way_is_found_and_what_fails_is_none(monkeypatch):
    seconds = {"first": 1.0, "second": 2.0}
    monkeypatch.setattr(flexed, "_seconds", lambda attend, parts, side: seconds[attend(*parts, side)])
    like = drawn(4, 4)[0]

    def named(name: str) -> flexed.Attend:
        return lambda query, key, value, side: name

    def broken(query, key, value, side):
        raise RuntimeError("no kernel")

    assert flexed.quicker(named("first"), named("second"), like, 3, learning=True)
    assert not flexed.quicker(named("second"), named("first"), like, 3, learning=False)
    assert not flexed.quicker(broken, named("first"), like, 3, learning=False)


def test_seconds_are_those_of_both_passes():
    passes = Counter()

    class Watched(torch.autograd.Function):
        @staticmethod
        def forward(ctx, query, key, value, side):
            passes["forward"] += 1
            return query.clone()

        @staticmethod
        def backward(ctx, gradient):
            passes["backward"] += 1
            return gradient, gradient, gradient, None

    learning = [part.requires_grad_() for part in drawn(4, 4)]
    assert flexed._seconds(Watched.apply, learning, 3) > 0
    assert passes == {"forward": 1 + flexed.REPEATS, "backward": 1 + flexed.REPEATS}


def test_processors_and_small_images_never_ask(monkeypatch):
    monkeypatch.setattr(flexed, "quicker", lambda *args: pytest.fail("was tried"))
    for _ in range(flexed.OFTEN + 1):
        assert not flexed.pays(drawn(4, 4)[0], 3, blocked_attention)


class OnGpu:
    """What `pays` reads of a tensor on a GPU."""

    is_cuda, requires_grad, dtype, device = True, False, torch.bfloat16, "cuda:0"

    def __init__(self, height: int, width: int) -> None:
        self.shape = (1, 4, height, width, 64)


def test_shapes_that_come_often_are_tried_once(monkeypatch):
    tried = []
    monkeypatch.setattr(flexed, "_asked", Counter())
    monkeypatch.setattr(flexed, "_pays", {})
    monkeypatch.setattr(flexed, "quicker", lambda *args: tried.append(args) or True)
    answers = [flexed.pays(OnGpu(64, 64), 7, blocked_attention) for _ in range(flexed.OFTEN + 5)]
    assert answers == [False] * (flexed.OFTEN - 1) + [True] * 6 and len(tried) == 1
    assert not flexed.pays(OnGpu(16, 16), 7, blocked_attention)


@pytest.mark.gpu
def test_compiled_on_a_gpu_it_is_the_same_with_its_gradients():
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device; on a processor FlexAttention has no gradients")
    parts = [part.cuda().requires_grad_() for part in drawn(64, 64)]
    mixed = [attend(*parts, 7) for attend in (flexed.flexed_attention, blocked_attention)]
    torch.testing.assert_close(*mixed, rtol=1e-2, atol=1e-2)
    found, expected = (torch.autograd.grad((one**2).sum(), parts) for one in mixed)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-2, atol=2e-2)
