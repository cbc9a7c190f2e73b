"""What keywords are refused for, verbatim."""

import math

import pytest

from restoration.losses.checks import not_negative, one_of, positive


def refusal(check, *given) -> str | None:
    try:
        check(*given)
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize("value", [0, -0.5, math.inf, math.nan])
def test_positive_refuses_what_is_not_above_0(value):
    assert refusal(positive, "sigma", value) == f"sigma = {value:g}; expected more than 0"
    assert refusal(positive, "sigma", 1e-9) is None


@pytest.mark.parametrize("value", [-1e-9, math.inf, math.nan])
def test_not_negative_refuses_what_is_below_0(value):
    assert refusal(not_negative, "weight", value) == f"weight = {value:g}; expected at least 0"
    assert refusal(not_negative, "weight", 0) is None


def test_one_of_lists_the_choices():
    assert refusal(one_of, "kind", "c", ("a", "b")) == 'kind = "c"; expected a or b'
    assert refusal(one_of, "kind", "b", ("a", "b")) is None
