"""Contrastive objectives: the published values, and what is known of their gradients."""

import inspect
import math
from dataclasses import fields

import pytest
import torch
from torch import Tensor

from restoration.losses.objective import Objective, OfSimilarities, similarities
from restoration.losses.objectives import (
    OBJECTIVES,
    AttractionRepulsion,
    Decoupled,
    HardMixing,
    IndividualTemperature,
    InfoNce,
    Ratio,
    Triplet,
)

SETTINGS = {"triplet": {"margin": 2.0}}  # so that every pair counts
KEYS = tuple((0, i) for i in range(3))
NEAR, FAR = torch.tensor([[0.9]]), torch.tensor([[0.8, 0.7, 0.6, 0.5]])  # of PCL-SR's check value


def vectors(
    positives: int = 2, negatives: int = 5, places: int = 4, dtype=torch.float64
) -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)

    def unit(*shape: int) -> Tensor:
        return torch.nn.functional.normalize(torch.randn(*shape, generator=rng, dtype=dtype), dim=-1)

    anchor = unit(3, places, 6)
    near = torch.nn.functional.normalize(anchor.unsqueeze(1) + 0.4 * unit(3, positives, places, 6), dim=-1)
    return anchor, near, unit(3, negatives, places, 6)


def call(objective: Objective, anchor: Tensor, positives: Tensor, negatives: Tensor, keys=KEYS) -> Tensor:
    torch.manual_seed(0)
    heads = objective.heads(anchor.shape[-1])
    return objective(anchor, positives, negatives, keys, heads.to(anchor) if heads else None)


def slopes(of, *inputs: Tensor) -> tuple[Tensor, ...]:
    given = [value.clone().requires_grad_() for value in inputs]
    return torch.autograd.grad(of(*given).sum(), given)


@pytest.fixture(params=sorted(OBJECTIVES))
def objective(request) -> Objective:
    return OBJECTIVES[request.param](**SETTINGS.get(request.param, {}))


def test_names_are_sorted():
    assert list(OBJECTIVES) == sorted(OBJECTIVES)


def test_constructors_are_typed_and_have_defaults(objective):
    for parameter in inspect.signature(type(objective)).parameters.values():
        assert parameter.annotation is not parameter.empty and parameter.default is not parameter.empty
    assert inspect.cleandoc(type(objective).__doc__) and type(objective).__dataclass_params__.frozen
    assert all(field.init for field in fields(objective))


def test_one_number_per_anchor_whatever_its_neighbours(objective):
    anchor, positives, negatives = vectors()
    together = call(objective, anchor, positives, negatives)
    alone = torch.cat(
        [
            call(objective, anchor[i : i + 1], positives[i : i + 1], negatives[i : i + 1], KEYS[i : i + 1])
            for i in range(3)
        ]
    )
    assert together.shape == (3,) and len(set(together.tolist())) == 3
    torch.testing.assert_close(alone, together, rtol=1e-12, atol=1e-12)


def test_gradients_of_the_anchor_are_the_derivatives(objective):
    anchor, positives, negatives = vectors(places=2)

    def value(given: Tensor) -> Tensor:
        return call(objective, given, positives, negatives)

    if isinstance(objective, HardMixing):  # its mixes follow the anchor without gradient: hold them still
        mixed = objective.mixed(anchor, negatives, KEYS)

        def value(given: Tensor) -> Tensor:
            return InfoNce(objective.temperature)(given, positives, torch.cat([negatives, mixed], 1))

        of_call = slopes(lambda given: call(objective, given, positives, negatives), anchor)[0]
        torch.testing.assert_close(of_call, slopes(value, anchor)[0])
    assert torch.autograd.gradcheck(value, (anchor.requires_grad_(),), fast_mode=True)


def test_nearer_positives_and_farther_negatives_are_better(objective):
    anchor, positives, negatives = vectors()
    near, far, all_equal = (
        call(objective, anchor, positives, negatives),
        call(objective, anchor, negatives[:, :2], torch.cat([positives] * 3, 1)[:, :5]),
        call(objective, anchor, positives, torch.cat([positives] * 3, 1)[:, :5]),
    )
    assert (near < all_equal).all() and (all_equal < far).all()


def test_similarity_of_maps_is_the_mean_cosine_over_pixels():
    anchor, positives, _ = vectors()
    found = similarities(anchor, positives)
    for i in range(3):
        for p in range(2):
            expected = sum(float(anchor[i, n] @ positives[i, p, n]) for n in range(4)) / 4
            assert float(found[i, p]) == pytest.approx(expected, abs=1e-12)
    assert torch.allclose(similarities(anchor, anchor.unsqueeze(1)), torch.ones(3, 1, dtype=torch.float64))


def test_info_nce_has_the_published_value():
    # PCL-SR at temperature 1: −log(e^.9 / (e^.9 + e^.8 + e^.7 + e^.6 + e^.5))
    assert float(InfoNce().of(NEAR, FAR)) == pytest.approx(1.4194, abs=5e-5)
    assert float(InfoNce().of(FAR[:, :1], FAR[:, :1].expand(1, 4))) == pytest.approx(math.log(5), abs=1e-6)


def test_info_nce_averages_over_positives():
    near = torch.tensor([[0.9, 0.2]])
    one, other = InfoNce().of(near[:, :1], FAR), InfoNce().of(near[:, 1:], FAR)
    torch.testing.assert_close(InfoNce().of(near, FAR), (one + other) / 2)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
def test_gradient_of_info_nce_is_that_of_decoupled_less_the_positives_share(temperature):
    near, far = torch.rand(4, 1, dtype=torch.float64), torch.rand(4, 6, dtype=torch.float64)
    logits = torch.cat([near, far], 1) / temperature
    share = logits.softmax(1)[:, :1]
    ours = slopes(InfoNce(temperature).of, near, far)
    decoupled = slopes(Decoupled(temperature).of, near, far)
    for one, other in zip(ours, decoupled, strict=True):
        torch.testing.assert_close(one, (1 - share) * other)


def test_decoupled_is_info_nce_without_the_positive_below():
    value = math.exp(0.9) / sum(math.exp(float(s)) for s in FAR[0])
    assert float(Decoupled(1.0).of(NEAR, FAR)) == pytest.approx(-math.log(value), abs=1e-6)


def test_mixes_are_unit_vectors_between_their_parents():
    anchor, _, negatives = vectors(negatives=6)
    objective = HardMixing(hardest=4, mixes=10, anchored=40)
    made = objective.mixed(anchor, negatives, KEYS)
    assert made.shape == (3, 50, 4, 6) and not made.requires_grad
    torch.testing.assert_close(made.norm(dim=-1), torch.ones(3, 50, 4, dtype=torch.float64))
    nearest = similarities(anchor, negatives).topk(4, 1)
    hard = negatives.gather(1, nearest.indices[:, :, None, None].expand(-1, -1, 4, 6))
    # a mix of the anchor and a negative is nearer to the anchor than the negative: the nearest bounds them all
    assert (similarities(anchor, made[:, 10:]) >= nearest.values.min(1, keepdim=True).values).all()
    for i, mixes in enumerate(made):
        # every mix of two lies in the plane of some two of the four hardest, between them
        for mix in mixes[:10]:
            residuals = []
            for a in range(4):
                for b in range(4):
                    parents = torch.stack([hard[i, a], hard[i, b]], 0)
                    solved = [torch.linalg.lstsq(parents[:, n].T, mix[n]).solution for n in range(4)]
                    gap = max(float((parents[:, n].T @ s - mix[n]).norm()) for n, s in enumerate(solved))
                    residuals.append(gap + 10 * (min(float(s.min()) for s in solved) < -1e-9))
            assert min(residuals) < 1e-9


def test_mixing_with_the_anchor_brings_a_negative_nearer():
    anchor, _, negatives = vectors(negatives=1)
    made = HardMixing(mixes=0, anchored=20).mixed(anchor, negatives, KEYS)
    assert (similarities(anchor, made) > similarities(anchor, negatives)).all()


def test_no_mixes_are_info_nce():
    anchor, positives, negatives = vectors()
    expected = InfoNce(0.2)(anchor, positives, negatives)
    objective = HardMixing(mixes=0, anchored=0)
    torch.testing.assert_close(objective(anchor, positives, negatives, KEYS), expected)
    assert (HardMixing()(anchor, positives, negatives, KEYS) > expected).all()


def test_mixes_follow_the_keys():
    anchor, positives, negatives = vectors()
    objective = HardMixing()
    first = objective(anchor, positives, negatives, KEYS)
    assert torch.equal(first, objective(anchor, positives, negatives, KEYS))
    other = objective(anchor, positives, negatives, ((0, 0), (0, 9), (0, 2)))
    assert torch.equal(first[::2], other[::2]) and first[1] != other[1]
    with pytest.raises(ValueError) as error:
        objective(anchor, positives, negatives)
    assert str(error.value) == "hard-mixing: 0 keys for 3 images; expected one (seed, sample) for each"


def test_attraction_and_repulsion_of_sharpness_zero_are_uniform():
    anchor, positives, negatives = vectors()
    near = (anchor.unsqueeze(1) - positives).square().sum(-1).mean(-1)
    far = (anchor.unsqueeze(1) - negatives).square().sum(-1).mean(-1)
    expected = near.mean(1) - 0.5 * far.mean(1)
    torch.testing.assert_close(AttractionRepulsion(0.0, 0.0, 0.5)(anchor, positives, negatives), expected)
    sharper = AttractionRepulsion(1.0, 1.0, 0.5)(anchor, positives, negatives)
    assert (sharper > expected).all()  # far positives weigh more, and so do near negatives


def test_far_positives_and_near_negatives_pull_most():
    near = torch.tensor([[0.9, 0.1]], dtype=torch.float64)
    far = torch.tensor([[0.8, -0.8]], dtype=torch.float64)
    of_near, of_far = slopes(AttractionRepulsion().of, near, far)
    assert of_near[0, 1] < min(0, of_near[0, 0]) and of_far[0, 0] > max(0, of_far[0, 1])
    hardest = slopes(AttractionRepulsion(50.0, 50.0).of, near, far)
    assert hardest[0][0, 1] == pytest.approx(-2, abs=1e-6) and hardest[1][0, 0] == pytest.approx(2, abs=1e-6)


def test_individual_temperature_solves_its_own_equation():
    rng = torch.Generator().manual_seed(0)
    far = 2 * torch.rand(20, 50, generator=rng, dtype=torch.float64) - 1
    objective = IndividualTemperature(rho=0.5, lowest=0.01, highest=5.0)
    tau = objective.temperatures(far)
    shares = (far / tau.unsqueeze(1)).softmax(1)
    divergence = (shares * (shares * 50).log()).sum(1)
    torch.testing.assert_close(divergence, torch.full((20,), 0.5, dtype=torch.float64), rtol=0, atol=1e-9)
    assert len(set(tau.tolist())) == 20

    def value(temperature: Tensor) -> Tensor:
        return temperature * (torch.logsumexp(far / temperature, 1, keepdim=True) - math.log(50) + 0.5)

    for factor in (0.9, 1.1):  # it is the minimum
        assert (value(factor * tau.unsqueeze(1)) > value(tau.unsqueeze(1))).all()


def test_temperature_keeps_to_its_bounds():
    equal, spread = torch.zeros(1, 4), torch.tensor([[1.0, -1.0, -1.0, -1.0]])
    objective = IndividualTemperature(rho=0.3, lowest=0.05, highest=0.2)
    assert float(objective.temperatures(equal)) == pytest.approx(0.05)  # no divergence at any temperature
    assert float(objective.temperatures(spread)) == pytest.approx(0.2)
    assert float(IndividualTemperature(rho=2.0).temperatures(spread)) == pytest.approx(0.05)  # 2 > log 4


def test_one_temperature_is_the_decoupled_objective():
    near, far = torch.rand(4, 3, dtype=torch.float64), torch.rand(4, 6, dtype=torch.float64)
    objective = IndividualTemperature(rho=0.3, lowest=0.2, highest=0.2)
    expected = 0.2 * (Decoupled(0.2).of(near, far) - math.log(6) + 0.3)
    torch.testing.assert_close(objective.of(near, far), expected)


def test_temperature_has_no_gradient_of_its_own():
    near, far = torch.rand(4, 1, dtype=torch.float64), torch.rand(4, 6, dtype=torch.float64)
    objective = IndividualTemperature()
    tau = objective.temperatures(far)
    torch.testing.assert_close(slopes(objective.of, near, far)[1], (far / tau.unsqueeze(1)).softmax(1))
    assert torch.autograd.gradcheck(
        objective.of, (near.requires_grad_(), far.requires_grad_()), fast_mode=True
    )


def test_triplet_equals_its_pairs():
    anchor, positives, negatives = vectors()
    objective, total = Triplet(margin=1.0), torch.zeros(3, dtype=torch.float64)
    for p in range(2):
        for k in range(5):
            near = (anchor - positives[:, p]).square().sum(-1).mean(-1)
            far = (anchor - negatives[:, k]).square().sum(-1).mean(-1)
            total += (1.0 + near - far).clamp(min=0)
    torch.testing.assert_close(objective(anchor, positives, negatives), total / 10)
    assert float(Triplet(0.2).of(torch.tensor([[0.9]]), torch.tensor([[0.8]]))) == pytest.approx(
        0.0, abs=1e-6
    )
    assert float(Triplet(0.3).of(torch.tensor([[0.9]]), torch.tensor([[0.8]]))) == pytest.approx(
        0.1, abs=1e-6
    )


def test_ratios_have_their_closed_forms():
    anchor, positives, negatives = vectors(1, 1)
    near, far = similarities(anchor, positives)[:, 0], similarities(anchor, negatives)[:, 0]
    torch.testing.assert_close(Ratio("cosine")(anchor, positives, negatives), far - near)
    torch.testing.assert_close(Ratio("l2")(anchor, positives, negatives), (1 - near) / (1 - far + 3e-7))
    l1 = [(anchor - other[:, 0]).abs().flatten(1).mean(1) for other in (positives, negatives)]
    torch.testing.assert_close(Ratio("l1")(anchor, positives, negatives), l1[0] / (l1[1] + 3e-7))
    for form in ("l2", "l1"):
        assert (Ratio(form)(anchor, anchor.unsqueeze(1), negatives).abs() < 1e-12).all()


@pytest.mark.parametrize("form", ["l2", "l1", "cosine"])
def test_ratios_average_before_they_divide(form):
    anchor, positives, negatives = vectors(4, 4)
    twice = [torch.cat([each, each], 1) for each in (positives, negatives)]
    torch.testing.assert_close(Ratio(form)(anchor, *twice), Ratio(form)(anchor, positives, negatives))


@pytest.mark.parametrize(
    ("build", "line"),
    [
        (lambda: InfoNce(0.0), "temperature = 0; expected more than 0"),
        (lambda: Decoupled(-1.0), "temperature = -1; expected more than 0"),
        (lambda: HardMixing(hardest=0), "hardest = 0; expected more than 0"),
        (lambda: HardMixing(mixes=-1), "mixes = -1; expected at least 0"),
        (lambda: AttractionRepulsion(beta=-0.5), "beta = -0.5; expected at least 0"),
        (lambda: IndividualTemperature(rho=0.0), "rho = 0; expected more than 0"),
        (lambda: IndividualTemperature(highest=0.01), "highest = 0.01; expected at least lowest = 0.05"),
        (lambda: Ratio("l3"), 'form = "l3"; expected l2 or l1 or cosine'),
    ],
)
def test_what_makes_no_sense_is_refused(build, line):
    with pytest.raises(ValueError) as error:
        build()
    assert str(error.value) == line


def test_most_objectives_need_similarities_only():
    kinds = {name for name, part in OBJECTIVES.items() if not issubclass(part, OfSimilarities)}
    assert kinds == {"hard-mixing", "multi-head", "ratio"}
