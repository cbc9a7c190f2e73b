"""What parts of an experiment must agree on: whose term it is, one regression, one source."""

import pytest

from restoration.agreement import check_terms, one_flow
from restoration.errors import ConfigError

FLOW = {"name": "rectified-flow"}


def test_terms_of_another_method_are_refused_by_their_place():
    stack = [{"name": "l1"}, {"name": "rectified-flow"}]
    check_terms(stack, FLOW)
    check_terms(stack[:1], {"name": "direct"})
    with pytest.raises(ConfigError) as caught:
        check_terms(stack, {"name": "direct"})
    assert str(caught.value) == (
        "stack.1: term 'rectified-flow' belongs to method 'rectified-flow'; this experiment's method is 'direct'"
    )


def test_what_is_no_term_is_left_to_the_check_that_follows():
    check_terms([{"name": "no-such-term"}, {"weight": 1.0}, "l1", {"name": 3}], FLOW)


def test_other_methods_keep_their_parts():
    network, stack = {"name": "imdn"}, [{"name": "l1"}]
    assert one_flow({"name": "direct"}, network, stack, 16) == (network, stack)


def test_flow_without_its_term_gets_it_last_and_strata_are_the_batch():
    network = {"name": "posterior-mean-flow"}
    found = one_flow(FLOW, network, [{"name": "l1"}], 12)
    assert found == (network, [{"name": "l1"}, {"name": "rectified-flow", "strata": 12}])
    assert one_flow(FLOW, network, [], 12) == (network, [])  # an empty stack is refused as such


def test_what_the_entry_says_of_the_source_holds_for_the_network():
    entry = {"name": "rectified-flow", "source": "noise", "sigma": 0.3, "strata": 5}
    network, stack = one_flow(FLOW, {"name": "posterior-mean-flow", "sigma": 0.1}, [entry], 12)
    assert network == {"name": "posterior-mean-flow", "source": "noise", "sigma": 0.1}  # said there: kept
    assert stack == [entry]
