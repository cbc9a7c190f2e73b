"""What a restorer's file says about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Card:
    """Everything beside the tensors; plain data, stored as JSON in the weights file.

    ``network`` is the complete table that builds it: name and all keywords. ``training`` records data, steps,
    seed, seconds, hardware and command; ``scores`` maps a protocol and metric to a value.
    """

    name: str
    task: str
    network: Mapping[str, Any]
    scale: int = 1
    licence: str = "unknown"
    training: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
