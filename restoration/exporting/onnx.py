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
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.export import Dim

from restoration import __version__
from restoration.errors import RequestError, RestorationError
from restoration.exporting.graph import AnySize
from restoration.exporting.windows import open_sizes
from restoration.restorers.network import Restorer
from restoration.tiling import tiled

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from torch.onnx import ONNXProgram

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
SIZES = ((1, 33, 41), (2, 37, 53), (1, 64, 48), (1, 7, 64), (1, 5, 3))  # images, height, width
TRACED = (2, 35, 43)  # of no importance but for not being 0, 1 or a multiple of anything
TOLERANCE = 1e-4  # of the output's standard deviation
ONE_FILE = 2**31 - 2**24  # bytes of tensors: protocol buffers end at 2 GiB
TIMED = 256  # pixels a side
PATIENCE = 2.0  # seconds: what takes longer is timed once


@dataclass(frozen=True)
class Written:
    """What was found while a file was made.

    ``difference`` is the largest absolute one at any of `SIZES`, in standard deviations of the output; ``seconds``
    are those of one picture of `TIMED` pixels a side, by runtime.
    """

    difference: float
    seconds: dict[str, float]


def write(restorer: Restorer, path: Path) -> Written:
    """Write ``restorer`` as ``path``: float32 pictures NCHW in [0, 1] in and out, batch, height and width open.

    Conditions, as a mask, are channels behind the picture's. The card and what it says last stands in the model's
    metadata. Tensors beyond 2 GiB lie beside it, in ``path`` with ``.data`` added. A network that cannot be
    expressed, or that onnxruntime computes otherwise than torch does, is a `RestorationError`, and no file appears.
    """
    _require_packages()
    restorer = copy.deepcopy(restorer).cpu().float().eval()
    program = exported(restorer)
    _describe(program, restorer)
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".", suffix=".part", dir=path.parent) as folder:
        made = Path(folder) / path.name
        tensors = sum(t.numel() * t.element_size() for t in restorer.network.state_dict().values())
        program.save(str(made), external_data=tensors > ONE_FILE)
        session = _session(made)
        difference = verified(session, restorer)
        seconds = _timed(session, restorer)
        for part in sorted(
            Path(folder).iterdir(), reverse=True
        ):  # tensors first, then the file that names them
            part.replace(path.with_name(part.name))
    return Written(difference, seconds)


def exported(restorer: Restorer) -> "ONNXProgram":
    """Return the restorer's network as an ONNX program with open sizes."""
    network = restorer.network
    image = picture(restorer, TRACED)
    axes = ({0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC},)
    try:
        with _quiet(), torch.no_grad(), open_sizes(network):
            graph = torch.export.export(AnySize(network).eval(), (image,), dynamic_shapes=axes, strict=False)
            program = torch.onnx.export(
                graph, dynamo=True, verbose=False, input_names=["degraded"], output_names=["restored"]
            )
    except Exception as error:  # torch raises what it likes
        raise RestorationError(
            f"{_title(restorer)}: does not become ONNX with open sizes: {_reason(error)}"
        ) from None
    assert program is not None
    return program


def verified(session: "InferenceSession", restorer: Restorer) -> float:
    """Return the largest difference between ``session`` and torch at `SIZES`; raise beyond `TOLERANCE`."""
    worst = 0.0
    for size in SIZES:
        image = picture(restorer, size)
        where = f"{_title(restorer)}: at {size[1]}x{size[2]} pixels"
        expected = _by_torch(restorer)(image)
        try:
            found = _by_onnx(session)(image)
        except Exception as error:  # onnxruntime's own, of no common kind
            raise RestorationError(f"{where} onnxruntime fails: {_reason(error)}; not written") from None
        spread = expected.std().item() or 1.0
        same_shape = found.shape == expected.shape
        difference = (found - expected).abs().max().item() / spread if same_shape else float("inf")
        if not difference <= TOLERANCE:
            raise RestorationError(
                f"{where} onnxruntime differs by {difference:.1e} of the output's standard deviation; "
                f"expected {TOLERANCE:.0e}; not written"
            )
        worst = max(worst, difference)
    return worst


def picture(restorer: Restorer, size: tuple[int, int, int]) -> Tensor:
    """Return the same random pictures each time, conditions behind them: 0 or 1."""
    count, height, width = size
    draws = torch.Generator().manual_seed(7)
    image = torch.rand(count, restorer.channels or 3, height, width, generator=draws)
    conditions = torch.rand(count, len(restorer.conditions), height, width, generator=draws).round()
    return torch.cat((image, conditions), 1)


def _by_torch(restorer: Restorer) -> Callable[[Tensor], Tensor]:
    network = restorer.network

    def run(image: Tensor) -> Tensor:
        with torch.inference_mode():
            return tiled(network, image, scale=network.scale, multiple=network.multiple, tile="off")

    return run


def _by_onnx(session: "InferenceSession") -> Callable[[Tensor], Tensor]:
    name = session.get_inputs()[0].name
    return lambda image: torch.from_numpy(session.run(None, {name: image.numpy()})[0])


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

    symbols = zip(("batch", "height", "width"), (0, 2, 3), strict=True)
    names = {str(model.graph.inputs[0].shape[axis]): name for name, axis in symbols}
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
