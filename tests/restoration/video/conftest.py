"""Fixtures of the tests of videos."""

import pytest

from restoration.weights import load


@pytest.fixture
def identity():
    return load("identity")
