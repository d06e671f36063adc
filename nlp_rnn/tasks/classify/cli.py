"""The command line of classification: figures, a confusion matrix and a few texts at the end."""

import re
import sys
import warnings
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from jsonargparse.typing import NonNegativeInt
from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from torch import Tensor

from nlp_rnn.checkpoint import open_checkpoint
from nlp_rnn.cli.common import new_path
from nlp_rnn.errors import InputError, TruncationWarning
from nlp_rnn.explain.fonts import save_figure
from nlp_rnn.explain.labels import MOST_LABELS, confusion_figure, reliability_figure
from nlp_rnn.inference import TextClassifier
from nlp_rnn.inference.classification import label_line
from nlp_rnn.label_metrics import label_nats, label_scores
from nlp_rnn.models.classifier import Classifier
from nlp_rnn.models.transfer import SHARED_ARGUMENTS
from nlp_rnn.tasks.base import warnings_of_rows
from nlp_rnn.tasks.classify.data import ClassificationData
from nlp_rnn.tasks.classify.task import ClassificationTask, Evaluation
from nlp_rnn.tasks.cli import TaskCLI, has_option, without_printing

__all__ = ["ClassifyCLI"]

_NEGATION = re.compile(r"\b(not|no|never|nothing|hardly|\w*n['’]t)\b", re.IGNORECASE)


class ClassifyCLI(TaskCLI):
    """``fit``, ``validate``, ``test`` and ``predict`` for classification.

    With ``--model.pretrained`` the network's sizes are those of the language model.

    Args:
        args: the command line; `sys.argv` if None.
    """

    model: ClassificationTask
    datamodule: ClassificationData

    def __init__(self, args: Sequence[str] | None = None) -> None:
        given = sys.argv[1:] if args is None else args
        starts = has_option(given, "--model.pretrained")
        super().__init__(
            task=ClassificationTask,
            data=ClassificationData,
            network=Classifier,
            links=("labels", "multi_label", "vocab_size"),
            example=Path(__file__).with_name("transfer.yaml" if starts else "opinions.yaml"),
            trainer_defaults={
                "max_epochs": 10,
                "gradient_clip_val": 1.0,
                "log_every_n_steps": 20,
            },
            monitor="val_accuracy",
            mode="max",
            args=args,
        )

    def add_arguments_to_parser(self, parser: Any) -> None:
        super().add_arguments_to_parser(parser)
        parser.link_arguments("model.pretrained", "data.pretrained")

    def add_options(self, subcommand: str, parser: LightningArgumentParser) -> None:
        if subcommand == "predict":
            parser.add_argument(
                "--output",
                default="labels.tsv",
                help="new file, a line per row in order: label, then the probability of every "
                "label; .jsonl adds the text",
            )
        if subcommand == "test":
            parser.add_argument(
                "--plots",
                default=None,
                help="new folder for pictures of the confusion matrix and of the reliability",
            )
            parser.add_argument(
                "--top_losses",
                type=NonNegativeInt,
                default=0,
                help="show this many of the texts that cost most",
            )

    def parse_arguments(self, parser: Any, args: Any) -> None:
        """Parse; the sizes of a language model to start from are defaults of the network's."""
        given = parser.parse_args(without_printing(args), defaults=True)
        section = given[given.subcommand]
        path = section.model.pretrained
        if given.subcommand == "fit" and path and not section.get("ckpt_path"):
            arguments = open_checkpoint(path, task="language_model")["hyper_parameters"]
            directions = "apart" if section.model.pretrained_backward else "forward"
            self._subcommand_parsers["fit"].set_defaults(
                {
                    **{f"network.{name}": arguments[name] for name in SHARED_ARGUMENTS},
                    "network.directions": directions,
                }
            )
        super().parse_arguments(parser, args)
        if self.config.subcommand == "fit" and self.config.fit.get("ckpt_path"):
            # What training started from once is in the checkpoint, and may be gone since.
            model = self.config.fit.model
            model.pretrained = model.pretrained_backward = model.vectors = None
            self.config.fit.data.pretrained = None

    def before_fit(self) -> None:
        """See now, not once vocabulary and baseline are trained, what training starts from."""
        super().before_fit()
        self.model.check_start(self.datamodule)

    def show(self, best: str) -> None:
        device = self.trainer.strategy.root_device
        classifier = TextClassifier.from_checkpoint(best, device=device)
        texts = self.datamodule.labelled("validation")["text"][:]
        targets = self.datamodule.targets("validation")
        with warnings_of_rows(self.datamodule.labelled("validation")["row"][:]):
            logits = classifier.logits(texts)
        scores = label_scores(logits / classifier.temperature, targets)
        seen = Evaluation(list(range(len(texts))), logits, targets, scores)
        self._print("Validation of the best checkpoint", "validation", seen)
        self._print_examples(classifier, texts, targets)
        folder = Path(best).parent
        if folder.name == "checkpoints":  # of a log folder, and no folder of the user's
            folder = folder.parent
        _draw(folder, seen, classifier.labels, classifier.temperature)

    def test(self, **kwargs: Any) -> None:
        plots = self.config.test.plots
        folder = new_path(Path(plots), "--plots") if plots else None
        super().test(**kwargs)
        evaluation = self.model.evaluation
        if evaluation is None or not self.trainer.is_global_zero:
            return
        if self.config.test.top_losses:
            self._print_top_losses(evaluation, self.config.test.top_losses)
        if folder:
            _draw(folder, evaluation, self.datamodule.labels.names, self.model.temperature)

    def predict(self, **kwargs: Any) -> None:
        """Write label and probabilities of every row of the test split, in order."""
        output = self.new_output()
        if self.trainer.world_size > 1:
            raise InputError("predict keeps the order in one process: --trainer.devices 1")
        found = sorted(self.predicted(**kwargs), key=itemgetter(0))
        with output.open("w", encoding="utf-8") as file:
            for _, text, label, probs in found:
                whole = text if output.suffix == ".jsonl" else None
                file.write(f"{label_line(label, probs, text=whole)}\n")
        Console().print(f"{len(found)} labels written to {output}", highlight=False, markup=False)

    @rank_zero_only
    def report(self, split: str) -> None:
        data, evaluation = self.datamodule, self.model.evaluation
        assert evaluation is not None
        data.warn_of_empty_texts(split)
        data.warn_of_known_texts(split)
        self._print(self.scored(split), split, evaluation)
        raw = label_scores(evaluation.logits, evaluation.targets)
        Console().print(
            f"temperature {self.model.temperature:.2f}, chosen on validation: calibration error "
            f"{100 * raw.calibration_error:.1f}% before, "
            f"{100 * evaluation.scores.calibration_error:.1f}% after; the baseline has none",
            highlight=False,
        )

    def _print(self, title: str, split: str, evaluation: Evaluation) -> None:
        """Figures beside those of the baseline, and what was taken for what."""
        scores, texts = evaluation.scores, self._texts(split, evaluation)
        with Console().status("scoring TF-IDF + logistic regression"):  # half a minute on IMDB
            baseline = label_scores(self.datamodule.baseline.scores(texts), evaluation.targets)
        table = Table(title=escape(f"{title}, {len(texts)} texts"))
        for name in ("", "classifier", "TF-IDF + logistic regression"):
            table.add_column(name, justify="right" if name else "left")
        for name, heading in (
            ("accuracy", "accuracy, %"),
            ("macro_f1", "macro F1, %"),
            ("macro_recall", "macro recall, %"),
            ("calibration_error", "calibration error, %"),
        ):
            values = [f"{100 * getattr(each, name):.2f}" for each in (scores, baseline)]
            table.add_row(heading, *values)
        Console().print(table)
        labels = self.datamodule.labels.names
        if scores.confusion is not None and len(labels) <= MOST_LABELS:
            table = Table(title="true label (down), predicted label (right)")
            for name in ("", *labels):
                table.add_column(escape(name), justify="right" if name else "left")
            for label, row in zip(labels, scores.confusion.tolist()):
                table.add_row(escape(label), *map(str, row))
            Console().print(table)

    def _print_examples(
        self, classifier: TextClassifier, texts: Sequence[str], targets: Tensor
    ) -> None:
        """A few texts over the length of the split, those with a negation first."""
        negated = [row for row, text in enumerate(texts) if _NEGATION.search(text)]
        other = sorted({*range(len(texts))} - {*negated})
        chosen = [
            row
            for rows, count in ((negated, 4), (other, 3))
            for row in rows[:: max(1, len(rows) // count)][:count]
        ]
        table = Table(title="Validation texts")
        for name in ("text", "label", "predicted", "probability"):
            table.add_column(name, overflow="fold")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TruncationWarning)  # said of the whole split before
            found = classifier([texts[row] for row in chosen])
        for row, each in zip(chosen, found):
            name, predicted = self._name(targets[row]), escape(each.label)
            table.add_row(_shown(texts[row]), name, predicted, f"{each.probability:.2f}")
        Console().print(table)

    def _print_top_losses(self, evaluation: Evaluation, count: int) -> None:
        scores, targets = evaluation.logits / self.model.temperature, evaluation.targets
        cost = label_nats(scores, targets)
        texts = self._texts("test", evaluation)
        numbers = self.datamodule.labelled("test")["row"][:]
        table = Table(title=f"The {min(count, len(texts))} texts that cost most")
        for name in ("row", "text", "label", "predicted", "nats"):
            table.add_column(name, overflow="fold")
        for row in cost.argsort(descending=True)[:count].tolist():
            predicted = scores[row] > 0 if targets.dim() == 2 else scores[row].argmax()
            table.add_row(
                str(numbers[evaluation.rows[row]] + 1),
                _shown(texts[row]),
                self._name(targets[row]),
                self._name(predicted),
                f"{cost[row]:.2f}",
            )
        Console().print(table)

    def _texts(self, split: str, evaluation: Evaluation) -> list[str]:
        """The texts that were evaluated."""
        texts = self.datamodule.labelled(split)["text"][:]
        return [texts[row] for row in evaluation.rows]

    def _name(self, target: Tensor) -> str:
        names = self.datamodule.labels.names
        chosen = target.nonzero().flatten().tolist() if target.dim() else [int(target)]
        return escape("|".join(names[number] for number in chosen))


def _shown(text: str) -> str:
    """The beginning of a text, for a table."""
    return escape(text if len(text) <= 300 else f"{text[:300]} ...")


def _draw(folder: Path, evaluation: Evaluation, labels: Sequence[str], temperature: float) -> None:
    """Write the pictures of an evaluation, and say where; there are none of several labels."""
    if evaluation.scores.confusion is None:
        Console().print("no pictures: texts have several labels at once", highlight=False)
        return
    folder.mkdir(exist_ok=True)
    confusion = confusion_figure(evaluation.scores.confusion, labels)
    save_figure(confusion, folder / "confusion.png", dpi=150)
    probs, predicted = (evaluation.logits / temperature).softmax(1).max(1)
    reliability = reliability_figure(probs, predicted == evaluation.targets)
    save_figure(reliability, folder / "reliability.png", dpi=150)
    Console().print(f"pictures: {folder}/*.png", soft_wrap=True, highlight=False, markup=False)
