"""What the data of all tasks have in common: splits, a trained vocabulary, a place to resume at."""

import os
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from types import MappingProxyType
from typing import Any, ClassVar

import datasets
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_info

from nlp_rnn.checkpoint import check_plain
from nlp_rnn.data.batching import ResumableLoader, TokenBatches, fingerprint
from nlp_rnn.data.cache import cache_folder
from nlp_rnn.data.carving import carve_validation
from nlp_rnn.data.sources import load_splits
from nlp_rnn.data.streaming import in_memory
from nlp_rnn.errors import InputError, require

__all__ = ["TaskData"]


class TaskData(LightningDataModule):
    """Data that a checkpoint can find again, and go on with where training was.

    Args:
        dataset: of all splits that have no other.
        columns: new name to name in the data.
        others: split to another data set for it, or None.
        other_columns: split to the names in its other data set, where they differ.
        seed: of the order of the training data.
        streaming: read the training data while training.
    """

    described: ClassVar[tuple[str, ...]]
    """Arguments that say which data these are, with dots; a checkpoint remembers them."""

    trained_with: ClassVar[tuple[str, ...]] = ("tokenizer",)
    """Arguments that a checkpoint's vocabulary was trained with, and that hold with it."""

    own_option: ClassVar[str] = "--data.{}"
    """What names a data set for one split."""

    def __init__(
        self,
        *,
        dataset: str,
        columns: dict[str, str],
        others: dict[str, str | None],
        other_columns: Mapping[str, dict[str, str]] = MappingProxyType({}),
        seed: int,
        streaming: bool = False,
    ) -> None:
        super().__init__()
        self.dataset = dataset
        self.columns = columns
        self.others = others
        self.other_columns = other_columns
        self.seed = seed
        require(0 <= seed < 2**32, f"seed {seed}", "a number of 32 bits")
        self.streaming = streaming
        self._splits: dict[str, datasets.Dataset] = {}
        self._train_loader: ResumableLoader | None = None
        self._position: dict[str, Any] | None = None

    @abstractmethod
    def train_vocabulary(self) -> None:
        """Train what turns text into ids, unless it is there."""

    @abstractmethod
    def make_train_loader(self) -> ResumableLoader:
        """The training batches, from the start."""

    def prepare_data(self) -> None:
        """Download and train the vocabulary, once per machine."""
        self._prepare()

    def setup(self, stage: str) -> None:
        # A checkpoint is restored after this and brings its own vocabulary.
        self._prepare()

    def train_dataloader(self) -> ResumableLoader:
        loader = self.make_train_loader()
        if self._position is not None:
            loader.load_state_dict(self._position)
            self._position = None
        self._train_loader = loader
        return loader

    def state_dict(self) -> dict[str, Any]:
        """Which data these are, and where training is in them."""
        position = None if self._train_loader is None else self._train_loader.state_dict()
        return {**self._description(), "position": position}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name in self.trained_with:
            given = getattr(self, name)
            learnt = state_dict.get(name, given)  # before they were kept, there was none
            if given != learnt:
                raise InputError(
                    f"--data.{name} is {given}, but the model was trained with {learnt}: leave it "
                    "out"
                )
        if self.trainer is None or self.trainer.training:
            self._position = state_dict["position"]

    @property
    def ranks(self) -> tuple[int, int]:
        """The rank of this process, and how many there are."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    @property
    def overfits(self) -> bool:
        """Whether training is to see the same few batches in every epoch, to learn them by heart.

        Lightning cannot take the order out of our loaders, whose samplers give whole batches.
        """
        return bool(getattr(self.trainer, "overfit_batches", 0))

    def eval_batches(self, name: str, lengths: Sequence[int], *, tokens: int) -> TokenBatches:
        """Batches of a split, the longest first; in any order, but always the same, if limited.

        Args:
            name: of the split.
            lengths: of its rows.
            tokens: most of them, padded, in a batch.
        """
        option = "limit_val_batches" if name == "validation" else "limit_test_batches"
        if getattr(self.trainer, "predicting", False):
            option = "limit_predict_batches"
        limit = getattr(self.trainer, option, 1.0)
        limited = isinstance(limit, int) or limit < 1.0  # 1 is a batch, 1.0 are all
        rank, world_size = self.ranks
        batches = TokenBatches(
            lengths, tokens_per_batch=tokens, shuffle=limited, rank=rank, world_size=world_size
        )
        batches.sampler = None  # whom Lightning would tell another epoch
        return batches

    def split(self, name: str) -> datasets.Dataset:
        """One split with the wanted columns; train may be a stream.

        Raises:
            InputError: there is no such split.
        """
        if name not in self._splits:
            other_columns = self.other_columns.get(name, self.columns)
            self._splits[name] = self.load(name, self.columns, other_columns)
        return self._splits[name]

    def load(
        self, name: str, columns: dict[str, str], other_columns: dict[str, str]
    ) -> datasets.Dataset:
        """Read a split.

        Args:
            name: of the split.
            columns: new name to name in the main data set.
            other_columns: the same for the split's other data set, if it has one.

        Raises:
            InputError: there is no such split.
        """
        other = self.others.get(name)
        if not other:
            return self._from_main(name, columns)
        return _from_own(other, name, other_columns, plain_text=self._is_plain)

    @property
    def _is_plain(self) -> bool:
        """Whether text files hold all that is read; a part of it is sought where all of it is."""
        return len(self.columns) == 1

    def _from_main(self, name: str, columns: dict[str, str]) -> datasets.Dataset:
        """A split of the data set of all splits; validation may be carved from train."""
        both = ("train", "validation")
        carved = name in both and not self.others.get("validation")
        loaded = load_splits(
            self.dataset,
            columns=columns,
            streaming=self.streaming,
            splits=both if carved else [name],
            plain_text=self._is_plain,
        )
        if carved:
            loaded = self.carve(loaded)
        if name not in loaded:
            option = "--data.dataset" if name == "train" else self.own_option.format(name)
            raise InputError(
                f"{self.dataset} has no {name} split (it has {', '.join(loaded)}): name one with "
                f"{option}"
            )
        found = loaded[name]
        return in_memory(found) if self.streaming and name != "train" else found

    def carve(self, splits: datasets.DatasetDict) -> datasets.DatasetDict:
        """Take a validation split out of train, where there is none: random blocks."""
        return carve_validation(splits)

    def cached(self, what: str, *settings: object, train: Callable[[], bytes]) -> bytes:
        """The bytes of something trained, kept for the next start with the same settings.

        Args:
            what: its name for people, who may have to wait for it.
            settings: all that the result depends on, the data's fingerprint included.
            train: called if these settings are new.
        """
        folder = cache_folder()
        path = folder / f"{fingerprint(*settings)}.model"
        if path.exists():
            return path.read_bytes()
        rank_zero_info(f"training the {what}, once for these data")
        trained = train()
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}")
        unfinished.write_bytes(trained)
        unfinished.replace(path)  # Another process sees all of it or nothing.
        return trained

    def _prepare(self) -> None:
        if self.trainer is not None and self.trainer.training:
            check_plain(self._description())
            self.train_vocabulary()

    def _description(self) -> dict[str, Any]:
        """What a checkpoint remembers of the arguments."""
        return {name: attrgetter(name)(self) for name in (*self.described, *self.trained_with)}


def _from_own(
    dataset: str, name: str, columns: dict[str, str], *, plain_text: bool
) -> datasets.Dataset:
    """A split of a data set of its own: the one of that name, or all there is."""
    loaded = load_splits(dataset, columns=columns, splits=[name], plain_text=plain_text)
    if name in loaded:
        return loaded[name]
    if len(loaded) > 1:
        raise InputError(
            f"{dataset} has no {name} split (it has {', '.join(loaded)}): name a file of it"
        )
    # Its columns are looked at, too.
    return next(iter(load_splits(dataset, columns=columns, plain_text=plain_text).values()))
