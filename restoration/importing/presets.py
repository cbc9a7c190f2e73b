"""Architectures that traiNNer-redux and neosr know by one name each, with the keywords that the name stands for.

Names and numbers are those of traiNNer-redux's documentation of its architectures; the constructors are spandrel's.
"""

from typing import Any


def _like(architecture: str, **keywords: object) -> dict[str, Any]:
    return {"name": "spandrel", "architecture": architecture, **keywords}


def _windows(
    architecture: str, width: int, blocks: int, heads: int, window: int, **others: object
) -> dict[str, Any]:
    """Return a transformer of ``blocks`` stages of six layers."""
    stages = {"depths": [6] * blocks, "num_heads": [heads] * blocks, "mlp_ratio": 2.0}
    return _like(architecture, embed_dim=width, window_size=window, **stages, **others)


def _dat(stages: int = 6, depth: int = 6, **others: object) -> dict[str, Any]:
    return _like(
        "DAT", **{"depth": [depth] * stages, "num_heads": [6] * stages, "split_size": [8, 32], **others}
    )


def _rgt(stages: int) -> dict[str, Any]:
    many = {"depth": [6] * stages, "num_heads": [6] * stages}
    return _like("RGT", mlp_ratio=2.0, split_size=[8, 32], **many)


PRESETS: dict[str, dict[str, Any]] = {
    "atd": _windows(
        "ATD", 210, 6, 6, 16, img_size=96, num_tokens=128, reducted_dim=20, upsampler="pixelshuffle"
    ),
    "atd_light": _windows(
        "ATD", 48, 4, 6, 16, category_size=128, reducted_dim=8, convffn_kernel_size=7,
        upsampler="pixelshuffledirect",
    ) | {"mlp_ratio": 1.0},
    "compact": _like("Compact", num_feat=64, num_conv=16),
    "dat": _dat(),
    "dat_2": _dat(expansion_factor=2.0),
    "dat_light": _dat(1, 18, embed_dim=60, expansion_factor=2.0, resi_connection="3conv"),
    "dat_s": _dat(split_size=[8, 16], expansion_factor=2.0),
    "dctlsa": _like("DCTLSA"),
    "ditn_real": _like("DITN"),
    "drct": _windows("DRCT", 180, 6, 6, 16, upsampler="pixelshuffle"),
    "drct_l": _windows("DRCT", 180, 12, 6, 16, upsampler="pixelshuffle"),
    "drct_xl": _windows("DRCT", 180, 14, 6, 16, upsampler="pixelshuffle"),
    "hat_l": _windows("HAT", 180, 12, 6, 16),
    "hat_m": _windows("HAT", 180, 6, 6, 16),
    "hat_s": _windows("HAT", 144, 6, 6, 16, compress_ratio=24, squeeze_factor=24),
    "mosr": _like("MoSR"),
    "mosr_t": _like("MoSR", n_block=5, dim=48),
    "omnisr": _like("OmniSR", res_num=5),
    "plksr": _like("PLKSR", ccm_type="DCCM"),
    "plksr_tiny": _like("PLKSR", ccm_type="DCCM", n_blocks=12, kernel_size=13, use_ea=False),
    "rcan": _like("RCAN", norm=False),
    "realplksr": _like("PLKSR", variant="RealPLKSR", layer_norm=True),
    "realplksr_tiny": _like(
        "PLKSR", variant="RealPLKSR", layer_norm=True, n_blocks=12, kernel_size=13, use_ea=False
    ),
    "rgt": _rgt(8),
    "rgt_s": _rgt(6),
    "safmn": _like("SAFMN", dim=36),
    "safmn_l": _like("SAFMN", dim=128, n_blocks=16),
    "seemore_t": _like("SeemoRe", num_experts=3, embedding_dim=36, lr_space="exp"),
    "span": _like("SPAN", num_in_ch=3, num_out_ch=3, norm=False),
    "superultracompact": _like("Compact", num_feat=24, num_conv=8),
    "swin2sr_l": _windows("Swin2SR", 240, 9, 8, 8, upsampler="nearest+conv", resi_connection="3conv"),
    "swin2sr_m": _windows("Swin2SR", 180, 6, 6, 8, upsampler="pixelshuffle"),
    "swin2sr_s": _windows("Swin2SR", 60, 4, 6, 8, upsampler="pixelshuffledirect"),
    "swinir_l": _windows("SwinIR", 240, 9, 8, 8, upsampler="nearest+conv", resi_connection="3conv"),
    "swinir_m": _windows("SwinIR", 180, 6, 6, 8, img_size=48, upsampler="pixelshuffle"),
    "swinir_s": _windows("SwinIR", 60, 4, 6, 8, upsampler="pixelshuffledirect"),
    "ultracompact": _like("Compact", num_feat=64, num_conv=8),
}  # fmt: skip
