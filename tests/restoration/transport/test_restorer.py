"""The restorer: the parabola of its error, any size, tiles, seeds, ends, statistics of one image, autoencoders."""

import pytest
import torch

from restoration.apply import restore_image
from restoration.dials.perception import with_perception
from restoration.dials.sampling import with_sampling
from restoration.errors import RequestError, WeightsError
from restoration.networks.dncnn import DnCnn
from restoration.networks.network import Network
from restoration.networks.transport import Transport
from restoration.restorers import Card, Restorer
from restoration.tiling.receptive import measured
from restoration.transport.gaussian import Gaussian, between, gelbrich
from restoration.transport.patches import Moments, moments
from restoration.weights import load, save

SMALL = {
    "in_channels": 3, "out_channels": 3, "latent_channels": 4, "layers_per_block": 1, "norm_num_groups": 8,
    "block_out_channels": [8, 16], "down_block_types": ["DownEncoderBlock2D"] * 2,
    "up_block_types": ["UpDecoderBlock2D"] * 2, "mid_block_add_attention": False,
}  # fmt: skip


class Wiener(Network):
    """The posterior mean of a periodic Gaussian field in white noise of variance ``noise``; counts its calls."""

    def __init__(self, spectrum, noise):
        super().__init__()
        self.gain, self.channels, self.calls = spectrum / (spectrum + noise), 1, 0

    def forward(self, degraded):
        self.calls += 1
        return torch.fft.ifft2(self.gain * torch.fft.fft2(degraded)).real


def spectrum(side):
    f = torch.fft.fftfreq(side).double()
    power = 1 / (1 + (f[:, None].square() + f.square()) / 0.04**2) ** 1.5
    return power / power.mean()


def fields(count, side, seed):
    drawn = torch.randn(
        count, 1, side, side, generator=torch.Generator().manual_seed(seed), dtype=torch.double
    )
    return torch.fft.ifft2(spectrum(side).sqrt() * torch.fft.fft2(drawn)).real


def gaussian(size, seed, rank=None, scale=0.02):
    generator = torch.Generator().manual_seed(seed)
    factor = torch.randn(size, rank or 2 * size, generator=generator, dtype=torch.double)
    return Gaussian(
        0.5 + 0.02 * torch.randn(size, generator=generator, dtype=torch.double),
        scale / size * factor @ factor.T,
    )


def transport(rank=None, **keywords):
    """Return a transport around a small network, with statistics drawn at random."""
    torch.manual_seed(0)
    keywords = {"patch": 3, "channels": 3} | keywords
    if "inner" not in keywords and "baseline" not in keywords:
        keywords["inner"] = DnCnn(width=4, depth=3, channels=keywords["channels"])
    network = Transport(**keywords).eval()
    size = len(network.affine.shift)
    network.fit(gaussian(size, 1, rank), gaussian(size, 2), (100, 200))
    return network


def restorer(network):
    return Restorer(network, Card("dot", "denoising", {"name": "transport"}, network.scale)).eval()


def picture(height, width, channels=3, seed=0):
    return torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(seed))


def test_error_of_gaussian_vectors_is_the_parabola_of_theory():
    """MSE(α) = MMSE + (1 − α)² W_2²(x*, x), and x̂_0 has the covariance of x (Freirich et al., 2021)."""
    clean, noise = gaussian(8, 0, scale=1.0).covariance, 0.3
    observed = clean + noise * torch.eye(8).double()
    gain = torch.linalg.solve(observed, clean).T
    mean = torch.zeros(8).double()
    source, target = Gaussian(mean, gain @ clean), Gaussian(mean, clean)
    map_, least = between(source, target), (clean - gain @ clean).trace()
    carried = map_.matrix @ gain
    assert torch.allclose(carried @ observed @ carried.T, clean, atol=1e-10)
    for alpha in torch.linspace(-1, 2, 31).tolist():
        whole = map_.towards_identity(alpha).matrix @ gain
        error = (clean - 2 * whole @ clean + whole @ observed @ whole.T).trace()
        assert float(error) == pytest.approx(
            float(least + (1 - alpha) ** 2 * gelbrich(source, target)), rel=1e-9
        )


@pytest.mark.parametrize("blend", ["pixels", "latents"])
@pytest.mark.slow
def test_error_of_images_is_a_parabola_whose_least_is_the_restorers(blend):
    side, noise = 128, 0.5
    inner = Wiener(spectrum(side), noise)
    clean, other = fields(6, side, 0), fields(6, side, 1)
    degraded = (
        clean + noise**0.5 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(2)).double()
    )
    network = Transport(inner=inner, channels=1, patch=5, mean_free=False, blend=blend).eval()
    source, target = moments(inner(degraded), 5), moments(other, 5)
    network.fit(source.gaussian(), target.gaussian(), (source.count, target.count))
    alphas = torch.linspace(-1, 2, 13, dtype=torch.double)
    errors = torch.stack([(network.mixed(1 - float(a))(degraded) - clean).square().mean() for a in alphas])
    design = torch.stack([alphas**2, alphas, torch.ones_like(alphas)], 1)
    (a, b, c), least = torch.linalg.lstsq(design, errors).solution, (inner(degraded) - clean).square().mean()
    assert (
        1 - (errors - design @ torch.stack([a, b, c])).square().sum() / errors.var(correction=0) / 13 > 0.999
    )
    assert float(-b / (2 * a)) == pytest.approx(1, abs=0.05)
    theory = least + (1 - alphas) ** 2 * (errors[4] - least)  # errors[4] is that of α = 0
    assert 1 - (errors - theory).square().sum() / ((errors - errors.mean()).square().sum()) > 0.999
    made = moments(network(degraded), 5).gaussian()
    assert gelbrich(made, target.gaussian()) < 0.1 * gelbrich(source.gaussian(), target.gaussian())


def test_alpha_one_is_the_restorer_and_others_lie_on_a_line():
    network, degraded = transport(), picture(12, 17)
    with torch.inference_mode():
        ends = network.inner(degraded), network(degraded)
        assert torch.equal(network.mixed(0)(degraded), ends[0])
        for p in (-1, 0.3, 2):
            assert torch.allclose(network.mixed(p)(degraded), torch.lerp(*ends, p), atol=1e-5)
    assert (ends[0] - ends[1]).abs().max() > 0.05


def test_the_dial_goes_beyond_both_ends_and_runs_the_restorer_once():
    inner = Wiener(spectrum(16), 0.3)
    network = transport(inner=inner, channels=1)
    found, degraded = restorer(network), picture(16, 16, 1)
    assert with_perception(found, 1) is found and with_perception(found, 0).network is inner
    before = inner.calls
    made = with_perception(found, 1.5)
    result = made(degraded)
    assert inner.calls == before + 1 and made.network.alpha == -0.5
    line = torch.lerp(inner(degraded).double(), network(degraded).double(), 1.5)
    assert torch.allclose(result.double(), line, atol=1e-5)
    for p in (-1.01, 2.5, float("nan")):
        with pytest.raises(RequestError, match="expected a number from -1 to 2"):
            with_perception(found, p)
    moved = restorer(transport(inner=inner, channels=1, alpha=0.4))
    assert torch.allclose(with_perception(moved, 1)(degraded), found(degraded), atol=1e-6)


@pytest.mark.parametrize("keywords", [{"baseline": "bicubic-x2"}, {}, {"channels": 1}], ids=str)
@pytest.mark.parametrize("latent", ["pixels", "haar", "dct"])
def test_any_size(latent, keywords):
    found = restorer(transport(latent=latent, rank=20, **keywords))
    for height, width in ((1, 1), (2, 7), (13, 17), (24, 16)):
        for channels in (1, 3):
            image = picture(height, width, channels)
            made = restore_image(found, image, tile="off")
            assert (
                made.shape == (1, channels, height * found.scale, width * found.scale)
                and made.isfinite().all()
            )
            direct = found.network(image[:, :1].expand(-1, found.channels, -1, -1))
            assert direct.shape[-2:] == made.shape[-2:]


@pytest.mark.slow
@pytest.mark.parametrize("keywords", [
    {}, {"latent": "haar"}, {"latent": "dct", "baseline": "bicubic-x2"}, {"latent": "haar", "baseline": "nearest-x3"},
    {"weighting": 0.7, "patch": 5}, {"blend": "latents", "alpha": 0.5},
], ids=str)  # fmt: skip
def test_tiles_equal_the_whole_and_the_same_seed_the_same_picture(keywords):
    """With noise: the source has no full rank."""
    network = transport(rank=15, **keywords)
    assert network.affine.root is not None
    found, image = restorer(network), picture(53, 47)
    whole = restore_image(found, image, tile="off", precision="fp32")
    for tile in (12, 24):
        parts = restore_image(found, image, tile=tile, precision="fp32")
        assert (parts - whole).abs().max() <= 1e-5 * whole.std()
    assert torch.equal(restore_image(found, image, tile="off", precision="fp32"), whole)
    other = restorer(transport(rank=15, seed=1, **keywords))
    assert (restore_image(other, image, tile="off", precision="fp32") - whole).abs().max() > 1e-3


@pytest.mark.parametrize("keywords", [
    {}, {"latent": "haar"}, {"latent": "dct", "patch": 1}, {"patch": 5}, {"baseline": "nearest-x3", "latent": "dct"},
], ids=str)  # fmt: skip
def test_the_declared_field_is_the_measured_one(keywords):
    network = transport(**keywords)
    found = measured(network)
    assert found.radius is not None and found.radius <= network.receptive_field
    if network.scale == 1:
        assert found.radius == network.receptive_field
    assert network.multiple % found.period == 0 or found.period % network.multiple == 0


@pytest.mark.parametrize("latent", ["pixels", "dct"])
def test_means_of_patches_stay(latent):
    network = transport(baseline="identity", latent=latent, mean_free=True)
    flat = torch.tensor([0.2, 0.5, 0.7]).reshape(1, 3, 1, 1).expand(1, 3, 24, 28)
    middle = network(flat)[..., 8:-8, 8:-8]
    assert torch.allclose(middle.mean((2, 3)), flat[..., 0, 0], atol=1e-6)
    moved = transport(baseline="identity", latent=latent, mean_free=False)(flat)
    assert (moved[..., 8:-8, 8:-8].mean((2, 3)) - flat[..., 0, 0]).abs().max() > 1e-3


@pytest.mark.parametrize("rank", [None, 10])
def test_zero_shot_takes_its_source_from_the_image(rank):
    network = transport(baseline="identity", zero_shot=True)
    fixed = transport(baseline="identity")
    images = torch.cat([picture(20, 24, seed=5), picture(20, 24, seed=6) * 0.3])
    made = network(images)
    for image, result in zip(images.split(1), made.split(1), strict=True):
        own = moments(image, 3)
        fixed.fit(own.gaussian(), network.statistics.gaussians()[1], (own.count, 200))
        assert torch.allclose(fixed(image), result, atol=1e-6)
    assert network.receptive_field is None and (made[1] - images[1]).std() > 0.01
    for size in ((1, 1), (2, 9), (5, 5)):
        assert network(picture(*size)).isfinite().all()


def test_statistics_keep_their_precision_wherever_the_network_goes():
    network = transport()
    before = network.statistics.source_covariance.clone()
    moved = network.to(torch.bfloat16).float().half().double()
    assert torch.equal(moved.statistics.source_covariance, before)


def test_a_file_restores_as_what_it_was_made_of(tmp_path):
    network, image = transport(rank=15), picture(15, 18)
    table = {
        "name": "transport",
        "patch": 3,
        "inner": {"name": "dncnn", "width": 4, "depth": 3, "channels": 3},
    }
    save(tmp_path / "a.safetensors", network, Card("a", "denoising", table))
    found = load(tmp_path / "a.safetensors")
    assert torch.equal(found(image), network(image))
    assert found.network.statistics.counts.tolist() == [100, 200]
    half = load(tmp_path / "a.safetensors", {"alpha": 0.5})
    assert torch.allclose(half(image), (network(image) + network.inner(image)) / 2, atol=1e-6)
    other = with_sampling(found, seed=3)
    assert other.network.seed == 3 and (other(image) - found(image)).abs().max() > 1e-3


def test_statistics_that_are_none_are_refused(tmp_path):
    network = transport()
    table = {
        "name": "transport",
        "patch": 3,
        "inner": {"name": "dncnn", "width": 4, "depth": 3, "channels": 3},
    }
    network.statistics.target_covariance[0, 1] += 1
    save(tmp_path / "a.safetensors", network, Card("a", "denoising", table))
    with pytest.raises(WeightsError, match=r"a\.safetensors: its statistics are no covariances"):
        load(tmp_path / "a.safetensors")
    own = Transport(baseline="identity", patch=3, zero_shot=True)
    own.fit(None, gaussian(27, 2), (0, 200))
    table = {"name": "transport", "patch": 3, "baseline": "identity", "zero_shot": True}
    save(tmp_path / "b.safetensors", own, Card("b", "denoising", table))
    with pytest.raises(WeightsError, match="no statistics of restored images"):
        load(tmp_path / "b.safetensors", {"zero_shot": False})


@pytest.mark.parametrize(("keywords", "line"), [
    ({}, "expected a restorer: inner, or the name of a baseline"),
    ({"baseline": "identty"}, "unknown baseline 'identty'; did you mean 'identity'?"),
    ({"baseline": "identity", "patch": 4}, "patch = 4; expected an odd number of pixels, such as 3 or 5"),
    ({"baseline": "identity", "patch": 0}, "patch = 0; expected an odd number of pixels, such as 3 or 5"),
    ({"baseline": "identity", "alpha": 2.5}, "alpha = 2.5; expected a number from -1 to 2"),
    ({"baseline": "identity", "eps": 0.0}, "eps = 0, weighting = 0; expected 0 < eps < 1 and weighting ≥ 0"),
    ({"baseline": "identity", "latent": "dct", "patch": 11},
     "patch = 11: of 48 channels it has 5808 numbers; expected at most 4096"),
    ({"baseline": "identity", "latent": "autoencoder"},
     "latent = 'autoencoder': expected the autoencoder's configuration"),
    ({"baseline": "identity", "autoencoder": {}}, "latent = 'pixels': takes no autoencoder"),
])  # fmt: skip
def test_settings_that_do_not_fit_are_refused(keywords, line):
    with pytest.raises(ValueError) as error:
        Transport(**keywords)
    assert str(error.value) == line


def autoencoding(**keywords):
    pytest.importorskip("diffusers")
    torch.manual_seed(4)
    network = Transport(
        baseline="identity", latent="autoencoder", autoencoder=SMALL, patch=3, **keywords
    ).eval()
    image = picture(32, 40)
    found = moments(network.latents.encode(image, network.drawn), 3)
    network.fit(found.gaussian(), gaussian(36, 2, scale=1.0), (found.count, 200))
    return network


@pytest.mark.slow
def test_an_autoencoder_takes_any_size_and_draws_by_seed_and_place():
    network = autoencoding()
    for size in ((1, 1), (9, 14), (16, 24)):
        assert network(picture(*size)).shape[-2:] == size
    image = picture(18, 22)
    first, again, other = network(image), network(image), autoencoding(seed=1)(image)
    assert torch.equal(first, again) and (first - other).abs().max() > 1e-5
    mode = autoencoding(posterior="mode")
    assert torch.equal(mode(image), autoencoding(posterior="mode", seed=1)(image))
    assert network.receptive_field is None and network.multiple == 2


def test_an_autoencoder_travels_with_the_file(tmp_path):
    network, image = autoencoding(), picture(14, 22)
    table = {
        "name": "transport",
        "baseline": "identity",
        "latent": "autoencoder",
        "autoencoder": SMALL,
        "patch": 3,
    }
    training = {"receptive field": {"radius": None, "period": 2}}
    save(tmp_path / "a.safetensors", network, Card("a", "denoising", table, training=training))
    found = load(tmp_path / "a.safetensors")
    assert torch.equal(found(image), network(image))
    plans = []
    restore_image(found, picture(48, 44), tile=16, on_plan=plans.append)
    assert any("blended tiles differ" in note for plan in plans for note in plan.notes)


def test_moments_of_nothing_change_nothing():
    found = moments(picture(6, 6), 3)
    assert torch.equal((found + Moments.none(27)).products, found.products)


def test_what_became_constant_gets_the_variance_of_clean_pixels():
    """Within 2 %: noise takes the place of everything, and no pixel's is averaged away."""
    reach = torch.arange(3, dtype=torch.double)
    axis = 0.8 ** (reach[:, None] - reach).abs()
    covariance, mean = 0.04 * torch.kron(axis, axis), torch.full((9,), 0.6, dtype=torch.double)
    network = Transport(baseline="identity", channels=1, patch=3, mean_free=False).eval()
    flat = Gaussian(torch.full((9,), 0.5, dtype=torch.double), torch.zeros(9, 9, dtype=torch.double))
    network.fit(flat, Gaussian(mean, covariance), (100, 100))
    made = network(torch.full((1, 1, 600, 600), 0.5, dtype=torch.double))
    assert float(made.var()) == pytest.approx(0.04, rel=0.02)
    assert float(made.mean()) == pytest.approx(0.6, abs=0.005)
    half = network.mixed(0.5)(torch.full((1, 1, 600, 600), 0.5, dtype=torch.double))
    assert float(half.var()) == pytest.approx(0.04 / 4, rel=0.02)
