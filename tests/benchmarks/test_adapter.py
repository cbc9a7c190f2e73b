"""pyiqa's metrics where the user has it: named by it, stamped with its licence, never imported otherwise."""

import subprocess
import sys
import types

import pytest
import torch

from restoration.benchmarks.metrics import METRICS, adapter
from restoration.benchmarks.protocol import load_protocol
from restoration.errors import ConfigError, RestorationError, WeightsError


@pytest.fixture
def pyiqa(monkeypatch):
    """A stand-in for the package, with one metric of pairs and one of images alone."""
    package, configs = types.ModuleType("pyiqa"), types.ModuleType("pyiqa.default_model_configs")
    configs.DEFAULT_CONFIGS = {
        "error": {"metric_mode": "FR", "lower_better": True},
        "brightness": {"metric_mode": "NR"},
    }
    networks = {
        "error": lambda restored, clean: (restored - clean).abs().mean((1, 2, 3))[:, None],
        "brightness": lambda restored: restored.mean((1, 2, 3)),
    }
    package.list_models = lambda: sorted(networks)
    package.create_metric = lambda name, device: networks[name]
    monkeypatch.setitem(sys.modules, "pyiqa", package)
    monkeypatch.setitem(sys.modules, "pyiqa.default_model_configs", configs)
    find = adapter.importlib.util.find_spec
    monkeypatch.setattr(
        adapter.importlib.util, "find_spec", lambda name: object() if name == "pyiqa" else find(name)
    )
    monkeypatch.setattr(adapter, "_version", lambda: "0.1.14")
    adapter.foreign.cache_clear()
    yield package
    adapter.foreign.cache_clear()


@pytest.fixture
def absent(monkeypatch):
    find = adapter.importlib.util.find_spec
    monkeypatch.setattr(
        adapter.importlib.util, "find_spec", lambda name: None if name == "pyiqa" else find(name)
    )
    adapter.foreign.cache_clear()
    yield
    adapter.foreign.cache_clear()


def test_direction_reference_and_licence_are_pyiqas(pyiqa):
    error, brightness = METRICS["pyiqa:error"], METRICS["pyiqa:brightness"]
    assert (error.better, error.reference, error.kind) == ("lower", True, "pair")
    assert (brightness.better, brightness.reference, brightness.kind) == ("higher", False, "alone")
    convention = load_protocol("kodak5-color-25", [], ["pyiqa:error"]).convention("pyiqa:error")
    assert convention == (
        "rgb,border=0,uint8-output,pyiqa 0.1.14, licence PolyForm-Noncommercial-1.0.0 and S-Lab-1.0"
    )
    clean = torch.zeros(1, 3, 8, 8, dtype=torch.float64)
    assert error()(clean + 0.25, clean).tolist() == [0.25]
    assert brightness()(clean + 0.5, clean).tolist() == [0.5]


def test_an_unknown_name_of_pyiqas_is_refused_with_the_nearest(pyiqa):
    with pytest.raises(WeightsError, match=r"^pyiqa:eror: pyiqa has no such metric; did you mean 'error'\?$"):
        METRICS["pyiqa:eror"]()


def test_without_pyiqa_rows_of_others_can_be_read_but_not_made(absent):
    assert METRICS["pyiqa:niqe"].better == "lower" and METRICS["pyiqa:musiq"].better == "higher"
    assert "pyiqa:niqe" in METRICS and "pyiqa:" not in METRICS and "pyiqa" not in METRICS
    with pytest.raises(WeightsError, match=r"pyiqa:niqe is computed by pyiqa \(PolyForm.*pip install pyiqa$"):
        METRICS["pyiqa:niqe"]()
    with pytest.raises(KeyError):
        METRICS["niqee"]
    with pytest.raises(ConfigError, match=r"unknown metric 'pyiqa'"):
        load_protocol("kodak5-color-25", [], ["pyiqa"])


def test_what_pyiqa_cannot_make_or_measure_is_one_line(pyiqa, monkeypatch):
    def refuse(*images):
        raise RuntimeError("Kernel size can't be greater\nthan actual input size")

    def lacking(name, device):
        raise ModuleNotFoundError("No module named 'pkg_resources'")

    monkeypatch.setattr(pyiqa, "create_metric", lambda name, device: refuse)
    image = torch.zeros(1, 3, 8, 8)
    with pytest.raises(RestorationError) as caught:
        METRICS["pyiqa:error"]()(image, image)
    assert (
        str(caught.value) == "pyiqa refuses this image: Kernel size can't be greater than actual input size"
    )
    monkeypatch.setattr(pyiqa, "create_metric", lacking)
    with pytest.raises(WeightsError, match=r"^pyiqa:error: No module named 'pkg_resources'$"):
        METRICS["pyiqa:error"]()


def test_its_metrics_of_sets_are_refused_with_ours(pyiqa, monkeypatch):
    monkeypatch.setattr(pyiqa, "list_models", lambda: ["fid", "fid_dinov2", "inception_score"])
    for name in pyiqa.list_models():
        with pytest.raises(WeightsError, match=rf"^pyiqa:{name} compares sets of images: take fid"):
            METRICS[f"pyiqa:{name}"]()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["gmsd", "psnr"])  # its vif is that of wavelets
def test_the_package_itself_finds_what_we_find(name):
    """With pyiqa installed, which is no part of this project: it fits the versions that it was written for alone."""
    pytest.importorskip("pyiqa", reason="pyiqa is not installed")
    adapter.foreign.cache_clear()
    generator = torch.Generator().manual_seed(0)
    clean = torch.rand(1, 3, 96, 120, generator=generator, dtype=torch.float64)
    restored = (clean + 0.1 * torch.randn(clean.shape, generator=generator, dtype=torch.float64)).clamp(0, 1)
    foreign = METRICS[f"pyiqa:{name}"]
    ours = METRICS[{"psnr": "psnr-rgb"}.get(name, name)]
    assert foreign.better == ours.better and foreign.kind == "pair"
    assert foreign()(restored, clean).item() == pytest.approx(ours()(restored, clean).item(), abs=2e-4)


@pytest.mark.slow
def test_nothing_imports_it_unasked():
    code = "import sys, restoration.benchmarks; print([n for n in ('pyiqa', 'torch_fidelity', 'cv2') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
