"""What is kept in memory, by several threads at once: counted right, made once, bounded, and let go."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from restoration.data.kept import Filled, Latest, each


def value(size: int) -> np.ndarray:
    return np.zeros(size, np.uint8)


def test_the_last_ones_used_stay_within_the_budget():
    kept, made = Latest(10), []
    for key in "abcabdab":
        kept.get(key, lambda key=key: made.append(key) or value(4))
    assert made == [*"abcabdab"]  # each was out again: two of four bytes fit
    assert kept.spent == 8 and len(kept._values) == 2
    kept.get("large", lambda: value(50))
    assert kept.spent == 50 and [*kept._values] == ["large"]  # one at least


def test_what_must_be_kept_is_kept_beyond_the_budget():
    kept, made = Latest(0, least=3), []
    for _ in range(4):
        for key in "abc":
            kept.get(key, lambda key=key: made.append(key) or value(7))
    assert made == ["a", "b", "c"] and kept.spent == 21
    kept.get("d", lambda: value(7))
    assert kept.spent == 21 and [*kept._values] == ["b", "c", "d"]


@pytest.mark.parametrize("budget", [0, 25, 1000])
def test_threads_leave_no_more_counted_than_there_is(budget):
    kept, started = Latest(budget), threading.Barrier(8)

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        started.wait()
        for _ in range(400):
            key = int(rng.integers(6))
            if rng.random() < 0.2:
                with pytest.raises(ValueError, match="not today"):
                    kept.get(("bad", key), fails)
            else:
                assert len(kept.get(key, lambda key=key: value(key + 5))) == key + 5

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert kept.spent == sum(len(v) for v in kept._values.values())
    assert kept.spent <= max(budget, 10) and not kept._making


def fails() -> np.ndarray:
    raise ValueError("not today")


def test_a_value_put_twice_counts_once():
    kept = Latest(100)
    kept._put("a", value(30))
    kept._put("a", value(20))
    assert kept.spent == 20


def test_a_value_that_several_threads_want_is_made_once_even_after_one_failed():
    kept, made, inside = Latest(4, each), [], threading.Event()
    tries = iter([fails, lambda: made.append(1) or value(1), lambda: made.append(1) or value(1)])

    def make() -> np.ndarray:
        inside.set()
        return next(tries)()

    def get() -> bool:
        try:
            return len(kept.get("a", make)) == 1
        except ValueError:
            return False

    with ThreadPoolExecutor(6) as pool:
        found = [future.result() for future in [pool.submit(get) for _ in range(6)]]
    assert inside.is_set() and found.count(False) == 1 and made == [1] and not kept._making


def test_what_stays_for_good_is_counted_once_by_threads():
    kept, started = Filled(12), threading.Barrier(6)

    def work(_: int) -> None:
        started.wait()
        for key in range(5):
            kept.get(key, lambda: value(4))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert kept.spent == 12 and len(kept._values) == 3
