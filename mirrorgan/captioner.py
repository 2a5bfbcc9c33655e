"""STREAM, the semantic text regeneration module: reads a sentence back from a picture.

Dimensions: B batch, L words of the longest caption, T = L + 1 steps with the end, E embedding, V vocabulary size.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mirrorgan.backbones import Backbone, resize
from mirrorgan.losses import redescription_loss
from mirrorgan.vocabulary import END


@dataclass(frozen=True, kw_only=True)
class CaptionerConfig:
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


class Captioner(nn.Module):
    """A CNN whose pooled feature is the first input of an LSTM, Eq. 6 of Qiao et al., "MirrorGAN" (CVPR 2019).

    x_{-1} = CNN(I),  x_t = W_e T_t,  p_{t+1} = RNN(x_t): the picture takes the place of a start token. The backbone
    is frozen and belongs to the caller; a linear layer and a batch norm (momentum 0.01) bring its pooled feature to E.
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
        self.to_words = nn.Linear(config.hidden_dim, config.vocabulary_size)

    @property
    def backbone(self) -> Backbone:
        return self._backbone[0]

    def train(self, mode: bool = True) -> "Captioner":
        super().train(mode)
        self.lstm.train()  # cuDNN refuses to go backward through an LSTM in eval mode; nothing else differs
        return self

    def see(self, images: Tensor) -> Tensor:
        """Pictures (B, 3, S, S) in [-1, 1] to the LSTM's first input, (B, E). Gradients reach the pictures."""
        return self.project(self.backbone(resize(images, self.config.image_size, self.config.smooth)).pooled)

    def project(self, pooled: Tensor) -> Tensor:
        """The backbone's pooled feature (B, P) to (B, E)."""
        return self.norm(self.linear(pooled))

    def logits(self, seen: Tensor, tokens: Tensor) -> Tensor:
        """Teacher forcing: what is expected at every step, given the picture and the words before.

        Args:
            seen: (B, E).
            tokens: (B, L) ids.

        Returns:
            (B, T, V): step t expects word t; the last step expects the end (without `ends`: T = L).
        """
        words = self.embedding(tokens if self.config.ends else tokens[:, :-1])
        inputs = torch.cat([seen[:, None], words.to(seen.dtype)], dim=1)
        outputs, _ = self.lstm(self.dropout(inputs))
        return self.to_words(self.dropout(outputs))

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
        """The most probable next word, again and again, for every picture of (B, E): `beam` of width 1, all at once."""
        longest = self.config.longest if longest is None else longest
        inputs, state = seen[:, None], None
        found: list[tuple[Tensor, Tensor]] = []  # of every step: tokens (B,) and their log-probabilities
        ended = torch.zeros(len(seen), dtype=torch.bool, device=seen.device)
        for step in range(longest + 1):
            outputs, state = self.lstm(inputs, state)
            logs = self.to_words(outputs[:, 0]).float().log_softmax(dim=1)  # (B, V)
            if not self.config.ends or step == 0:
                logs[:, END] = float("-inf")  # never an empty sentence
            best = logs.max(dim=1)
            found.append((best.indices, best.values))
            ended |= best.indices == END
            if ended.all():
                break
            inputs = self.embedding(best.indices)[:, None]
        tokens, values = (torch.stack(steps, dim=1).tolist() for steps in zip(*found, strict=True))
        lengths = [row.index(END) + 1 if END in row else longest for row in tokens]
        return [_sentence(row[:n], logs[:n]) for row, logs, n in zip(tokens, values, lengths, strict=True)]

    @torch.inference_mode()
    def beam(self, seen: Tensor, width: int = 5, longest: int | None = None) -> list[Sentence]:
        """The best sentences for one picture.

        A beam of `width` unfinished sentences; finished ones are set aside. Ranked by log-likelihood a token (the end
        is a token), so that short sentences have no advantage.

        Args:
            seen: (1, E).
            longest: words at most; the configuration's if None.

        Returns:
            up to `width` sentences, best first: those that came to their end, or if none did those that were cut.
        """
        if len(seen) != 1 or width < 1:
            raise ValueError(f"beam search takes one picture and a width of at least 1, not {len(seen)} and {width}")
        longest = self.config.longest if longest is None else longest
        paths: list[tuple[list[int], list[float]]] = [([], [])]  # tokens and log-probabilities
        done: list[tuple[list[int], list[float]]] = []
        inputs, state = seen[:, None], None
        for step in range(longest + 1):
            outputs, state = self.lstm(inputs, state)
            logs = self.to_words(outputs[:, 0]).float().log_softmax(dim=1)  # (paths, V)
            if not self.config.ends or step == 0:
                logs[:, END] = float("-inf")  # never an empty sentence
            if step == longest:  # a sentence may end here, but is not made to
                ending = (logs.argmax(dim=1) == END).tolist() if self.config.ends else [False] * len(paths)
                done += [
                    ([*tokens, END], [*ps, float(row[END])])
                    for (tokens, ps), row, ends in zip(paths, logs, ending, strict=True)
                    if ends
                ]
                break
            totals = logs + torch.tensor([sum(p) for _, p in paths], device=logs.device)[:, None]
            best = totals.flatten().topk(min(width, int(totals.isfinite().sum())))
            origins = (best.indices // logs.shape[1]).tolist()
            ids = (best.indices % logs.shape[1]).tolist()
            grown = [
                (origin, [*paths[origin][0], token], [*paths[origin][1], float(logs[origin, token])])
                for origin, token in zip(origins, ids, strict=True)
            ]
            done += [(tokens, ps) for _, tokens, ps in grown if tokens[-1] == END]
            alive = [path for path in grown if path[1][-1] != END]
            paths = [(tokens, ps) for _, tokens, ps in alive]
            if not alive or len(done) >= width:
                break
            picked = torch.tensor([origin for origin, _, _ in alive], device=logs.device)
            state = (state[0][:, picked], state[1][:, picked])
            inputs = self.embedding(torch.tensor([path[1][-1] for path in alive], device=logs.device))[:, None]
        found = done or paths
        ranked = sorted(found, key=lambda path: sum(path[1]) / len(path[1]), reverse=True)[:width]
        return [_sentence(tokens, logs) for tokens, logs in ranked]


def _sentence(tokens: list[int], logs: list[float]) -> Sentence:
    complete = bool(tokens) and tokens[-1] == END
    words = tokens[:-1] if complete else tokens
    probabilities = torch.tensor(logs[: len(words)]).exp().tolist()
    return Sentence(words, probabilities, complete, sum(logs))
