import json
import logging
import pickle
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from nlp_rnn.data.tokenizer import BOS, EOS
from nlp_rnn.errors import InputError
from nlp_rnn.tasks.translate.data import TranslationData


def ready(**arguments) -> TranslationData:
    """A data module in a training of one process."""
    data = TranslationData(**{"vocab_size": 40, **arguments})
    data.trainer = SimpleNamespace(training=True, global_rank=0, world_size=1)
    data.prepare_data()
    return data


def test_batches_keep_the_budget_in_the_shapes_that_are_computed(corpus: Path) -> None:
    data = ready(dataset=str(corpus), tokens_per_batch=150)
    real = positions = 0
    for batch in data.train_dataloader():
        following = batch.target[:, 1:]
        assert following.numel() <= 150 or len(following) == 1
        assert batch.source.size(1) % 4 == following.size(1) % 4 == 0
        real += int((following != 0).sum())
        positions += following.numel()
    assert real / positions > 0.8


def test_a_long_source_is_evaluated_alone(corpus: Path, tmp_path: Path) -> None:
    long = {"en": "two cats, " * 500, "de": "zwei Katzen"}
    rows = [*(corpus / "validation.jsonl").open(encoding="utf-8"), json.dumps(long) + "\n"]
    (tmp_path / "long.jsonl").write_text("".join(rows), encoding="utf-8")
    data = ready(dataset=str(corpus), validation=str(tmp_path / "long.jsonl"), eval_batch_size=300)
    batches = list(data.val_dataloader())
    assert sum(len(batch.rows) for batch in batches) == len(rows)
    for batch in batches:
        most = max(batch.source.numel(), batch.target[:, 1:].numel())
        assert most <= 300 or batch.rows == [len(rows) - 1]


def test_a_batch_holds_its_texts(corpus: Path) -> None:
    data = ready(dataset=str(corpus))
    rows = []
    for batch in data.val_dataloader():
        rows += batch.rows
        for number, row in enumerate(batch.rows):
            text = data.split("validation")[row]
            assert batch.sources[number] == text["source"]
            assert batch.references[number] == text["target"]
            source = batch.source[number, : batch.lengths[number]].tolist()
            assert data.source_tokenizer.decode(source) == text["source"]
            assert source[-1] == EOS
            target = batch.target[number]
            assert data.target_tokenizer.decode(target.tolist()) == text["target"]
            assert target[0] == BOS
    assert sorted(rows) == list(range(21))


def test_subword_sampling_spells_anew_in_every_epoch_and_repeats_itself(corpus: Path) -> None:
    sizes = {"vocab_size": 27, "target_vocab_size": 28}

    def spelt(epoch: int) -> dict[str, dict[int, list[int]]]:
        data = ready(dataset=str(corpus), **sizes, subword_sampling=0.2)
        loader = data.train_dataloader()
        loader.batch_sampler.set_epoch(epoch)
        found: dict[str, dict[int, list[int]]] = {"source": {}, "target": {}}
        for batch in loader:
            for side, tokenizer, texts in (
                ("source", data.source_tokenizer, batch.sources),
                ("target", data.target_tokenizer, batch.references),
            ):
                ids = getattr(batch, side).tolist()
                assert [tokenizer.decode(each) for each in ids] == texts
                found[side].update(zip(batch.rows, ([i for i in each if i] for each in ids)))
        return found

    first, second = spelt(0), spelt(1)
    assert spelt(0) == first
    assert all(first[side] != second[side] for side in first)


def test_other_processes_can_prepare_the_batches(corpus: Path) -> None:
    data = ready(dataset=str(corpus), subword_sampling=0.2)
    loader = data.train_dataloader()
    rows = [loader.dataset[row] for row in next(iter(loader.batch_sampler))]
    data.trainer.loop = (step for step in ())  # as Lightning's, which holds what cannot be sent
    elsewhere = pickle.loads(pickle.dumps(loader.collate_fn))
    assert torch.equal(elsewhere(rows).source, loader.collate_fn(rows).source)


def test_separate_vocabularies(corpus: Path) -> None:
    data = TranslationData(dataset=str(corpus), vocab_size=27, target_vocab_size=28)
    data.trainer = SimpleNamespace(training=True, global_rank=0, world_size=1)
    data.prepare_data()
    assert (data.source_tokenizer.vocab_size, data.target_tokenizer.vocab_size) == (27, 28)
    again = TranslationData()
    again.load_state_dict(data.state_dict())
    assert again.source_tokenizer == data.source_tokenizer
    assert again.target_tokenizer == data.target_tokenizer


def test_vocabularies_of_one_size_are_kept_apart(corpus: Path) -> None:
    options = {"dataset": str(corpus), "vocab_size": 27, "target_vocab_size": 27}
    data, bpe = ready(**options), ready(**options, tokenizer="bpe")
    assert data.source_tokenizer != data.target_tokenizer
    assert data.source_tokenizer != bpe.source_tokenizer


def test_the_column_names_the_language_of_bleu() -> None:
    assert TranslationData(target="zh").target_language == "zh"
    assert TranslationData(target="text", target_language="ja").target_language == "ja"


@pytest.mark.parametrize("other", [{"seed": 2}, {"tokens_per_batch": 90}])
def test_a_resume_inside_an_epoch_needs_the_same_batches(
    corpus: Path, other: dict[str, int]
) -> None:
    settings = {"dataset": str(corpus), "tokens_per_batch": 150}
    trained = ready(**settings)
    for _ in zip(range(3), trained.train_dataloader()):
        pass
    resumed = ready(**{**settings, **other})
    resumed.load_state_dict(trained.state_dict())
    with pytest.raises(InputError, match="cut into other batches"):
        next(iter(resumed.train_dataloader()))


def test_a_second_start_reads_the_tokenizer_from_the_cache(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ready(dataset=str(corpus)).source_tokenizer

    def refuse(*args, **kwargs):
        raise AssertionError("trained again")

    monkeypatch.setattr("nlp_rnn.tasks.translate.data.Tokenizer.train", refuse)
    assert ready(dataset=str(corpus)).source_tokenizer == first


def test_training_a_tokenizer_is_announced_and_reading_it_is_not(
    corpus: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog
) -> None:
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path))
    with caplog.at_level(logging.INFO):
        ready(dataset=str(corpus))
        ready(dataset=str(corpus))
    assert caplog.text.count("training the vocabulary") == 1


def test_what_cannot_be_spelled_is_counted(corpus: Path, tmp_path: Path, caplog) -> None:
    rows = ({"en": text, "de": "zwei Katzen"} for text in ("two 猫", "犬 and 猫"))
    (tmp_path / "new.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = ready(dataset=str(corpus), test=str(tmp_path / "new.jsonl"))
    with caplog.at_level(logging.INFO):
        data.val_dataloader()
        assert "unknown" not in caplog.text
        data.test_dataloader()
    assert re.search(r"warning: [3-9] of \d+ source tokens of test are unknown", caplog.text)


def test_pairs_that_are_empty_or_too_long_are_left_out_of_training_alone(tmp_path: Path) -> None:
    bad = [("en", ""), ("de", ""), ("en", "long " * 50), ("de", "long " * 50)]
    for split, size in (("train", 40), ("validation", 4)):
        for language in ("en", "de"):
            lines = [f"number {n} of {size}" for n in range(size)]
            for row, (side, text) in enumerate(bad):
                if side == language:
                    lines[row] = text
            (tmp_path / f"{split}.{language}").write_text("\n".join(lines) + "\n")
    data = TranslationData(dataset=str(tmp_path), vocab_size=28, max_length=40)
    data.trainer = SimpleNamespace(training=True, global_rank=0, world_size=1)
    data.prepare_data()
    seen = [row for batch in data.train_dataloader() for row in batch.rows]
    assert sorted(seen) == list(range(4, 40))
    assert sum(len(batch.rows) for batch in data.val_dataloader()) == 4


def test_overfitting_sees_the_same_batches_in_every_epoch(corpus: Path) -> None:
    data = ready(dataset=str(corpus), tokens_per_batch=60)
    for batches, same in ((0, False), (2, True)):
        data.trainer = SimpleNamespace(
            training=True, global_rank=0, world_size=1, overfit_batches=batches
        )
        loader, seen = data.train_dataloader(), []
        for epoch in (0, 1):
            loader.batch_sampler.set_epoch(epoch)
            seen.append([batch.rows for _, batch in zip(range(2), loader)])
        assert (seen[0] == seen[1]) == same


def test_a_test_of_a_checkpoint_is_no_place_to_go_on_from(corpus: Path) -> None:
    trained = ready(dataset=str(corpus))
    for _ in zip(range(3), trained.train_dataloader()):
        pass
    for training, count in ((False, 0), (True, 3)):
        data = TranslationData(dataset=str(corpus), vocab_size=40)
        data.trainer = SimpleNamespace(training=training, global_rank=0, world_size=1)
        data.load_state_dict(trained.state_dict())
        loader = data.train_dataloader()
        assert sum(1 for _ in loader) == len(loader) - count


def test_what_no_checkpoint_holds_is_refused_before_training() -> None:
    with pytest.raises(InputError, match=r"^dataset is PosixPath"):
        ready(dataset=Path("phrasebook"))  # type: ignore[arg-type]


def test_a_split_that_is_not_there_is_named(tmp_path: Path) -> None:
    for language in ("en", "de"):
        (tmp_path / f"train.{language}").write_text("".join(f"{n}\n" for n in range(30)))
    data = TranslationData(dataset=str(tmp_path))
    assert len(data.split("validation")) == 3  # carved
    with pytest.raises(InputError, match=r"no test split .* --data.test"):
        data.split("test")
    torch.manual_seed(0)
    assert (
        TranslationData(dataset=str(tmp_path)).split("validation")[0]
        == (data.split("validation")[0])
    )


@pytest.mark.parametrize(
    "values",
    [
        {"tokens_per_batch": -5},
        {"max_length": 0},
        {"eval_batch_size": 0},
        {"tokenizer_sample": 0},
        {"num_workers": -1},
        {"seed": -1},
        {"seed": 2**32},
        {"subword_sampling": -0.1},
        {"subword_sampling": 1.1, "tokenizer": "bpe"},
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=f"{next(iter(values))} .* is out of range"):
        TranslationData(**values)


def test_a_vocabulary_too_large_names_its_side_and_the_limit(corpus: Path) -> None:
    with pytest.raises(InputError, match=r", target: vocab_size 500 .* at most \d+"):
        ready(dataset=str(corpus), vocab_size=28, target_vocab_size=500)


def test_what_is_written_may_keep_its_characters(tmp_path):
    (tmp_path / "t.en").write_text("10 cm2\n" * 20, encoding="utf-8")
    (tmp_path / "t.zh").write_text("10² ，！\n" * 20, encoding="utf-8")
    for normalization, kept in (("identity", "10² ，！"), ("nmt_nfkc", "102 ,!")):
        data = TranslationData(
            dataset=str(tmp_path / "t"),
            source="en",
            target="zh",
            vocab_size=17,
            tokenizer="bpe",
            normalization=normalization,
        )
        data.train_vocabulary()
        tokenizer = data.target_tokenizer
        assert tokenizer.decode(tokenizer.encode("10² ，！")) == kept


def test_a_limited_evaluation_is_not_of_the_longest_texts(corpus: Path) -> None:
    data = ready(dataset=str(corpus), eval_batch_size=60)
    lengths = []
    for limit in (1.0, 1, 0.5):
        data.trainer.limit_val_batches = limit
        loader = data.val_dataloader()
        batches = [batch.lengths.max().item() for batch in loader]
        assert sorted(row for batch in loader for row in batch.rows) == [
            *range(len(data.split("validation")))
        ]
        assert batches == [batch.lengths.max().item() for batch in loader]  # every time the same
        lengths.append(batches)
    whole, one, half = lengths
    assert whole[0] == max(whole)
    assert one == half != whole
