import math
from functools import partial
from itertools import islice
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from nlp_rnn.data.tokenizer import BOS, EOS, PAD, UNK
from nlp_rnn.decoding import Draw, Hypothesis, beam_search, sample, stream
from nlp_rnn.decoding.constraints import penalize_repetition
from nlp_rnn.decoding.truncation import keep_min_p, keep_top_p, keep_typical
from nlp_rnn.errors import InputError

VOCAB = 6  # UNK, EOS, 4 and 5 may be generated
greedy_search = partial(sample, draw=Draw(top_k=1))
SEARCHES = {
    "greedy": greedy_search,
    "beam": partial(beam_search, beam_size=3, nbest=3),
    "sample": partial(sample, num_samples=3),
}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


all_searches = pytest.mark.parametrize("search", SEARCHES.values(), ids=SEARCHES)


class Speller:
    """Spells the word that memory holds; the state counts the letters."""

    def __init__(self, vocab_size: int = 40):
        self.vocab_size = vocab_size
        self.batch_sizes: list[int] = []

    def __call__(self, tokens, state, memory):
        (position,), (words,) = state, memory
        assert len(words) == len(tokens), "memory leads with N, not with N * K"
        self.batch_sizes.append(len(tokens))
        letters = words.gather(1, position)  # (N, K)
        return 15.0 * torch.nn.functional.one_hot(letters, self.vocab_size), (position + 1,)


def spelling(words: list[list[int]]) -> tuple[tuple[Tensor], tuple[Tensor]]:
    width = max(map(len, words)) + 2
    padded = [word + [EOS] * (width - len(word)) for word in words]
    return (torch.zeros(len(words), 1, dtype=torch.long),), (torch.tensor(padded),)


class Recurrent:
    """A random recurrent network: logits depend on every token so far and on memory's row."""

    def __init__(self, seed: int, vocab_size: int = VOCAB, hidden: int = 8, end: float = 0.0):
        generator = torch.Generator().manual_seed(seed)
        self.embed = 2 * torch.randn(vocab_size, hidden, generator=generator)
        self.recur = torch.randn(hidden, hidden, generator=generator)
        self.out = torch.randn(hidden, vocab_size, generator=generator)
        self.bias = torch.zeros(vocab_size)
        self.bias[EOS] = end

    def __call__(self, tokens, state, memory):
        inputs = self.embed[tokens] + memory[0][:, None]
        hidden = torch.tanh(inputs + state[0] @ self.recur)
        return hidden @ self.out + self.bias, (hidden,)


def inputs_of(step: Recurrent, batch: int, seed: int = 0) -> tuple[tuple[Tensor], tuple[Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    hidden = step.recur.size(0)
    state = torch.randn(batch, 1, hidden, generator=generator)
    return (state,), (torch.randn(batch, hidden, generator=generator),)


def one(parts: tuple[Tensor, ...], row: int) -> tuple[Tensor, ...]:
    return tuple(part[row : row + 1] for part in parts)


def next_log_probs(step, state, memory, prefix: list[int]) -> list[float]:
    """Log-probabilities after BOS and a prefix, for one sentence."""
    for token in [BOS, *prefix]:
        logits, state = step(torch.tensor([[token]]), state, memory)
    return logits[0, 0].double().log_softmax(-1).tolist()


def forced(step, state, memory, tokens: list[int], max_length: int) -> float:
    """Log-probability of a finished hypothesis, token by token."""
    path = tokens if len(tokens) == max_length else [*tokens, EOS]
    return sum(next_log_probs(step, state, memory, path[:t])[token] for t, token in enumerate(path))


def reference(step, state, memory, *, beam_size, max_length, length_penalty) -> list[Hypothesis]:
    """Beam search with lists for one sentence; it stops at K finished, never for a bound."""
    live, done = [([], 0.0)], []
    for t in range(1, max_length + 1):
        options = []
        for prefix, total in live:
            log_probs = next_log_probs(step, state, memory, prefix)
            options += [
                (prefix, token, total + log_prob)
                for token, log_prob in enumerate(log_probs)
                if token not in (PAD, BOS)
            ]
        options.sort(key=lambda option: -option[2])
        penalty = ((5 + t) / 6) ** length_penalty
        for prefix, token, total in options[:beam_size]:
            if token == EOS:
                done.append(Hypothesis(prefix, total, total / penalty))
            elif t == max_length:
                done.append(Hypothesis([*prefix, token], total, total / penalty))
        live = [([*p, token], total) for p, token, total in options if token != EOS][:beam_size]
        if len(done) >= beam_size:
            break
    return sorted(done, key=lambda hypothesis: -hypothesis.score)


def same(left: list[Hypothesis], right: list[Hypothesis]) -> None:
    assert [hyp.tokens for hyp in left] == [hyp.tokens for hyp in right]
    assert [hyp.log_prob for hyp in left] == pytest.approx(
        [hyp.log_prob for hyp in right], abs=1e-4
    )
    assert [hyp.score for hyp in left] == pytest.approx([hyp.score for hyp in right], abs=1e-4)


# The searches


@all_searches
def test_spells_the_words_of_a_batch(search):
    words = [
        [7 + i + j for j in range(length)] for i, length in enumerate([4, 1, 9, 2, 6, 3, 0, 5])
    ]
    state, memory = spelling(words)
    results = search(Speller(), state, memory, max_length=12)
    assert [hyps[0].tokens for hyps in results] == words
    assert all(hyps[0].log_prob == pytest.approx(0, abs=1e-3) for hyps in results)


@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 3.0])
def test_beam_of_one_is_greedy(length_penalty):
    for seed in range(5):
        step = Recurrent(seed, vocab_size=12, end=0.5)
        state, memory = inputs_of(step, 24)  # some idle in the batch when done
        greedy = greedy_search(step, state, memory, max_length=10)
        beam = beam_search(
            step, state, memory, beam_size=1, max_length=10, length_penalty=length_penalty
        )
        for (one_greedy,), (one_beam,) in zip(greedy, beam, strict=True):
            assert one_greedy.tokens == one_beam.tokens
            assert one_greedy.log_prob == pytest.approx(one_beam.log_prob, abs=1e-5)


def test_a_beam_begins_with_one_hypothesis():
    step = Recurrent(0, vocab_size=12)
    widths = []

    def recorded(tokens, state, memory):
        widths.append(tokens.size(1))
        return step(tokens, state, memory)

    beam_search(recorded, *inputs_of(step, 3), beam_size=4, max_length=5, min_length=4)
    assert widths == [1, 4, 4, 4, 4]


@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0, 3.0])
@pytest.mark.parametrize("seed", range(3))
def test_beam_as_wide_as_all_sequences_is_exhaustive(seed, length_penalty):
    max_length, nbest = 4, 20
    step = Recurrent(seed)
    state, memory = inputs_of(step, 2)
    results = beam_search(
        step,
        state,
        memory,
        beam_size=VOCAB**max_length,
        max_length=max_length,
        length_penalty=length_penalty,
        nbest=nbest,
    )
    sequences: list[list[int]] = [[]]
    for sequence in sequences:  # grows while it is read
        if len(sequence) < max_length:
            sequences.extend([*sequence, token] for token in (UNK, 4, 5))
    for row, hyps in enumerate(results):
        everything = []
        for tokens in sequences:
            log_prob = forced(step, one(state, row), one(memory, row), tokens, max_length)
            length = min(len(tokens) + 1, max_length)
            score = log_prob / ((5 + length) / 6) ** length_penalty
            everything.append(Hypothesis(tokens, log_prob, score))
        everything.sort(key=lambda hypothesis: -hypothesis.score)
        same(hyps, everything[:nbest])


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
@pytest.mark.parametrize(("beam_size", "nbest"), [(2, 1), (4, 1), (4, 4)])
def test_beam_follows_the_rule_and_stopping_early_changes_nothing(beam_size, nbest, length_penalty):
    for seed in range(3):
        step = Recurrent(seed, vocab_size=9, end=1.0)
        state, memory = inputs_of(step, 6)
        options = {
            "beam_size": beam_size,
            "max_length": 8,
            "length_penalty": length_penalty,
        }
        results = beam_search(step, state, memory, nbest=nbest, **options)
        for row, hyps in enumerate(results):
            same(hyps, reference(step, one(state, row), one(memory, row), **options)[:nbest])


def test_beam_stops_as_soon_as_no_hypothesis_can_win():
    state, memory = spelling([[7, 8, 9]])
    speller = Speller()
    beam_search(speller, state, memory, beam_size=4, max_length=50, length_penalty=1.0)
    assert len(speller.batch_sizes) == 4  # three letters and EOS


@all_searches
def test_log_prob_is_what_forcing_the_tokens_gives(search):
    step = Recurrent(3)
    state, memory = inputs_of(step, 5)
    for row, hyps in enumerate(search(step, state, memory, max_length=6)):
        for hyp in hyps:
            expected = forced(step, one(state, row), one(memory, row), hyp.tokens, 6)
            assert hyp.log_prob == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("search", [greedy_search, SEARCHES["beam"]], ids=["greedy", "beam"])
def test_the_batch_around_a_sentence_changes_nothing(search):
    step = Recurrent(1, vocab_size=15, end=0.5)
    state, memory = inputs_of(step, 20)
    max_length = torch.arange(20) % 9 + 3
    min_length = torch.arange(20) % 3
    together = search(step, state, memory, max_length=max_length, min_length=min_length)
    assert len({len(hyps[0].tokens) for hyps in together}) > 3, "the sentences should leave in turn"
    for row, hyps in enumerate(together):
        (alone,) = search(
            step,
            one(state, row),
            one(memory, row),
            max_length=int(max_length[row]),
            min_length=int(min_length[row]),
        )
        same(hyps, alone)


@pytest.mark.parametrize(
    "search", [greedy_search, partial(beam_search, beam_size=3)], ids=["greedy", "beam"]
)
def test_finished_sentences_leave_an_eighth_at_a_time(search):
    words = [[7] * length for length in range(1, 17)]
    state, memory = spelling(words)
    speller = Speller()
    search(speller, state, memory, max_length=30)
    # One word ends at every step: 16 rows wait for two to leave, 8 rows and fewer for one.
    assert speller.batch_sizes == [16, 16, 16, 14, 14, 12, 12, 10, 10, 8, 7, 6, 5, 4, 3, 2, 1]


def test_an_empty_batch_gives_no_results():
    step = Recurrent(0)
    state, memory = inputs_of(step, 0)
    assert [search(step, state, memory, max_length=5) for search in SEARCHES.values()] == [[]] * 3


@all_searches
def test_starts_from_bos_or_from_the_given_tokens(search):
    fed = []

    def step(tokens, state, memory):
        fed.append(tokens)
        return torch.zeros(*tokens.shape, VOCAB), state

    state = (torch.zeros(2, 1),)
    search(step, state, max_length=1)
    search(step, state, max_length=1, start=torch.tensor([4, 5]))
    assert (fed[0] == BOS).all()
    assert (fed[1] == torch.tensor([[4], [5]])).all()


@all_searches
def test_half_precision_logits_are_normalised_in_float32(search):
    step = Recurrent(0)
    state, memory = inputs_of(step, 2)

    def half(tokens, state, memory):
        logits, state = step(tokens, state, memory)
        return logits.bfloat16(), state

    for row, hyps in enumerate(search(half, state, memory, max_length=6)):
        expected = forced(half, one(state, row), one(memory, row), hyps[0].tokens, 6)
        assert hyps[0].log_prob == pytest.approx(expected, abs=1e-4)


@all_searches
def test_no_graph_is_built_and_memory_stays_a_plain_tuple(search):
    class Pair(NamedTuple):
        values: Tensor
        mask: Tensor

    weight = torch.randn(VOCAB, requires_grad=True)

    def step(tokens, state, memory):
        assert type(memory) is tuple
        logits = weight.expand(*tokens.shape, -1)
        assert not (logits * 2).requires_grad
        return logits, state

    memory = Pair(torch.zeros(2, 3), torch.zeros(2, 3))
    search(step, (torch.zeros(2, 1),), memory, max_length=torch.tensor([1, 3]))
    assert torch.is_grad_enabled()


# Constraints


@all_searches
def test_pad_and_bos_are_never_generated(search):
    def step(tokens, state, memory):
        logits = torch.zeros(*tokens.shape, VOCAB)
        logits[..., PAD] = logits[..., BOS] = 50.0
        return logits, state

    for hyps in search(step, (torch.zeros(4, 1),), max_length=9, min_length=9):
        for hyp in hyps:
            assert len(hyp.tokens) == 9
            assert set(hyp.tokens) <= {UNK, 4, 5}


@all_searches
def test_length_limits_hold_for_each_sentence(search):
    ends, never = Recurrent(0, end=8.0), Recurrent(0, end=-30.0)
    limits = torch.tensor([2, 5, 1, 7])
    state, memory = inputs_of(ends, 4)
    longest = search(never, state, memory, max_length=limits)
    shortest = search(ends, state, memory, max_length=40, min_length=limits)
    unhindered = search(ends, state, memory, max_length=40)
    for row, limit in enumerate(limits.tolist()):
        assert {len(hyp.tokens) for hyp in longest[row]} == {limit}
        assert min(len(hyp.tokens) for hyp in shortest[row]) == limit
        assert min(len(hyp.tokens) for hyp in unhindered[row]) < limit


def test_max_length_counts_eos():
    state, memory = spelling([[7, 8, 9]])
    (three,) = greedy_search(Speller(), state, memory, max_length=3)[0]
    (four,) = greedy_search(Speller(), state, memory, max_length=4)[0]
    assert three.tokens == four.tokens == [7, 8, 9]
    assert four.log_prob < three.log_prob  # the fourth step is EOS


def ngrams(tokens: list[int], size: int) -> list[tuple[int, ...]]:
    return [tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1)]


@all_searches
@pytest.mark.parametrize("size", [1, 2, 3])
def test_no_ngram_comes_twice(search, size):
    state, memory = spelling([[7, 8, 7, 8] * 4, [9] * 16])
    options = {"max_length": 12, "min_length": 12}
    for hyps in search(Speller(), state, memory, **options):
        assert len(set(ngrams(hyps[0].tokens, size))) < len(ngrams(hyps[0].tokens, size))
    for hyps in search(Speller(), state, memory, no_repeat_ngram_size=size, **options):
        for hyp in hyps:
            assert len(hyp.tokens) == 12
            assert len(set(ngrams(hyp.tokens, size))) == len(ngrams(hyp.tokens, size))


def test_only_what_completes_an_ngram_is_banned():
    state, memory = spelling([[7, 8, 9, 8, 7, 8, 9, 9]])
    (hyp,) = greedy_search(Speller(), state, memory, max_length=9, no_repeat_ngram_size=3)[0]
    # The second 9 would complete 7 8 9; all tokens but it tie.
    assert hyp.tokens[:6] == [7, 8, 9, 8, 7, 8]
    assert hyp.tokens[6] != 9
    assert hyp.tokens[7:] == [9]


@all_searches
def test_a_hypothesis_with_no_token_left_ends(search):
    step = Recurrent(0)
    state, memory = inputs_of(step, 2)
    options = {"max_length": 20, "min_length": 20, "no_repeat_ngram_size": 1}
    for row, hyps in enumerate(search(step, state, memory, **options)):
        for hyp in hyps:
            assert sorted(hyp.tokens) == [UNK, 4, 5]
            expected = forced(step, one(state, row), one(memory, row), hyp.tokens, 20)
            assert hyp.log_prob == pytest.approx(expected, abs=1e-4)


def test_repetition_penalty_is_that_of_ctrl():
    logits = torch.tensor([[[0.0, 1.0, -1.0, 3.0, -2.0, 0.5]]])
    history = torch.tensor([[[3, 4, 3]]])
    expected = torch.tensor([[[0.0, 1.0, -1.0, 1.5, -4.0, 0.5]]])
    torch.testing.assert_close(penalize_repetition(logits, history, 2.0), expected)
    torch.testing.assert_close(penalize_repetition(logits, history[..., :0], 2.0), logits)
    assert logits[0, 0, 3] == 3.0


@all_searches
def test_repetition_penalty_prefers_new_tokens(search):
    def step(tokens, state, memory):
        return torch.tensor([0.0, 0.0, 0.0, -40.0, 30.0, 10.0]).expand(*tokens.shape, -1), state

    plain = search(step, (torch.zeros(2, 1),), max_length=2)
    penalised = search(step, (torch.zeros(2, 1),), max_length=2, repetition_penalty=100.0)
    assert all(hyps[0].tokens == [4, 4] for hyps in plain)
    assert all(hyps[0].tokens == [4, 5] for hyps in penalised)


# Sampling


def fixed(probs: dict[int, float]):
    """A step that ignores everything and gives these probabilities."""
    logits = torch.full((8,), -math.inf)
    for token, prob in probs.items():
        logits[token] = math.log(prob)
    return lambda tokens, state, memory: (logits.expand(*tokens.shape, -1), state)


def frequencies(step, **options) -> dict[int, float]:
    (hyps,) = sample(
        step,
        (torch.zeros(1, 1),),
        max_length=1,
        num_samples=10_000,
        draw=Draw(**options, generator=torch.Generator().manual_seed(0)),
    )
    drawn = [hyp.tokens[0] if hyp.tokens else EOS for hyp in hyps]
    return {token: drawn.count(token) / len(drawn) for token in sorted(set(drawn))}


FOUR = {4: 0.5, 5: 0.25, 6: 0.15, 7: 0.1}


def test_samples_follow_the_distribution():
    probs = {UNK: 0.05, EOS: 0.2, 4: 0.4, 5: 0.25, 7: 0.1}
    assert frequencies(fixed(probs)) == pytest.approx(probs, abs=0.02)


def test_temperature_sharpens():
    total = sum(prob**2 for prob in FOUR.values())
    expected = {token: prob**2 / total for token, prob in FOUR.items()}
    assert frequencies(fixed(FOUR), temperature=0.5) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"top_k": 2}, [4, 5]),
        ({"top_k": 100}, [4, 5, 6, 7]),
        ({"top_p": 0.3}, [4]),
        ({"top_p": 0.7}, [4, 5]),
        ({"top_p": 0.8}, [4, 5, 6]),
        ({"min_p": 0.4}, [4, 5]),
        ({"min_p": 0.25}, [4, 5, 6]),
        ({"min_p": 1.0}, [4]),
        ({"top_k": 3, "top_p": 0.8}, [4, 5]),  # 0.5 + 0.25 of the 0.9 that top-k left
        ({"temperature": 2.0, "top_p": 0.7}, [4, 5, 6]),
        ({"top_p": 0.8, "min_p": 0.4}, [4, 5]),
        ({"typical_p": 0.2}, [5]),  # 1.21 nats are expected; the words carry 0.69, 1.39, 1.90, 2.30
        ({"typical_p": 0.5}, [4, 5]),
        ({"top_k": 3, "typical_p": 0.2}, [5]),
    ],
)
def test_truncation_keeps_the_right_tokens_in_proportion(options, kept):
    temperature = options.get("temperature", 1.0)
    left = {token: FOUR[token] ** (1 / temperature) for token in kept}
    expected = {token: weight / sum(left.values()) for token, weight in left.items()}
    assert frequencies(fixed(FOUR), **options) == pytest.approx(expected, abs=0.02)


def test_truncation_treats_every_row_alone():
    probs = torch.tensor([[0.6, 0.3, 0.1], [0.4, 0.35, 0.25]])
    kept = [[True, False, False], [True, True, False]]
    assert keep_top_p(probs.log(), 0.5).isfinite().tolist() == kept
    kept = [[True, True, False], [True, True, True]]
    assert keep_min_p(probs.log(), 0.4).isfinite().tolist() == kept


def test_typical_keeps_what_carries_about_the_expected_information():
    # The entropy is 1.24 nats; the words carry 0.69, 1.61, 1.90 and 1.90 nats.
    probs = torch.tensor([0.5, 0.2, 0.15, 0.15])
    for typical_p, kept in [
        (0.1, [False, True, False, False]),
        (0.3, [True, True, False, False]),
        (0.8, [True, True, True, False]),
        (1.0, [True, True, True, True]),
    ]:
        assert keep_typical(probs.log(), typical_p).isfinite().tolist() == kept
    barred = torch.tensor([0.0, -math.inf, 0.0])
    assert keep_typical(barred, 0.9).isfinite().tolist() == [True, False, True]


@pytest.mark.parametrize("options", [{"top_k": 1}, {"top_p": 1e-6}, {"min_p": 1.0}], ids=str)
def test_the_tightest_truncation_is_greedy(options):
    step = Recurrent(2, vocab_size=12)
    state, memory = inputs_of(step, 7)
    greedy = beam_search(step, state, memory, beam_size=1, length_penalty=0.0, max_length=9)
    sampled = sample(step, state, memory, max_length=9, num_samples=2, draw=Draw(**options))
    for (hyp,), hyps in zip(greedy, sampled, strict=True):
        same(hyps, [hyp, hyp])


def test_the_same_seed_gives_the_same_samples():
    step = Recurrent(2, vocab_size=12)
    state, memory = inputs_of(step, 4)
    runs = [
        sample(
            step,
            state,
            memory,
            max_length=9,
            num_samples=3,
            draw=Draw(generator=torch.Generator().manual_seed(seed)),
        )
        for seed in (1, 1, 2)
    ]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


def test_sample_log_prob_is_the_models_own_whatever_shaped_the_draw():
    step = Recurrent(5)
    state, memory = inputs_of(step, 1)
    (hyps,) = sample(
        step, state, memory, max_length=5, num_samples=5, draw=Draw(temperature=0.3, top_k=2)
    )
    for hyp in hyps:
        expected = forced(step, state, memory, hyp.tokens, 5)
        assert hyp.log_prob == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("end", [-30.0, 1.0])
def test_stream_hands_out_what_sample_returns(end):
    step = Recurrent(4, vocab_size=12, end=end)
    state, memory = inputs_of(step, 1)
    for seed in range(5):
        draws = [
            Draw(temperature=1.2, top_p=0.9, generator=torch.Generator().manual_seed(seed))
            for _ in range(2)
        ]
        # Without their effect a word would come twice in twelve steps.
        options = {"max_length": 12, "repetition_penalty": 1.2, "no_repeat_ngram_size": 1}
        (hyps,) = sample(step, state, memory, draw=draws[0], **options)
        tokens = stream(step, state, memory, draw=draws[1], **options)
        assert list(tokens) == hyps[0].tokens


def test_stream_is_lazy_and_leaves_the_consumer_alone():
    step = Recurrent(4, end=-30.0)
    state, memory = inputs_of(step, 1)
    for _ in islice(stream(step, state, memory, max_length=10**9), 3):
        assert not torch.is_inference_mode_enabled()
        assert torch.is_grad_enabled()


@all_searches
def test_what_must_end_ends_and_costs_nothing(search):
    step = Recurrent(4, end=-30.0)
    state, memory = inputs_of(step, 2)
    over = lambda history, _: torch.full(history.shape[:2], history.size(-1) == 3)  # noqa: E731
    found = search(step, state, memory, max_length=9, must_end=over)
    for row, hyps in enumerate(found):
        for hyp in hyps:
            assert len(hyp.tokens) == 3
            free = forced(step, one(state, row), one(memory, row), hyp.tokens, 3)
            assert hyp.log_prob == pytest.approx(free, abs=1e-4)


# Options


@pytest.mark.parametrize(
    ("search", "options", "message"),
    [
        (sample, {"num_samples": 0}, "num_samples=0"),
        (stream, {"max_length": 0}, "max_length=0"),  # before the first token is asked for
        (sample, {"max_length": 0}, "max_length=0"),
        (sample, {"max_length": torch.tensor([3, 0])}, "max_length=0"),
        (sample, {"min_length": -1}, "min_length=-1"),
        (sample, {"no_repeat_ngram_size": -1}, "no_repeat_ngram_size=-1"),
        (sample, {"repetition_penalty": 0.0}, "repetition_penalty=0.0"),
        (beam_search, {"beam_size": 0}, "beam_size=0"),
        (beam_search, {"beam_size": 2, "nbest": 3}, "nbest=3"),
        (beam_search, {"beam_size": 2, "nbest": 0}, "nbest=0"),
        (beam_search, {"beam_size": 2, "length_penalty": -0.5}, "length_penalty=-0.5"),
        (beam_search, {"beam_size": 2, "length_penalty": math.inf}, "length_penalty=inf"),
    ],
)
def test_options_out_of_range_are_refused_in_one_line(search, options, message):
    step = Recurrent(0)
    state, memory = inputs_of(step, 2)
    with pytest.raises(InputError) as error:
        search(step, state, memory, **{"max_length": 5, **options})
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top_p": 1.5}, "top_p=1.5"),
        ({"top_p": 0.0}, "top_p=0.0"),
        ({"top_p": math.nan}, "top_p=nan"),
        ({"top_k": -1}, "top_k=-1"),
        ({"min_p": 1.1}, "min_p=1.1"),
        ({"min_p": -0.1}, "min_p=-0.1"),
        ({"temperature": 0.0}, "temperature=0.0"),
        ({"temperature": math.inf}, "temperature=inf"),
    ],
)
def test_draws_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=f"^{message}"):
        Draw(**options)


@pytest.mark.parametrize(
    "options",
    [{"temperature": 1e39}, {"temperature": 1e-50}, {"top_p": 1e-46}, {"typical_p": 1e-46}],
)
def test_draws_at_the_edge_of_float32_are_draws(options):
    log_probs = torch.randn(1, 64, 7).log_softmax(-1)
    log_probs[..., 2] = -math.inf
    drawn = Draw(**options)(log_probs)
    assert (drawn != 2).all()
    if "top_p" in options or options.get("temperature") == 1e-50:
        assert torch.equal(drawn, log_probs.argmax(-1))


def test_a_beam_without_any_sequence_left_ends():
    def step(tokens, state, memory):
        assert state[0].max() < 50, "it goes on for ever"
        return torch.zeros(*tokens.shape, 6), (state[0] + 1,)

    options = {"beam_size": 20, "length_penalty": 10.0, "no_repeat_ngram_size": 1}
    (found,) = beam_search(step, (torch.zeros(1, 1),), max_length=50_000, **options)
    assert len(found) == 1
