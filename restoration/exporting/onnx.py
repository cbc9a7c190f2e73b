"""A restorer as an ONNX file that takes pictures of any size, checked against the network before it appears."""

import copy
import json
import logging
import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.export import Dim

from restoration import __version__
from restoration.errors import RequestError, RestorationError
from restoration.exporting.graph import AnySize
from restoration.exporting.staging import staged
from restoration.exporting.windows import open_sizes
from restoration.restorers.network import Restorer
from restoration.tiling import tiled

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from torch.onnx import ONNXProgram

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
SIZES = ((1, 33, 41), (2, 37, 53), (1, 64, 48), (1, 7, 64), (1, 5, 3))  # images, height, width
TRACED = (2, 35, 43)  # of no importance but for not being 0, 1 or a multiple of anything
AXES = {0: "batch", 2: "height", 3: "width"}
TOLERANCE = 1e-4  # of the output's standard deviation
ONE_FILE = 2**31 - 2**24  # bytes of tensors: protocol buffers end at 2 GiB
TIMED = 256  # pixels a side
PATIENCE = 2.0  # seconds: what takes longer is timed once


@dataclass(frozen=True)
class Written:
    """What was found while a file was made.

    ``difference`` is the largest absolute one at any of `SIZES`, in standard deviations of the output; ``rounding``,
    where it is not 0, is how far torch itself is from float64 there: a network that chooses (the nearest of its
    codes) turns rounding into steps. ``seconds`` are those of one picture of `TIMED` pixels a side, by runtime.
    ``batch`` says that the file takes several pictures at once.
    """

    difference: float
    rounding: float
    seconds: dict[str, float]
    batch: bool


def write(restorer: Restorer, path: Path) -> Written:
    """Write ``restorer`` as ``path``: float32 pictures NCHW in [0, 1] in and out, batch, height and width open.

    Where a network fixes how many pictures it takes, the file takes one. Conditions, as a mask, are channels behind
    the picture's. The card and what it says last stands in the model's
    metadata. Tensors beyond 2 GiB lie beside it, in ``path`` with ``.data`` added. A network that cannot be
    expressed, or that onnxruntime computes otherwise than torch does, is a `RestorationError`, and no file appears.
    """
    _require_packages()
    restorer = copy.deepcopy(restorer).cpu().float().eval()
    program = exported(restorer)
    _describe(program, restorer)
    with staged(path) as made:
        tensors = sum(t.numel() * t.element_size() for t in restorer.network.state_dict().values())
        program.save(str(made), external_data=tensors > ONE_FILE)
        session = _session(made)
        difference, rounding = verified(session, restorer)
        seconds = _timed(session, restorer)
        for part in sorted(
            made.parent.iterdir(), reverse=True
        ):  # tensors first, then the file that names them
            part.replace(path.with_name(part.name))
    return Written(difference, rounding, seconds, not _single(session))


def exported(restorer: Restorer) -> "ONNXProgram":
    """Return the restorer's network as an ONNX program with open sizes, of one picture where it fixes their count."""
    adapter = AnySize(restorer.network).adapter
    if adapter is None or not adapter.one_image:
        try:
            return _traced(restorer, tuple(AXES))
        except Exception as error:  # torch raises what it likes
            if _fixed(error) != "batch":
                raise _inexpressible(restorer, error) from None
    try:
        return _traced(restorer, tuple(AXES)[1:])
    except Exception as error:
        raise _inexpressible(restorer, error) from None


def verified(session: "InferenceSession", restorer: Restorer) -> tuple[float, float]:
    """Return the largest difference between ``session`` and torch at `SIZES`, and torch's own rounding there.

    Raise beyond `TOLERANCE`, or where that is more, twice what torch's float32 differs from its float64.
    """
    worst, rounding = 0.0, 0.0
    for size in SIZES:
        image = picture(restorer, size)
        where = f"{_title(restorer)}: at {size[1]}x{size[2]} pixels"
        expected = _by_torch(restorer)(image)
        try:
            found = _by_onnx(session)(image)
        except Exception as error:  # onnxruntime's own, of no common kind
            raise RestorationError(f"{where} onnxruntime fails: {_reason(error)}; not written") from None
        difference = _apart(found, expected)
        if not difference <= TOLERANCE:
            own = _rounding(restorer, image, expected)
            if not difference <= 2 * own:
                raise RestorationError(
                    f"{where} onnxruntime differs by {difference:.1e} of the output's standard deviation; "
                    f"expected {TOLERANCE:.0e}; not written"
                )
            rounding = max(rounding, own)
        worst = max(worst, difference)
    return worst, rounding


def picture(restorer: Restorer, size: tuple[int, int, int]) -> Tensor:
    """Return the same random pictures each time, conditions behind them: 0 or 1, and 1 in a corner of a mask."""
    count, height, width = size
    draws = torch.Generator().manual_seed(7)
    image = torch.rand(count, restorer.channels or 3, height, width, generator=draws)
    conditions = torch.rand(count, len(restorer.conditions), height, width, generator=draws).round()
    for place, name in enumerate(restorer.conditions):
        if name == "mask":
            conditions[:, place] = 0
            conditions[:, place, : height // 4, : width // 4] = 1
    return torch.cat((image, conditions), 1)


def _traced(restorer: Restorer, opened: tuple[int, ...]) -> "ONNXProgram":
    network = restorer.network
    image = picture(restorer, TRACED if 0 in opened else (1, *TRACED[1:]))
    axes = ({axis: Dim.DYNAMIC for axis in opened},)
    with _quiet(), torch.no_grad(), open_sizes(network):
        graph = torch.export.export(AnySize(network).eval(), (image,), dynamic_shapes=axes, strict=False)
        program = torch.onnx.export(
            graph, dynamo=True, verbose=False, input_names=["degraded"], output_names=["restored"]
        )
    assert program is not None
    return program


def _fixed(error: BaseException) -> str:
    """Return which axes torch says that a network fixes, or nothing."""
    while error.__cause__ is not None:
        error = error.__cause__
    axes = re.findall(r"\['degraded'\]\.size\(\)\[(\d)\]", str(error))
    return " and ".join(dict.fromkeys(AXES[int(axis)] for axis in axes if int(axis) in AXES))


def _inexpressible(restorer: Restorer, error: BaseException) -> RestorationError:
    fixed = _fixed(error)
    reason = f"its code fixes the {fixed} of the picture" if fixed else _reason(error)
    return RestorationError(
        f"{_title(restorer)}: does not become ONNX with open sizes: {reason}; not written"
    )


def _apart(found: Tensor, expected: Tensor) -> float:
    if found.shape != expected.shape:
        return float("inf")
    return (found - expected).abs().max().item() / (expected.std().item() or 1.0)


def _rounding(restorer: Restorer, image: Tensor, expected: Tensor) -> float:
    """Return how far torch's result in float32 is from that in float64; 0 where there is none in float64."""
    try:
        exact = _by_torch(copy.deepcopy(restorer).double())(image.double())
    except RuntimeError:
        return 0.0
    return _apart(expected.double(), exact)


def _by_torch(restorer: Restorer) -> Callable[[Tensor], Tensor]:
    network = restorer.network

    def run(image: Tensor) -> Tensor:
        with torch.inference_mode():
            return tiled(
                network, image, scale=network.scale, multiple=network.multiple, tile="off", edge=network.edge
            )

    return run


def _by_onnx(session: "InferenceSession") -> Callable[[Tensor], Tensor]:
    name, single = session.get_inputs()[0].name, _single(session)

    def run(image: Tensor) -> Tensor:
        parts = image.split(1) if single else (image,)
        return torch.cat([torch.from_numpy(session.run(None, {name: part.numpy()})[0]) for part in parts])

    return run


def _single(session: "InferenceSession") -> bool:
    return session.get_inputs()[0].shape[0] == 1


def _timed(session: "InferenceSession", restorer: Restorer) -> dict[str, float]:
    image = picture(restorer, (1, TIMED, TIMED))
    return {"onnxruntime": _seconds(_by_onnx(session), image), "torch": _seconds(_by_torch(restorer), image)}


def _seconds(run: Callable[[Tensor], Tensor], image: Tensor) -> float:
    """Return the least of up to four times: the first one warms up."""
    taken: list[float] = []
    while len(taken) < 4 and sum(taken) < PATIENCE:
        begun = time.perf_counter()
        run(image)
        taken.append(time.perf_counter() - begun)
    return min(taken)


def _session(path: Path) -> "InferenceSession":
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # as many threads as torch: its times stand beside torch's
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own, of no common kind
        raise RestorationError(
            f"{path.name}: onnxruntime does not take it: {_reason(error)}; not written"
        ) from None


def _describe(program: "ONNXProgram", restorer: Restorer) -> None:
    card, model = restorer.card, program.model
    facts = {
        "name": card.name, "task": card.task, "licence": card.licence, "scale": card.scale,
        "multiple": restorer.multiple, "conditions": ",".join(restorer.conditions),
        "source_sha256": restorer.digest or "", "card": json.dumps(asdict(card)),
    }  # fmt: skip
    model.metadata_props.update({key: str(value) for key, value in facts.items()})
    model.producer_name, model.producer_version = "restoration", __version__
    model.doc_string = f"{card.task}: float32 pictures in [0, 1], NCHW, in and out; any size"
    _name_axes(model)
    _strip(model)


def _strip(model: Any) -> None:  # noqa: ANN401
    """Take out what the exporter notes of the program it saw: names, and lines of files of this machine."""
    nodes = list(model.graph.all_nodes())
    values = [*model.graph.inputs, *model.graph.initializers.values(), *(v for n in nodes for v in n.outputs)]
    for part in (model.graph, *nodes, *values):
        part.metadata_props.clear()
        part.doc_string = None


def _name_axes(model: Any) -> None:  # noqa: ANN401
    """Call the open axes batch, height and width wherever their symbols stand."""
    import onnx_ir

    shape = model.graph.inputs[0].shape
    names = {str(shape[axis]): name for axis, name in AXES.items() if not isinstance(shape[axis], int)}
    pattern = re.compile("|".join(rf"\b{re.escape(symbol)}\b" for symbol in names))
    values = [*model.graph.inputs, *(v for node in model.graph.all_nodes() for v in node.outputs)]
    for value in values:
        if value.shape is not None and not value.shape.frozen:
            for axis, dim in enumerate(value.shape):
                if not isinstance(dim, int) and dim.value is not None:
                    text = pattern.sub(lambda found: names[found.group()], str(dim.value))
                    value.shape[axis] = onnx_ir.SymbolicDim(text)


def _require_packages() -> None:
    from importlib.util import find_spec

    if absent := [name for name in PACKAGES if find_spec(name) is None]:
        raise RequestError(
            f'--format onnx: {", ".join(absent)} not installed; pip install "restoration-suite[export]"'
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what exporters say of their own progress and future."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _title(restorer: Restorer) -> str:
    return f"restorer '{restorer.card.name}' ({restorer.card.network['name']})"


def _reason(error: BaseException) -> str:
    """Return the first line that says what is wrong: exporters wrap it in their own advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip() or type(error).__name__).splitlines()[0]
