"""Beam search: keep the K best beginnings of each sentence, until no one can win any more.

Shapes: N sentences (M of them left), K hypotheses a sentence, V vocabulary, T tokens so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import count

import torch
from torch import Tensor

from nlp_rnn.data.tokenizer import EOS
from nlp_rnn.decoding.constraints import Constraints
from nlp_rnn.decoding.protocol import (
    Hypothesis,
    Step,
    first_tokens,
    per_sentence,
    rows_to_keep,
    spread,
)
from nlp_rnn.errors import require

__all__ = ["beam_search", "check_length_penalty"]


@torch.no_grad()
def beam_search(
    step: Step,
    state: tuple[Tensor, ...],
    memory: tuple[Tensor, ...] = (),
    *,
    beam_size: int,
    max_length: int | Tensor,
    min_length: int | Tensor = 0,
    length_penalty: float = 1.0,
    nbest: int = 1,
    start: Tensor | None = None,
    no_repeat_ngram_size: int = 0,
    repetition_penalty: float = 1.0,
    must_end: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> list[list[Hypothesis]]:
    """Search for the sequences of the highest score, K beginnings at a time.

    The score is the log-probability over ((5 + length) / 6) ** `length_penalty`, where the length
    counts EOS (Wu et al. 2016, eq. 14, without coverage). An extension that ranks among the K best
    and ends is finished; the K best that go on stay in the beam. A sentence is done as soon as K
    hypotheses are finished, or none that goes on can still be among the `nbest`: log-probabilities
    only fall, so the most a beginning can reach is its log-probability over the penalty of
    `max_length`. One hypothesis is therefore greedy search, and a beam that holds every sequence
    is exhaustive search. The first step is that of one hypothesis, as all begin alike.

    Args:
        step: see `Step`.
        state: at least one tensor, each (N, 1, ...).
        memory: tensors that each lead with N, never copied K times; `step` gets a plain tuple.
        beam_size: K.
        max_length: most steps a sentence takes, EOS included, as a number or (N,). What reaches it
            is finished without EOS.
        min_length: tokens before EOS may come, as a number or (N,).
        length_penalty: exponent, 0 to 10; 0 ranks by log-probability alone.
        nbest: hypotheses to return of each sentence, at most `beam_size`.
        start: (N,) first tokens fed, BOS if None; no part of the output.
        no_repeat_ngram_size: no n-gram of this size comes twice in the output; 0 turns it off.
        repetition_penalty: over 1 discourages tokens the output already has (CTRL, Keskar et al.
            2019); 1 turns it off.
        must_end: says which hypotheses (M, K) are over, of their tokens (M, K, T) so far and the
            numbers (M,) of their sentences.

    Returns:
        N lists of `nbest` hypotheses, best first; fewer where no more sequences exist.

    Raises:
        InputError: an option is out of range.
    """
    require(beam_size >= 1, f"beam_size={beam_size}", "beam_size >= 1")
    require(1 <= nbest <= beam_size, f"nbest={nbest}", f"1 <= nbest <= beam_size={beam_size}")
    check_length_penalty(length_penalty)
    limit = per_sentence("max_length", max_length, state, least=1)
    shortest = per_sentence("min_length", min_length, state, least=0)
    constraints = Constraints(shortest, no_repeat_ngram_size, repetition_penalty, must_end)

    found: list[list[Hypothesis]] = [[] for _ in range(state[0].size(0))]
    sentences = torch.arange(len(found), device=state[0].device)  # (M,)
    tokens = first_tokens(start, state)  # (M, 1), from the second step on (M, K)
    memory = tuple(memory)
    history = tokens.new_empty(len(found), beam_size, 0)  # (M, K, T)
    log_probs = torch.zeros(len(found), beam_size, device=tokens.device)  # (M, K), best first
    log_probs[:, 1:] = -math.inf  # K equal beginnings would find everything K times
    top = log_probs.new_full((len(found), nbest), -math.inf)  # (M, nbest) best finished scores
    ended = torch.zeros_like(sentences)  # (M,) how many are finished
    ceiling = ((5 + limit) / 6) ** length_penalty  # (M,)

    for t in count(1):
        if not sentences.numel():
            break
        # The best extensions. 2K of them: at most K end, so that K are left to go on.
        logits, state = step(tokens, state, memory)
        if t == 1:  # of one beginning; a twelfth of the work, where translations have 12 tokens
            logits, *parts = spread((logits, *state), beam_size)
            state = tuple(parts)
        vocab_size = logits.size(-1)
        extended = constraints.log_probs(logits, history, sentences).add_(log_probs[..., None])
        best, index = extended.flatten(1).topk(2 * beam_size)  # (M, 2K)
        beam, tokens = index // vocab_size, index % vocab_size
        ends = (tokens == EOS) | (t >= limit)[:, None]

        # Those that end among the K best are finished.
        finished = (ends & (best > -math.inf))[:, :beam_size]
        rows, slots = finished.nonzero(as_tuple=True)
        if rows.numel():
            scores = best[:, :beam_size] / ((5 + t) / 6) ** length_penalty
            top = torch.cat([top, scores.masked_fill(~finished, -math.inf)], 1).topk(nbest)[0]
            ended = ended + finished.sum(1)
            last = tokens[rows, slots, None]
            words = torch.cat([history[rows, beam[rows, slots]], last], -1)
            for sentence, ids, log_prob, score in zip(
                sentences[rows].tolist(),
                words.tolist(),
                best[rows, slots].tolist(),
                scores[rows, slots].tolist(),
            ):
                ids = ids[:-1] if ids[-1] == EOS else ids
                found[sentence].append(Hypothesis(ids, log_prob, score))

        # The K best of the others go on, unless their sentence is done.
        log_probs, slots = best.masked_fill(ends, -math.inf).topk(beam_size)
        beam, tokens = beam.gather(1, slots), tokens.gather(1, slots)
        prefix = history.gather(1, beam[..., None].expand(-1, -1, t - 1))
        history = torch.cat([prefix, tokens[..., None]], -1)
        best_left = log_probs[:, 0]  # -inf where none is left; over a ceiling of inf that is NaN
        done = (best_left == -math.inf) | (best_left / ceiling <= top[:, -1]) | (ended >= beam_size)
        log_probs = log_probs.masked_fill(done[:, None], -math.inf)

        # The state follows its beam; done sentences leave.
        index = beam + beam_size * torch.arange(len(beam), device=beam.device)[:, None]
        keep = rows_to_keep(~done)
        if keep is not None:
            sentences, tokens, history, log_probs, top, ended, limit, ceiling, index = (
                part[keep]
                for part in (
                    sentences, tokens, history, log_probs, top, ended, limit, ceiling, index
                )
            )  # fmt: skip
            memory = tuple(part[keep] for part in memory)
            constraints = constraints.rows(keep)
        state = tuple(
            part.flatten(0, 1).index_select(0, index.flatten()).view(*index.shape, *part.shape[2:])
            for part in state
        )

    return [sorted(hyps, key=lambda hyp: hyp.score, reverse=True)[:nbest] for hyps in found]


def check_length_penalty(penalty: float) -> None:
    """Raise unless scores of long output stay numbers that differ.

    Raises:
        InputError: a penalty out of range.
    """
    require(0 <= penalty <= 10, f"length_penalty={penalty}", "0 (off) to 10")
