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
