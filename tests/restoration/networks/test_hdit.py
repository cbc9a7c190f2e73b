"""HDiT against a statement of its own: attention as sums over named neighbours, token by token."""

import math
import sys
import types

import pytest
import torch
from torch import Tensor

from restoration.networks import neighbourhood
from restoration.networks.hdit import Hdit, merged, spread
from restoration.networks.hdit_attention import frequencies
from restoration.networks.hdit_layers import FourierFeatures
from restoration.networks.neighbourhood import (
    blocked_attention,
    gathered_attention,
    natten_attention,
    neighbourhood_attention,
)
from restoration.networks.posterior_mean_flow import PosteriorMeanFlow

SMALL = {
    "widths": (16, 32), "depths": (2, 1), "head": 8, "patch": 2, "mapping_width": 12, "mapping_hidden": 20,
}  # fmt: skip


def drawn(network: Hdit) -> Hdit:
    generator = torch.Generator().manual_seed(4)
    for name, parameter in network.named_parameters():
        value = torch.randn(parameter.shape, generator=generator)
        parameter.data = value / math.sqrt(parameter.shape[-1]) if parameter.ndim > 1 else 1 + 0.2 * value
        if name.endswith("self_attn.scale"):
            parameter.data = parameter.data.abs() * 5
    return network.eval()


def rms(x: Tensor, scale: Tensor) -> Tensor:
    return x / torch.sqrt((x * x).mean() + 1e-6) * scale


def geglu(state: dict[str, Tensor], prefix: str, x: Tensor) -> Tensor:
    up = state[f"{prefix}up_proj.weight"] @ x
    half = len(up) // 2
    gate = up[half:] * 0.5 * (1 + torch.erf(up[half:] / math.sqrt(2)))
    return state[f"{prefix}down_proj.weight"] @ (up[:half] * gate)


def condition(state: dict[str, Tensor], t: float | None) -> Tensor:
    width = len(state["time_in_proj.weight"])
    phase = 2 * math.pi * (0 if t is None else t) * state["time_emb.weight"][:, 0]
    time = torch.ones(width) if t is None else torch.cat((phase.cos(), phase.sin()))
    still = torch.cat((torch.ones(width // 2), torch.zeros(width // 2)))
    x = state["time_in_proj.weight"] @ time + state["aug_in_proj.weight"] @ still
    x = rms(x, state["mapping.in_norm.scale"])
    for i in range(2):
        x = x + geglu(state, f"mapping.blocks.{i}.", rms(x, state[f"mapping.blocks.{i}.norm.scale"]))
    return rms(x, state["mapping.out_norm.scale"])


def turned(x: Tensor, angles: Tensor) -> Tensor:
    """Rotate pairs (i, i + quarter) of a head by their angles."""
    x, quarter = x.clone(), len(x) // 4
    a, b = x[:quarter].clone(), x[quarter : 2 * quarter].clone()
    x[:quarter] = a * angles.cos() - b * angles.sin()
    x[quarter : 2 * quarter] = b * angles.cos() + a * angles.sin()
    return x


def seen(kind: str, i: int, j: int, height: int, width: int, shifted: bool) -> list[tuple[int, int]]:
    """Return the tokens that token (i, j) attends to; "neighbourhood 7" names the side."""
    every = [(a, b) for a in range(height) for b in range(width)]
    if kind == "global":
        return every
    if kind.startswith("neighbourhood"):
        own = int(kind.partition(" ")[2] or 3)
        sides = [min(own, n) for n in (height, width)]
        first = [
            min(max(p - own // 2, 0), n - s) for p, n, s in zip((i, j), (height, width), sides, strict=True)
        ]
        return [(a, b) for a, b in every if 0 <= a - first[0] < sides[0] and 0 <= b - first[1] < sides[1]]
    shift = (
        1 if shifted else 0
    )  # windows of 2, moved down and right by one, which never reach over the border

    def cell(p: int, n: int) -> int:
        return -1 if shifted and p == n - 1 else (p + shift) // 2

    return [
        (a, b) for a, b in every if (cell(a, height), cell(b, width)) == (cell(i, height), cell(j, width))
    ]


def attention(
    state: dict[str, Tensor], prefix: str, grid: Tensor, cond: Tensor, kind: str, shifted: bool
) -> Tensor:
    height, width, channels = grid.shape
    scale = state[f"{prefix}scale"]
    heads, head = len(scale), channels // len(scale)
    count = heads * head // 8
    longest = max(height, width)
    adapt = 1 + state[f"{prefix}norm.linear.weight"] @ cond
    query, key, value = {}, {}, {}
    for i in range(height):
        for j in range(width):
            qkv = (state[f"{prefix}qkv_proj.weight"] @ rms(grid[i, j], adapt)).view(3, heads, head)
            for h in range(heads):
                freqs = torch.tensor([math.pi * 10 ** ((p * heads + h) / count) for p in range(head // 8)])
                angles = torch.cat(
                    (freqs * (2 * i + 1 - height) / longest, freqs * (2 * j + 1 - width) / longest)
                )
                q, k, value[i, j, h] = qkv[:, h]
                root = scale[h].sqrt()
                query[i, j, h] = turned(q / torch.sqrt((q * q).sum() + 1e-6) * root, angles)
                key[i, j, h] = turned(k / torch.sqrt((k * k).sum() + 1e-6) * root, angles)
    result = torch.zeros_like(grid)
    for i in range(height):
        for j in range(width):
            mixed = []
            for h in range(heads):
                places = seen(kind, i, j, height, width, shifted)
                weights = torch.stack([(query[i, j, h] * key[a, b, h]).sum() for a, b in places]).exp()
                values = torch.stack([value[a, b, h] for a, b in places])
                mixed.append((weights[:, None] * values).sum(0) / weights.sum())
            result[i, j] = state[f"{prefix}out_proj.weight"] @ torch.cat(mixed)
    return result


def layer(
    state: dict[str, Tensor], prefix: str, grid: Tensor, cond: Tensor, kind: str, shifted: bool
) -> Tensor:
    if kind != "none":
        grid = grid + attention(state, f"{prefix}self_attn.", grid, cond, kind, shifted)
    adapt = 1 + state[f"{prefix}ff.norm.linear.weight"] @ cond
    forward = [[geglu(state, f"{prefix}ff.", rms(x, adapt)) for x in row] for row in grid]
    return grid + torch.stack([torch.stack(row) for row in forward])


def dense(state: dict[str, Tensor], image: Tensor, t: float | None, kinds: tuple[str, str]) -> Tensor:
    """Return the velocity of one image (C, H, W) by a network of two levels, token by token."""
    cond = condition(state, t)

    def gathered(grid: Tensor, i: int, j: int) -> Tensor:
        return torch.cat([grid[2 * i + a, 2 * j + b] for a in range(2) for b in range(2)])

    def down(grid: Tensor, weight: Tensor) -> Tensor:
        rows = [
            [weight @ gathered(grid, i, j) for j in range(grid.shape[1] // 2)]
            for i in range(grid.shape[0] // 2)
        ]
        return torch.stack([torch.stack(row) for row in rows])

    def up(grid: Tensor, weight: Tensor) -> Tensor:
        fine = torch.zeros(2 * grid.shape[0], 2 * grid.shape[1], len(weight) // 4)
        for i in range(fine.shape[0]):
            for j in range(fine.shape[1]):
                fine[i, j] = (weight @ grid[i // 2, j // 2]).view(2, 2, -1)[i % 2, j % 2]
        return fine

    grid = down(image.permute(1, 2, 0), state["patch_in.proj.weight"])
    for i in range(2):
        grid = layer(state, f"down_levels.0.{i}.", grid, cond, kinds[0], i % 2 == 1)
    skip = grid
    grid = down(grid, state["merges.0.proj.weight"])
    grid = layer(state, "mid_level.0.", grid, cond, kinds[1], False)
    fac = state["splits.0.fac"]
    grid = skip * (1 - fac) + fac * up(grid, state["splits.0.proj.weight"])
    for i in range(2):
        grid = layer(state, f"up_levels.0.{i}.", grid, cond, kinds[0], i % 2 == 1)
    grid = torch.stack([torch.stack([rms(x, state["out_norm.scale"]) for x in row]) for row in grid])
    return up(grid, state["patch_out.proj.weight"]).permute(2, 0, 1)


@pytest.mark.parametrize("t", [0.3, None])
@pytest.mark.parametrize(
    "kinds",
    [
        ("global", "global"),
        ("neighbourhood", "global"),
        ("shifted-window", "neighbourhood"),
        ("none", "global"),
    ],
)
def test_equals_its_statement_token_by_token(kinds, t):
    network = drawn(Hdit(**SMALL, attention=kinds, kernel=3, window=2))
    image = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(5))
    times = None if t is None else torch.tensor([t, 0.9])
    with torch.no_grad():
        found = network(image, times)
        for i, time in enumerate((t, None if t is None else 0.9)):
            expected = dense(network.state_dict(), image[i], time, kinds)
            assert (found[i] - expected).abs().max() < 1e-5 * expected.abs().max().clamp(min=1)


@pytest.mark.parametrize(("height", "width"), [(3, 5), (7, 7), (8, 9), (16, 24), (19, 33), (1, 20)])
@pytest.mark.parametrize("side", [1, 3, 7])
def test_neighbourhoods_are_moved_inward_at_borders(height, width, side):
    generator = torch.Generator().manual_seed(6)
    query, key, value = torch.randn(3, 2, 2, height, width, 4, generator=generator).double()
    rows, columns = (
        torch.stack([_window(place, length, side) for place in range(length)]) for length in (height, width)
    )
    near = (rows[:, None, :, None] & columns[None, :, None, :]).flatten(2).flatten(0, 1)
    logits = query.flatten(2, 3) @ key.flatten(2, 3).transpose(-1, -2)
    expected = logits.masked_fill(~near, -math.inf).softmax(-1) @ value.flatten(2, 3)
    found = neighbourhood_attention(query, key, value, side)
    torch.testing.assert_close(found, expected.view_as(found))


def _window(place: int, length: int, side: int) -> Tensor:
    side = min(side, length)
    first = min(max(place - side // 2, 0), length - side)
    others = torch.arange(length)
    return (others >= first) & (others < first + side)


@pytest.mark.parametrize(("height", "width"), [(7, 7), (9, 12)])
def test_natten_has_the_same_windows(height, width):
    kernel = pytest.importorskip("natten").na2d
    query, key, value = torch.randn(3, 2, 2, height, width, 16, generator=torch.Generator().manual_seed(6))
    found = natten_attention(kernel, query, key, value, 7)
    torch.testing.assert_close(found, blocked_attention(query, key, value, 7))


def test_exported_graphs_hold_no_kernel_of_natten(monkeypatch):
    class OnGpu(Tensor):
        is_cuda = True

    parts = torch.randn(3, 2, 2, 9, 12, 16, generator=torch.Generator().manual_seed(6))
    monkeypatch.setattr(neighbourhood, "_natten", lambda: pytest.fail("asked for"))
    monkeypatch.setattr(torch.compiler, "_is_exporting_flag", True)
    found = neighbourhood_attention(*(part.as_subclass(OnGpu) for part in parts), 7)
    torch.testing.assert_close(found.as_subclass(Tensor), blocked_attention(*parts, 7))


def test_compiled_graphs_are_not_taken_for_exported_ones(monkeypatch):
    parts = torch.randn(3, 2, 2, 9, 12, 16, generator=torch.Generator().manual_seed(6))
    monkeypatch.setattr(neighbourhood, "gathered_attention", lambda *parts: parts[0])
    torch._dynamo.reset()
    compiled = torch.compile(neighbourhood_attention, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(*parts, 7), blocked_attention(*parts, 7))


@pytest.mark.parametrize("strict", [False, True])
def test_exported_graphs_take_images_of_any_size(strict):
    network = Hdit(
        widths=(16, 32), depths=(1, 1), head=16, patch=2, mapping_width=12, mapping_hidden=20
    ).eval()
    sizes = {0: None, 1: None, 2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    graph = torch.export.export(network, (torch.rand(1, 3, 16, 24),), dynamic_shapes=(sizes,), strict=strict)
    for height, width in [(16, 24), (32, 20), (64, 64), (8, 8)]:
        image = torch.rand(1, 3, height, width)
        with torch.no_grad():
            torch.testing.assert_close(graph.module()(image), network(image))


def test_natten_is_found_where_it_is_installed(monkeypatch):
    package = types.ModuleType("natten")
    package.na2d = lambda *parts, **keywords: parts
    neighbourhood._natten.cache_clear()
    monkeypatch.setitem(sys.modules, "natten", package)
    assert neighbourhood._natten() is package.na2d
    neighbourhood._natten.cache_clear()
    monkeypatch.setitem(sys.modules, "natten", None)
    assert neighbourhood._natten() is None
    neighbourhood._natten.cache_clear()


def test_patches_are_merged_row_by_row_and_spread_again():
    grid = torch.arange(4 * 6 * 2.0).view(1, 4, 6, 2)
    assert merged(grid, 2)[0, 1, 2].tolist() == [
        *grid[0, 2, 4],
        *grid[0, 2, 5],
        *grid[0, 3, 4],
        *grid[0, 3, 5],
    ]
    assert torch.equal(spread(merged(grid, 2), 2), grid)


def test_frequencies_rise_over_heads_first():
    found = frequencies(3, 16)
    assert found.shape == (3, 2)
    expected = [math.pi * 10 ** (i / 6) for i in range(6)]
    assert found.T.flatten().tolist() == pytest.approx(expected, rel=1e-6)


def test_times_are_not_rounded_in_mixed_precision():
    """A time is rounded to 8 bits nowhere: products of 2π·t with frequencies up to 3 would be off by a tenth."""
    torch.manual_seed(9)
    features = FourierFeatures(1, 256)
    t = torch.linspace(0, 1, 33)[:, None]
    with torch.autocast("cpu", torch.bfloat16):
        found = features(t)
    phases = 2 * math.pi * t.double() * features.weight.double().T
    assert (found - torch.cat((phases.cos(), phases.sin()), 1)).abs().max() < 1e-5


def test_features_sum_over_what_they_are_given():
    torch.manual_seed(9)
    features = FourierFeatures(3, 8).double()
    values = torch.rand(5, 3, dtype=torch.float64)
    phases = 2 * math.pi * values @ features.weight.T
    torch.testing.assert_close(features(values), torch.cat((phases.cos(), phases.sin()), 1))


@pytest.mark.parametrize("channels", [1, 3])
def test_velocity_is_no_view(channels):
    """Sharded parameters hook onto a result, and PyTorch warns on every rank where a view may lose the hook."""
    image = torch.rand(1, channels, 8, 8)
    velocity = Hdit(**SMALL, channels=channels, attention=("none", "global"))(image, torch.tensor([0.5]))
    assert not velocity._is_view() and velocity.is_contiguous()


def test_is_the_velocity_of_a_flow_that_sees_an_image():
    velocity = drawn(Hdit(**SMALL, seen=3))
    flow = PosteriorMeanFlow(velocity=velocity, source="noise", condition="degraded", steps=2)
    assert flow.multiple == velocity.multiple == 4 and flow.receptive_field is None
    image = torch.rand(1, 3, 8, 12)
    assert flow(image).shape == image.shape
    with pytest.raises(ValueError, match="sees 3 more; expected 3 and 0"):
        PosteriorMeanFlow(velocity=velocity, source="degraded")


def test_levels_must_agree():
    with pytest.raises(ValueError, match="2 widths, 1 depths, 2 attentions: expected one per level"):
        Hdit(depths=(2,))
    with pytest.raises(ValueError, match="expected a multiple of head"):
        Hdit(widths=(20, 40), depths=(1, 1), head=8)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 5), (9, 17), (20, 8), (6, 7)])
@pytest.mark.parametrize("side", [3, 7])
def test_gathered_neighbours_are_those_of_the_blocks(height, width, side):
    draws = torch.Generator().manual_seed(0)
    parts = torch.randn(3, 2, 3, height, width, 8, generator=draws, dtype=torch.float64)
    expected = neighbourhood_attention(*parts, side)
    assert torch.allclose(gathered_attention(*parts, side), expected, rtol=0, atol=1e-12)


@pytest.mark.slow
def test_neighbourhoods_of_seven_equal_their_statement_at_borders_too():
    """8 × 12 tokens, of which the inner 2 × 6 alone have neighbours on all sides, and 4 × 6, fewer than seven."""
    network = drawn(Hdit(**SMALL, attention=("neighbourhood", "neighbourhood"), kernel=7))
    image = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        found = network(image, torch.tensor([0.3]))[0]
        expected = dense(network.state_dict(), image[0], 0.3, ("neighbourhood 7", "neighbourhood 7"))
    error = (found - expected).abs() / expected.abs().max().clamp(min=1)
    assert error.max() < 1e-5


@pytest.mark.parametrize(
    ("keywords", "expected"),
    [
        ({}, 121_544_221),
        ({"seen": 3}, 121_562_653),
        (
            {
                "widths": (256, 512, 1024), "depths": (2, 2, 8),
                "attention": ("neighbourhood", "neighbourhood", "global"),
            },
            160_460_210,
        ),
    ],
)  # fmt: skip
def test_sizes_are_those_of_the_authors(keywords, expected):
    with torch.device("meta"):
        network = Hdit(**keywords)
    assert sum(p.numel() for p in network.parameters()) == expected


def test_without_a_time_it_regresses_and_learns():
    """The features of a time that is not given are ones, so the matrix behind them learns a constant."""
    network = drawn(Hdit(**SMALL, attention=("neighbourhood", "global"), kernel=3)).train()
    clean = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(7))
    degraded = clean + 0.3 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(8))
    assert not torch.equal(network(degraded), network(degraded, torch.zeros(4)))
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(30):
        loss = (network(degraded) - clean).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 3
    gradient = network.time_in_proj.weight.grad
    assert torch.allclose(gradient, gradient[:, :1].expand_as(gradient))
