"""Speed of a classifier: layers that read padding against packed sequences, batches against one.

    python -m benchmarks.train_classifier
    python -m benchmarks.train_classifier --length 200

``ours`` is `Classifier`, a bidirectional LSTM whose backward layer reads each row reversed within
its length. ``packed`` has the same sizes and the same weights (the scores are compared), but reads
by `pack_padded_sequence` and one bidirectional `nn.LSTM`, as most code does. What packing saves
depends on how much padding there is, so both are measured for batches of one length and of ever
more spread lengths; batches of like lengths, as the library makes them, have hardly any. Tokens are
random: they are no matter to the speed.
"""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from benchmarks.timing import (
    comparison_arguments,
    machine,
    parse,
    precision,
    print_table,
    ratio,
    run_script,
    take_turns,
)
from nlp_rnn.cli.common import positive
from nlp_rnn.data.batching import pad
from nlp_rnn.data.tokenizer import EOS
from nlp_rnn.data.words import WordVocabulary
from nlp_rnn.inference import TextClassifier
from nlp_rnn.models.classifier import Classifier
from nlp_rnn.modules.encoder import Encoded
from nlp_rnn.tasks.optimization import Optimization

VOCAB_SIZE = 4000
BATCH_SIZE = 64
SPREADS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Lengths are even between (1 - spread) and (1 + spread) times the mean."""

Batch = tuple[Tensor, Tensor, Tensor]
"""Tokens (N, S), lengths (N,), classes (N,)."""


class Packed(nn.Module):
    """The same classifier by packed sequences.

    Args:
        classifier: whose weights are copied; one layer of both directions.
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        encoder = classifier.reader.encoder
        self.encoder, self.pooling, self.head = encoder, classifier.reader.pooling, classifier.head
        one = encoder.layers[0].forwards.layers[0]
        self.rnn = nn.LSTM(one.input_size, one.hidden_size, batch_first=True, bidirectional=True)
        with torch.no_grad():
            for name, value in one.named_parameters():
                getattr(self.rnn, name).copy_(value)
            for name, value in encoder.layers[0].backwards.layers[0].named_parameters():
                getattr(self.rnn, f"{name}_reverse").copy_(value)

    def forward(self, tokens: Tensor, lengths: Tensor) -> Tensor:
        """As `Classifier.forward`."""
        embedded = self.encoder.embed(tokens)
        packed = pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)
        outputs, (last, _) = self.rnn(packed)
        outputs, _ = pad_packed_sequence(outputs, batch_first=True, total_length=tokens.size(1))
        mask = torch.arange(tokens.size(1)) < lengths.unsqueeze(1)
        summary = torch.cat([last[0], last[1]], 1)
        return self.head(self.pooling(Encoded(outputs, mask, summary, ())))


def batches(number: int, *, length: int, spread: float) -> list[Batch]:
    """Random texts, some of each length."""
    generator = torch.Generator().manual_seed(0)
    low, high = max(1, round(length * (1 - spread))), round(length * (1 + spread))
    made = []
    for _ in range(number):
        sizes = torch.randint(low, high + 1, (BATCH_SIZE,), generator=generator).tolist()
        tokens, lengths = pad(
            [torch.randint(4, VOCAB_SIZE, (size,), generator=generator).tolist() for size in sizes]
        )
        made.append((tokens, lengths, torch.randint(3, (BATCH_SIZE,), generator=generator)))
    return made


def train(
    network: nn.Module, optimizer: torch.optim.Optimizer, level: str, data: Sequence[Batch]
) -> None:
    """A training step on every batch."""
    for tokens, lengths, classes in data:
        with precision(level):
            loss = F.cross_entropy(network(tokens, lengths).float(), classes)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()


def check_equal(ours: Classifier, packed: Packed) -> None:
    """Without dropout both give the same scores."""
    ours.eval()
    packed.eval()
    tokens, lengths, _ = batches(1, length=12, spread=0.9)[0]
    with torch.inference_mode():
        torch.testing.assert_close(packed(tokens, lengths), ours(tokens, lengths))
    ours.train()
    packed.train()


def measure_training(
    hidden_size: int, names: Sequence[str], *, length: int, number: int, rounds: int
) -> dict[str, list[float]]:
    """Seconds of every ``spread, model, precision``, in every round; prints them."""
    torch.manual_seed(0)
    ours = Classifier(vocab_size=VOCAB_SIZE, hidden_size=hidden_size)
    packed = Packed(ours)
    check_equal(ours, packed)
    runs: dict[str, Callable[[], None]] = {}
    real: dict[float, float] = {}
    for spread in SPREADS:
        data = batches(number, length=length, spread=spread)
        real[spread] = sum(int(each[1].sum()) for each in data) / sum(
            each[0].numel() for each in data
        )
        for label, network in (("packed", packed), ("ours", ours)):
            parameters = [each for each in network.parameters() if each.requires_grad]
            optimizer, _ = Optimization().build(parameters, total_steps=1e6)
            for name in names:
                key = f"{spread}, {label}, {name}"
                runs[key] = partial(train, network, optimizer, name, data)
    seconds = take_turns(runs, rounds=rounds)
    rows = []
    for key, times in seconds.items():
        spread, label, name = key.split(", ")
        rows.append(
            [
                float(spread),
                f"{real[float(spread)]:.0%}",
                label,
                name,
                round(number * BATCH_SIZE / median(times)),
                ratio(seconds[f"{spread}, packed, {name}"], times),
            ]
        )
    print(f"training, texts of {length} tokens on average, batches of {BATCH_SIZE}")
    print_table(["spread", "real", "model", "precision", "texts/s", "x packed"], rows)
    return seconds


def measure_inference(hidden_size: int, *, length: int, rounds: int) -> dict[str, list[float]]:
    """Seconds a text of the public `TextClassifier`, in one call and a call each; prints them."""
    torch.manual_seed(0)
    words = [f"w{number}" for number in range(VOCAB_SIZE - 4)]
    network = Classifier(vocab_size=VOCAB_SIZE, hidden_size=hidden_size)
    classifier = TextClassifier(network, WordVocabulary(words))
    many = [
        " ".join(f"w{id_ - 4}" for id_ in row[: size - 1].tolist() if id_ > EOS)
        for tokens, lengths, _ in batches(8, length=length, spread=0.5)
        for row, size in zip(tokens, lengths.tolist())
    ]
    few = many[::8]

    def one_by_one() -> None:
        for text in few:
            classifier(text)

    runs = {"batches": partial(classifier, many, batch_size=BATCH_SIZE), "alone": one_by_one}
    sizes = {"batches": len(many), "alone": len(few)}
    seconds = {
        name: [each / sizes[name] for each in times]
        for name, times in take_turns(runs, rounds=rounds).items()
    }
    rows = [
        [name, round(1 / median(times)), ratio(seconds["alone"], times)]
        for name, times in seconds.items()
    ]
    print(f"inference, text in and label out, fp32 ({torch.get_float32_matmul_precision()})")
    print_table([f"batches of {BATCH_SIZE}", "texts/s", "x alone"], rows)
    return seconds


def main() -> None:
    parser = comparison_arguments(__doc__.splitlines()[0], rounds=5)
    parser.add_argument("--length", type=positive, default=40, help="tokens of a text on average")
    parser.add_argument(
        "--hidden-size", type=positive, default=400, help="of both directions together"
    )
    parser.add_argument("--batches", type=positive, default=8, help="of a round")
    run(parse(parser))


def run(options: argparse.Namespace) -> None:
    print(machine(options.threads))
    measure_training(
        options.hidden_size,
        options.precisions,
        length=options.length,
        number=options.batches,
        rounds=options.rounds,
    )
    measure_inference(options.hidden_size, length=options.length, rounds=options.rounds)


if __name__ == "__main__":
    run_script(main)
