"""Libraries: our own values are theirs, and one that is not installed is replaced and named."""

import math
from dataclasses import replace
from importlib.metadata import version

import pytest
import torch

from restoration.benchmarks import libraries
from restoration.benchmarks.conventions import CONVENTIONS, measured
from restoration.benchmarks.libraries import EQUAL, Measurer, by_library, measurer
from restoration.errors import RequestError

CALLABLE = [c for c in CONVENTIONS if c.library]


def pair(height=300, width=404, channels=3):
    """Return two smooth images of 8 bits, large enough to be averaged first."""
    rng = torch.Generator().manual_seed(0)
    rough = torch.rand(1, channels, height // 4, width // 4, generator=rng, dtype=torch.float64)
    clean = torch.nn.functional.interpolate(rough, (height, width), mode="bicubic").clamp(0, 1)
    restored = (clean + 0.05 * torch.randn(clean.shape, generator=rng, dtype=torch.float64)).clamp(0, 1)
    return [(image * 255).round() / 255 for image in (restored, clean)]


def installed(convention):
    if measurer(convention).by == "ours":
        pytest.skip(measurer(convention).remark)
    return convention


@pytest.mark.parametrize("channels", [3, 1])
@pytest.mark.parametrize("convention", CALLABLE, ids=lambda c: f"{c.name}-{c.measure}")
def test_our_values_are_those_of_the_library(convention, channels):
    """In float64, for those that compute in what they are given; float32 is looked at below."""
    convention = replace(installed(convention), dtype="float64")
    for size in ((300, 404), (400, 410)):
        restored, clean = pair(*size, channels)
        found = measured(convention, restored, clean, border=4)
        theirs = by_library(convention, restored, clean, border=4)
        tolerance = 1e-4 if convention.measure == "psnr" else 1e-6
        if convention.library == "pyiqa" and convention.rounded:  # luma in float32: ties may fall either way
            tolerance = 5e-6
        assert found == pytest.approx(theirs, abs=tolerance)


@pytest.mark.parametrize(
    "convention", [c for c in CALLABLE if c.dtype == "float32"], ids=lambda c: f"{c.name}-{c.measure}"
)
def test_float32_of_libraries_is_near(convention):
    restored, clean = pair()
    theirs = by_library(installed(convention), restored, clean)
    assert measured(convention, restored, clean) == pytest.approx(theirs, abs=1e-4)


def test_who_measures_is_part_of_the_convention():
    convention = next(c for c in CALLABLE if (c.name, c.measure) == ("piq", "psnr"))
    theirs, own = measurer(convention), Measurer(convention, "ours", "why")
    assert theirs.by == f"piq {version('piq')}"
    assert theirs.described(4) == "piq: rgb,border=0,uint8-output,mse+1e-08,float32; by piq"
    assert own.described(4) == "piq: rgb,border=0,uint8-output,mse+1e-08,float64; ours"
    matlab = measurer(CONVENTIONS[0])
    assert (matlab.by, matlab.remark) == ("ours", "there is no library to call")


def test_a_library_that_is_not_installed_is_replaced_and_the_remark_says_what_to_install(monkeypatch):
    def absent(library):
        raise RequestError(f"peer {library}: cannot be imported")

    monkeypatch.setattr(libraries, "_module", absent)
    monkeypatch.setattr(libraries, "_installed", lambda library: False)
    remarks = {c.library: measurer(c).remark for c in CALLABLE}
    assert remarks["torchmetrics"] == "torchmetrics is not installed: pip install torchmetrics"
    assert remarks["basicsr"] == "basicsr is not installed: pip install restoration-suite[basicsr]"
    restored, clean = pair(40, 44)
    values = {c.name: measurer(c)(restored, clean) for c in CALLABLE if c.measure == "psnr"}
    assert all(isinstance(value, float) for value in values.values())


def test_a_broken_installation_is_replaced_too(monkeypatch):
    def broken(library):
        raise RuntimeError("no kernel image")

    monkeypatch.setattr(libraries, "_module", broken)
    found = measurer(CALLABLE[-1])
    assert (found.by, found.remark) == ("ours", "scikit-image cannot be imported (no kernel image)")


def test_what_has_no_value_has_a_reason(monkeypatch):
    restored, clean = pair(40, 44)
    ssim = measurer(next(c for c in CONVENTIONS if (c.name, c.measure) == ("matlab", "ssim")))
    assert (
        ssim(restored[..., :10, :], clean[..., :10, :])
        == "the shorter side has 10 pixels; expected at least 11"
    )
    assert ssim(restored * math.nan, clean) == "the restored image holds values that are not finite"
    assert measurer(CONVENTIONS[0])(clean, clean) == EQUAL

    def refuse(*arguments):
        raise AssertionError("not today")

    convention = next(c for c in CALLABLE if c.name == "kornia")
    monkeypatch.setitem(libraries.CALLS, "kornia", refuse)
    monkeypatch.setattr(libraries, "_module", lambda library: libraries)
    assert Measurer(convention, "kornia 1")(restored, clean) == "kornia 1 refuses this pair: not today"
