"""GLAM, the global-local collaborative attention module: what each part of a picture hears of the caption.

Dimensions: B batch, L words, D word channels, C image channels, Z condition channels, H and W feature-map size.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

MASK_MODES = ("fixed", "legacy")
AXES = ("channel", "spatial")


def mask_rows(mask: Tensor, height: int, width: int, mode: str) -> Tensor:
    """The caption mask of every sub-region, (B, L, H, W) bool.

    Args:
        mask: (B, L) bool, True where there is a word.
        mode: "fixed" gives every sub-region its own caption's mask. "legacy" repeats the mistake of the released code
            of AttnGAN and MirrorGAN (AttnGAN issue #93): scores lie sample by sample, the repeated mask lies batch by
            batch, so row r of the B*H*W rows gets the mask of sample r mod B. Equal to "fixed" for a batch of one.
    """
    batch, sub_regions = len(mask), height * width
    if mode == "fixed":
        return mask[:, :, None, None].expand(-1, -1, height, width)
    row = torch.arange(batch * sub_regions, device=mask.device).unflatten(0, (batch, sub_regions))
    return mask[row % batch].movedim(2, 1).unflatten(2, (height, width))


def check_mask_mode(mode: str) -> None:
    """Raises ValueError if there is no such mode of `mask_rows`."""
    if mode not in MASK_MODES:
        raise ValueError(f"mask_mode must be one of {', '.join(MASK_MODES)}, not {mode!r}")


class WordAttentionAt(NamedTuple):
    """What Eq. 4 computes at one sub-region, for a caption without padding."""

    query: Tensor
    """The sub-region's features f_j, (C,)."""
    keys: Tensor
    """The words' projections U w_l, (L, C)."""
    scores: Tensor
    """f_j . U w_l, (L,)."""
    weights: Tensor
    """Softmax of the scores, (L,); sums to 1."""
    mix: Tensor
    """Sum over words of weight times key, (C,): the word context there."""


class WordAttention(nn.Module):
    """Lets each sub-region of an image listen to the words that describe it.

    Eq. 4 of Qiao et al., "MirrorGAN" (CVPR 2019).

    Args:
        mask_mode: see `mask_rows`; "legacy" is for weights that were trained with the released code.
    """

    def __init__(self, word_dim: int, image_dim: int, mask_mode: str = "fixed") -> None:
        super().__init__()
        check_mask_mode(mask_mode)
        self.mask_mode = mask_mode
        self.project = nn.Linear(word_dim, image_dim, bias=False)  # U in Eq. 4

    def at(self, features: Tensor, words: Tensor, row: int, column: int) -> WordAttentionAt:
        """The numbers of one sub-region of one picture: features (1, C, H, W), words (1, L, D) without padding."""
        query, keys = features[0, :, row, column], self.project(words)[0]
        scores = keys @ query
        weights = scores.softmax(dim=0)
        return WordAttentionAt(query, keys, scores, weights, weights @ keys)

    def forward(self, features: Tensor, words: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Mixes the words into every sub-region.

        Args:
            features: image features f, (B, C, H, W).
            words: word embeddings w, (B, L, D).
            mask: (B, L) bool, True where there is a word and False at padding.

        Returns:
            context: what each sub-region heard, (B, C, H, W).
            attention: how much sub-region (h, w) listened to word l, (B, L, H, W).
                Sums to 1 over L and is exactly 0 at padding.
        """
        keys = self.project(words)  # (B, L, C)
        scores = torch.einsum("bchw,blc->blhw", features, keys)
        real = mask_rows(mask, features.shape[2], features.shape[3], self.mask_mode)
        attention = scores.masked_fill(~real, float("-inf")).softmax(dim=1)
        context = torch.einsum("blhw,blc->bchw", attention, keys)
        return context, attention


class SentenceAttentionAt(NamedTuple):
    """What Eq. 5 computes at one sub-region, channel by channel."""

    query: Tensor
    """The sub-region's features f_j, (C,)."""
    value: Tensor
    """The sentence's projection V s_ca, (C,), the same everywhere."""
    scores: Tensor
    """f_j .* (V s_ca), after the 1x1 convolution if there is one, (C,)."""
    weights: Tensor
    """Softmax of the scores, (C,): sums to 1 over channels, or with the axis "spatial" over the sub-regions."""
    mix: Tensor
    """Value times weight, (C,): the sentence context there."""


class SentenceAttention(nn.Module):
    """Lets each sub-region of an image weigh the whole sentence.

    Eq. 5 of MirrorGAN: Att_s = (V s_ca) .* softmax(f .* (V s_ca)). The axis of the softmax is not spelled out there.

    Args:
        axis: "channel" normalises over the channels of each sub-region, as the released code does (by PyTorch's
            implicit rule for four axes); "spatial" over the sub-regions for each channel, the other reading.
        preconv: a 1x1 convolution before the softmax: in the released code, not in the paper.
        bias: of V: in the released code, not in the paper.
    """

    def __init__(
        self, condition_dim: int, image_dim: int, axis: str = "channel", preconv: bool = True, bias: bool = True
    ) -> None:
        super().__init__()
        if axis not in AXES:
            raise ValueError(f"axis must be one of {', '.join(AXES)}, not {axis!r}")
        self.axis = axis
        self.project = nn.Linear(condition_dim, image_dim, bias=bias)  # V in Eq. 5
        self.preconv = nn.Conv2d(image_dim, image_dim, kernel_size=1, bias=False) if preconv else nn.Identity()

    def at(self, features: Tensor, conditioning: Tensor, row: int, column: int) -> SentenceAttentionAt:
        """The numbers of one sub-region of one picture: features (1, C, H, W), conditioning (1, Z)."""
        context, attention = self(features, conditioning)
        value = self.project(conditioning)
        here = features[:, :, row : row + 1, column : column + 1]
        scores = self.preconv(here * value[:, :, None, None])[0, :, 0, 0]
        return SentenceAttentionAt(
            here[0, :, 0, 0], value[0], scores, attention[0, :, row, column], context[0, :, row, column]
        )

    def forward(self, features: Tensor, conditioning: Tensor) -> tuple[Tensor, Tensor]:
        """Weighs the sentence in every sub-region.

        Args:
            features: image features f, (B, C, H, W).
            conditioning: augmented sentence s_ca, (B, Z).

        Returns:
            context: (B, C, H, W).
            attention: (B, C, H, W) in [0, 1]. Sums to 1 over C ("channel") or over H and W ("spatial").
        """
        value = self.project(conditioning)[:, :, None, None]
        scores = self.preconv(features * value)
        if self.axis == "channel":
            attention = scores.softmax(dim=1)
        else:
            attention = scores.flatten(2).softmax(dim=2).unflatten(2, scores.shape[2:])
        return value * attention, attention
