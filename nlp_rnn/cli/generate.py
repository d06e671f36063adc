"""``nlp-rnn generate``: text from a language model, as it is drawn."""

import argparse
import sys
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.cli.common import add_model_options, add_options, open_generator
from nlp_rnn.errors import InputError

if TYPE_CHECKING:
    from nlp_rnn.inference import TextBeamSearch, TextSampling

__all__ = ["add_command"]

COMMON_OPTIONS = {
    "max_tokens": (int, "most tokens that are written (default 200)"),
    "min_tokens": (int, "least tokens that are written, unless --stop ends them (default 0)"),
    "num_samples": (int, "continuations of each prompt (default 1)"),
    "repetition_penalty": (
        float,
        "above 1 discourages tokens already written, the prompt apart (default 1.0)",
    ),
    "no_repeat_ngram_size": (
        int,
        "n-grams written only once, the prompt apart; 0 allows all (default 0)",
    ),
}
SAMPLING_OPTIONS = {
    "seed": (int, "same seed, prompts and options: same texts (default 0)"),
    "temperature": (float, "below 1 sharpens, above 1 flattens (default 0.8)"),
    "top_k": (int, "draw from the k likeliest tokens; 0 from all (default 0)"),
    "top_p": (float, "draw from the smallest set with this probability (default 0.95)"),
    "min_p": (float, "drop tokens less likely than this share of the best (default 0.0)"),
    "typical_p": (float, "draw from tokens of typical information (default 1.0)"),
}
BEAM_OPTIONS = {
    "beam_size": (int, "continuations in the running; 1 is greedy (default 5)"),
    "length_penalty": (float, "alpha of Wu et al. 2016; 0 prefers short ones (default 1.0)"),
}


def add_command(commands: Any) -> None:
    """Add the command and its options."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "generate",
        help="continue a text with a language model",
        description="Continue each prompt. One continuation of one prompt is written as it is "
        "drawn; several are separated by a line of dashes.",
    )
    parser.set_defaults(run=_run)
    parser.add_argument("checkpoint", type=Path, metavar="CKPT")
    parser.add_argument("prompt", nargs="*", help="beginnings (default: that of a new text)")
    parser.add_argument(
        "--stop", action="append", metavar="TEXT", help="end before this text; may be given again"
    )
    add_options(parser, COMMON_OPTIONS)
    add_options(parser.add_argument_group("sampling"), SAMPLING_OPTIONS)
    beam = parser.add_argument_group("beam search")
    beam.add_argument(
        "--beam", action="store_true", help="search for the likeliest text instead of drawing one"
    )
    add_options(beam, BEAM_OPTIONS)
    add_model_options(parser)


def _run(args: argparse.Namespace) -> None:
    from nlp_rnn.inference import TextSampling

    search = _search(args)
    generator = open_generator(args)
    prompts = args.prompt or [""]
    for prompt in prompts:
        unknown = sorted(set(generator.unknown(prompt)))
        if unknown:
            sys.stderr.write(
                f"warning: the model does not know {' '.join(map(repr, unknown))}, which stands "
                "in the prompt: it reads the unknown token there\n"
            )
    alone = len(prompts) == search.num_samples == 1
    if alone and isinstance(search, TextSampling) and generator.direction == "forward":
        parts = generator.stream(prompts[0], search)  # whose options are checked here
        for part in chain([prompts[0]], parts):
            sys.stdout.write(part)
            sys.stdout.flush()
        sys.stdout.write("\n")
        return
    texts = sum(generator.generate(prompts, search), [])
    sys.stdout.write(f"\n{'-' * 20}\n".join(texts) + "\n")


def _search(args: argparse.Namespace) -> "TextSampling | TextBeamSearch":
    """What the options ask for."""
    from nlp_rnn.inference import TextBeamSearch, TextSampling

    known = {**COMMON_OPTIONS, **SAMPLING_OPTIONS, **BEAM_OPTIONS}
    given = {name: value for name, value in vars(args).items() if name in known}
    advice = "leave out --beam" if args.beam else "add --beam"
    for name in given:
        if name in (SAMPLING_OPTIONS if args.beam else BEAM_OPTIONS):
            raise InputError(f"--{name.replace('_', '-')} does not belong here: {advice}")
    kind = TextBeamSearch if args.beam else TextSampling
    return kind(stop=tuple(args.stop or ()), **given)
