"""Minimum distortion at perfect perception (Ohayon et al., 2025; Adrai et al., 2023), on photographs, on a CPU."""
