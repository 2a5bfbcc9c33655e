"""Training objectives, one function an equation: tensors in, scalars out. Nothing here knows optimisers or logs.

Dimensions: B batch, L words, N regions, D text channels, Z condition channels, K judgements of one discriminator.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Judgement(NamedTuple):
    """Logits of one discriminator (one scale), each (B, K): higher is more real."""

    unconditional: Tensor | None
    """Is the picture real? None if the discriminator has no such head."""
    conditional: Tensor
    """Does it show the sentence?"""

    def rows(self, which: slice) -> "Judgement":
        """Of some of the pictures."""
        return Judgement(None if self.unconditional is None else self.unconditional[which], self.conditional[which])


# ---------------------------------------------------------------------------------------------- adversarial


def cross_entropy_discriminator(real: Judgement, fake: Judgement, wrong: Judgement) -> Tensor:
    """Eq. 10 of Qiao et al., "MirrorGAN" (CVPR 2019), as the released code weighs it.

        (BCE(real, 1) + BCE(real with s, 1)) / 2 + (BCE(fake, 0) + BCE(fake with s, 0) + BCE(wrong, 0)) / 3

    Without unconditional heads: BCE(real with s, 1) + (BCE(fake with s, 0) + BCE(wrong, 0)) / 2. The paper has
    neither wrong pairs nor these weights.
    """
    matched, drawn, mismatched = (
        _bce(real.conditional, 1.0),
        _bce(fake.conditional, 0.0),
        _bce(wrong.conditional, 0.0),
    )
    if real.unconditional is None or fake.unconditional is None:
        return matched + (drawn + mismatched) / 2
    return (_bce(real.unconditional, 1.0) + matched) / 2 + (_bce(fake.unconditional, 0.0) + drawn + mismatched) / 3


def cross_entropy_generator(fake: Judgement) -> Tensor:
    """Eq. 7 of MirrorGAN without its factor 1/2, as the released code has it: visual realism + semantic consistency."""
    loss = _bce(fake.conditional, 1.0)
    return loss if fake.unconditional is None else loss + _bce(fake.unconditional, 1.0)


def cross_entropy_sum_discriminator(real: Judgement, fake: Judgement, wrong: Judgement) -> Tensor:
    """As StackGAN++'s released code sums it (Zhang et al., 2018; its paper has no wrong pairs).

        BCE(real with s, 1) + BCE(wrong, 0) + BCE(fake with s, 0)
        + BCE(real, 1) + BCE(real of the wrong pair, 1) + BCE(fake, 0)

    A real picture beside a wrong sentence is still a real picture. Without unconditional heads: the first three.
    """
    loss = _bce(real.conditional, 1.0) + _bce(wrong.conditional, 0.0) + _bce(fake.conditional, 0.0)
    if real.unconditional is not None and wrong.unconditional is not None and fake.unconditional is not None:
        loss = loss + _bce(real.unconditional, 1.0) + _bce(wrong.unconditional, 1.0) + _bce(fake.unconditional, 0.0)
    return loss


def hinge_discriminator(real: Judgement, fake: Judgement, wrong: Judgement) -> Tensor:
    """E relu(1 - D(x, s)) + 1/2 E relu(1 + D(G(z), s)) + 1/2 E relu(1 + D(x, s')), s' another picture's sentence.

    Lim and Ye, "Geometric GAN" (2017), with the mismatched pairs of SSA-GAN and DF-GAN. An unconditional head, where
    there is one, is trained beside it without mismatched pairs.
    """
    loss = (
        F.relu(1 - real.conditional).mean()
        + F.relu(1 + fake.conditional).mean() / 2
        + F.relu(1 + wrong.conditional).mean() / 2
    )
    if real.unconditional is not None and fake.unconditional is not None:
        loss = loss + F.relu(1 - real.unconditional).mean() + F.relu(1 + fake.unconditional).mean()
    return loss


def hinge_generator(fake: Judgement) -> Tensor:
    """- E D(G(z), s), and - E D(G(z)) where there is an unconditional head."""
    loss = -fake.conditional.mean()
    return loss if fake.unconditional is None else loss - fake.unconditional.mean()


def squared_grad_norm(judgement: Judgement, images: Tensor, told: Tensor) -> Tensor:
    """How steep a discriminator is at its pictures and sentences: ||(grad_x D, grad_s D)||^2 of every row, (B,).

    D is a row's mean logit; of two heads, the sum of both. Differentiable once more.

    Args:
        judgement: of `images` (B, 3, S, S) beside `told` (B, T), which both require gradients.
    """
    logits = [head.float().mean(dim=1).sum() for head in judgement if head is not None]
    gradients = torch.autograd.grad(torch.stack(logits).sum(), (images, told), create_graph=True)
    return torch.stack([gradient.float().flatten(1).square().sum(dim=1) for gradient in gradients]).sum(dim=0)


def matching_aware_penalty(slopes: Tensor, power: float = 6.0) -> Tensor:
    """E ||(grad_x D, grad_s D)||^p at real pictures beside their own sentences, unweighted. Published: p = 6, weight 2.

    Tao et al., "DF-GAN" (CVPR 2022), Eq. 1; the same in SSA-GAN. `slopes` are squared, (B,).
    """
    return slopes.pow(power / 2).mean()


def _bce(logits: Tensor, label: float) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


# ---------------------------------------------------------------------------------------------- distribution


def transport_map(covariance: Tensor, wanted: Tensor) -> Tensor:
    """A of x -> wanted_mean + A (x - mean), the optimal transport from one Gaussian to another.

        A = R^-1 (R C' R)^(1/2) R^-1, R = C^(1/2)        A C A = C'

    Peyre and Cuturi, "Computational Optimal Transport" (2019), Eq. 2.40.

    Args:
        covariance, wanted: C and C', (D, D), symmetric; C positive definite.

    Returns:
        (D, D), symmetric and positive semidefinite.
    """
    values, vectors = torch.linalg.eigh(covariance)
    roots = values.clamp_min(torch.finfo(values.dtype).tiny).sqrt()
    root, inverse = (vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T
    values, vectors = torch.linalg.eigh(root @ wanted @ root)
    mapped: Tensor = inverse @ (vectors * values.clamp_min(0).sqrt()) @ vectors.T @ inverse
    return mapped


def transport_cost(points: Tensor, goals: Tensor) -> Tensor:
    """Mean squared distance of points (B, D) to where they should lie, (B, D); nothing learns from the goals.

    If the goals are where the optimal transport between two Gaussians takes samples of the first, this is the squared
    Frechet distance of both in the mean, and its gradient is the distance's own: that of the transport itself is zero
    (the envelope theorem).
    """
    return (points - goals.detach()).square().sum(dim=1).mean()


# --------------------------------------------------------------------------------------------- conditioning


def kl_divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, exp(logvar)) || N(0, 1)), averaged over batch and channels as in the released code. Both (B, Z)."""
    return -0.5 * (1 + logvar - mu.square() - logvar.exp()).mean()


# ---------------------------------------------------------------------------------------------------- DAMSM


def caption_image_similarity(
    words: Tensor, regions: Tensor, mask: Tensor, gamma1: float = 4.0, gamma2: float = 5.0
) -> Tensor:
    """Scores every image of a batch against every caption of it by attention between words and regions.

    Eqs. 7-10 of Xu et al., "AttnGAN" (CVPR 2018):

        a_kt = softmax over t of v_k . e_t            alpha_tk = softmax over k of gamma1 a_kt
        c_t = sum_k alpha_tk v_k                      R = log sum_t exp(gamma2 cos(c_t, e_t))

    As in the authors' code R is not divided by gamma2 (Eq. 10 is), and gamma1 is 4 for birds (the paper says 5).

    Args:
        words: e, (B, L, D).
        regions: v, (B, N, D).
        mask: (B, L) bool, True where there is a word.

    Returns:
        (B, B): row i, column j is the similarity of image i and caption j.
    """
    scores = torch.einsum("jld,ind->ijln", words, regions)
    scores = scores.masked_fill(~mask[None, :, :, None], float("-inf"))
    scores = scores.softmax(dim=2)  # over words, Eq. 8
    alpha = (gamma1 * scores).softmax(dim=3)  # over regions, Eq. 9
    context = torch.einsum("ijln,ind->ijld", alpha, regions)
    relevance = F.cosine_similarity(context, words[None], dim=-1)  # (B, B, L)
    relevance = (gamma2 * relevance).masked_fill(~mask[None], float("-inf"))
    return relevance.logsumexp(dim=2)  # Eq. 10


def matching_loss(similarity: Tensor, groups: Tensor | None = None, gamma3: float = 10.0) -> Tensor:
    """Cross-entropy of finding the caption of each image and the image of each caption, Eqs. 11 and 12 of AttnGAN.

    Args:
        similarity: (B, B), images by captions.
        groups: (B,) classes. Pairs of one class that are not one pair are left out, as in the authors' code: another
            bird of the same species may fit the caption as well. None keeps every pair.

    Returns:
        the sum of both directions, each a mean over the batch (L_0 + L_1).
    """
    logits = gamma3 * similarity
    if groups is not None:
        own = torch.eye(len(groups), dtype=torch.bool, device=groups.device)
        logits = logits.masked_fill((groups[:, None] == groups[None, :]) & ~own, float("-inf"))
    labels = torch.arange(len(logits), device=logits.device)
    return F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)


def damsm_loss(
    words: Tensor,
    sentence: Tensor,
    regions: Tensor,
    image_code: Tensor,
    mask: Tensor,
    groups: Tensor | None = None,
    gamma1: float = 4.0,
    gamma2: float = 5.0,
    gamma3: float = 10.0,
) -> dict[str, Tensor]:
    """The deep attentional multimodal similarity loss, Eq. 13 of AttnGAN, by words and by sentence.

    Args:
        words, mask: (B, L, D) and (B, L).
        sentence, image_code: (B, D) each, compared by cosine.
        regions: (B, N, D).
        groups: see `matching_loss`.

    Returns:
        {"words": L_w0 + L_w1, "sentence": L_s0 + L_s1}.
    """
    cosine = F.normalize(image_code, dim=1) @ F.normalize(sentence, dim=1).T
    by_words = caption_image_similarity(words, regions, mask, gamma1, gamma2)
    return {
        "words": matching_loss(by_words, groups, gamma3),
        "sentence": matching_loss(cosine, groups, gamma3),
    }


# --------------------------------------------------------------------------------------------------- STREAM


def redescription_loss(logits: Tensor, targets: Tensor, mask: Tensor, reduction: str = "mean") -> Tensor:
    """-sum_t log p_t(T_t), Eq. 8 of MirrorGAN.

    Args:
        logits: (B, L, V) for each position.
        targets: (B, L) ids.
        mask: (B, L) bool, True where a target counts.
        reduction: "mean" over all counted tokens of the batch (released code), or "sum" over the tokens of a caption,
            averaged over the batch (the paper's formula).
    """
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction must be 'mean' or 'sum', not {reduction!r}")
    uncounted = -100  # picking the counted ones out would make the CPU wait for the device
    counted = targets.masked_fill(~mask, uncounted).flatten()
    losses = F.cross_entropy(logits.flatten(0, 1).float(), counted, ignore_index=uncounted, reduction="sum")
    return losses / (mask.sum() if reduction == "mean" else len(mask))


def word_map_loss(attention: Tensor, looks: Tensor, mask: Tensor, sharpness: float = 4.0) -> Tensor:
    """How far word maps of a drawing are from where a captioner looks for the same words on it (ours).

        t_ln = softmax over l of (sharpness * log a_ln)        - 1/N sum_n sum_l t_ln log b_ln

    a: the captioner's looks; b: the mean of the word maps over region n. A captioner looks at a bird for nearly every
    word, only more so for colours and parts; sharpened and compared word with word, its looks say which words a region
    should hear more of than others. Zero gradient if b = t.

    Args:
        attention: word maps, (B, L, H, W); sums to 1 over L, 0 at padding.
        looks: (B, L, n, n) with N = n * n, at least 0; sums to 1 over the regions. Nothing learns from it.
        mask: (B, L) bool, True where there is a word.

    Returns:
        (B,), at least 0.
    """
    height, width = looks.shape[2:]
    heard = F.adaptive_avg_pool2d(attention, (height, width))
    scores = sharpness * looks.detach().clamp_min(1e-6).log()
    wanted = scores.masked_fill(~mask[:, :, None, None], float("-inf")).softmax(dim=1)
    return -(wanted * heard.clamp_min(1e-6).log()).sum(dim=1).mean(dim=(1, 2))
