"""Training speed of a translator: the parallel decoder against loops over the target.

    python -m benchmarks.train_translation --dataset DATA/multi30k
    python -m benchmarks.train_translation --dataset DATA/multi30k --peer-shape

Five ways to train the same sizes, each under every precision that makes sense on the machine:

- ``parallel``: `Decoder.forward`, fused calls over all target steps;
- ``loop``: the same weights and the same logits (checked), one target step at a time, embedding
  and softmax included, as decoders are usually written;
- ``lean loop``: the same with all that can be taken out of the loop outside of it;
- ``input feeding``: `InputFeedingDecoder`, which cannot do without a loop, a lean one;
- ``sampled``: ``parallel`` with the softmax among a part of the words (``--softmax-sample``).

A step is forward, loss, backward, clipping and the fused Adam update, on batches of real lengths;
padding counts as time and not as tokens. The last columns are the model's arithmetic without
padding and its share of what the machine could multiply in that time, by the fastest square product
of that data type. ``sampled`` leaves an amount of it out that depends on the batch, so it has none
and is no candidate for the best of equal work.
"""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from statistics import median
from typing import Any, NamedTuple

import torch
from torch import Tensor

from benchmarks.corpus import Batch, load_corpus, training_batches
from benchmarks.macs import TRAINING_FLOPS_PER_MAC, batch_macs
from benchmarks.timing import (
    add_dataset,
    comparison_arguments,
    machine,
    matmul_rates,
    parse,
    precision,
    print_table,
    ratio,
    run_script,
    take_turns,
)
from nlp_rnn.cli.common import positive
from nlp_rnn.data.tokenizer import PAD
from nlp_rnn.models.seq2seq import Seq2Seq
from nlp_rnn.modules.attention import Memory
from nlp_rnn.modules.cross_entropy import cross_entropy
from nlp_rnn.tasks.optimization import Optimization

Forward = Callable[[Seq2Seq, Batch], Tensor]
"""Teacher forcing: logits (M, V) at the target positions that count."""

Cost = Callable[[Seq2Seq, Batch], Tensor]
"""Nats (M,) of these positions, with the label smoothing of the translation task."""

LABEL_SMOOTHING = 0.1
SAMPLE = 800
"""Words besides those of the batch, of the sampled softmax."""


class Variant(NamedTuple):
    """A way to train.

    Attributes:
        network: may be shared with another variant.
        cost: how the target is read and paid for.
        optimizer: of the network.
        precision: see `timing.precision`.
    """

    network: Seq2Seq
    cost: Cost
    optimizer: torch.optim.Optimizer
    precision: str


def at_once(network: Seq2Seq, batch: Batch) -> Tensor:
    """As the network does it."""
    outputs, _ = network(batch.source, batch.lengths, batch.target[:, :-1])
    return network.decoder.project(outputs.flatten(0, 1)[batch.real])


def step_by_step(network: Seq2Seq, batch: Batch) -> Tensor:
    """The same by a loop over the target."""
    decoder = network.decoder
    state, memory = network.encode(batch.source, batch.lengths)
    logits = []
    for tokens in batch.target[:, :-1].split(1, dim=1):  # (N, 1)
        output, state, _ = decoder(tokens, state, Memory(*memory))
        logits.append(decoder.project(output))
    return torch.cat(logits, 1).flatten(0, 1)[batch.real]


def lean_loop(network: Seq2Seq, batch: Batch) -> Tensor:
    """The same by a loop that is left as little work as possible."""
    decoder = network.decoder
    state, memory = network.encode(batch.source, batch.lengths)
    outputs = []
    for embedded in decoder.embed(batch.target[:, :-1]).split(1, dim=1):  # (N, 1, E)
        output, state, _ = decoder.advance(embedded, embedded, state, Memory(*memory))
        outputs.append(output)
    return decoder.project(decoder.output_dropout(torch.cat(outputs, 1)).flatten(0, 1)[batch.real])


def following(batch: Batch) -> Tensor:
    """The tokens to be predicted, (M,)."""
    return batch.target[:, 1:].flatten()[batch.real]


def among_all(forward: Forward, network: Seq2Seq, batch: Batch) -> Tensor:
    """The cost by the softmax over the whole vocabulary."""
    logits = forward(network, batch)
    return cross_entropy(logits, following(batch), label_smoothing=LABEL_SMOOTHING)


def among_sample(sample: int, network: Seq2Seq, batch: Batch) -> Tensor:
    """As the network does it, by the softmax over the batch's words and a sample of others."""
    outputs, _ = network(batch.source, batch.lengths, batch.target[:, :-1])
    return network.decoder.sampled_negative_log_likelihood(
        outputs.flatten(0, 1)[batch.real],
        following(batch),
        sample,
        label_smoothing=LABEL_SMOOTHING,
    )


def check_equal(network: Seq2Seq, batch: Batch) -> None:
    """Without dropout all ways give the same logits."""
    network.eval()
    with torch.inference_mode():
        expected = at_once(network, batch)
        for way in (step_by_step, lean_loop):
            torch.testing.assert_close(way(network, batch), expected, rtol=1e-3, atol=1e-4)
    network.train()


def update(variant: Variant, batch: Batch) -> None:
    """One training step, with the loss of the translation task."""
    network, optimizer = variant.network, variant.optimizer
    with precision(variant.precision):
        loss = variant.cost(network, batch)[following(batch) != PAD].mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()


def variants(
    networks: dict[str, Any], names: Sequence[str], sample: int = SAMPLE
) -> dict[str, Variant]:
    """The five ways under each precision, named ``decoder, precision``."""
    torch.manual_seed(0)
    parallel, feeding = (
        Seq2Seq(**networks, decoder=decoder) for decoder in ("parallel", "input_feeding")
    )
    ways: dict[str, tuple[Seq2Seq, Cost]] = {
        "loop": (parallel, partial(among_all, step_by_step)),
        "lean loop": (parallel, partial(among_all, lean_loop)),
        "input feeding": (feeding, partial(among_all, at_once)),
        "parallel": (parallel, partial(among_all, at_once)),
        "sampled": (parallel, partial(among_sample, sample)),
    }
    optimizers = {
        network: Optimization().build(
            (each for each in network.parameters() if each.requires_grad), total_steps=1e6
        )[0]
        for network in (parallel, feeding)
    }
    return {
        f"{way}, {name}": Variant(network, cost, optimizers[network], name)
        for name in names
        for way, (network, cost) in ways.items()
    }


def measure(
    networks: dict[str, Any],
    batches: Sequence[Batch],
    names: Sequence[str],
    *,
    sample: int = SAMPLE,
    rounds: int,
) -> dict[str, list[float]]:
    """Seconds that a pass over the batches takes each variant, in every round; prints them.

    Args:
        networks: arguments of `Seq2Seq`.
        batches: what to train on.
        names: of the precisions; the first is what the last ratio refers to.
        sample: of the sampled softmax.
        rounds: times that all variants take turns.
    """
    each = variants(networks, names, sample)
    check_equal(each[f"parallel, {names[0]}"].network, batches[0])

    def train(variant: Variant) -> None:
        for batch in batches:
            update(variant, batch)

    before = matmul_rates(names)
    seconds = take_turns({k: partial(train, v) for k, v in each.items()}, rounds=rounds)
    rates = {name: max(rate, before[name]) for name, rate in matmul_rates(names).items()}
    report(each, batches, seconds, rates)
    return seconds


def report(
    each: dict[str, Variant],
    batches: Sequence[Batch],
    seconds: dict[str, list[float]],
    rates: dict[str, float],
) -> None:
    """Print speeds, ratios and how much of the machine they use."""
    tokens = sum(int(batch.target_lengths.sum()) for batch in batches)
    positions = sum(batch.target[:, 1:].numel() for batch in batches)
    print(f"{len(batches)} batches, {tokens} target tokens, {tokens / positions:.1%} of positions")
    names = list(rates)
    fp32 = max(rate for name, rate in rates.items() if name != "bf16")
    rows: list[list[object]] = []
    for name, times in seconds.items():
        way, level = name.split(", ")
        macs = batch_macs(each[name].network, batches)
        flops = TRAINING_FLOPS_PER_MAC * macs / median(times)
        peak = rates["bf16"] if level == "bf16" else fp32
        loop, slowest = seconds[f"loop, {level}"], seconds[f"loop, {names[0]}"]
        rows.append(
            [
                *(way, level, round(tokens / median(times))),
                *(ratio(loop, times), ratio(slowest, times)),
                *(("", "") if way == "sampled" else (flops / 1e9, 100 * flops / peak)),
            ]
        )
    whole = [name for name in seconds if not name.startswith("sampled")]
    header = ["decoder", "precision", "tokens/s", "x loop", f"x loop, {names[0]}"]
    print_table([*header, "GFLOP/s", "% of torch.mm"], rows)
    print_table(
        ["torch.mm, best size", "GFLOP/s"], [[name, rate / 1e9] for name, rate in rates.items()]
    )
    for name in names:
        faster = ratio(seconds[f"loop, {name}"], seconds[f"parallel, {name}"])
        print(f"parallel / loop, {name}: {faster:.2f}")
        less = ratio(seconds[f"parallel, {name}"], seconds[f"sampled, {name}"])
        print(f"sampled / parallel, {name}: {less:.2f}")
    for what, chosen in (("best of equal work", whole), ("best of all", list(seconds))):
        best = min(chosen, key=lambda name: median(seconds[name]))
        print(f"{what} ({best}) / loop, {names[0]}: {ratio(slowest, seconds[best]):.2f}")


def main() -> None:
    parser = comparison_arguments(__doc__.splitlines()[0], rounds=5)
    add_dataset(parser)
    parser.add_argument(
        "--peer-shape",
        action="store_true",
        help="sizes as in peers_translation: LSTM, one decoder layer, 8k subwords, 64 sentences",
    )
    parser.add_argument("--cell", default="", help="another cell than that of the shape")
    parser.add_argument("--hidden-size", type=positive, default=512, help="of all recurrent layers")
    parser.add_argument("--batches", type=positive, default=8, help="batches of a round")
    parser.add_argument(
        "--tokens-per-batch", type=positive, default=1200, help="padded target tokens"
    )
    parser.add_argument(
        "--softmax-sample", type=positive, default=SAMPLE, help="words besides those of the batch"
    )
    options = parse(parser)
    if options.peer_shape and options.tokens_per_batch != parser.get_default("tokens_per_batch"):
        parser.error("--tokens-per-batch: --peer-shape has batches of 64 sentences; leave one out")
    run(options)


def run(options: argparse.Namespace) -> None:
    print(machine(options.threads))
    networks: dict[str, Any] = {"vocab_size": 4000}
    limits = {"tokens_per_batch": options.tokens_per_batch}
    if options.peer_shape:
        networks = {"vocab_size": 8000, "cell": "lstm", "decoder_layers": 1}
        limits = {"tokens_per_batch": 1_000_000, "max_sentences": 64}
    networks["hidden_size"] = options.hidden_size
    if options.cell:
        networks["cell"] = options.cell
    chosen = Seq2Seq(**networks).arguments
    print("network:", ", ".join(f"{name} {value}" for name, value in chosen.items()))
    corpus = load_corpus(options.dataset, vocab_size=networks["vocab_size"])
    batches = list(islice(training_batches(corpus.train, **limits), options.batches))
    measure(
        networks,
        batches,
        options.precisions,
        sample=options.softmax_sample,
        rounds=options.rounds,
    )


if __name__ == "__main__":
    run_script(main)
