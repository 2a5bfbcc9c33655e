"""STREAM, the semantic text regeneration module: reads a sentence back from a picture.

What a captioner has seen of a picture is one tensor: (B, E), the whole picture, as in the paper; or (B, 1 + N, E), the
whole picture and then its N regions, if words look at regions.

Dimensions: B batch, L words of the longest caption, T = L + 1 steps with the end, E embedding, V vocabulary size,
H hidden size of the LSTM, N regions, A attention, P and C channels of the backbone, h and w places of its features.
"""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mirrorgan.backbones import Backbone, resize
from mirrorgan.beam import BeamSearch, diversity
from mirrorgan.losses import redescription_loss
from mirrorgan.vocabulary import END

REGIONAL_LEVEL = 2  # stride 16: 8x8 regions of a picture of 128 pixels

State = tuple[Tensor, Tensor]
"""Hidden state and memory cell of the LSTM, each (B, H)."""


@dataclass(frozen=True, kw_only=True)
class CaptionerConfig:
    """Sizes of a captioner, and what it looks through."""

    vocabulary_size: int
    """V, with `<end>`."""
    backbone: str = "efficientnet_lite1"
    image_size: int = 128
    """Pictures are resized to this many pixels before the backbone."""
    smooth: bool = True
    """Pictures that shrink are smoothed first. The released code does not: False."""
    embedding_dim: int = 256
    hidden_dim: int = 512
    ends: bool = True
    """The end of a sentence is learnt, and decoding stops there. The released STREAM has no end: False."""
    longest: int = 20
    """Decoding is cut at this many words."""
    dropout: float = 0.0
    """On word embeddings and LSTM outputs, in training only (ours; none in the released code)."""
    attention_dim: int = 0
    """Width A of the attention by which every word looks at regions of the picture; 0: none, as in the paper, whose
    captioner sees the picture once, as a whole."""


@dataclass(frozen=True)
class Sentence:
    """A sentence that was read from a picture, as token ids."""

    tokens: list[int]
    """Without the end."""
    probabilities: list[float]
    """Of every token, given those before it and the picture."""
    complete: bool
    """True if the end was reached."""
    log_likelihood: float
    """Of all tokens, and of the end if it was reached; natural logarithm."""


class LSTMStates(NamedTuple):
    """An LSTM along one sentence of L words: T = L + 1 steps, the first of which takes the picture. Each (T, H)."""

    input_gate: Tensor
    """In [0, 1], as the other gates."""
    forget_gate: Tensor
    output_gate: Tensor
    cell: Tensor
    hidden: Tensor
    """What the next word is chosen from; in [-1, 1]."""


class RegionAttention(nn.Module):
    """Before it says a word, the LSTM looks at the regions of the picture again.

    The spatial attention of Lu et al., "Knowing When to Look" (CVPR 2017), Sec. 2.2, for every step t by itself:

        z_ti = w^T tanh(W_v v_i + W_g h_t)     a_t = softmax of z_t over regions     c_t = sum_i a_ti v_i
        p_t = softmax(W_p (h_t + W_c c_t))

    and not that of Xu et al., "Show, Attend and Tell" (ICML 2015), which feeds c_t into the LSTM: there a step waits
    for the one before it; here the LSTM runs through a given sentence at once and all steps look together, which is
    what a loss for the generator can afford. The sentinel of Lu et al., a gate between c_t and the memory cell, is left
    out: a fused LSTM does not give its cells away, and h_t beside c_t already lets a word do without the picture. W_c
    is ours (regions have the size of embeddings, not of h_t); v_i is a linear map of the backbone's feature and a layer
    norm.
    """

    def __init__(self, channels: int, embedding_dim: int, hidden_dim: int, attention_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, embedding_dim)
        self.norm = nn.LayerNorm(embedding_dim)
        self.keys = nn.Linear(embedding_dim, attention_dim, bias=False)  # W_v
        self.query = nn.Linear(hidden_dim, attention_dim)  # W_g
        self.score = nn.Linear(attention_dim, 1, bias=False)  # w
        self.value = nn.Linear(embedding_dim, hidden_dim)  # W_c

    def project(self, regional: Tensor) -> Tensor:
        """The backbone's regional features (B, C, h, w) to regions v, (B, N, E) with N = h * w."""
        return self.norm(self.linear(regional.flatten(2).transpose(1, 2)))

    def forward(self, hidden: Tensor, regions: Tensor) -> tuple[Tensor, Tensor]:
        """Looks at regions (B, N, E) from every step of (B, T, H).

        Returns:
            (B, T, H): h_t + W_c c_t.
            (B, T, N): a_t; sums to 1 over N.
        """
        scores = self.score(torch.tanh(self.keys(regions)[:, None] + self.query(hidden)[:, :, None])).squeeze(3)
        weights = scores.softmax(dim=2)
        return hidden + self.value(weights.to(regions.dtype) @ regions), weights


class Captioner(nn.Module):
    """A CNN whose pooled feature is the first input of an LSTM, Eq. 6 of Qiao et al., "MirrorGAN" (CVPR 2019).

    x_{-1} = CNN(I),  x_t = W_e T_t,  p_{t+1} = RNN(x_t): the picture takes the place of a start token. The backbone
    is frozen and belongs to the caller; a linear layer and a batch norm (momentum 0.01) bring its pooled feature to E.
    With an `attention_dim` every word looks at regions besides, see `RegionAttention`.
    """

    def __init__(self, config: CaptionerConfig, backbone: Backbone) -> None:
        super().__init__()
        self.config = config
        self._backbone = [backbone]  # in a list: shared, not a submodule
        self.linear = nn.Linear(backbone.pooled_dim, config.embedding_dim)
        self.norm = nn.BatchNorm1d(config.embedding_dim, momentum=0.01)
        self.embedding = nn.Embedding(config.vocabulary_size, config.embedding_dim)
        self.lstm = nn.LSTM(config.embedding_dim, config.hidden_dim, batch_first=True)
        self.dropout = nn.Dropout(config.dropout)
        self.attention = (
            RegionAttention(
                backbone.channels[REGIONAL_LEVEL], config.embedding_dim, config.hidden_dim, config.attention_dim
            )
            if config.attention_dim
            else None
        )
        self.to_words = nn.Linear(config.hidden_dim, config.vocabulary_size)
        # Laid out by columns in memory: a CPU then takes half the time for the few rows of a step.
        self.to_words.weight = nn.Parameter(self.to_words.weight.detach().T.contiguous().T)

    @property
    def backbone(self) -> Backbone:
        return self._backbone[0]

    def train(self, mode: bool = True) -> "Captioner":
        super().train(mode)
        self.lstm.train()  # cuDNN refuses to go backward through an LSTM in eval mode; nothing else differs
        return self

    def see(self, images: Tensor) -> Tensor:
        """Pictures (B, 3, S, S) in [-1, 1] to what is seen of them. Gradients reach the pictures.

        Returns:
            (B, E), the LSTM's first input; with attention (B, 1 + N, E), the same and then the regions.
        """
        features = self.backbone(resize(images, self.config.image_size, self.config.smooth))
        return self.project(features.pooled, features.levels[REGIONAL_LEVEL])

    def project(self, pooled: Tensor, regional: Tensor | None = None) -> Tensor:
        """The backbone's pooled feature (B, P), and with attention its regional ones (B, C, h, w), to what is seen."""
        whole = self.norm(self.linear(pooled))
        if self.attention is None:
            return whole
        if regional is None:
            raise ValueError("this captioner looks at regions; give it the backbone's regional features too")
        regions = self.attention.project(regional)
        return torch.cat([whole[:, None].to(regions.dtype), regions], dim=1)

    def whole(self, seen: Tensor) -> Tensor:
        """The LSTM's first input, (B, E), out of what is seen."""
        return seen if self.attention is None else seen[:, 0]

    def logits(self, seen: Tensor, tokens: Tensor) -> Tensor:
        """Teacher forcing: what is expected at every step, given the picture and the words before.

        Args:
            seen: what `see` returned.
            tokens: (B, L) ids.

        Returns:
            (B, T, V): step t expects word t; the last step expects the end (without `ends`: T = L).
        """
        outputs, _ = self._read(seen, tokens)
        return self.to_words(self.dropout(outputs))

    @torch.inference_mode()
    def maps(self, seen: Tensor, tokens: Tensor) -> Tensor | None:
        """Where the captioner looked for every word of given sentences, (B, L, n, n) with n * n = N; a word's map sums
        to 1. None without attention."""
        _, weights = self._read(seen, tokens)
        return self._squared(weights, tokens.shape[1])

    @torch.inference_mode()
    def retrace(self, seen: Tensor, tokens: Tensor, count: int) -> tuple[Tensor | None, Tensor, Tensor]:
        """What stood to choose at every word of given sentences, and where the captioner looked: one pass for both.

        The end of the sentence is left out where it cannot be chosen: at the first word, and without `ends` anywhere.

        Args:
            count: likeliest words to name.

        Returns:
            maps: as of `maps`.
            ids: (B, L, count) of the likeliest words, best first.
            probabilities: (B, L, count), given the words before and the picture; those of the words of a beam.
        """
        outputs, weights = self._read(seen, tokens)
        logs = self.to_words(outputs)[:, : tokens.shape[1]].float().log_softmax(dim=2)
        logs[:, : 1 if self.config.ends else None, END] = float("-inf")
        best = logs.topk(min(count, logs.shape[2] - 1), dim=2)
        return self._squared(weights, tokens.shape[1]), best.indices, best.values.exp()

    @torch.inference_mode()
    def states(self, seen: Tensor, tokens: Tensor) -> LSTMStates:
        """The LSTM's gates and states at every step of one sentence, (1, L): after the picture and after every word.

        i, f, o = sigmoid(W x_t + U h_{t-1} + b), g = tanh(...), c_t = f c_{t-1} + i g, h_t = o tanh(c_t)
        (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000), as PyTorch's LSTM has them.
        """
        inputs = torch.cat([self.whole(seen)[:, None], self.embedding(tokens).to(seen.dtype)], dim=1)[0]
        lstm = self.lstm
        weights: list[Any] = [lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_ih_l0, lstm.bias_hh_l0]
        hidden = cell = inputs.new_zeros(self.config.hidden_dim)
        found = []
        for one in inputs:
            parts = weights[0] @ one + weights[2] + weights[1] @ hidden + weights[3]
            gate_in, gate_forget, candidate, gate_out = parts.chunk(4)
            gate_in, gate_forget, gate_out = gate_in.sigmoid(), gate_forget.sigmoid(), gate_out.sigmoid()
            cell = gate_forget * cell + gate_in * candidate.tanh()
            hidden = gate_out * cell.tanh()
            found.append((gate_in, gate_forget, gate_out, cell, hidden))
        return LSTMStates(*(torch.stack(part) for part in zip(*found, strict=True)))

    @staticmethod
    def _squared(weights: Tensor | None, length: int) -> Tensor | None:
        """Looks (B, T, N) as maps (B, length, n, n)."""
        if weights is None:
            return None
        side = math.isqrt(weights.shape[2])
        return weights[:, :length].float().unflatten(2, (side, side))

    def _read(self, seen: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor | None]:
        """What words are chosen from after the picture and every given word, (B, T, H), and the looks (B, T, N)."""
        words = self.embedding(tokens if self.config.ends else tokens[:, :-1])
        inputs = torch.cat([self.whole(seen)[:, None], words.to(seen.dtype)], dim=1)
        outputs, _ = self.lstm(self.dropout(inputs))
        return self._look(outputs, seen)

    def _look(self, outputs: Tensor, seen: Tensor) -> tuple[Tensor, Tensor | None]:
        if self.attention is None:
            return outputs, None
        return self.attention(outputs, seen[:, 1:])

    def targets(self, tokens: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """What `logits` should expect: ids (B, T) and where they count (B, T) bool."""
        if not self.config.ends:
            return tokens, mask
        ids = torch.cat([tokens.masked_fill(~mask, END), tokens.new_full((len(tokens), 1), END)], dim=1)
        return ids, torch.cat([mask.new_ones(len(mask), 1), mask], dim=1)  # one longer: the end counts

    def loss(self, images: Tensor, tokens: Tensor, mask: Tensor, reduction: str = "mean") -> Tensor:
        """How badly the pictures are described by their captions; see `losses.redescription_loss`."""
        return redescription_loss(self.logits(self.see(images), tokens), *self.targets(tokens, mask), reduction)

    @torch.inference_mode()
    def score(self, seen: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        """Log-probability of every given word, and of the end after them.

        Returns:
            (B, T) float, at most 0; exactly 0 where nothing counts. The sum over T is the sentence's log-likelihood.
        """
        ids, counted = self.targets(tokens, mask)
        logs = self.logits(seen, tokens).float().log_softmax(dim=2).gather(2, ids[:, :, None]).squeeze(2)
        return logs.masked_fill(~counted, 0.0)

    @torch.inference_mode()
    def greedy(self, seen: Tensor, longest: int | None = None) -> list[Sentence]:
        """The most probable next word, again and again, for every picture: `beam` of width 1, all at once."""
        longest = self.config.longest if longest is None else longest
        inputs, state = self.whole(seen), None
        found: list[tuple[Tensor, Tensor]] = []  # of every step: tokens (B,) and their log-probabilities
        ended = torch.zeros(len(seen), dtype=torch.bool, device=seen.device)
        for step in range(longest + 1):
            logs, state = self._step(inputs, state, seen)
            if not self.config.ends or step == 0:
                logs[:, END] = float("-inf")  # never an empty sentence
            best = logs.max(dim=1)
            found.append((best.indices, best.values))
            ended |= best.indices == END
            if ended.all():
                break
            inputs = self.embedding(best.indices)
        tokens, values = (torch.stack(steps, dim=1).tolist() for steps in zip(*found, strict=True))
        lengths = [row.index(END) + 1 if END in row else longest for row in tokens]
        return [_sentence(row[:n], logs[:n]) for row, logs, n in zip(tokens, values, lengths, strict=True)]

    @torch.inference_mode()
    def diverse(
        self, seen: Tensor, first: Sentence, count: int, width: int = 3, strength: float = 1.0
    ) -> list[Sentence]:
        """Sentences for one picture that are unlike each other.

        Diverse beam search with Hamming diversity (Vijayakumar et al., "Diverse Beam Search", AAAI 2018, Eq. 4), one
        group after the other: what a group may say at a step costs `strength` for every sentence before it that has
        that word there. Nothing is random.

        Args:
            first: the first sentence, which is not searched for again.
            count: sentences altogether.
            width: of every group's beam.
            strength: lambda of the paper, in nats; 0.5 gave sentences that were both likely and unlike each other.

        Returns:
            count sentences, `first` first, or fewer where a group finds none that is new; their log-likelihoods are the
            captioner's own, without the cost.
        """
        found = [first]
        for _ in range(1, count):
            said = [[*sentence.tokens, END] if sentence.complete else sentence.tokens for sentence in found]
            cost = diversity(said, self.config.longest, self.config.vocabulary_size, strength)
            said_before = [sentence.tokens for sentence in found]
            found += [one for one in self.beam(seen, width, cost=cost) if one.tokens not in said_before][:1]
        return found

    @torch.inference_mode()
    def beam(
        self, seen: Tensor, width: int = 5, longest: int | None = None, cost: np.ndarray | None = None
    ) -> list[Sentence]:
        """The best sentences for one picture.

        A beam of `width` unfinished sentences; finished ones are set aside. Ranked by log-likelihood a token (the end
        is a token), so that short sentences have no advantage.

        Args:
            seen: what `see` returned for one picture.
            longest: words at most; the configuration's if None.
            cost: (longest + 1, V) nats that a word costs in the search at each step; None: none.

        Returns:
            up to `width` sentences, best first: those that came to their end, or if none did those that were cut.
        """
        if len(seen) != 1 or width < 1:
            raise ValueError(f"beam search takes one picture and a width of at least 1, not {len(seen)} and {width}")
        longest = self.config.longest if longest is None else longest
        search = BeamSearch(width, longest, self.config.ends, cost)
        inputs, state = self.whole(seen), None
        while not search.finished:
            logs, state = self._step(inputs, state, seen.expand(len(search.paths), *seen.shape[1:]))
            if picked := search.advance(logs.cpu().numpy()):
                state = (state[0][picked], state[1][picked])
                last = [path.tokens[-1] for path in search.paths]
                inputs = self.embedding(torch.tensor(last, device=logs.device))
        return [_sentence(list(path.tokens), list(path.logs)) for path in search.sentences()]

    def _step(self, inputs: Tensor, state: State | None, seen: Tensor) -> tuple[Tensor, State]:
        """One step of (B, E): log-probabilities of the next word (B, V), and the LSTM's state after it.

        The same as the LSTM, which is made for whole sentences: a step of a few rows takes it three times as long.
        """
        lstm, zeros = self.lstm, inputs.new_zeros(len(inputs), self.config.hidden_dim)
        weights: list[Any] = [lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_ih_l0, lstm.bias_hh_l0]
        hidden, cell = torch.lstm_cell(inputs, state or (zeros, zeros), *weights)
        outputs, _ = self._look(hidden[:, None], seen)
        return self.to_words(outputs[:, 0]).float().log_softmax(dim=1), (hidden, cell)


def _sentence(tokens: list[int], logs: list[float]) -> Sentence:
    complete = bool(tokens) and tokens[-1] == END
    words = tokens[:-1] if complete else tokens
    probabilities = torch.tensor(logs[: len(words)]).exp().tolist()
    return Sentence(words, probabilities, complete, sum(logs))
