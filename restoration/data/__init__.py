"""Training data: what images come from, in which order, and how they become batches."""

from restoration.data.build import build_source
from restoration.data.feeding import Feeding, feed, prefetch
from restoration.data.files import PACKAGED, Photographs, data_root, training_images
from restoration.data.pairs import Pairs
from restoration.data.source import Source

__all__ = [
    "PACKAGED",
    "Feeding",
    "Pairs",
    "Photographs",
    "Source",
    "build_source",
    "data_root",
    "feed",
    "prefetch",
    "training_images",
]
