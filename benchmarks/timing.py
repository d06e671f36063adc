"""Timings that can be compared: variants take turns within one run, and what counts is the ratio.

Noise of the machine then hits all variants alike. Seconds of different runs, or of different
machines, are not comparable.
"""

import argparse
import contextlib
import os
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import torch

from nlp_rnn.cli.common import positive
from nlp_rnn.cpu import CPUINFO, cpu_flags, has_bf16, tune_cpu
from nlp_rnn.errors import InputError

__all__ = [
    "PRECISIONS",
    "add_dataset",
    "arguments",
    "comparison_arguments",
    "machine",
    "matmul_rates",
    "parse",
    "precision",
    "print_table",
    "products",
    "ratio",
    "run_script",
    "take_turns",
]

SIZES = (1024, 1536, 2048)
"""Of square products."""

PRECISIONS = ("highest", "medium", "bf16")


def arguments(description: str) -> argparse.ArgumentParser:
    """A parser with what all benchmarks take."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--threads", type=positive, default=torch.get_num_threads())
    return parser


def add_dataset(parser: argparse.ArgumentParser, default: str = "phrasebook") -> None:
    """The option of those that read one."""
    parser.add_argument(
        "--dataset",
        default=default,
        help="a Hub id, a local folder with its splits, or a built-in corpus",
    )


def comparison_arguments(description: str, *, rounds: int) -> argparse.ArgumentParser:
    """A parser with what all comparisons take."""
    parser = arguments(description)
    parser.add_argument(
        "--rounds", type=positive, default=rounds, help="times that variants take turns"
    )
    parser.add_argument(
        "--precisions",
        nargs="+",
        choices=PRECISIONS,
        default=["highest", "medium", *(["bf16"] if has_bf16() else [])],
        help="of fp32 products, as torch.set_float32_matmul_precision names them, or bf16 "
        "autocast; where the CPU lacks instructions for bf16 it takes dozens of times as long",
    )
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The options of a comparison, which needs fp32 to compare with."""
    options = parser.parse_args()
    if set(options.precisions) == {"bf16"}:
        parser.error("--precisions bf16 has nothing to compare with: give highest or medium, too")
    return options


def run_script(main: Callable[[], None]) -> None:
    """Run a script; a user's mistake ends it with one line and exit code 2."""
    try:
        main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def machine(threads: int) -> str:
    """What the numbers were measured on; also sets up the process as the product's commands do."""
    torch.set_num_threads(threads)
    tune_cpu()
    found = re.search(r"model name\s*:\s*(.+)", _cpuinfo())
    flags = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in cpu_flags()]
    return (
        f"{found[1] if found else platform.processor() or platform.machine()}, "
        f"{os.cpu_count()} cores, {threads} threads, torch {torch.__version__} using "
        f"{torch.backends.cpu.get_cpu_capability()}; "
        f"bf16 in hardware: {'yes' if has_bf16() else 'no, left out'} ({' '.join(flags)})"
    )


@contextlib.contextmanager
def products(name: str) -> Iterator[None]:
    """fp32 products under ``torch.set_float32_matmul_precision(name)``, or its default for bf16.

    For what chooses bf16 itself: within an autocast of ours it would find the weights rounded
    already, which is a part of its work.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest" if name == "bf16" else name)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@contextlib.contextmanager
def precision(name: str) -> Iterator[None]:
    """`products`, and autocast for ``bf16``.

    For one training step: autocast keeps the weights that it has rounded until the end, so that a
    second step in the same block would read those of the first.
    """
    with products(name), torch.autocast("cpu", torch.bfloat16, enabled=name == "bf16"):
        yield


def take_turns(
    variants: Mapping[str, Callable[[], object]], *, rounds: int
) -> dict[str, list[float]]:
    """Seconds of every variant in every round, after one round that warms up."""
    for run in variants.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, run in variants.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """How many times as long ``slow`` takes: the median over rounds, each compared with itself."""
    return statistics.median(first / second for first, second in zip(slow, fast))


def matmul_rates(names: Sequence[str], *, repeats: int = 5) -> dict[str, float]:
    """FLOP/s of the best of some square products, under each precision."""
    best = dict.fromkeys(names, 0.0)
    for size in SIZES:
        for name in names:
            dtype = torch.bfloat16 if name == "bf16" else torch.float32
            left, right = torch.randn(2, size, size).to(dtype)
            with precision(name), torch.inference_mode():
                torch.mm(left, right)
                for _ in range(repeats):
                    start = time.perf_counter()
                    torch.mm(left, right)
                    rate = 2 * size**3 / (time.perf_counter() - start)
                    best[name] = max(best[name], rate)
    return best


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns, words to the left and numbers to the right; an empty cell is either."""
    cells = [list(map(str, header))] + [
        [_number(cell) if isinstance(cell, float) else str(cell) for cell in row] for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells)]
    numeric = [
        all(cell == "" or isinstance(cell, (int, float)) for cell in column)
        for column in zip(*rows)
    ]
    for row in cells:
        print(
            "  ".join(
                cell.rjust(width) if number else cell.ljust(width)
                for cell, width, number in zip(row, widths, numeric)
            ).rstrip()
        )
    print()


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _cpuinfo() -> str:
    return CPUINFO.read_text() if CPUINFO.exists() else ""
