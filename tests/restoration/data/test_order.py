"""The order of samples: a permutation each epoch, near-sequential over blocks, the same however it is shared out."""

import zlib

import numpy as np
import pytest
import torch

from restoration.data import Pairs, build_source
from restoration.data.order import Order
from restoration.data.source import Source
from restoration.degradations.resize import Bicubic

from .made import picture, ppm


class Numbers(Source):
    """A source of images that nobody reads."""

    def __init__(self, length: int, blocks: list[int] | None = None, joined: int = 8, clip: int = 1) -> None:
        self.length, self.joined, self.clip = length, joined, clip
        self.blocks = None if blocks is None else np.array(blocks)

    def __len__(self) -> int:
        return self.length

    def samples(self, index: int) -> np.ndarray:
        raise NotImplementedError

    partner = name = size = share_memory = samples


BLOCKS = [7, 1, 12, 5, 5, 30, 2, 9, 4, 4, 11, 6, 3, 8, 20, 1, 1, 1, 17, 10]
SOURCES = {
    "files": Numbers(sum(BLOCKS)),
    "blocks": Numbers(sum(BLOCKS), BLOCKS, 4),
    "one group": Numbers(sum(BLOCKS), BLOCKS, 32),
    "clips": Numbers(sum(BLOCKS) // 5 * 5, clip=5),
}


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_every_epoch_is_a_permutation_of_its_own(source):
    order = Order(source)
    epochs = [[order.index((0, e * len(source) + s)) for s in range(len(source))] for e in range(3)]
    assert all(sorted(epoch) == list(range(len(source))) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert [order.index((1, s)) for s in range(len(source))] != epochs[0]


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
def test_any_sample_is_found_without_those_before_it(source):
    whole, places = Order(source), [1234, 3, 700, 0, 701, 154]
    expected = [whole.index((7, s)) for s in range(1300)]
    assert [Order(source).index((7, s)) for s in places] == [expected[s] for s in places]


def test_files_keep_the_order_that_they_have_always_had():
    # the permutation of numpy's generator seeded by (seed, epoch, crc32 of "order")
    expected = np.random.default_rng([5, 2, zlib.crc32(b"order")]).permutation(157)
    order = Order(Numbers(157))
    assert [order.index((5, 2 * 157 + s)) for s in range(157)] == expected.tolist()


def test_a_group_of_blocks_is_read_before_the_next_begins():
    source, order = SOURCES["blocks"], Order(SOURCES["blocks"])
    block_of = np.repeat(np.arange(len(BLOCKS)), BLOCKS)
    seen = [int(block_of[order.index((0, s))]) for s in range(len(source))]
    first, last = (
        {b: f(s for s, c in enumerate(seen) if c == b) for b in range(len(BLOCKS))} for f in (min, max)
    )
    open_blocks = [sum(first[b] <= s <= last[b] for b in range(len(BLOCKS))) for s in range(len(source))]
    assert max(open_blocks) == source.joined  # never more of them are in use
    assert len({*np.diff(seen)}) > 3  # and they are mixed


def test_ranks_share_a_batch_out_in_order_and_a_run_goes_on_at_its_sample(photos, data):
    pairs = Pairs(build_source(data(photos())), Bicubic(2), 16, 8, 0)
    for step in (0, 5):
        shares = [pairs.keys(step, rank, 4) for rank in range(4)]
        assert [key for share in shares for key in share] == pairs.keys(step)
        assert pairs.keys(step) == [(0, s) for s in range(8 * step, 8 * step + 8)]


def test_two_ranks_see_the_batches_of_one_process(shards, data):
    pairs = Pairs(
        build_source(data(shards([{"clean.ppm": ppm(picture(i))} for i in range(10)], 3))),
        Bicubic(2),
        16,
        4,
        0,
    )
    seen = []
    for step in range(5):  # two epochs
        whole, halves = pairs.batch(step), [pairs.batch(step, rank, 2) for rank in range(2)]
        assert torch.equal(whole.clean, torch.cat([half.clean for half in halves]))
        assert torch.equal(whole.degraded, torch.cat([half.degraded for half in halves]))
        names = [pairs.names(half.keys) for half in halves]
        assert not {*names[0]} & {*names[1]} or step == 2  # the batch that ends one epoch and begins the next
        seen += names[0] + names[1]
    assert len({*seen[:10]}) == len({*seen[10:]}) == 10


def test_frames_of_a_clip_follow_each_other():
    order = Order(SOURCES["clips"])
    found = np.array([order.index((0, s)) for s in range(len(SOURCES["clips"]))]).reshape(-1, 5)
    assert (found == found[:, :1] + np.arange(5)).all() and (found[:, 0] % 5 == 0).all()
