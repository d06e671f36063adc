import copy
import pickle
import random
import subprocess
import sys

import pytest

from nlp_rnn.data.tokenizer import BOS, EOS, PAD, UNK, Tokenizer
from nlp_rnn.errors import InputError

LETTERS = "abcdefghijß日本"


def sentences(count=300, seed=0):
    rng = random.Random(seed)
    words = ["".join(rng.choices(LETTERS, k=rng.randint(2, 7))) for _ in range(400)]
    return [" ".join(rng.choices(words, k=8)) for _ in range(count)]


@pytest.fixture(scope="module", params=["unigram", "bpe"])
def tokenizer(request):
    return Tokenizer.train(sentences(), vocab_size=120, model_type=request.param)


def test_ids_and_size(tokenizer):
    assert (PAD, UNK, BOS, EOS) == (0, 1, 2, 3)
    assert tokenizer.vocab_size == 120
    assert tokenizer.pieces([PAD, UNK, BOS, EOS]) == ["<pad>", "<unk>", "<s>", "</s>"]
    for text in sentences(20):
        ids = tokenizer.encode(text)
        assert min(ids) > EOS
        assert max(ids) < tokenizer.vocab_size
        assert "".join(tokenizer.pieces(ids)).replace("▁", " ").strip() == text


def test_decode_inverts_encode_and_drops_specials(tokenizer):
    for text in sentences(20):
        ids = tokenizer.encode(text)
        assert tokenizer.decode([BOS, *ids, EOS, PAD, PAD]) == tokenizer.decode(ids) == text
    assert tokenizer.decode([]) == ""
    assert tokenizer.encode("") == []


def test_an_unknown_character_is_unk(tokenizer):
    ids = tokenizer.encode("abΩ")
    assert UNK in ids
    assert "⁇" in tokenizer.decode(ids)


def test_encode_batch_is_encode_of_each(tokenizer):
    texts = ["", *sentences(5)]
    assert tokenizer.encode_batch(texts) == [tokenizer.encode(text) for text in texts]


def test_lone_surrogates_read_as_a_question_mark(tokenizer):
    assert tokenizer.encode("ab\ud800c") == tokenizer.encode("ab?c")
    assert tokenizer.sample_batch(["ab\ud800"], alpha=0.5, seed=0)
    corpus = [*sentences(), "ab\udfffa"]
    assert Tokenizer.train(corpus, vocab_size=120).vocab_size == 120


def test_training_is_deterministic():
    first, second = (Tokenizer.train(iter(sentences()), vocab_size=100) for _ in range(2))
    assert first.to_bytes() == second.to_bytes()


@pytest.mark.parametrize("byte_fallback", [False, True])
@pytest.mark.parametrize("model_type", ["unigram", "bpe", "char"])
def test_identity_gives_every_text_back(model_type, byte_fallback):
    rng = random.Random(0)
    characters = "abcdef   ßÄ日\n\t\r\u00a0\u3000\u2028.①"

    def text(longest):
        return "".join(rng.choices(characters, k=rng.randint(0, longest)))

    size = len({*characters, " "}) + 4 + 256 * byte_fallback
    tokenizer = Tokenizer.train(
        [text(60) for _ in range(300)],
        vocab_size=size + (40 if model_type != "char" else 0),
        model_type=model_type,
        normalization="identity",
        byte_fallback=byte_fallback,
    )
    for _ in range(500):
        x = text(12)
        ids = tokenizer.encode(x)
        assert UNK not in ids
        assert tokenizer.decode(ids) == x
    if byte_fallback:
        for x in ["Ω😀", "\0", "\ufeffa", "▅", "a\r\n"]:
            assert tokenizer.decode(tokenizer.encode(x)) == x


@pytest.mark.parametrize(("rule", "text"), [("nmt_nfkc", "Ab aB"), ("nmt_nfkc_cf", "ab ab")])
def test_normalization_folds_what_it_says(rule, text):
    tokenizer = Tokenizer.train(
        ["Ab aB ab"] * 9, vocab_size=9, model_type="bpe", normalization=rule
    )
    assert tokenizer.decode(tokenizer.encode("　Ab  aB ")) == text


@pytest.mark.parametrize("long", ["zq " * 4000, "zq" * 40_000], ids=["words", "one word"])
@pytest.mark.parametrize("model_type", ["unigram", "bpe"])
def test_long_lines_are_trained_on(long, model_type):
    tokenizer = Tokenizer.train(["a b", long], vocab_size=9, model_type=model_type)
    assert UNK not in tokenizer.encode("zq")


@pytest.mark.parametrize("model_type", ["unigram", "bpe", "char"])
def test_a_vocabulary_too_large_names_a_size_that_works(model_type):
    with pytest.raises(InputError, match=r"vocab_size 100000 .* at most \d+") as caught:
        Tokenizer.train(sentences(), vocab_size=100_000, model_type=model_type)
    limit = int(str(caught.value).rsplit(" ", 1)[1])
    trained = Tokenizer.train(sentences(), vocab_size=limit, model_type=model_type)
    assert trained.vocab_size == limit


def test_a_vocabulary_too_small_names_a_size_that_works():
    with pytest.raises(InputError, match=r"vocab_size 5 is too small .* at least \d+") as caught:
        Tokenizer.train(sentences(), vocab_size=5)
    least = int(str(caught.value).split("at least ")[1].split(",")[0])
    assert Tokenizer.train(sentences(), vocab_size=least).vocab_size == least


@pytest.mark.parametrize("model_type", ["unigram", "bpe", "char"])
def test_signs_of_sentencepiece_in_a_text_are_characters(model_type):
    texts = ["a cat and a <unk> dog", "a dog </s> and a cat"] * 20
    size = {"unigram": 22, "bpe": 30, "char": 19}[model_type]
    tokenizer = Tokenizer.train(
        texts, vocab_size=size, model_type=model_type, normalization="identity"
    )
    for text in texts[:2]:
        assert UNK not in tokenizer.encode(text)
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_a_char_model_without_room_says_so():
    with pytest.raises(InputError, match="vocab_size 100 leaves no room for characters"):
        Tokenizer.train(sentences(), vocab_size=100, model_type="char", byte_fallback=True)


@pytest.mark.parametrize("corpus", [[], ["", " \n\t"]])
def test_an_empty_corpus_is_refused(corpus):
    with pytest.raises(InputError, match="empty"):
        Tokenizer.train(corpus, vocab_size=50)


@pytest.mark.parametrize(
    "setting",
    [
        {"normalization": "nfc"},
        {"model_type": "word"},
        {"character_coverage": 0.5},
        {"whole_words": ["a b"]},
    ],
    ids=str,
)
def test_bad_settings_are_named(setting):
    with pytest.raises(InputError, match=f"{next(iter(setting))} .*use"):
        Tokenizer.train(sentences(), vocab_size=50, **setting)


def test_sampling_is_a_function_of_its_arguments(tokenizer):
    texts = sentences(30)
    first = tokenizer.sample_batch(texts, alpha=0.2, seed=1)
    tokenizer.sample_batch(texts[:7], alpha=0.9, seed=5)
    assert tokenizer.sample_batch(texts, alpha=0.2, seed=1) == first
    assert tokenizer.sample_batch(texts, alpha=0.2, seed=2) != first
    assert first != tokenizer.encode_batch(texts)
    assert [tokenizer.decode(ids) for ids in first] == texts
    assert tokenizer.sample(texts[0], alpha=0.2, seed=1) == first[0]
    for seed in (-1, 2**32 - 1, 2**70):
        sampled = [tokenizer.sample_batch(texts, alpha=0.2, seed=seed) for _ in range(2)]
        assert sampled[0] == sampled[1]


def test_sampling_agrees_between_processes(tokenizer, tmp_path):
    model = tmp_path / "tokenizer.model"
    model.write_bytes(tokenizer.to_bytes())
    program = (
        "import sys, pathlib; from nlp_rnn.data.tokenizer import Tokenizer\n"
        "t = Tokenizer.from_bytes(pathlib.Path(sys.argv[1]).read_bytes())\n"
        "print(t.sample_batch(sys.argv[2:], alpha=0.2, seed=3))\n"
        "print(sorted({'torch', 'lightning', 'datasets'} & set(sys.modules)))\n"
    )
    texts = sentences(3)
    command = [sys.executable, "-c", program, str(model), *texts]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert out == [str(tokenizer.sample_batch(texts, alpha=0.2, seed=3)), "[]"]


def test_a_char_model_gives_its_one_segmentation():
    tokenizer = Tokenizer.train(["abab"], vocab_size=7, model_type="char")
    assert tokenizer.sample("ab ba", alpha=0.9, seed=0) == tokenizer.encode("ab ba")


def test_bytes_pickle_copy_and_fingerprint(tokenizer):
    twin = Tokenizer.from_bytes(tokenizer.to_bytes())
    assert twin == tokenizer == pickle.loads(pickle.dumps(tokenizer)) == copy.deepcopy(tokenizer)
    assert hash(twin) == hash(tokenizer)
    assert twin.encode("abc de") == tokenizer.encode("abc de")
    other = Tokenizer.train(sentences(seed=1), vocab_size=100)
    assert other != tokenizer
    hasher = pytest.importorskip("datasets.fingerprint").Hasher
    assert hasher.hash(twin) == hasher.hash(tokenizer) != hasher.hash(other)


@pytest.mark.parametrize("damaged", [b"", b"garbage", b"\0" * 100], ids=["empty", "text", "zeros"])
def test_no_model_is_refused(damaged):
    with pytest.raises(InputError, match="damaged"):
        Tokenizer.from_bytes(damaged)


def test_a_model_cut_anywhere_is_refused(tokenizer):
    whole = tokenizer.to_bytes()
    for cut in (*range(1, 1500), len(whole) // 2, *range(len(whole) - 100, len(whole))):
        with pytest.raises(InputError, match=f"{cut} bytes"):
            Tokenizer.from_bytes(whole[:cut])


def test_foreign_special_ids_are_refused():
    import io

    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences()), model_writer=model, vocab_size=100, minloglevel=2
    )
    with pytest.raises(InputError, match="special ids"):
        Tokenizer.from_bytes(model.getvalue())
