"""What is kept in memory: pictures as long as a budget lasts, blocks and open files by how lately they were used.

Both are shared by threads and travel to other processes empty.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
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


class Latest(Generic[T]):
    """The values used last, at least one and at most ``budget`` of what ``measure`` counts.

    Two threads that want the same value make it once: the second waits for the first.
    """

    def __init__(self, budget: int, measure: Callable[[T], int] = nbytes) -> None:
        self.budget, self.measure = budget, measure
        self.spent, self._lock = 0, threading.Lock()
        self._values: OrderedDict[Hashable, T] = OrderedDict()
        self._making: dict[Hashable, threading.Lock] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.budget, self.measure)

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the value of a key, made if it is not here; whoever still uses an old value keeps it alive."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                if key in self._values:
                    return self._values[key]
            value = make()
            with self._lock:
                self._put(key, value)
        return value

    def _put(self, key: Hashable, value: T) -> None:
        self._values[key] = value
        self._making.pop(key, None)
        self.spent += self.measure(value)
        while self.spent > self.budget and len(self._values) > 1:
            self.spent -= self.measure(self._values.popitem(last=False)[1])
