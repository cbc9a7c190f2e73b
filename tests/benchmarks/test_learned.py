"""BRISQUE and CLIP-IQA: piq's numbers given the same weights; Inception: torch-fidelity's; what is missing, said."""

import hashlib
import sys

import numpy as np
import pytest
import torch

from restoration.benchmarks import extractors
from restoration.benchmarks.metrics import METRICS, learned
from restoration.errors import WeightsError
from restoration.losses import published

piq = pytest.importorskip("piq")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder of weights; torch hub's is empty too."""
    monkeypatch.setenv("RESTORATION_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path


def image(seed=0, size=(72, 80)):
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 3, 9, 10, generator=generator, dtype=torch.float64)
    smooth = torch.nn.functional.interpolate(coarse, size, mode="bicubic", antialias=True)
    return (smooth + 0.1 * torch.randn(1, 3, *size, generator=generator, dtype=torch.float64)).clamp(0, 1)


def untrained_brisque(folder):
    generator = torch.Generator().manual_seed(0)
    weights = (
        torch.randn(50, 1, generator=generator),
        torch.rand(50, 36, generator=generator) * 2 - 1,
    )
    torch.save(list(weights), folder / published.CATALOGUE["brisque"].file)
    return weights


def test_brisque_is_piqs_given_the_same_weights(folder, monkeypatch):
    weights = untrained_brisque(folder)
    monkeypatch.setattr(
        sys.modules["piq.brisque"], "load_url", lambda *_, **__: [part.clone().double() for part in weights]
    )
    metric, x = METRICS["brisque"](), image()
    expected = piq.brisque(x, data_range=1.0, reduction="none").item()
    assert metric(x, x).item() == pytest.approx(expected, abs=1e-5)
    assert METRICS["brisque"].better == "lower" and not METRICS["brisque"].reference


def test_a_flat_image_has_no_brisque(folder):
    untrained_brisque(folder)
    flat = torch.full((1, 3, 64, 64), 0.5, dtype=torch.float64)
    assert METRICS["brisque"]()(flat, flat).isnan().all()


def tiny_clip():
    from piq.feature_extractors.clip import CLIP

    torch.manual_seed(0)
    network = CLIP(16, 32, (1, 1, 1, 1), 8, None, 77, 49408, 64, 1, 1).float().eval()
    tokens = torch.zeros(2, 77, dtype=torch.int64)
    tokens[:, :3] = torch.tensor([[5, 9, 49407], [7, 9, 49407]])
    return network, tokens


def test_clip_iqa_is_piqs_given_the_same_weights(folder, monkeypatch):
    network, tokens = tiny_clip()
    (folder / "RN50.pt").write_bytes(b"weights")
    torch.save(tokens, folder / "clipiqa_tokens.pt")
    entry = published.CATALOGUE["clip-rn50"]
    known = published.Entry(
        entry.file,
        hashlib.sha256(b"weights").hexdigest(),
        entry.megabytes,
        entry.source,
        entry.licence,
        entry.avoid,
    )
    monkeypatch.setitem(published.CATALOGUE, "clip-rn50", known)
    monkeypatch.setattr(learned, "clip", lambda path: network)
    module = sys.modules["piq.clip_iqa"]
    monkeypatch.setattr(module.clip, "load", lambda: network)
    monkeypatch.setattr(module, "download_tensor", lambda *_, **__: tokens)
    x = image(size=(64, 96))
    expected = piq.CLIPIQA()(x.float()).item()
    assert METRICS["clip-iqa"]()(x, x).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("name", "needs"), [("brisque", "brisque"), ("clip-iqa", "clip-rn50")])
def test_missing_weights_are_named_and_nothing_is_fetched(folder, name, needs):
    with pytest.raises(
        WeightsError, match=rf"^weights '{needs}' are not here. Expected {published.CATALOGUE[needs].file}"
    ):
        METRICS[name]()


def test_features_without_package_or_weights_say_what_to_do(folder, monkeypatch):
    extractors.extractor.cache_clear()
    with pytest.raises(WeightsError, match="weights 'clip-vit-l-14-336' are not here"):
        extractors.extractor("clip")
    with pytest.raises(WeightsError, match=r"(weights 'dinov2' are not here|built by timm)"):
        extractors.extractor("dinov2")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(WeightsError, match=r"torch-fidelity, which is not here: pip install .*\[fidelity\]"):
        extractors.extractor("inception")


@pytest.mark.slow
def test_inception_is_torch_fidelitys_given_the_same_weights(folder, monkeypatch):
    inception = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3", reason="extra fidelity")
    path = folder / published.CATALOGUE["inception"].file
    torch.manual_seed(0)
    monkeypatch.setattr(inception, "load_state_dict_from_url", lambda *_, **__: {})
    monkeypatch.setattr(inception.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
    network = inception.FeatureExtractorInceptionV3("inception", ["2048"])
    monkeypatch.undo()
    monkeypatch.setenv("RESTORATION_WEIGHTS", str(folder))
    torch.save(network.state_dict(), path)
    entry = published.CATALOGUE["inception"]
    known = published.Entry(
        entry.file, published.digest(path), entry.megabytes, entry.source, entry.licence, entry.avoid
    )
    monkeypatch.setitem(published.CATALOGUE, "inception", known)
    x = image(size=(90, 120)).float()
    samples = (x * 255 + 0.5).floor().to(torch.uint8)
    expected = network(samples)[0].flatten().numpy()
    found = extractors.Inception()(x)
    assert found.shape == (2048,)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_cmmds_embedding_is_of_unit_length_and_of_the_resized_image(monkeypatch, folder):
    class Recorder(torch.nn.Module):
        def encode_image(self, x, pos_embedding):
            assert x.shape == (1, 3, 336, 336) and pos_embedding
            return x.mean((2, 3))

    monkeypatch.setattr(extractors, "require", lambda name: folder / name)
    monkeypatch.setattr(extractors, "clip", lambda path: Recorder())
    feature = extractors.Clip()(image().float())
    assert feature.shape == (3,) and np.linalg.norm(feature) == pytest.approx(1.0, abs=1e-6)
