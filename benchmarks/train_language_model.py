"""Training speed of a language model beside the example that everybody starts from.

    python -m benchmarks.train_language_model --dataset DATA/ptb --column sentence

``example`` is a reimplementation of PyTorch's word language model in plain PyTorch: embedding,
dropout, `nn.LSTM` with its dropout, dropout, a full softmax tied to the embedding, SGD with
clipping. ``ours`` is `LanguageModel` under the same optimizer, with the softmax in fp32 and, where
the CPU has the instructions, in bf16 (``--model.head_precision bf16``); then, with the better of
these, either among a sample of the words (``--model.softmax_sample``) or with recurrent weights
dropped. All have the same sizes and read the same windows in the same order, and the loss over the
last windows of as many updates is printed beside the speed: faster is worth nothing if it learns
less. That of a sample is a little less for the same network.
"""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from statistics import mean, median
from typing import NamedTuple

import datasets
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.timing import (
    add_dataset,
    arguments,
    machine,
    precision,
    print_table,
    ratio,
    run_script,
    take_turns,
)
from nlp_rnn.cli.common import positive
from nlp_rnn.cpu import has_bf16
from nlp_rnn.data.sources import load_splits
from nlp_rnn.data.streams import Streams, Window, WindowBatches, side_by_side
from nlp_rnn.data.tokenizer import EOS
from nlp_rnn.data.words import WordVocabulary
from nlp_rnn.errors import InputError
from nlp_rnn.evaluation import head_autocast
from nlp_rnn.models.language_model import LanguageModel
from nlp_rnn.modules.rnn import State

RATE, CLIP = 2.0, 0.25
"""Of the SGD; the example's rate of 20 throws the first hundred updates about."""


class Example(nn.Module):
    """The standard example: two LSTM layers with element-wise dropout, tied."""

    def __init__(self, vocab_size: int, size: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.embedding = nn.Embedding(vocab_size, size)
        self.rnn = nn.LSTM(size, size, layers, dropout=dropout)
        self.projection = nn.Linear(size, vocab_size)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)
        nn.init.zeros_(self.projection.bias)
        self.projection.weight = self.embedding.weight

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """(T, N) -> logits (T, N, V)."""
        outputs, state = self.rnn(self.dropout(self.embedding(tokens)), state)
        return self.projection(self.dropout(outputs)), state


class Variant(NamedTuple):
    """A way to train.

    Attributes:
        network: what is trained.
        loss: of a window, and the state after it.
        start: the first state.
        level: of fp32 products, see `timing.precision`.
    """

    network: nn.Module
    loss: Callable[[Window, State], tuple[Tensor, State]]
    start: State
    level: str


def example(vocab_size: int, size: int, streams: int, level: str) -> Variant:
    """The example under a precision of fp32 products."""
    network = Example(vocab_size, size, layers=2, dropout=0.5)
    zeros = torch.zeros(2, streams, size)

    def loss(window: Window, state: State) -> tuple[Tensor, State]:
        logits, after = network(window.inputs.t(), state)
        return F.cross_entropy(logits.flatten(0, 1), window.following.t().flatten()), after

    return Variant(network, loss, (zeros, zeros), level)


def ours(
    vocab_size: int,
    size: int,
    streams: int,
    level: str,
    *,
    bf16: bool,
    sample: int = 0,
    weight_dropout: float = 0.0,
) -> Variant:
    """The library's network."""
    network = LanguageModel(
        vocab_size=vocab_size,
        embedding_size=size,
        hidden_size=size,
        embedding_dropout=0.5,
        dropout=0.5,
        output_dropout=0.5,
        weight_dropout=weight_dropout,
    )

    def loss(window: Window, state: State) -> tuple[Tensor, State]:
        reading, after = network(window.inputs, state)
        with head_autocast(reading.outputs, bf16):
            nats = network.nats(reading, window.following, sample=sample)
        return nats.mean(), after

    return Variant(network, loss, network.zero_state(streams), level)


def train(variant: Variant, windows: Sequence[Window]) -> list[float]:
    """Train on windows in a row; returns their losses."""
    state, losses = variant.start, []
    parameters = [each for each in variant.network.parameters() if each.requires_grad]
    for window in windows:
        with precision(variant.level):
            state = tuple(part.detach() for part in state)
            loss, state = variant.loss(window, state)
            variant.network.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, CLIP)
            with torch.no_grad():
                for parameter in parameters:
                    parameter.sub_(parameter.grad, alpha=RATE)
            losses.append(loss.item())
    return losses


def load(dataset: str, column: str, *, streams: int, window: int) -> tuple[int, list[Window]]:
    """The size of a data set's vocabulary, and its training windows that are full."""
    datasets.disable_progress_bars()
    splits = load_splits(dataset, columns={"text": column})
    if "train" not in splits:
        raise InputError(
            f"{dataset} has no train split (it has {', '.join(splits)}): name another --dataset"
        )
    texts = splits["train"]["text"][:]
    words = len({word for text in texts for word in text.split()} - {"<unk>"})
    vocabulary = WordVocabulary.train(texts, vocab_size=min(10_002, words + 4))
    ids = [EOS] + [i for text in texts for i in [*vocabulary.encode(text), EOS]]
    rows = side_by_side(torch.tensor(ids), streams)
    batches = WindowBatches(rows.size(1) - 1, lengths=[window])
    read = [Streams(rows)[place] for (place,) in batches]
    full = [each for each in read if (each.following != 0).all()][:-1]
    if not full:
        raise InputError("the text has not one full window: give a smaller --window or --streams")
    return vocabulary.vocab_size, full


def measure(
    variants: dict[str, Variant], windows: Sequence[Window], *, updates: int, rounds: int
) -> dict[str, list[float]]:
    """Seconds that each variant takes for ``updates`` windows, in every round; prints them."""
    losses: dict[str, list[float]] = {name: [] for name in variants}
    todo = {name: iter(windows * (1 + updates * (rounds + 1) // len(windows))) for name in variants}

    def run(name: str) -> None:
        losses[name] += train(variants[name], list(islice(todo[name], updates)))

    seconds = take_turns({name: partial(run, name) for name in variants}, rounds=rounds)
    tokens = updates * windows[0].inputs.numel()
    rows = [
        [name, round(tokens / median(times)), mean(losses[name][-updates:]), ratio(first, times)]
        for first in [seconds["example, highest"]]
        for name, times in seconds.items()
    ]
    print_table(["model", "tokens/s", "loss at the end", "x example, highest"], rows)
    return seconds


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    add_dataset(parser, default="topics")
    parser.add_argument("--rounds", type=positive, default=4, help="times that all take turns")
    parser.add_argument("--column", default="text")
    parser.add_argument("--size", type=positive, default=650, help="of embedding and layers")
    parser.add_argument("--streams", type=positive, default=20)
    parser.add_argument("--window", type=positive, default=35)
    parser.add_argument("--updates", type=positive, default=20, help="of a variant in a round")
    parser.add_argument(
        "--softmax-sample", type=positive, default=1600, help="words besides those of the batch"
    )
    run(parser.parse_args())


def run(options: argparse.Namespace) -> None:
    print(machine(options.threads))
    torch.manual_seed(0)
    vocab_size, windows = load(
        options.dataset, options.column, streams=options.streams, window=options.window
    )
    print(f"2 x {options.size}, vocabulary {vocab_size}, {options.streams} x {options.window}")
    sizes = (vocab_size, options.size, options.streams)
    tuned = torch.get_float32_matmul_precision()  # as the commands set it: medium, where exact
    variants = {f"example, {level}": example(*sizes, level) for level in ("highest", tuned)}
    rivals = [*variants]
    best = "ours, fp32 softmax"
    variants[best] = ours(*sizes, tuned, bf16=False)
    if has_bf16():
        best = "ours, bf16 softmax"
        variants[best] = ours(*sizes, tuned, bf16=True)
    sampling = f"{best}, sampled"
    variants[sampling] = ours(*sizes, tuned, bf16=has_bf16(), sample=options.softmax_sample)
    dropping = f"{best}, weights dropped"
    variants[dropping] = ours(*sizes, tuned, bf16=has_bf16(), weight_dropout=0.5)
    seconds = measure(variants, windows, updates=options.updates, rounds=options.rounds)
    for rival in rivals:
        print(f"{best} / {rival}: {ratio(seconds[rival], seconds[best]):.2f}")
    print(f"{sampling} / {best}: {ratio(seconds[best], seconds[sampling]):.2f}")
    print(f"time with weights dropped / without: {ratio(seconds[dropping], seconds[best]):.2f}")


if __name__ == "__main__":
    run_script(main)
