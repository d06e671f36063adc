import csv
from types import SimpleNamespace

import pytest
import torch

from nlp_rnn.data.tokenizer import EOS, Tokenizer
from nlp_rnn.tasks.classify.data import ClassificationData

WORDS = ["good", "bad", "film", "actor", "nothing", "everything", "and", "boring", "lovely"]
ROWS = [(f"{a} {b} and {c}", a) for a in WORDS[:2] for b in WORDS for c in WORDS]
ROWS += [(f"no {b} " + "and no word " * 9, "neutral") for b in WORDS[:3]]


@pytest.fixture
def make(tmp_path):
    """The data, set up, of a table in which neutral is rare and long."""
    for split in ("train", "validation", "test"):
        with (tmp_path / f"{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *ROWS])

    def build(**options):
        usual = {"labels": ["bad", "neutral", "good"], "vocab_size": 34}
        data = ClassificationData(dataset=str(tmp_path), **{**usual, **options})
        data.train_vocabulary()
        return data

    return build


def test_balanced_data_have_every_row_and_as_many_of_each_label(make):
    data = make(balanced=True)
    targets = torch.cat([batch.targets for batch in data.train_dataloader()])
    assert torch.bincount(targets).tolist() == [81, 81, 81]
    assert len(data._balanced_rows(data.targets("train"))) == 243
    assert set(data._balanced_rows(data.targets("train"))) == set(range(len(ROWS)))


def test_texts_are_cut_and_batches_bounded(make):
    batches = list(make(max_length=6, tokens_per_batch=30).train_dataloader())
    assert sum(len(batch.targets) for batch in batches) == len(ROWS)
    assert max(int(batch.lengths.max()) for batch in batches) == 6
    assert max(batch.tokens.numel() for batch in batches) <= 30
    for batch in batches:
        for tokens, length in zip(batch.tokens.tolist(), batch.lengths.tolist()):
            assert tokens[length - 1] == EOS
            assert not any(tokens[length:])


@pytest.mark.parametrize(("tokenizer", "alpha"), [("unigram", 0.2), ("bpe", 0.3)])
def test_sampled_subwords_spell_the_same_texts_anew_in_every_epoch(make, tokenizer, alpha):
    data = make(tokenizer=tokenizer, subword_sampling=alpha)
    loader = data.train_dataloader()

    def epoch(number):
        loader.batch_sampler.set_epoch(number)
        rows = [row for batch in loader for row in batch.tokens.tolist()]
        return [[token for token in row if token not in (0, EOS)] for row in rows]

    first, second = epoch(0), epoch(1)
    assert epoch(0) == first
    texts = sorted(text.strip() for text, _ in ROWS)
    for spelt in (first, second):
        assert sorted(map(data.vocabulary.decode, spelt)) == texts
        assert spelt != [data.vocabulary.encode(data.vocabulary.decode(ids)) for ids in spelt]
    assert sorted(first) != sorted(second)


def test_the_vocabulary_is_that_of_its_options(make):
    texts = [text for text, _ in ROWS]
    for tokenizer in ("unigram", "bpe"):
        for lowercase, rule in ((False, "nmt_nfkc"), (True, "nmt_nfkc_cf")):
            expected = Tokenizer.train(
                texts, vocab_size=34, model_type=tokenizer, normalization=rule
            )
            assert make(tokenizer=tokenizer, lowercase=lowercase).vocabulary == expected
    words = make(tokenizer="word", vocab_size=12, lowercase=True).vocabulary
    assert words.encode("GOOD Film") == words.encode("good film")


@pytest.mark.parametrize("several", [False, True])
def test_texts_of_each_label_are_counted(make, several):
    data = make(label_map={"neutral": "good"}, multi_label=several)
    assert data.class_counts().tolist() == [81, 0, 84]


@pytest.mark.parametrize("overfits", [False, True])
def test_overfitting_sees_the_same_batches_in_every_epoch(make, overfits):
    data = make(batch_size=16)
    data.trainer = SimpleNamespace(global_rank=0, world_size=1, overfit_batches=2 * overfits)
    loader, seen = data.train_dataloader(), []
    for epoch in (0, 1):
        loader.batch_sampler.set_epoch(epoch)
        seen.append([batch.tokens.tolist() for _, batch in zip(range(2), loader)])
    assert (seen[0] == seen[1]) == overfits


def test_a_limited_evaluation_looks_at_the_same_texts_every_time(make):
    data = make()
    data.trainer = SimpleNamespace(global_rank=0, world_size=1, limit_val_batches=1)
    lengths = [len(text) for text, _ in ROWS]
    whole = [*data.eval_batches("test", lengths, tokens=300)]
    some = data.eval_batches("validation", lengths, tokens=300)
    assert [*some] == [*some] != whole
    assert sorted(sum(some, [])) == sorted(sum(whole, [])) == [*range(len(ROWS))]
    assert len({*map(len, whole)}) > 1
    assert data.val_dataloader().batch_sampler.shuffle
