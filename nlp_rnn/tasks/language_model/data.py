"""Language-model data for Lightning: from one string to windows of streams.

N streams, T steps of a window.
"""

from collections.abc import Iterator
from typing import Any, Literal

import datasets
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from nlp_rnn.data.batching import ResumableLoader
from nlp_rnn.data.cache import code_version
from nlp_rnn.data.carving import carve_end
from nlp_rnn.data.streams import Streams, Window, WindowBatches, side_by_side, take_window
from nlp_rnn.data.tokenizer import EOS, UNK, Tokenizer
from nlp_rnn.data.words import Vocabulary, WordVocabulary, open_vocabulary
from nlp_rnn.errors import InputError, require
from nlp_rnn.perplexity import TextSize
from nlp_rnn.tasks.data import TaskData

__all__ = ["LanguageModelData"]


class LanguageModelData(TaskData):
    """Running text, its vocabulary and its windows.

    Args:
        dataset: a Hub id, a local folder or file (also plain text), or ``topics`` (built in).
        column: the text.
        validation: another data set for validation; else the split of ``dataset``, else the last
            tenth of train, for it is read in one piece, too.
        test: another data set for test, likewise; also what predict reads.
        vocab_size: tokens, trained to exactly this size (set by ``network.vocab_size``).
        tokenizer: SentencePiece's model type, or ``word`` for words between white space, whose
            ``<unk>`` is the unknown word.
        lowercase: read all texts in lower case, with every white space as one blank; SentencePiece
            also in NFKC and with its case folding (``10²`` is 102). That is what is predicted then,
            but words, characters and bytes are counted in the raw text.
        byte_fallback: SentencePiece spells unknown characters as bytes.
        whole_words: words that SentencePiece never cuts behind a space or at the start of a text,
            such as ``<unk>`` in a classical corpus.
        unit: what gets an end mark, which counts as a word: every ``row`` of the data, a line of
            a text file, without a line end of its own; or every ``document``, the rows between two
            blank ones, with the line ends between them. Figures for WikiText and PTB are by row.
        direction: ``backward`` reads the text from its end to its start.
        batch_size: N in training, over all processes.
        window: T in training; several take turns in an order drawn for each epoch. Each is an
            update of the full rate, which Merity et al. (2018) scale by the length.
        eval_batch_size: N in validation and test. 1 reads the text in one piece; more is faster,
            and costs the context of N - 1 starts.
        eval_window: T in validation and test, a matter of speed alone, but for dynamic evaluation,
            which updates after every window.
        seed: order of the windows' lengths.
    """

    described = ("dataset", "column", "validation", "test", "unit")
    trained_with = ("direction", "tokenizer", "lowercase", "byte_fallback", "whole_words")

    def __init__(
        self,
        *,
        dataset: str = "topics",
        column: str = "text",
        validation: str | None = None,
        test: str | None = None,
        vocab_size: int = 4000,
        tokenizer: Literal["unigram", "bpe", "char", "word"] = "unigram",
        lowercase: bool = False,
        byte_fallback: bool = False,
        whole_words: list[str] = [],  # noqa: B006 - read only; a list is what YAML gives
        unit: Literal["row", "document"] = "row",
        direction: Literal["forward", "backward"] = "forward",
        batch_size: int = 20,
        window: int | list[int] = 35,
        eval_batch_size: int = 10,
        eval_window: int = 64,
        seed: int = 1,
    ) -> None:
        super().__init__(
            dataset=dataset,
            columns={"text": column},
            others={"validation": validation, "test": test},
            seed=seed,
        )
        self.column = column
        self.validation = validation
        self.test = test
        self.vocab_size = vocab_size
        self.tokenizer = tokenizer
        self.lowercase = lowercase
        self.byte_fallback = byte_fallback
        self.whole_words = whole_words
        self.unit = unit
        self.direction = direction
        self.batch_size = batch_size
        self.window = [window] if isinstance(window, int) else window
        self.eval_batch_size = eval_batch_size
        self.eval_window = eval_window
        self.vocabulary: Vocabulary
        self._encoded: dict[str, datasets.Dataset] = {}

    def check_sorted(self) -> None:
        """Refuse ids that an adaptive softmax cannot split into clusters by frequency.

        Raises:
            InputError: BPE puts single characters last, and so the most frequent pieces of all;
                byte fallback puts 256 bytes first, which are rare.
        """
        if self.tokenizer == "bpe" or self.byte_fallback:
            raise InputError(
                "network.adaptive_cutoffs need ids that begin with the most frequent tokens, but "
                "BPE puts single characters last and byte_fallback puts bytes first: give "
                "--data.tokenizer unigram or word, without byte_fallback"
            )

    def make_train_loader(self) -> ResumableLoader:
        rank, world_size = self.ranks
        require(
            self.batch_size >= world_size,
            f"batch_size {self.batch_size}",
            f"a stream for each of the {world_size} processes",
        )
        streams = side_by_side(
            self.ids("train"), self.batch_size, what="train", option="--data.batch_size"
        )
        return ResumableLoader(
            Streams(streams[rank::world_size]),
            batch_sampler=WindowBatches(
                streams.size(1) - 1,
                lengths=self.window,
                shuffle=not self.overfits,
                seed=self.seed,
            ),
            collate_fn=take_window,
        )

    def val_dataloader(self) -> DataLoader[Window]:
        return self._eval_loader("validation")

    def test_dataloader(self) -> DataLoader[Window]:
        return self._eval_loader("test")

    def predict_dataloader(self) -> DataLoader[Any]:
        """The units of the test split as raw text, for each is read alone."""
        texts = list(_units(self.split("test")["text"][:], self.unit))
        return DataLoader(texts, batch_size=256, collate_fn=list)  # type: ignore[arg-type]

    def state_dict(self) -> dict[str, Any]:
        """All that makes a checkpoint stand alone, and where training is in the text."""
        return {**super().state_dict(), "vocabulary": self.vocabulary.to_bytes()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        super().load_state_dict(state_dict)
        self.vocabulary = open_vocabulary(state_dict["vocabulary"])

    def train_vocabulary(self) -> None:
        if hasattr(self, "vocabulary"):
            return
        train = self.split("train")
        options = (self.tokenizer, self.lowercase, self.byte_fallback, *self.whole_words)
        settings = (self.unit, self.vocab_size, *options, 3)
        trained = self.cached(
            "vocabulary", train._fingerprint, *settings, train=lambda: self._train(train)
        )
        self.vocabulary = open_vocabulary(trained)

    def ids(self, name: str) -> Tensor:
        """A split as one text: an end mark to start from, then every unit with its end mark."""
        ids = torch.from_numpy(self._column(name).to_numpy(zero_copy_only=False).copy()).long()
        if self.direction == "backward":  # The end mark of a unit stands where reading it ends.
            ids = torch.cat([ids[:-1].flip(0), ids[-1:]])
        return torch.cat([torch.tensor([EOS]), ids])

    def carve(self, splits: datasets.DatasetDict) -> datasets.DatasetDict:
        return carve_end(splits, blank="text" if self.unit == "document" else None)

    def tokens(self, name: str) -> int:
        """How many tokens of a split are predicted, the end marks included."""
        return len(self._column(name))

    def unknown(self, name: str) -> int:
        """How many of these tokens stand for what the vocabulary cannot spell."""
        return int((self.ids(name) == UNK).sum())

    def size(self, name: str) -> TextSize:
        """How large the raw text of a split is."""
        units = self.encoded(name)
        return TextSize(*(sum(units[each][:]) for each in ("words", "characters", "bytes")))

    def _column(self, name: str) -> Any:
        """The ids of all units as one Arrow array."""
        return self.encoded(name).data.column("ids").combine_chunks().flatten()

    def _train(self, train: datasets.Dataset) -> bytes:
        texts = _units(train["text"][:], self.unit)
        if self.tokenizer == "word":
            if self.byte_fallback or self.whole_words:
                raise InputError(
                    "byte_fallback and whole_words are for SentencePiece: leave them out, or give "
                    "--data.tokenizer unigram or bpe"
                )
            return WordVocabulary.train(
                texts, vocab_size=self.vocab_size, lowercase=self.lowercase
            ).to_bytes()
        capitals = [word for word in self.whole_words if word != word.lower()]
        if self.lowercase and capitals:
            raise InputError(
                f"whole_words {', '.join(capitals)}: under lowercase they are never met; give them "
                "in lower case"
            )
        return Tokenizer.train(
            texts,
            vocab_size=self.vocab_size,
            model_type=self.tokenizer,
            byte_fallback=self.byte_fallback,
            normalization="nmt_nfkc_cf" if self.lowercase else "identity",
            whole_words=self.whole_words,
        ).to_bytes()

    def encoded(self, name: str) -> datasets.Dataset:
        """The units of a split: their ids with the end mark, and their sizes.

        Raises:
            InputError: the text is empty.
        """
        if name in self._encoded:
            return self._encoded[name]
        rows = self.split(name)
        if self.unit == "document":
            rows = datasets.Dataset.from_dict({"text": [*_units(rows["text"][:], self.unit)]})
        if not any(text.strip() for text in rows["text"][:]):
            dataset = self.others.get(name) or self.dataset
            raise InputError(f"{dataset}, {name}: there is no text in it")
        encoded = rows.map(
            _encode,
            batched=True,
            remove_columns=["text"],
            fn_kwargs={"vocabulary": self.vocabulary, "code": code_version()},
            desc=f"tokenizing {name}",
        )
        self._encoded[name] = encoded
        return encoded

    def _eval_loader(self, name: str) -> DataLoader[Window]:
        rank, world_size = self.ranks
        require(
            self.eval_batch_size >= world_size,
            f"eval_batch_size {self.eval_batch_size}",
            f"a stream for each of the {world_size} processes",
        )
        streams = side_by_side(
            self.ids(name), self.eval_batch_size, what=name, option="--data.eval_batch_size"
        )
        return DataLoader(
            Streams(streams[rank::world_size]),
            batch_sampler=WindowBatches(streams.size(1) - 1, lengths=[self.eval_window]),
            collate_fn=take_window,
        )


def _units(rows: list[str], unit: str) -> Iterator[str]:
    if unit == "row":
        yield from map(_without_line_end, rows)
        return
    lines: list[str] = []
    for row in [*rows, ""]:
        if row.strip():
            lines.append(_without_line_end(row))
        elif lines:
            yield "\n".join(lines)
            lines = []


def _without_line_end(row: str) -> str:
    return row.removesuffix("\n")  # some data sets keep it, where the end mark stands for it


def _encode(
    rows: dict[str, list[str]],
    vocabulary: Vocabulary,
    code: str,  # noqa: ARG001 - for the key of the cache of `datasets`
) -> dict[str, list[Any]]:
    texts = [*map(_without_line_end, rows["text"])]
    return {
        "ids": [[*ids, EOS] for ids in vocabulary.encode_batch(texts)],
        # One more of each: the end mark is predicted, too.
        "words": [len(text.split()) + 1 for text in texts],
        "characters": [len(text) + 1 for text in texts],
        "bytes": [len(text.encode("utf-8", errors="replace")) + 1 for text in texts],
    }
