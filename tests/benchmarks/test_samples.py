"""One image of a protocol: colour, cropping, degradation, and loading ahead."""

import threading

import numpy as np
import pytest
import torch
from PIL import Image

from restoration.benchmarks.datasets import Case
from restoration.benchmarks.protocol import load_protocol
from restoration.benchmarks.samples import GREY, in_colour, load_sample, loaded_ahead
from restoration.degradations.resize import resize
from restoration.errors import ImageError
from restoration.image import to_float, to_samples


def saved(path, samples) -> Case:
    Image.fromarray(samples).save(path)
    return Case(path.name, path)


@pytest.fixture
def samples():
    return np.random.default_rng(0).integers(0, 256, (23, 30, 3), dtype=np.uint8)


def test_the_weights_of_grey_are_matlabs():
    assert sum(GREY) == pytest.approx(1.0, abs=1e-12)
    assert pytest.approx([0.2989, 0.5870, 0.1140], abs=5e-5) == list(GREY)


def test_grey_is_rounded_half_up_and_one_channel_stays_as_it_is(samples):
    grey = to_samples(in_colour(samples, "grey"))[..., 0]
    red, green, blue = samples.astype(float).transpose(2, 0, 1)
    expected = np.floor(0.298936021293775 * red + 0.587043074451121 * green + 0.114020904255103 * blue + 0.5)
    assert np.array_equal(grey, expected)
    assert torch.equal(in_colour(samples[..., :1], "grey"), to_float(samples[..., :1]))


def test_luma_is_matlabs_eight_bit_luma(samples):
    y = to_samples(in_colour(samples, "luma"))[..., 0].astype(int)
    red, green, blue = samples.astype(float).transpose(2, 0, 1)
    expected = np.floor(16 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255 + 0.5)
    assert np.abs(y - expected).max() == 0
    assert torch.equal(in_colour(samples[..., :1], "luma"), to_float(samples[..., :1]))


def test_one_channel_files_are_replicated_for_colour_protocols(samples):
    image = in_colour(samples[..., :1], "rgb")
    assert image.shape == (1, 3, 23, 30) and torch.equal(image[:, 0], image[:, 2])


def test_the_clean_image_is_cropped_at_the_bottom_and_right_and_then_degraded(tmp_path, samples):
    case = saved(tmp_path / "a.png", samples)
    sample = load_sample(load_protocol("bsds-dev30-x4"), case)
    assert torch.equal(sample.clean, to_float(samples[:20, :28]))
    assert torch.equal(sample.degraded, resize(sample.clean, scale=1 / 4, levels=255))


def test_noise_is_that_of_numpys_legacy_generator_unclipped_and_added_in_float32(tmp_path, samples):
    case = saved(tmp_path / "a.png", samples)
    sample = load_sample(load_protocol("kodak5-color-25"), case)
    np.random.seed(0)
    expected = (samples / np.float32(255)).astype(np.float32)
    expected += np.random.normal(0, 25 / 255, samples.shape)
    assert np.array_equal(sample.degraded[0].permute(1, 2, 0).numpy(), expected)
    assert sample.degraded.min() < 0 and sample.degraded.max() > 1
    clipped = load_sample(load_protocol("kodak5-color-25", ["degraded.clip=true"]), case)
    assert torch.equal(clipped.degraded, sample.degraded.clamp(0, 1))


def test_a_given_image_of_the_wrong_size_is_named_with_both_sizes(tmp_path, samples):
    case = saved(tmp_path / "a.png", samples)
    small = saved(tmp_path / "ax4.png", samples[:6, :7])
    with pytest.raises(ImageError) as caught:
        load_sample(load_protocol("set5-x4"), Case("a.png", case.clean, small.clean))
    assert str(caught.value) == f"{small.clean}: 7x6 pixels; expected 1/4 of the 28x20 of {case.clean}"


def test_loading_ahead_keeps_the_order_and_overlaps():
    started = [threading.Event() for _ in range(4)]

    def load(i):
        started[i].set()
        return i * i

    found = []
    for value in loaded_ahead(load, range(4)):
        found.append(value)
        if len(found) < 4:
            assert started[len(found)].wait(5), "the next item was not loaded while this one was in use"
    assert found == [0, 1, 4, 9]
    assert list(loaded_ahead(load, [])) == []
