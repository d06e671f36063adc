import subprocess
import sys

import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from nlp_rnn.baseline import Baseline
from nlp_rnn.data.opinions import opinions
from nlp_rnn.errors import InputError

TEXTS = ["a good film", "A good plot, really", "good, good!", "a bad film", "so bad", "Bad plot"]
LABELS = [1, 1, 1, 0, 0, 0]
ANIMALS = ["cat", "cat and dog", "dog", "", "bird", "cat dog", "my cat", "my dog", "", "a bird"]
FITS = torch.tensor([["cat" in t, "dog" in t, False, True] for t in ANIMALS]).float()


@pytest.fixture(scope="module")
def two_classes():
    return Baseline.fit(TEXTS, LABELS, TEXTS, LABELS, 2)


@pytest.fixture(scope="module")
def several_labels():
    return Baseline.fit(ANIMALS, FITS, ANIMALS, FITS, 4, multi_label=True)


def test_two_classes_are_told_apart(two_classes):
    assert two_classes.predict(["such a good one", "bad"]).tolist() == [1, 0]
    assert two_classes.scores(TEXTS).shape == (6, 2)


@pytest.fixture(scope="module")
def corpus():
    """Texts and numbers of labels of each split."""
    names = ["negative", "neutral", "positive"]
    return {
        split: ([text for text, _ in rows], torch.tensor([names.index(label) for _, label in rows]))
        for split, rows in opinions().items()
    }


def test_scores_are_those_of_scikit_learn(corpus):
    texts, labels = corpus["validation"]
    others, _ = corpus["test"]
    # Validated on what it is trained on, the weakest penalty that makes a difference is best.
    found = Baseline.fit(texts, labels, texts, labels, 3)
    candidates = [
        make_pipeline(
            TfidfVectorizer(
                ngram_range=(1, 2), sublinear_tf=True, min_df=2, token_pattern=r"\w+(?:'\w+)*"
            ),
            LogisticRegression(C=strength, max_iter=1000),
        ).fit(texts, labels.numpy())
        for strength in (1, 4, 16)
    ]
    best = max(candidates, key=lambda each: each.score(texts, labels.numpy()))
    expected = torch.from_numpy(best.decision_function(others)).float()
    torch.testing.assert_close(found.scores(others), expected, rtol=1e-4, atol=1e-4)


def test_beats_chance_but_cannot_compose(corpus):
    found = Baseline.fit(*corpus["train"], *corpus["validation"], 3)
    texts, labels = corpus["test"]
    accuracy = float((found.predict(texts) == labels).float().mean())
    assert 0.5 < accuracy < 0.8


def test_state_gives_the_same_scores(two_classes, several_labels, tmp_path):
    for baseline in (two_classes, several_labels):
        torch.save(baseline.state_dict(), tmp_path / "baseline.pt")
        again = Baseline.from_state(torch.load(tmp_path / "baseline.pt", weights_only=True))
        texts = [*TEXTS, *ANIMALS, "", "never seen"]
        assert torch.equal(again.scores(texts), baseline.scores(texts))
        assert torch.equal(again.predict(texts), baseline.predict(texts))


def test_several_labels(several_labels):
    assert several_labels.predict(["the dog", "cat dog", "bird"]).tolist() == [
        [0, 1, 0, 1],
        [1, 1, 0, 1],
        [0, 0, 0, 1],
    ]
    assert len(several_labels.scores(ANIMALS)[:, 2:].unique(dim=0)) == 1


def test_a_class_that_is_never_seen_is_never_predicted():
    baseline = Baseline.fit(TEXTS, [3 * label for label in LABELS], TEXTS, LABELS, 4)
    assert set(baseline.predict([*TEXTS, "", "x"]).tolist()) == {0, 3}
    assert baseline.scores(TEXTS).isfinite().all()
    only = Baseline.fit(TEXTS, [2] * 6, TEXTS, [2] * 6, 4)
    assert set(only.predict([*TEXTS, "", "x"]).tolist()) == {2}


def test_words_are_kept_however_short_or_written():
    texts = ["I don't", "i do n't", "i DON'T x", "I do n't x"]
    baseline = Baseline.fit(texts, [0, 1, 0, 1], texts, [0, 1, 0, 1], 2)
    assert {"i", "don't", "do n't", "x"} <= set(baseline.terms)
    assert "don" not in baseline.terms


def test_scripts_without_spaces_are_read_by_character():
    texts = ["我们觉得很好", "手机很好用", "我们觉得糟糕", "手机真糟糕"] * 3
    baseline = Baseline.fit(texts, [1, 1, 0, 0] * 3, texts, [1, 1, 0, 0] * 3, 2)
    assert baseline.predict(["这个电影很好", "这个电影糟糕"]).tolist() == [1, 0]
    assert "很 好" in baseline.terms


def test_rare_terms_are_left_out_if_others_are_left():
    texts = ["red house", "blue house"]
    assert Baseline.fit(texts, [0, 1], texts, [0, 1], 2).terms == ["house"]
    texts = ["red", "blue"]
    assert Baseline.fit(texts, [0, 1], texts, [0, 1], 2).terms == ["blue", "red"]


@pytest.mark.parametrize("texts", [["", "..."], []])
def test_texts_without_words_are_refused(texts):
    with pytest.raises(InputError, match="no words"):
        Baseline.fit(texts, [0] * len(texts), texts, [0] * len(texts), 2)


@pytest.mark.parametrize("label", [0, 1])
def test_the_strength_is_chosen_on_validation_texts(label):
    # Whether a pair of words outweighs one of them depends on the penalty.
    texts = ["good"] * 60 + ["good day"] * 2 + ["bad"] * 6
    labels = [1] * 60 + [0] * 2 + [0] * 6
    chosen = Baseline.fit(texts, labels, ["good day"], [label], 2)
    assert chosen.predict(["good day"]).item() == label


def test_scikit_learn_is_imported_when_it_is_needed():
    program = "import sys, nlp_rnn.baseline; print('sklearn' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"
