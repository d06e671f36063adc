"""Decoding speed of the public `Translator`: batches of 64 sentences against one at a time.

    python -m benchmarks.decode_translation --dataset DATA/multi30k --checkpoint RUN/best.ckpt
    python -m benchmarks.decode_translation

Text in, text out: segmentation and search are both part of the time. Without a checkpoint an
untrained network of the default sizes writes as many tokens as the source has, as translations of
European languages roughly do; a trained one stops where it wants to.
"""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median

import torch
from torch import Tensor

from benchmarks.corpus import load_corpus, load_test
from benchmarks.timing import (
    add_dataset,
    comparison_arguments,
    machine,
    parse,
    print_table,
    products,
    ratio,
    run_script,
    take_turns,
)
from nlp_rnn.cli.common import positive
from nlp_rnn.decoding import Hypothesis, beam_search
from nlp_rnn.inference import BeamSearch, Translator
from nlp_rnn.models.ensemble import Ensemble
from nlp_rnn.models.seq2seq import Seq2Seq
from nlp_rnn.modules.rnn import State

BATCH_SIZE = 64


class AsLongAsSource(BeamSearch):
    """Writes one target token for each source token, whatever the network wants."""

    def search(
        self,
        model: Seq2Seq | Ensemble,
        state: State,
        memory: tuple[Tensor, ...],
        lengths: Tensor,
        first: int,  # noqa: ARG002
    ) -> list[list[Hypothesis]]:
        return beam_search(
            model.step,
            state,
            memory,
            beam_size=self.beam_size,
            max_length=lengths,
            min_length=lengths - 1,
        )


def measure(
    translators: dict[str, Translator],
    texts: Sequence[str],
    *,
    alone: int,
    searches: dict[str, BeamSearch],
    rounds: int,
) -> dict[str, list[float]]:
    """Seconds per sentence of each ``search, precision, batch size``, in every round; prints them.

    Args:
        translators: by precision.
        texts: translated in batches of `BATCH_SIZE`.
        alone: how many of them, evenly spread, are also translated one at a time.
        searches: by name.
        rounds: times that all take turns.
    """
    few = list(texts)[:: max(1, len(texts) // alone)][:alone]

    def translate(name: str, search: BeamSearch, batch: Sequence[str], size: int) -> None:
        with products(name):
            translators[name].translate(batch, search, batch_size=size)

    runs: dict[str, Callable[[], None]] = {}
    sentences: dict[str, int] = {}
    for name in translators:
        for label, search in searches.items():
            for size, batch in ((BATCH_SIZE, texts), (1, few)):
                key = f"{label}, {name}, {size}"
                runs[key] = partial(translate, name, search, batch, size)
                sentences[key] = len(batch)
    seconds = {
        key: [each / sentences[key] for each in times]
        for key, times in take_turns(runs, rounds=rounds).items()
    }
    first = next(iter(translators))
    rows = []
    for key, times in seconds.items():
        label, name, batch_size = key.split(", ")
        slow, fp32 = seconds[f"{label}, {name}, 1"], seconds[f"{label}, {first}, 1"]
        rows.append(
            [
                label,
                name,
                int(batch_size),
                1 / median(times),
                ratio(slow, times),
                ratio(fp32, times),
            ]
        )
    print(f"{len(texts)} sentences in batches, {len(few)} of them one at a time")
    header = [
        "search",
        "precision",
        "batch",
        "sentences/s",
        "x one at a time",
        f"x that at {first}",
    ]
    print_table(header, rows)
    return seconds


def main() -> None:
    parser = comparison_arguments(__doc__.splitlines()[0], rounds=5)
    add_dataset(parser)
    parser.add_argument("--checkpoint", help="of a trained translator; its source must be en")
    parser.add_argument(
        "--sentences", type=positive, default=1000, help="at most, of the test split"
    )
    parser.add_argument(
        "--alone", type=positive, default=100, help="sentences of them one at a time"
    )
    run(parse(parser))


def run(options: argparse.Namespace) -> None:
    print(machine(options.threads))
    kinds = {name: "bf16" if name == "bf16" else "fp32" for name in options.precisions}
    translators = {}
    texts = load_test(options.dataset)
    if options.checkpoint:
        kind = BeamSearch
        for name, dtype in kinds.items():
            translators[name] = Translator.from_checkpoint(
                options.checkpoint,
                precision=dtype,  # type: ignore[arg-type]
            )
    else:
        kind = AsLongAsSource
        torch.manual_seed(0)
        corpus = load_corpus(options.dataset, vocab_size=4000)
        network = Seq2Seq(vocab_size=corpus.tokenizer.vocab_size)
        for name, dtype in kinds.items():
            translators[name] = Translator(
                [network],
                corpus.tokenizer,
                corpus.tokenizer,
                precision=dtype,  # type: ignore[arg-type]
            )
    searches = {"greedy": kind(beam_size=1), "beam 5": kind(beam_size=5)}
    measure(
        translators,
        texts[: options.sentences],
        alone=options.alone,
        searches=searches,
        rounds=options.rounds,
    )


if __name__ == "__main__":
    run_script(main)
