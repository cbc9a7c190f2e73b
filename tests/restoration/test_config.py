"""Configuration refuses what it does not know, in one line that names the key."""

import tomllib
from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from pydantic import Field

from restoration.config import build, check, differences, nearest, override, typed
from restoration.errors import ConfigError
from restoration.toml import dumps


class Paint:
    def __init__(
        self,
        colour: Literal["red", "blue"],
        width: int = 2,
        gamma: float = 2.2,
        size: tuple[int, int] = (1, 2),
    ):
        self.colour, self.width, self.gamma, self.size = colour, width, gamma, size


@dataclass(frozen=True)
class Section:
    steps: Annotated[int, Field(ge=1)]
    fast: bool = False
    rates: tuple[float, ...] = ()


TABLE = {"paint": Paint, "other": Section}


def refusal(action) -> str:
    with pytest.raises(ConfigError) as caught:
        action()
    return str(caught.value)


def test_nearest_offers_only_what_is_close():
    assert nearest("lpisp", ["lpips", "l1"]) == "; did you mean 'lpips'?"
    assert nearest("zzz", ["lpips", "l1"]) == ""


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"name": "pant"}, "stack.2: unknown part 'pant'; did you mean 'paint'?"),
        (
            {"name": "paint", "colour": "red", "widht": 3},
            "stack.2.widht: unknown key of part 'paint'; did you mean 'width'?",
        ),
        ({"name": "paint"}, "stack.2: part 'paint' needs 'colour' ('red' or 'blue')"),
        ({"name": "paint", "colour": "red", "width": 1.5}, "stack.2.width = 1.5: expected a whole number"),
        ({"name": "paint", "colour": "red", "width": "3"}, 'stack.2.width = "3": expected a whole number'),
        ({"name": "paint", "colour": "red", "width": True}, "stack.2.width = true: expected a whole number"),
        (
            {"name": "paint", "colour": "blu"},
            "stack.2.colour = \"blu\": expected 'red' or 'blue'; did you mean 'blue'?",
        ),
        ("paint", 'stack.2 = "paint": expected a table with a name, such as { name = "…" }'),
    ],
)
def test_wrong_part_is_named(spec, message):
    assert refusal(lambda: check(TABLE, spec, "stack.2", "part")) == message


def test_check_fills_in_defaults_and_build_agrees():
    spec = {"name": "paint", "colour": "red", "gamma": 1, "size": [3, 4]}
    assert check(TABLE, spec, "x", "part") == {
        "name": "paint", "colour": "red", "width": 2, "gamma": 1, "size": [3, 4],
    }  # fmt: skip
    built = build(TABLE, spec, "x", "part")
    assert (built.colour, built.width, built.gamma, built.size) == ("red", 2, 1.0, (3, 4))


def test_typed_section():
    assert typed(Section, {"steps": 3, "rates": [1, 0.5]}, "schedule") == Section(3, False, (1.0, 0.5))
    assert (
        refusal(lambda: typed(Section, {"steps": 1.5}, "schedule"))
        == "schedule.steps = 1.5: expected a whole number"
    )
    assert (
        refusal(lambda: typed(Section, {"step": 1}, "schedule"))
        == "schedule.step: unknown key; did you mean 'steps'?"
    )
    assert refusal(lambda: typed(Section, {}, "schedule")).startswith("schedule.steps: missing")
    assert "greater than or equal to 1" in refusal(lambda: typed(Section, {"steps": 0}, "schedule"))


def test_override_reads_toml_then_text():
    document = {"stack": [{"weight": 1.0}, {"weight": 2.0}], "data": {"images": "a"}}
    changed = override(
        document, ["stack.1.weight=0.1", "data.images=photos/", "schedule.steps=10", "x=[1, 2]"]
    )
    assert changed == {
        "stack": [{"weight": 1.0}, {"weight": 0.1}], "data": {"images": "photos/"}, "schedule": {"steps": 10}, "x": [1, 2],
    }  # fmt: skip
    assert document["stack"][1]["weight"] == 2.0
    assert refusal(lambda: override(document, ["stack.7.weight=1"])) == (
        "--set stack.7.weight: '7' is no entry of a list of 2 (they count from 0)"
    )
    assert refusal(lambda: override(document, ["steps"])) == "--set steps: expected KEY=VALUE"


def test_dumps_reads_back_equal():
    document = {
        "name": "x \"quoted\" ×4", "steps": 100_000, "rate": 1e-4, "on": True, "none": [], "list": [1, [2.5, "a"]],
        "stack": [{"name": "l1", "weight": 1.0}, {"name": "adversarial", "discriminator": {"name": "patch", "depth": 3}}],
        "section": {"a": 1, "b": {"c": "d"}},
    }  # fmt: skip
    assert tomllib.loads(dumps(document)) == document


def test_differences_are_dotted():
    assert differences({"a": {"b": 1, "c": 2}, "d": 1}, {"a": {"b": 1, "c": 3}, "e": 1}) == ["a.c", "d", "e"]
