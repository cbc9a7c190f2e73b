"""Work on many files: results in order, little of it waiting, and a count on stderr."""

import threading
import time

import pytest

from restoration.curation.tally import Tally
from restoration.pool import in_order


def test_results_come_in_order_whatever_takes_longest():
    def slow_first(number: int) -> int:
        time.sleep(0.02 if number == 0 else 0)
        return number**2

    assert [future.result() for future in in_order(slow_first, range(20), 4)] == [n**2 for n in range(20)]


def test_few_things_are_begun_ahead_and_none_after_leaving():
    begun, lock = [], threading.Lock()

    def note(number: int) -> int:
        with lock:
            begun.append(number)
        return number

    results = in_order(note, range(100), 2)
    assert next(results).result() == 0
    time.sleep(0.05)
    assert len(begun) <= 5
    results.close()
    time.sleep(0.02)
    assert len(begun) <= 5


def test_an_error_is_raised_by_its_own_result_alone():
    results = list(in_order(lambda n: 1 // n, [1, 0, 2], 2))
    with pytest.raises(ZeroDivisionError):
        results[1].result()
    assert (results[0].result(), results[2].result()) == (1, 0)


def test_a_count_appears_where_there_is_no_terminal_only_now_and_then(capsys, monkeypatch):
    with Tally("packing", 10) as tally:
        tally(1)
        monkeypatch.setattr("restoration.live.PLAIN_EVERY", 0.0)
        tally(2)
        tally.note("said beside it")
    out, err = capsys.readouterr()
    counted, note = err.splitlines()
    assert out == "" and counted.startswith("packing 2/10  ") and counted.endswith(" files/s")
    assert note == "said beside it"


def test_a_quiet_count_shows_nothing(capsys, monkeypatch):
    monkeypatch.setattr("restoration.live.PLAIN_EVERY", 0.0)
    with Tally("packing", 10, quiet=True) as tally:
        tally(3)
        tally.note("unheard")
    assert capsys.readouterr() == ("", "")


def test_a_terminal_has_a_bar_with_the_rate(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Tally("packing", 10) as tally:
        tally(3)
        (task,) = tally.bar.tasks
        tally.note("said beside it")
    assert (task.completed, task.total) == (3, 10) and task.fields["rate"].endswith(" files/s")
    assert "said beside it" in capsys.readouterr().err
