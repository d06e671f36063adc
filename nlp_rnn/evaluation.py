"""How well a language model predicts a text, alone or with a memory of what it has just read.

N streams, T steps of a window, C remembered steps, E width, L layers, H hidden.
"""

import contextlib
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nlp_rnn.data.streams import Window
from nlp_rnn.data.tokenizer import PAD
from nlp_rnn.errors import InputError
from nlp_rnn.models.language_model import LanguageModel
from nlp_rnn.modules.rnn import State

__all__ = ["DynamicEvaluation", "NeuralCache", "Reader", "head_autocast"]


@dataclass(frozen=True, kw_only=True)
class NeuralCache:
    """Words that were read in a like state become likelier (Grave, Joulin & Usunier 2017).

    Args:
        size: steps that are remembered; 0 turns it off.
        flatness: theta, how sharply likeness counts; chosen on validation.
        share: lambda, the probability given to what is remembered; chosen on validation.

    Raises:
        InputError: a value out of range.
    """

    size: int = 0
    flatness: float = 0.3
    share: float = 0.1

    def __post_init__(self) -> None:
        if self.size < 0 or not 0 < self.share < 1 or not 0 <= self.flatness < math.inf:
            raise InputError(
                f"cache size {self.size}, share {self.share} and flatness {self.flatness}: wanted "
                "are a size and a flatness of at least 0, and a share between 0 and 1"
            )


@dataclass(frozen=True, kw_only=True)
class DynamicEvaluation:
    """Keeps learning from the text that it has just been scored on (Krause et al. 2018).

    Plain gradient descent on each window after it was scored, with decay towards the weights that
    were trained; these are put back at the end.

    Args:
        learning_rate: of the windows' mean loss; 0 turns it off.
        decay: share of the way back that is taken at each window.
        clip: largest norm of a gradient.

    Raises:
        InputError: a value out of range.
    """

    learning_rate: float = 0.0
    decay: float = 0.0
    clip: float = 1.0

    def __post_init__(self) -> None:
        in_range = 0 <= self.learning_rate < math.inf and 0 <= self.decay < 1 and self.clip > 0
        if not in_range:
            raise InputError(
                f"dynamic evaluation with learning rate {self.learning_rate}, decay {self.decay} "
                f"and clip {self.clip}: wanted are a rate of at least 0, a decay from 0 to below "
                "1, and a clip above 0"
            )


class Reader:
    """Scores a text window by window.

    In between it keeps the recurrent state, the cache, and the weights that dynamic evaluation has
    changed.

    Args:
        network: is evaluated as it is; call its `eval` before.
        cache: see `NeuralCache`.
        dynamic: see `DynamicEvaluation`.
        bf16_head: multiply the softmax in bfloat16.
    """

    def __init__(
        self,
        network: LanguageModel,
        *,
        cache: NeuralCache = NeuralCache(),
        dynamic: DynamicEvaluation = DynamicEvaluation(),
        bf16_head: bool = False,
    ) -> None:
        self.network = network
        self.cache = cache
        self.dynamic = dynamic
        self.bf16_head = bf16_head
        self.state: State = ()
        self._parameters = [each for each in network.parameters() if each.requires_grad]
        self._trained: list[Tensor] = []
        self._keys: Tensor | None = None
        self._words: Tensor | None = None

    def __call__(self, window: Window) -> Tensor:
        """Nats of every following token (N, T); zero where there is none.

        The gradient flows only while dynamic evaluation needs it, and never out of here.
        """
        learns = self.dynamic.learning_rate > 0
        # Lightning evaluates in inference mode, whose tensors take no part in a gradient: they
        # are copied out of it. And cuDNN has no gradient for an RNN in eval mode.
        with (
            torch.inference_mode(False),
            torch.set_grad_enabled(learns),
            torch.backends.cudnn.flags(enabled=False) if learns else contextlib.nullcontext(),
        ):
            inputs, following = window.inputs.clone(), window.following.clone()
            if window.first:
                self.state = self.network.zero_state(inputs.size(0))
                self._keys = self._words = None
            reading, state = self.network(inputs, self.state)
            self.state = tuple(part.detach() for part in state)
            with head_autocast(reading.outputs, self.bf16_head):
                nats = self.network.nats(reading, following)
            tokens = (following != PAD).sum()
            if learns and tokens:
                self._learn(nats.sum() / tokens)
            scored = nats.detach()
            if self.cache.size:
                scored = self._remember(reading.outputs.detach(), following, scored)
            return scored

    def restore(self) -> None:
        """Put back the weights that dynamic evaluation has changed."""
        with torch.no_grad():
            for parameter, trained in zip(self._parameters, self._trained):
                parameter.copy_(trained)
        self._trained = []

    def _learn(self, loss: Tensor) -> None:
        if not self._trained:
            self._trained = [each.detach().clone() for each in self._parameters]
        gradients = torch.autograd.grad(loss, self._parameters, allow_unused=True)
        norm = float(torch.nn.utils.get_total_norm([g for g in gradients if g is not None]))
        rate = self.dynamic.learning_rate * min(1.0, self.dynamic.clip / max(norm, 1e-12))
        with torch.no_grad():
            for parameter, gradient, trained in zip(self._parameters, gradients, self._trained):
                if gradient is not None:
                    parameter.sub_(gradient, alpha=rate)
                parameter.lerp_(trained, self.dynamic.decay)

    def _remember(self, outputs: Tensor, following: Tensor, nats: Tensor) -> Tensor:
        """Nats with the cache mixed in, (N, T); then the window itself is remembered."""
        steps = outputs.size(1)
        past = 0 if self._keys is None else self._keys.size(1)
        keys = outputs if self._keys is None else torch.cat([self._keys, outputs], 1)
        words = following if self._words is None else torch.cat([self._words, following], 1)
        with torch.autocast(outputs.device.type, enabled=False):  # bf16 would know 50 to a quarter
            likeness = outputs.float() @ keys.float().transpose(1, 2)  # (N, T, C + T)
        scores = self.cache.flatness * likeness
        now = torch.arange(past, past + steps, device=outputs.device).unsqueeze(1)
        then = torch.arange(past + steps, device=outputs.device)
        seen = (then < now) & (then >= now - self.cache.size)  # (T, C + T)
        log_weights = scores.masked_fill(~seen, -math.inf).log_softmax(2)
        same = words.unsqueeze(1) == following.unsqueeze(2)
        remembered = log_weights.masked_fill(~(same & seen), -math.inf).logsumexp(2)
        mixed = torch.logaddexp(
            math.log1p(-self.cache.share) - nats, math.log(self.cache.share) + remembered
        )
        nothing = ~seen.any(1)  # the very first step of a text has nothing to remember
        mixed = torch.where(nothing | (following == PAD), -nats, mixed)
        self._keys = keys[:, -self.cache.size :]
        self._words = words[:, -self.cache.size :]
        return -mixed


def head_autocast(outputs: Tensor, bf16: bool) -> contextlib.AbstractContextManager[object]:
    """The softmax in bfloat16, or in whatever the rest runs in."""
    return torch.autocast(outputs.device.type, torch.bfloat16) if bf16 else contextlib.nullcontext()
