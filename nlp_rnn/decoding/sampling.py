"""One token at a time, never taken back: sampling, whole or as a stream.

Shapes: N sentences, K samples a sentence, V vocabulary, T tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import torch
from torch import Tensor

from nlp_rnn.data.tokenizer import EOS, PAD
from nlp_rnn.decoding.constraints import Constraints
from nlp_rnn.decoding.protocol import (
    Hypothesis,
    Step,
    first_tokens,
    per_sentence,
    rows_to_keep,
    spread,
)
from nlp_rnn.decoding.truncation import Draw
from nlp_rnn.errors import require

__all__ = ["sample", "seeded", "stream"]


def seeded(seed: int, device: torch.device) -> torch.Generator:
    """The source of randomness of a seed.

    Raises:
        InputError: a seed that does not fit into 64 bits.
    """
    require(-(2**63) <= seed < 2**64, f"seed {seed}", "a number of 64 bits")
    return torch.Generator(device).manual_seed(seed)


def sample(
    step: Step,
    state: tuple[Tensor, ...],
    memory: tuple[Tensor, ...] = (),
    *,
    max_length: int | Tensor,
    min_length: int | Tensor = 0,
    num_samples: int = 1,
    draw: Draw = Draw(),
    start: Tensor | None = None,
    no_repeat_ngram_size: int = 0,
    repetition_penalty: float = 1.0,
    must_end: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> list[list[Hypothesis]]:
    """Draw every token from the model's distribution, sharpened and truncated as asked.

    Args:
        step: see `Step`.
        state: at least one tensor, each (N, 1, ...).
        memory: tensors that each lead with N; `step` gets a plain tuple.
        max_length: most steps a sentence takes, EOS included, as a number or (N,). What reaches it
            is finished without EOS.
        min_length: tokens before EOS may come, as a number or (N,).
        num_samples: K, independent samples of each sentence.
        draw: how a token is picked; the same seed of its generator and the same batch give the
            same samples.
        start: (N,) first tokens fed, BOS if None; no part of the output.
        no_repeat_ngram_size: no n-gram of this size comes twice in the output; 0 turns it off.
        repetition_penalty: over 1 discourages tokens the output already has (CTRL, Keskar et al.
            2019); 1 turns it off.
        must_end: says which samples (M, K) are over, of their tokens (M, K, T) so far and the
            numbers (M,) of their sentences.

    Returns:
        N lists of K hypotheses, in the order drawn.

    Raises:
        InputError: an option is out of range.
    """
    require(num_samples >= 1, f"num_samples={num_samples}", "num_samples >= 1")
    limit = per_sentence("max_length", max_length, state, least=1)
    shortest = per_sentence("min_length", min_length, state, least=0)
    constraints = Constraints(shortest, no_repeat_ngram_size, repetition_penalty, must_end)
    tokens, *state_list = spread((first_tokens(start, state), *state), num_samples)
    return _collect(
        _unroll(step, tokens, tuple(state_list), memory, draw, constraints, limit), tokens
    )


def stream(
    step: Step,
    state: tuple[Tensor, ...],
    memory: tuple[Tensor, ...] = (),
    *,
    max_length: int,
    min_length: int = 0,
    draw: Draw = Draw(),
    start: Tensor | None = None,
    no_repeat_ngram_size: int = 0,
    repetition_penalty: float = 1.0,
) -> Iterator[int]:
    """Sample one sentence and hand out each token as soon as it is drawn.

    Takes the arguments of `sample` with N = 1; `Draw(top_k=1)` streams that of greedy search.

    Returns:
        An iterator over ids, without EOS.

    Raises:
        InputError: an option is out of range.
    """
    limit = per_sentence("max_length", max_length, state, least=1)
    shortest = per_sentence("min_length", min_length, state, least=0)
    constraints = Constraints(shortest, no_repeat_ngram_size, repetition_penalty)
    steps = _unroll(step, first_tokens(start, state), state, memory, draw, constraints, limit)
    return (token for _, tokens, _ in steps if (token := int(tokens)) != EOS)


@torch.no_grad()
def _unroll(
    step: Step,
    tokens: Tensor,
    state: tuple[Tensor, ...],
    memory: tuple[Tensor, ...],
    draw: Draw,
    constraints: Constraints,
    limit: Tensor,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield, for each step, who is left and what they got.

    Yields:
        The sentences (M,) still in the batch, their new tokens (M, K), PAD for hypotheses that
        were finished before, and the log-probabilities (M, K) of these tokens.
    """
    sentences = torch.arange(tokens.size(0), device=tokens.device)
    alive = torch.ones_like(tokens, dtype=torch.bool)
    history = tokens.new_empty(*tokens.shape, 0)
    memory = tuple(memory)  # the same kind before and after rows have left
    for t in count(1):
        if not sentences.numel():
            return
        logits, state = step(tokens, state, memory)
        log_probs = constraints.log_probs(logits, history, sentences)
        tokens = draw(log_probs)
        gained = log_probs.gather(-1, tokens[..., None]).squeeze(-1)
        tokens = tokens.where(alive, PAD)
        yield sentences, tokens, gained.where(alive, 0.0)

        history = torch.cat([history, tokens[..., None]], -1)
        alive = alive & (tokens != EOS) & (t < limit)[:, None]
        keep = rows_to_keep(alive.any(1))
        if keep is not None:
            sentences, tokens, alive, history, limit = (
                part[keep] for part in (sentences, tokens, alive, history, limit)
            )
            state = tuple(part[keep] for part in state)
            memory = tuple(part[keep] for part in memory)
            constraints = constraints.rows(keep)


def _collect(
    steps: Iterator[tuple[Tensor, Tensor, Tensor]], like: Tensor
) -> list[list[Hypothesis]]:
    """Run an unrolled search to its end and bring it into the order of the N sentences.

    Args:
        steps: what `_unroll` yields.
        like: (N, K) token ids, for their shape and device.
    """
    log_probs = torch.zeros(like.shape, device=like.device)
    columns = []
    for sentences, tokens, gained in steps:
        column = torch.full_like(like, PAD)
        column[sentences] = tokens
        log_probs[sentences] += gained
        columns.append(column)
    if not columns:
        return []
    history = torch.stack(columns, -1)  # (N, K, T)
    lengths = ((history != PAD) & (history != EOS)).sum(-1).tolist()
    return [
        [Hypothesis(words[:length], total, total) for words, length, total in zip(*sentence)]
        for sentence in zip(history.tolist(), lengths, log_probs.tolist())
    ]
