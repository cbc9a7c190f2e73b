"""Work in a second thread: in order, at most one behind, and never waited for in vain."""

import threading
import time
from functools import partial

import pytest
import torch

from restoration.benchmarks.aside import Abreast, Aside


def test_everything_is_worked_on_in_order_by_one_other_thread():
    seen, threads = [], set()

    def work(items):
        for item in items:
            time.sleep(0.001)
            seen.append(item)
            threads.add(threading.get_ident())

    aside = Aside()
    for first in range(0, 30, 3):
        aside.follow(work, iter(range(first, first + 3)))
    aside.finish()
    assert seen == list(range(30))
    assert len(threads) == 1 and threading.get_ident() not in threads


def test_no_more_waits_than_one_item_beside_the_one_that_is_worked_on():
    made, done, most = [], [], []

    def work(items):
        for item in items:
            time.sleep(0.002)
            done.append(item)

    def items(numbers):
        for number in numbers:
            made.append(number)
            most.append(len(made) - len(done))
            yield number

    aside = Aside()
    for first in range(0, 20, 2):
        aside.follow(work, items([first, first + 1]))
    aside.finish()
    assert done == list(range(20)) and max(most) <= 3  # worked on, waiting, being made


def test_what_goes_wrong_in_the_work_is_raised_here_and_blocks_nothing():
    def work(items):
        next(items)
        raise ValueError("no")

    aside = Aside()
    aside.follow(work, iter(range(10)))
    with pytest.raises(ValueError, match="no"):
        aside.follow(lambda items: list(items), iter(range(3)))
    aside.finish()


def test_what_goes_wrong_in_making_items_ends_the_work():
    seen = []

    def items():
        yield 1
        raise RuntimeError("broken")

    aside = Aside()
    with pytest.raises(RuntimeError, match="broken"):
        aside.follow(lambda found: seen.extend(found), items())
    aside.finish()
    assert seen == [1]


def test_the_last_exception_comes_with_finish():
    def work(items):
        list(items)
        raise ValueError("late")

    aside = Aside()
    aside.follow(work, iter([1]))
    with pytest.raises(ValueError, match="late"):
        aside.finish()
    aside.finish()


def test_images_abreast_come_in_their_order_each_in_one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        abreast, seen, alone = Abreast(), [], []

        def work(i):
            time.sleep(0.02 * (i % 3 == 0))
            alone.append(torch.get_num_threads())
            return i

        for i in range(10):
            abreast.follow(partial(work, i), lambda future: seen.append(future.result()))
            assert i - len(seen) <= 2
        abreast.finish()
        assert seen == list(range(10)) and alone == [1] * 10
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_an_error_abreast_is_told_in_order_and_gives_the_threads_back():
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        abreast, seen = Abreast(), []
        with pytest.raises(ZeroDivisionError):
            for i in range(3, -4, -1):
                abreast.follow(partial(divmod, 1, i), lambda future: seen.append(future.result()))
            abreast.finish()
        assert seen == [divmod(1, i) for i in (3, 2, 1)]
        abreast.close()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
