"""Convolutions in front of a recurrence: over words, and over the characters of a word.

N batch, S source length, E features, V vocabulary, C characters, W kernel width.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nlp_rnn.errors import require

__all__ = ["CausalConvolution", "CharacterCNN", "spellings"]

CHARACTERS = 256
"""Ids of characters: 0 is none, 1 and 2 the start and the end of a token; those beyond Latin-1
share ids with others."""


class CausalConvolution(nn.Module):
    """Looks at each vector and the W - 1 before it: n-gram features for the recurrence to carry.

    The CNN-RNN of Wang et al. 2016 and C-LSTM of Zhou et al. 2015. It never looks ahead, so that a
    text can be read on where an earlier part of it ended.

    Args:
        size: E, of inputs and outputs.
        width: W.
    """

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        require(width >= 1, f"convolution {width}", "a kernel of 1 word or more, or 0 for none")
        self.kernel = nn.Conv1d(size, size, width)

    def forward(self, inputs: Tensor, before: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Convolve, with a ReLU.

        Args:
            inputs: (N, S, E).
            before: the W - 1 vectors before them (N, W - 1, E); None, zeros, at the start.

        Returns:
            (N, S, E), and the last W - 1 inputs.
        """
        width = self.kernel.kernel_size[0]
        if before is None:
            before = inputs.new_zeros(inputs.size(0), width - 1, inputs.size(2))
        whole = torch.cat([before, inputs], 1)
        tail = whole[:, whole.size(1) - width + 1 :]
        return self.kernel(whole.transpose(1, 2)).relu().transpose(1, 2), tail


class CharacterCNN(nn.Module):
    """A vector for each token from its spelling, beside the one that it has to learn by itself.

    Kim et al. 2016, one layer: characters to vectors, convolutions of three widths, the largest
    value of every feature. Each different token of a batch is computed once.

    Args:
        vocab_size: V.
        size: features in all; must be divisible by 3.

    Attributes:
        spellings: characters of every token (V, C), part of the saved weights. All zero until it
            is filled, see the function `spellings`.

    Raises:
        InputError: a size that cannot be divided.
    """

    WIDTHS = (2, 3, 4)
    LONGEST = 16  # characters of a token, its start and end included; the rest is cut off

    def __init__(self, vocab_size: int, size: int) -> None:
        super().__init__()
        share, rest = divmod(size, len(self.WIDTHS))
        require(share > 0 and not rest, f"characters {size}", "features divisible by 3, or 0")
        self.spellings: Tensor
        self.register_buffer("spellings", torch.zeros(vocab_size, self.LONGEST, dtype=torch.long))
        self.embedding = nn.Embedding(CHARACTERS, 16, padding_idx=0)
        self.kernels = nn.ModuleList(nn.Conv1d(16, share, width) for width in self.WIDTHS)

    def forward(self, tokens: Tensor) -> Tensor:
        """Ids (N, S) -> (N, S, size)."""
        different, places = tokens.unique(return_inverse=True)
        characters = self.embedding(self.spellings[different]).transpose(1, 2)  # (different, 16, C)
        features = [kernel(characters).amax(2) for kernel in self.kernels]
        return F.embedding(places, torch.cat(features, 1).tanh())


def spellings(pieces: Sequence[str], longest: int = CharacterCNN.LONGEST) -> Tensor:
    """How tokens are written: ids of characters (V, C), the start and the end marked."""
    table = torch.zeros(len(pieces), longest, dtype=torch.long)
    for row, piece in zip(table, pieces):
        letters = [
            code if 3 <= code < CHARACTERS else 3 + code % (CHARACTERS - 3)
            for code in map(ord, piece)
        ]
        written = [1, *letters[: longest - 2], 2]
        row[: len(written)] = torch.tensor(written)
    return table
