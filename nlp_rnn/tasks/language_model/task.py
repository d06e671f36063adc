"""Language modelling: the loss over windows of a text, with the state carried between them.

N streams, T steps of a window, E width, L layers, H hidden.
"""

from typing import Any, Literal

import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from nlp_rnn.data.streams import Window
from nlp_rnn.data.tokenizer import PAD
from nlp_rnn.errors import InputError, require
from nlp_rnn.evaluation import DynamicEvaluation, NeuralCache, Reader, head_autocast
from nlp_rnn.inference import TextGenerator
from nlp_rnn.models.language_model import LanguageModel
from nlp_rnn.modules.rnn import State
from nlp_rnn.perplexity import perplexities
from nlp_rnn.tasks.base import Task, warn_of_slow_bf16
from nlp_rnn.tasks.language_model.data import LanguageModelData
from nlp_rnn.tasks.optimization import Optimization

__all__ = ["LanguageModelTask"]


class LanguageModelTask(Task):
    """Trains a `LanguageModel` by truncated backpropagation through time.

    A window is an ordinary batch to Lightning, so clipping, accumulation and precision work as
    always: every window counts alike, however long. The state goes on from one to the next, without
    its gradient. It is part of the checkpoint: a run that is resumed in the middle of an epoch
    equals one that was not stopped.

    Args:
        network: the language model.
        optimization: how it is updated.
        activation_regularization: alpha of AR, the mean square of the outputs (Merity et al. 2017).
        temporal_regularization: beta of TAR, the mean square of their steps.
        head_precision: of the softmax alone, where most of the arithmetic is: that of the trainer,
            or ``bf16``, which is fast on a CPU that has the instructions, while its fp32 LSTM
            kernel remains in use; of fit, validate and test, not of predict.
        softmax_sample: a training step chooses among the words of its batch and this many others,
            drawn anew, instead of the whole vocabulary, see `Softmax`, which makes ``train_loss``
            a little low; 0 takes it whole.
        cache: of validate and test alone, see `NeuralCache`.
        dynamic: of validate and test alone, see `DynamicEvaluation`.

    Raises:
        InputError: a negative weight of AR or TAR, or a negative sample, or one of an adaptive
            softmax.
    """

    name = "language_model"
    network: LanguageModel

    def __init__(
        self,
        network: LanguageModel,
        *,
        optimization: Optimization = Optimization(),
        activation_regularization: float = 0.0,
        temporal_regularization: float = 0.0,
        head_precision: Literal["trainer", "bf16"] = "trainer",
        softmax_sample: int = 0,
        cache: NeuralCache = NeuralCache(),
        dynamic: DynamicEvaluation = DynamicEvaluation(),
    ) -> None:
        super().__init__(network, optimization=optimization)
        for name, weight in (
            ("activation_regularization", activation_regularization),
            ("temporal_regularization", temporal_regularization),
        ):
            require(weight >= 0, f"{name} {weight}", "0 or more")
        self.activation_regularization = activation_regularization
        self.temporal_regularization = temporal_regularization
        require(softmax_sample >= 0, f"softmax_sample {softmax_sample}", "0 or more")
        if softmax_sample and network.arguments["adaptive_cutoffs"]:
            raise InputError(
                "an adaptive softmax leaves most words out by itself: leave out softmax_sample or "
                "adaptive_cutoffs"
            )
        self.bf16_head = head_precision == "bf16"
        self.softmax_sample = softmax_sample
        self.cache = cache
        self.dynamic = dynamic
        self.results: dict[str, float] = {}
        self._state: State = ()
        self._reader: Reader | None = None
        self._nats = 0.0
        self._tokens = 0

    @property
    def data(self) -> LanguageModelData:
        """The data module of the running trainer."""
        return self.trainer.datamodule  # type: ignore[attr-defined]

    @property
    def softmax_precision(self) -> str:
        """What logits are computed in, for people."""
        return "bf16" if self.bf16_head else str(self.trainer.precision)

    @property
    def generator(self) -> TextGenerator:
        """The public generator, with the present weights."""
        return TextGenerator(
            self.network,
            self.data.vocabulary,
            direction=self.data.direction,
            precision=self.serving_precision,
        )

    def setup(self, stage: str) -> None:
        """Warn of a softmax that this CPU would compute at a crawl.

        Raises:
            InputError: an adaptive softmax over pieces that are not sorted by frequency, or
                dynamic evaluation in several processes, each of which would learn for itself.
        """
        super().setup(stage)
        new = stage == "fit" and not self.trainer.ckpt_path
        if new and self.network.arguments["adaptive_cutoffs"]:
            self.data.check_sorted()
        if stage != "fit" and self.dynamic.learning_rate and self.trainer.world_size > 1:
            raise InputError(
                "dynamic evaluation learns from one text in its order: --trainer.devices 1"
            )
        if self.bf16_head:
            option = "--model.head_precision"
            warn_of_slow_bf16(self.trainer, f"the softmax ({option} bf16)", f"{option} trainer")

    def on_fit_start(self) -> None:
        sample = self.softmax_sample
        among = f", among the batch's words and {sample} others" if sample else ""
        rank_zero_info(f"softmax in {self.softmax_precision}{among}")

    def training_step(self, batch: Window, batch_idx: int) -> Tensor:
        if batch.first:
            self._state = self.network.zero_state(batch.inputs.size(0))
        reading, state = self.network(batch.inputs, self._state)
        self._state = tuple(part.detach() for part in state)
        outputs, dropped, _ = reading
        with head_autocast(outputs, self.bf16_head):
            nats = self.network.nats(reading, batch.following, sample=self.softmax_sample)
        tokens = (batch.following != PAD).sum()
        loss = self.mean_over_ranks(nats.sum(), tokens)
        self.log("train_loss", loss.detach(), prog_bar=True, batch_size=int(tokens))
        if self.activation_regularization:
            loss = loss + self.activation_regularization * dropped.float().square().mean()
        if self.temporal_regularization and outputs.size(1) > 1:
            loss = loss + self.temporal_regularization * outputs.float().diff(dim=1).square().mean()
        return loss

    def on_train_start(self) -> None:
        super().on_train_start()
        # A checkpoint is read before the network goes to its device. Autocast may leave a state in
        # bf16, which a training without it cannot go on from.
        dtype = torch.float32 if self.trainer.precision == "32-true" else None
        self._state = tuple(
            part.to(self.device, dtype if part.is_floating_point() else None)
            for part in self._state
        )

    def on_validation_epoch_start(self) -> None:
        if self.trainer.state.fn == "fit":
            self._begin(NeuralCache(), DynamicEvaluation())
        else:
            self._begin(self.cache, self.dynamic)

    def validation_step(self, batch: Window, batch_idx: int) -> None:
        self._read(batch)

    def on_validation_epoch_end(self) -> None:
        self._end("val", "validation")

    def on_test_epoch_start(self) -> None:
        self._begin(self.cache, self.dynamic)

    def test_step(self, batch: Window, batch_idx: int) -> None:
        self._read(batch)

    def on_test_epoch_end(self) -> None:
        self._end("test", "test")

    def predict_step(self, batch: list[str], batch_idx: int) -> list[float]:
        """Natural log-probability of every text, read alone, its end mark included."""
        return [sum(each) for each in self.generator.log_probs(batch)]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        checkpoint["carried_state"] = [self._gathered(part) for part in self._state]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        rank, world_size = self.trainer.global_rank, self.trainer.world_size
        self._state = tuple(part[rank::world_size] for part in checkpoint["carried_state"])

    def _gathered(self, part: Tensor) -> Tensor:
        """The state of all streams, in their order, on every rank."""
        world_size = self.trainer.world_size
        if world_size == 1:
            return part.clone()  # of a view, all that it is a view of would be saved
        size = torch.tensor(part.size(0), device=part.device)
        most = int(self.trainer.strategy.all_gather(size).max())
        padding = part.new_zeros(most - part.size(0), *part.shape[1:])
        everywhere = self.trainer.strategy.all_gather(torch.cat([part, padding]))  # (ranks, N, ...)
        return everywhere.transpose(0, 1).flatten(0, 1)[: self.data.batch_size].contiguous()

    def _begin(self, cache: NeuralCache, dynamic: DynamicEvaluation) -> None:
        self._reader = Reader(self.network, cache=cache, dynamic=dynamic, bf16_head=self.bf16_head)
        self._nats = 0.0
        self._tokens = 0

    def _read(self, batch: Window) -> None:
        assert self._reader is not None
        self._nats += self._reader(batch).cpu().double().sum().item()  # some devices know no double
        self._tokens += int((batch.following != PAD).sum())

    def _end(self, prefix: str, split: str) -> None:
        assert self._reader is not None
        self._reader.restore()
        self._reader = None
        nats, tokens = map(sum, zip(*self.of_all_ranks([(self._nats, self._tokens)])))
        # Where a limit leaves part of the text unread, its words are taken to be like the others.
        whole = self.data.tokens(split)
        self.results = perplexities(nats / tokens * whole, whole, self.data.size(split))
        self.log(f"{prefix}_loss", nats / tokens, prog_bar=True)
        for name, value in self.results.items():
            self.log(f"{prefix}_{name}", value)
        if self.trainer.state.fn == "fit" and not self.trainer.sanity_checking:
            rank_zero_info(
                f"epoch {self.current_epoch}: validation perplexity "
                f"{self.results['token_perplexity']:.2f} a token, "
                f"{self.results['word_perplexity']:.2f} a word, "
                f"{self.results['bits_per_character']:.3f} bits per character"
            )
