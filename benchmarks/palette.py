"""The colours of pictures and the page, light and dark, and which mark goes with which restorer."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Palette:
    """The colours of a picture; ``restorers`` go round."""

    ink: str
    soft: str
    rule: str
    ground: str
    restorers: tuple[str, ...]


LIGHT = Palette(
    "#16191d", "#535b66", "#d9dde3", "#ffffff",
    ("#0b57c2", "#b34700", "#157347", "#8227a5", "#a3123f", "#5c5200"),
)  # fmt: skip
DARK = Palette(
    "#e8ebef", "#a9b3c0", "#333a44", "#181c22",
    ("#6aa9ff", "#ffa257", "#5fd68d", "#d49cff", "#ff8aa8", "#e0d060"),
)  # fmt: skip
VARIABLES = {  # of the page, so that the picture follows its light and dark
    LIGHT.ink: "--ink", LIGHT.soft: "--soft", LIGHT.rule: "--line", LIGHT.ground: "--card",
    **{colour: f"--r{i}" for i, colour in enumerate(LIGHT.restorers)},
}  # fmt: skip


def shape(index: int) -> int:
    """Return which of six marks the restorer of this index has: 36 have no mark and colour in common."""
    return (index + index // 6) % 6
