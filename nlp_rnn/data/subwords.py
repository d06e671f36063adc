"""Subword sampling: unigram lattices and BPE-dropout with a seed that holds.

SentencePiece samples too, but its seed is mixed with a salt of the process (0.2.3) or ignored for
single strings (0.2.1): a run that is killed and resumed would read other subwords.
"""

from __future__ import annotations

import math
import random
import re
from bisect import bisect
from functools import lru_cache
from heapq import heappop, heappush
from itertools import accumulate, groupby
from typing import NamedTuple

from sentencepiece import SentencePieceProcessor

from nlp_rnn.errors import InputError, require

__all__ = ["SubwordSampler", "check_sampling"]

# Pieces never reach over a space, which SentencePiece writes as ▁ at the start of a word: so a
# text is sampled word by word, and what was worked out for a word serves its next occurrence.
_WORD = "▁?[^▁]+|▁"
_UNKNOWN_PENALTY = 10.0  # SentencePiece's: an unknown character scores this below the worst piece
_CACHED_WORDS = 2**14  # about 4 kB each
_CACHED_LENGTH = 40  # text without spaces is one long word, which never comes back


def check_sampling(alpha: float, model_type: str) -> None:
    """Refuse what no sampler takes; 0 is off.

    Raises:
        InputError: a rate of BPE-dropout that is none, an exponent below 0, or characters.
    """
    most, wanted = (1.0, "0 (off) to 1") if model_type == "bpe" else (math.inf, "0 (off) or more")
    require(0 <= alpha <= most, f"subword_sampling {alpha}", wanted)
    if alpha and model_type == "char":
        raise InputError(
            f"subword_sampling {alpha}: characters spell a text in one way; leave it out, or give "
            "tokenizer unigram or bpe"
        )


class _Arcs(NamedTuple):
    """The pieces that may end at one place of a word, with their cumulated probabilities."""

    options: list[tuple[int, list[int]]]  # where the piece starts, its ids
    cumulated: list[float]


class SubwordSampler:
    """Samples segmentations of text under a SentencePiece model.

    A unigram model samples in proportion to P(segmentation)^alpha over all segmentations (subword
    regularization, Kudo, 2018). A BPE model drops merges with probability alpha, anew at every
    step (BPE-dropout, Provilkov et al., 2020, algorithm 1; SentencePiece drops them for good, which
    at a rate of 0.1 makes about twice as many more pieces). A char model has one segmentation, and
    gives it. A word that was to have a piece of its own is never cut.
    """

    def __init__(self, model: SentencePieceProcessor) -> None:
        self._model = model
        special = (model.is_control, model.is_unknown, model.is_unused, model.is_byte)
        ids = [i for i in range(model.get_piece_size()) if not any(test(i) for test in special)]
        self._ids = {model.id_to_piece(i): [i] for i in ids}
        self._scores = {model.id_to_piece(i): model.get_score(i) for i in ids}
        self._longest = max(map(len, self._ids))
        self._unknown = model.unk_id()
        self._unknown_score = min(self._scores.values()) - _UNKNOWN_PENALTY
        self._unigram = _is_unigram(model)
        # A whole word scores 0, as does the first merge of BPE, whose id comes after theirs.
        whole = [piece for piece, score in self._scores.items() if score == 0]
        if not self._unigram and max(map(len, self._ids.keys() - whole), default=1) > 1:
            whole.pop()
        self._whole = frozenset(whole)
        longest_first = sorted(map(re.escape, whole), key=len, reverse=True)
        self._words = re.compile("|".join([*longest_first, _WORD]))
        self._arcs = lru_cache(_CACHED_WORDS)(self._find_arcs)

    def sample(self, text: str, *, alpha: float, rng: random.Random) -> list[int]:
        """Ids of one sampled segmentation; the draws come from `rng` alone."""
        walk = self._walk if self._unigram else self._merge
        words = self._words.findall(self._model.normalize(text))
        ids = [
            i
            for word in words
            for i in (self._ids[word] if word in self._whole else walk(word, alpha, rng))
        ]
        if self._unknown not in ids:
            return ids
        # A run of unknown characters is one id, as in encode.
        return [i for key, run in groupby(ids) for i in ([key] if key == self._unknown else run)]

    def _walk(self, word: str, alpha: float, rng: random.Random) -> list[int]:
        """Walks the word's lattice from its end to its start."""
        find = self._arcs if len(word) <= _CACHED_LENGTH else self._find_arcs
        arcs, end, pieces = find(word, alpha), len(word), []
        while end:
            options, cumulated = arcs[end]
            chosen = bisect(cumulated, rng.random() * cumulated[-1], hi=len(options) - 1)
            end, ids = options[chosen]
            pieces.append(ids)
        return [i for ids in reversed(pieces) for i in ids]

    def _find_arcs(self, word: str, alpha: float) -> list[_Arcs]:
        """Forward pass: at every place, the probabilities of the piece that ends there."""
        reach = [0.0]  # log of the summed weights of all segmentations of word[:end]
        arcs = [_Arcs([], [])]
        for end in range(1, len(word) + 1):
            options, weights = [], []
            for start in range(max(0, end - self._longest), end):
                piece = word[start:end]
                if (score := self._scores.get(piece)) is not None:
                    options.append((start, self._ids[piece]))
                    weights.append(reach[start] + alpha * score)
            if word[end - 1] not in self._scores:
                options.append((end - 1, self._spell(word[end - 1])))
                weights.append(reach[end - 1] + alpha * self._unknown_score)
            highest = max(weights)
            cumulated = list(accumulate(math.exp(weight - highest) for weight in weights))
            reach.append(highest + math.log(cumulated[-1]))
            arcs.append(_Arcs(options, cumulated))
        return arcs

    def _merge(self, word: str, alpha: float, rng: random.Random) -> list[int]:
        """Merges the best pair of neighbours first; each step drops some with probability alpha."""
        pieces = list(word)  # "" once merged into the piece on the left
        left = list(range(-1, len(word) - 1))
        right = list(range(1, len(word) + 1))
        queue: list[tuple[float, int, str]] = []
        dropped: list[tuple[float, int, str]] = []  # at this step

        def offer(at: int) -> None:
            if at >= 0 and right[at] < len(word):
                pair = pieces[at] + pieces[right[at]]
                if pair in self._scores:
                    heappush(queue, (-self._scores[pair], at, pair))

        for at in range(len(word)):
            offer(at)
        while queue:
            best = heappop(queue)
            _, at, pair = best
            other = right[at]
            if not pieces[at] or other == len(word) or pieces[at] + pieces[other] != pair:
                continue  # one of the two has been merged with another
            if rng.random() < alpha:
                dropped.append(best)
                continue
            pieces[at], pieces[other], right[at] = pair, "", right[other]
            if right[at] < len(word):
                left[right[at]] = at
            offer(left[at])
            offer(at)
            while dropped:
                heappush(queue, dropped.pop())
        return [
            i
            for piece in filter(None, pieces)
            for i in (self._ids.get(piece) or self._spell(piece))
        ]

    def _spell(self, character: str) -> list[int]:
        """An unknown character: its bytes where the model has them, else the unknown id."""
        return [self._model.piece_to_id(f"<0x{byte:02X}>") for byte in character.encode()]


def _is_unigram(model: SentencePieceProcessor) -> bool:
    """Only unigram models rank segmentations; the others raise (0.2.3) or give none (0.2.1)."""
    try:
        return bool(model.nbest_encode("a", nbest_size=1))
    except RuntimeError:
        return False
