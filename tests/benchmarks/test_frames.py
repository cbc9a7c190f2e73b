"""Frames: what moves as the clean clip does is no flicker, what comes and goes is."""

import pytest
import torch
from torch.nn.functional import interpolate

from restoration.benchmarks.metrics import METRICS, Seen
from restoration.benchmarks.metrics.frames import flow
from restoration.errors import WeightsError
from restoration.losses.features import shared_passes

cv2 = pytest.importorskip("cv2", reason="the flow of frames needs OpenCV (extra classical)")


def clip(frames=3, step=2, size=96):
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(1, 1, 24, 40, generator=generator, dtype=torch.float64)
    scene = interpolate(coarse, scale_factor=8, mode="bicubic").clamp(0, 1)
    return torch.cat([scene[..., :size, step * t : step * t + 2 * size] for t in range(frames)])


def test_the_flow_of_a_moving_camera_is_its_motion():
    frames = clip()
    found = flow(frames[:1], frames[1:2])[..., 16:-16, 24:-24]
    assert found[:, 0].mean().item() == pytest.approx(-2, abs=0.1)
    assert found[:, 1].abs().mean().item() < 0.1


@pytest.mark.parametrize("name", ["flicker", "warping-error"])
def test_frames_that_move_are_no_error_and_frames_that_flicker_are(name):
    clean = clip()
    metric = METRICS[name]()
    steady = metric(clean, clean)
    blinking = clean + 0.05 * torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64).view(3, 1, 1, 1)
    found = metric(blinking, clean)
    assert steady[0] == 0 and found.shape == (3,)
    assert steady.max() < 1.0 and (found[1:] > 20).all()
    shifted = clean + 0.05
    assert metric(shifted, clean).max().item() == pytest.approx(steady.max().item(), abs=0.2)


def test_a_constant_change_is_the_closed_form():
    clean = clip(2)
    found = METRICS["flicker"]()(
        clean + torch.tensor([0.0, 0.1], dtype=torch.float64).view(2, 1, 1, 1), clean
    )
    assert found[1].item() == pytest.approx(25.5, abs=1e-6)


def test_an_image_that_is_no_frame_has_a_reason():
    clean = clip(1)
    assert METRICS["flicker"]().lacks(Seen(clean, clean)) == (
        "the images are no frames of a clip: the one before is not known"
    )
    assert (
        METRICS["flicker"]().lacks(Seen(clean)) == "there is no clean frame, of which the flow is estimated"
    )


def test_without_opencv_the_metric_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    frames, still = clip(2), torch.zeros(1, 2, 96, 192)
    with pytest.raises(WeightsError, match=r"needs OpenCV, which is not here: pip install .*\[classical\]"):
        METRICS["flicker"]()(frames, frames)
    seen = Seen(frames[1:], frames[1:], before=(frames[:1], frames[:1]), flow=still)
    assert METRICS["flicker"]().measure(seen).item() == 0, "a known flow needs none"


@pytest.mark.parametrize("name", ["flicker", "warping-error"])
def test_known_flow_is_followed(name):
    clean = clip(2)
    known = torch.zeros(1, 2, 96, 192)
    known[:, 0] = -2  # the scene moves to the left
    metric, before = METRICS[name](), (clean[:1], clean[:1])
    assert metric.measure(Seen(clean[1:], clean[1:], before=before, flow=known)).item() == pytest.approx(
        0, abs=1e-9
    )
    blinking = clean[1:] + 0.1
    found = metric.measure(Seen(blinking, clean[1:], before=before, flow=known)).item()
    assert found == pytest.approx(25.5, abs=1e-6)
    wrong = metric.measure(
        Seen(clean[1:] * 0.5, clean[1:], before=(clean[:1] * 0.5, clean[:1]), flow=-8 * known)
    )
    assert wrong.item() > 1 if name == "flicker" else wrong.isnan()  # nothing agrees with the way back


def test_pixels_whose_flow_is_not_known_do_not_count():
    clean = clip(2)
    known = torch.zeros(1, 2, 96, 192)
    known[..., 40:, :] = 1e10  # Middlebury's mark
    spoilt = clean[1:].clone()
    spoilt[..., 40:, :] = 1
    seen = Seen(spoilt, clean[1:], before=(clean[:1], clean[:1]), flow=known)
    assert METRICS["flicker"]().measure(seen).item() == 0


def test_flow_is_estimated_once_for_all_restorers_and_metrics(monkeypatch):
    calls = []
    made = cv2.DISOpticalFlow_create

    def counted(preset):
        calls.append(preset)
        return made(preset)

    monkeypatch.setattr(cv2, "DISOpticalFlow_create", counted)
    clean = clip(2)
    first, second = clean.split(1)
    with shared_passes():
        for restored in (clean + 0.01, clean * 0.9):
            seen = Seen(restored[1:], second, before=(restored[:1], first))
            for name in ("flicker", "warping-error"):
                METRICS[name]().measure(seen)
    assert len(calls) == 2, "there and back"
