"""Text from a language model: continuations of a prompt, and how likely a text is.

N texts, K samples, T tokens, L layers, H hidden.
"""

import codecs
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, overload

import torch
from torch import Tensor

from nlp_rnn.checkpoint import open_checkpoint
from nlp_rnn.data.batching import pad
from nlp_rnn.data.tokenizer import EOS, UNK
from nlp_rnn.data.words import Vocabulary, WordVocabulary, open_vocabulary
from nlp_rnn.errors import InputError, check_list, require
from nlp_rnn.inference.generation_search import TextBeamSearch, TextSampling
from nlp_rnn.inference.networks import (
    Precision,
    build_network,
    check_device,
    check_precision,
    running,
    unreadable,
)
from nlp_rnn.models.language_model import LanguageModel
from nlp_rnn.modules.rnn import State
from nlp_rnn.modules.softmax import LOGITS

__all__ = ["TextGenerator"]

WINDOW = 256
"""Tokens of a text that are read at a time: memory does not grow with its length."""

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


class TextGenerator:
    """Continues texts and scores them with a language model.

    A model that reads backward continues a prompt to the left: the prompt is the end of the text.

    Args:
        network: the language model.
        vocabulary: text to ids and back.
        direction: in which it reads.
        precision: of matrix products.
    """

    def __init__(
        self,
        network: LanguageModel,
        vocabulary: Vocabulary,
        *,
        direction: Literal["forward", "backward"] = "forward",
        precision: Precision = "fp32",
    ) -> None:
        check_precision(precision, network)
        self.network = network
        self.vocabulary = vocabulary
        self.direction = direction
        self.precision: Precision = precision

    @classmethod
    def from_checkpoint(
        cls,
        path: str | Path,
        *,
        device: str | torch.device = "cpu",
        precision: Precision = "fp32",
    ) -> "TextGenerator":
        """Open a checkpoint.

        Args:
            path: a file written by ``python -m nlp_rnn.tasks.language_model fit``.
            device: where to run.
            precision: of matrix products.

        Raises:
            InputError: a file, device or precision that cannot be used.
        """
        check_device(device)
        checkpoint = open_checkpoint(path, task="language_model")
        with unreadable(path, "language model"):
            network = build_network(LanguageModel, checkpoint, device)
            data = checkpoint["LanguageModelData"]
            vocabulary = open_vocabulary(data["vocabulary"])
            direction = data["direction"]
        size = network.decoder.embedding.num_embeddings
        if vocabulary.vocab_size != size:
            raise InputError(
                f"{path} has a vocabulary of {vocabulary.vocab_size} tokens, but its network has "
                f"{size}: it is no checkpoint that fit wrote"
            )
        return cls(network, vocabulary, direction=direction, precision=precision)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device

    @overload
    def __call__(self, prompt: str, search: TextSampling | TextBeamSearch = ...) -> str: ...  # type: ignore[overload-overlap]

    @overload
    def __call__(
        self, prompt: Sequence[str], search: TextSampling | TextBeamSearch = ...
    ) -> list[str]: ...

    def __call__(
        self,
        prompt: str | Sequence[str] = "",
        search: TextSampling | TextBeamSearch = TextSampling(),
    ) -> str | list[str]:
        """A prompt, or each of a list, with its (first) continuation; "" begins a new text."""
        if isinstance(prompt, str):
            return self.generate([prompt], search)[0][0]
        return [texts[0] for texts in self.generate(prompt, search)]

    def generate(
        self, prompts: Sequence[str], search: TextSampling | TextBeamSearch = TextSampling()
    ) -> list[list[str]]:
        """For every prompt its continuations, prompt included, in the order drawn or ranked.

        Raises:
            InputError: a text instead of a list of them; a value out of range.
        """
        check_list("prompts", prompts)
        prompts = list(prompts)  # read more than once
        if not prompts:
            return []
        ids = [self._ids(prompt) for prompt in prompts]
        with running(self.network, self.precision):
            states = [self._read(each) for each in ids]
            state = tuple(torch.cat(parts).unsqueeze(1) for parts in zip(*states))
            start = torch.tensor([[EOS, *each][-1] for each in ids], device=self.device)
            stops = self._stops(search.stop, prompts, ids)
            found = search.search(self.network.step, state, start, stops)
        return [
            [self._joined(prompt, before, each.tokens, search.stop) for each in hypotheses]
            for prompt, before, hypotheses in zip(prompts, ids, found)
        ]

    def stream(self, prompt: str = "", search: TextSampling = TextSampling()) -> Iterator[str]:
        """A continuation in parts, each as soon as it is drawn; the prompt is not repeated.

        Raises:
            InputError: the model reads backward, so that the first part drawn is the last one; a
                search for several continuations; a value out of range.
        """
        if self._backward:
            raise InputError("a backward model writes from the end: generate the text as a whole")
        ids = self._ids(prompt)
        with running(self.network, self.precision):
            state = tuple(part.unsqueeze(1) for part in self._read(ids))
        start = torch.tensor([[EOS, *ids][-1]], device=self.device)
        drawn = search.stream(self._step, state, start)
        spelt = self._spelt(drawn, begins=not ids, spaced=self._spaced(prompt))
        return _until(spelt, search.stop)

    def log_probs(self, texts: Sequence[str], *, batch_size: int = 64) -> list[list[float]]:
        """Natural log-probability of every token of each text and of its end mark.

        Every text is read alone, from an empty state. Those of a backward model are in the order
        of the text, too, but each is given what stands to the right.

        Raises:
            InputError: a batch size below 1, or a text instead of a list of them.
        """
        check_list("texts", texts)
        texts = list(texts)  # read more than once
        require(batch_size >= 1, f"batch_size={batch_size}", "1 or more")
        ids = [self._ids(text) for text in texts]
        order = sorted(range(len(ids)), key=lambda index: len(ids[index]))
        results: list[list[float]] = [[] for _ in texts]
        for begin in range(0, len(order), batch_size):
            rows = order[begin : begin + batch_size]
            scored = self._score([ids[row] for row in rows]).tolist()
            for row, values in zip(rows, scored):
                length = len(ids[row])
                read = values[:length]
                results[row] = [*(read[::-1] if self._backward else read), values[length]]
        return results

    def pieces(self, text: str) -> list[str]:
        """The tokens that `log_probs` speaks of, the end mark last."""
        ids = self.vocabulary.encode(text)
        return [*self.vocabulary.pieces(ids), "</s>"]

    def unknown(self, text: str) -> list[str]:
        """What the vocabulary cannot spell: words or characters."""
        parts = re.findall(r"\S+|\s", text)
        strange = [part for part in parts if UNK in self.vocabulary.encode(part)]
        if isinstance(self.vocabulary, WordVocabulary):
            return strange
        return [unit for part in strange for unit in part if UNK in self.vocabulary.encode(unit)]

    @property
    def _backward(self) -> bool:
        return self.direction == "backward"

    def _ids(self, text: str) -> list[int]:
        """In the order in which they are read."""
        ids = self.vocabulary.encode(text)
        return ids[::-1] if self._backward else ids

    def _step(
        self, tokens: Tensor, state: State, memory: tuple[Tensor, ...], /
    ) -> tuple[Tensor, State]:
        with running(self.network, self.precision):
            return self.network.step(tokens, state, memory)

    def _read(self, ids: list[int]) -> State:
        """The state of one row before the last token of a prompt, which starts a search."""
        state = self.network.zero_state(1)
        before = torch.tensor([EOS, *ids][:-1], dtype=torch.long, device=self.device).view(1, -1)
        for window in before.split(WINDOW, 1):
            if window.numel():
                _, state = self.network(window, state)
        return state

    def _score(self, ids: list[list[int]]) -> Tensor:
        """Log-probabilities (N, T + 1), zero behind the end marks."""
        inputs, _ = pad([[EOS, *each] for each in ids])
        following, _ = pad([[*each, EOS] for each in ids])
        state = self.network.zero_state(len(ids))
        scored = []
        reach = WINDOW + self.network.arguments["pointer_span"]  # what a pointer may point at
        held = len(ids) * max(self.vocabulary.vocab_size, reach)  # numbers for one token of each
        steps = min(WINDOW, max(1, LOGITS // held))
        with running(self.network, self.precision):
            for window, after in zip(inputs.split(steps, 1), following.split(steps, 1)):
                window, after = window.to(self.device), after.to(self.device)
                reading, state = self.network(window, state)
                scored.append(-self.network.nats(reading, after))
        return torch.cat(scored, 1)

    def _stops(
        self, stop: Sequence[str], prompts: Sequence[str], ids: Sequence[list[int]]
    ) -> Callable[[Tensor, Tensor], Tensor] | None:
        """Tells which continuations (N, K) hold a text to stop at.

        It is given their tokens (N, K, T) and the numbers (N,) of their prompts.
        """
        wanted = [each for each in stop if each]
        if not wanted:
            return None
        # A token is a character or a byte at least, but for a space that begins what is decoded.
        reach = 2 + max(len(each.encode()) for each in wanted)
        spaced = [self._spaced(prompt) for prompt in prompts]

        def stops(tokens: Tensor, sentences: Tensor) -> Tensor:
            begins = tokens.size(-1) <= reach  # what is next to the prompt may have a space there
            found = []
            for number, samples in zip(sentences.tolist(), tokens[..., -reach:].tolist()):
                before = ids[number][-1:] if begins else []
                texts = [
                    self._written(before, drawn, begins and spaced[number]) for drawn in samples
                ]
                found.append([any(each in text for each in wanted) for text in texts])
            return torch.tensor(found, device=tokens.device)

        return stops

    def _written(self, before: list[int], drawn: list[int], spaced: bool) -> str:
        """What the tokens drawn add to those read before."""
        if self._backward:
            read = self.vocabulary.decode(before[::-1])
            left = self.vocabulary.decode([*drawn[::-1], *before[::-1]]).removesuffix(read)
            return left.removesuffix(" ") if spaced else left
        whole = self.vocabulary.decode([*before, *drawn])
        right = whole[len(self.vocabulary.decode(before)) :]
        return right.removeprefix(" ") if spaced else right

    def _joined(self, prompt: str, before: list[int], drawn: list[int], stop: Sequence[str]) -> str:
        """The prompt as it was given, with what was drawn."""
        written = self._written(before, drawn, self._spaced(prompt))
        if self._backward:
            ends = [written.rfind(each) + len(each) for each in stop if each and each in written]
            return written[max(ends, default=0) :] + prompt
        return prompt + "".join(_until([written], stop))

    def _spaced(self, prompt: str) -> bool:
        """Whether the space next to what is written stands in the prompt, but was not read."""
        read = self.vocabulary.decode(self.vocabulary.encode(prompt))
        edge = slice(1) if self._backward else slice(-1, None)
        return prompt[edge].isspace() and not read[edge].isspace()

    def _spelt(self, ids: Iterator[int], *, begins: bool, spaced: bool = False) -> Iterator[str]:
        """The text of ids one by one; bytes wait until they make up a character.

        Args:
            ids: as they are drawn.
            begins: whether nothing stands before the first.
            spaced: whether a space stands before it.
        """
        words = isinstance(self.vocabulary, WordVocabulary)
        trims = not self.vocabulary.encode("  ")  # all spaces at the beginning of a text
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        for each in ids:
            piece = self.vocabulary.pieces([each])[0]
            if words:
                text = f" {piece}"
            elif byte := _BYTE.fullmatch(piece):
                text = decoder.decode(bytes.fromhex(byte[1]))
            else:
                text = decoder.decode(b"", final=True)
                text += " ⁇ " if each == UNK else piece.replace("▁", " ")
            # Words are parted by a space each; SentencePiece writes the unknown one with two.
            if spaced or (begins and (words or each != UNK)):
                text = text.lstrip(" ") if begins and trims else text.removeprefix(" ")
            yield text
            begins, spaced = begins and trims and not text, False
        yield decoder.decode(b"", final=True)


def _until(parts: Iterator[str] | Sequence[str], stop: Sequence[str]) -> Iterator[str]:
    """Yields a text until one of ``stop`` is complete, holding back what may be a beginning of one.

    If two end at the same place, the longer one counts. How the text is cut into parts does not
    matter.
    """
    kept = ""
    longest = max(map(len, stop), default=0)
    for part in parts:
        kept += part
        found = [
            (kept.find(each) + len(each), kept.find(each)) for each in stop if each and each in kept
        ]
        if found:
            _, start = min(found)
            yield kept[:start]
            return
        free = max(0, len(kept) - max(0, longest - 1))
        if free:
            yield kept[:free]
            kept = kept[free:]
    if kept:
        yield kept
