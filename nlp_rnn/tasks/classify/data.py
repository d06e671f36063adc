"""Labelled texts for Lightning: from data sets with columns and labels of their own to batches.

N batch, S length, C classes.
"""

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter
from typing import Any, Literal, NamedTuple

import datasets
import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader

from nlp_rnn.baseline import Baseline
from nlp_rnn.checkpoint import open_checkpoint
from nlp_rnn.data.batching import ResumableLoader, TokenBatches, pad
from nlp_rnn.data.labels import Labels
from nlp_rnn.data.subwords import check_sampling
from nlp_rnn.data.tokenizer import EOS, Tokenizer
from nlp_rnn.data.words import Vocabulary, WordVocabulary, open_vocabulary
from nlp_rnn.errors import InputError, require
from nlp_rnn.tasks.data import TaskData

__all__ = ["Batch", "ClassificationData", "LabelledText", "Texts"]


class Batch(NamedTuple):
    """Texts to train on.

    Attributes:
        tokens: ids (N, S), padding last.
        lengths: (N,).
        targets: classes (N,), or which labels fit (N, C).
    """

    tokens: Tensor
    lengths: Tensor
    targets: Tensor


class Texts(NamedTuple):
    """Texts to evaluate.

    Attributes:
        rows: their places among the texts that are evaluated.
        numbers: those in the split, of which a label map may leave rows out.
        texts: N texts.
        targets: as in `Batch`; None to predict.
    """

    rows: list[int]
    numbers: list[int]
    texts: list[str]
    targets: Tensor | None


@dataclass(frozen=True, kw_only=True)
class LabelledText:
    """A data set for one split; what is left empty is as in training.

    Args:
        dataset: a Hub id, a local folder or file; empty for the split of the main data set.
        text: the column with the text.
        label: the column with the label.
        label_map: new names of labels in this split; null leaves rows out. `{}` has none.

    Raises:
        InputError: columns without a data set.
    """

    dataset: str = ""
    text: str = ""
    label: str = ""
    label_map: dict[str, str | None] | None = None

    def __post_init__(self) -> None:
        if (self.text or self.label) and not self.dataset:
            raise InputError(
                "text and label of a split name columns of its own data set: give its dataset, too"
            )


class ClassificationData(TaskData):
    """Texts with labels, their vocabulary, and a baseline that has seen the same.

    Args:
        dataset: a Hub id, a local folder or file (jsonl, json, csv, tsv, parquet), or ``opinions``
            (built in, generated).
        text: the column with the text.
        label: the column with the label: text, a number, a class; for several labels at once a
            list, or text with ``|`` between them.
        label_map: new names of labels; null leaves their rows out (if a text has several labels,
            leaves out the label).
        validation: another data set for validation; else the split of ``dataset``, else rows
            carved from train.
        test: another data set for test; else the split of ``dataset``.
        labels: wanted labels, in order (set by ``network.labels``).
        multi_label: set by ``network.multi_label``.
        pretrained: a language model whose vocabulary is used instead of what the following four
            arguments say (set by ``model.pretrained``).
        vocab_size: tokens, trained to exactly this size (set by ``network.vocab_size``).
        tokenizer: SentencePiece's model type, or ``word`` for words between white space.
        words: a file with a word a line for the tokenizer ``word``, instead of those of the
            training texts; for one, what torchtext's ``Vocab.get_itos()`` gave.
        lowercase: read all texts in lower case, with SentencePiece by Unicode's case folding.
        subword_sampling: subword regularisation in training: alpha of unigram sampling (Kudo
            2018; smaller is stronger) or BPE-dropout's rate (Provilkov et al. 2020); 0 is off.
        batch_size: texts of a batch, over all processes.
        tokens_per_batch: most tokens of a batch, padding included: fewer texts if they are long.
            Subword sampling may spell them with a few more.
        max_length: tokens of a text that are trained on; the rest is cut off. Evaluation reads
            whole texts.
        balanced: repeat the texts of rarer labels until all labels are as frequent.
        seed: order of the training data.

    Raises:
        InputError: a value out of range.
    """

    trained_with = ("tokenizer", "lowercase")
    own_option = "--data.{}.dataset"
    described = (
        "dataset",
        "text",
        "label",
        "label_map",
        *(
            f"{split}.{name}"
            for split in ("validation", "test")
            for name in ("dataset", "text", "label", "label_map")
        ),
    )

    def __init__(
        self,
        *,
        dataset: str = "opinions",
        text: str = "text",
        label: str = "label",
        label_map: dict[str, str | None] | None = None,
        validation: LabelledText = LabelledText(),
        test: LabelledText = LabelledText(),
        labels: Sequence[str] = ("negative", "neutral", "positive"),
        multi_label: bool = False,
        pretrained: str | None = None,
        vocab_size: int = 4000,
        tokenizer: Literal["unigram", "bpe", "char", "word"] = "unigram",
        words: str | None = None,
        lowercase: bool = False,
        subword_sampling: float = 0.0,
        batch_size: int = 64,
        tokens_per_batch: int = 16_000,
        max_length: int = 400,
        balanced: bool = False,
        seed: int = 1,
    ) -> None:
        own = {"validation": validation, "test": test}
        super().__init__(
            dataset=dataset,
            columns={"text": text, "label": label},
            others={split: each.dataset or None for split, each in own.items()},
            other_columns={
                split: {"text": each.text or text, "label": each.label or label}
                for split, each in own.items()
            },
            seed=seed,
        )
        require(batch_size >= 1, f"batch_size {batch_size}", "1 or more")
        require(max_length >= 1, f"max_length {max_length}", "1 or more")
        check_sampling(subword_sampling, tokenizer)
        if balanced and multi_label:
            raise InputError("balanced needs labels that exclude each other: leave out one of both")
        self.text = text
        self.label = label
        self.label_map = label_map
        self.validation = validation
        self.test = test
        self.labels = Labels(labels, multi_label=multi_label)
        self.pretrained = pretrained
        self.vocab_size = vocab_size
        self.tokenizer = tokenizer
        self.words = words
        self.lowercase = lowercase
        self.subword_sampling = subword_sampling
        self.batch_size = batch_size
        self.tokens_per_batch = tokens_per_batch
        self.max_length = max_length
        self.balanced = balanced
        self.vocabulary: Vocabulary
        self.baseline: Baseline
        self._labelled: dict[str, datasets.Dataset] = {}
        self._trained_on = dataset
        self._compared: dict[str, Any] = {}

    def labelled(self, name: str) -> datasets.Dataset:
        """The texts of a split whose labels are wanted, with ``targets``.

        Raises:
            InputError: no such split, or a label that is neither wanted nor mapped to one that is.
        """
        if name not in self._labelled:
            own = {"validation": self.validation, "test": self.test}.get(name, LabelledText())
            label_map = self.label_map if own.label_map is None else own.label_map
            elsewhere = own.dataset or own.label_map is not None
            option = f"--data.{name}.label_map" if elsewhere else "--data.label_map"
            rows = self.split(name)
            targets = self.labels.targets(
                rows["label"][:], label_map or {}, where=f"{name}, ", option=option
            )
            kept = [row for row, target in enumerate(targets) if target is not None]
            if not kept:
                raise InputError(f"{name}: no row is left once {option} has left rows out")
            chosen = [target for target in targets if target is not None]
            self._labelled[name] = (
                rows.select(kept).add_column("targets", chosen).add_column("row", kept)
            )
        return self._labelled[name]

    def targets(self, name: str) -> Tensor:
        """Classes of a split's texts (rows,), or which labels fit them (rows, C)."""
        return self.labels.tensor(self.labelled(name)["targets"][:])

    def class_counts(self) -> Tensor:
        """How many training texts have each label (C,)."""
        targets = self.targets("train")
        if self.labels.multi_label:
            return targets.sum(0)
        return torch.bincount(targets, minlength=len(self.labels.names)).float()

    def make_train_loader(self) -> ResumableLoader:
        texts, targets = self.labelled("train")["text"][:], self.targets("train")
        ids = [
            [*tokens[: self.max_length - 1], EOS] for tokens in self.vocabulary.encode_batch(texts)
        ]
        if self.subword_sampling and isinstance(self.vocabulary, WordVocabulary):
            raise InputError(
                f"subword_sampling {self.subword_sampling}, but the vocabulary has whole words: "
                "leave it out, or give --data.tokenizer unigram"
            )
        order = self._balanced_rows(targets) if self.balanced else list(range(len(ids)))
        rank, world_size = self.ranks
        batches = TokenBatches(
            [len(ids[row]) for row in order],
            tokens_per_batch=self.tokens_per_batch,
            max_sentences=self.batch_size,
            shuffle=not self.overfits,
            seed=self.seed,
            rank=rank,
            world_size=world_size,
        )
        collate = partial(self._batch, batches, texts, ids, targets)
        return ResumableLoader(order, batch_sampler=batches, collate_fn=collate)

    def val_dataloader(self) -> DataLoader[Texts]:
        return self._labelled_loader("validation")

    def test_dataloader(self) -> DataLoader[Texts]:
        return self._labelled_loader("test")

    def predict_dataloader(self) -> DataLoader[Texts]:
        # Every text of the test split, whether it has a label or not.
        rows = self.load("test", {"text": self.text}, {"text": self.test.text or self.text})
        return self._eval_loader("test", rows["text"][:], range(len(rows)), None)

    def state_dict(self) -> dict[str, Any]:
        """All that makes a checkpoint stand alone, and where training is in the data."""
        return {
            **super().state_dict(),
            "vocabulary": self.vocabulary.to_bytes(),
            "baseline": self.baseline.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.vocabulary = open_vocabulary(state_dict["vocabulary"])
        if self.trainer is not None and self.trainer.training and hasattr(self, "baseline"):
            return  # that of the texts trained on now, which may be others
        self._trained_on = state_dict["dataset"]
        self._compared = {name: state_dict.get(name) for name in self._read_in_training()}
        self.baseline = Baseline.from_state(state_dict["baseline"])

    def train_vocabulary(self) -> None:
        """Also looks at all labels and trains the baseline, which may take minutes."""
        read_now = self._read_in_training()
        if hasattr(self, "vocabulary") and self._compared == read_now:
            return
        train, validation = self.labelled("train"), self.labelled("validation")
        if not self.labels.multi_label and int(self.class_counts().count_nonzero()) < 2:
            (only,) = {self.labels.names[each] for each in train["targets"][:]}
            raise InputError(f"all training texts are {only!r}: there is nothing to tell apart")
        self._trained_on, self._compared = self.dataset, read_now
        self.warn_of_empty_texts("train")
        self.warn_of_empty_texts("validation")
        self.warn_of_known_texts("validation")
        if not hasattr(self, "vocabulary"):
            self.vocabulary = self._new_vocabulary(train)
        prints = (train._fingerprint, validation._fingerprint, self.labels, "baseline 2")
        saved = self.cached("TF-IDF baseline", *prints, train=self._train_baseline)
        self.baseline = Baseline.from_state(torch.load(io.BytesIO(saved), weights_only=True))

    def _read_in_training(self) -> dict[str, Any]:
        """What the baseline was fitted to, by the arguments that say so."""
        names = [name for name in self.described if not name.startswith("test.")]
        return {name: attrgetter(name)(self) for name in names}

    def warn_of_empty_texts(self, name: str) -> None:
        """Say how many texts of a split have a label and no words."""
        texts = self.labelled(name)["text"][:]
        if count := sum(not text.strip() for text in texts):
            rank_zero_info(f"warning: {count} of {len(texts)} {name} texts are empty")

    def warn_of_known_texts(self, name: str) -> None:
        """Say how many texts of a split were trained on, if the training data are at hand."""
        if self.dataset != self._trained_on:
            return
        try:
            known = set(self.labelled("train")["text"][:])
        except InputError:
            return
        texts = self.labelled(name)["text"][:]
        if count := sum(text in known for text in texts):
            rank_zero_info(f"warning: {count} of {len(texts)} {name} texts are in train, too")

    def _new_vocabulary(self, train: datasets.Dataset) -> Vocabulary:
        if self.pretrained:
            checkpoint = open_checkpoint(self.pretrained, task="language_model")
            return open_vocabulary(checkpoint["LanguageModelData"]["vocabulary"])
        if self.words:
            return self._given_words(self.words)
        settings = (self.vocab_size, self.tokenizer, self.lowercase, 1)
        trained = self.cached(
            "vocabulary", train._fingerprint, *settings, train=lambda: self._train(train)
        )
        return open_vocabulary(trained)

    def _given_words(self, path: str) -> WordVocabulary:
        found = WordVocabulary.from_file(path, lowercase=self.lowercase)
        if self.tokenizer != "word" or found.vocab_size != self.vocab_size:
            raise InputError(
                f"{path} has {found.vocab_size - 4} words: give --data.tokenizer word and "
                f"--network.vocab_size {found.vocab_size}"
            )
        return found

    def _train(self, train: datasets.Dataset) -> bytes:
        texts, size = train["text"][:], self.vocab_size
        if self.tokenizer == "word":
            words = WordVocabulary.train(texts, vocab_size=size, lowercase=self.lowercase)
            return words.to_bytes()
        return Tokenizer.train(
            texts,
            vocab_size=size,
            model_type=self.tokenizer,
            normalization="nmt_nfkc_cf" if self.lowercase else "nmt_nfkc",
        ).to_bytes()

    def _train_baseline(self) -> bytes:
        fitted = Baseline.fit(
            self.labelled("train")["text"][:],
            self.targets("train"),
            self.labelled("validation")["text"][:],
            self.targets("validation"),
            num_classes=len(self.labels.names),
            multi_label=self.labels.multi_label,
        )
        file = io.BytesIO()
        torch.save(fitted.state_dict(), file)
        return file.getvalue()

    def _balanced_rows(self, targets: Tensor) -> list[int]:
        """Every row, and rows of rarer labels again until all labels are as frequent."""
        rng = random.Random(self.seed)
        groups = [
            rows
            for label in range(len(self.labels.names))
            if (rows := (targets == label).nonzero().flatten().tolist())
        ]
        most = max(map(len, groups))
        order = []
        for rows in groups:
            again, rest = divmod(most, len(rows))
            order += rows * again + rng.sample(rows, rest)
        return order

    def _labelled_loader(self, name: str) -> DataLoader[Texts]:
        labelled = self.labelled(name)
        return self._eval_loader(name, labelled["text"][:], labelled["row"][:], self.targets(name))

    def _eval_loader(
        self, name: str, texts: list[str], numbers: Sequence[int], targets: Tensor | None
    ) -> DataLoader[Texts]:
        def take(rows: list[int]) -> Texts:
            chosen = None if targets is None else targets[rows]
            return Texts(rows, [numbers[row] for row in rows], [texts[row] for row in rows], chosen)

        # By characters; the classifier batches them once more.
        batches = self.eval_batches(name, [len(text) for text in texts], tokens=1_000_000)
        return DataLoader(range(len(texts)), batch_sampler=batches, collate_fn=take)  # type: ignore[arg-type]

    def _batch(
        self,
        batches: TokenBatches,
        texts: list[str],
        ids: list[list[int]],
        targets: Tensor,
        rows: list[int],
    ) -> Batch:
        """Texts to train on; with subword sampling every epoch spells them anew."""
        chosen = [ids[row] for row in rows]
        if self.subword_sampling:
            assert isinstance(self.vocabulary, Tokenizer)  # as `make_train_loader` has seen to
            sampled = self.vocabulary.sample_batch(
                [texts[row] for row in rows],
                alpha=self.subword_sampling,
                seed=batches.sampling_seed(rows[0]),
            )
            chosen = [[*tokens[: self.max_length - 1], EOS] for tokens in sampled]
        tokens, lengths = pad(chosen)
        return Batch(tokens, lengths, targets[rows])
