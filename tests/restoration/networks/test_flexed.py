"""FlexAttention to neighbours equals the others, and is taken on a GPU where it is asked for."""

import pytest
import torch

from restoration.networks import flexed, hdit_attention, neighbourhood
from restoration.networks.hdit import Hdit
from restoration.networks.neighbourhood import (
    blocked_attention,
    gathered_attention,
    neighbourhood_attention,
)

CASES = [(9, 17), (16, 16), (5, 12), (20, 33), (3, 2)]
CPU = torch.device("cpu")


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


@pytest.mark.slow
@pytest.mark.parametrize("dynamic", [False, True])
def test_in_a_compiled_graph_it_is_traced_without_a_break(dynamic):
    torch._dynamo.reset()
    compiled = torch.compile(flexed.flexed_attention, backend="eager", fullgraph=True, dynamic=dynamic)
    for height, width in [(9, 17), (20, 33)]:
        parts = drawn(height, width)
        expected = blocked_attention(*parts, 7)
        torch.testing.assert_close(compiled(*parts, 7), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("height", "width", "side"), [(32, 64, 7), (9, 17, 3), (30, 41, 7), (3, 300, 7), (5, 280, 150), (2, 2, 7)]
)
def test_masks_hold_the_blocks_in_which_some_query_sees_some_key(height, width, side):
    mask, tokens = flexed.near(height, width, side, CPU), torch.arange(height * width)
    seen = mask.mask_mod(None, None, tokens[:, None], tokens)
    own = [min(side, height), min(side, width)]
    assert (seen.sum(1) == own[0] * own[1]).all()
    padded = torch.zeros(*(-(-height * width // 128) * 128,) * 2, dtype=torch.bool)
    padded[: len(tokens), : len(tokens)] = seen
    blocks = padded.unflatten(1, (-1, 128)).any(2).unflatten(0, (-1, 128)).any(1)
    assert torch.equal(mask.to_dense()[0, 0].bool(), blocks)
    back = torch.zeros_like(blocks)  # what the backward pass goes by
    for key, (count, queries) in enumerate(zip(mask.q_num_blocks[0, 0], mask.q_indices[0, 0], strict=True)):
        back[queries[:count].long(), key] = True
    assert torch.equal(back, blocks)


def test_masks_leave_out_blocks_far_away():
    mask = flexed.near(32, 64, 7, CPU)  # 16 blocks of two rows each
    assert mask.sparsity() > 60


def test_masks_of_large_images_are_small():
    """Of 256 × 256 tokens all pairs would be four thousand million."""
    mask = flexed.near(256, 256, 7, CPU)
    assert mask.shape[-2:] == (65_536, 65_536) and mask.kv_indices.shape[-2:] == (512, 512)


@pytest.mark.parametrize("learning", [True, False])
def test_compiled_graphs_flex_for_gradients(monkeypatch, learning):
    """A compiler that sees no GPU follows the same branches when it is told of one."""
    monkeypatch.setattr(neighbourhood, "_has_kernels", lambda query: True)
    monkeypatch.setattr(neighbourhood, "flexed_attention", lambda *parts: parts[0] + 1)
    monkeypatch.setattr(neighbourhood, "blocked_attention", lambda *parts: parts[0] + 2)
    monkeypatch.setattr(neighbourhood, "gathered_attention", lambda *parts: parts[0] + 3)
    monkeypatch.setattr(neighbourhood, "_natten", lambda: None)
    torch._dynamo.reset()
    compiled = torch.compile(neighbourhood_attention, backend="eager", fullgraph=True)
    query = torch.zeros(1, 2, 9, 9, 16)
    with torch.set_grad_enabled(learning):
        found = {int(compiled(query, query, query, 7, flex=flex).mean()) for flex in (True, False)}
    assert found == ({1, 2} if learning else {2})


class OnGpu:
    """What the choice reads of a tensor on a GPU."""

    is_cuda = True

    def __init__(self, height: int, width: int, dtype: torch.dtype = torch.bfloat16) -> None:
        self.shape, self.dtype = (1, 4, height, width, 64), dtype


@pytest.mark.parametrize("flex", [False, True])
def test_the_way_follows_from_what_is_asked_for_and_never_from_what_went_before(monkeypatch, flex):
    monkeypatch.setattr(neighbourhood, "flexed_attention", lambda *parts: "flexed")
    monkeypatch.setattr(neighbourhood, "blocked_attention", lambda *parts: "blocked")
    monkeypatch.setattr(neighbourhood, "_natten", lambda: None)

    def way(like: OnGpu | torch.Tensor) -> str:
        return neighbourhood_attention(like, like, like, 7, flex=flex)

    asked = "flexed" if flex else "blocked"
    for side in (4, 64, 300):
        assert {way(OnGpu(side, side)) for _ in range(500)} == {asked}
        with torch.no_grad():
            assert way(OnGpu(side, side)) == "blocked"
    assert way(OnGpu(64, 64, torch.float64)) == way(drawn(64, 64)[0]) == "blocked"


def test_what_is_asked_for_goes_before_natten(monkeypatch):
    monkeypatch.setattr(neighbourhood, "flexed_attention", lambda *parts: "flexed")
    monkeypatch.setattr(neighbourhood, "natten_attention", lambda *parts: "natten")
    monkeypatch.setattr(neighbourhood, "_natten", lambda: "natten's kernel")
    like = OnGpu(64, 64)
    assert neighbourhood_attention(like, like, like, 7) == "natten"
    assert neighbourhood_attention(like, like, like, 7, flex=True) == "flexed"


SMALL = {
    "widths": (16, 32), "depths": (2, 1), "head": 16, "patch": 2, "mapping_width": 12, "mapping_hidden": 20,
}  # fmt: skip


def test_a_network_asks_for_it_by_a_keyword_that_its_weights_do_not_know(monkeypatch):
    plain, asking = (Hdit(**SMALL, **keywords) for keywords in ({}, {"flex": True}))
    asking.load_state_dict(plain.state_dict())
    image, asked = torch.rand(1, 3, 16, 16), []

    def watched(query, key, value, side, *, flex):
        asked.append(flex)
        return blocked_attention(query, key, value, side)

    with torch.no_grad():
        assert torch.equal(plain(image), asking(image))  # on a processor it changes nothing
        monkeypatch.setattr(hdit_attention, "neighbourhood_attention", watched)
        plain(image), asking(image)
    assert asked == [False] * 4 + [True] * 4


def test_heads_that_its_kernels_do_not_have_are_refused():
    with pytest.raises(ValueError, match=r"^head = 8, flex = true: expected heads of 16 channels or more$"):
        Hdit(**{**SMALL, "head": 8}, flex=True)


@pytest.mark.gpu
@pytest.mark.parametrize("whole", [False, True], ids=["alone", "in a compiled graph"])
def test_compiled_on_a_gpu_it_is_the_same_with_its_gradients(whole):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device; on a processor FlexAttention has no gradients")
    flexing = torch.compile(flexed.flexed_attention) if whole else flexed.flexed_attention
    for height, width in [(64, 64), (50, 37)]:
        parts = [part.cuda().requires_grad_() for part in drawn(height, width)]
        mixed = [attend(*parts, 7) for attend in (flexing, blocked_attention)]
        torch.testing.assert_close(*mixed, rtol=1e-2, atol=1e-2)
        found, expected = (torch.autograd.grad((one**2).sum(), parts) for one in mixed)
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=2e-2, atol=2e-2)
