"""ONNX files: open sizes, padded within, checked before they appear."""

import importlib.util
import json

import pytest
import torch

from restoration.errors import RequestError, RestorationError
from restoration.exporting import onnx as exporting
from restoration.exporting.graph import AnySize
from restoration.exporting.windows import joined, open_sizes
from restoration.networks import NETWORKS
from restoration.networks.network import Network
from restoration.restorers.card import Card
from restoration.restorers.network import Restorer
from restoration.tiling import tiled

SWIN = {
    "name": "spandrel", "embed_dim": 12, "depths": [2], "num_heads": [2], "window_size": 8, "upscale": 2,
    "img_size": 16, "upsampler": "pixelshuffledirect",
}  # fmt: skip
SPECS = {
    "dncnn": {"name": "dncnn", "width": 8, "depth": 5},
    "edsr": {"name": "edsr", "width": 8, "blocks": 2},
    "imdn": {"name": "imdn", "width": 12, "blocks": 2, "distilled": 4},
    "nafnet": {"name": "nafnet", "width": 4, "encoders": (1, 1), "middle": 1, "decoders": (1, 1)},
    "plain-sr": {"name": "plain-sr", "width": 8, "blocks": 2},
    "res-unet": {"name": "res-unet", "widths": (4, 8, 8), "blocks": (1, 1, 1)},
    "rrdbnet": {"name": "rrdbnet", "width": 8, "blocks": 1, "growth": 4, "scale": 2},
    "swinir": SWIN | {"architecture": "SwinIR"},
}
SIZES = [(1, 1), (2, 3), (7, 64), (16, 16), (33, 41), (37, 53), (40, 48)]
installed = all(importlib.util.find_spec(name) for name in exporting.PACKAGES)
needs_packages = pytest.mark.skipif(
    not installed, reason="onnx, onnxscript and onnxruntime are not installed"
)
pytestmark = pytest.mark.filterwarnings("ignore")  # of torch's own exporter


def made(spec: dict[str, object]) -> Restorer:
    """Return an untrained restorer whose every parameter counts: some start at zero."""
    torch.manual_seed(0)
    network = NETWORKS[str(spec["name"])](**{k: v for k, v in spec.items() if k != "name"}).eval()
    for parameter in network.parameters():
        parameter.data = 0.1 * torch.randn_like(parameter)
    return Restorer(network, Card("tiny", "restoration", spec, network.scale, licence="MIT"), digest="5e")


def whole(network: Network, image: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return tiled(network, image, scale=network.scale, multiple=network.multiple, tile="off")


@pytest.mark.parametrize("name", SPECS)
def test_the_graph_pads_as_applying_does(name):
    network = made(SPECS[name]).network
    for height, width in SIZES:
        image = torch.rand(
            2, network.channels, height, width, generator=torch.Generator().manual_seed(height)
        )
        with torch.no_grad(), open_sizes(network):
            restored = AnySize(network)(image)
        expected = whole(network, image)
        assert (restored - expected).abs().max() <= 1e-6 * expected.abs().max(), (height, width)


@pytest.mark.parametrize("architecture", ["SwinIR", "HAT", "Swin2SR"])
def test_windows_with_open_sizes_compute_the_same_and_leave_nothing_behind(architecture):
    keywords = {"num_feat": 16, "squeeze_factor": 6} if architecture == "HAT" else {}
    spec = SWIN | {"architecture": architecture} | keywords
    if architecture == "HAT":
        del spec["upsampler"], spec["img_size"]
    network = made(spec).network
    image = torch.rand(2, 3, 24, 40, generator=torch.Generator().manual_seed(0))
    before = whole(network, image)
    with open_sizes(network):
        inside = whole(network, image)
    assert torch.allclose(inside, before, atol=1e-6)
    assert torch.equal(whole(network, image), before)
    assert all(getattr(m, "input_resolution", 0) is not None for m in network.modules())


def test_joined_windows_are_where_they_were():
    grid = torch.arange(2 * 8 * 12 * 3).view(2, 8, 12, 3)
    windows = grid.view(2, 2, 4, 3, 4, 3).transpose(2, 3).reshape(-1, 4, 4, 3)
    assert torch.equal(joined(windows, 4, 8, 12), grid)


@needs_packages
@pytest.mark.slow
@pytest.mark.parametrize("name", SPECS)
def test_onnxruntime_equals_torch_at_any_size(tmp_path, monkeypatch, name):
    monkeypatch.setattr(exporting, "TIMED", 32)
    restorer = made(SPECS[name])
    path = tmp_path / "a.onnx"
    found = exporting.write(restorer, path)
    assert found.difference <= exporting.TOLERANCE and set(found.seconds) == {"onnxruntime", "torch"}
    assert [p.name for p in tmp_path.iterdir()] == ["a.onnx"]
    run = exporting._by_onnx(exporting._session(path))
    for count, height, width in ((3, 19, 71), (1, 1, 2)):  # none of those that the exporter tried
        image = torch.rand(
            count, restorer.channels, height, width, generator=torch.Generator().manual_seed(1)
        )
        expected = whole(restorer.network, image)
        assert (run(image) - expected).abs().max() <= 1e-4 * expected.std()


@needs_packages
@pytest.mark.slow
def test_the_file_says_what_it_is(tmp_path, monkeypatch):
    import onnx

    monkeypatch.setattr(exporting, "TIMED", 32)
    restorer = made(SPECS["res-unet"])
    exporting.write(restorer, tmp_path / "a.onnx")
    model = onnx.load(tmp_path / "a.onnx")
    onnx.checker.check_model(model)
    facts = {entry.key: entry.value for entry in model.metadata_props}
    assert {key: facts[key] for key in ("name", "licence", "scale", "multiple", "source_sha256")} == {
        "name": "tiny", "licence": "MIT", "scale": "1", "multiple": "8", "source_sha256": "5e",
    }  # fmt: skip
    assert json.loads(facts["card"])["network"]["name"] == "res-unet"
    (entry,), (result,) = model.graph.input, model.graph.output
    axes = [d.dim_param or d.dim_value for d in entry.type.tensor_type.shape.dim]
    assert (entry.name, result.name, axes) == ("degraded", "restored", ["batch", 3, "height", "width"])
    assert entry.type.tensor_type.elem_type == result.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    assert b"site-packages" not in (tmp_path / "a.onnx").read_bytes()


@needs_packages
def test_a_file_that_computes_otherwise_never_appears(tmp_path, monkeypatch):
    other = made(SPECS["dncnn"] | {"width": 4})
    honest = exporting.exported
    monkeypatch.setattr(exporting, "exported", lambda _: honest(other))
    with pytest.raises(RestorationError, match=r"at 33x41 pixels onnxruntime differs by .* not written"):
        exporting.write(made(SPECS["dncnn"]), tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


@needs_packages
def test_what_cannot_be_expressed_is_one_line(tmp_path):
    class Asking(Network):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, degraded: torch.Tensor) -> torch.Tensor:
            return degraded * self.weight if degraded.mean() > 0.5 else degraded

    restorer = Restorer(Asking(), Card("asking", "restoration", {"name": "asking"}))
    with pytest.raises(RestorationError) as caught:
        exporting.write(restorer, tmp_path / "a.onnx")
    assert "restorer 'asking' (asking): does not become ONNX with open sizes: " in str(caught.value)
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


def test_absent_packages_are_one_line_naming_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        RequestError, match=r'onnxruntime not installed; pip install "restoration-suite\[export\]"'
    ):
        exporting.write(made(SPECS["dncnn"]), tmp_path / "a.onnx")
