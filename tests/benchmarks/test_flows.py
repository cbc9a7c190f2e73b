"""Known motion: .flo files are read or refused in one line, and lead each frame's metrics."""

import numpy as np
import pytest
import torch
from PIL import Image

from restoration.benchmarks.datasets import cases
from restoration.benchmarks.flows import read_flow
from restoration.benchmarks.protocol import load_protocol
from restoration.benchmarks.run import evaluate
from restoration.benchmarks.samples import load_sample
from restoration.errors import ImageError, RequestError
from restoration.weights import load

BODY = """
name = "own"
task = "denoising"
clean = ["film/GT/*/*.png"]
degraded = { name = "frames", folder = "film/LQ/*/*.png", flow = "film/flow" }
metrics = ["flicker", "psnr-y"]
"""


def write(path, flow):
    """Write a flow (H, W, 2) as Middlebury's benchmark does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = flow.shape[:2]
    head = np.float32(202021.25).tobytes() + np.array([width, height], "<i4").tobytes()
    path.write_bytes(head + flow.astype("<f4").tobytes())


@pytest.fixture
def film(tmp_path):
    """Return a protocol and its data: a scene that moves two pixels to the left, its restored frames equal to it."""
    scene = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    for t in range(4):
        for side in ("GT", "LQ"):
            path = tmp_path / "film" / side / "walk" / f"{t:02}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(scene[:, 2 * t : 2 * t + 48]).save(path)
        flow = np.zeros((40, 48, 2))
        flow[..., 0] = -2
        if t < 3:
            write(tmp_path / "film" / "flow" / "walk" / f"{t:02}.flo", flow)
    (tmp_path / "own.toml").write_text(BODY)
    return tmp_path


def test_a_flow_is_read_as_right_and_down(tmp_path):
    flow = np.random.default_rng(0).standard_normal((5, 7, 2)).astype(np.float32)
    write(tmp_path / "a.flo", flow)
    found = read_flow(tmp_path / "a.flo")
    assert found.shape == (1, 2, 5, 7) and torch.equal(found[0, 0], torch.from_numpy(flow[..., 0]))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no flow in Middlebury's format: it does not begin with PIEH"),
        (b"PIEH", "4 bytes; expected 12 of a flow of 0x0 pixels"),
        (
            b"PIEH" + np.array([2, 2], "<i4").tobytes() + b"\0" * 8,
            "20 bytes; expected 44 of a flow of 2x2 pixels",
        ),
        (
            b"PIEH" + np.array([1, 1], "<i4").tobytes() + np.array([np.nan, 0], "<f4").tobytes(),
            "holds values that are not finite",
        ),
    ],
)
def test_what_is_no_flow_is_refused_in_one_line(tmp_path, data, said):
    (tmp_path / "a.flo").write_bytes(data)
    with pytest.raises(ImageError) as caught:
        read_flow(tmp_path / "a.flo")
    assert str(caught.value) == f"{tmp_path}/a.flo: {said}"


def test_each_frame_has_the_flow_that_leads_to_it_and_missing_ones_are_named(film):
    protocol = load_protocol(film / "own.toml")
    assert protocol.convention("flicker") == "y-float,border=0,uint8-output,known flow"
    found = cases(protocol, film)
    assert [case.flow and case.flow.name for case in found] == [None, "00.flo", "01.flo", "02.flo"]
    assert {case.cluster for case in found} == {"walk"}
    skipped = load_protocol(film / "own.toml", ["degraded.skip=[1, 1]"])
    assert [case.flow.name for case in cases(skipped, film)] == ["00.flo", "01.flo"]
    (film / "film/flow/walk/01.flo").unlink()
    with pytest.raises(RequestError) as caught:
        cases(protocol, film)
    assert str(caught.value) == f"own: no flow in {film}/film/flow: walk/01.flo"


def test_a_flow_is_cut_as_its_frame_is_and_must_be_as_large(film):
    protocol = load_protocol(film / "own.toml")
    assert load_sample(protocol, cases(protocol, film)[1]).flow.shape == (1, 2, 40, 48)
    write(film / "film/flow/walk/00.flo", np.zeros((40, 40, 2)))
    with pytest.raises(ImageError, match=r"00\.flo: 40x40 pixels; expected the 48x40 of .*01\.png"):
        load_sample(protocol, cases(protocol, film)[1])


def test_flicker_along_known_flow_is_nothing_where_frames_only_move(film):
    settings = ["border=3"]
    rows = {
        r.metric: r
        for r in evaluate(load("identity"), load_protocol(film / "own.toml", settings), data=film).rows
    }
    assert rows["flicker"].n == 3 and rows["flicker"].mean == pytest.approx(0, abs=1e-9)
    for t in (1, 3):  # every second frame is darker
        path = film / f"film/LQ/walk/{t:02}.png"
        Image.fromarray((np.asarray(Image.open(path)) * 0.5).astype(np.uint8)).save(path)
    rows = {
        r.metric: r
        for r in evaluate(load("identity"), load_protocol(film / "own.toml", settings), data=film).rows
    }
    assert rows["flicker"].mean > 20
