"""Closed forms of optimal transport between Gaussians: identities, costs, sources without full rank."""

import pytest
import torch

from restoration.transport.gaussian import (
    Gaussian,
    between,
    between_beside,
    gelbrich,
    is_positive,
    raised,
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


def test_both_without_full_rank_reach_the_target_but_for_eps():
    source, target = gaussian(0, rank=2), gaussian(1, rank=3)
    map_ = between(source, target, eps=1e-7)
    made = map_.matrix @ source.covariance @ map_.matrix.T + map_.noise
    assert (made - target.covariance).abs().max() < 1e-6


def test_eigenvalues_are_raised_by_what_lacks():
    matrix = torch.diag(torch.tensor([-0.5, 1.0]).double())
    assert torch.equal(raised(matrix), torch.diag(torch.tensor([0.0, 1.5]).double()))
    assert torch.linalg.eigvalsh(raised(matrix, 0.25))[0] == pytest.approx(0.25)
    assert torch.equal(raised(gaussian(0).covariance), gaussian(0).covariance)


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
