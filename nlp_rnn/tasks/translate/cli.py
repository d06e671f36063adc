"""The command line of translation: tables at the end, files from predict."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nlp_rnn.callbacks import AttentionMaps
from nlp_rnn.cli.bleu import print_scores
from nlp_rnn.data.lines import one_line
from nlp_rnn.errors import InputError
from nlp_rnn.inference import BeamSearch, Translator
from nlp_rnn.metrics import translation_scores
from nlp_rnn.models.seq2seq import Seq2Seq
from nlp_rnn.tasks.cli import TaskCLI
from nlp_rnn.tasks.translate.data import TranslationData
from nlp_rnn.tasks.translate.task import TranslationTask

__all__ = ["TranslateCLI"]


class TranslateCLI(TaskCLI):
    """``fit``, ``validate``, ``test`` and ``predict`` for translation.

    Args:
        args: the command line; `sys.argv` if None.
    """

    model: TranslationTask
    datamodule: TranslationData

    def __init__(self, args: Sequence[str] | None = None) -> None:
        super().__init__(
            task=TranslationTask,
            data=TranslationData,
            network=Seq2Seq,
            links=("vocab_size", "target_vocab_size"),
            example=Path(__file__).with_name("phrasebook.yaml"),
            trainer_defaults={
                "max_epochs": 30,
                "gradient_clip_val": 1.0,
                "log_every_n_steps": 20,
            },
            monitor="val_bleu",
            mode="max",
            callbacks=[AttentionMaps()],
            args=args,
        )

    def add_options(self, subcommand: str, parser: LightningArgumentParser) -> None:
        if subcommand == "predict":
            parser.add_argument(
                "--output",
                default="translations.txt",
                help="new file, a line per row in order; .jsonl adds the source and the score",
            )

    def show(self, best: str) -> None:
        rows = self.datamodule.split("validation")
        device = self.trainer.strategy.root_device
        translator = Translator.from_checkpoint(best, device=device)
        found = [
            each[0].text for each in translator.translate(rows["source"][:], self.model.search)
        ]
        language = self.datamodule.target_language
        scores = translation_scores(found, rows["target"][:], language=language)
        how = f"{len(found)} sentences, {_name_of(self.model.search)}"
        print_scores(scores, f"Validation of the best checkpoint, {how}")
        step = max(1, len(found) // 5)
        table = Table(title="Validation sentences", show_lines=True)
        for title in ("source", "translation", "reference"):
            table.add_column(title, overflow="fold")
        for index in range(0, min(len(found), 5 * step), step):
            texts = (rows[index]["source"], found[index], rows[index]["target"])
            table.add_row(*map(escape, texts))
        Console().print(table)

    def predict(self, **kwargs: Any) -> None:
        """Write a translation per row of the test split, in order."""
        if self.model.search.nbest > 1:
            raise InputError(
                f"--model.search.nbest {self.model.search.nbest}: predict writes one translation a "
                "row; nlp-rnn translate --nbest writes several"
            )
        output = self.new_output()
        predictions = self.model.of_all_ranks(self.predicted(**kwargs))
        if self.trainer.is_global_zero:
            write_predictions(
                output, sorted(set(predictions)), self.datamodule.split("test")["source"][:]
            )

    @rank_zero_only
    def report(self, split: str) -> None:
        data = self.datamodule
        search = self.model.validation_search if split == "validation" else self.model.search
        title = f"{self.scored(split)}, {data.source} to {data.target}, {_name_of(search)}"
        print_scores(self.model.scores, title)


def _name_of(search: BeamSearch) -> str:
    if search.beam_size == 1:
        return "greedy"
    return f"beam {search.beam_size}, length penalty {search.length_penalty:g}"


def write_predictions(
    output: Path, predictions: Sequence[tuple[int, str, float]], sources: Sequence[str]
) -> None:
    """Text, a line per row; or with ``.jsonl`` source, translation and score."""
    with output.open("w", encoding="utf-8") as file:
        for row, text, score in predictions:
            line = one_line(text)
            if output.suffix == ".jsonl":
                record = {"source": sources[row], "translation": text, "score": score}
                line = json.dumps(record, ensure_ascii=False)
            file.write(f"{line}\n")
    Console().print(
        f"{len(predictions)} translations written to {output}", highlight=False, markup=False
    )
