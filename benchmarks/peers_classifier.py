"""Training speed of a classifier against fastai 2.8's, on the same texts and in the same sizes.

fastai's requirements would replace torch, so it is installed without them beside this package, and
then what it imports:

    python3 -m venv FASTAI
    FASTAI/bin/pip install -c constraints.txt -e .
    FASTAI/bin/pip install --no-deps fastai==2.8.12 fastdownload
    FASTAI/bin/pip install -c constraints.txt fastcore fastprogress fasttransform plum-dispatch \
        pillow scipy pandas spacy requests

Then, on a machine that does nothing else:

    FASTAI/bin/python -m benchmarks.peers_classifier
    FASTAI/bin/python -m benchmarks.peers_classifier --length 40

Both read from left to right with two LSTM layers, drop out about what fastai's defaults do, and
pool the last, the mean and the largest output. fastai pads and cuts with its own function, 72
tokens at a time, and comes with and without the switch of fp32 products that it does not set; all
share the optimizer and the loop, which leaves out fastai's callbacks. Tokens are random, lengths
spread by a quarter, as in batches of like lengths.
"""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.timing import (
    comparison_arguments,
    machine,
    parse,
    print_table,
    ratio,
    run_script,
    take_turns,
)
from benchmarks.train_classifier import BATCH_SIZE, VOCAB_SIZE, Batch, batches, train
from nlp_rnn.cli.common import positive
from nlp_rnn.errors import InputError
from nlp_rnn.models.classifier import Classifier
from nlp_rnn.tasks.optimization import Optimization

LABELS = ("negative", "neutral", "positive")
WINDOW = 72
"""Tokens that fastai reads at a time, its default."""


class Fastai(nn.Module):
    """fastai's classifier, called as ours is.

    Args:
        model: what ``get_text_classifier`` gives.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:  # noqa: ARG002
        """Tokens padded its way -> scores; it finds the lengths by the padding."""
        return self.model(tokens)[0]


def fastai(size: int) -> tuple[Fastai, dict[str, Any]]:
    """The peer in these sizes, and its settings."""
    from fastai.text.models.awdlstm import AWD_LSTM, awd_lstm_clas_config
    from fastai.text.models.core import get_text_classifier

    config = {**awd_lstm_clas_config, "emb_sz": size, "n_hid": size, "n_layers": 2}
    model = get_text_classifier(
        AWD_LSTM, VOCAB_SIZE, len(LABELS), seq_len=WINDOW, config=config, drop_mult=1.0
    )
    return Fastai(model), config


def ours(size: int, dropouts: dict[str, Any], *, weight_dropout: float) -> Classifier:
    """The library's classifier of the same sizes and dropouts."""
    return Classifier(
        labels=LABELS,
        vocab_size=VOCAB_SIZE,
        cell="lstm",
        embedding_size=size,
        hidden_size=size,
        num_layers=2,
        directions="forward",
        pooling="concat",
        head_size=50,
        word_dropout=dropouts["embed_p"],
        embedding_dropout=dropouts["input_p"],
        dropout=dropouts["hidden_p"],
        weight_dropout=weight_dropout,
    )


def its_padding(data: Sequence[Batch]) -> list[Batch]:
    """The same texts as fastai pads them."""
    from fastai.text.data import pad_input_chunk

    padded = []
    for tokens, lengths, classes in data:
        samples = [
            (row[:size], label) for row, size, label in zip(tokens, lengths.tolist(), classes)
        ]
        rows = pad_input_chunk(samples, pad_idx=1, pad_first=True, seq_len=WINDOW)
        padded.append((torch.stack([row for row, _ in rows]), lengths, classes))
    return padded


def measure(
    variants: dict[str, tuple[nn.Module, str, Sequence[Batch]]], *, rounds: int
) -> dict[str, list[float]]:
    """Seconds of every variant in every round; prints texts a second.

    Args:
        variants: by name a network, the precision it runs in, and its batches.
        rounds: times that all take turns.
    """
    runs: dict[str, Callable[[], None]] = {}
    for name, (network, level, data) in variants.items():
        parameters = [each for each in network.parameters() if each.requires_grad]
        optimizer, _ = Optimization().build(parameters, total_steps=1e6)
        runs[name] = partial(train, network, optimizer, level, data)
    seconds = take_turns(runs, rounds=rounds)
    first = next(iter(seconds))
    rows = []
    for name, times in seconds.items():
        network, _, data = variants[name]
        texts = sum(len(lengths) for _, lengths, _ in data)
        weights = sum(each.numel() for each in network.parameters()) / 1e6
        rows.append([name, weights, round(texts / median(times)), ratio(seconds[first], times)])
    print_table(["model", "weights (M)", "texts/s", f"x {first}"], rows)
    return seconds


def main() -> None:
    parser = comparison_arguments(__doc__.splitlines()[0], rounds=5)
    parser.add_argument("--length", type=positive, default=200, help="tokens of a text on average")
    parser.add_argument("--size", type=positive, default=256, help="of embedding and layers")
    parser.add_argument("--batches", type=positive, default=4, help="of a round")
    run(parse(parser))


def run(options: argparse.Namespace) -> None:
    if find_spec("fastai") is None:
        raise InputError(
            "fastai is not installed here: see the head of benchmarks/peers_classifier.py"
        )
    print(machine(options.threads))
    torch.manual_seed(0)
    data = batches(options.batches, length=options.length, spread=0.25)
    variants: dict[str, tuple[nn.Module, str, Sequence[Batch]]] = {}
    dropouts: dict[str, Any] = {}
    for level in options.precisions:
        if level != "bf16":
            peer, dropouts = fastai(options.size)
            variants[f"fastai, {level}"] = (peer, level, its_padding(data))
    for level in options.precisions:
        for label, share in (("ours", 0.0), ("ours, weights dropped", dropouts["weight_p"])):
            network = ours(options.size, dropouts, weight_dropout=share)
            variants[f"{label}, {level}"] = (network, level, data)
    print(f"texts of {options.length} tokens on average, batches of {BATCH_SIZE}")
    seconds = measure(variants, rounds=options.rounds)
    best = min(seconds, key=lambda name: median(seconds[name]))
    for rival in (name for name in seconds if name.startswith("fastai")):
        print(f"{best} / {rival}: {ratio(seconds[rival], seconds[best]):.2f}")


if __name__ == "__main__":
    run_script(main)
