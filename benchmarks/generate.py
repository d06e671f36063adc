"""Generation speed of a language model by the length of the text: it has to stay flat.

    python -m benchmarks.generate
    python -m benchmarks.generate --checkpoint RUN/best.ckpt

A recurrent network carries all it has read in a state of fixed size, so the ten-thousandth token
costs what the first one did. Without a checkpoint an untrained network writes; what it writes does
not matter here.
"""

import argparse
from functools import partial
from statistics import median

import torch

from benchmarks.timing import arguments, machine, print_table, ratio, run_script, take_turns
from nlp_rnn.cli.common import positive
from nlp_rnn.data.words import WordVocabulary
from nlp_rnn.inference import TextGenerator, TextSampling
from nlp_rnn.models.language_model import LanguageModel


def measure(
    generator: TextGenerator, lengths: list[int], *, rounds: int, batch_size: int
) -> dict[int, float]:
    """Tokens per second for texts of each length; prints them."""

    def write(length: int) -> None:
        search = TextSampling(max_tokens=length, min_tokens=length, num_samples=batch_size)
        generator.generate([""], search)

    seconds = take_turns({str(each): partial(write, each) for each in lengths}, rounds=rounds)
    speeds = {n: n * batch_size / median(seconds[str(n)]) for n in lengths}
    print_table(["tokens", "tokens/s"], [[n, round(speed)] for n, speed in speeds.items()])
    per_token = {n: [each / n for each in seconds[str(n)]] for n in lengths}
    shortest, longest = min(lengths), max(lengths)
    change = ratio(per_token[longest], per_token[shortest])
    print(f"time a token, {longest} tokens / {shortest} tokens: {change:.2f}")
    return speeds


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--checkpoint")
    parser.add_argument("--lengths", type=positive, nargs="+", default=[100, 1000, 10_000])
    parser.add_argument("--batch-size", type=positive, default=1, help="texts side by side")
    parser.add_argument("--rounds", type=positive, default=3)
    run(parser.parse_args())


def run(options: argparse.Namespace) -> None:
    print(machine(options.threads))
    if options.checkpoint:
        generator = TextGenerator.from_checkpoint(options.checkpoint)
    else:
        torch.manual_seed(0)
        words = WordVocabulary([f"word{number}" for number in range(9996)])
        network = LanguageModel(vocab_size=10_000, embedding_size=650, hidden_size=650)
        generator = TextGenerator(network.eval(), words)
    measure(generator, options.lengths, rounds=options.rounds, batch_size=options.batch_size)


if __name__ == "__main__":
    run_script(main)
