"""The decoder with input feeding: a loop over time, for comparison and for the record.

Letters as in `nlp_rnn.modules.decoder`.
"""

import torch
from torch import Tensor

from nlp_rnn.modules.attention import Memory
from nlp_rnn.modules.decoder import Decoder
from nlp_rnn.modules.rnn import State

__all__ = ["InputFeedingDecoder"]


class InputFeedingDecoder(Decoder):
    """A `Decoder` whose layer 1 also reads what last met the softmax (Luong et al. 2015, 3.3).

    That vector depends on the attention of the step before, so training walks through the target
    one step at a time. The state carries it as a last tensor (N, E). Dropout between the layers
    is drawn anew at every step here; on embeddings and outputs it is locked.
    """

    inputs_read = 2

    @property
    def num_states(self) -> int:
        return super().num_states + 1

    def start(self, state: State) -> State:
        """Begin with nothing to feed: zeros (N, E)."""
        nothing = state[0].new_zeros(state[0].size(0), self.embedding.embedding_dim)
        return (*state, nothing)

    def forward(
        self, tokens: Tensor, state: State, memory: Memory | None = None
    ) -> tuple[Tensor, State, Tensor | None]:
        """As `Decoder.forward`, in T steps."""
        outputs, all_weights = [], []
        *layers, fed = state
        for embedded in self.embed(tokens).split(1, dim=1):  # (N, 1, E)
            inputs = torch.cat([embedded, fed.unsqueeze(1)], 2)
            output, after, weights = self.advance(inputs, embedded, tuple(layers), memory)
            layers, fed = list(after), output.squeeze(1)
            outputs.append(output)
            all_weights.append(weights)
        stacked = self.output_dropout(torch.cat(outputs, 1))
        kept = [weights for weights in all_weights if weights is not None]
        return stacked, (*layers, fed), torch.cat(kept, 1) if kept else None
