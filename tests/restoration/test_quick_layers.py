"""Dense layers as convolutions: the same results, only where they are to be had."""

import importlib.util
import math
import threading
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional

from restoration.applying.quick_layers import ROWS, QuickLayers, Windows
from restoration.applying.running import Inference, Runner
from restoration.networks import NETWORKS
from restoration.restorers import Card, Restorer

_spec = importlib.util.spec_from_file_location(
    "architectures", Path(__file__).parent / "networks" / "test_spandrel.py"
)
architectures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(architectures)


@pytest.mark.parametrize("shape", [(ROWS, 24), (3, ROWS, 24), (2, 50, 60, 24)])
@pytest.mark.parametrize("bias", [True, False])
def test_results_are_those_of_the_dense_layer(shape, bias):
    torch.manual_seed(0)
    layer, tokens = nn.Linear(24, 40, bias=bias), torch.randn(shape)
    with torch.inference_mode():
        expected = layer(tokens)
        with QuickLayers():
            found = layer(tokens)
    assert found.shape == expected.shape and found.is_contiguous()
    assert (found - expected).abs().max() <= 1e-5 * expected.std()


def test_only_what_pays_becomes_a_convolution(monkeypatch):
    called = []
    convolution = functional.conv2d
    monkeypatch.setattr(functional, "conv2d", lambda *args: called.append(1) or convolution(*args))
    layer = nn.Linear(24, 40)
    with torch.inference_mode(), QuickLayers():
        layer(torch.randn(ROWS - 1, 24))
        layer(torch.randn(24, ROWS).T)  # not contiguous
        layer.double()(torch.randn(ROWS, 24, dtype=torch.double))
        assert called == []
        layer.float()(torch.randn(ROWS, 24))
        assert called == [1]
    layer(torch.randn(ROWS, 24))
    assert called == [1]


def test_bfloat16_is_as_exact_as_before():
    torch.manual_seed(0)
    layer, tokens = nn.Linear(24, 40), torch.randn(ROWS, 24)
    exact = layer(tokens)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        plain = (layer(tokens) - exact).square().mean()
        with QuickLayers():
            found = layer(tokens)
    assert found.dtype == torch.bfloat16
    assert (found - exact).square().mean() < 1.5 * plain


SMALL = {"upscale": 2, "img_size": 16, "embed_dim": 12, "depths": [2], "num_heads": [2]}


@pytest.mark.parametrize(
    "keywords",
    [
        {"architecture": "SwinIR", "window_size": 8, "mlp_ratio": 2, "upsampler": "pixelshuffledirect"},
        {"architecture": "Swin2SR", "window_size": 8, "mlp_ratio": 2, "upsampler": "pixelshuffledirect"},
        {
            "architecture": "HAT",
            "embed_dim": 96,
            "window_size": 8,
            "mlp_ratio": 2,
            "upsampler": "pixelshuffle",
        },
        {"architecture": "DRCT", "window_size": 8, "mlp_ratio": 2, "upsampler": "pixelshuffle"},
    ],
    ids=lambda keywords: keywords["architecture"],
)
def test_windows_by_few_give_what_all_at_once_do(keywords, monkeypatch):
    torch.manual_seed(0)
    network = NETWORKS["spandrel"](**SMALL | keywords).eval()
    windows, images = Windows(network), [torch.rand(1, 3, *size) for size in ((32, 24), (24, 40))]
    assert windows.attending and windows.masking
    monkeypatch.setattr("restoration.applying.quick_layers.SCORES", 2 * 64 * 64 * 4 * 3)  # three windows
    with torch.inference_mode():
        for image in (*images, images[0].repeat(2, 1, 1, 1)):
            expected = network(image)
            for processor in (True, False):
                with windows.eased(processor):
                    found = network(image)
                assert (found - expected).abs().max() <= 2e-6
    assert not any({"forward", "calculate_mask"} & set(vars(m)) for m in network.modules())


def test_masks_of_one_size_are_drawn_once(monkeypatch):
    network = NETWORKS["spandrel"](
        architecture="SwinIR", window_size=8, mlp_ratio=2, upsampler="pixelshuffledirect",
        **SMALL | {"depths": [4], "num_heads": [2]},
    ).eval()  # fmt: skip
    windows, drawn = Windows(network), []
    kind = type(windows.masking[0])
    draw = kind.calculate_mask
    monkeypatch.setattr(kind, "calculate_mask", lambda self, size: drawn.append(size) or draw(self, size))
    with torch.inference_mode():
        for size in ((32, 24), (32, 24), (24, 40)):
            with windows.eased(True):
                network(torch.rand(1, 3, *size))
    assert drawn == [(32, 24)] * 2 + [(24, 40)] * 2  # shifted windows, and others


def test_hats_masks_are_drawn_once_and_its_modules_looked_at_once(monkeypatch):
    torch.manual_seed(0)
    network = NETWORKS["spandrel"](
        architecture="HAT", window_size=8, mlp_ratio=2, upsampler="pixelshuffle",
        **SMALL | {"depths": [2], "num_heads": [2], "embed_dim": 96},
    ).eval()  # fmt: skip
    restorer = Restorer(network, Card("hat", "restoration", {"name": "spandrel"}, network.scale))
    kind = next(type(m) for m in network.modules() if hasattr(type(m), "calculate_mask"))
    drawn, draw = [], kind.calculate_mask
    monkeypatch.setattr(
        kind, "calculate_mask", lambda self, size, dtype: drawn.append(tuple(size)) or draw(self, size, dtype)
    )
    looked, repeated = [], Windows._remembering
    monkeypatch.setattr(Windows, "_remembering", lambda self, m: looked.append(m) or repeated(self, m))
    with torch.inference_mode():
        for _ in range(2):  # two pictures
            runner = Runner(restorer, Inference(precision="fp32"))
            for _ in range(3):
                runner(torch.rand(1, 3, 24, 32))
    assert drawn == [(24, 32)] and len(looked) == 1


def test_small_terms_leave_large_bfloat16_sums_as_they_are():
    scores, bias = torch.randn(64, 8, 8).bfloat16(), torch.randn(1, 8, 8)
    with QuickLayers():
        assert (scores + bias).dtype == torch.bfloat16
        assert (scores + torch.randn(64, 8, 8)).dtype == torch.float  # a sum of equals, as of residuals
        assert (bias + scores).dtype == torch.float
    assert (scores + bias).dtype == torch.float


def restorer_of(architecture):
    torch.manual_seed(0)
    network = architectures.built(architecture).eval()
    for parameter in network.parameters():
        parameter.data += torch.randn_like(parameter) * 0.1 / max(1, math.prod(parameter.shape[1:])) ** 0.5
    return Restorer(network, Card(architecture, "restoration", {"name": "spandrel"}, network.scale))


@pytest.mark.filterwarnings("ignore")  # spandrel's own code warns of what torch will change
@pytest.mark.parametrize("architecture", sorted(architectures.TINY))
def test_every_architecture_gives_what_it_gives_alone(architecture, monkeypatch):
    monkeypatch.setattr("restoration.applying.quick_layers.ROWS", 8)
    monkeypatch.setattr("restoration.applying.quick_layers.SCORES", 1 << 14)
    restorer = restorer_of(architecture)
    runner, step = Runner(restorer, Inference(precision="fp32")), restorer.multiple
    with torch.inference_mode():
        for height, width, count in ((24, 40, 1), (17, 9, 1), (40, 24, 2)):
            size = (-(-height // step) * step, -(-width // step) * step)
            image = torch.rand(count, restorer.channels, *size)
            expected = restorer(image)
            assert (runner(image) - expected).abs().max() <= 1e-5 * expected.std()


def test_empty_dense_layers_stay_as_they_are():
    layer, tokens = nn.Linear(0, 3), torch.empty(ROWS, 0)
    with QuickLayers():
        assert torch.equal(layer(tokens), layer.bias.expand(ROWS, 3))


def test_threads_share_a_network(monkeypatch):
    monkeypatch.setattr("restoration.applying.quick_layers.SCORES", 1 << 14)
    restorer, failures = restorer_of("SwinIR"), []
    images = [torch.rand(1, 3, 40, 24 + 8 * i) for i in range(3)]
    with torch.inference_mode():
        expected = [restorer(image) for image in images]

    def work(which):
        runner = Runner(restorer, Inference(precision="fp32"))
        with torch.inference_mode():
            for _ in range(20):
                if (runner(images[which]) - expected[which]).abs().max() > 1e-5:
                    failures.append(which)

    def caught(which):
        try:
            work(which)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=caught, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert not any({"forward", "calculate_mask"} & set(vars(m)) for m in restorer.modules())


def test_a_module_with_functions_of_its_own_keeps_them():
    restorer = restorer_of("SwinIR")
    block = next(m for m in restorer.modules() if type(m).__name__ == "WindowAttention")
    own = block.forward
    block.forward = own
    with Windows(restorer).eased(True):
        assert block.forward is own
    assert vars(block)["forward"] is own


def test_masks_of_what_cannot_be_told_apart_are_drawn_each_time():
    class Masked(nn.Module):
        def calculate_mask(self, values):
            return values.sum()

    module = Masked()
    with Windows(module).eased(False):
        assert [int(module.calculate_mask(torch.full((2000,), i))) for i in (1, 2)] == [2000, 4000]
