"""Patches against plain loops: moments, maps folded back, and noise of the right variance."""

import pytest
import torch

from restoration.transport import patches
from restoration.transport.gaussian import Affine
from restoration.transport.patches import Moments, mapped, means, moments


def latents(height=9, width=7, channels=2, count=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, channels, height, width, generator=generator, dtype=torch.double)


def affine(channels=2, patch=3, rank=0, seed=1):
    generator = torch.Generator().manual_seed(seed)
    size = channels * patch**2
    drawn = [
        torch.randn(*shape, generator=generator, dtype=torch.double) for shape in ((size, size), (size,))
    ]
    root = torch.randn(size, rank, generator=generator, dtype=torch.double) if rank else None
    return Affine(*drawn, root)


def vectors(image, patch):
    """Return every patch within an image (C, H, W), one by one."""
    _, height, width = image.shape
    return torch.stack([
        image[:, y : y + patch, x : x + patch].flatten()
        for y in range(height - patch + 1)
        for x in range(width - patch + 1)
    ])  # fmt: skip


def looped(image, map_, patch, weighting=0.0):
    """Return an image (C, H, W) whose patches were mapped one by one, and averaged pixel by pixel."""
    channels, height, width = image.shape
    reach = patch // 2
    total = torch.zeros(channels, height, width, dtype=torch.double)
    weight = torch.zeros(height, width, dtype=torch.double)
    for y in range(height):
        for x in range(width):
            places = [
                (min(max(y + j, 0), height - 1), min(max(x + i, 0), width - 1))
                for j in range(-reach, reach + 1)
                for i in range(-reach, reach + 1)
            ]
            patch_ = torch.stack([image[:, a, b] for a, b in places], 1).flatten()
            made = (map_.matrix @ patch_ + map_.shift).reshape(channels, patch, patch)
            for j in range(-reach, reach + 1):
                for i in range(-reach, reach + 1):
                    if 0 <= y + j < height and 0 <= x + i < width:
                        w = (
                            float(torch.exp(torch.tensor(-(i * i + j * j) / (2 * weighting**2))))
                            if weighting
                            else 1
                        )
                        total[:, y + j, x + i] += w * made[:, j + reach, i + reach]
                        weight[y + j, x + i] += w
    return total / weight


@pytest.mark.parametrize("patch", [1, 3, 5])
def test_moments_are_those_of_a_loop(patch):
    image = latents(count=2)
    all_ = torch.cat([vectors(each, patch) for each in image])
    found = moments(image, patch)
    assert found.count == len(all_)
    assert torch.allclose(found.gaussian().mean, all_.mean(0), atol=1e-14)
    assert torch.allclose(found.gaussian().covariance, all_.T.cov(), atol=1e-13)


def test_parts_add_up_to_the_whole():
    images = [latents(11, 8, seed=3), latents(5, 6, seed=4), latents(3, 3, seed=5)]
    total = sum((moments(image, 3) for image in images), Moments.none(18))
    all_ = torch.cat([vectors(image[0], 3) for image in images])
    assert total.count == len(all_)
    assert torch.allclose(total.gaussian().covariance, all_.T.cov(), atol=1e-13)
    upper, lower = moments(images[0][:, :, :7], 3), moments(images[0][:, :, 5:], 3)  # rows of patches meet
    assert torch.allclose((upper + lower).products, moments(images[0], 3).products, atol=1e-12)


def test_an_image_smaller_than_a_patch_has_none():
    assert moments(latents(2, 9), 3).count == moments(latents(9, 2), 3).count == 0
    with pytest.raises(ValueError, match="no patches"):
        moments(latents(2, 9), 3).gaussian()
    assert not moments(latents(3, 3), 3).gaussian().covariance.any()


@pytest.mark.parametrize("weighting", [0.0, 0.8])
@pytest.mark.parametrize(("height", "width"), [(9, 7), (1, 1), (2, 5)])
@pytest.mark.parametrize("patch", [1, 3, 5])
def test_a_map_is_that_of_a_loop(patch, height, width, weighting):
    image, map_ = latents(height, width), affine(patch=patch)
    made = mapped(image, map_, patch, weighting=weighting)
    assert torch.allclose(made[0], looped(image[0], map_, patch, weighting), atol=1e-11)


def test_bands_of_rows_change_nothing(monkeypatch):
    image, map_ = latents(19, 7, count=2), affine(rank=4)
    ones = torch.Generator().manual_seed(5)
    field = torch.randn(4, 19, 7, generator=ones, dtype=torch.double)

    def draw(channels, first, rows, columns):
        return field[:channels, first : first + rows, :columns]

    whole, sums = mapped(image, map_, 3, draw), moments(image, 3)
    monkeypatch.setattr(patches, "BAND", 1)
    assert torch.allclose(mapped(image, map_, 3, draw), whole, atol=1e-12)
    assert torch.allclose(moments(image, 3).products, sums.products, atol=1e-12)


def test_the_identity_is_the_identity():
    image = latents(6, 7)
    same = Affine(torch.eye(18).double(), torch.zeros(18).double())
    assert torch.allclose(mapped(image, same, 3), image, atol=1e-14)


@pytest.mark.parametrize("weighting", [0.0, 0.7])
def test_noise_keeps_the_variance_that_it_was_asked_for(weighting):
    """Within 2 %, at every channel, inside and at the border; the plain mean of patches would leave a ninth."""
    size, generator = 18, torch.Generator().manual_seed(7)
    root = torch.randn(size, 5, generator=generator, dtype=torch.double)
    noise_only = Affine(torch.zeros(size, size).double(), torch.zeros(size).double(), root)
    image = torch.zeros(1, 2, 400, 400, dtype=torch.double)

    def draw(channels, first, rows, columns):
        return torch.randn(channels, rows, columns, generator=generator, dtype=torch.double)

    made = mapped(image, noise_only, 3, draw, weighting)[0]
    offsets = torch.tensor([-1.0, 0, 1]).double()
    profile = (-offsets.square() / (2 * weighting**2)).exp() if weighting else torch.ones(3).double()
    weights = torch.outer(profile, profile).flatten().square()
    wanted = (noise_only.noise.diagonal().reshape(2, 9) * weights).sum(1) / weights.sum()
    inside = made[:, 1:-1, 1:-1].flatten(1)
    assert torch.allclose(inside.square().mean(1), wanted, rtol=0.02)
    assert inside.mean(1).abs().max() < 0.05 * wanted.max().sqrt()
    # at the upper edge only patches around the edge's own rows lie over a pixel: offsets of rows from 0 up
    rows = noise_only.noise.diagonal().reshape(2, 3, 3)[:, :2] if not weighting else None
    if rows is not None:
        edges = torch.cat(
            [mapped(image[..., :3, :], noise_only, 3, draw)[0, :, 0, 1:-1] for _ in range(120)], 1
        )
        upper = noise_only.noise.diagonal().reshape(2, 3, 3)[:, :2].flatten(1).mean(1)
        assert torch.allclose(edges.square().mean(1), upper, rtol=0.03)


def test_noise_of_neighbours_goes_together_as_asked():
    """The covariance at a distance is that of the patch, fainter by the share of patches that hold both pixels."""
    root = torch.ones(9, 1, dtype=torch.double)  # every patch is one number
    generator = torch.Generator().manual_seed(9)

    def draw(channels, first, rows, columns):
        return torch.randn(channels, rows, columns, generator=generator, dtype=torch.double)

    flat = Affine(torch.zeros(9, 9).double(), torch.zeros(9).double(), root)
    made = mapped(torch.zeros(1, 1, 600, 600).double(), flat, 3, draw)[0, 0, 1:-1, 1:-1]
    found = [float((made[:, : 598 - lag] * made[:, lag:]).mean()) for lag in range(4)]
    assert found == pytest.approx([1, 2 / 3, 1 / 3, 0], abs=0.02)


def test_directions_of_means():
    found = means(2, 3, (1,))
    patch = latents(3, 3)[0]
    assert float(found[:, 0] @ patch.flatten()) == pytest.approx(3 * float(patch[1].mean()))
    assert torch.allclose(means(3, 5, (0, 2)).T @ means(3, 5, (0, 2)), torch.eye(2).double())
