"""Sliding windows of frames, and what a restorer of several frames is given."""

import pytest
import torch

from restoration.errors import RequestError
from restoration.video.window import radius_of, windows, with_conditions


@pytest.mark.parametrize("radius", [0, 1, 3, 9])
@pytest.mark.parametrize(("first", "last", "count"), [(0, 6, 6), (2, 5, 9), (0, 1, 1), (5, 6, 6)])
def test_windows_hold_the_neighbours_that_there_are(first, last, count, radius):
    read = []

    def frames(start, stop):
        for number in range(start, stop):
            read.append(number)
            yield number

    found = list(windows(frames, first, last, count, radius))
    assert found == [
        tuple(n if 0 <= n < count else None for n in range(t - radius, t + radius + 1))
        for t in range(first, last)
    ]
    assert read == sorted(set(read))  # each once, in order


def test_frames_are_read_no_sooner_than_needed():
    read = []

    def frames(start, stop):
        for number in range(start, stop):
            read.append(number)
            yield number

    next(windows(frames, 3, 10, 20, 2))
    assert read == [1, 2, 3, 4, 5]


def test_conditions_are_neighbours_then_flows_and_the_target_outside():
    frames = [torch.full((1, 3, 4, 5), value) for value in (0.2, 0.3)]
    conditions = ("neighbour",) * 6 + ("flow",) * 4
    flow = lambda target, near: torch.full((1, 2, 4, 5), float(near[0, 0, 0, 0] - target[0, 0, 0, 0]))  # noqa: E731
    whole = with_conditions((None, *frames), conditions, flow)
    assert whole.shape == (1, 3 + 6 + 4, 4, 5)
    assert torch.allclose(
        whole[0, :, 0, 0], torch.tensor([0.2] * 3 + [0.2] * 3 + [0.3] * 3 + [0.0] * 2 + [0.1] * 2)
    )
    grey = with_conditions((frames[0][:, :1],) * 3, conditions[:6], flow)
    assert grey.shape[1] == 1 + 6


def test_radius_of_a_restorer():
    assert radius_of((), "x") == 0
    assert radius_of(("neighbour",) * 18 + ("flow",) * 12, "rbpn") == 3
    with pytest.raises(RequestError, match="'x' needs more than a video: mask"):
        radius_of(("mask",), "x")
    with pytest.raises(RequestError, match="takes 3 channels of neighbours; expected a multiple of 6"):
        radius_of(("neighbour",) * 3, "x")


def test_flow_points_to_where_the_neighbour_shows_it():
    pytest.importorskip("cv2", reason="needs the extra 'classical'")
    from restoration.video.flow import optical_flow

    waves = torch.sin(torch.arange(64) / 4)[:, None] * torch.cos(torch.arange(80) / 5) / 2 + 0.5
    target = waves.expand(1, 3, 64, 80)
    flow = optical_flow(target, target.roll(3, -1).roll(-2, -2))
    assert flow.shape == (1, 2, 64, 80)
    assert torch.allclose(flow[..., 16:-16, 16:-16].mean((0, 2, 3)), torch.tensor([3.0, -2.0]), atol=0.1)
    assert optical_flow(target[..., :1, :3], target[..., :1, :3]).shape == (1, 2, 1, 3)
