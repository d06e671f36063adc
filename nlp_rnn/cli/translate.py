"""``nlp-rnn translate``: a line out for each line in."""

import argparse
import dataclasses
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from nlp_rnn.cli.common import (
    UnknownTokens,
    add_input,
    add_model_options,
    add_options,
    new_path,
    open_translator,
    positive,
    read_texts,
    warnings_of_lines,
)
from nlp_rnn.data.lines import arriving, one_line
from nlp_rnn.errors import InputError

if TYPE_CHECKING:
    from nlp_rnn.inference import BeamSearch, Sampling, Translation, Translator

__all__ = ["add_command"]

POOL = 16
"""Batches that are sorted by length together, once that much input is waiting."""

BEAM_OPTIONS = {
    "beam_size": (int, "translations in the running; 1 is greedy (default 5)"),
    "length_penalty": (float, "alpha of Wu et al. 2016; 0 prefers short ones (default 1.0)"),
    "min_length_ratio": (float, "least target tokens per source token (default 0.0)"),
    "no_repeat_ngram_size": (int, "n-grams that may occur only once; 0 allows all (default 0)"),
    "repetition_penalty": (float, "above 1 discourages repeated tokens (default 1.0)"),
}
SAMPLING_OPTIONS = {
    "temperature": (float, "below 1 sharpens, above 1 flattens (default 1.0)"),
    "top_k": (int, "draw from the k likeliest tokens; 0 from all (default 0)"),
    "top_p": (float, "draw from the smallest set with this probability (default 1.0)"),
    "min_p": (float, "drop tokens less likely than this share of the best (default 0.0)"),
    "seed": (int, "the same seed gives the same text (default 0)"),
}
COMMON_OPTIONS = {
    "max_length_ratio": (float, "most target tokens per source token, and 10 more (default 2.0)"),
}


def add_command(commands: Any) -> None:
    """Add the command and its options."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "translate",
        help="translate text, a line at a time",
        description="Translate UTF-8 text: a line out for each line in, in order; an empty line "
        "stays empty. In a pipe, translations appear as soon as the input pauses.",
    )
    parser.set_defaults(run=_run)
    parser.add_argument(
        "checkpoint", nargs="+", type=Path, metavar="CKPT", help="several make an ensemble"
    )
    add_input(parser)
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="new file (default: standard output)"
    )
    parser.add_argument(
        "--batch-size", type=positive, default=64, metavar="N", help="sentences (default 64)"
    )
    parser.add_argument("--scores", action="store_true", help="append a tab and the score")
    parser.add_argument(
        "--alignments",
        action="store_true",
        help="append a tab and pairs i-j: target piece j attended most to source piece i, from 0",
    )
    parser.add_argument(
        "--nbest",
        type=positive,
        default=1,
        metavar="N",
        help="above 1, so many lines for each that is not empty: number of the input line, from 0 "
        "||| translation ||| score, and ||| alignments if asked for",
    )
    add_options(parser, COMMON_OPTIONS)
    add_options(parser.add_argument_group("beam search"), BEAM_OPTIONS)
    sampling = parser.add_argument_group("sampling")
    sampling.add_argument(
        "--sample",
        action="store_true",
        help="draw translations at random instead; waits until a batch is full",
    )
    add_options(sampling, SAMPLING_OPTIONS)
    add_model_options(parser)


def _run(args: argparse.Namespace) -> None:
    from nlp_rnn.data.tokenizer import UNK

    if args.output:
        args.output = new_path(args.output, "--output")
    search = _search(args)
    lines = read_texts(args.input)
    with ExitStack() as stack:
        translator = open_translator(args)
        if args.alignments and not translator.attends:
            raise InputError(
                "--alignments: the model was trained with attention 'none'; leave it out"
            )
        output: TextIO = sys.stdout
        if args.output:
            output = stack.enter_context(args.output.open("x", encoding="utf-8", newline="\n"))
        done, unknown = 0, UnknownTokens()
        for batch in _batches(lines, args):
            with warnings_of_lines(done):
                found = translator.translate(batch, _anew(search, done), batch_size=args.batch_size)
            alignments = _aligned(translator, batch, found, args) if args.alignments else {}
            for source, translations in zip(batch, found):
                for line in _show(alignments, done, source, translations, args):
                    output.write(f"{line}\n")
                done += 1
            output.flush()
            unknown.add(translator.source_tokenizer.encode_batch(batch), UNK)
    unknown.warn("their characters were not in the texts that it was trained on")


def _search(args: argparse.Namespace) -> "BeamSearch | Sampling":
    """What the options ask for."""
    from nlp_rnn.inference import BeamSearch, Sampling

    known = {**COMMON_OPTIONS, **BEAM_OPTIONS, **SAMPLING_OPTIONS}
    given = {name: value for name, value in vars(args).items() if name in known}
    for name in given:
        option = f"--{name.replace('_', '-')}"
        if args.sample and name in BEAM_OPTIONS:
            raise InputError(f"{option} belongs to beam search: leave out either it or --sample")
        if not args.sample and name in SAMPLING_OPTIONS:
            raise InputError(f"{option} belongs to sampling: add --sample, or leave it out")
    if args.sample:
        return Sampling(num_samples=args.nbest, **given)
    return BeamSearch(nbest=args.nbest, **given)


def _batches(lines: Iterator[str], args: argparse.Namespace) -> Iterator[list[str]]:
    if args.sample:
        # A seed promises the same text: batches must not depend on how the input flows.
        return arriving(lines, first=args.batch_size, most=args.batch_size, patience=None)
    return arriving(lines, first=args.batch_size, most=POOL * args.batch_size)


def _anew(search: "BeamSearch | Sampling", done: int) -> "BeamSearch | Sampling":
    """The search for the next batch; sampling gets another seed, to draw anew."""
    from nlp_rnn.inference import Sampling

    if isinstance(search, Sampling):
        return dataclasses.replace(search, seed=(search.seed + done) % 2**64)
    return search


def _aligned(
    translator: "Translator",
    sources: list[str],
    found: "list[list[Translation]]",
    args: argparse.Namespace,
) -> "dict[tuple[str, Translation], str]":
    """For sources and translations, ``i-j`` for every target piece j.

    The source piece that it attends to most is i; those at the end mark are left out.
    """
    pairs = dict.fromkeys(
        (source, each)
        for source, translations in zip(sources, found)
        for each in translations
        if source.strip()
    )
    if not pairs:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # already said when the lines were translated
        aligned = translator.alignments(*map(list, zip(*pairs)), batch_size=args.batch_size)
    shown = {}
    for pair, alignment in zip(pairs, aligned):
        best = alignment.weights.argmax(1).tolist()[:-1]
        last = len(alignment.source) - 1
        shown[pair] = " ".join(f"{i}-{j}" for j, i in enumerate(best) if i < last)
    return shown


def _show(
    alignments: "dict[tuple[str, Translation], str]",
    index: int,
    source: str,
    translations: "list[Translation]",
    args: argparse.Namespace,
) -> Iterator[str]:
    """The output lines of one input line."""
    for each in translations:
        fields = [one_line(each.text)]
        if args.scores or args.nbest > 1:
            fields.append(f"{each.score:.4f}")
        if args.alignments:
            fields.append(alignments.get((source, each), ""))
        yield " ||| ".join([str(index), *fields]) if args.nbest > 1 else "\t".join(fields)
