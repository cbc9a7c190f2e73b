"""Verdicts follow from the records: each way out of each claim, by records whose numbers are known."""

import numpy as np
import pytest

from restoration.benchmarks.studies.perception_distortion.arms import ARMS, EULER, MEAN, TASKS
from restoration.benchmarks.studies.perception_distortion.claims import (
    DRAWN,
    NOT,
    OPEN,
    REPRODUCED,
    TESTS,
    Verdict,
    close_pairs,
    overall,
    parabola,
    stated,
    verdicts,
)
from restoration.benchmarks.studies.perception_distortion.measures import RESAMPLES
from restoration.benchmarks.studies.perception_distortion.page import write_page
from restoration.benchmarks.studies.perception_distortion.records import NONE, Study
from restoration.benchmarks.studies.perception_distortion.restoring import ALPHAS, COUNTS, DRAWS, WAYS
from restoration.errors import RequestError

N = 24
HARD = np.linspace(0.5, 1.5, N)  # how hard each photograph is


def variant(settings, mse, distance, from_mean=0.0, spread=0.01):
    """A variant whose photographs differ alike in all arms, and whose distance varies by ``spread``."""
    rng = np.random.default_rng(round(1e6 * mse) % 997)
    errors = mse * HARD * (1 + 0.01 * rng.standard_normal(N))
    return {
        "settings": settings, "mse": (errors * mse / errors.mean()).tolist(), "from_mean": (from_mean * HARD).tolist(),
        "high_frequency_ratio": [0.5] * N,
        "sliced_wasserstein": {
            "value": distance, "resamples": (distance + spread * rng.standard_normal(RESAMPLES)).tolist(),
        },
    }  # fmt: skip


def record(task, arm, variants, seed=0):
    schedule = {"steps": 100, "batch": 4}
    training = {
        "seconds": 60,
        "parameters": 300_000,
        "experiment": {"schedule": schedule, "data": {"crop": 32}},
    }
    made = {"task": task, "arm": arm, "seed": seed, "title": ARMS[arm].title, "variants": variants}
    made |= {"training": training if ARMS[arm].learns else {}, "seconds": {"measuring": 30}}
    made |= {"photographs": {"held_out": "here", "names": [f"p{i}" for i in range(N)]}}
    return made | {"floor": {"mean": 1.0, "deviation": 0.1, "photographs": N // 2}}


def flow(task, arm, mse, distance, from_mean=None, seed=0):
    apart = mse - 0.01 if from_mean is None else from_mean
    return record(task, arm, [variant({"steps": k}, mse, distance, apart) for k in EULER], seed)


def transports(task, arm, vertex=1.0, excess=0.0):
    found = []
    for way in WAYS:
        for alpha in ALPHAS:
            found.append(variant({"way": way, "alpha": alpha}, 0.01 + 0.004 * (alpha - vertex) ** 2, 5.0))
        for count in COUNTS:
            for draw in range(DRAWS):
                distance = 4 + (excess if count < 32 else 0) + 0.01 * draw
                drawn = variant(
                    {"way": way, "photographs": count, "draw": draw}, 0.014, distance, 0.004 * (1 + draw / 10)
                )
                found.append(drawn | {"patch_w2_squared": 0.1, "before": 0.4})
    return record(task, arm, found)


def study(
    task="denoise", pmrf=(0.014, 2.0), given=(0.02, 2.0), naive=(0.018, 2.5), degraded=0.1, gan=4.0, **others
):
    records = [
        record(task, MEAN, [variant(NONE, degraded, 30.0), variant({}, 0.01, 10.0)]),
        flow(task, "pmrf", *pmrf), flow(task, "flow-degraded", *given), flow(task, "flow-mean", 0.019, 2.2),
        flow(task, "naive", *naive), record(task, "gan", [variant({}, 0.012, gan)]),
        transports(task, "transport", **others), transports(task, "transport-gan", 1.4),
    ]  # fmt: skip
    return Study({(r["task"], r["arm"]): [r] for r in records})


def everywhere(**others):
    """A study of all tasks; y is farthest from x in the first two."""
    records = {}
    for task, degraded in zip(TASKS, (0.1, 0.09, 0.03, 0.02), strict=True):
        records |= study(task, degraded=degraded, **others).records
    return Study(records)


def verdict(claim, of, task="denoise", way="authors"):
    found = [v for v in verdicts(of) if v.claim == claim and v.task in (task, f"{task}, {way}")]
    (only,) = found
    assert only.judged == (only.task == task or way == "authors")
    return only.verdict


def test_every_claim_has_a_test_and_says_where_it_is_from():
    claims = stated()["claim"]
    assert [claim["name"] for claim in claims] == list(TESTS)
    for claim in claims:
        assert all(claim[key].strip() for key in ("says", "source", "test"))


def test_what_is_as_claimed_is_reproduced():
    found = verdicts(everywhere())
    assert {v.claim for v in found} == set(TESTS)
    assert [v.line for v in found if v.verdict != REPRODUCED] == []
    assert all(v.numbers and v.task.split(",")[0] in TASKS for v in found)
    for claim in TESTS:
        assert overall([v for v in found if v.claim == claim]) == REPRODUCED


@pytest.mark.parametrize(
    "pmrf, said",
    [((0.014, 2.9), REPRODUCED), ((0.014, 3.5), NOT), ((0.026, 1.0), NOT), ((0.02, 2.0), OPEN)],
)
def test_below_posterior(pmrf, said):
    assert verdict("below-posterior", study(pmrf=pmrf)) == said


@pytest.mark.parametrize("mse, said", [(0.02, REPRODUCED), (0.0183, REPRODUCED), (0.016, NOT), (0.025, NOT)])
def test_posterior_twice(mse, said):
    assert verdict("posterior-twice", study(given=(mse, 2.0))) == said


def test_a_ratio_near_a_limit_is_inconclusive():
    assert verdict("posterior-twice", study(given=(0.018, 2.0))) == OPEN


@pytest.mark.parametrize(
    "naive, said",
    [
        ((0.018, 2.0), REPRODUCED), ((0.014, 2.5), REPRODUCED), ((0.018, 1.0), OPEN), ((0.012, 2.5), OPEN),
        ((0.012, 2.0), NOT), ((0.014, 1.5), NOT), ((0.014, 2.0), OPEN),
    ],
)  # fmt: skip
def test_naive_far(naive, said):
    assert verdict("naive-far", everywhere(naive=naive)) == said


def test_a_naive_flow_is_judged_where_y_is_farthest_alone():
    records = {}
    for task, degraded in zip(TASKS, (0.05, 0.02, 0.3, 0.04), strict=True):
        records |= study(task, degraded=degraded).records
    found = [v for v in verdicts(Study(records)) if v.claim == "naive-far"]
    assert {v.task for v in found if v.judged} == {"denoise", "inpainting"}
    assert {v.task for v in found if not v.judged} == {"super-resolution, nearer", "colourisation, nearer"}
    del records["denoise", MEAN]
    assert not [v for v in verdicts(Study(records)) if v.claim == "naive-far"]


def test_an_error_that_does_not_add_up_is_noticed():
    whole = dict(study().records)
    whole["denoise", "naive"] = [flow("denoise", "naive", 0.018, 2.5, from_mean=0.012)]
    assert verdict("error-adds-up", Study(whole)) == NOT
    whole["denoise", "naive"] = [flow("denoise", "naive", 0.018, 2.5, from_mean=0.0085)]
    assert verdict("error-adds-up", Study(whole)) == REPRODUCED


@pytest.mark.parametrize("vertex, said", [(1.05, REPRODUCED), (0.8, NOT), (1.3, NOT), (0.9, OPEN)])
def test_transport_parabola(vertex, said):
    assert verdict("transport-parabola", study(vertex=vertex)) == said


def test_what_is_no_parabola_is_not_reproduced():
    whole = dict(study().records)
    (only,) = whole["denoise", "transport"]
    bent = [
        v | {"mse": (np.abs(v["settings"]["alpha"] - 1) * HARD + 0.01).tolist()}
        if "alpha" in v["settings"]
        else v
        for v in only["variants"]
    ]
    whole["denoise", "transport"] = [only | {"variants": bent}]
    assert verdict("transport-parabola", Study(whole)) == NOT


def test_a_vertex_at_the_gan_itself_is_not_beyond_it():
    whole = dict(study().records)
    whole["denoise", "transport-gan"] = [transports("denoise", "transport-gan", 0.8)]
    assert verdict("transport-perceptual", Study(whole)) == NOT
    whole["denoise", "gan"] = [record("denoise", "gan", [variant({}, 0.012, 9.99)])]
    assert (
        verdict("transport-perceptual", Study(whole)) == OPEN
    )  # it is no more perceptual than the posterior mean


def test_the_authors_way_is_judged_and_the_other_told_beside():
    whole = dict(everywhere().records)
    for task in TASKS:
        for way, made in (
            ("mean-free", transports(task, "transport", 0.5)),
            ("authors", transports(task, "transport")),
        ):
            other = [v for v in whole[task, "transport"][0]["variants"] if v["settings"]["way"] != way]
            own = [v for v in made["variants"] if v["settings"]["way"] == way]
            whole[task, "transport"] = [made | {"variants": own + other}]
    found = [v for v in verdicts(Study(whole)) if v.claim == "transport-parabola"]
    assert verdict("transport-parabola", Study(whole), way="mean-free") == NOT
    assert overall(found) == REPRODUCED and len(found) == 2 * len(TASKS)


@pytest.mark.parametrize("excess, said", [(0.3, REPRODUCED), (2.0, NOT), (7.0, NOT)])
def test_transport_dozen(excess, said):
    for way in WAYS:
        assert verdict("transport-dozen", study(excess=excess), way=way) == said


def moved(of, count, distances):
    """A study whose transports of so many photographs are these distances from the clean ones, by draw."""
    whole = dict(of.records)
    (only,) = whole["denoise", "transport"]
    found = [
        v | {"sliced_wasserstein": v["sliced_wasserstein"] | {"value": distances[v["settings"]["draw"]]}}
        if v["settings"].get("photographs") == count
        else v
        for v in only["variants"]
    ]
    return Study(whole | {("denoise", "transport"): [only | {"variants": found}]})


@pytest.mark.parametrize(
    "distances, said",
    [
        ((9.0, 8.0, 9.5, 7.0, 16.0), OPEN),
        ((11.0, 11.5, 12.0, 11.0, 12.5), NOT),
        ((3.0, 2.5, 3.0, 3.5, 3.0), REPRODUCED),
    ],
)
def test_a_gain_that_hangs_on_the_draw_is_inconclusive(distances, said):
    """The posterior mean is 10 away."""
    assert verdict("transport-dozen", moved(study(excess=-1.0), 32, distances)) == said


def test_an_excess_that_hangs_on_the_draw_is_inconclusive():
    assert verdict("transport-dozen", moved(study(excess=0.3), 12, (3.0, 4.5, 3.2, 5.5, 3.5))) == OPEN


def test_vertices_of_other_draws_are_told_beside():
    """Errors of 0.01 at x*, of 0.014 at its transport, and of 0.004, 0.0044, … between."""
    (told,) = (
        v for v in verdicts(study()) if (v.claim, v.task) == ("transport-parabola", "denoise, authors")
    )
    expected = [0.5 + 0.5 / (1 + draw / 10) for draw in range(DRAWS)]
    assert told.found[DRAWN] == pytest.approx((np.mean(expected), expected[-1], 1.0), abs=0.005)


def test_the_gans_vertex_is_told_beside_that_of_the_posterior_mean():
    """Their parabolas are alike but for the vertex, at 1 and at 1.4."""
    (told,) = (
        v for v in verdicts(study()) if (v.claim, v.task) == ("transport-perceptual", "denoise, authors")
    )
    assert told.found["beyond that of x* by"] == pytest.approx((0.4, 0.4, 0.4), abs=0.01)
    assert told.found["dB gained up to α = 2"] > 0


def test_a_parabola_is_found_with_its_vertex():
    alphas = np.array(ALPHAS)
    errors = 0.01 + 0.004 * (alphas[:, None] - np.linspace(0.9, 1.3, 30)) ** 2
    fit, vertex = parabola(alphas, errors)
    assert fit == pytest.approx(1) and vertex.value == pytest.approx(1.1)
    assert vertex.low < 1.1 < vertex.high and vertex.high - vertex.low == pytest.approx(
        2 * 1.96 * 0.12 / 30**0.5, rel=0.2
    )


def test_seeds_are_asked_for_where_one_does_not_tell():
    near = study(pmrf=(0.0212, 2.0), given=(0.0216, 2.0), naive=(0.03, 2.0))
    assert close_pairs(near, ["denoise"]) == [("denoise", "pmrf"), ("denoise", "flow-degraded")]
    apart = study(pmrf=(0.014, 2.0), given=(0.02, 2.0), naive=(0.018, 2.5))
    assert close_pairs(apart, ["denoise", "inpainting"]) == []
    whole = dict(apart.records) | {
        ("denoise", "pmrf-sigma-0.1"): [flow("denoise", "pmrf-sigma-0.1", 0.0142, 2.0)]
    }
    assert close_pairs(Study(whole), ["denoise"]) == [("denoise", "pmrf"), ("denoise", "pmrf-sigma-0.1")]


def test_several_seeds_count_together():
    whole = dict(study(pmrf=(0.0198, 2.0)).records)
    assert verdict("below-posterior", Study(whole)) in (REPRODUCED, OPEN)
    for arm, errors in {"pmrf": (0.0198, 0.018, 0.022), "flow-degraded": (0.02, 0.02, 0.02)}.items():
        whole["denoise", arm] = [flow("denoise", arm, mse, 2.0, seed=i) for i, mse in enumerate(errors)]
    both = Study(whole)
    assert both.values("denoise", "pmrf", "mse", steps=25).shape == (3, N)
    assert verdict("below-posterior", both) == OPEN  # seeds differ by more than arms do


def test_seeds_that_differ_in_distance_widen_its_interval():
    alike, apart = (
        Study(
            {
                ("denoise", "pmrf"): [
                    flow("denoise", "pmrf", 0.014, d, seed=i) for i, d in enumerate(distances)
                ]
            }
        ).sliced("denoise", "pmrf", steps=25)
        for distances in ((3.0, 3.0, 3.0), (2.0, 3.0, 4.0))
    )
    assert alike.value == apart.value == 3
    widths = [high - low for low, high in (alike.ends, apart.ends)]
    assert widths[1] ** 2 - widths[0] ** 2 == pytest.approx((2 * 4.303 / 3**0.5) ** 2, rel=1e-3)


def test_arms_are_compared_by_the_seeds_that_both_have():
    whole = dict(study().records)
    whole["denoise", "pmrf"] = [flow("denoise", "pmrf", mse, d, seed=i) for i, (mse, d) in enumerate(
        ((0.014, 2.0), (0.05, 9.0), (0.05, 9.0))
    )]  # fmt: skip
    assert verdict("below-posterior", Study(whole)) == REPRODUCED


def test_all_tasks_together():
    def made(*said):
        return [Verdict("error-adds-up", "t", word, {}) for word in said]

    assert overall(made(*[REPRODUCED] * 4)) == REPRODUCED
    assert overall(made(REPRODUCED, REPRODUCED, REPRODUCED, OPEN)) == OPEN
    assert overall(made(*[OPEN] * 4)) == OPEN
    assert overall(made(REPRODUCED, REPRODUCED, NOT, OPEN)) == NOT
    assert overall(made(REPRODUCED, REPRODUCED)) == "reproduced so far, in 2 of 4 tasks"


def test_without_records_there_is_no_verdict():
    assert verdicts(Study({})) == []


@pytest.mark.slow
def test_a_page_shows_every_arm_of_its_records(tmp_path):
    found = everywhere()
    paths = write_page(tmp_path / "page.md", found)
    assert [path.name for path in paths] == ["page.md", *(f"{task}.svg" for task in TASKS)]
    text = paths[0].read_text()
    shown = [arm.title for arm in ARMS.values() if found.has("denoise", arm.name)]
    assert len(shown) == 8 and all(f"| {title}" in text for title in shown)
    assert text.count("**Reproduced.**") == len(TESTS)
    assert "| none (y itself) | 100.00 (" in text and "| 1.40 | 2.00 (" in text and f"{N} others" in text
    drawn = paths[1].read_text()
    assert all(f">{title}<" in drawn for title in shown) and "twice that" in drawn
    assert (
        ">DOT, mean-free, by photographs<" in drawn
        and ">DOT of the GAN, mean-free<" in drawn
        and ">PMRF by σ_s<" not in drawn
    )
    assert "| DOT, mean-free, first 12 photographs | " in text and "| DOT | 2.60; 5.00 | " in text
    assert "| authors, mean of draws | 1.40; " in text and "; 0.25 |" in text
    write_page(tmp_path / "again.md", found)
    assert (tmp_path / "again.md").read_text() == text and paths[1].read_text() == drawn
    with pytest.raises(RequestError, match="no records"):
        write_page(tmp_path / "other.md", Study({}))
    assert "Not yet of three" not in text
    near = study(pmrf=(0.0212, 2.0), given=(0.0216, 2.0), naive=(0.03, 2.0))
    write_page(tmp_path / "near.md", near)
    assert "\nNot yet of three: denoise, PMRF; denoise, flow given y.\n" in (tmp_path / "near.md").read_text()
    swept = dict(study().records)
    for sigma in ("0", "0.1", "0.2"):
        swept["denoise", f"pmrf-sigma-{sigma}"] = [flow("denoise", f"pmrf-sigma-{sigma}", 0.014, 2.0)]
    write_page(tmp_path / "one.md", Study(swept))
    assert "so far, in 1 of 4 tasks.**" in (tmp_path / "one.md").read_text()
    drawn = (tmp_path / "perception_distortion" / "denoise.svg").read_text()
    assert ">PMRF by σ_s<" in drawn and all(f">σ {s}<" in drawn for s in ("0", "0.025", "0.1", "0.2"))


def test_the_frechet_distance_is_told_beside_but_decides_nothing():
    whole, found = dict(study().records), {"pmrf": (5.0, 6.0), "flow-degraded": (3.0, 3.5)}
    for arm, (value, first) in found.items():
        own = flow("denoise", arm, 0.014 if arm == "pmrf" else 0.02, 2.0)
        deep = {"frechet": {"value": value, "without": [first] + [value] * 9, "patches": 3000}}
        own["variants"] = [v | deep if v["settings"] == {"steps": 25} else v for v in own["variants"]]
        whole["denoise", arm] = [own]
    told = next(v for v in verdicts(Study(whole)) if v.claim == "below-posterior")
    assert told.verdict == REPRODUCED and told.found["Fréchet, difference"].value == 2.0
    assert told.found["Fréchet, difference"].low < 2.0 and "Fréchet, difference 2 (" in told.numbers
