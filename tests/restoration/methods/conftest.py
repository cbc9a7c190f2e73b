"""What tests of methods share: a compiler that writes down whose calls go through it."""

import pytest
import torch


@pytest.fixture
def compiled(monkeypatch):
    """Replace PyTorch's compiler, and return the list of modules that are called compiled, in order."""
    found = []

    def compile(function, **options):
        def call(*args, **kwargs):
            found.append(function.__self__)
            return function(*args, **kwargs)

        return call

    monkeypatch.setattr(torch, "compile", compile)
    return found
