"""Resident memory over a long training: it must not grow with the number of batches.

    python -m benchmarks.memory --dataset DATA/multi30k
    python -m benchmarks.memory --dataset DATA/multi30k --multiple 1

Every batch has lengths of its own, and the CPU kernels keep a prepared primitive for every shape
they have seen. Padding to multiples (the default is the library's) keeps the shapes few;
``--multiple 1`` shows what happens without. Linux only.

Products are in fp32 under ``medium`` as in training: under PyTorch's default, ``highest``, another
library does them, which keeps nothing.
"""

import argparse
import os
from collections.abc import Iterable
from functools import partial
from itertools import islice
from pathlib import Path

import torch

from benchmarks.corpus import Batch, load_corpus, training_batches
from benchmarks.timing import PRECISIONS, add_dataset, arguments, machine, run_script
from benchmarks.train_translation import Variant, among_all, among_sample, at_once, update
from nlp_rnn.cli.common import positive
from nlp_rnn.data.batching import MULTIPLE
from nlp_rnn.models.seq2seq import Seq2Seq
from nlp_rnn.tasks.optimization import Optimization


def resident() -> float:
    """MiB of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def measure(variant: Variant, batches: Iterable[Batch], *, every: int) -> dict[int, float]:
    """MiB after each ``every`` training batches, by number of batches; prints them as they come."""
    sizes: dict[int, float] = {}
    shapes: set[tuple[int, ...]] = set()
    print("batches  shapes  resident MiB")
    for done, batch in enumerate(batches, 1):
        update(variant, batch)
        shapes.add((*batch.source.shape, batch.target.size(1)))
        if done % every == 0:
            sizes[done] = resident()
            print(f"{done:7}  {len(shapes):6}  {sizes[done]:12.0f}", flush=True)
    return sizes


def half(sizes: dict[int, float]) -> int:
    """After how many batches half of the sizes were taken; by then most shapes have come."""
    return list(sizes)[(len(sizes) - 1) // 2]


def growth(sizes: dict[int, float]) -> float:
    """Share that memory grew by in the second half."""
    return list(sizes.values())[-1] / sizes[half(sizes)] - 1


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    add_dataset(parser)
    parser.add_argument("--cell", default="gru", help="gru, lstm, rnn_tanh or rnn_relu")
    parser.add_argument("--precision", default="medium", choices=PRECISIONS)
    parser.add_argument("--multiple", type=positive, default=MULTIPLE, help="of padded lengths")
    parser.add_argument(
        "--tokens-per-batch", type=positive, default=1200, help="padded target tokens"
    )
    parser.add_argument(
        "--softmax-sample",
        type=positive,
        help="train among the words of a batch and this many others; among all without it",
    )
    parser.add_argument("--batches", type=positive, default=1000)
    options = parser.parse_args()
    if options.batches < 20:
        parser.error(f"--batches {options.batches} is too few for a trend: give 20 or more")
    run(options)


def run(options: argparse.Namespace) -> None:
    print(machine(options.threads))
    corpus = load_corpus(options.dataset, vocab_size=4000)
    torch.manual_seed(0)
    network = Seq2Seq(vocab_size=4000, cell=options.cell)
    trained = (each for each in network.parameters() if each.requires_grad)
    optimizer, _ = Optimization().build(trained, total_steps=options.batches)
    batches = training_batches(
        corpus.train, tokens_per_batch=options.tokens_per_batch, multiple=options.multiple
    )
    sample = options.softmax_sample
    cost = partial(among_sample, sample) if sample else partial(among_all, at_once)
    sizes = measure(
        Variant(network, cost, optimizer, options.precision),
        islice(batches, options.batches),
        every=options.batches // 10,
    )
    print(f"growth from batch {half(sizes)} to {list(sizes)[-1]}: {growth(sizes):+.1%}")


if __name__ == "__main__":
    run_script(main)
