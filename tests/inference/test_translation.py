import subprocess
import sys
import textwrap

import pytest
import torch

from nlp_rnn import Translator
from nlp_rnn.data.tokenizer import UNK, Tokenizer
from nlp_rnn.errors import InputError, TruncationWarning
from nlp_rnn.inference import BeamSearch, Sampling, translation_search
from nlp_rnn.inference.translation import MAX_SOURCE_TOKENS

TEXTS = ["red dog", "small old black cat", "car", "white house tree man", "", "new woman", " \t "]


def near(values):
    return pytest.approx(values, rel=1e-4, abs=1e-4)


@pytest.fixture(scope="module")
def translator(checkpoint):
    return Translator.from_checkpoint(checkpoint)


def test_a_list_keeps_its_order(translator):
    together = translator(TEXTS)
    assert together == [translator(text) for text in TEXTS]
    assert len({*together}) > 4
    assert together[0].isupper()
    assert translator(TEXTS[::-1]) == together[::-1]
    assert translator(text for text in TEXTS) == together


def test_empty_and_blank_texts_stay_empty(translator):
    assert translator(["", " \t ", "　"]) == ["", "", ""]
    assert translator("") == ""
    assert translator([]) == []
    (only,) = translator.translate([""], BeamSearch(nbest=3))[0]
    assert only == ("", 0.0, 0.0, ())


def test_white_space_that_has_tokens_is_blank_too(make_network):
    texts = [f"a{n}  b{n}" for n in range(90)]
    vocabulary = Tokenizer.train(texts, vocab_size=40, normalization="identity")
    translator = Translator([make_network(vocab_size=40).eval()], vocabulary, vocabulary)
    assert vocabulary.encode("  ")
    assert translator(["  ", "a1"])[0] == ""


@pytest.mark.parametrize("batch_size", [1, 2, 3])
def test_the_batch_changes_nothing(translator, batch_size):
    search = BeamSearch(nbest=2)
    expected = translator.translate(TEXTS, search)
    for row, other in zip(expected, translator.translate(TEXTS, search, batch_size=batch_size)):
        assert [each.text for each in row] == [each.text for each in other]
        assert [each.log_prob for each in row] == near([each.log_prob for each in other])


def test_nbest_is_sorted(translator):
    for row in translator.translate(TEXTS[:4], BeamSearch(beam_size=4, nbest=4)):
        assert len(row) == 4
        scores = [each.score for each in row]
        assert scores == sorted(scores, reverse=True)
        assert len({each.text for each in row}) > 1


def test_a_forced_translation_has_the_log_probability_the_search_gave(translator, tokenizer):
    sources, targets, log_probs = [], [], []
    for source, row in zip(TEXTS[:4], translator.translate(TEXTS[:4], BeamSearch(nbest=3))):
        for each in row:
            # A search may spell a text by other pieces than the tokenizer would.
            if [*each.tokens] == tokenizer.encode(each.text):
                sources.append(source)
                targets.append(each.text)
                log_probs.append(each.log_prob)
    assert len(targets) > 5
    assert translator.score(sources, targets) == near(log_probs)


def test_batches_without_texts_are_refused(translator):
    targets = ["RED DOG", "WHITE HOUSE"]
    with pytest.raises(InputError, match="batch_size=-1 is out of range"):
        translator.score(TEXTS[:2], targets, batch_size=-1)
    with pytest.raises(InputError, match="batch_size=0 is out of range"):
        translator.translate(TEXTS[:2], batch_size=0)


def test_scores_do_not_depend_on_the_batch(translator):
    sources = ["red dog", "car", "small old black cat", ""]
    targets = ["RED DOG", "MAN", "", "TREE"]
    alone = [translator.score([s], [t])[0] for s, t in zip(sources, targets)]
    assert translator.score(sources, targets) == near(alone)
    assert translator.score(sources, targets, batch_size=2) == near(alone)
    assert all(value < 0 for value in alone)
    with pytest.raises(InputError, match="4 sources but 1 targets"):
        translator.score(sources, ["RED"])


def test_sampling_follows_its_seed(translator):
    search = Sampling(seed=1, num_samples=3, temperature=2.0)
    first = translator.translate(TEXTS, search)
    assert first == translator.translate(TEXTS, search)
    assert first != translator.translate(TEXTS, Sampling(seed=2, num_samples=3, temperature=2.0))
    assert [len(row) for row in first] == [3, 3, 3, 3, 1, 3, 1]
    batches = translator.translate(["red dog"] * 8, search, batch_size=4)
    assert batches[:4] != batches[4:]
    likeliest = translator.translate(TEXTS, Sampling(top_k=1))
    greedy = translator.translate(TEXTS, BeamSearch(beam_size=1))
    assert [row[0].text for row in likeliest] == [row[0].text for row in greedy]


def test_every_option_reaches_the_search(translator, monkeypatch):
    seen, beam_search = {}, translation_search.beam_search
    monkeypatch.setattr(
        translation_search,
        "beam_search",
        lambda *args, **options: seen.update(options) or beam_search(*args, **options),
    )
    given = {
        "beam_size": 3,
        "nbest": 2,
        "length_penalty": 0.3,
        "no_repeat_ngram_size": 2,
        "repetition_penalty": 1.5,
    }
    translator("red dog", BeamSearch(**given))
    assert given.items() <= seen.items()


def test_length_limits_hold(translator, tokenizer):
    long = BeamSearch(min_length_ratio=3.0, max_length_ratio=4.0)
    usual, longer = (
        translator.translate(["red dog"], search)[0][0].text for search in (BeamSearch(), long)
    )
    assert len(tokenizer.encode(longer)) > len(tokenizer.encode(usual)) + 2
    (cut,) = translator.translate(["car " * 40], BeamSearch(max_length_ratio=0.01))[0]
    assert len(tokenizer.encode(cut.text)) <= 10
    longest = []
    for ratio in (0.01, 2.0):
        wild = Sampling(max_length_ratio=ratio, temperature=100.0, num_samples=8)
        (drawn,) = translator.translate(["car " * 40], wild)
        longest.append(max(len(tokenizer.encode(each.text)) for each in drawn))
    assert longest[0] < 20 < longest[1]  # pieces that were drawn may be spelled by more of them
    with pytest.raises(InputError, match=r"3.0 to 2.0: the minimum must be .* at most the maximum"):
        BeamSearch(min_length_ratio=3.0)


def test_the_end_mark_of_a_source_is_no_token_of_it(translator, tokenizer, monkeypatch):
    search, shortest, longest = translation_search.beam_search, [], []

    def recorded(*args, min_length, max_length, **options):
        shortest.extend(min_length.tolist())
        longest.extend(max_length.tolist())
        return search(*args, min_length=min_length, max_length=max_length, **options)

    monkeypatch.setattr(translation_search, "beam_search", recorded)
    translator(TEXTS[:3], BeamSearch(min_length_ratio=1.0, max_length_ratio=3.0))
    lengths = sorted(len(tokenizer.encode(text)) for text in TEXTS[:3])
    assert sorted(shortest) == lengths
    assert sorted(longest) == [3 * length + 10 for length in lengths]


@pytest.mark.parametrize(
    "values",
    [
        {"beam_size": 0},
        {"beam_size": 10**20},
        {"nbest": 6},
        {"nbest": 0},
        {"max_length_ratio": 0.0},
        {"min_length_ratio": -1.0},
        {"max_length_ratio": float("nan")},
        {"length_penalty": -1.0},
        {"repetition_penalty": 0.0},
        {"no_repeat_ngram_size": -1},
    ],
)
def test_a_search_out_of_range_is_refused(values):
    with pytest.raises(InputError) as error:
        BeamSearch(**values)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "values",
    [
        {"num_samples": 0},
        {"temperature": 0.0},
        {"top_k": -1},
        {"top_p": 1.5},
        {"min_p": -0.1},
        {"max_length_ratio": float("inf")},
        {"max_length_ratio": 1e30},
        {"num_samples": 10**20},
    ],
)
def test_sampling_out_of_range_is_refused(values):
    with pytest.raises(InputError, match=f"{next(iter(values))}=.* is out of range"):
        Sampling(**values)


def test_a_long_text_is_cut_and_named(translator):
    texts = ["car", "dog " * (MAX_SOURCE_TOKENS + 100), "cat"]
    with pytest.warns(TruncationWarning, match=f"text 2 has {MAX_SOURCE_TOKENS + 100} tokens"):
        found = translator(texts, BeamSearch(beam_size=1, max_length_ratio=0.1))
    assert (found[0], found[2]) == (translator("car"), translator("cat"))
    with pytest.warns(TruncationWarning):
        cut = translator.score([texts[1]], ["DOG"])
    assert cut == translator.score(["dog " * MAX_SOURCE_TOKENS], ["DOG"])


def test_an_alignment_is_named_and_sums_to_one(translator):
    alignment = translator.align("red dog", "RED OLD DOG")
    assert alignment.source == ["▁red", "▁dog", "</s>"]
    assert alignment.target[-1] == "</s>"
    assert "".join(alignment.target[:-1]) == "▁RED▁OLD▁DOG"
    assert alignment.weights.shape == (len(alignment.target), 3)
    torch.testing.assert_close(alignment.weights.sum(1), torch.ones(len(alignment.target)))
    best = translator.align("red dog")
    assert "".join(best.target[:-1]).replace("▁", " ").strip() == translator("red dog")
    with pytest.raises(InputError, match="empty"):
        translator.align("  ")


def test_what_was_found_is_aligned_in_its_own_pieces(translator, tokenizer):
    (best,) = translator.translate(["red dog"])[0]
    assert translator.align("red dog").target == [*tokenizer.pieces([*best.tokens]), "</s>"]
    letters = [tokenizer.encode(letter)[-1] for letter in "RED"]
    spelt = best._replace(text="RED", tokens=(*letters, UNK))
    own, anew = translator.alignments(["red dog"] * 2, [spelt, "RED"])
    assert own.target == [*tokenizer.pieces([*letters, UNK]), "</s>"]
    assert anew.target == [*tokenizer.pieces(tokenizer.encode("RED")), "</s>"]
    assert own.weights.shape == (5, 3)
    assert translator.align("red dog", spelt).target == own.target


def test_source_and_target_may_have_vocabularies_of_their_own(
    make_network, save_checkpoint, tokenizer, tmp_path
):
    target = Tokenizer.train(["un chien rouge", "une voiture", "le chat noir"] * 9, vocab_size=22)
    network = make_network(tied="two", target_vocab_size=22)
    path = save_checkpoint(tmp_path / "two.ckpt", network, target=target)
    translator = Translator.from_checkpoint(path)
    (row,) = translator.translate(["red dog"], BeamSearch(nbest=5))
    for each in row:
        assert each.text == target.decode([*each.tokens])
    alignment = translator.align("red dog", row[0])
    assert alignment.source == [*tokenizer.pieces(tokenizer.encode("red dog")), "</s>"]
    assert alignment.target == [*target.pieces([*row[0].tokens]), "</s>"]
    ids = target.encode("un chat")
    given = row[0]._replace(tokens=tuple(ids))
    texts, tokens = translator.alignments(["red dog"] * 2, ["un chat", given])
    assert texts.target == tokens.target == [*target.pieces(ids), "</s>"]
    torch.testing.assert_close(texts.weights, tokens.weights)


def test_without_attention_there_is_no_alignment(make_network, tokenizer):
    plain = Translator([make_network(attention="none")], tokenizer, tokenizer)
    assert not plain.attends
    assert isinstance(plain("red dog"), str)
    with pytest.raises(InputError, match="attention 'none'"):
        plain.align("red dog", "RED")


@pytest.mark.parametrize("decoder", ["parallel", "input_feeding"])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_every_kind_of_network_serves(make_network, tokenizer, cell, decoder):
    translator = Translator([make_network(cell=cell, decoder=decoder)], tokenizer, tokenizer)
    found = translator.translate(["red dog", "car"], BeamSearch(beam_size=2, nbest=2))
    assert [len(row) for row in found] == [2, 2]


@pytest.mark.parametrize("training", [True, False])
def test_a_network_stays_in_the_mode_it_is_in(make_network, tokenizer, training):
    network = make_network(cell="gru").train(training)
    network.bridge.eval()  # a part may be in a mode of its own
    Translator([network], tokenizer, tokenizer)("red dog")
    modes = {module.training for module in network.encoder.modules()}
    assert modes == {training}
    assert not network.bridge.training


def test_an_ensemble_of_twins_is_the_network(translator, checkpoint):
    twins = Translator.from_checkpoint(checkpoint, checkpoint)
    search = BeamSearch(nbest=2)
    for one, two in zip(translator.translate(TEXTS, search), twins.translate(TEXTS, search)):
        assert [each.text for each in one] == [each.text for each in two]
        assert [each.log_prob for each in one] == near([each.log_prob for each in two])


def test_an_ensemble_of_strangers_is_refused(
    checkpoint, make_network, save_checkpoint, tokenizer, tmp_path
):
    texts = [f"{a}{b} {b}{a}" for a in "xyzuvw" for b in "aeiou"]
    foreign = Tokenizer.train(texts, vocab_size=20)
    other = save_checkpoint(tmp_path / "other.ckpt", make_network(), target=foreign)
    with pytest.raises(InputError, match=r"other\.ckpt has another vocabulary than .*best\.ckpt"):
        Translator.from_checkpoint(checkpoint, other)
    member = save_checkpoint(tmp_path / "member.ckpt", make_network(seed=1, cell="lstm"))
    assert len(Translator.from_checkpoint(checkpoint, member)(TEXTS)) == len(TEXTS)


def test_an_ensemble_of_both_directions_is_refused(
    checkpoint, make_network, save_checkpoint, tmp_path
):
    other = save_checkpoint(tmp_path / "other.ckpt", make_network())
    content = torch.load(other, weights_only=True)
    content["TranslationData"].update(source="de", target="en")
    torch.save(content, other)
    with pytest.raises(InputError, match=r"other\.ckpt translates de to en but .*en to de"):
        Translator.from_checkpoint(checkpoint, other)


def test_scores_do_not_depend_on_how_many_logits_are_held(translator, monkeypatch):
    expected = translator.score(TEXTS[:4], ["RED DOG"] * 4)
    aligned = translator.align("red dog", "RED DOG")
    monkeypatch.setattr("nlp_rnn.models.seq2seq.LOGITS", 1)
    assert translator.score(TEXTS[:4], ["RED DOG"] * 4) == near(expected)
    torch.testing.assert_close(translator.align("red dog", "RED DOG").weights, aligned.weights)


def test_bf16_agrees_nearly(checkpoint, translator):
    half = Translator.from_checkpoint(checkpoint, precision="bf16")
    expected, found = (each.score(TEXTS[:4], ["RED DOG"] * 4) for each in (translator, half))
    assert found == pytest.approx(expected, rel=0.05, abs=0.5)
    assert found != expected


def test_what_cannot_be_used_is_said_in_one_line(
    checkpoint, make_network, save_checkpoint, tmp_path
):
    network = make_network()
    network.arguments["hidden_size"] = 50  # not what the weights are
    unfit = save_checkpoint(tmp_path / "unfit.ckpt", network)
    network.arguments["novelty"] = 1  # an argument of some other version
    newer = save_checkpoint(tmp_path / "newer.ckpt", network)
    for call in (
        lambda: Translator.from_checkpoint(),
        lambda: Translator.from_checkpoint(checkpoint, device="nowhere"),
        lambda: Translator.from_checkpoint(checkpoint, precision="fp8"),
        lambda: Translator.from_checkpoint(unfit),
        lambda: Translator.from_checkpoint(newer),
    ):
        with pytest.raises(InputError) as error:
            call()
        assert "\n" not in str(error.value)


def test_a_checkpoint_serves_in_a_process_without_lightning(checkpoint, translator, tmp_path):
    code = f"""
        import sys
        import nlp_rnn
        assert "torch" not in sys.modules
        translator = nlp_rnn.Translator.from_checkpoint({str(checkpoint)!r})
        print(translator("red dog"))
        for heavy in ("lightning", "datasets", "matplotlib", "sacrebleu"):
            assert heavy not in sys.modules, heavy
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert result.stdout == f"{translator('red dog')}\n"


def test_alignments_are_those_of_one_at_a_time(translator):
    sources = ["red dog", "a big red dog", "dog"]
    targets = [found[0].text or "RED" for found in translator.translate(sources)]
    together = translator.alignments(sources, targets, batch_size=2)
    for source, target, found in zip(sources, targets, together):
        alone = translator.align(source, target)
        assert (found.source, found.target) == (alone.source, alone.target)
        torch.testing.assert_close(found.weights, alone.weights, rtol=1e-4, atol=1e-5)
    assert translator.alignments([], []) == []


def test_a_text_is_no_list_of_letters(translator):
    for call in (
        lambda: translator.translate("two cats"),
        lambda: translator.score("two", ["zwei"]),
        lambda: translator.score(["two"], "zwei"),
    ):
        with pytest.raises(InputError, match=r"is the text .*: give a list of texts"):
            call()
