import re

import pytest
import torch

from nlp_rnn.data.tokenizer import EOS, UNK, Tokenizer
from nlp_rnn.data.words import WordVocabulary
from nlp_rnn.decoding import Hypothesis
from nlp_rnn.errors import InputError
from nlp_rnn.inference import TextBeamSearch, TextGenerator, TextSampling, generation_search
from nlp_rnn.inference.generation import WINDOW, _until
from nlp_rnn.models.language_model import LanguageModel

TEXTS = ["the cat saw the dog .", "a dog saw a cat .", "the naïve dog ran", "a cat ran to the dog"]


@pytest.fixture(scope="module")
def vocabulary():
    return Tokenizer.train(
        TEXTS * 20, vocab_size=300, model_type="bpe", byte_fallback=True, normalization="identity"
    )


def build(vocabulary, *, pointer_span=0, **arguments):
    torch.manual_seed(1)
    network = LanguageModel(
        vocab_size=vocabulary.vocab_size,
        embedding_size=16,
        hidden_size=16,
        pointer_span=pointer_span,
    )
    return TextGenerator(network.eval(), vocabulary, **arguments)


@pytest.fixture(scope="module", params=[0, 6], ids=["plain", "pointer"])
def generator(vocabulary, request):
    return build(vocabulary, pointer_span=request.param)


SEARCHES = [TextSampling(max_tokens=30), TextBeamSearch(max_tokens=12, beam_size=3)]


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: type(search).__name__)
def test_a_text_begins_with_its_prompt(generator, search):
    for prompt in ("the cat", "", "  two  spaces", "漢字"):
        assert generator(prompt, search).startswith(prompt)
    assert generator(["the", "a cat"], search)[1].startswith("a cat")
    assert generator.generate([], search) == []
    prompts = ["the", "a cat"]
    assert generator((prompt for prompt in prompts), search) == generator(prompts, search)
    scored = generator.log_probs(prompt for prompt in prompts)
    assert scored == generator.log_probs(prompts)


def test_the_same_seed_gives_the_same_text(generator):
    texts = [generator("the", TextSampling(max_tokens=30, seed=seed)) for seed in (3, 3, 4)]
    assert texts[0] == texts[1] != texts[2]


def test_several_samples_differ(generator):
    (texts,) = generator.generate(["the"], TextSampling(max_tokens=30, num_samples=4))
    assert len(set(texts)) == 4


def test_greedy_does_not_depend_on_the_other_prompts(generator):
    search = TextBeamSearch(beam_size=1, max_tokens=15)
    prompts = ["the", "a dog saw a cat and", ""]
    assert generator(prompts, search) == [generator(prompt, search) for prompt in prompts]


class NextToken:
    """A search that only looks at what would come first."""

    stop = ()

    def search(self, step, state, start, must_end):
        self.logits = step(start.unsqueeze(1), state, ())[0].squeeze(1)
        return [[Hypothesis([], 0.0, 0.0)] for _ in start]


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_continuation_is_given_the_whole_prompt(vocabulary, direction, monkeypatch):
    monkeypatch.setattr("nlp_rnn.inference.generation.WINDOW", 3)
    generator, search = build(vocabulary, direction=direction), NextToken()
    prompts = ["the cat saw the dog", "", "a dog ran"]
    generator.generate(prompts, search)
    network = generator.network
    for prompt, found in zip(prompts, search.logits):
        ids = vocabulary.encode(prompt)
        read = [EOS, *(ids if direction == "forward" else ids[::-1])]
        reading, _ = network(torch.tensor([read]), network.zero_state(1))
        expected = network.decoder.project(reading.dropped[0, -1]).detach()
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_every_option_reaches_the_search(generator, monkeypatch):
    seen = []
    for name in ("sample", "stream", "beam_search"):
        inner = getattr(generation_search, name)
        monkeypatch.setattr(
            generation_search,
            name,
            lambda *args, inner=inner, **options: seen.append(options) or inner(*args, **options),
        )
    common = {"no_repeat_ngram_size": 2, "repetition_penalty": 1.5}
    draw = {"temperature": 0.7, "top_k": 9, "top_p": 0.9, "min_p": 0.01, "typical_p": 0.95}
    sampling = TextSampling(max_tokens=5, **common, **draw)
    generator("the", sampling)
    list(generator.stream("the", sampling))
    generator("the", TextBeamSearch(max_tokens=5, beam_size=3, length_penalty=0.3, **common))
    assert all(common.items() <= each.items() for each in seen)
    assert [{name: getattr(each["draw"], name) for name in draw} for each in seen[:2]] == [draw] * 2
    assert seen[2]["length_penalty"] == 0.3


def test_lengths_hold():
    words = WordVocabulary(["a", "b"])  # of few tokens, the end mark is drawn soon
    generator = build(words)
    lengths = [
        {
            len(generator("", TextSampling(max_tokens=9, min_tokens=least, seed=seed)).split())
            for seed in range(20)
        }
        for least in (0, 5, 9)
    ]
    assert min(lengths[0]) < 5
    assert 5 <= min(lengths[1]) < max(lengths[1]) <= 9
    assert lengths[2] == {9}


def test_a_text_is_no_list_of_letters(generator):
    for call in (generator.generate, generator.log_probs):
        with pytest.raises(InputError, match="is the text 'the cat': give a list"):
            call("the cat")


@pytest.mark.parametrize("search", [TextSampling, TextBeamSearch])
def test_a_stop_text_is_no_list_of_letters(search):
    with pytest.raises(InputError, match="give a list of texts"):
        search(stop="END")


def test_a_stream_is_the_text_part_by_part(generator):
    for seed in range(8):
        search = TextSampling(max_tokens=40, temperature=1.5, top_p=1.0, seed=seed)
        for prompt in ("the cat", ""):
            streamed = prompt + "".join(generator.stream(prompt, search))
            whole = generator(prompt, search)
            # Bytes that make up no character are shown one by one or together.
            assert re.sub("�+", "�", streamed) == re.sub("�+", "�", whole)


def test_words_are_streamed_with_their_spaces():
    vocabulary = WordVocabulary.train(TEXTS, vocab_size=12)
    generator = build(vocabulary)
    search = TextSampling(max_tokens=10)
    for prompt in ("the cat", ""):
        assert prompt + "".join(generator.stream(prompt, search)) == generator(prompt, search)
    assert generator.unknown("the zebra ran") == ["zebra"] + ["ran"] * (
        UNK in vocabulary.encode("ran")
    )


@pytest.mark.parametrize(
    ("parts", "stop", "expected"),
    [
        (["ab", "c", "de"], [], "abcde"),
        (["ab", "c", "de"], ["cd"], "ab"),
        (["ab", "c", "de"], ["e", "bc"], "a"),
        (["ab", "c"], ["abc", "b"], "a"),
        (["abc"], ["abc", "b"], "a"),
        (["ab", "c"], ["bc", "abc"], ""),
        (["abc"], ["bc", "abc"], ""),
        (["ab"], ["x" * 9], "ab"),
        (["ab"], [""], "ab"),
    ],
)
def test_a_stop_text_ends_it_wherever_the_parts_are_cut(parts, stop, expected):
    assert "".join(_until(iter(parts), stop)) == expected


def test_a_stop_text_ends_every_kind_of_output():
    generator = build(WordVocabulary.train(TEXTS, vocab_size=12))
    search = TextSampling(max_tokens=40, seed=2)
    whole = generator("the", search)
    stop = whole[10:13]
    ended = TextSampling(max_tokens=40, seed=2, stop=[stop])
    expected = whole[: whole.index(stop, 3)]
    assert generator("the", ended) == expected
    assert "the" + "".join(generator.stream("the", ended)) == expected


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_stop_text_ends_the_search_too(vocabulary, direction):
    generator = build(vocabulary, direction=direction)
    search = TextSampling(max_tokens=60, min_tokens=60, seed=3)
    written = generator("the", search)
    stop = written[len(written) // 2 :][:3]
    step, steps = generator.network.step, []
    generator.network.step = lambda *given: steps.append(1) or step(*given)
    stopped = TextSampling(max_tokens=60, min_tokens=60, seed=3, stop=[stop])
    assert len(generator("the", stopped)) < len(written)
    assert 1 < len(steps) < 60


def test_beams_that_stop_are_ranked_as_they_are_read():
    generator = build(WordVocabulary.train(TEXTS, vocab_size=12))
    whole = TextBeamSearch(max_tokens=9, min_tokens=9, beam_size=4, num_samples=4)
    stop = generator("", whole).split()[2]
    search = TextBeamSearch(max_tokens=9, beam_size=4, num_samples=4, stop=[stop])
    (texts,) = generator.generate([""], search)
    assert len(set(texts)) == 4


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("words", [False, True])
def test_a_stop_text_may_have_the_space_next_to_the_prompt(vocabulary, words, direction):
    if words:
        vocabulary = WordVocabulary.train(TEXTS, vocab_size=12)
    generator = build(vocabulary, direction=direction)
    (dog,) = vocabulary.encode("dog")
    with torch.no_grad():
        generator.network.decoder.projection.bias[dog] += 9.0
    step, steps = generator.network.step, []
    generator.network.step = lambda *given: steps.append(1) or step(*given)
    prompts = ["the", "the ", " the", ""]
    stop = " dog" if direction == "forward" else "dog "
    wholes = generator(prompts, TextSampling(max_tokens=5, top_k=1))
    steps.clear()
    cut = generator(prompts, TextSampling(max_tokens=5, top_k=1, stop=[stop]))
    if direction == "forward":
        assert cut == [p + w.removeprefix(p).split(stop)[0] for p, w in zip(prompts, wholes)]
    else:
        assert cut == [w.removesuffix(p).split(stop)[-1] + p for p, w in zip(prompts, wholes)]
    assert len(steps) < 5
    beams = TextBeamSearch(max_tokens=5, beam_size=4, num_samples=4, stop=[stop])
    (texts,) = generator.generate(["the"], beams)
    assert len(set(texts)) == 4


def test_log_probs_are_those_of_reading_alone(generator):
    texts = ["the cat saw", "", "a dog ran to the cat saw the dog . " * 60]
    scored = generator.log_probs(texts, batch_size=2)
    network = generator.network
    for text, values in zip(texts, scored):
        ids = [EOS, *generator.vocabulary.encode(text), EOS]
        assert len(values) == len(generator.pieces(text)) == len(ids) - 1
        tokens = torch.tensor([ids])
        reading, _ = network(tokens[:, :-1], network.zero_state(1))
        expected = -network.nats(reading, tokens[:, 1:])[0]
        torch.testing.assert_close(torch.tensor(values), expected, rtol=1e-4, atol=1e-4)
    assert len(scored[2]) > WINDOW


def test_a_backward_model_reads_from_the_end(vocabulary):
    backward = build(vocabulary, direction="backward")
    assert backward("saw the dog", TextSampling(max_tokens=8)).endswith("saw the dog")
    text = "the cat saw"
    ids = vocabulary.encode(text)
    tokens = torch.tensor([[EOS, *ids[::-1], EOS]])
    network = backward.network
    reading, _ = network(tokens[:, :-1], network.zero_state(1))
    read = -network.nats(reading, tokens[:, 1:])[0]
    expected = torch.cat([read[:-1].flip(0), read[-1:]])  # in the order of the text
    torch.testing.assert_close(torch.tensor(backward.log_probs([text])[0]), expected)
    with pytest.raises(InputError, match="writes from the end"):
        backward.stream("the")


class Fixed:
    """A search that always finds the same."""

    def __init__(self, ids, stop=()):
        self.ids, self.stop = ids, stop

    def search(self, step, state, start, must_end):
        return [[Hypothesis(self.ids, 0.0, 0.0)] for _ in start]


@pytest.mark.parametrize(
    ("prompt", "words"), [("saw a dog", False), ("saw a dog", True), (" saw a dog", True)]
)
def test_what_a_backward_model_writes_stands_to_the_left(vocabulary, prompt, words):
    if words:  # which have no spaces: that of the prompt is not read
        vocabulary = WordVocabulary.train(TEXTS, vocab_size=12)
    ids = vocabulary.encode("the cat")
    written = build(vocabulary, direction="backward")(prompt, Fixed(ids[::-1]))
    assert written == "the cat saw a dog"
    cut = build(vocabulary, direction="backward")(prompt, Fixed(ids[::-1], stop=["the "]))
    assert cut == "cat saw a dog"


def test_a_stop_text_ends_what_a_backward_model_writes_to_the_left(vocabulary):
    backward = build(vocabulary, direction="backward")
    whole = backward("the dog", TextSampling(max_tokens=30, min_tokens=30))
    left = whole.removesuffix("the dog")
    stop = left[len(left) // 2 :][:2]
    cut = backward("the dog", TextSampling(max_tokens=30, min_tokens=30, stop=[stop]))
    assert cut == left.rpartition(stop)[2] + "the dog"


@pytest.mark.parametrize(
    "vocabulary",
    [
        WordVocabulary.train(TEXTS, vocab_size=12),
        Tokenizer.train(TEXTS, vocab_size=23, normalization="nmt_nfkc_cf"),
    ],
    ids=["words", "lower case"],
)
def test_a_space_at_the_end_of_a_prompt_that_is_not_read_is_not_written_twice(vocabulary):
    generator = build(vocabulary)
    for seed in range(5):
        search = TextSampling(max_tokens=9, min_tokens=9, seed=seed)
        text = generator("the ", search)
        assert text.startswith("the ")
        assert not text.startswith("the  ")
        assert "the " + "".join(generator.stream("the ", search)) == text


def test_a_whole_word_is_no_unknown_one():
    vocabulary = Tokenizer.train(TEXTS, vocab_size=24, whole_words=["<unk>"])
    assert build(vocabulary).unknown("the <unk> cat") == []
    assert build(vocabulary).unknown("the <unk> <漢>") == ["<", "漢", ">"]


def test_an_unknown_token_behind_a_space_that_is_not_read_is_streamed_as_it_is_joined():
    generator = build(Tokenizer.train(TEXTS, vocab_size=23, normalization="nmt_nfkc_cf"))
    before, drawn = generator.vocabulary.encode("the "), [UNK, *generator.vocabulary.encode("cat")]
    whole = generator._joined("the ", before, drawn, ())
    assert whole.startswith("the ⁇")
    assert "the " + "".join(generator._spelt(iter(drawn), begins=False, spaced=True)) == whole


def test_a_stream_is_one_continuation(generator):
    with pytest.raises(InputError, match="num_samples=3 is out of range"):
        generator.stream("the", TextSampling(num_samples=3))


@pytest.mark.parametrize("words", [False, True])
def test_a_text_that_begins_with_the_unknown_is_streamed_as_it_is_decoded(words):
    vocabulary = (
        WordVocabulary.train(TEXTS, vocab_size=12)
        if words
        else Tokenizer.train(TEXTS, vocab_size=23)
    )
    ids = [UNK, *vocabulary.encode("the cat")]
    streamed = build(vocabulary)._spelt(iter(ids), begins=True)
    assert "".join(streamed) == vocabulary.decode(ids)


def test_few_logits_at_a_time_score_the_same(generator, monkeypatch):
    texts = ["the cat saw", "a dog ran to the cat saw the dog . " * 9]
    expected = generator.log_probs(texts)
    monkeypatch.setattr("nlp_rnn.inference.generation.LOGITS", 1)
    for scored, values in zip(generator.log_probs(texts), expected):
        torch.testing.assert_close(torch.tensor(scored), torch.tensor(values))


def test_a_very_low_temperature_is_greedy(generator):
    for temperature in (1e-40, 1e-46):
        cold = TextSampling(max_tokens=9, temperature=temperature, top_p=1.0)
        assert generator("the", cold) == generator("the", TextSampling(max_tokens=9, top_k=1))


@pytest.mark.parametrize(
    ("search", "message"),
    [
        (TextSampling(top_p=1.5), "top_p=1.5 is out of range"),
        (TextSampling(temperature=0.0), "temperature=0.0 is out of range"),
        (TextSampling(typical_p=0.0), "typical_p=0.0 is out of range"),
        (TextSampling(seed=2**64), "seed 18446744073709551616 is out of range"),
        (TextSampling(max_tokens=0), "max_tokens=0 is out of range"),
        (TextBeamSearch(max_tokens=0), "max_tokens=0 is out of range"),
        (TextSampling(max_tokens=2**31), "max_tokens=2147483648 is out of range"),
        (TextSampling(min_tokens=-1), "min_tokens=-1 is out of range"),
        (TextSampling(min_tokens=201), "min_tokens=201 is out of range"),
        (TextBeamSearch(length_penalty=1000.0), "length_penalty=1000.0 is out of range"),
        (TextBeamSearch(repetition_penalty=1e-40), "repetition_penalty=1e-40 is out of range"),
        (TextBeamSearch(beam_size=2, num_samples=3), "num_samples=3 is out of range"),
        (TextBeamSearch(beam_size=0), "beam_size=0 is out of range"),
    ],
)
def test_what_is_out_of_range_is_named(generator, search, message):
    with pytest.raises(InputError, match=message):
        generator("the", search)


def save(path, generator, **changes):
    torch.save(
        {
            "nlp_rnn": {"task": "language_model", "format": 1},
            "hyper_parameters": dict(generator.network.arguments),
            "state_dict": {f"network.{k}": v for k, v in generator.network.state_dict().items()},
            "LanguageModelData": {
                "vocabulary": generator.vocabulary.to_bytes(),
                "direction": generator.direction,
                **changes,
            },
        },
        path,
    )
    return path


def test_a_checkpoint_gives_the_same_generator(generator, tmp_path):
    again = TextGenerator.from_checkpoint(save(tmp_path / "lm.ckpt", generator))
    assert again("the cat") == generator("the cat")


def test_checkpoints_that_do_not_fit_are_named(generator, checkpoint, tmp_path):
    other = WordVocabulary.train(TEXTS, vocab_size=12).to_bytes()
    path = save(tmp_path / "lm.ckpt", generator, vocabulary=other)
    with pytest.raises(InputError, match="vocabulary of 12 tokens, but its network has 300"):
        TextGenerator.from_checkpoint(path)
    with pytest.raises(InputError, match="task 'translate', but 'language_model' is wanted"):
        TextGenerator.from_checkpoint(checkpoint)


def test_bf16_is_refused_where_the_cpu_has_no_lstm_of_it(vocabulary, monkeypatch):
    monkeypatch.setattr("nlp_rnn.inference.networks.runs_bf16_lstm", lambda: False)
    with pytest.raises(InputError, match=r"no bf16 kernel for an LSTM.*give fp32"):
        build(vocabulary, precision="bf16")
    sizes = {"vocab_size": vocabulary.vocab_size, "embedding_size": 16, "hidden_size": 16}
    gru = TextGenerator(LanguageModel(**sizes, cell="gru").eval(), vocabulary, precision="bf16")
    assert gru("the", TextSampling(max_tokens=5))


def test_spaces_at_the_beginning_of_a_text_in_lower_case_are_streamed_as_they_are_decoded():
    vocabulary = Tokenizer.train(TEXTS, vocab_size=23, normalization="nmt_nfkc_cf")
    (space,) = (n for n in range(23) if vocabulary.pieces([n]) == ["▁"])
    ids = [space, space, *vocabulary.encode("cat"), space, *vocabulary.encode("dog")]
    streamed = build(vocabulary)._spelt(iter(ids), begins=True)
    assert "".join(streamed) == vocabulary.decode(ids)
