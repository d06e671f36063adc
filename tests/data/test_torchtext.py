import ssl
import subprocess
import sys
from importlib.util import find_spec

import pytest
import torch
from sacrebleu.metrics import BLEU

from nlp_rnn.data.torchtext import import_torchtext
from nlp_rnn.data.vectors import NAMES, load_vectors
from nlp_rnn.errors import InputError

installed = pytest.mark.skipif(
    find_spec("torchtext") is None, reason="torchtext is not made for this Python or machine"
)
TEXT = "the 0.5 -1 2e-1\ncat 1 2 3\nnaïve 4 5 6\n"
WORDS = ["naïve", "the", "zebra", "cat"]


@pytest.fixture
def torchtext(monkeypatch):
    # Used directly, torchtext switches the check of certificates off.
    monkeypatch.setattr(ssl, "_create_default_https_context", ssl.create_default_context)
    return import_torchtext()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text(TEXT, encoding="utf-8")
    return path


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The folder where torchtext looks before it downloads."""
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path))
    (tmp_path / "vectors").mkdir()
    return tmp_path / "vectors"


@installed
class TestOnThisTorch:
    def test_is_silent_and_leaves_room_for_later_imports(self):
        program = (
            "from nlp_rnn.data.torchtext import import_torchtext\n"
            "assert import_torchtext() is import_torchtext()\n"
            "import torchtext.datasets, torchtext.transforms"
        )
        subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", program], check=True)

    def test_vectors_are_those_of_our_reader(self, torchtext, file, tmp_path):
        theirs = torchtext.vocab.Vectors(str(file), cache=str(tmp_path / "cache"))
        ours = load_vectors(file, WORDS)
        assert ours.words == [word for word in WORDS if word in theirs.stoi]
        assert torch.equal(ours.vectors, theirs.get_vecs_by_tokens(ours.words))

    def test_their_cache_can_be_read(self, torchtext, file, tmp_path):
        torchtext.vocab.Vectors(str(file), cache=str(tmp_path / "cache"))
        cached = load_vectors(tmp_path / "cache" / "vectors.txt.pt", WORDS)
        ours = load_vectors(file, WORDS)
        assert cached.words == ours.words
        assert torch.equal(cached.vectors, ours.vectors)

    def test_names_are_those_of_torchtext(self, torchtext):
        assert set(NAMES) == set(torchtext.vocab.pretrained_aliases)

    @pytest.mark.parametrize(
        ("name", "stored"),
        [("glove.6B.50d", "glove.6B.50d.txt"), ("fasttext.en.300d", "wiki.en.vec")],
    )
    def test_vectors_by_name(self, cache, name, stored, file):
        file.rename(cache / stored)
        ours = load_vectors(cache / stored, WORDS)
        named = load_vectors(name, WORDS)
        assert named.words == ours.words
        assert torch.equal(named.vectors, ours.vectors)

    def test_characters_give_vectors_of_words_never_seen(self, cache):
        text = "2gram-ca 1 2 3\n2gram-at 3 4 5\n3gram-xyz 9 9 9\n"
        (cache / "charNgram.txt").write_text(text)
        found = load_vectors("charngram.100d", ["dog", "cat"])
        assert found.words == ["cat"]
        assert found.vectors.tolist() == [[2, 3, 4]]

    def test_certificates_are_checked_during_a_download_and_after(
        self, torchtext, cache, monkeypatch
    ):
        during = []

        def download(*_, reporthook):
            during.append(ssl._create_default_https_context)
            raise OSError("no network")

        monkeypatch.setattr("torchtext.vocab.vectors.urlretrieve", download)
        unchecked = ssl._create_unverified_context
        with pytest.raises(InputError, match=r"glove.6B.50d \(no network\).*vectors as a file"):
            load_vectors("glove.6B.50d", ["the"])
        assert during == [ssl.create_default_context]
        assert ssl._create_default_https_context is ssl.create_default_context
        assert ssl._create_unverified_context is unchecked

    def test_tokenizer(self, torchtext):
        tokenize = torchtext.data.get_tokenizer("basic_english")
        assert tokenize("The cat didn't sit, did it?") == [
            *["the", "cat", "didn", "'", "t", "sit", ",", "did", "it", "?"]
        ]

    @pytest.mark.parametrize(
        ("candidates", "references"),
        [
            (["the cat sat on the mat"], [["the cat sat on the mat"]]),
            (["the cat sat on the red mat today"], [["the cat sat on the mat"]]),
            (
                ["a dog ran home", "we see the old house there"],
                [["a dog ran home now", "a dog"], ["we see a house", "we see the old house"]],
            ),
            (["entirely different words here"], [["the cat sat on"]]),
        ],
    )
    def test_bleu_is_that_of_sacrebleu(self, torchtext, candidates, references):
        metric = BLEU(tokenize="none", smooth_method="none", force=True)
        expected = metric.corpus_score(candidates, list(map(list, zip(*references)))).score
        found = torchtext.data.bleu_score(
            [text.split() for text in candidates],
            [[text.split() for text in each] for each in references],
        )
        assert 100 * found == pytest.approx(expected, rel=1e-5)

    def test_what_needs_the_extension_says_so(self, torchtext):
        with pytest.raises(InputError, match=r"Vocab needs torchtext's C\+\+ extension.*get_itos"):
            torchtext.vocab.build_vocab_from_iterator([["a", "b"]])


def test_without_torchtext_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchtext", None)
    for use in (import_torchtext, lambda: load_vectors("glove.6B.100d", ["the"])):
        with pytest.raises(InputError, match=r"pip install -e '\.\[torchtext\]', or .* file"):
            use()
