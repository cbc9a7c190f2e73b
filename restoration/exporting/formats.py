"""One restorer into one of the formats that others read."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from restoration import weights
from restoration.errors import RequestError
from restoration.exporting import community, hub, onnx
from restoration.restorers.network import Restorer

Format = Literal["basicsr", "hub", "onnx", "spandrel"]
FOLDERS = ("hub",)


def export(
    source: str,
    form: Format,
    out: Path,
    *,
    push: str | None = None,
    private: bool = False,
    overwrite: bool = False,
) -> Iterator[str]:
    """Write the restorer ``source`` as ``out`` and yield what is to be said of it, line by line."""
    _check_place(out, form, overwrite)
    restorer = weights.load(source)
    parameters = sum(p.numel() for p in restorer.network.parameters())
    if not parameters:
        raise RequestError(f"restorer '{restorer.card.name}': has no weights to export")
    title = f"{out}: {restorer.card.name}, ×{restorer.scale}, {parameters:,} parameters"
    if form == "onnx":
        yield f"{title}\n{_onnx(restorer, out)}"
    elif form == "hub":
        hub.write(restorer, out)
        yield f"{title}; load it by this folder's name"
        if push:
            yield f"uploaded: {hub.push(out, push, private)}; load it as hf:{push}"
    else:
        yield f"{title}\n{community.write(restorer, out, form)}"


def _onnx(restorer: Restorer, out: Path) -> str:
    found = onnx.write(restorer, out)
    sizes = ", ".join(f"{height}x{width}" for _, height, width in onnx.SIZES)
    times = ", ".join(f"{name} {seconds:.3f} s" for name, seconds in found.seconds.items())
    own = f" (torch's own rounding there: {found.rounding:.0e})" if found.rounding else ""
    count = "any number of pictures at once" if found.batch else "one picture at a time"
    return (
        f"onnxruntime equals torch to {found.difference:.0e}{own} of the output's standard deviation at {sizes}; "
        f"{count}\n"
        f"{onnx.TIMED}x{onnx.TIMED} pixels on this machine: {times}"
    )


def _check_place(out: Path, form: Format, overwrite: bool) -> None:
    if form == "onnx" and out.suffix != ".onnx":
        raise RequestError(f"--out {out}: expected a name that ends in .onnx")
    if form in FOLDERS and out.exists() and not out.is_dir():
        raise RequestError(f"--out {out}: a file; expected a folder")
    filled = any(out.iterdir()) if out.is_dir() else out.exists()
    if filled and not overwrite:
        raise RequestError(f"{out}: is there already; --overwrite replaces it")
    if form not in FOLDERS and out.is_dir():
        raise RequestError(f"--out {out}: a folder; expected a file's name")
