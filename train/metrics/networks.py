"""The networks through which scores look at pictures, by name: features, and classes of ImageNet.

`efficientnet_lite2` is always there, and no preset trains with it. `inception` is the network of 2015 that the papers
use (TensorFlow's graph, ported by torch-fidelity), for whoever has its weights as a file.

Dimensions: B pictures, S pixels, P channels of the feature, C classes.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mirrorgan.backbones import check_hash, fold_batch_norms, installed_weights, load_imagenet, resize
from mirrorgan.drawing import CheckpointError
from mirrorgan.images import from_uint8, to_channels_last
from mirrorgan.manifest import sha256
from mirrorgan.untrusted import load_torch
from train.metrics import check_finite
from train.runtime.device import autocast, has_bfloat16

INCEPTION_2015 = "6726825d"
"""First digits of the sha256 of torch-fidelity's port, weights-inception-2015-12-05-6726825d.pth."""


class FeatureNetwork(nn.Module, ABC):
    """Pictures to one feature each, and features to probabilities of classes.

    Attributes:
        name: as it was asked for.
        short: its part in a protocol id.
        sha256: of the file of its weights.
        how: what is done to a picture, in words.
    """

    name: str
    short: str
    sha256: str
    how: str

    @abstractmethod
    def features(self, pictures: Tensor) -> Tensor:
        """(B, S, S, 3) uint8 to (B, P) float32.

        Raises:
            ValueError: a number is not finite; so here and below.
        """

    @abstractmethod
    def classify(self, features: Tensor) -> Tensor:
        """(B, P) to p(class | picture), (B, C) float32."""

    def levels(self, pictures: Tensor) -> list[Tensor]:
        """(B, S, S, 3) uint8 to feature maps at strides 4, 8, 16 and 32, each (B, D_i, h, w) float32.

        Raises:
            ValueError: this network has none.
        """
        raise ValueError(f"the feature network {self.name} gives no feature maps; use --features {NETWORKS[0]}")


class ImageNetTrunk(FeatureNetwork):
    """A trunk of mirrorgan.backbones with the classifier in its file of weights; features are computed in bfloat16
    where the device is faster in it, feature maps in float32."""

    def __init__(self, name: str, weights: Path, device: str = "cpu") -> None:
        super().__init__()
        self.name, self.short, self.sha256 = name, name.removeprefix("efficientnet_"), sha256(weights)
        self.trunk = to_channels_last(fold_batch_norms(load_imagenet(name, weights)), device)
        kind = "bfloat16" if has_bfloat16(device) else "float32"
        self.how = f"mean of the last feature map at {self.trunk.image_size} px (bilinear, smoothed), {kind}"
        named = load_torch(weights).items()
        classifier = [tensor for key, tensor in named if key.removeprefix("_").startswith(("fc.", "classifier."))]
        if [tensor.ndim for tensor in classifier] != [2, 1]:
            raise CheckpointError(f"{weights}: no classifier in it, weight and then bias")
        self.weight, self.bias = (nn.Buffer(tensor.float().to(device)) for tensor in classifier)

    @torch.inference_mode()
    def features(self, pictures: Tensor) -> Tensor:
        check_finite(pictures, "values of pixels")
        images = resize(from_uint8(pictures), self.trunk.image_size)
        with autocast(pictures.device.type, "auto"):
            features: Tensor = self.trunk(images).pooled.float()
        check_finite(features, f"features of {self.name}")
        return features

    @torch.inference_mode()
    def levels(self, pictures: Tensor) -> list[Tensor]:
        check_finite(pictures, "values of pixels")
        levels: list[Tensor] = self.trunk(resize(from_uint8(pictures), self.trunk.image_size)).levels
        for level in levels:
            check_finite(level, f"values of feature maps of {self.name}")
        return levels

    @torch.inference_mode()
    def classify(self, features: Tensor) -> Tensor:
        check_finite(features, "values of features")
        return F.linear(features, self.weight, self.bias).softmax(dim=1)


class Inception2015(FeatureNetwork):
    """The Inception network of 2015 as torch-fidelity ports it: resized to 299 pixels, pool3, logits without bias.

    Raises:
        FileNotFoundError: the file or the package is missing; the message says where both come from.
        CheckpointError: the file is damaged or of another network.
    """

    def __init__(self, weights: Path, device: str = "cpu") -> None:
        super().__init__()
        if not weights.is_file():
            raise FileNotFoundError(f"{weights}: no such file with the weights of Inception")
        check_hash(weights)
        try:
            from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
        except ImportError:
            raise FileNotFoundError(
                "--features inception needs the package torch-fidelity: pip install torch-fidelity"
            ) from None
        try:
            load_torch(weights)  # the package would also run code in the file
            extractor: Any = FeatureExtractorInceptionV3("inception", ["2048"], str(weights))
        except Exception as error:
            raise CheckpointError(f"{weights}: not the weights of Inception ({shortened(error)})") from error
        self.extractor = extractor.to(device).eval()
        self.name, self.sha256 = "inception", sha256(weights)
        official = self.sha256.startswith(INCEPTION_2015)
        self.short = "inception2015" if official else f"inception-{self.sha256[:8]}"
        self.how = "pool3 at 299 px (TensorFlow 1's bilinear), float32, by torch-fidelity"

    @torch.inference_mode()
    def features(self, pictures: Tensor) -> Tensor:
        check_finite(pictures, "values of pixels")
        features: Tensor = self.extractor(pictures.permute(0, 3, 1, 2).contiguous())[0].float()
        check_finite(features, f"features of {self.name}")
        return features

    @torch.inference_mode()
    def classify(self, features: Tensor) -> Tensor:
        check_finite(features, "values of features")
        return F.linear(features, self.extractor.fc.weight).softmax(dim=1)


NETWORKS = ("efficientnet_lite2", "inception")


def load_network(name: str, inception_weights: Path | None, device: str = "cpu") -> FeatureNetwork:
    """A network by name.

    Raises:
        FileNotFoundError: its weights or a package are missing; the message says where they come from.
        ValueError: there is no such network.
    """
    if name == "inception":
        if inception_weights is None:
            raise FileNotFoundError(
                "--features inception needs --inception-weights FILE: weights-inception-2015-12-05-6726825d.pth of "
                "torch-fidelity's release v0.2.0 on GitHub; without it use --features efficientnet_lite2"
            )
        return Inception2015(inception_weights, device)
    if name not in NETWORKS:
        raise ValueError(f"no features {name!r}; there are: {', '.join(NETWORKS)}")
    return ImageNetTrunk(name, installed_weights(name), device)


def shortened(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
