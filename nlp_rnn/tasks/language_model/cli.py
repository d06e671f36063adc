"""The command line of language modelling: perplexities and a paragraph at the end."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nlp_rnn.callbacks.best_checkpoint import best_checkpoint
from nlp_rnn.data.words import WordVocabulary
from nlp_rnn.errors import InputError
from nlp_rnn.inference import TextGenerator, TextSampling
from nlp_rnn.models.language_model import LanguageModel
from nlp_rnn.tasks.cli import TaskCLI
from nlp_rnn.tasks.language_model.data import LanguageModelData
from nlp_rnn.tasks.language_model.task import LanguageModelTask

__all__ = ["LanguageModelCLI"]

TITLES = {
    "token_perplexity": "perplexity a token",
    "word_perplexity": "perplexity a word",
    "bits_per_character": "bits per character",
    "bits_per_byte": "bits per byte",
}


class LanguageModelCLI(TaskCLI):
    """``fit``, ``validate``, ``test`` and ``predict`` for language modelling.

    Args:
        args: the command line; `sys.argv` if None.
    """

    model: LanguageModelTask
    datamodule: LanguageModelData

    def __init__(self, args: Sequence[str] | None = None) -> None:
        super().__init__(
            task=LanguageModelTask,
            data=LanguageModelData,
            network=LanguageModel,
            links=("vocab_size",),
            example=Path(__file__).with_name("topics.yaml"),
            trainer_defaults={
                "max_epochs": 40,
                "gradient_clip_val": 0.25,
                "log_every_n_steps": 50,
            },
            monitor="val_loss",
            mode="min",
            args=args,
        )

    def add_options(self, subcommand: str, parser: LightningArgumentParser) -> None:
        if subcommand == "predict":
            parser.add_argument(
                "--output",
                default="log_probs.txt",
                help="new file: a natural log-probability for each unit of the test split, in "
                "order",
            )

    def show(self, best: str) -> None:
        callback: Any = best_checkpoint(self.trainer)
        generator = TextGenerator.from_checkpoint(best)
        console = Console()
        console.rule("a paragraph by the best checkpoint")
        console.print(generator("", TextSampling(min_tokens=100)), markup=False, highlight=False)
        console.rule()
        if callback.monitor == self.monitor:
            perplexity = math.exp(min(float(callback.best_model_score), 700.0))
            console.print(f"best validation perplexity: {perplexity:.2f} a token", highlight=False)
        elif callback.monitor:
            best_score = f"best {callback.monitor}: {float(callback.best_model_score):.4g}"
            console.print(best_score, highlight=False)

    def predict(self, **kwargs: Any) -> None:
        """Write the log-probability of every unit of the test split, in order."""
        output = self.new_output()
        if self.trainer.world_size > 1:
            raise InputError("predict keeps the order in one process: --trainer.devices 1")
        values = self.predicted(**kwargs)
        output.write_text("".join(f"{value:.4f}\n" for value in values), encoding="utf-8")
        data = self.datamodule
        Console().print(
            f"{len(values)} log-probabilities written to {output}; {data.unknown('test'):,} of "
            f"{data.tokens('test'):,} tokens unknown to the model",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )

    @rank_zero_only
    def report(self, split: str) -> None:
        data, model = self.datamodule, self.model
        table = Table(title=escape(self.scored(split)))
        table.add_column("metric")
        table.add_column("value", justify="right")
        for name, value in model.results.items():
            table.add_row(
                TITLES[name], f"{value:.3f}" if name.startswith("bits") else f"{value:.2f}"
            )
        Console().print(table)
        units = "words" if isinstance(data.vocabulary, WordVocabulary) else "subwords"
        settings = [
            f"streams of text, state carried: {data.eval_batch_size}",
            f"vocabulary of {data.vocabulary.vocab_size:,} {units}, "
            f"{data.unknown(split):,} of {data.tokens(split):,} tokens unknown to it",
            f"softmax in {model.softmax_precision}",
        ]
        cache, dynamic = model.cache, model.dynamic
        if cache.size:
            settings.append(
                f"neural cache of {cache.size:,} steps, flatness {cache.flatness:g}, "
                f"share {cache.share:g}"
            )
        if dynamic.learning_rate:
            settings.append(
                f"dynamic evaluation at learning rate {dynamic.learning_rate:g}, decay "
                f"{dynamic.decay:g}, clip {dynamic.clip:g}, in windows of {data.eval_window}"
            )
        Console().print("; ".join(settings), highlight=False, soft_wrap=True)
