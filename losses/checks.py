"""What the keywords of losses are checked for: one line that names the keyword, what it got and what it expected."""

import math
from collections.abc import Collection


def positive(name: str, value: float) -> None:
    """Refuse what is not a finite number above 0."""
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{name} = {value:g}; expected more than 0")


def not_negative(name: str, value: float) -> None:
    """Refuse what is not a finite number from 0."""
    if not (value >= 0 and math.isfinite(value)):
        raise ValueError(f"{name} = {value:g}; expected at least 0")


def from_one(name: str, value: int) -> None:
    """Refuse what is not a whole number from 1."""
    if value < 1:
        raise ValueError(f"{name} = {value}; expected a whole number from 1")


def one_of(name: str, value: str, choices: Collection[str]) -> None:
    """Refuse a word that is not among the choices."""
    if value not in choices:
        raise ValueError(f'{name} = "{value}"; expected {" or ".join(choices)}')
