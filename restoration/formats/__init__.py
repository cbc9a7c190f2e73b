"""File formats by their specifications, where Pillow loses bits, rows, frames or metadata."""
