from nlp_rnn.data.topics import topics


def paragraphs(texts):
    return {" ".join(paragraph.split()) for text in texts for paragraph in text.split("\n\n")}


def test_is_a_corpus_of_prose_in_three_splits():
    splits = topics()
    assert set(splits) == {"train", "validation", "test"}
    words = {name: sum(len(text.split()) for text in texts) for name, texts in splits.items()}
    assert words["train"] > 40_000
    assert min(words.values()) > 1000


def test_nothing_held_out_is_shown_in_training():
    splits = topics()
    train, validation, test = map(paragraphs, splits.values())
    assert not train & validation
    assert not train & test
    assert not validation & test
