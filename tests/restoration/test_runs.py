"""What a run is refused for before it starts: every term sees a micro-batch of what it will be trained on."""

import pytest
import torch

from restoration.errors import ConfigError
from restoration.experiment import load
from restoration.image import write_image
from restoration.runs import build_run

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
        (
            LITE + "others = 1",
            ("schedule.micro_batches=4",),
            "stack.1: others = 1; expected fewer than the 1 images of a batch",
        ),
        (
            'name = "adversarial"\ndiscriminator = { name = "patch", width = 0 }',
            (),
            "stack.1.discriminator: width = 0; expected a whole number from 1",
        ),
        (
            LITE.replace('"block1"', "3"),
            (),
            "stack.1: efficientnet-lite0: unknown layer '3'; it has stem, block0",
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


def test_as_many_others_as_a_batch_leaves_are_taken(build):
    run = build(LITE + "others = 3")
    assert len(run.data.batch(0)) == 4
