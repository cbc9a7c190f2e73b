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
    "errnet": {"name": "errnet", "width": 4, "blocks": 1},
    "edsr": {"name": "edsr", "width": 8, "blocks": 2},
    "ffdnet": {"name": "ffdnet", "width": 8, "depth": 4},
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
        return tiled(
            network, image, scale=network.scale, multiple=network.multiple, tile="off", edge=network.edge
        )


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


class Counting(Network):
    """A network that fixes how many pictures it takes, or how high they are."""

    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, degraded: torch.Tensor) -> torch.Tensor:
        return degraded * self.weight / int(degraded.shape[self.axis])


@needs_packages
def test_a_network_that_fixes_the_count_is_written_for_one_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "TIMED", 32)
    monkeypatch.setattr(exporting, "SIZES", ((1, 33, 41), (1, 7, 64)))
    restorer = Restorer(Counting(0).eval(), Card("counting", "restoration", {"name": "counting"}))
    assert not exporting.write(restorer, tmp_path / "a.onnx").batch
    session = exporting._session(tmp_path / "a.onnx")
    assert session.get_inputs()[0].shape == [1, 3, "height", "width"]
    image = torch.rand(3, 3, 5, 6)
    assert torch.equal(exporting._by_onnx(session)(image), image)


@needs_packages
@pytest.mark.slow
def test_what_spandrel_computes_picture_by_picture_is_written_for_one(tmp_path, monkeypatch):
    monkeypatch.setattr(exporting, "TIMED", 32)
    spec = {
        "name": "spandrel",
        "architecture": "DRUNet",
        "in_nc": 4,
        "out_nc": 3,
        "nc": [8, 8, 8, 8],
        "nb": 2,
    }
    assert not exporting.write(made(spec), tmp_path / "a.onnx").batch


@needs_packages
def test_a_network_that_fixes_a_side_is_named_with_it(tmp_path):
    restorer = Restorer(Counting(2).eval(), Card("counting", "restoration", {"name": "counting"}))
    with pytest.raises(RestorationError, match="its code fixes the height of the picture; not written"):
        exporting.write(restorer, tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("own", "taken"), [(0.0, False), (2e-4, False), (6e-4, True)])
def test_beyond_the_tolerance_torchs_own_rounding_decides(monkeypatch, own, taken):
    restorer = made(SPECS["dncnn"])
    monkeypatch.setattr(
        exporting, "_by_onnx", lambda _: lambda x: (y := whole(restorer.network, x)) + 1e-3 * y.std()
    )
    monkeypatch.setattr(exporting, "_rounding", lambda *_: own)
    if taken:
        difference, rounding = exporting.verified(None, restorer)
        assert difference == pytest.approx(1e-3, rel=1e-2) and rounding == own
    else:
        with pytest.raises(RestorationError, match="onnxruntime differs by"):
            exporting.verified(None, restorer)


def test_masks_leave_something_known():
    restorer = Restorer(made(SPECS["dncnn"]).network, Card("a", "inpainting", {"name": "a"}))
    restorer.conditions = ("mask",)
    mask = exporting.picture(restorer, (1, 32, 40))[0, -1]
    assert mask[:8, :10].all() and mask.sum() == 80


OPEN = {
    "hdit": {"name": "hdit", "widths": (8,), "depths": (1,), "attention": ("neighbourhood",), "head": 8, "patch": 2,
             "kernel": 7, "mapping_width": 8, "mapping_depth": 1, "mapping_hidden": 8},
    "resshift-unet": {"name": "resshift-unet", "width": 32, "levels": (1,), "blocks": (1,), "attention": (0,),
                      "swin_width": 32, "head": 16, "window": 2, "size": 4, "expansion": 1.0},
    "swinir-packed": {"name": "swinir-packed", "width": 8, "groups": (2,), "heads": 2, "window": 2, "packing": 2,
                      "enlargement": 2},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", OPEN)
def test_attention_keeps_sizes_and_counts_open(name):
    network = made(OPEN[name]).network
    axes = ({0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC},)
    module = AnySize(network).eval()
    with torch.no_grad():
        traced = torch.export.export(
            module, (torch.rand(2, 3, 35, 43),), dynamic_shapes=axes, strict=False
        ).module(check_guards=False)
        for size in ((1, 33, 41), (3, 41, 30), (1, 5, 3)):
            image = torch.rand(size[0], 3, *size[1:])
            expected = module(image)
            assert (traced(image) - expected).abs().max() <= 1e-5 * expected.std()


def test_absent_packages_are_one_line_naming_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        RequestError, match=r'onnxruntime not installed; pip install "restoration-suite\[export\]"'
    ):
        exporting.write(made(SPECS["dncnn"]), tmp_path / "a.onnx")
