"""What is kept in memory: pictures as long as a budget lasts, blocks and open files by how lately they were used.

Both are shared by threads and travel to other processes empty.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")


def each(value: object) -> int:
    """Return 1: what is counted, not measured."""
    return 1


def nbytes(value: Any) -> int:  # noqa: ANN401
    """Return the bytes of an array or a table."""
    return int(value.nbytes)


class Filled(Generic[T]):
    """Values that stay for good, as long as ``budget`` bytes last.

    An epoch looks at every image once, in another order each time. Then throwing the oldest out would keep a share p
    of the images and find p²/2 of them; what never leaves is found as often as it is kept.
    """

    def __init__(self, budget: int, measure: Callable[[T], int] = nbytes) -> None:
        self.budget, self.measure = budget, measure
        self.spent, self._values, self._lock = 0, {}, threading.Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.budget, self.measure)

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the value of a key, made if it is not here."""
        if key in self._values:
            return self._values[key]
        value = make()
        with self._lock:
            size = self.measure(value)
            if key not in self._values and self.spent + size <= self.budget:
                self.spent += size
                self._values[key] = value
        return value


@dataclass
class _Making:
    """A value that is being made, and how many threads make it or wait for it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    users: int = 0


class Latest(Generic[T]):
    """The values used last: at most ``budget`` of what ``measure`` counts, but ``least`` of them whatever they count.

    Two threads that want the same value make it once: the second waits for the first.
    """

    def __init__(self, budget: int, measure: Callable[[T], int] = nbytes, least: int = 1) -> None:
        self.budget, self.measure, self.least = budget, measure, least
        self.spent, self._lock = 0, threading.Lock()
        self._values: OrderedDict[Hashable, T] = OrderedDict()
        self._making: dict[Hashable, _Making] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.budget, self.measure, self.least)

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the value of a key, made if it is not here; whoever still uses an old value keeps it alive."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
            making = self._making.setdefault(key, _Making())
            making.users += 1
        try:
            with making.lock:
                with self._lock:
                    if key in self._values:
                        return self._values[key]
                value = make()
                with self._lock:
                    self._put(key, value)
            return value
        finally:
            with self._lock:
                making.users -= 1
                if not making.users:
                    del self._making[key]

    def _put(self, key: Hashable, value: T) -> None:
        if key in self._values:
            self.spent -= self.measure(self._values.pop(key))
        self._values[key] = value
        self.spent += self.measure(value)
        while self.spent > self.budget and len(self._values) > self.least:
            self.spent -= self.measure(self._values.popitem(last=False)[1])
