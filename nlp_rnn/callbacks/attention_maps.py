"""Pictures of what a translator looks at, a few at each validation."""

import warnings
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_info

from nlp_rnn.errors import TruncationWarning
from nlp_rnn.explain.heatmap import attention_figure

__all__ = ["AttentionMaps"]

LARGEST = 2000.0
"""Pixels a side: TensorBoard's writer copies a picture several times, as float32 numbers."""


class AttentionMaps(Callback):
    """Draws the attention of the longest validation sentences to TensorBoard.

    Drawn while validation runs, so that averaged weights are those in use.

    Args:
        count: how many sentences.
    """

    def __init__(self, count: int = 3) -> None:
        self.count = count
        self._warned = False

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        boards = [each for each in trainer.loggers if isinstance(each, TensorBoardLogger)]
        if batch_idx > 0 or trainer.sanity_checking or not boards or not trainer.is_global_zero:
            return
        translator: Any = pl_module.translator
        if not translator.attends:
            return
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warnings.simplefilter("ignore", TruncationWarning)  # a picture of the rest
            for number, source in enumerate([text for text in batch.sources if text.strip()]):
                if number == self.count:
                    break
                figure = attention_figure(translator.align(source))
                figure.set_dpi(min(100.0, LARGEST / max(figure.get_size_inches())))
                boards[0].experiment.add_figure(f"attention/{number}", figure, trainer.global_step)
        # A missing font is said once, not at every validation nor, as matplotlib does, by glyph.
        if caught and not self._warned:
            rank_zero_info(f"warning: attention maps: {caught[0].message}")
            self._warned = True
