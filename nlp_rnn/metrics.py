"""Translation quality by sacreBLEU, with the signature that makes a figure comparable."""

from collections.abc import Sequence
from typing import NamedTuple

from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER
from sacrebleu.significance import PairedTest, Result

__all__ = ["Comparison", "Score", "bleu_tokenizer", "compare_systems", "translation_scores"]

_TOKENIZERS = {
    **dict.fromkeys(("zh", "zho", "chi", "cmn", "yue"), "zh"),
    **dict.fromkeys(("ja", "jpn"), "ja-mecab"),
    **dict.fromkeys(("ko", "kor"), "ko-mecab"),
    # Written without spaces between words, for which sacreBLEU has no tokenizer of their own.
    **dict.fromkeys(("th", "tha", "lo", "lao", "km", "khm", "my", "mya", "bur"), "char"),
}


class Score(NamedTuple):
    """One corpus metric.

    Attributes:
        name: key for logs, e.g. ``bleu``.
        title: for people, e.g. ``BLEU (cased)``.
        value: in percent.
        signature: sacreBLEU's own record of how it was computed (Post 2018).
    """

    name: str
    title: str
    value: float
    signature: str


class Comparison(NamedTuple):
    """One corpus metric of two systems.

    Attributes:
        title: for people, e.g. ``BLEU (cased)``.
        baseline: the first system, in percent.
        system: the second.
        p_value: how often chance alone gives a difference as large (Koehn 2004).
        signature: sacreBLEU's own record, with seed and number of resamples.
    """

    title: str
    baseline: float
    system: float
    p_value: float
    signature: str


def bleu_tokenizer(language: str) -> str:
    """What sacreBLEU calls a language's tokenizer.

    ``zh``, ``ja-mecab``, ``ko-mecab``, ``char`` for Thai, Lao, Khmer and Burmese, else ``13a``.
    """
    base = language.replace("-", "_").split("_")[0].lower()
    return _TOKENIZERS.get(base, "13a")


def translation_scores(
    hypotheses: Sequence[str], references: Sequence[str], *, language: str
) -> list[Score]:
    """Cased and lower-cased detokenised BLEU, chrF and TER of one system.

    Args:
        hypotheses: a translation per line.
        references: the raw reference per line.
        language: target language or locale; it chooses the BLEU tokenizer.
    """
    scores = []
    for name, title, metric in _metrics(language):
        value = metric.corpus_score(list(hypotheses), [list(references)]).score
        scores.append(Score(name, title, value, str(metric.get_signature())))
    return scores


def compare_systems(
    baseline: Sequence[str], system: Sequence[str], references: Sequence[str], *, language: str
) -> list[Comparison]:
    """Paired bootstrap resampling of two systems with 1000 resamples (Koehn 2004).

    Args:
        baseline: a translation per line.
        system: the other system's.
        references: the raw reference per line.
        language: target language or locale; it chooses the BLEU tokenizer.
    """
    systems: list[tuple[str, Sequence[str]]] = [("baseline", baseline), ("system", system)]
    comparisons = []
    for name, title, metric in _metrics(language):
        # One test a metric: sacreBLEU files both kinds of BLEU under the same name.
        test = PairedTest(systems, {name: metric}, [list(references)], "bs", n_samples=1000)
        signatures, columns = test()
        first, second = (each for each in columns.popitem()[1] if isinstance(each, Result))
        # Of equal systems, or a single line, sacreBLEU says p = 0.001: no resample differs more.
        chance = first.score == second.score or len(references) == 1
        p_value = 1.0 if chance else float(second.p_value or 0.0)
        comparisons.append(
            Comparison(title, first.score, second.score, p_value, str(signatures.popitem()[1]))
        )
    return comparisons


def _metrics(language: str) -> list[tuple[str, str, Metric]]:
    tokenizer = bleu_tokenizer(language)
    # Without its own spaces a sentence would be one word.
    unspaced = tokenizer in ("zh", "ja-mecab")
    return [
        ("bleu", "BLEU (cased)", BLEU(tokenize=tokenizer)),
        ("bleu_lc", "BLEU (lower-cased)", BLEU(tokenize=tokenizer, lowercase=True)),
        ("chrf", "chrF", CHRF()),
        ("ter", "TER (lower is better)", TER(normalized=unspaced, asian_support=unspaced)),
    ]
