"""Releases that put the parts of one network into several files: joined where the files lie side by side."""

from pathlib import Path

from restoration.errors import WeightsError
from restoration.foreign import medfe
from restoration.foreign.layout import State
from restoration.foreign.reading import read_state
from restoration.foreign.reflection import is_estimator

LAYERS = ("T", "R")


def completed(state: State, path: Path) -> State:
    """Return the tensors of the whole network, where ``path`` holds a part of it; all others as they are.

    Parts are told by their tensors, but for the two networks of IBCLN, which have the same shapes. The others are
    looked for under the names of the releases: EPOCH_net_EN, EPOCH_net_MEDFE and EPOCH_net_DE; EPOCH_net_G_T and
    EPOCH_net_G_R. Names are prefixed by the part and a dot, as the layouts of those networks expect.
    """
    part = medfe.part_of(state)
    if part is not None:
        return _joined(state, path, part, medfe.PARTS, "_net_", "MEDFE")
    if is_estimator(state):
        layer = next((name for name in LAYERS if path.stem.endswith(f"_G_{name}")), None)
        if layer is None:
            raise WeightsError(
                f"{path}: one of the two networks of IBCLN; expected a name that says which, "
                f"as final_net_G_T{path.suffix} and final_net_G_R{path.suffix}"
            )
        return _joined(state, path, layer, LAYERS, "_G_", "IBCLN")
    return state


def _joined(state: State, path: Path, own: str, parts: tuple[str, ...], before: str, network: str) -> State:
    if not path.stem.endswith(before + own):
        raise WeightsError(
            f"{path}: part {own} of {network}; expected a name that ends in {before}{own}, beside the others"
        )
    stem = path.stem.removesuffix(own)
    files = {part: path.with_name(f"{stem}{part}{path.suffix}") for part in parts}
    missing = [file.name for part, file in files.items() if part != own and not file.exists()]
    if missing:
        raise WeightsError(f"{path}: part {own} of {network}; beside it are missing: {', '.join(missing)}")
    states = {part: state if part == own else read_state(file) for part, file in files.items()}
    return joined(states)


def joined(parts: dict[str, State]) -> State:
    """Return the tensors of all parts, each name prefixed by its part and a dot."""
    return {f"{part}.{name}": tensor for part, state in parts.items() for name, tensor in state.items()}
