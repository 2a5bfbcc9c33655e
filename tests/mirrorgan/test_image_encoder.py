import pytest
import torch
from torch.nn import functional as F

from mirrorgan.backbones import resize
from mirrorgan.image_encoder import ImageEncoder, ImageEncoderConfig


def build(backbone, pool=1):
    return ImageEncoder(ImageEncoderConfig(backbone="tiny", image_size=64, text_dim=7, pool=pool), backbone)


def test_a_region_is_its_place_s_feature_through_a_matrix(tiny_backbone):
    encoder = build(tiny_backbone)
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    level = tiny_backbone(images).levels[2]  # stride 16: 4x4
    regions, code = encoder(images)
    assert regions.shape == (2, 16, 7)
    for b in range(2):
        for h in range(4):
            for w in range(4):
                torch.testing.assert_close(regions[b, 4 * h + w], encoder.to_regions.weight @ level[b, :, h, w])
    torch.testing.assert_close(code, encoder.to_global(tiny_backbone(images).pooled))


def test_pooled_regions_are_means_of_their_neighbours(tiny_backbone):
    fine, coarse = build(tiny_backbone), build(tiny_backbone, pool=2)
    coarse.load_state_dict(fine.state_dict())
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    many, few = fine(images)[0], coarse(images)[0]
    assert few.shape == (2, 4, 7)
    expected = F.avg_pool2d(many.transpose(1, 2).unflatten(2, (4, 4)), 2).flatten(2).transpose(1, 2)
    torch.testing.assert_close(few, expected)


def test_pictures_of_any_size_are_brought_to_the_encoder_s(tiny_backbone):
    encoder = build(tiny_backbone)
    images = torch.rand(2, 3, 96, 96) * 2 - 1
    torch.testing.assert_close(encoder(images)[1], encoder(resize(images, 64))[1])


def test_only_the_two_maps_are_its_own(tiny_backbone):
    encoder = build(tiny_backbone)
    assert set(encoder.state_dict()) == {"to_regions.weight", "to_global.weight", "to_global.bias"}


def test_both_matrices_start_between_minus_and_plus_a_tenth(tiny_backbone):
    encoder = build(tiny_backbone)
    for weight in (encoder.to_regions.weight, encoder.to_global.weight):
        assert 0.05 < weight.abs().max() <= 0.1


def test_gradients_reach_the_picture_through_the_frozen_trunk(tiny_backbone):
    encoder = build(tiny_backbone).requires_grad_(False)
    images = torch.zeros(2, 3, 64, 64, requires_grad=True)
    regions, code = encoder(images)
    (regions.square().sum() + code.square().sum()).backward()
    assert images.grad.abs().sum() > 0


@pytest.mark.parametrize("size", [64, 96, 40])
def test_resizing_keeps_flat_pictures_flat_and_the_range(size):
    flat = torch.full((1, 3, 64, 64), 0.25)
    torch.testing.assert_close(resize(flat, size), torch.full((1, 3, size, size), 0.25))
    assert resize(torch.rand(1, 3, 64, 64) * 2 - 1, size).abs().max() <= 1


def test_resizing_to_the_same_size_does_nothing():
    images = torch.randn(1, 3, 8, 8)
    assert resize(images, 8) is images
