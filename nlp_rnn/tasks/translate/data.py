"""Translation data for Lightning: from one string to batches of ids.

N batch, S source length, T target length.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Literal, NamedTuple

import datasets
import torch.nn.functional as F
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader

from nlp_rnn.data.batching import EpochBatches, ResumableLoader, TokenBatches, pad
from nlp_rnn.data.cache import code_version
from nlp_rnn.data.streaming import StreamedBatches, StreamLoader, in_memory
from nlp_rnn.data.subwords import check_sampling
from nlp_rnn.data.tokenizer import BOS, EOS, UNK, Tokenizer
from nlp_rnn.errors import InputError, require
from nlp_rnn.tasks.data import TaskData

__all__ = ["Batch", "TranslationData"]

Row = dict[str, Any]


class Batch(NamedTuple):
    """Some rows of one split.

    Attributes:
        source: ids with the end token, (N, S).
        lengths: real source tokens, (N,).
        target: begin token, ids, end token, (N, T + 1).
        sources: the raw text.
        references: the raw text.
        rows: their numbers in the split.
    """

    source: Tensor
    lengths: Tensor
    target: Tensor
    sources: list[str]
    references: list[str]
    rows: list[int]


class TranslationData(TaskData):
    """Parallel text, its tokenizer and its batches.

    Args:
        dataset: a Hub id, a local folder or file, a prefix of parallel text files, or
            ``phrasebook`` (built in).
        source: column (for the phrasebook: locale) to translate from.
        target: column to translate into.
        target_language: chooses the BLEU tokenizer; empty if the column is called by it.
        validation: another data set for validation, with the same columns; else the split of
            ``dataset``, else 1,000 rows carved from train (a tenth of a small one).
        test: another data set for test, likewise; also what predict reads.
        vocab_size: subword tokens, trained to exactly this size (set by ``network.vocab_size``).
        target_vocab_size: of a separate target vocabulary; 0 means a joint one (set by
            ``network.target_vocab_size``).
        tokenizer: SentencePiece's model type.
        normalization: of the texts that are read and written; ``nmt_nfkc`` writes 10² as 102 and
            Chinese with the punctuation of ASCII, ``identity`` keeps characters as they are; ``cf``
            folds case. References are raw in any case.
        subword_sampling: subword regularisation in training: alpha of unigram sampling (Kudo
            2018; smaller is stronger) or BPE-dropout's rate (Provilkov et al. 2020); 0 is off.
        tokens_per_batch: target tokens of a batch, over all processes.
        max_length: training pairs with more tokens on a side, the end mark included, are left out,
            and counted.
        eval_batch_size: tokens of a batch in validation and test, of the longer side; search has
            at most 64 sentences at a time.
        num_workers: processes that prepare batches; 0 is best on small machines.
        seed: order of the training data.
        streaming: read the training data while training, for a corpus too large to be held or
            copied. Validation needs a split of its own; a cosine decay needs
            ``trainer.max_steps``; validate by ``trainer.val_check_interval`` if epochs are long.
        buffer_size: pairs that streaming sorts by length at a time.
        tokenizer_sample: pairs at the start of the stream that train the tokenizer.

    Raises:
        InputError: a value out of range.
    """

    described = (
        "dataset",
        "source",
        "target",
        "target_language",
        "validation",
        "test",
        "streaming",
    )
    trained_with = ("tokenizer", "normalization")

    def __init__(
        self,
        *,
        dataset: str = "phrasebook",
        source: str = "en",
        target: str = "de",
        target_language: str = "",
        validation: str | None = None,
        test: str | None = None,
        vocab_size: int = 4000,
        target_vocab_size: int = 0,
        tokenizer: Literal["unigram", "bpe", "char"] = "unigram",
        normalization: Literal[
            "nmt_nfkc", "nfkc", "nmt_nfkc_cf", "nfkc_cf", "identity"
        ] = "nmt_nfkc",
        subword_sampling: float = 0.0,
        tokens_per_batch: int = 1200,
        max_length: int = 200,
        eval_batch_size: int = 3000,
        num_workers: int = 0,
        seed: int = 1,
        streaming: bool = False,
        buffer_size: int = 20_000,
        tokenizer_sample: int = 200_000,
    ) -> None:
        super().__init__(
            dataset=dataset,
            columns={"source": source, "target": target},
            others={"validation": validation, "test": test},
            seed=seed,
            streaming=streaming,
        )
        for name, value in (
            ("tokens_per_batch", tokens_per_batch),
            ("max_length", max_length),
            ("eval_batch_size", eval_batch_size),
            ("tokenizer_sample", tokenizer_sample),
        ):
            require(value >= 1, f"{name} {value}", "1 or more")
        require(num_workers >= 0, f"num_workers {num_workers}", "0 or more")
        check_sampling(subword_sampling, tokenizer)
        self.source = source
        self.target = target
        self.target_language = target_language or target
        self.validation = validation
        self.test = test
        self.vocab_size = vocab_size
        self.target_vocab_size = target_vocab_size
        self.tokenizer = tokenizer
        self.normalization = normalization
        self.subword_sampling = subword_sampling
        self.tokens_per_batch = tokens_per_batch
        self.max_length = max_length
        self.eval_batch_size = eval_batch_size
        self.num_workers = num_workers
        self.buffer_size = buffer_size
        self.tokenizer_sample = tokenizer_sample
        self.source_tokenizer: Tokenizer
        self.target_tokenizer: Tokenizer

    def make_train_loader(self) -> ResumableLoader:
        return self._streamed_loader() if self.streaming else self._train_rows_loader()

    def val_dataloader(self) -> DataLoader[Row]:
        return self._eval_loader("validation")

    def test_dataloader(self) -> DataLoader[Row]:
        return self._eval_loader("test")

    def predict_dataloader(self) -> DataLoader[Row]:
        try:
            self.split("test")
        except InputError:  # it may have no references, for which predict has no use
            columns = {"source": self.source}
            rows = self.load("test", columns, columns)
            self._splits["test"] = rows.add_column("target", [""] * len(rows))
        return self._eval_loader("test")

    def state_dict(self) -> dict[str, Any]:
        """All that makes a checkpoint stand alone, and where training is in the data."""
        return {
            **super().state_dict(),
            "source_tokenizer": self.source_tokenizer.to_bytes(),
            "target_tokenizer": self.target_tokenizer.to_bytes(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self._use(state_dict["source_tokenizer"], state_dict["target_tokenizer"])

    def train_vocabulary(self) -> None:
        if hasattr(self, "source_tokenizer"):
            return
        train = self.split("train")
        if self.streaming:
            train = in_memory(train, most=self.tokenizer_sample)
            rank_zero_info(f"tokenizer trained on the first {len(train)} pairs")
        if self.target_vocab_size:
            source = self._trained(train, ["source"], self.vocab_size)
            target = self._trained(train, ["target"], self.target_vocab_size)
        else:
            source = target = self._trained(train, ["source", "target"], self.vocab_size)
        self._use(source, target)

    def _trained(self, train: datasets.Dataset, columns: list[str], vocab_size: int) -> bytes:
        """A tokenizer's bytes."""

        def run() -> bytes:
            texts: Iterable[str] = (text for name in columns for text in train[name][:])
            try:
                trained = Tokenizer.train(
                    texts,
                    vocab_size=vocab_size,
                    model_type=self.tokenizer,
                    normalization=self.normalization,
                )
            except InputError as error:
                raise InputError(f"{self.dataset}, {' and '.join(columns)}: {error}") from None
            return trained.to_bytes()

        what = f"vocabulary of {' and '.join(columns)}"
        options = (vocab_size, self.tokenizer, self.normalization, 2)
        return self.cached(what, train._fingerprint, columns, *options, train=run)

    def _use(self, source: bytes, target: bytes) -> None:
        self.source_tokenizer = Tokenizer.from_bytes(source)
        self.target_tokenizer = (
            self.source_tokenizer if target == source else Tokenizer.from_bytes(target)
        )

    def _tokenized(self, name: str) -> datasets.Dataset:
        """A split with ids; training drops pairs that are empty or too long, evaluation nothing."""
        texts = self.split(name)
        rows = texts.map(
            _encode,
            batched=True,
            with_indices=True,
            fn_kwargs={
                "source": self.source_tokenizer,
                "target": self.target_tokenizer,
                "code": code_version(),
            },
            desc=f"tokenizing {name}",
        )
        if name != "train":
            self._warn_of_unknown(name, rows["source_ids"][:])
            return rows
        kept = rows.filter(
            _fits,
            input_columns=["source_length", "target_length"],
            fn_kwargs={"limit": self.max_length},
        )
        if not len(kept):
            raise InputError(
                f"no training pair of {self.dataset} has 1 to {self.max_length} tokens on both "
                "sides: raise --data.max_length"
            )
        if len(kept) < len(rows):
            rank_zero_info(
                f"left out {len(rows) - len(kept)} of {len(rows)} training pairs: empty, or more "
                f"than {self.max_length} tokens"
            )
        return kept

    def _warn_of_unknown(self, name: str, ids: list[list[int]]) -> None:
        unknown = sum(each.count(UNK) for each in ids)
        if unknown:
            rank_zero_info(
                f"warning: {unknown} of {sum(map(len, ids))} source tokens of {name} are unknown: "
                "their characters were not in the texts that the tokenizer was trained on"
            )

    def _train_rows_loader(self) -> ResumableLoader:
        rows = self._tokenized("train")
        rank, world_size = self.ranks
        batches = TokenBatches(
            [*zip(rows["source_length"][:], rows["target_length"][:])],
            tokens_per_batch=self.tokens_per_batch,
            shuffle=not self.overfits,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
        )
        return ResumableLoader(
            rows,
            batch_sampler=batches,
            collate_fn=self._collate_train(batches),
            num_workers=self.num_workers,
        )

    def _streamed_loader(self) -> StreamLoader:
        if self.overfits:
            raise InputError(
                "--trainer.overfit_batches: every epoch of a stream has other batches; leave out "
                "--data.streaming"
            )
        rank, world_size = self.ranks
        batches = StreamedBatches(
            self.split("train"),
            source=self.source_tokenizer,
            target=self.target_tokenizer,
            buffer_size=self.buffer_size,
            max_length=self.max_length,
            tokens_per_batch=self.tokens_per_batch,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
            say=rank_zero_info,
        )
        limited = (
            self.trainer is not None
            and isinstance(self.trainer.limit_train_batches, int)
            and not getattr(self.trainer, "fast_dev_run", False)  # which may ask for too many
        )
        return StreamLoader(
            batches,
            collate_fn=self._collate_train(batches),
            num_workers=self.num_workers,
            ahead=0 if limited else 1,
        )

    def _eval_loader(self, name: str) -> DataLoader[Row]:
        rows = self._tokenized(name)
        # Nothing is left out here, and either side may be a book.
        longest = [*map(max, rows["source_length"][:], rows["target_length"][:])]
        batches = self.eval_batches(name, longest, tokens=self.eval_batch_size)
        return DataLoader(rows, batch_sampler=batches, collate_fn=_collate)

    def _collate_train(self, batches: EpochBatches) -> Callable[[list[Row]], Batch]:
        """Makes rows to batches, in any process."""
        if not self.subword_sampling:
            return _collate
        tokenizers = {"source": self.source_tokenizer, "target": self.target_tokenizer}
        return partial(_collate_sampled, batches, tokenizers, self.subword_sampling)


def _collate(rows: list[Row]) -> Batch:
    source, lengths = pad([[*row["source_ids"], EOS] for row in rows])
    # Padded without the begin token, so that the decoder's T is what `TokenBatches` counted.
    following, _ = pad([[*row["target_ids"], EOS] for row in rows])
    target = F.pad(following, (1, 0), value=BOS)
    return Batch(
        source,
        lengths,
        target,
        [row["source"] for row in rows],
        [row["target"] for row in rows],
        [row["row"] for row in rows],
    )


def _collate_sampled(
    batches: EpochBatches, tokenizers: dict[str, Tokenizer], alpha: float, rows: list[Row]
) -> Batch:
    """A training batch whose texts every epoch spells anew."""
    seed = batches.sampling_seed(rows[0]["row"])
    for side, tokenizer in tokenizers.items():
        sampled = tokenizer.sample_batch([row[side] for row in rows], alpha=alpha, seed=seed)
        rows = [{**row, f"{side}_ids": ids} for row, ids in zip(rows, sampled)]
    return _collate(rows)


def _encode(
    rows: dict[str, list[str]],
    indices: list[int],
    source: Tokenizer,
    target: Tokenizer,
    code: str,  # noqa: ARG001 - for the key of the cache of `datasets`
) -> dict[str, list[Any]]:
    source_ids, target_ids = (
        source.encode_batch(rows["source"]),
        target.encode_batch(rows["target"]),
    )
    return {
        "row": indices,
        "source_ids": source_ids,
        "target_ids": target_ids,
        "source_length": [len(ids) + 1 for ids in source_ids],  # with the end token
        "target_length": [len(ids) + 1 for ids in target_ids],
    }


def _fits(source_length: int, target_length: int, limit: int) -> bool:
    return 1 < source_length <= limit and 1 < target_length <= limit
