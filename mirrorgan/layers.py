"""The blocks that the stages are built from.

Dimensions: B batch, C channels, H and W feature-map size, D text channels, Z condition channels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SpectralNorm(nn.Module):
    """A weight divided by its largest singular value, for `parametrize.register_parametrization`; as DM-GAN's code has
    it (Miyato et al., "Spectral Normalization for GANs", ICLR 2018).

    One power iteration whenever it is asked for: v = W' u, u = W v, both brought to length 1, sigma = u' W v. Training
    keeps u; in eval mode the iteration is made from the u that was kept, so that an answer does not depend on those
    before it. PyTorch's own takes the two halves of the iteration in the other order, and none in eval mode: the same
    u and v would give another weight.
    """

    u: Tensor
    v: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        rows, columns = weight.flatten(1).shape
        self.register_buffer("u", F.normalize(torch.randn(rows, device=weight.device), dim=0))
        self.register_buffer("v", F.normalize(torch.randn(columns, device=weight.device), dim=0))

    def forward(self, weight: Tensor) -> Tensor:
        matrix = weight.flatten(1)
        with torch.autocast(weight.device.type, enabled=False):
            with torch.no_grad():
                v = F.normalize(matrix.T @ self.u, dim=0)
                u = F.normalize(matrix @ v, dim=0)
                if self.training:
                    self.u.copy_(u)
                    self.v.copy_(v)
            return weight / (u @ (matrix @ v))


class GLU(nn.Module):
    """Half of the channels, gated by the other half: a * sigmoid(b)."""

    def forward(self, features: Tensor) -> Tensor:
        if not features.requires_grad:
            return F.glu(features, dim=1)
        # The gradient of F.glu does not keep the layout channels last; the batch norm before it then takes ten times
        # as long on a CPU.
        value, gate = features.chunk(2, dim=1)
        return value * (gate.clone() if features.device.type == "cpu" else gate).sigmoid()  # slow across a gap


SMALL = 1024
"""Places of a map; see UpConv."""


class UpConv(nn.Conv2d):
    """Every place doubled (nearest neighbour), then a 3x3 convolution without a bias, in less than half of the time.

    Nine weights of a doubled map meet four places of the map as it was: a transposed convolution of 4x4 weights, each
    the sum of those that meet the same place. The sums are not worth their time for one small map; when drawing, that
    is decided by the map alone, not the batch, so that a caption gives the same picture in any company.
    """

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__(channels, out_channels, kernel_size=3, padding=1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) to (B, out_channels, 2H, 2W)."""
        weight = self.weight
        if not self.training and features.shape[2] * features.shape[3] < SMALL:
            return F.conv2d(F.interpolate(features, scale_factor=2.0, mode="nearest"), weight, padding=1)
        for side in (2, 3):
            first, middle, last = weight.unbind(side)
            weight = torch.stack([last, middle + last, first + middle, first], side)
        return F.conv_transpose2d(features, weight.transpose(0, 1), stride=2, padding=1)


class WholeConv(nn.Conv2d):
    """A convolution whose kernel covers the whole map: (B, C, H, W) to (B, out_channels, 1, 1), as a matrix product."""

    def forward(self, features: Tensor) -> Tensor:
        flat, weight = (tensor.permute(0, 2, 3, 1).flatten(1) for tensor in (features, self.weight))
        return F.linear(flat, weight, self.bias)[:, :, None, None]


def up_block(channels: int, out_channels: int) -> nn.Sequential:
    """(B, channels, H, W) to (B, out_channels, 2H, 2W): nearest neighbour, 3x3 convolution, batch norm, GLU."""
    return nn.Sequential(
        nn.Identity(),  # the released names count a module that doubles
        UpConv(channels, 2 * out_channels),
        nn.BatchNorm2d(2 * out_channels),
        GLU(),
    )


class ResBlock(nn.Module):
    """Two 3x3 convolutions beside an identity, no activation after the sum. (B, C, H, W) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(channels, 2 * channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(2 * channels),
            GLU(),
            nn.Conv2d(channels, channels, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        return features + self.block(features)


def down_block(channels: int, out_channels: int, norm: bool = True) -> nn.Sequential:
    """(B, channels, H, W) to (B, out_channels, H/2, W/2): 4x4 convolution, batch norm, leaky ReLU.

    Args:
        norm: False leaves out the norm; the convolution has a bias then.
    """
    convolution = nn.Conv2d(channels, out_channels, kernel_size=4, stride=2, padding=1, bias=not norm)
    return nn.Sequential(convolution, *([nn.BatchNorm2d(out_channels)] if norm else []), nn.LeakyReLU(0.2))


def same_block(channels: int, out_channels: int, norm: bool = True) -> nn.Sequential:
    """(B, channels, H, W) to (B, out_channels, H, W): 3x3 convolution, batch norm, leaky ReLU; `norm` as above."""
    convolution = nn.Conv2d(channels, out_channels, kernel_size=3, padding=1, bias=not norm)
    return nn.Sequential(convolution, *([nn.BatchNorm2d(out_channels)] if norm else []), nn.LeakyReLU(0.2))


class ConditioningAugmentation(nn.Module):
    """F_ca: a Gaussian around the sentence, so that few captions fill the space (StackGAN; Eq. 2 of MirrorGAN).

    The conditioning is a sample in training and afterwards, as in the released code; the noise that it takes belongs to
    the caller, so that a seed always gives the same drawing. Noise of zeros gives the mean.
    """

    def __init__(self, text_dim: int, condition_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(text_dim, 4 * condition_dim)

    def forward(self, sentence: Tensor, noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """s (B, D) and standard normal noise (B, Z) to the conditioning s_ca, its mean and log-variance, all (B, Z)."""
        mu, logvar = F.glu(self.linear(sentence), dim=1).chunk(2, dim=1)
        return mu + noise * (0.5 * logvar).exp(), mu, logvar


class Bottleneck(nn.Module):
    """A 1x1 and two 3x3 convolutions over a quarter of the channels beside an identity, batch norm after each, no
    activation after the sum: GAN-INT-CLS's. (B, C, H, W) to the same.

    Args:
        slope: of the activations below zero.
        bias: whether the convolutions have one, as in GAWWN.
    """

    def __init__(self, channels: int, slope: float, bias: bool = False) -> None:
        super().__init__()
        few = max(1, channels // 4)
        self.block = nn.Sequential(
            nn.Conv2d(channels, few, kernel_size=1, bias=bias),
            nn.BatchNorm2d(few),
            nn.LeakyReLU(slope),
            nn.Conv2d(few, few, kernel_size=3, padding=1, bias=bias),
            nn.BatchNorm2d(few),
            nn.LeakyReLU(slope),
            nn.Conv2d(few, channels, kernel_size=3, padding=1, bias=bias),
            nn.BatchNorm2d(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        return features + self.block(features)


class FirstStage(nn.Module):
    """F_0 of MirrorGAN's Eq. 3: conditioning and noise become 4x4 features, then double up to the first size.

    Starts with `channels` * `size` / 4 channels and halves them at every step. The same in StackGAN++ and AttnGAN.

    Args:
        input_dim: of conditioning and noise together.
        channels: C at the end.
        size: S of the features at the end, a power of two of at least 4.
    """

    def __init__(self, input_dim: int, channels: int, size: int) -> None:
        super().__init__()
        width = channels * size // 4
        self.start = nn.Sequential(
            nn.Linear(input_dim, 2 * width * 4 * 4, bias=False), nn.BatchNorm1d(2 * width * 4 * 4), GLU()
        )
        blocks = []
        while width > channels:
            blocks.append(up_block(width, width // 2))
            width //= 2
        self.blocks = nn.Sequential(*blocks)

    def forward(self, conditioning: Tensor, noise: Tensor) -> Tensor:
        """(B, Z) and (B, noise) to (B, C, S, S)."""
        start = self.start(torch.cat([conditioning, noise], dim=1))  # the conditioning comes first
        return self.blocks(start.unflatten(1, (-1, 4, 4)))


def crop_each(maps: Tensor, corners: Tensor, size: int) -> Tensor:
    """A square of every map of a batch, each at a place of its own: (B, C, H, W) to (B, C, size, size).

    Args:
        corners: (B, 2) int64, top and left; the squares lie inside the maps.
    """
    batch, channels, _, width = maps.shape
    places = corners[:, :, None] + torch.arange(size, device=maps.device)  # (B, 2, size)
    rows = places[:, 0, None, :, None].expand(batch, channels, size, width)
    columns = places[:, 1, None, None, :].expand(batch, channels, size, size)
    return maps.gather(2, rows).gather(3, columns).contiguous(memory_format=torch.channels_last)


def image_head(channels: int, bias: bool = False) -> nn.Conv2d:
    """G_i of MirrorGAN's Eq. 3 without its tanh: (B, C, S, S) to (B, 3, S, S)."""
    return nn.Conv2d(channels, 3, kernel_size=3, padding=1, bias=bias)


class StandardizedSentence(nn.BatchNorm1d):
    """Every channel of the sentence brought to mean 0 and deviation 1 over captions (ours). (B, D) to the same.

    STEM's channels have a deviation of about 0.2, beside noise of 1: without it a caption is hardly heard for the first
    thousands of steps.
    """

    def __init__(self, text_dim: int) -> None:
        super().__init__(text_dim, affine=False)


def standardize_words(words: Tensor, norm: nn.Module) -> Tensor:
    """Words (B, L, D) by the sentence's running statistics: both are states of the same LSTM.

    Args:
        norm: a `StandardizedSentence`, or the batch norm that takes its place where several processes share a batch.
    """
    mean, var, eps = norm.running_mean, norm.running_var, norm.eps
    assert isinstance(mean, Tensor) and isinstance(var, Tensor) and isinstance(eps, float)
    return (words - mean) * (var + eps).rsqrt()


def text_map(input_dim: int, hidden_dim: int, output_dim: int, start: float = 0.0) -> nn.Sequential:
    """What a caption says to every channel: linear, ReLU, linear; everywhere `start` at first. (B, D) to (B, C)."""
    last = nn.Linear(hidden_dim, output_dim)
    nn.init.zeros_(last.weight)
    nn.init.constant_(last.bias, start)
    return nn.Sequential(nn.Linear(input_dim, hidden_dim), nn.ReLU(), last)


def truncated(noise: Tensor, scale: float, bound: float = 2.0) -> Tensor:
    """Standard normal noise as that of a normal cut off at +-bound, times `scale`; same shape, order kept.

    By the distribution functions of both, so that one seed's noise stays one seed's.
    """
    low = torch.special.ndtr(torch.tensor(-bound, dtype=torch.float64, device=noise.device))
    share = low + torch.special.ndtr(noise.double()) * (1 - 2 * low)
    return (torch.special.ndtri(share).clamp(-bound, bound) * scale).to(noise.dtype)


def widths(size: int, channels: int, widest: int = 8, least: int = 4) -> list[int]:
    """Channels of a generator's maps from `least` pixels to `size`, doubling: `channels` at the end, twice as many a
    step before, and so on up to `widest` times."""
    steps = (size // least).bit_length()
    return [channels * min(widest, 2 ** (steps - 1 - step)) for step in range(steps)]


def check_size(name: str, size: int, least: int) -> None:
    """Raises ValueError if `size` is no power of two of at least `least`."""
    if size < least or size & (size - 1):
        raise ValueError(f"{name} must be a power of two of at least {least}, not {size}")


def initialize_normal(module: nn.Module) -> None:
    """DCGAN's start, for `Module.apply`: convolutions N(0, 0.02) with zero biases, batch norm around 1.

    Linear layers keep PyTorch's own start, as they kept Torch's in GAN-INT-CLS's code: weights and biases from
    U(-1 / sqrt(inputs), 1 / sqrt(inputs)).
    """
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.affine:
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)


def initialize_stackgan(module: nn.Module) -> None:
    """StackGAN's start for birds, for `Module.apply`: convolutions N(0, 0.02) cut off at two deviations, linear layers
    N(0, 0.02) with zero biases, batch norm around 1."""
    if isinstance(module, nn.Conv2d):
        nn.init.trunc_normal_(module.weight, 0.0, 0.02, -0.04, 0.04)
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.affine:
        nn.init.normal_(module.weight, 1.0, 0.02)
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)


def initialize_stackgan_coco(module: nn.Module) -> None:
    """StackGAN's start for COCO, for `Module.apply`: the same, and nothing is cut off."""
    initialize_normal(module)
    if isinstance(module, nn.Linear):
        initialize_stackgan(module)


def initialize(module: nn.Module) -> None:
    """The released start, for `Module.apply`: orthogonal weights, zero biases, batch norm around 1."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.orthogonal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.affine:
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
