"""Classification: the loss of labels, and scores of what the public `TextClassifier` says.

N batch, C classes.
"""

from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor, nn

from nlp_rnn.checkpoint import open_checkpoint
from nlp_rnn.data.vectors import load_vectors
from nlp_rnn.errors import InputError, require
from nlp_rnn.inference import TextClassifier
from nlp_rnn.inference.networks import build_network, unreadable
from nlp_rnn.label_metrics import LabelScores, best_temperature, label_scores
from nlp_rnn.models.classifier import Classifier
from nlp_rnn.models.language_model import LanguageModel
from nlp_rnn.models.transfer import check_language_model, copy_language_model
from nlp_rnn.modules.convolution import spellings
from nlp_rnn.tasks.base import Task, warnings_of_rows
from nlp_rnn.tasks.classify.adversarial import adversarial_nats
from nlp_rnn.tasks.classify.data import Batch, ClassificationData, Texts
from nlp_rnn.tasks.classify.loss import LabelLoss
from nlp_rnn.tasks.optimization import Optimization

__all__ = ["ClassificationTask", "Evaluation"]


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation saw, in the order of the data.

    Attributes:
        rows: of the split, fewer than all of them under a limit of batches.
        logits: (N, C), not calibrated.
        targets: classes (N,), or which labels fit (N, C).
        scores: figures of the calibrated logits; in training, of the logits as they are.
    """

    rows: list[int]
    logits: Tensor
    targets: Tensor
    scores: LabelScores


class ClassificationTask(Task):
    """Trains a `Classifier`, from nothing, from word vectors or from language models.

    At each validation in training, its texts choose the temperature that the probabilities are read
    at; it is part of the checkpoint. Losses and calibration errors logged there are those without
    it, since it is fitted to these very texts.

    Args:
        network: the classifier.
        optimization: how it is updated.
        loss: what a wrong label costs.
        pretrained: a language model's checkpoint to start from: vocabulary, embedding, layers.
        pretrained_backward: one that reads backward, for the second stack of ``apart``.
        vectors: word vectors to start the embedding from: a text file, or a name that torchtext
            knows; needs the tokenizer ``word``.
        layer_decay: each layer below the head learns at this share of the rate of the one above
            (discriminative rates, Howard & Ruder 2018, who take 1 / 2.6).
        unfreeze_every: epochs after which one more layer, from the top, begins to learn (gradual
            unfreezing, likewise); 0 trains all from the start. Over several processes it needs
            the strategy ddp_find_unused_parameters_true.
        adversarial_norm: texts are also read with their embeddings moved this far, to where the
            cost rises most, see `adversarial_nats`; 0 leaves it out. Steps take 2.5 times as long.
            Its measure are the embeddings: 0.2 suits those that start at random, 1 those of a tied
            language model.

    Raises:
        InputError: values out of range.
    """

    name = "classify"
    network: Classifier

    def __init__(
        self,
        network: Classifier,
        *,
        optimization: Optimization = Optimization(),
        loss: LabelLoss = LabelLoss(),
        pretrained: str | None = None,
        pretrained_backward: str | None = None,
        vectors: str | None = None,
        layer_decay: float = 1.0,
        unfreeze_every: int = 0,
        adversarial_norm: float = 0.0,
    ) -> None:
        super().__init__(network, optimization=optimization)
        require(0 < layer_decay <= 1, f"layer_decay {layer_decay}", "above 0, to 1 (off)")
        require(unfreeze_every >= 0, f"unfreeze_every {unfreeze_every}", "0 (off) or more epochs")
        require(adversarial_norm >= 0, f"adversarial_norm {adversarial_norm}", "0 (off) or more")
        if pretrained_backward and not pretrained:
            raise InputError("pretrained_backward is beside pretrained, not alone: give both")
        if pretrained and vectors:
            raise InputError("pretrained brings an embedding, and so do vectors: give one of both")
        self.loss = loss
        self.pretrained = pretrained
        self.pretrained_backward = pretrained_backward
        self.vectors = vectors
        self.layer_decay = layer_decay
        self.unfreeze_every = unfreeze_every
        self.adversarial_norm = adversarial_norm
        self.temperature = 1.0
        self.evaluation: Evaluation | None = None
        self._started = False
        self._class_weights: Tensor | None = None
        self._seen: list[tuple[list[int], Tensor, Tensor]] = []

    @property
    def data(self) -> ClassificationData:
        """The data module of the running trainer."""
        return self.trainer.datamodule  # type: ignore[attr-defined]

    @property
    def classifier(self) -> TextClassifier:
        """The public classifier, with the present weights."""
        return TextClassifier(
            self.network,
            self.data.vocabulary,
            temperature=self.temperature,
            precision=self.serving_precision,
        )

    def setup(self, stage: str) -> None:
        """Start from what was pretrained; a checkpoint to go on from is loaded after this."""
        super().setup(stage)
        if stage != "fit":
            return
        hops, pooling = (self.network.arguments[name] for name in ("num_hops", "pooling"))
        if hops > 1 and pooling != "attention":
            raise InputError(
                f"network.num_hops {hops}: pooling {pooling} has none; leave it out, or give "
                "--network.pooling attention"
            )
        if self.data.balanced and self.loss.class_weights == "balanced":
            raise InputError(
                "data.balanced and loss.class_weights balanced would favour rare labels twice: "
                "leave out one of both"
            )
        if self.unfreeze_every and not self.pretrained and not self.trainer.ckpt_path:
            rank_zero_info(
                "warning: unfreeze_every keeps layers as they are at first, which is at random "
                "without --model.pretrained"
            )
        self.check_start(self.data)
        if self._started:  # a second training goes on with what the first one has learnt
            return
        if self.pretrained:
            self._copy(self.pretrained, backward=False)
        if self.pretrained_backward:
            self._copy(self.pretrained_backward, backward=True)
        for reader in self.network.readers:  # whose sizes were compared before
            if reader.characters is not None:
                vocabulary = self.data.vocabulary
                pieces = vocabulary.pieces(range(vocabulary.vocab_size))
                reader.characters.spellings.copy_(spellings(pieces))
        if self.vectors:
            self._copy_vectors(self.vectors)
        self._started = True

    def check_start(self, data: ClassificationData) -> None:
        """See whether training can start from what is given, which takes no vocabulary yet.

        Raises:
            InputError: language models that do not fit the network or read the other way, or one
                too few; vectors of words for a vocabulary of pieces.
        """
        if self.pretrained and self.network.reversed_reader and not self.pretrained_backward:
            raise InputError(
                "network.directions 'apart' has a second stack, which starts from a language model "
                "that reads backward: give --model.pretrained_backward, or 'forward'"
            )
        for path, backward in ((self.pretrained, False), (self.pretrained_backward, True)):
            if not path:
                continue
            checkpoint = open_checkpoint(path, task="language_model")
            theirs, ours = checkpoint["hyper_parameters"], self.network.arguments
            check_language_model(theirs, ours, path=path, backward=backward)
            direction = checkpoint["LanguageModelData"]["direction"]
            if (direction == "backward") != backward:
                wanted = "backward" if backward else "forward"
                raise InputError(
                    f"{path} reads {direction}, but a model that reads {wanted} is wanted"
                )
        if self.vectors and data.tokenizer != "word":
            raise InputError(
                f"word vectors ({self.vectors}) need whole words: give --data.tokenizer word"
            )

    def on_fit_start(self) -> None:
        self._class_weights = self.loss.weights(
            self.data.class_counts(),
            len(self.data.labelled("train")),
            multi_label=self.network.multi_label,
        )
        if self._class_weights is not None:
            self._class_weights = self._class_weights.to(self.device)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The head, then layer by layer down to the embeddings, with falling rates."""
        return [
            {"params": [*depth.parameters()], "scale": self.layer_decay**number}
            for number, depth in enumerate(self._depths())
        ]

    def on_train_start(self) -> None:
        super().on_train_start()
        wrapped = self.trainer.model  # DistributedDataParallel waits for every gradient
        if self.unfreeze_every and getattr(wrapped, "find_unused_parameters", True) is False:
            raise InputError(
                "unfreeze_every leaves layers without a gradient: over several processes give "
                "--trainer.strategy ddp_find_unused_parameters_true"
            )
        self._unfreeze()

    def on_train_epoch_start(self) -> None:
        self._unfreeze()

    def on_train_end(self) -> None:
        """Leave nothing frozen, which another training would leave out."""
        if self.unfreeze_every:
            for group in self.optimizers().param_groups:  # type: ignore[union-attr]
                for parameter in group["params"]:
                    parameter.requires_grad_(True)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        cost = self.loss.of_many if self.network.multi_label else self.loss.of_one

        def read() -> Tensor:
            scores = self.network(batch.tokens, batch.lengths)
            return cost(scores, batch.targets, self._class_weights)

        if self.adversarial_norm:
            embeddings = [reader.encoder.embedding for reader in self.network.readers]
            nats = adversarial_nats(read, embeddings, self.adversarial_norm)
        else:
            nats = read()
        self.log("train_loss", nats.detach().mean(), prog_bar=True, batch_size=len(nats))
        return self.mean_over_ranks(nats.sum(), torch.tensor(len(nats), device=nats.device))

    def validation_step(self, batch: Texts, batch_idx: int) -> None:
        self._read(batch)

    def test_step(self, batch: Texts, batch_idx: int) -> None:
        self._read(batch)

    def predict_step(
        self, batch: Texts, batch_idx: int
    ) -> list[tuple[int, str, str, dict[str, float]]]:
        """Row number, text, label and the probability of every label."""
        with warnings_of_rows(batch.numbers):
            found = self.classifier(batch.texts)
        return [
            (row, text, each.label, each.probabilities)
            for row, text, each in zip(batch.rows, batch.texts, found)
        ]

    def on_validation_epoch_end(self) -> None:
        rows, logits, targets = self._gathered()
        if self.trainer.state.fn == "fit":
            self._end("val", rows, logits, targets, temperature=1.0)
            if not self.trainer.sanity_checking:
                self.temperature = best_temperature(logits, targets)
        else:
            self._end("val", rows, logits, targets, temperature=self.temperature)

    def on_test_epoch_end(self) -> None:
        self._end("test", *self._gathered(), temperature=self.temperature)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["temperature"] = self.temperature

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        self.temperature = checkpoint["temperature"]

    def _unfreeze(self) -> None:
        """Let the upper layers learn, more of them with every epoch that is due."""
        if not self.unfreeze_every:
            return
        learning = 1 + self.current_epoch // self.unfreeze_every
        for number, group in enumerate(self.optimizers().param_groups):  # type: ignore[union-attr]
            for parameter in group["params"]:
                parameter.requires_grad_(number < learning)

    def _depths(self) -> list[nn.ModuleList]:
        """The parts of the network from the top down; every parameter is in one of them."""
        readers = self.network.readers
        head: list[nn.Module] = [self.network.head, *(reader.pooling for reader in readers)]
        depths = [nn.ModuleList(head)]
        for number in reversed(range(len(readers[0].encoder.layers))):
            layers = [
                part[number]
                for reader in readers
                for part in (reader.encoder.layers, reader.encoder.norms)
            ]
            depths.append(nn.ModuleList(layers))
        inputs = [
            part
            for reader in readers
            for part in (reader.encoder.embedding, reader.characters, reader.convolution)
            if part is not None
        ]
        return [*depths, nn.ModuleList(inputs)]

    def _copy(self, path: str, *, backward: bool) -> None:
        checkpoint = open_checkpoint(path, task="language_model")
        if checkpoint["LanguageModelData"]["vocabulary"] != self.data.vocabulary.to_bytes():
            raise InputError(
                f"{path} has another vocabulary than {self.pretrained}: train both on the same text"
            )
        with unreadable(path, "language model"):
            source = build_network(LanguageModel, checkpoint, "cpu")
        copy_language_model(source, self.network, path=path, backward=backward)

    def _copy_vectors(self, name: str) -> None:
        vocabulary = self.data.vocabulary
        words = vocabulary.pieces(range(vocabulary.vocab_size))
        known = load_vectors(name, words)
        numbers = {word: number for number, word in enumerate(words)}
        for reader in self.network.readers:
            embedding = reader.encoder.embedding
            if known.vectors.size(1) != embedding.embedding_dim:
                raise InputError(
                    f"{name} has vectors of {known.vectors.size(1)} numbers, but "
                    f"network.embedding_size is {embedding.embedding_dim}: make them the same"
                )
            with torch.no_grad():
                embedding.weight[[numbers[word] for word in known.words]] = known.vectors
        rank_zero_info(f"vectors for {len(known.words)} of {len(words)} words from {name}")

    def _read(self, batch: Texts) -> None:
        assert batch.targets is not None
        with warnings_of_rows(batch.numbers):
            logits = self.classifier.logits(batch.texts)
        self._seen.append((batch.rows, logits, batch.targets.cpu()))

    def _gathered(self) -> tuple[list[int], Tensor, Tensor]:
        """Row numbers, logits and targets of all processes, in the order of the data."""
        seen = self.of_all_ranks(self._seen)
        self._seen = []
        chosen, logits, targets = zip(*seen)
        rows = torch.tensor(sum(chosen, []))
        order = rows.argsort()
        return rows[order].tolist(), torch.cat(logits)[order], torch.cat(targets)[order]

    def _end(
        self, prefix: str, rows: list[int], logits: Tensor, targets: Tensor, *, temperature: float
    ) -> None:
        scores = label_scores(logits / temperature, targets)
        self.evaluation = Evaluation(rows, logits, targets, scores)
        for name in ("loss", "accuracy", "macro_f1", "macro_recall", "calibration_error"):
            self.log(f"{prefix}_{name}", getattr(scores, name), prog_bar=name == "accuracy")
        if self.trainer.state.fn == "fit" and not self.trainer.sanity_checking:
            rank_zero_info(
                f"epoch {self.current_epoch}: validation accuracy {100 * scores.accuracy:.2f}%, "
                f"macro F1 {100 * scores.macro_f1:.2f}, loss {scores.loss:.4f}"
            )
