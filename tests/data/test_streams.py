from itertools import pairwise

import pytest
import torch

from nlp_rnn.data.batching import ResumableLoader
from nlp_rnn.data.streams import Streams, WindowBatches, side_by_side, take_window
from nlp_rnn.errors import InputError


def text(length):
    return torch.arange(10, 10 + length + 1)  # one in front that is only read


@pytest.mark.parametrize("length", [7, 8, 9, 50])
@pytest.mark.parametrize("rows", [1, 3, 4, 7])
def test_every_token_is_predicted_once_and_after_its_predecessor(length, rows):
    streams = side_by_side(text(length), rows)
    assert len(streams) == rows
    pairs = [
        (int(before), int(after))
        for row in streams
        for before, after in pairwise(row)
        if after != 0
    ]
    assert sorted(pairs) == [(10 + i, 11 + i) for i in range(length)]


def test_a_text_shorter_than_the_batch_is_refused():
    with pytest.raises(InputError, match="3 tokens cannot be read as 4 streams"):
        side_by_side(text(3), 4)
    with pytest.raises(InputError, match=r"train of 3 tokens .* or a smaller --data.batch_size"):
        side_by_side(text(3), 4, what="train", option="--data.batch_size")
    with pytest.raises(InputError, match="rows 0 is out of range"):
        side_by_side(text(3), 0)


@pytest.mark.parametrize("lengths", [[5], [3, 6], [100]])
@pytest.mark.parametrize("shuffle", [False, True])
def test_windows_cover_the_streams_in_order(lengths, shuffle):
    streams = side_by_side(text(120), 3)
    batches = WindowBatches(streams.size(1) - 1, lengths=lengths, shuffle=shuffle)
    for epoch in range(3):
        batches.set_epoch(epoch)
        windows = [Streams(streams)[window] for (window,) in batches]
        assert len(windows) == len(batches)
        assert torch.equal(torch.cat([w.following for w in windows], 1), streams[:, 1:])
        assert torch.equal(torch.cat([w.inputs for w in windows], 1), streams[:, :-1])
        assert [w.first for w in windows] == [True] + [False] * (len(windows) - 1)


def test_lengths_take_turns_in_an_order_of_each_epoch():
    batches = WindowBatches(1000, lengths=[8, 16, 32], shuffle=True, seed=3)
    orders = []
    for epoch in (0, 1, 0):
        batches.set_epoch(epoch)
        orders.append([stop - start for ((start, stop),) in batches])
    assert orders[0] == orders[2] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])


def test_can_be_entered_in_the_middle():
    loader = ResumableLoader(
        Streams(side_by_side(text(100), 2)),
        batch_sampler=WindowBatches(50, lengths=[4, 8], shuffle=True),
        collate_fn=take_window,
    )
    whole = list(loader)
    loader.load_state_dict({**loader.state_dict(), "position": 3})
    rest = list(loader)
    assert all(torch.equal(a.inputs, b.inputs) for a, b in zip(whole[3:], rest))
    assert len(rest) == len(whole) - 3


@pytest.mark.parametrize("lengths", [[], [0], [5, -1]])
def test_lengths_are_checked(lengths):
    with pytest.raises(InputError, match="give one or more lengths"):
        WindowBatches(10, lengths=lengths)
