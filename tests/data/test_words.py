import pickle

import pytest

from nlp_rnn.data.tokenizer import EOS, PAD, UNK, Tokenizer
from nlp_rnn.data.words import WordVocabulary, open_vocabulary
from nlp_rnn.errors import InputError

TEXTS = ["the cat saw the dog", "the dog <unk> a cat", "the end"]


@pytest.fixture
def vocabulary():
    return WordVocabulary.train(TEXTS, vocab_size=8)


def test_frequent_words_come_first(vocabulary):
    assert vocabulary.pieces(range(4, 8)) == ["the", "cat", "dog", "a"]
    assert vocabulary.vocab_size == 8


def test_unknown_words_and_the_unknown_word_are_one(vocabulary):
    assert vocabulary.encode("the <unk> zebra") == [4, UNK, UNK]


def test_known_text_comes_back(vocabulary):
    assert vocabulary.decode([*vocabulary.encode("a cat the dog"), EOS, PAD]) == "a cat the dog"
    assert vocabulary.decode(vocabulary.encode("a zebra")) == "a <unk>"


def test_bytes_rebuild_it(vocabulary):
    for again in (
        WordVocabulary.from_bytes(vocabulary.to_bytes()),
        open_vocabulary(vocabulary.to_bytes()),
        pickle.loads(pickle.dumps(vocabulary)),
    ):
        assert again == vocabulary
        assert hash(again) == hash(vocabulary)


def test_either_kind_is_opened(tokenizer):
    assert isinstance(open_vocabulary(tokenizer.to_bytes()), Tokenizer)
    with pytest.raises(InputError, match="damaged"):
        open_vocabulary(b"something else")
    with pytest.raises(InputError, match="no list of words"):
        WordVocabulary.from_bytes(tokenizer.to_bytes())


@pytest.mark.parametrize("size", [4, 11])
def test_the_limits_are_named(size):
    with pytest.raises(InputError, match=r"6 different words.*use 5 to 10"):
        WordVocabulary.train(TEXTS, vocab_size=size)


def test_an_empty_corpus_is_refused():
    with pytest.raises(InputError, match="empty"):
        WordVocabulary.train(["", " <unk>"], vocab_size=5)


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_list_of_words_keeps_its_order(tmp_path, ending):
    # As torchtext's Vocab(...).get_itos() gives it: special ones first, then by frequency.
    words = ["<unk>", "<pad>", "<bos>", "the", "cat", ".", "naïve"]
    path = tmp_path / "words.txt"
    path.write_bytes(ending.join([*words, ""]).encode())
    vocabulary = WordVocabulary.from_file(path)
    assert vocabulary == WordVocabulary(["<bos>", "the", "cat", ".", "naïve"])
    assert vocabulary.encode("naïve <unk> <pad> the") == [8, UNK, UNK, 5]
    assert WordVocabulary.from_bytes(vocabulary.to_bytes()) == vocabulary


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("the\ncat\nthe\n", "line 3: 'the' stands in line 1 already"),
        ("the\n\ncat\n", "line 2: '' is not one word"),
        ("the cat\n", "line 1: 'the cat' is not one word"),
        ("", "holds no words"),
        ("<unk>\n", "holds no words"),
    ],
)
def test_a_list_that_is_none_is_named(tmp_path, text, message):
    path = tmp_path / "words.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        WordVocabulary.from_file(path)


def test_capitals_that_lower_case_would_never_find_are_refused(tmp_path):
    (tmp_path / "words.txt").write_text("the\nI\n")
    assert WordVocabulary.from_file(tmp_path / "words.txt").vocab_size == 6
    with pytest.raises(InputError, match="line 2: 'I' would never be found"):
        WordVocabulary.from_file(tmp_path / "words.txt", lowercase=True)


def test_a_missing_list_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no list of words at .*one word a line"):
        WordVocabulary.from_file(tmp_path / "words.txt")


def test_case_may_be_folded():
    texts = ["The cat saw the Cat"]
    vocabulary = WordVocabulary.train(texts, vocab_size=7, lowercase=True)
    assert vocabulary.decode(vocabulary.encode("CAT Saw the")) == "cat saw the"
    again = open_vocabulary(vocabulary.to_bytes())
    assert again == vocabulary
    assert again.encode("CAT") == vocabulary.encode("cat")
    assert vocabulary != WordVocabulary(["cat", "the", "saw"])
