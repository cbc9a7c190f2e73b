"""Checkpoints that others made: read without running their code, recognised by names and shapes."""

from restoration.foreign.layout import Match, Spec, State
from restoration.foreign.layouts import LAYOUTS
from restoration.foreign.reading import SUFFIXES, read_state
from restoration.foreign.recognition import difference, recognise

__all__ = ["LAYOUTS", "SUFFIXES", "Match", "Spec", "State", "difference", "read_state", "recognise"]
