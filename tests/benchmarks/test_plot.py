"""Where the marks of a plot stand."""

import pytest

from restoration.benchmarks.plot import LINE, _ticks, courses, dot_plot, scatter
from restoration.benchmarks.result import make_row


@pytest.mark.parametrize(
    "low, high, expected",
    [
        (22.1, 33.8, [20, 25, 30, 35]),
        (0.737, 0.857, [0.7, 0.75, 0.8, 0.85, 0.9]),
        (5.0, 5.0, [5.0, 6.0]),
        (0.0, 0.0, [0.0, 0.2]),
        (-1.2, 0.4, [-1.5, -1.0, -0.5, 0.0, 0.5]),
    ],
)
def test_ticks_are_round_and_enclose_the_range(low, high, expected):
    ticks = _ticks(low, high)
    assert ticks[0] <= low and ticks[-1] >= high and len(ticks) <= 9
    assert ticks == pytest.approx(expected)


def test_every_value_stands_where_the_axis_says_and_the_mean_comes_first():
    rows = [make_row("p", name, "psnr-y", "c", {"a": 20.0 + i, "b": 30.0}) for i, name in enumerate("xy")]
    plot = dot_plot(rows, "dB")
    low, high = float(plot.ticks[0][1]), float(plot.ticks[-1][1])
    assert [line.name for line in plot.lines] == ["x", "y", "b", "a"]
    assert plot.lines[3].dots[1].x == pytest.approx(100 * (21 - low) / (high - low), abs=0.01)
    assert plot.lines[3].dots[1].text == "y, a: 21.0000"
    assert plot.height == 4 * LINE


def test_without_values_there_is_no_plot():
    assert dot_plot([make_row("p", "x", "psnr-y", "c", {"a": "too small"})], "dB") is None


def test_many_images_stand_on_the_lines_of_their_restorers():
    rows = [make_row("p", name, "psnr-y", "c", {f"{i}": 20.0 + i / 100 for i in range(500)}) for name in "xy"]
    plot = dot_plot(rows, "dB")
    assert [line.name for line in plot.lines] == ["x", "y"] and all(line.mean for line in plot.lines)
    assert len(plot.lines[0].strip) == 200
    low, high = float(plot.ticks[0][1]), float(plot.ticks[-1][1])
    assert plot.lines[0].strip[0] == pytest.approx(100 * (20 - low) / (high - low), abs=0.01)
    assert plot.lines[0].strip[-1] == pytest.approx(100 * (24.99 - low) / (high - low), abs=0.01)


def test_a_scatter_needs_two_series_and_leaves_gaps_open():
    rows = [
        make_row("p", "x", "psnr-y", "c", {"a": 20.0, "b": 30.0}),
        make_row("p", "y", "psnr-y", "c", {"a": 21.0}),
    ]
    assert scatter(rows[:1], {"x": 0}, {}) is None
    found = scatter(rows, {"x": 0, "y": 1}, {"b": 0})
    assert [series["values"] for series in found["series"]] == [[20.0, 30.0], [21.0, None]]
    assert found["metrics"]["psnr-y"]["better"] == "higher"


def test_the_course_of_a_metric_follows_the_frames_and_breaks_where_one_lacks_a_value():
    names = [f"clip/{i}.png" for i in range(5)]
    values = {name: 10.0 + 5 * i for i, name in enumerate(names)}
    gap = {name: value + 5 for name, value in values.items() if name != names[2]}
    rows = [make_row("p", "x", "psnr-y", "c", values), make_row("p", "y", "psnr-y", "c", gap)]
    (course,) = courses(rows, [*names, "other/0.png"])
    assert (course.clip, course.metric, course.unit, course.frames) == ("clip", "psnr-y", "dB", 5)
    assert course.ends == ("0", "4") and course.spoken.endswith("means: x 20.0000; y 25.0000")
    low, high = float(course.ticks[0][1]), float(course.ticks[-1][1])
    assert [y for y, _ in course.ticks][:: len(course.ticks) - 1] == [100, 0]
    (whole,) = course.paths["x"]
    places = [tuple(map(float, point.split(","))) for point in whole.split()]
    assert [x for x, _ in places] == [0, 25, 50, 75, 100]
    assert [y for _, y in places] == pytest.approx(
        [100 * (high - value) / (high - low) for value in values.values()], abs=1e-3
    )
    assert [len(part.split()) for part in course.paths["y"]] == [2, 2]


def test_a_frame_without_neighbours_is_still_a_point():
    names = [f"clip/{i}.png" for i in range(3)]
    (course,) = courses([make_row("p", "x", "psnr-y", "c", {names[1]: 20.0})], names)
    ((start, end),) = (part.split() for part in course.paths["x"])
    assert start == end


def test_each_clip_has_its_own_course_and_frames_no_lines():
    names = [f"{clip}/{i}.png" for clip in "ab" for i in range(3)]
    rows = [make_row("p", "x", "psnr-y", "c", {name: 20.0 + i for i, name in enumerate(names)})]
    assert [course.clip for course in courses(rows, names)] == ["a", "b"]
    assert [line.name for line in dot_plot(rows, "dB", 0).lines] == ["x"]
