import itertools
import random

import pytest
import torch
from datasets import Dataset, IterableDataset

from nlp_rnn.data.batching import TokenBatches
from nlp_rnn.data.streaming import StreamedBatches, StreamLoader, in_memory
from nlp_rnn.errors import InputError

WORDS = ["red", "green", "blue", "black", "white", "small", "large", "old", "new", "dog"]


def pairs(count, seed=0):
    rng = random.Random(seed)
    sources = [" ".join(rng.choices(WORDS, k=rng.randint(1, 6))) for _ in range(count)]
    return [{"source": text, "target": text.upper()} for text in sources]


def stream(rows, files=1):
    return Dataset.from_list(rows).to_iterable_dataset(num_shards=files)


@pytest.fixture
def batches(tokenizer):
    """Builds batches of rows, or of an integer's number of pairs."""

    def build(rows=100, **settings):
        defaults = {"buffer_size": 32, "max_length": 100, "tokens_per_batch": 120, "seed": 3}
        return StreamedBatches(
            stream(pairs(rows)) if isinstance(rows, int) else rows,
            source=tokenizer,
            target=tokenizer,
            **{**defaults, **settings},
        )

    return build


def numbers(batches, epoch=0):
    batches.set_epoch(epoch)
    return [[row["row"] for row in batch] for batch in batches]


class TestStreamedBatches:
    @pytest.mark.parametrize("buffer_size", [1, 32, 99, 100, 1000])
    @pytest.mark.parametrize("files", [1, 4])
    def test_every_pair_once_an_epoch(self, batches, buffer_size, files):
        rows = pairs(100)
        streamed = batches(stream(rows, files), buffer_size=buffer_size)
        for epoch in (0, 1):
            streamed.set_epoch(epoch)
            found = [row for batch in streamed for row in batch]
            assert sorted(row["row"] for row in found) == list(range(100))
            texts = sorted((row["source"], row["target"]) for row in found)
            assert texts == sorted((row["source"], row["target"]) for row in rows)

    def test_rows_hold_the_ids_of_their_texts(self, batches, tokenizer):
        for row in itertools.chain.from_iterable(batches(20)):
            assert row["source_ids"] == tokenizer.encode(row["source"])
            assert row["target_ids"] == tokenizer.encode(row["target"])

    def test_a_buffer_that_holds_all_is_token_batches(self, batches, tokenizer):
        lengths = [
            tuple(len(tokenizer.encode(text)) + 1 for text in row.values()) for row in pairs(100)
        ]
        expected = TokenBatches(lengths, tokens_per_batch=120, shuffle=True, seed=3)
        expected.set_epoch(2)
        assert numbers(batches(buffer_size=100), epoch=2) == list(expected)

    def test_a_batch_comes_from_one_buffer(self, batches):
        found = numbers(batches(buffer_size=32))
        homes = [{min(row // 32, 3) for row in batch} for batch in found]
        assert [len(home) for home in homes] == [1] * len(found)
        assert [min(home) for home in homes] == sorted(min(home) for home in homes)

    def test_the_order_belongs_to_seed_and_epoch(self, batches):
        first = numbers(batches(), epoch=1)
        streamed = batches()
        assert numbers(streamed, epoch=0) != first
        assert numbers(streamed, epoch=1) == first == numbers(streamed, epoch=1)
        assert numbers(batches(seed=4), epoch=1) != first

    def test_files_come_in_another_order_in_another_epoch(self, batches):
        rows = [
            {"source": WORDS[file], "target": str(row)} for file in range(4) for row in range(9)
        ]
        streamed = batches(stream(rows, files=4), buffer_size=1)
        starts = set()
        for epoch in range(8):
            streamed.set_epoch(epoch)
            starts.add(next(iter(streamed))[0]["source"])
        assert len(starts) > 1

    def test_an_endless_stream_can_be_begun(self, batches):
        endless = IterableDataset.from_generator(lambda: itertools.cycle(pairs(7)))
        found = list(itertools.islice(batches(endless, buffer_size=10), 50))
        assert sum(map(len, found)) > 100

    def test_empty_and_long_pairs_are_left_out_and_counted(self, batches, tokenizer):
        bad = [
            {"source": "", "target": "red"},
            {"source": "red", "target": " "},
            {"source": "red", "target": "dog " * 30},
            {"source": "dog " * 30, "target": "red"},
        ]
        rows = pairs(50)
        longest = max(len(tokenizer.encode(text)) + 1 for row in rows for text in row.values())
        said = []
        streamed = batches(stream([*bad, *rows]), max_length=longest, say=said.append)
        assert sorted(sum(numbers(streamed), [])) == list(range(4, 54))
        assert (streamed.left_out, streamed.read) == (4, 54)
        assert [line.split(":")[0] for line in said] == [
            "left out 4 of the first 37 training pairs",
            "left out 4 of the first 54 training pairs",
        ]
        assert len(sum(numbers(batches(stream(rows), max_length=longest - 1)), [])) < 50

    def test_nothing_of_fitting_length(self, batches):
        with pytest.raises(InputError, match=r"none of 5 training pairs has 1 to 1 tokens"):
            list(batches(5, max_length=1))

    def test_a_buffer_needs_room(self, batches):
        with pytest.raises(InputError, match="a buffer of 0 pairs"):
            batches(buffer_size=0)

    # 96 is three buffers; after 97 to 99 rows fewer are left than there are ranks.
    @pytest.mark.parametrize("count", [3, 31, 96, 97, 98, 99, 130])
    @pytest.mark.parametrize("world_size", [2, 3])
    def test_ranks_share_the_global_batches(self, batches, count, world_size):
        ranks = [
            numbers(batches(count, rank=rank, world_size=world_size), epoch=1)
            for rank in range(world_size)
        ]
        assert len({len(rank) for rank in ranks}) == 1
        assert all(batch for rank in ranks for batch in rank)
        assert sorted(row for rank in ranks for batch in rank for row in batch) == list(
            range(count)
        )

    @pytest.mark.parametrize("world_size", [2, 3])
    def test_ranks_together_are_one_process(self, batches, world_size):
        # Buffers of 60 like lengths, so that no batch is made larger for the sake of the ranks.
        rows = [{"source": f"red {WORDS[i % 5]}", "target": "BLUE DOG"} for i in range(120)]
        alone = numbers(batches(stream(rows), buffer_size=60))
        ranks = [
            numbers(batches(stream(rows), buffer_size=60, rank=rank, world_size=world_size))
            for rank in range(world_size)
        ]
        assert len(alone) > 3
        assert [{*sum(parts, [])} for parts in zip(*ranks)] == [set(batch) for batch in alone]

    def test_fewer_pairs_than_ranks(self, batches):
        with pytest.raises(InputError, match=r"2 examples .* 3 processes"):
            list(batches(2, world_size=3))

    def test_start_leaves_out_batches_once(self, batches):
        streamed = batches()
        whole = numbers(streamed)
        for start in range(len(whole) + 2):
            streamed.start = start
            assert numbers(streamed) == whole[start:]
        assert numbers(streamed) == whole


def train(loader, state, steps, epochs=2):
    """What Lightning does with a loader without a length: it is one batch ahead."""
    if state:
        loader.load_state_dict(state)
    seen = []
    for epoch in range(state["epoch"] if state else 0, epochs):
        loader.batch_sampler.set_epoch(epoch)
        ahead = iter(loader)
        following = next(ahead, None)
        while following is not None:
            batch, following = following, next(ahead, None)
            seen.append([row["row"] for row in batch])
            if len(seen) == steps:
                return seen, loader.state_dict()
    return seen, loader.state_dict()


def test_damage_further_on_is_one_line(batches):
    def rows():
        yield from pairs(50)
        raise RuntimeError("JSON parse error: missing a brace\nin row 51")

    damaged = IterableDataset.from_generator(rows)
    with pytest.raises(InputError, match=r"behind row \d+: JSON parse error: missing a brace$"):
        list(batches(damaged))
    with pytest.raises(InputError, match=r"behind row \d+"):
        in_memory(damaged)


class TestStreamLoader:
    def test_resumes_exactly_after_every_step(self, batches):
        whole, end = train(StreamLoader(batches(), collate_fn=list), None, -1)
        assert whole == numbers(batches(), 0) + numbers(batches(), 1)
        assert (end["epoch"], end["position"]) == (2, 0)
        for steps in range(1, len(whole)):
            before, state = train(StreamLoader(batches(), collate_fn=list), None, steps)
            after, _ = train(StreamLoader(batches(), collate_fn=list), state, -1)
            assert before + after == whole

    def test_workers_change_nothing(self, batches):
        whole, _ = train(StreamLoader(batches(), collate_fn=list), None, -1)
        loader = StreamLoader(batches(), collate_fn=list, num_workers=2)
        before, state = train(loader, None, 5)
        assert (state["epoch"], state["position"]) == (0, 5)
        after, _ = train(StreamLoader(batches(), collate_fn=list, num_workers=1), state, -1)
        assert before + after == whole

    def test_an_iteration_that_was_left_starts_afresh(self, batches):
        loader = StreamLoader(batches(), collate_fn=list)
        next(iter(loader))
        assert [[row["row"] for row in batch] for batch in loader] == numbers(batches())

    @pytest.mark.parametrize(
        "settings",
        [
            {"seed": 4},
            {"buffer_size": 31},
            {"max_length": 90},
            {"tokens_per_batch": 99},
            {"world_size": 3},
        ],
    )
    def test_goes_on_with_the_same_batches_only(self, batches, settings):
        _, state = train(StreamLoader(batches(), collate_fn=list), None, 5)
        with pytest.raises(InputError, match="cut into other batches"):
            train(StreamLoader(batches(**settings), collate_fn=list), state, 1)

    def test_an_epoch_that_is_shorter_than_was_told_is_refused(self, batches):
        whole = numbers(batches())
        loader = StreamLoader(batches(), collate_fn=list, ahead=0)
        assert len([*zip(whole, loader)]) == len(whole)  # which asks for no more
        with pytest.raises(InputError, match=f"has only {len(whole)} batches: give a lower"):
            list(StreamLoader(batches(), collate_fn=list, ahead=0))

    def test_has_no_length(self, batches):
        with pytest.raises(TypeError):
            len(StreamLoader(batches(), collate_fn=list))

    def test_leaves_the_global_generator_alone(self, batches):
        before = torch.get_rng_state()
        list(StreamLoader(batches(), collate_fn=list))
        assert torch.equal(torch.get_rng_state(), before)


class TestInMemory:
    def test_all_or_the_first_rows(self):
        rows = pairs(5)
        assert in_memory(stream(rows)).to_list() == rows
        assert in_memory(stream(rows), most=2).to_list() == rows[:2]

    def test_the_same_rows_have_the_same_fingerprint(self):
        # It names the tokenizer in the cache.
        one, again, other = (in_memory(stream(pairs(9)), most=most) for most in (5, 5, 6))
        assert one._fingerprint == again._fingerprint != other._fingerprint

    def test_nothing(self):
        with pytest.raises(InputError, match="empty"):
            in_memory(stream(pairs(5)), most=0)
