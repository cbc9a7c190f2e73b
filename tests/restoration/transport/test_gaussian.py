"""Closed forms of optimal transport between Gaussians: identities, costs, sources without full rank."""

import pytest
import torch

from restoration.transport.gaussian import (
    Gaussian,
    between,
    between_beside,
    gelbrich,
    is_positive,
    square_root,
)


def gaussian(seed, size=6, rank=None, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    factor = torch.randn(size, rank or size + 4, generator=generator, dtype=torch.double)
    mean = torch.randn(size, generator=generator, dtype=torch.double)
    return Gaussian(mean, scale * factor @ factor.T)


def far(first, second):
    return float((first - second).abs().max() / second.abs().max())


@pytest.mark.parametrize("size", [1, 6, 75])
def test_full_rank_has_one_symmetric_map_of_least_cost(size):
    source, target = gaussian(0, size), gaussian(1, size, scale=0.3)
    map_ = between(source, target)
    assert map_.root is None
    assert far(map_.matrix @ source.covariance @ map_.matrix, target.covariance) < 1e-10
    assert far(map_.matrix, map_.matrix.T) < 1e-12 and is_positive(map_.matrix, 0)
    assert far(map_.image_of(source).mean, target.mean) < 1e-10
    assert float(map_.cost(source)) == pytest.approx(float(gelbrich(source, target)), rel=1e-10)


def test_a_rotation_that_also_reaches_the_target_costs_more():
    source, target = gaussian(0), gaussian(1)
    other = square_root(target.covariance) @ torch.linalg.inv(square_root(source.covariance))
    assert far(other @ source.covariance @ other.T, target.covariance) < 1e-10
    crossed = (other @ source.covariance).trace()
    cost = (
        (source.mean - target.mean).square().sum()
        + source.covariance.trace()
        + target.covariance.trace()
        - 2 * crossed
    )
    assert cost > gelbrich(source, target) + 1e-3


def test_one_number_is_a_ratio_of_deviations():
    source = Gaussian(torch.tensor([1.0]).double(), torch.tensor([[4.0]]).double())
    target = Gaussian(torch.tensor([-2.0]).double(), torch.tensor([[9.0]]).double())
    map_ = between(source, target)
    assert (float(map_.matrix), float(map_.shift)) == pytest.approx((1.5, -3.5))
    assert float(gelbrich(source, target)) == pytest.approx(9 + 1)
    assert float(gelbrich(source, source)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("rank", [1, 3, 5])
def test_a_source_of_less_rank_is_filled_with_noise_at_the_least_cost(rank):
    source, target = gaussian(0, rank=rank), gaussian(1)
    map_ = between(source, target)
    assert map_.root is not None and map_.root.shape == (6, 6 - rank)
    carried = map_.matrix @ source.covariance @ map_.matrix.T
    assert far(carried + map_.noise, target.covariance) < 1e-10
    assert torch.linalg.eigvalsh(map_.noise)[0] > -1e-10
    assert float(map_.cost(source)) == pytest.approx(
        float(gelbrich(source, target)), rel=1e-7
    )  # the root of eigenvalues that are 0 but for rounding


def test_a_constant_source_becomes_noise_alone():
    target = gaussian(1)
    map_ = between(Gaussian(torch.zeros(6).double(), torch.zeros(6, 6).double()), target)
    assert not map_.matrix.any()
    assert far(map_.noise, target.covariance) < 1e-10 and torch.equal(map_.shift, target.mean)


def test_the_branch_is_taken_where_the_least_eigenvalue_is_not_above_eps():
    vectors = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(2)).double()).Q
    values = torch.tensor([1e-5, 0.1, 0.2, 0.3, 0.4, 0.5]).double()
    source = Gaussian(torch.zeros(6).double(), (vectors * values) @ vectors.T)
    assert between(source, gaussian(1), eps=0.9e-5).root is None
    assert between(source, gaussian(1), eps=1.1e-5).root.shape == (6, 1)
    assert not is_positive(source.covariance + torch.triu(torch.ones(6, 6), 1).double(), 0)  # not symmetric


def within(seed, basis, rank=None):
    """Return a distribution of the span of ``basis`` (d, k) alone."""
    own = gaussian(seed, basis.shape[1], rank)
    return Gaussian(basis @ own.mean, basis @ own.covariance @ basis.T)


def turned(size, columns):
    drawn = torch.randn(size, columns, generator=torch.Generator().manual_seed(5), dtype=torch.double)
    return torch.linalg.qr(drawn).Q


@pytest.mark.parametrize(("ranks", "noise"), [((2, 3), 1), ((3, 2), 0), ((3, 3), 0), ((5, 2), 0)])
def test_noise_is_in_directions_that_the_target_has(ranks, noise):
    source, target = gaussian(0, rank=ranks[0]), gaussian(1, rank=ranks[1])
    map_ = between(source, target)
    assert map_.lacking == 6 - ranks[0]
    assert (0 if map_.root is None else map_.root.shape[1]) == noise
    assert far(map_.image_of(source).covariance, target.covariance) < 1e-10
    assert float(map_.cost(source)) == pytest.approx(float(gelbrich(source, target)), rel=1e-6)


@pytest.mark.parametrize("rank", [25, 20])
def test_two_of_one_subspace_are_transported_within_it(rank):
    """As of grey images in three colours: what both lack is no noise, and the map is that of one colour."""
    basis = turned(75, 25)
    source, target = within(0, basis, rank), within(1, basis)
    map_ = between(source, target)
    inner = between(*(Gaussian(basis.T @ g.mean, basis.T @ g.covariance @ basis) for g in (source, target)))
    assert map_.lacking == 50 + 25 - rank
    assert (0 if map_.root is None else map_.root.shape[1]) == 25 - rank
    assert far(map_.matrix, basis @ inner.matrix @ basis.T) < 1e-9
    assert far(map_.image_of(source).covariance, target.covariance) < 1e-10


def test_a_direction_that_only_the_source_has_fills_none_of_the_targets():
    source, target = (
        Gaussian(torch.zeros(3).double(), torch.diag(torch.tensor(v)).double())
        for v in ([1.0, 2.0, 0.0], [1.0, 0.0, 4.0])
    )
    basis = turned(3, 3)
    source, target = (Gaussian(g.mean, basis @ g.covariance @ basis.T) for g in (source, target))
    map_ = between(source, target)
    only = basis[:, :1]
    assert torch.allclose(map_.matrix, only @ only.T, atol=1e-6)
    assert torch.allclose(map_.noise, 4 * basis[:, 2:] @ basis[:, 2:].T, atol=1e-10)


def test_the_least_variances_that_count_are_mapped_exactly():
    """Variances of 1e-6 beside those of 4, which the product of both matrices, 1e-12, would lose."""
    basis, seen = turned(6, 6), torch.tensor([0, 1e-6, 1e-6, 0.1, 1, 4]).double()
    wanted = torch.tensor([0.5, 1e-6, 2e-6, 0.2, 1, 3]).double()
    source, target = (Gaussian(torch.zeros(6).double(), (basis * v) @ basis.T) for v in (seen, wanted))
    map_ = between(source, target)
    expected = torch.where(seen > 0, wanted / seen, 0).sqrt()
    assert torch.allclose((basis.T @ map_.matrix @ basis).diag(), expected, rtol=1e-6)
    assert torch.allclose(map_.noise, 0.5 * basis[:, :1] @ basis[:, :1].T, atol=1e-9)


def test_a_target_that_lacks_what_the_source_has_gets_noise_where_it_has_more():
    """Seen and wanted meet in faint directions alone: those of the most variance are at right angles."""
    basis, values = turned(6, 6), torch.tensor([0, 1e-6, 1e-6, 0.1, 1, 4]).double()
    source, target = (
        Gaussian(torch.zeros(6).double(), (basis * v) @ basis.T) for v in (values, values.flip(0))
    )
    map_ = between(source, target)
    assert torch.allclose(map_.noise, 4 * basis[:, :1] @ basis[:, :1].T, atol=1e-9)
    assert (map_.matrix @ basis[:, 5]).abs().max() < 1e-9


@pytest.mark.parametrize("rank", [None, 3])
def test_directions_beside_stay_untouched(rank):
    source, target = gaussian(0, rank=rank), gaussian(1)
    untouched = torch.linalg.qr(torch.randn(6, 2, generator=torch.Generator().manual_seed(3)).double()).Q
    map_ = between_beside(source, target, untouched)
    assert far(untouched.T @ map_.matrix, untouched.T) < 1e-10
    assert (untouched.T @ map_.shift).abs().max() < 1e-12
    rest = torch.eye(6).double() - untouched @ untouched.T
    made = map_.image_of(source)
    assert far(rest @ made.covariance @ rest, rest @ target.covariance @ rest) < 1e-9
    assert far(rest @ made.mean, rest @ target.mean) < 1e-9
    if rank:
        assert (untouched.T @ map_.noise).abs().max() < 1e-12


def test_half_way_noise_has_a_quarter_of_the_variance():
    map_ = between(gaussian(0, rank=3), gaussian(1))
    half = map_.towards_identity(0.5)
    assert far(half.matrix, 0.5 * (map_.matrix + torch.eye(6).double())) < 1e-14
    assert far(half.noise, 0.25 * map_.noise) < 1e-12 and far(half.shift, 0.5 * map_.shift) < 1e-14
    same = map_.towards_identity(1)
    assert torch.equal(same.matrix, torch.eye(6).double()) and not same.noise.any() and not same.shift.any()
