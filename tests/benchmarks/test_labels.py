"""Labels of a plot: none covers another, a mark or a line that leads to one; none leaves the field."""

import numpy as np
import pytest

from restoration.benchmarks.labels import LED, MARK, Box, meeting, overlapping, passing, placed

FIELD = Box(0, 0, 400, 300)
NONE = np.empty((0, 4))


def corners(box):
    return np.array([[box.left, box.bottom, box.left + box.width, box.bottom + box.height]])


def crowded(count, seed, spread=60):
    generator = np.random.default_rng(seed)
    return [tuple(map(float, generator.normal((200, 150), spread))) for _ in range(count)]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("count, spread", [(1, 1), (6, 5), (15, 40), (30, 70)])
def test_labels_cover_nothing(count, seed, spread):
    anchors = [(min(max(x, 20), 380), min(max(y, 20), 280)) for x, y in crowded(count, seed, spread)]
    boxes = placed(anchors, [(48, 11)] * count, FIELD, NONE)
    found = [(anchor, box) for anchor, box in zip(anchors, boxes, strict=True) if box is not None]
    assert len(found) >= min(count, 5)
    marks = np.array([(x - MARK, y - MARK, x + MARK, y + MARK) for x, y in anchors])
    for i, (anchor, box) in enumerate(found):
        assert box.left >= 0 and box.bottom >= 0 and box.left + 48 <= 400 and box.bottom + 11 <= 300
        assert not overlapping(corners(box), marks).any()
        assert box.led == (np.hypot(box.end[0] - anchor[0], box.end[1] - anchor[1]) > LED)
        lead = np.array([[*anchor, *box.end]])
        for other_anchor, other in found[:i]:
            assert not overlapping(corners(box), corners(other)).any()
            other_lead = np.array([[*other_anchor, *other.end]])
            assert not (box.led and passing(corners(other), lead).any())
            assert not (other.led and passing(corners(box), other_lead).any())
            assert not (box.led and other.led and meeting(lead, other_lead).any())


def test_a_label_alone_stands_at_the_upper_right_without_a_line():
    (box,) = placed([(200.0, 150.0)], [(40, 10)], FIELD, NONE)
    assert box.left + 20 > 200 and box.bottom > 150 and not box.led


def test_a_label_at_the_corner_stays_in_the_field():
    (box,) = placed([(397.0, 297.0)], [(40, 10)], FIELD, NONE)
    assert box.left + 40 <= 400 and box.bottom + 10 <= 300


def test_a_label_keeps_off_lines_where_it_can():
    up = np.array([[210.0, 150.0, 210.0, 300.0], [150.0, 160.0, 250.0, 160.0]])
    (box,) = placed([(200.0, 150.0)], [(40, 10)], FIELD, up)
    assert not passing(corners(box), up).any()


def test_a_label_that_has_no_place_is_left_out():
    assert placed([(20.0, 10.0)], [(60, 11)], Box(0, 0, 40, 20), NONE) == [None]


def test_marks_without_labels_are_kept_clear_too():
    anchors = [(200.0, 150.0), (215.0, 165.0), (225.0, 160.0)]
    (box,) = placed(anchors, [(40, 10)], FIELD, NONE)
    marks = np.array([(x - MARK, y - MARK, x + MARK, y + MARK) for x, y in anchors])
    assert not overlapping(corners(box), marks).any()


@pytest.mark.parametrize(
    "line, expected",
    [
        ((0, 0, 10, 10), True),  # through
        ((4, 4, 6, 6), True),  # inside
        ((0, 5, 20, 5), True),  # level, across
        ((0, 9, 20, 9), False),  # level, above
        ((5, -9, 5, 1), False),  # upright, short of it
        ((0, 8, 3, 20), False),
    ],
)
def test_lines_that_pass_through_a_box_are_told_from_those_beside_it(line, expected):
    box = np.array([[3.0, 3.0, 8.0, 8.0]])
    assert passing(box, np.array([line], dtype=float))[0, 0] == expected
    assert passing(box, np.array([line], dtype=float)[:, [2, 3, 0, 1]])[0, 0] == expected


def test_segments_cross_or_not():
    first = np.array([[0.0, 0.0, 10.0, 10.0]])
    others = np.array([[0.0, 10.0, 10.0, 0.0], [0.0, 1.0, 10.0, 11.0], [11.0, 0.0, 12.0, 30.0]])
    assert meeting(first, others).tolist() == [[True, False, False]]
