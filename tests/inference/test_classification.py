import pytest
import torch

from nlp_rnn import TextClassifier
from nlp_rnn.data.words import WordVocabulary
from nlp_rnn.errors import InputError, TruncationWarning
from nlp_rnn.inference import classification
from nlp_rnn.models.classifier import Classifier
from nlp_rnn.modules.convolution import spellings

WORDS = ["good", "bad", "not", "film", "the", "is"]
TEXTS = ["the film is good", "bad", "", "not good not bad", "film " * 30]


@pytest.fixture(scope="module")
def vocabulary():
    return WordVocabulary(WORDS)


def build(vocabulary, **options):
    torch.manual_seed(0)
    sizes = {"vocab_size": vocabulary.vocab_size, "embedding_size": 8, "hidden_size": 8}
    network = Classifier(**{**sizes, **options})
    for reader in network.readers:
        if reader.characters is not None:
            reader.characters.spellings.copy_(
                spellings(vocabulary.pieces(range(vocabulary.vocab_size)))
            )
    return TextClassifier(network, vocabulary)


@pytest.mark.parametrize("characters", [0, 3])
def test_a_list_keeps_its_order_whatever_the_batch(vocabulary, characters, monkeypatch):
    classifier = build(vocabulary, characters=characters)
    together = classifier.logits(TEXTS)
    for row, text in enumerate(TEXTS):
        torch.testing.assert_close(classifier.logits([text])[0], together[row])
    torch.testing.assert_close(classifier.logits(TEXTS, batch_size=2), together)
    sizes = []
    read = classifier.network.forward
    monkeypatch.setattr(
        classifier.network, "forward", lambda *batch: sizes.append(batch[0].numel()) or read(*batch)
    )
    monkeypatch.setattr(classification, "BATCH", 16)
    torch.testing.assert_close(classifier.logits(TEXTS), together)
    assert len(sizes) > 1
    assert sum(size > 24 for size in sizes) == 1  # of 16 and rounding: a text that is longer
    assert classifier(TEXTS)[0] == classifier(TEXTS[0])
    assert classifier([]) == []


def test_label_and_probabilities_agree(vocabulary):
    found = build(vocabulary)("the film is good")
    assert [*found.probabilities] == ["negative", "neutral", "positive"]
    assert sum(found.probabilities.values()) == pytest.approx(1)
    assert found.probability == max(found.probabilities.values())
    assert found.probabilities[found.label] == found.probability


def test_several_labels_are_those_above_one_half(vocabulary):
    classifier = build(vocabulary, multi_label=True)
    for found in classifier(TEXTS):
        above = [label for label, prob in found.probabilities.items() if prob > 0.5]
        assert found.label == "|".join(above)
        if above:
            assert found.probability == min(found.probabilities[label] for label in above)


def test_the_temperature_moves_probabilities_and_no_label(vocabulary):
    classifier = build(vocabulary)
    sharp = TextClassifier(classifier.network, vocabulary, temperature=0.1)
    for before, after in zip(classifier(TEXTS), sharp(TEXTS)):
        assert before.label == after.label
        assert after.probability > before.probability


@pytest.mark.parametrize(
    "options",
    [
        {"directions": "forward", "pooling": "attention"},
        {"directions": "apart", "convolution": 3, "characters": 3},
    ],
)
def test_long_texts_are_read_in_windows(vocabulary, options, monkeypatch):
    classifier = build(vocabulary, **options)
    expected = classifier.logits(TEXTS)
    monkeypatch.setattr(classification, "WINDOW", 7)
    torch.testing.assert_close(classifier.logits(TEXTS), expected)


def test_both_directions_have_a_limit_that_is_said(vocabulary, monkeypatch):
    classifier = build(vocabulary)
    cut = classifier.logits(["film " * 8])[0]
    monkeypatch.setattr(classification, "LIMIT", 9)
    with pytest.warns(TruncationWarning, match="text 5 has 31 tokens: only the first 9 are read"):
        found = classifier.logits(TEXTS)
    torch.testing.assert_close(found[4], cut)  # the end mark counts, and is never cut off
    with pytest.warns(TruncationWarning):
        torch.testing.assert_close(classifier.logits(["film " * 40])[0], found[4])


def test_a_hundred_thousand_words(vocabulary):
    classifier = build(vocabulary, directions="forward", pooling="concat")
    text = "the film is not good " * 20_000
    assert classifier(text).label in classifier.labels


def test_a_text_is_no_list_of_its_letters(vocabulary):
    with pytest.raises(InputError, match="give a list of texts"):
        build(vocabulary).logits("good film")


def test_other_checkpoints_and_settings_are_refused(checkpoint, vocabulary):
    with pytest.raises(InputError, match="'translate', but 'classify' is wanted"):
        TextClassifier.from_checkpoint(checkpoint)
    with pytest.raises(InputError, match="precision"):
        TextClassifier(build(vocabulary).network, vocabulary, precision="fp8")
