"""Large images by parts: windows whose joined results equal the whole, padding to a multiple, self-ensemble."""

from restoration.tiling.choice import fast_side
from restoration.tiling.ensemble import self_ensemble, turned, turned_back
from restoration.tiling.parts import Share, by_parts, fetch_from, tiled
from restoration.tiling.windows import Edge, Fetch, Function, Tile, Tiling, Window, Wrap, continued, reflected

__all__ = [
    "Edge",
    "Fetch",
    "Function",
    "Share",
    "Tile",
    "Tiling",
    "Window",
    "Wrap",
    "by_parts",
    "continued",
    "fast_side",
    "fetch_from",
    "reflected",
    "self_ensemble",
    "tiled",
    "turned",
    "turned_back",
]
