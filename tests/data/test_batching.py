import random

import pytest
import torch

from nlp_rnn.data.batching import ResumableLoader, TokenBatches, pad, real_positions
from nlp_rnn.data.tokenizer import PAD
from nlp_rnn.errors import InputError


def realistic(count=2000, seed=0):
    """(source, target) lengths as of captions: log-normal, correlated."""
    rng = random.Random(seed)
    sources = [max(2, round(rng.lognormvariate(2.7, 0.35))) for _ in range(count)]
    return [(s, max(2, round(s * rng.lognormvariate(0.0, 0.2)))) for s in sources]


def up(length, multiple=4):
    return -(-length // multiple) * multiple


def batches(lengths, *, epoch=0, **settings):
    sampler = TokenBatches(lengths, **{"tokens_per_batch": 400, "shuffle": True, **settings})
    sampler.set_epoch(epoch)
    found = list(sampler)
    assert len(sampler) == len(found)
    return found


class TestPad:
    def test_ids_lengths_and_padding(self):
        sequences = [[5, 6, 7, 8, 9], [], [5]]
        tokens, lengths = pad(sequences, multiple=4)
        assert tokens.dtype == lengths.dtype == torch.int64
        assert tokens.shape == (3, 8)
        assert lengths.tolist() == [5, 0, 1]
        for row, sequence in zip(tokens.tolist(), sequences):
            assert row == sequence + [PAD] * (8 - len(sequence))

    @pytest.mark.parametrize(("longest", "multiple", "width"), [(0, 4, 4), (8, 4, 8), (9, 8, 16)])
    def test_the_width_is_a_multiple(self, longest, multiple, width):
        assert pad([[1] * longest], multiple=multiple)[0].shape == (1, width)


class TestTokenBatches:
    @pytest.mark.parametrize("shuffle", [True, False])
    @pytest.mark.parametrize("count", [1, 2, 7, 500])
    def test_every_row_once(self, count, shuffle):
        found = batches(realistic(count), shuffle=shuffle)
        assert sorted(row for batch in found for row in batch) == list(range(count))

    @pytest.mark.parametrize("max_sentences", [None, 20])
    def test_budgets_hold(self, max_sentences):
        lengths = realistic()
        for batch in batches(lengths, max_sentences=max_sentences):
            width = up(max(lengths[row][1] for row in batch))
            assert len(batch) * width <= 400 or len(batch) == 1
            assert len(batch) <= (max_sentences or 100)

    def test_a_row_longer_than_the_budget_is_a_batch(self):
        assert batches([(3, 3), (5, 5000), (3, 3)], shuffle=False) == [[1], [0, 2]]

    def test_most_of_a_batch_is_real(self):
        lengths = realistic(5000)
        real = [0, 0]
        padded = [0, 0]
        for batch in batches(lengths, tokens_per_batch=1200):
            for side in (0, 1):
                rows = [lengths[row][side] for row in batch]
                real[side] += sum(rows)
                padded[side] += len(rows) * max(rows)
        assert real[1] / padded[1] > 0.9
        assert real[0] / padded[0] > 0.85

    def test_few_shapes(self):
        lengths = realistic(5000)
        shapes = {
            (len(batch), up(max(lengths[row][1] for row in batch)))
            for batch in batches(lengths, tokens_per_batch=1200)
        }
        assert len(shapes) <= 2 * len({up(target) for _, target in lengths})

    def test_a_pure_function_of_seed_and_epoch(self):
        lengths = realistic()
        first = batches(lengths, seed=1, epoch=3)
        assert batches(lengths, seed=1, epoch=3) == first
        sampler = TokenBatches(lengths, tokens_per_batch=400, shuffle=True, seed=1)
        for epoch in (0, 1, 3):
            sampler.sampler.set_epoch(epoch)
            found = list(sampler)
        assert found == first == list(sampler)
        different = batches(lengths, seed=1, epoch=4)
        assert {frozenset(batch) for batch in different} != {frozenset(batch) for batch in first}
        assert batches(lengths, seed=2, epoch=3) != first
        assert batches(lengths, seed=2, epoch=0) != batches(lengths, seed=1, epoch=1)

    @pytest.mark.parametrize("world_size", [1, 3])
    def test_every_epoch_has_as_many_batches(self, world_size):
        found = [batches(realistic(997), epoch=epoch, world_size=world_size) for epoch in range(10)]
        assert len({len(epoch) for epoch in found}) == 1

    def test_evaluation_takes_the_longest_first_in_every_epoch(self):
        lengths = realistic(300)
        found = batches(lengths, shuffle=False)
        assert found == batches(lengths, shuffle=False, epoch=5, seed=9)
        widths = [max(up(lengths[row][1]) for row in batch) for batch in found]
        assert widths == sorted(widths, reverse=True)

    def test_plain_lengths(self):
        lengths = realistic(300)
        targets = [target for _, target in lengths]
        found = batches(targets)
        assert found == batches([(1, target) for target in targets])

    @pytest.mark.parametrize("shuffle", [True, False])
    @pytest.mark.parametrize("world_size", [1, 2, 3])
    @pytest.mark.parametrize("count", [3, 10, 100, 997])
    def test_ranks_share_the_global_batches(self, count, world_size, shuffle):
        lengths = realistic(count)
        settings = {"shuffle": shuffle, "world_size": world_size, "seed": 5, "epoch": 2}
        ranks = [batches(lengths, rank=rank, **settings) for rank in range(world_size)]
        assert len({len(rank) for rank in ranks}) == 1
        assert all(batch for rank in ranks for batch in rank)
        together = [[row for part in parts for row in part] for parts in zip(*ranks)]
        assert sorted(row for batch in together for row in batch) == list(range(count))
        for batch in together:
            width = up(max(lengths[row][1] for row in batch))
            spare = world_size - 1  # rows that join a batch since they are too few to make one
            assert (len(batch) - spare) * width <= 400 or len(batch) < 2 * world_size

    @pytest.mark.parametrize("world_size", [2, 3])
    def test_ranks_together_are_one_process(self, world_size):
        # Enough rows, so that no batch is made larger for the sake of the ranks.
        lengths = [(8, 8)] * 300
        alone = batches(lengths)
        ranks = [batches(lengths, rank=r, world_size=world_size) for r in range(world_size)]
        together = [{row for part in parts for row in part} for parts in zip(*ranks)]
        assert together == [set(batch) for batch in alone]

    def test_too_few_rows_for_the_ranks_join_another_batch(self):
        found = [batches([8] * 51, rank=rank, world_size=2) for rank in (0, 1)]
        assert [[len(batch) for batch in rank] for rank in found] == [[26], [25]]

    @pytest.mark.parametrize("start", [0, 1, 5, 10_000])
    def test_start_leaves_out_batches_once(self, start):
        sampler = TokenBatches(realistic(), tokens_per_batch=400, shuffle=True)
        whole = list(sampler)
        sampler.start = start
        assert list(sampler) == whole[start:]
        assert list(sampler) == whole

    def test_no_batch_sampler_that_lightning_rebuilds(self):
        assert not issubclass(TokenBatches, torch.utils.data.BatchSampler)

    @pytest.mark.parametrize(("rows", "world_size"), [(0, 1), (2, 3)])
    def test_too_few_rows(self, rows, world_size):
        with pytest.raises(InputError, match=f"{rows} examples .* {world_size} processes"):
            batches([(3, 3)] * rows, world_size=world_size)

    @pytest.mark.parametrize("limit", [{"tokens_per_batch": 0}, {"max_sentences": 1}])
    def test_limits_too_small(self, limit):
        with pytest.raises(
            InputError, match=r"tokens_per_batch 0 is out|1 sentences are too small"
        ):
            batches(realistic(9), world_size=2, **limit)


class Numbers(torch.utils.data.Dataset):
    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, row):
        return row


def loader(num_workers=0, **settings):
    lengths = realistic(300)
    return ResumableLoader(
        Numbers(len(lengths)),
        batch_sampler=TokenBatches(
            lengths, **{"tokens_per_batch": 400, "shuffle": True, "seed": 3, **settings}
        ),
        collate_fn=list,
        num_workers=num_workers,
    )


def consume(loader, state, steps, epochs=3):
    """What a trainer does: epochs of batches, from a state, for a number of steps."""
    if state:
        loader.load_state_dict(state)
    seen = []
    for epoch in range(state["epoch"] if state else 0, epochs):
        loader.batch_sampler.set_epoch(epoch)
        for batch in loader:
            seen.append(batch)
            if len(seen) == steps:
                return seen, loader.state_dict()
    return seen, loader.state_dict()


class TestResumableLoader:
    def test_batches_are_the_samplers(self):
        resumable = loader()
        assert list(resumable) == list(resumable.batch_sampler)
        assert len(resumable) == len(resumable.batch_sampler)

    def test_resumes_exactly_after_every_step(self):
        whole, _ = consume(loader(), None, -1)
        assert len(whole) == 3 * len(loader())
        for steps in range(1, len(whole)):
            before, state = consume(loader(), None, steps)
            after, _ = consume(loader(), state, -1)
            assert before + after == whole

    def test_counts_what_was_taken_and_not_what_workers_prepared(self):
        whole, _ = consume(loader(), None, -1)
        before, state = consume(loader(num_workers=2), None, 5)
        assert state == {"epoch": 0, "position": 5, "cut": loader().batch_sampler.cut}
        after, _ = consume(loader(num_workers=2), state, -1)
        assert before + after == whole

    @pytest.mark.parametrize(
        "settings", [{"seed": 4}, {"tokens_per_batch": 300}, {"shuffle": False}]
    )
    def test_goes_on_with_the_same_batches_only(self, settings):
        _, state = consume(loader(), None, 5)
        with pytest.raises(InputError, match="cut into other batches"):
            consume(loader(**settings), state, 1)

    def test_a_position_counts_in_its_own_epoch_only(self):
        # A trainer may end an epoch early (limit_train_batches) and go on with the next one.
        _, state = consume(loader(), None, 5)
        resumed = loader()
        resumed.load_state_dict(state)
        resumed.batch_sampler.set_epoch(1)
        fresh = loader()
        fresh.batch_sampler.set_epoch(1)
        assert list(resumed) == list(fresh)

    def test_an_iteration_that_was_left_starts_afresh(self):
        resumable = loader()
        first = next(iter(resumable))
        assert next(iter(resumable)) == first
        assert resumable.state_dict()["position"] == 1

    def test_resumes_with_another_number_of_ranks(self):
        whole = [set(batch) for batch in loader()]
        _, state = consume(loader(), None, 4)
        ranks = [loader(rank=rank, world_size=2) for rank in (0, 1)]
        for rank in ranks:
            rank.load_state_dict(state)
        assert [set(a) | set(b) for a, b in zip(*ranks)] == whole[4:]

    def test_leaves_the_global_generator_alone(self):
        before = torch.get_rng_state()
        list(loader())
        assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("multiple", [1, 4, 64])
def test_real_positions_come_in_few_numbers(multiple):
    tokens, lengths = pad([[7] * length for length in (3, 9, 1, 12)])
    found = real_positions(tokens, multiple=multiple)
    total = int(lengths.sum())
    assert (tokens.flatten()[found[:total]] == 7).all()
    assert (tokens.flatten()[found[total:]] == 0).all()
    assert len(found) == min(tokens.numel(), -(-total // multiple) * multiple)
    assert len(set(found.tolist())) == len(found)
