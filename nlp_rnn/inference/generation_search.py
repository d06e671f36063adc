"""How to continue a text: by sampling or by beam search.

N texts, L layers, H hidden.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nlp_rnn.decoding import Draw, Hypothesis, Step, beam_search, sample, seeded, stream
from nlp_rnn.decoding.protocol import MOST
from nlp_rnn.errors import check_list, require
from nlp_rnn.modules.rnn import State

__all__ = ["TextBeamSearch", "TextSampling"]


@dataclass(frozen=True, kw_only=True)
class TextSampling:
    """How to draw a continuation.

    Args:
        max_tokens: most tokens of it.
        min_tokens: least tokens of it, unless ``stop`` ends it before.
        num_samples: continuations of each prompt.
        seed: the same seed gives the same texts for the same call; texts of one call share it.
        temperature: below 1 sharpens, above 1 flattens.
        top_k: draw from the k likeliest tokens; 0 from all.
        top_p: draw from the smallest set with this probability (Holtzman et al. 2020).
        min_p: drop tokens less likely than this share of the likeliest (Nguyen et al. 2024).
        typical_p: draw from tokens of typical information (Meister et al. 2023).
        repetition_penalty: above 1 discourages tokens already written (Keskar et al. 2019); those
            of the prompt do not count.
        no_repeat_ngram_size: n-grams that may be written only once, the prompt apart; 0 allows all.
        stop: texts before which the continuation ends; where a backward model reads to the left,
            behind which it begins.

    Raises:
        InputError: ``stop`` is a text instead of a list of them; when used, a value out of range.
    """

    max_tokens: int = 200
    min_tokens: int = 0
    num_samples: int = 1
    seed: int = 0
    temperature: float = 0.8
    top_k: int = 0
    top_p: float = 0.95
    min_p: float = 0.0
    typical_p: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    stop: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_list("stop", self.stop)

    def search(
        self,
        step: Step,
        state: State,
        start: Tensor,
        must_end: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> list[list[Hypothesis]]:
        """Draw the continuations of states, which lead with (N, 1), and last tokens (N,)."""
        _check_lengths(self)
        require(1 <= self.num_samples <= MOST, f"num_samples={self.num_samples}", f"1 to {MOST}")
        return sample(
            step,
            state,
            start=start,
            max_length=self.max_tokens,
            min_length=self.min_tokens,
            num_samples=self.num_samples,
            draw=self._draw(start.device),
            no_repeat_ngram_size=self.no_repeat_ngram_size,
            repetition_penalty=self.repetition_penalty,
            must_end=must_end,
        )

    def stream(self, step: Step, state: State, start: Tensor) -> Iterator[int]:
        """The ids of one continuation, each as soon as it is drawn."""
        _check_lengths(self)
        require(self.num_samples == 1, f"num_samples={self.num_samples}", "1 in a stream")
        return stream(
            step,
            state,
            start=start,
            max_length=self.max_tokens,
            min_length=self.min_tokens,
            draw=self._draw(start.device),
            no_repeat_ngram_size=self.no_repeat_ngram_size,
            repetition_penalty=self.repetition_penalty,
        )

    def _draw(self, device: torch.device) -> Draw:
        return Draw(
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
            typical_p=self.typical_p,
            generator=seeded(self.seed, device),
        )


@dataclass(frozen=True, kw_only=True)
class TextBeamSearch:
    """How to search for the likeliest continuations.

    Args:
        max_tokens: most tokens of one.
        min_tokens: least tokens of one, unless ``stop`` ends it before.
        beam_size: continuations in the running; 1 is greedy.
        num_samples: continuations of each prompt, at most ``beam_size``.
        length_penalty: alpha of Wu et al. 2016; 0 prefers short ones.
        repetition_penalty: above 1 discourages tokens already written (Keskar et al. 2019); those
            of the prompt do not count.
        no_repeat_ngram_size: n-grams that may be written only once, the prompt apart; 0 allows all.
        stop: texts before which the continuation ends; they count in the ranking.

    Raises:
        InputError: ``stop`` is a text instead of a list of them; when used, a value out of range.
    """

    max_tokens: int = 200
    min_tokens: int = 0
    beam_size: int = 5
    num_samples: int = 1
    length_penalty: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    stop: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_list("stop", self.stop)

    def search(
        self,
        step: Step,
        state: State,
        start: Tensor,
        must_end: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> list[list[Hypothesis]]:
        """The best continuations of states, which lead with (N, 1), and last tokens (N,)."""
        _check_lengths(self)
        require(1 <= self.beam_size <= MOST, f"beam_size={self.beam_size}", f"1 to {MOST}")
        require(
            1 <= self.num_samples <= self.beam_size,
            f"num_samples={self.num_samples}",
            f"1 <= num_samples <= beam_size={self.beam_size}",
        )
        return beam_search(
            step,
            state,
            start=start,
            max_length=self.max_tokens,
            min_length=self.min_tokens,
            beam_size=self.beam_size,
            nbest=self.num_samples,
            length_penalty=self.length_penalty,
            repetition_penalty=self.repetition_penalty,
            no_repeat_ngram_size=self.no_repeat_ngram_size,
            must_end=must_end,
        )


def _check_lengths(search: TextSampling | TextBeamSearch) -> None:
    """Here they have the names that the user gave; decoding calls them ``max_length`` and so on."""
    least, most = search.min_tokens, search.max_tokens
    require(1 <= most < 2**31, f"max_tokens={most}", "1 to two billion")
    require(0 <= least <= most, f"min_tokens={least}", f"0 <= min_tokens <= max_tokens={most}")
