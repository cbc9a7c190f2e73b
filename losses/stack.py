"""The loss stack: weighted terms over (restored, batch), evaluated in float32."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from restoration.losses.features import shared_passes
from restoration.losses.term import Options, Pair, PairTerm, Term

MEASURE_EVERY = 100  # steps between two rows of the log, with every term's gradient: a backward pass each
LARGEST_BALANCE = 1e4  # as Esser et al. clamp it
SMALLEST_SLOPE = 1e-4  # what they add to the denominator

__all__ = ["Entry", "Options", "Pair", "PairTerm", "Stack", "Term"]


@dataclass(frozen=True)
class Entry:
    """A term with its name in the logs and its options."""

    name: str
    term: Term
    options: Options = field(default_factory=Options)


class Stack:
    """The weighted sum of terms, ``Σ wᵢ(step) · meanₙ termᵢ``, always in float32."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        if not entries:
            raise ValueError("the stack is empty: a run needs at least one [[stack]] entry")
        names = _unique([entry.name for entry in entries])
        self.entries = [Entry(n, e.term, e.options) for n, e in zip(names, entries, strict=True)]
        if all(entry.options.balance for entry in self.entries):
            raise ValueError("balance = true for every term: expected one without it to balance against")
        terms = {entry.name: entry.term for entry in self.entries}
        for term in terms.values():
            term.connect(terms)

    @property
    def balanced(self) -> bool:
        """Whether any term's weight follows gradients at the last layer."""
        return any(entry.options.balance for entry in self.entries)

    def groups(self) -> dict[str, nn.Module]:
        """Return the parts that each term trains, under its entry's name: they learn together."""
        owned = {entry.name: entry.term.groups() for entry in self.entries}
        return {
            name: next(iter(parts.values())) if len(parts) == 1 else nn.ModuleDict(parts)
            for name, parts in owned.items()
            if parts
        }

    def acting(self, step: int) -> list[Entry]:
        """Return the entries that act at ``step``."""
        return [entry for entry in self.entries if entry.options.acts(step)]

    def of_restored(self, restored: Tensor, batch: Pair) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the weighted sum over terms, and for the log each term's own unweighted mean.

        Every hundredth step the log also holds ``NAME.slope``, the norm of the gradient of the weighted term with
        respect to the restored images. Balanced terms keep their weight where nothing that learns made the images.
        """
        acting = self.acting(batch.step)
        if not acting:
            raise ValueError(f"no term of the stack acts at step {batch.step}")
        with torch.autocast(restored.device.type, enabled=False), shared_passes():
            image = restored.float()
            values = {e.name: e.term.of_batch(image, batch) for e in acting}
        weights = {e.name: e.options.weight_at(batch.step) for e in acting}
        logs = {name: value.detach() for name, value in values.items()}
        if any(e.options.balance for e in acting) and (last := last_kernel(restored)) is not None:
            factor = _balance(acting, values, weights, last)
            for name in factor:
                values[name] = values[name] * factor[name]
                logs[f"{name}.balance"] = factor[name]
        weighted = {name: weights[name] * value for name, value in values.items()}
        if (batch.step + 1) % MEASURE_EVERY == 0:
            logs |= {f"{name}.slope": _slope(value, image) for name, value in weighted.items()}
        return sum(weighted.values()), logs

    def slopes_of(self, restored: Tensor, batch: Pair) -> Callable[[], dict[str, Tensor]]:
        """Return what works out, when it is called, the norm of each term's gradient at the restored images.

        For finding the term whose gradient is not finite: every term is evaluated anew, weighted, on these images. One
        whose own parts are no longer finite is left out.
        """
        image = restored.detach().float()

        def slopes() -> dict[str, Tensor]:
            found = {}
            for entry in self.acting(batch.step):
                if not all(_finite(part) for part in entry.term.groups().values()):
                    continue  # it has learnt from the bad images: what it asks for now says nothing
                alone = image.clone().requires_grad_()
                with torch.enable_grad(), torch.autocast(image.device.type, enabled=False), shared_passes():
                    value = entry.options.weight_at(batch.step) * entry.term.of_batch(alone, batch)
                found[entry.name] = _slope(value, alone)
            return found

        return slopes

    def of_own_parts(self, restored: Tensor, batch: Pair) -> Iterator[tuple[str, Tensor]]:
        """Yield (group, scalar) for every acting term that owns parts, in the order of the stack."""
        for entry in self.acting(batch.step):
            if entry.term.groups():
                yield entry.name, _of_own_parts(entry.term, restored.detach().float(), batch)


def last_kernel(image: Tensor) -> Tensor | None:
    """Return the learning kernel used the fewest steps before the image in its graph: that of the last layer.

    Of several equally near ones it is the last; None where no kernel that learns made the image.
    """
    level, seen = [image.grad_fn] if image.grad_fn else [], set()
    while level:
        kernels = [node.variable for node in level if hasattr(node, "variable") and node.variable.ndim >= 2]
        if kernels:
            return kernels[-1]
        seen.update(level)
        following = (before for node in level for before, _ in node.next_functions)
        level = [node for node in dict.fromkeys(following) if node is not None and node not in seen]
    return None


def _of_own_parts(term: Term, restored: Tensor, batch: Pair) -> Tensor:
    with torch.autocast(restored.device.type, enabled=False), shared_passes():
        return term.of_own_parts(restored, batch)


def _balance(
    acting: Sequence[Entry], values: dict[str, Tensor], weights: dict[str, float], last: Tensor
) -> dict[str, Tensor]:
    """Return λ = ‖∇ Σ unbalanced‖ / (‖∇ term‖ + 1e-4) of every balanced term, at most 1e4, without gradient."""
    balanced = [e.name for e in acting if e.options.balance]
    others = [weights[e.name] * values[e.name] for e in acting if not e.options.balance]
    if not balanced or not others:
        return {}
    reference = _norm(sum(others), last)
    norms = {name: _norm(values[name], last) for name in balanced}
    return {n: (reference / (norm + SMALLEST_SLOPE)).clamp(max=LARGEST_BALANCE) for n, norm in norms.items()}


def _finite(part: nn.Module) -> bool:
    return all(bool(parameter.isfinite().all()) for parameter in part.parameters())


def _slope(value: Tensor, image: Tensor) -> Tensor:
    return _norm(value, image) if value.requires_grad and image.requires_grad else value.new_zeros(())


def _norm(value: Tensor, with_respect_to: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(value, with_respect_to, retain_graph=True, allow_unused=True)
    return value.new_zeros(()) if gradient is None else gradient.float().norm()


def _unique(names: Sequence[str]) -> list[str]:
    """Number repeated names: l1, l1-2, l1-3."""
    return [
        name if (nth := list(names[:i]).count(name)) == 0 else f"{name}-{nth + 1}"
        for i, name in enumerate(names)
    ]
