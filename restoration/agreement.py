"""What the parts of an experiment must agree on beyond their own keywords."""

from collections.abc import Mapping, Sequence
from typing import Any

from restoration.config import Spec
from restoration.errors import ConfigError

FLOW = "rectified-flow"


def check_terms(stack: Sequence[Any], method: Mapping[str, Any]) -> None:
    """Refuse terms of the stack that another method alone can evaluate."""
    for i, spec in enumerate(stack):
        owner = _owner(spec)
        if owner not in ("", method.get("name")):
            raise ConfigError(
                f"stack.{i}: term '{spec['name']}' belongs to method '{owner}'; "
                f"this experiment's method is '{method.get('name')}'"
            )


def one_flow(method: Spec, network: Spec, stack: list[Any], batch: int) -> tuple[Spec, list[Any]]:
    """Return network and stack of a flow: one term of regression, strata as the batch, its source in both."""
    if method.get("name") != FLOW:
        return network, stack
    names = [spec.get("name") if isinstance(spec, dict) else None for spec in stack]
    stack = stack if FLOW in names or not stack else [*stack, {"name": FLOW}]
    stack = [{"strata": batch} | spec if _is_flow(spec) else spec for spec in stack]
    said = {k: v for spec in stack if _is_flow(spec) for k, v in spec.items() if k in ("source", "sigma")}
    return said | network, stack


def _owner(spec: object) -> str:
    """Return the one method that can evaluate a term, or nothing."""
    from restoration.losses import TERMS
    from restoration.losses.term import Term

    term: Any = (
        TERMS.get(spec["name"]) if isinstance(spec, dict) and isinstance(spec.get("name"), str) else None
    )
    known: bool = isinstance(term, type) and issubclass(term, Term)
    return term.method if known else ""


def _is_flow(spec: object) -> bool:
    return isinstance(spec, dict) and spec.get("name") == FLOW
