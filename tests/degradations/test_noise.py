"""Noise: its moments over many draws, its keys, and the published protocol's exact samples."""

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image

from restoration.benchmarks.peers import basicsr
from restoration.degradations.draws import generator
from restoration.degradations.noise import (
    Noise,
    Poisson,
    SaltPepper,
    Speckle,
    VaryingNoise,
    protocol_noise,
    sigma_map,
)

KEYS = [(0, sample) for sample in range(1000)]


def moments(samples: torch.Tensor, mean: float, deviation: float, kurtosis: float = 3.0) -> None:
    """Mean, variance and fourth moment within 4.5 standard errors of what they should be."""
    n = samples.numel()
    z = (samples.double() - mean) / deviation
    assert abs(z.mean().item()) < 4.5 / n**0.5
    assert z.pow(2).mean().item() == pytest.approx(1, abs=4.5 * ((kurtosis - 1) / n) ** 0.5)
    spread = (z.pow(8).mean().item() - kurtosis**2) ** 0.5
    assert z.pow(4).mean().item() == pytest.approx(kurtosis, abs=4.5 * spread / n**0.5)


def is_grey(noise: torch.Tensor) -> torch.Tensor:
    return (noise - noise[:, :1]).abs().flatten(1).amax(1) < 1e-6


def assert_share(flags, probability: float) -> None:
    flags = np.asarray(flags)
    assert flags.mean() == pytest.approx(
        probability, abs=4.5 * (probability * (1 - probability) / flags.size) ** 0.5
    )


def test_moments_are_those_of_the_gaussian():
    clean = torch.full((1, 3, 256, 256), 0.5)
    noise = (Noise(sigma=25.0)(clean, [(0, 0)]).image - clean).double() * 255
    n = noise.numel()
    assert noise.mean().abs().item() < 4 * 25 / n**0.5
    assert noise.std().item() == pytest.approx(25, abs=4 * 25 / (2 * n) ** 0.5)
    assert (noise / 25).pow(4).mean().item() == pytest.approx(3, abs=4 * (96 / n) ** 0.5)


def test_noise_is_white():
    clean = torch.zeros(1, 3, 256, 256)
    noise = Noise(sigma=255.0)(clean, [(0, 0)]).image[0]
    for shifted in (noise.roll(1, 0), noise.roll(1, 1), noise.roll(1, 2)):
        assert (noise * shifted).mean().abs().item() < 4 / noise.numel() ** 0.5


def test_samples_are_the_keys_own_generator():
    clean = torch.rand(1, 3, 5, 4)
    rng = generator((3, 7), "noise")
    sigma = np.float32(rng.uniform(5.0, 50.0) / 255)
    expected = clean.numpy()[0] + rng.standard_normal((3, 5, 4), dtype=np.float32) * sigma
    np.testing.assert_array_equal(Noise(sigma=(5.0, 50.0))(clean, [(3, 7)]).image[0], expected)


def test_a_range_is_uniform_over_images_and_kept_in_the_draw():
    keys = [(0, sample) for sample in range(400)]
    degraded = Noise(sigma=(5.0, 50.0))(torch.zeros(400, 1, 16, 16), keys)
    drawn = np.array(degraded.draw["sigma"])
    assert drawn.min() >= 5 and drawn.max() <= 50
    assert drawn.mean() == pytest.approx(27.5, abs=4 * 45 / (12 * 400) ** 0.5)
    measured = degraded.image.flatten(1).std(1).numpy() * 255
    np.testing.assert_allclose(measured / drawn, 1, atol=5 / (2 * 256) ** 0.5)


def test_only_clip_keeps_the_image_in_range():
    clean = torch.rand(2, 3, 32, 32)
    keys = [(0, 0), (0, 1)]
    noisy = Noise(sigma=50.0)(clean, keys).image
    assert noisy.min() < 0 and noisy.max() > 1
    assert torch.equal(Noise(sigma=50.0, clip=True)(clean, keys).image, noisy.clamp(0, 1))


def test_no_noise_is_the_identity():
    clean = torch.rand(1, 3, 8, 8)
    assert torch.equal(Noise(sigma=0.0)(clean, [(0, 0)]).image, clean)


def test_protocol_noise_is_numpys_global_generator():
    np.random.seed(0)
    expected = np.random.normal(0, 25 / 255, (6, 5, 3))
    np.testing.assert_array_equal(protocol_noise((6, 5, 3), 25), expected)
    assert protocol_noise((1, 1, 1), 255)[0, 0, 0] == pytest.approx(
        1.764052345967664
    )  # NumPy's first draw of seed 0


@pytest.mark.parametrize(
    ("name", "expected"), [("kodak5/kodim01.png", 20.18889), ("bsds500/dev30/100007.jpg", 20.19403)]
)
def test_protocol_noise_has_the_golden_psnr(data_root, name, expected):
    """``noisy_psnr`` of golden/nets_open.json: noise added to the float32 grey image, not clipped until it is scored."""
    height, width = np.asarray(Image.open(data_root / name)).shape[:2]
    noise = protocol_noise((height, width, 1), 25)
    assert -10 * np.log10(np.mean(noise**2)) == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("grey", [0.0, 0.4, 1.0])
def test_a_share_of_images_has_grey_noise(grey):
    clean = torch.full((1000, 3, 4, 4), 0.5)
    degraded = Noise(sigma=25.0, grey=grey)(clean, KEYS)
    noise = degraded.image - clean
    assert_share(is_grey(noise), grey)
    assert degraded.draw.get("grey", [False] * 1000) == is_grey(noise).tolist()
    moments(noise[:, 0], 0, 25 / 255)


def test_grey_changes_neither_the_level_nor_the_samples_of_others():
    clean = torch.zeros(8, 3, 4, 4)
    plain, some = (Noise(sigma=(5.0, 50.0), grey=grey)(clean, KEYS[:8]) for grey in (0.0, 0.5))
    assert plain.draw["sigma"] == some.draw["sigma"] and list(plain.draw) == ["sigma"]


@pytest.mark.parametrize(("level", "photons"), [(51, 20.0), (204, 300.0)])
def test_photons_have_the_moments_of_poisson(level, photons):
    """λ = x·P: variance x/P, excess kurtosis 1/λ."""
    clean = torch.full((1000, 1, 5, 5), level / 255)
    degraded = Poisson(photons=photons, strength=0.7)(clean, KEYS)
    expected = level / 255 * photons
    deviation = 0.7 * expected**0.5 / photons
    moments(degraded.image - clean, 0, deviation, 3 + 1 / expected)
    counts = (degraded.image - clean) / 0.7 * photons + expected
    torch.testing.assert_close(counts, counts.round(), rtol=0, atol=2e-3)


@pytest.mark.parametrize(
    ("levels", "photons"), [(1, 1), (2, 2), (3, 4), (64, 64), (65, 128), (200, 256), (256, 256)]
)
def test_photons_are_the_levels_of_the_image_to_a_power_of_two(levels, photons):
    steps = torch.arange(16 * 16 * 3) % levels
    clean = steps.view(1, 3, 16, 16) / 255
    assert Poisson()(clean, [(0, 0)]).draw["photons"] == [photons]


@pytest.mark.parametrize("grey", [0.0, 1.0])
def test_poisson_noise_has_basicsrs_distribution(grey):
    """Level by level, over as many images of theirs: mean, variance and third moment."""
    if find_spec("basicsr") is None:
        pytest.skip("needs the extra 'basicsr'")
    degradations = basicsr("data.degradations")
    steps = torch.randint(0, 100, (1, 3, 4, 4), generator=torch.Generator().manual_seed(0))
    clean = (steps / 255).expand(1000, 3, 4, 4)
    ours = Poisson(strength=1.5, grey=grey)(clean, KEYS).image - clean
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = degradations.generate_poisson_noise_pt(
            clean, torch.full((1000,), 1.5), torch.full((1000,), grey)
        )
    for power in (1, 2, 3):
        a, b = (noise.double().pow(power).flatten(1) for noise in (ours, theirs))
        error = ((a.var(0) + b.var(0)) / 1000).sqrt()
        assert ((a.mean(0) - b.mean(0)).abs() <= 4.5 * error).all()
    assert is_grey(ours).all().item() == is_grey(theirs).all().item() == bool(grey)


def test_a_range_of_photons_is_drawn_log_uniformly():
    degraded = Poisson(photons=(1e2, 1e4), strength=(0.05, 3.0), grey=0.4)(
        torch.full((1000, 3, 1, 1), 0.5), KEYS
    )
    logs = np.log10(degraded.draw["photons"])
    assert 2 <= logs.min() < logs.max() <= 4 and logs.mean() == pytest.approx(3, abs=4.5 * 2 / 12000**0.5)
    strength = np.array(degraded.draw["strength"])
    assert strength.mean() == pytest.approx(1.525, abs=4.5 * 2.95 / 12000**0.5)
    assert_share(degraded.draw["grey"], 0.4)


def test_speckle_grows_with_the_image():
    clean = torch.tensor([0.0, 0.25, 1.0]).view(1, 3, 1, 1).expand(1000, 3, 5, 5)
    degraded = Speckle(sigma=20.0, grey=0.4)(clean, KEYS)
    noise = degraded.image - clean
    assert not noise[:, 0].any()
    moments(noise[:, 1], 0, 0.25 * 20 / 255)
    moments(noise[:, 2], 0, 20 / 255)
    shared = (noise[:, 1] * 4 - noise[:, 2]).abs().flatten(1).amax(1) < 1e-6
    assert degraded.draw["grey"] == shared.tolist()
    assert_share(shared, 0.4)


def test_salt_and_pepper_have_their_shares():
    clean = torch.full((1000, 3, 5, 5), 0.5)
    degraded = SaltPepper(amount=0.2, salt=0.7, grey=0.4)(clean, KEYS)
    coloured = degraded.image[~torch.tensor(degraded.draw["grey"])]
    assert_share((coloured == 1).flatten(), 0.2 * 0.7)
    assert_share((coloured == 0).flatten(), 0.2 * 0.3)
    assert_share((coloured == 0.5).flatten(), 0.8)
    together = degraded.image[torch.tensor(degraded.draw["grey"])]
    assert is_grey(together).all()
    assert_share((together[:, 0] != 0.5).flatten(), 0.2)
    assert_share(degraded.draw["grey"], 0.4)


def test_a_range_of_amounts_is_uniform():
    degraded = SaltPepper(amount=(0.1, 0.3))(torch.full((1000, 1, 20, 20), 0.5), KEYS)
    amount = np.array(degraded.draw["amount"])
    assert amount.mean() == pytest.approx(0.2, abs=4.5 * 0.2 / 12000**0.5)
    replaced = (degraded.image != 0.5).flatten(1).double().mean(1).numpy()
    assert np.abs(replaced - amount).max() < 4.5 * (0.21 / 400) ** 0.5


def test_varying_noise_has_the_sigma_of_its_map():
    clean = torch.full((1000, 3, 8, 8), 0.5)
    degraded = VaryingNoise(sigma=(10.0, 60.0), knots=3)(clean, KEYS)
    maps = np.stack([sigma_map(np.array(knots), 8, 8) for knots in degraded.draw["sigma"]])
    assert maps.min() >= 10 and maps.max() <= 60 and maps.std((1, 2)).min() > 0
    moments((degraded.image - clean) / torch.from_numpy(maps / 255)[:, None], 0, 1)


def test_the_map_runs_from_knot_to_knot():
    """At knots their values, half-way the mean, at a quarter 3/16 − 2/64 of the way; flat at the knots."""
    knots = np.array([[1.0, 5.0], [1.0, 5.0]])
    np.testing.assert_allclose(sigma_map(knots, 3, 5)[1], 1 + 4 * np.array([0, 5 / 32, 1 / 2, 27 / 32, 1]))
    fine = np.random.default_rng(0).random((4, 4))
    np.testing.assert_allclose(sigma_map(fine, 31, 61)[::10, ::20], fine)
    assert np.abs(np.diff(sigma_map(fine, 301, 301), axis=0)).max() < 1.5 / 100 + 1e-9


@pytest.mark.parametrize(
    "make",
    [
        lambda clip: Poisson(photons=20.0, clip=clip),
        lambda clip: Speckle(sigma=90.0, clip=clip),
        lambda clip: VaryingNoise(sigma=(40.0, 50.0), clip=clip),
    ],
)
def test_clip_is_the_only_difference(make):
    clean = torch.rand(2, 3, 16, 16)
    noisy = make(False)(clean, KEYS[:2]).image
    assert noisy.max() > 1
    assert torch.equal(make(True)(clean, KEYS[:2]).image, noisy.clamp(0, 1))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Noise(sigma=-1.0), "sigma = -1; expected a number from 0, or [lowest, highest] of such"),
        (
            lambda: Noise(sigma=(50.0, 5.0)),
            "sigma = [50, 5]; expected a number from 0, or [lowest, highest] of such",
        ),
        (
            lambda: Noise(sigma=float("nan")),
            "sigma = nan; expected a number from 0, or [lowest, highest] of such",
        ),
        (lambda: Noise(sigma=1.0, grey=2.0), "grey = 2; expected a probability from 0 to 1"),
        (lambda: SaltPepper(salt=-0.5), "salt = -0.5; expected a probability from 0 to 1"),
        (
            lambda: SaltPepper(amount=2.0),
            "amount = 2; expected a number from 0 to 1, or [lowest, highest] of such",
        ),
        (lambda: VaryingNoise(knots=1), "knots = 1; expected a whole number from 2"),
    ],
)
def test_refusals(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert str(error.value) == message
