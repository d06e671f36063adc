import math
import random
from collections import Counter
from itertools import pairwise

import pytest

from nlp_rnn.data.subwords import check_sampling
from nlp_rnn.data.tokenizer import UNK, Tokenizer
from nlp_rnn.errors import InputError

LETTERS = "abcdefghijß日本"


def sentences(count=300):
    rng = random.Random(0)
    words = ["".join(rng.choices(LETTERS, k=rng.randint(2, 7))) for _ in range(400)]
    return [" ".join(rng.choices(words, k=8)) for _ in range(count)]


def train(model_type, *, normalization="nmt_nfkc", byte_fallback=False):
    return Tokenizer.train(
        sentences(),
        vocab_size=200 + 256 * byte_fallback,
        model_type=model_type,
        normalization=normalization,
        byte_fallback=byte_fallback,
    )


TEXTS = [*sentences(50), "", "Ω ab ΩΩa", "a\ud800b", "  ab  cd "]


@pytest.mark.parametrize("byte_fallback", [False, True])
@pytest.mark.parametrize("normalization", ["nmt_nfkc", "identity"])
@pytest.mark.parametrize(("model_type", "alpha"), [("bpe", 0.0), ("unigram", 1e4)])
def test_no_noise_is_encode(model_type, alpha, normalization, byte_fallback):
    tokenizer = train(model_type, normalization=normalization, byte_fallback=byte_fallback)
    assert tokenizer.sample_batch(TEXTS, alpha=alpha, seed=0) == tokenizer.encode_batch(TEXTS)


@pytest.mark.parametrize("normalization", ["nmt_nfkc", "identity"])
@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_every_sample_is_the_same_text(model_type, normalization):
    tokenizer = train(model_type, normalization=normalization)
    plain = [tokenizer.decode(tokenizer.encode(text)) for text in TEXTS]
    for seed in range(5):
        sampled = tokenizer.sample_batch(TEXTS, alpha=0.3, seed=seed)
        assert [tokenizer.decode(ids) for ids in sampled] == plain


@pytest.mark.parametrize(("model_type", "none"), [("bpe", 0.0), ("unigram", 1e4)])
def test_a_whole_word_stays_whole(model_type, none):
    texts = [*sentences(), "N bade jigbad"]
    words = ["bade", "badeß", "N", "<unk>"]
    tokenizer = Tokenizer.train(texts, vocab_size=200, model_type=model_type, whole_words=words)
    text = "ab bade N badeß badeab <unk> jibade"
    ids = tokenizer.encode(text)
    assert tokenizer.sample(text, alpha=none, seed=0) == ids
    wanted = [f"▁{word}" for word in ("bade", "N", "badeß", "bade", "<unk>")]
    for segmented in (ids, *(tokenizer.sample(text, alpha=0.1, seed=seed) for seed in range(9))):
        assert [each for each in tokenizer.pieces(segmented) if each in wanted] == wanted


def test_dropping_every_merge_leaves_characters():
    tokenizer = train("bpe")
    ids = tokenizer.sample("ab cd", alpha=1.0, seed=0)
    assert tokenizer.pieces(ids) == list("▁ab▁cd")


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_unigram_samples_in_proportion_to_the_model(alpha):
    tokenizer = train("unigram")
    model = tokenizer._model
    word = max((word for text in sentences() for word in text.split()), key=len)

    def segmentations(rest):
        if not rest:
            yield []
        for end in range(1, len(rest) + 1):
            piece = model.piece_to_id(rest[:end])
            if piece != UNK:
                yield from ([piece, *others] for others in segmentations(rest[end:]))

    weights = {
        tuple(ids): math.exp(alpha * sum(map(model.get_score, ids)))
        for ids in segmentations("▁" + word)
    }
    draws = 4000
    counts = Counter(map(tuple, tokenizer.sample_batch([word] * draws, alpha=alpha, seed=0)))
    assert counts.keys() <= weights.keys()
    assert len(weights) > 10
    for ids, weight in weights.items():
        share = weight / sum(weights.values())
        assert abs(counts[ids] / draws - share) < 5 * math.sqrt(share * (1 - share) / draws) + 1e-3


@pytest.mark.parametrize("alpha", [0.1, 0.5])
def test_bpe_drops_merges_at_every_step_anew(alpha):
    tokenizer = train("bpe")
    model = tokenizer._model
    word = max((word for text in sentences() for word in text.split()), key=len)
    rng = random.Random(1)

    def merged():  # Provilkov et al. 2020, algorithm 1
        pieces = list("▁" + word)
        while True:
            pairs = [(left + right, at) for at, (left, right) in enumerate(pairwise(pieces))]
            ids = [(model.piece_to_id(pair), at) for pair, at in pairs]
            kept = [(id_, at) for id_, at in ids if id_ != UNK and rng.random() >= alpha]
            if not kept:
                return tuple(map(model.piece_to_id, pieces))
            _, at = min(kept)  # ids are in the order in which merges were learned
            pieces[at : at + 2] = ["".join(pieces[at : at + 2])]

    draws = 4000
    expected = Counter(merged() for _ in range(draws))
    counts = Counter(map(tuple, tokenizer.sample_batch([word] * draws, alpha=alpha, seed=0)))
    assert len(expected) > 3
    for ids in expected | counts:
        share = (expected[ids] + counts[ids]) / (2 * draws)
        spread = math.sqrt(2 * share * (1 - share) / draws)
        assert abs(counts[ids] - expected[ids]) / draws < 5 * spread + 1e-3


@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_a_long_text_without_spaces(model_type):
    tokenizer = train(model_type)
    text = "ab日本" * 5000
    assert tokenizer.decode(tokenizer.sample(text, alpha=0.3, seed=0)) == text


def test_characters_have_nothing_to_sample():
    check_sampling(0.0, "char")
    with pytest.raises(InputError, match=r"subword_sampling 0\.5: characters spell a text in one"):
        check_sampling(0.5, "char")
