"""How to translate: by beam search or by sampling.

N batch.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from nlp_rnn.decoding import Hypothesis, beam_search, sample, seeded
from nlp_rnn.decoding.beam import check_length_penalty
from nlp_rnn.decoding.constraints import Constraints
from nlp_rnn.decoding.protocol import MOST
from nlp_rnn.decoding.truncation import Draw
from nlp_rnn.errors import InputError, require
from nlp_rnn.models.ensemble import Ensemble
from nlp_rnn.models.seq2seq import Seq2Seq
from nlp_rnn.modules.rnn import State

__all__ = ["BeamSearch", "Sampling"]


@dataclass(frozen=True, kw_only=True)
class BeamSearch:
    """How to search for the best translation; ``beam_size=1`` is greedy search.

    Args:
        beam_size: hypotheses kept per sentence.
        length_penalty: alpha of Wu et al. 2016, eq. 14; 0 prefers short output.
        nbest: translations returned per sentence, at most ``beam_size``.
        min_length_ratio: least target tokens per source token.
        max_length_ratio: most target tokens per source token, 10 more are always allowed.
        no_repeat_ngram_size: n-grams that may occur only once; 0 allows all.
        repetition_penalty: above 1 discourages tokens already used (Keskar et al. 2019); it is
            stronger in an ensemble, all of whose scores are below 0.

    Raises:
        InputError: a value out of range.
    """

    beam_size: int = 5
    length_penalty: float = 1.0
    nbest: int = 1
    min_length_ratio: float = 0.0
    max_length_ratio: float = 2.0
    no_repeat_ngram_size: int = 0
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.beam_size <= MOST:
            raise InputError(f"beam_size is {self.beam_size}: give 1 (greedy) to {MOST}")
        if not 1 <= self.nbest <= self.beam_size:
            raise InputError(
                f"nbest is {self.nbest}: give 1 to beam_size, which is {self.beam_size}"
            )
        _check_most(self.max_length_ratio)
        if not 0 <= self.min_length_ratio <= self.max_length_ratio:
            raise InputError(
                f"length ratios are {self.min_length_ratio} to {self.max_length_ratio}: the "
                "minimum must be at least 0 and at most the maximum"
            )
        # Now, not when the first text is decoded and its output is open already.
        check_length_penalty(self.length_penalty)
        Constraints(torch.zeros(1), self.no_repeat_ngram_size, self.repetition_penalty)

    def search(
        self,
        model: Seq2Seq | Ensemble,
        state: State,
        memory: tuple[Tensor, ...],
        lengths: Tensor,
        first: int,  # noqa: ARG002 - for sampling
    ) -> list[list[Hypothesis]]:
        """Find the translations of N encoded sources, the best first."""
        return beam_search(
            model.step,
            state,
            memory,
            beam_size=self.beam_size,
            max_length=_times(lengths, self.max_length_ratio) + 10,
            min_length=_times(lengths, self.min_length_ratio),
            length_penalty=self.length_penalty,
            nbest=self.nbest,
            no_repeat_ngram_size=self.no_repeat_ngram_size,
            repetition_penalty=self.repetition_penalty,
        )


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How to draw translations at random.

    Args:
        seed: the same seed gives the same text for the same call.
        num_samples: translations drawn per sentence.
        temperature: below 1 sharpens, above 1 flattens.
        top_k: draw from the k likeliest tokens; 0 from all.
        top_p: draw from the smallest set with this probability (Holtzman et al. 2020).
        min_p: drop tokens less likely than this share of the likeliest (Nguyen et al. 2024).
        max_length_ratio: most target tokens per source token, 10 more are always allowed.

    Raises:
        InputError: a value out of range.
    """

    seed: int = 0
    num_samples: int = 1
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    max_length_ratio: float = 2.0

    def __post_init__(self) -> None:
        _check_most(self.max_length_ratio)
        seeded(self.seed, torch.device("cpu"))
        require(1 <= self.num_samples <= MOST, f"num_samples={self.num_samples}", f"1 to {MOST}")
        self._draw(None)

    def search(
        self,
        model: Seq2Seq | Ensemble,
        state: State,
        memory: tuple[Tensor, ...],
        lengths: Tensor,
        first: int,
    ) -> list[list[Hypothesis]]:
        """Draw translations of N encoded sources, ``first`` of which came in earlier batches."""
        generator = seeded((self.seed + first) % 2**64, lengths.device)
        return sample(
            model.step,
            state,
            memory,
            max_length=_times(lengths, self.max_length_ratio) + 10,
            num_samples=self.num_samples,
            draw=self._draw(generator),
        )

    def _draw(self, generator: torch.Generator | None) -> Draw:
        return Draw(
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
            generator=generator,
        )


def _check_most(ratio: float) -> None:
    require(0 < ratio <= 1000, f"max_length_ratio={ratio}", "a number above 0, and at most 1000")


def _times(lengths: Tensor, ratio: float) -> Tensor:
    """Target tokens for sources of these lengths, end marks left out."""
    return ((lengths - 1) * ratio).long()
