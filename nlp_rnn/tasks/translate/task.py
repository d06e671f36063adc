"""Translation: the loss, and scores of what the public `Translator` writes.

N batch, S source length, T target length.
"""

from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from nlp_rnn.data.batching import real_positions
from nlp_rnn.data.tokenizer import PAD
from nlp_rnn.errors import require
from nlp_rnn.inference import BeamSearch, Translator
from nlp_rnn.metrics import Score, translation_scores
from nlp_rnn.models.seq2seq import Seq2Seq
from nlp_rnn.modules.cross_entropy import cross_entropy
from nlp_rnn.tasks.base import Task, warnings_of_rows
from nlp_rnn.tasks.optimization import Optimization
from nlp_rnn.tasks.translate.data import Batch, TranslationData

__all__ = ["TranslationTask"]


class TranslationTask(Task):
    """Trains a `Seq2Seq` on label-smoothed cross-entropy and scores its translations.

    Args:
        network: the translator's network.
        optimization: how it is updated.
        label_smoothing: share of the probability spread over the vocabulary (Szegedy et al. 2016).
        softmax_sample: a training step chooses among the words of its batch and this many others,
            drawn anew, instead of the whole vocabulary, see `Softmax`, which makes ``train_loss``
            a little low; 0 takes it whole.
        validation_search: how validation decodes, alone and in training; greedy by default.
        search: how test and predict decode, and fit at its end.

    Raises:
        InputError: a label smoothing that is no share, or a negative sample.
    """

    name = "translate"
    network: Seq2Seq

    def __init__(
        self,
        network: Seq2Seq,
        *,
        optimization: Optimization = Optimization(),
        label_smoothing: float = 0.1,
        softmax_sample: int = 0,
        validation_search: BeamSearch = BeamSearch(beam_size=1),
        search: BeamSearch = BeamSearch(),
    ) -> None:
        super().__init__(network, optimization=optimization)
        require(0 <= label_smoothing < 1, f"label_smoothing {label_smoothing}", "0 to below 1")
        require(softmax_sample >= 0, f"softmax_sample {softmax_sample}", "0 or more")
        self.label_smoothing = label_smoothing
        self.softmax_sample = softmax_sample
        self.validation_search = validation_search
        self.search = search
        self.scores: list[Score] = []
        self._written: list[tuple[int, str, str]] = []

    @property
    def data(self) -> TranslationData:
        """The data module of the running trainer."""
        return self.trainer.datamodule  # type: ignore[attr-defined]

    @property
    def translator(self) -> Translator:
        """The public translator, with the present weights."""
        return Translator(
            [self.network],
            self.data.source_tokenizer,
            self.data.target_tokenizer,
            precision=self.serving_precision,
        )

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        loss, tokens = self._loss(batch, self.label_smoothing, self.softmax_sample)
        self.log("train_loss", loss.detach() / tokens, prog_bar=True, batch_size=int(tokens))
        return self.mean_over_ranks(loss, tokens)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        loss, tokens = self._loss(batch, label_smoothing=0.0, sample=0)
        self.log("val_loss", loss / tokens, batch_size=int(tokens), sync_dist=True)
        self._write(batch, self.validation_search)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._write(batch, self.search)

    def predict_step(self, batch: Batch, batch_idx: int) -> list[tuple[int, str, float]]:
        """Row number, translation and score of every row of the batch."""
        with warnings_of_rows(batch.rows):
            found = self.translator.translate(batch.sources, self.search)
        return [(row, best.text, best.score) for row, (best, *_) in zip(batch.rows, found)]

    def on_validation_epoch_end(self) -> None:
        self._log_scores("val")

    def on_test_epoch_end(self) -> None:
        self._log_scores("test")

    def _loss(self, batch: Batch, label_smoothing: float, sample: int) -> tuple[Tensor, Tensor]:
        """Summed cross-entropy, and over how many target tokens."""
        outputs, _ = self.network(batch.source, batch.lengths, batch.target[:, :-1])
        following = batch.target[:, 1:]
        # Padding is left out before the projection, which is the largest product of all.
        real = real_positions(following)
        outputs, targets = outputs.flatten(0, 1)[real], following.flatten()[real]
        decoder = self.network.decoder
        if sample:
            nats = decoder.sampled_negative_log_likelihood(
                outputs, targets, sample, label_smoothing=label_smoothing
            )
        else:
            logits = decoder.project(outputs)
            nats = cross_entropy(logits, targets, label_smoothing=label_smoothing)
        counted = targets != PAD
        return nats[counted].sum(), counted.sum()

    def _write(self, batch: Batch, search: BeamSearch) -> None:
        with warnings_of_rows(batch.rows):
            found = self.translator.translate(batch.sources, search)
        self._written += [
            (row, best.text, reference)
            for row, (best, *_), reference in zip(batch.rows, found, batch.references)
        ]

    def _log_scores(self, split: str) -> None:
        written = self.of_all_ranks(self._written)
        self._written = []
        rows = {row: (text, reference) for row, text, reference in written}
        hypotheses, references = zip(*(rows[row] for row in sorted(rows)))
        self.scores = translation_scores(hypotheses, references, language=self.data.target_language)
        for score in self.scores:
            self.log(f"{split}_{score.name}", score.value, prog_bar=score.name == "bleu")
        exact = sum(hyp == ref for hyp, ref in zip(hypotheses, references)) / len(references)
        self.log(f"{split}_exact", 100 * exact)
        if self.trainer.state.fn == "fit" and not self.trainer.sanity_checking:
            seen = {score.name: score.value for score in self.scores}
            rank_zero_info(
                f"epoch {self.current_epoch}: validation BLEU {seen['bleu']:.2f}, "
                f"chrF {seen['chrf']:.2f}, exact {100 * exact:.1f}%"
            )
