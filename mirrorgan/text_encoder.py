"""STEM, the semantic text embedding module: a caption becomes word and sentence embeddings.

Dimensions: B batch, L words, D text channels, V vocabulary size.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class TextEncoderConfig:
    """Sizes of a text encoder."""

    vocabulary_size: int
    """V, with `<end>`."""
    text_dim: int = 256
    """D, both directions together."""
    embedding_dim: int = 300
    dropout: float = 0.5
    """On the word embeddings, in training only."""

    def __post_init__(self) -> None:
        if self.text_dim % 2:
            raise ValueError(f"text_dim is shared by two directions and must be even, not {self.text_dim}")


class TextEncoder(nn.Module):
    """A bidirectional LSTM over the words, Eq. 1 of Qiao et al., "MirrorGAN" (CVPR 2019).

    Identical to AttnGAN's text encoder: one layer, zero initial state, embeddings from U(-0.1, 0.1). The released
    code asks for dropout inside the LSTM too, which has no effect on a single layer and is left out here.
    """

    def __init__(self, config: TextEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocabulary_size, config.embedding_dim)
        self.dropout = nn.Dropout(config.dropout)
        self.lstm = nn.LSTM(config.embedding_dim, config.text_dim // 2, batch_first=True, bidirectional=True)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)

    def forward(self, tokens: Tensor, mask: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Reads a batch of captions, of any lengths in any order.

        Args:
            tokens: (B, L) int64.
            mask: (B, L) bool, True where there is a word; every row has at least one, at its beginning.
            lengths: (B,) on the CPU, the number of words, for who knows it there: the CPU, which needs it, then does
                not wait for another device.

        Returns:
            words: w, (B, L, D); zero at padding.
            sentence: s, (B, D): the last state of each direction.
        """
        embedded = self.dropout(self.embedding(tokens))
        counted = mask.sum(dim=1)
        order = counted.argsort(descending=True, stable=True)  # longest first, as the LSTM wants them
        sizes = (counted.cpu() if lengths is None else lengths).sort(descending=True).values
        packed = nn.utils.rnn.pack_padded_sequence(embedded[order], sizes, batch_first=True)
        outputs, (state, _) = self.lstm(packed)
        words, _ = nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True, total_length=tokens.shape[1])
        back = order.argsort()
        return words[back], torch.cat([state[0], state[1]], dim=1)[back]
