"""A transport as a file: fitted, written beside its place, read back, and only then named."""

from pathlib import Path

import torch

from restoration import weights
from restoration.errors import RequestError
from restoration.exporting.staging import staged
from restoration.foreign.joining import refuse_alone
from restoration.transport.fitting import Choice, Fitted, fit


def fit_to(
    restorer: str,
    clean: Path,
    degraded: Path | None,
    choice: Choice,
    out: Path,
    overwrite: bool = False,
    device: str | torch.device = "cpu",
) -> Fitted:
    """Write the transport around a restorer, by name or file, as ``out``; what is refused leaves nothing behind."""
    out = out.expanduser()
    if out.suffix != ".safetensors":
        raise RequestError(f"--out {out}: expected a name that ends in .safetensors")
    if out.is_dir() or (out.exists() and not overwrite):
        what = "a folder; expected a file" if out.is_dir() else "is there already; --overwrite replaces it"
        raise RequestError(f"--out {out}: {what}")
    loaded = weights.load(restorer)
    refuse_alone(loaded, restorer)
    if loaded.conditions:
        needs = ", ".join(dict.fromkeys(loaded.conditions))
        raise RequestError(
            f"--restorer {restorer}: needs {needs} beside the image; expected one that needs none"
        )
    folders = clean.expanduser(), degraded.expanduser() if degraded is not None else None
    found = fit(loaded, restorer, *folders, choice, out.stem, device)
    with staged(out) as made:
        weights.save(made, found.network, found.card)
        weights.load(made)
        made.replace(out)
    return found
