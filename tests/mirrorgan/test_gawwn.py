"""GAWWN: places, both generators and discriminators, and the places that are made of a caption."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn

from mirrorgan import locations
from mirrorgan.discriminators import gawwn as judges
from mirrorgan.drawing import CaptionError
from mirrorgan.generators import gawwn
from mirrorgan.keypoints import KeypointConfig, KeypointDiscriminator, KeypointGenerator, seen_parts
from mirrorgan.locations import check_box, check_parts, crop, location_row, part_maps, paste

PARTS = ("beak", "tail", "throat")
BOXES = torch.tensor([[0.25, 0.125, 0.5, 0.625], [0.1, 0.3, 0.9, 0.4]])
PLACES = torch.tensor([[0.2, 0.9, 1.0, 0.0, 0.0, 0.0, 0.55, 0.3, 1.0], [1.0, 0.0, 1.0, 0.5, 0.5, 1.0, 0.0, 0.0, 0.0]])


def counted(module):
    return sum(p.numel() for p in module.parameters())


# -------------------------------------------------------------------------------------------------- places


def sampled(maps, row, column):
    """The value of maps (C, M, M) between places, bilinear, zero outside; numbered from 0."""
    total = torch.zeros(len(maps))
    for y in (math.floor(row), math.floor(row) + 1):
        for x in (math.floor(column), math.floor(column) + 1):
            if 0 <= y < maps.shape[1] and 0 <= x < maps.shape[2]:
                total += (1 - abs(row - y)) * (1 - abs(column - x)) * maps[:, y, x]
    return total


@pytest.mark.parametrize("which", ["crop", "paste"])
def test_a_warp_is_its_affine_map_written_as_loops(which):
    maps = torch.randn(2, 3, 5, 5)
    found = getattr(locations, which)(maps, BOXES)
    for picture, (x, y, width, height) in enumerate(BOXES.tolist()):
        scale = {"y": height, "x": width}
        shift = {"y": 2 * (y + height / 2 - 0.5), "x": 2 * (x + width / 2 - 0.5)}
        if which == "paste":
            scale, shift = {k: 1 / scale[k] for k in "yx"}, {k: -shift[k] / scale[k] for k in "yx"}
        for row in range(5):
            for column in range(5):
                # From -1 to 1 with both ends on places.
                down, across = (2 * place / 4 - 1 for place in (row, column))
                source = [
                    (scale[axis] * value + shift[axis] + 1) * 2
                    for axis, value in zip("yx", (down, across), strict=True)
                ]
                torch.testing.assert_close(
                    found[picture, :, row, column], sampled(maps[picture], *source), rtol=1e-4, atol=1e-5
                )


def test_of_the_whole_picture_both_are_identities_and_one_undoes_the_other():
    maps = torch.randn(2, 3, 16, 16)
    whole = torch.tensor([locations.WHOLE]).expand(2, -1)
    torch.testing.assert_close(crop(maps, whole), maps)
    torch.testing.assert_close(paste(maps, whole), maps)
    smooth = torch.linspace(0, 1, 16).expand(2, 1, 16, 16)  # bilinear sampling keeps it
    torch.testing.assert_close(crop(paste(smooth, BOXES), BOXES)[:, :, 2:-2, 2:-2], smooth[:, :, 2:-2, 2:-2],
                               atol=2e-2, rtol=0)  # fmt: skip


def test_a_box_that_moves_by_places_moves_what_is_pasted_by_as_many():
    maps = torch.randn(1, 2, 16, 16)
    here, there = torch.tensor([[0.1, 0.1, 0.5, 0.5]]), torch.tensor([[0.1 + 3 / 15, 0.1 + 2 / 15, 0.5, 0.5]])
    torch.testing.assert_close(paste(maps, there)[:, :, 2:, 3:], paste(maps, here)[:, :, :-2, :-3], atol=1e-4, rtol=0)


def test_a_part_is_one_at_its_place_and_nowhere_if_it_is_not_seen():
    maps = part_maps(PLACES, 16)
    expected = torch.zeros(2, 3, 16, 16)
    for picture in range(2):
        for part in range(3):
            x, y, seen = PLACES[picture, 3 * part : 3 * part + 3].tolist()
            if seen:
                row, column = (min(max(round(16 * share), 1), 16) - 1 for share in (y, x))
                expected[picture, part, row, column] = 1
    assert torch.equal(maps, expected) and maps.sum() == 4


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((0.1, 0.1, 0.0, 0.5), "0 wide and 0.5 high; each must be at least 0.1"),
        ((0.5, 0.5, -0.2, 0.2), "each must be at least 0.1"),
        ((1.2, 0.1, 0.5, 0.5), "lies outside the picture"),
        ((-0.9, 0.1, 0.5, 0.5), "lies outside the picture"),
        ((0.7, 0.1, 0.5, 0.5), r"reaches over the picture's edge.*make it smaller"),
        ((math.nan, 0.1, 0.5, 0.5), "The box's x is nan; it must be a share"),
        ((0.1, 0.1, math.inf, 0.5), "The box's width is inf"),
        ((0.1, 0.1, 10**400, 0.5), "The box's width is 1000"),
        ((0.1, "0.1", 0.5, 0.5), "The box's y is '0.1'; it must be a number"),
        ((0.1, True, 0.5, 0.5), "The box's y is True; it must be a number"),
        ((0.1, 0.1, 0.5), "must be four numbers, x, y, width and height"),
        ("0123", "must be four numbers"),
        ({"x": 1}, "must be four numbers"),
        (None, "The box is None; it must be four numbers"),
    ],
)
def test_a_box_that_cannot_be_is_refused_in_a_sentence(box, message):
    with pytest.raises(CaptionError, match=message):
        check_box(box)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"snout": (0.1, 0.1)}, "'snout' is none of the parts; there are: beak, tail, throat"),
        ({"beak": (1.1, 0.1)}, "The x of beak is 1.1, outside the picture"),
        ({"beak": (0.1, math.nan)}, "The y of beak is nan"),
        ({"beak": (0.1,)}, "must be two numbers, x and y"),
        ({"beak": "ab"}, "must be two numbers, x and y"),
        ({"beak": (0.1, None)}, "The y of beak is None; it must be a number"),
        ([("beak", 0.1, 0.1), ("beak", 0.5, 0.1)], r"beak is placed twice, at \(0.1, 0.1\) and at \(0.5, 0.1\)"),
        ({"beak": (0.5, 0.5), "tail": (0.5, 0.501)}, r"beak and tail are both placed at .* Move one"),
        ({"beak": None}, "No part is placed"),
        ([], "No part is placed"),
        (7, "must be given by name"),
        ([3], "3 is none of the parts"),
        ([()], r"\(\) is none of the parts"),
        ({("a", "b"): (0, 0)}, "is none of the parts"),
    ],
)
def test_parts_that_cannot_be_are_refused_in_a_sentence(parts, message):
    with pytest.raises(CaptionError, match=message):
        check_parts(parts, PARTS)


def test_a_place_becomes_a_row_of_the_generator_s_kind():
    assert location_row("box", (), [0, 0.25, 1, 0.5]).tolist() == [[0, 0.25, 1, 0.5]]
    for where in ({"throat": (0.25, 1), "beak": None}, [("throat", 0.25, 1)], [["throat", 0.25, 1]]):
        assert location_row("keypoints", PARTS, where).tolist() == [[0, 0, 0, 0, 0, 0, 0.25, 1, 1]]
    with pytest.raises(CaptionError, match="mirrorgan cannot be told where to draw; a gawwn model can"):
        location_row(None, (), (0, 0, 1, 1), "mirrorgan")


# ----------------------------------------------------------------------------------------------- generators


@pytest.mark.parametrize(
    ("text_dim", "place", "parameters"),
    [
        (1024, "box", 73_545_699),
        (256, "box", 73_152_483),
        (1024, "keypoints", 26_471_043),
        (256, "keypoints", 26_077_827),
    ],
)
def test_generators_have_as_many_parameters_as_the_released_ones(text_dim, place, parameters):
    with torch.device("meta"):
        network = gawwn.Generator(gawwn.Config(text_dim=text_dim, location=place))
    assert counted(network) == parameters
    assert gawwn.FORMS[place] == gawwn.Config(location=place)


def small(place, size=32, channels=4, **options):
    return gawwn.Config(
        text_dim=8, noise_dim=6, first_size=size, channels=(channels,), location=place, part_names=PARTS, **options
    )


def woken(network):
    """Weights that let what goes in come out, in eval mode."""
    with torch.no_grad():
        for p in network.parameters():
            fan_in = p[0].numel() if p.ndim > 1 else 4
            p.copy_(torch.randn_like(p) * (2 / fan_in) ** 0.5)
    return network.eval()


def built(place, size=32, **options):
    network = woken(gawwn.Generator(small(place, size, **options)))
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
    return network


def drawn(network, places, noise=None, sentence=None):
    noise = torch.ones(len(places), 6) if noise is None else noise
    sentence = torch.ones(len(noise), 8) if sentence is None else sentence
    mask = torch.ones(len(noise), 1, dtype=torch.bool)
    return network(noise, sentence, torch.zeros(len(noise), 1, 8), mask, places).images[0]


def run(layers, features):
    """A list of layers, one after the other."""
    for layer in layers:
        features = layer(features)
    return features


def test_a_generator_by_boxes_is_its_two_ways_written_as_loops():
    network = built("box")
    noise, sentence = torch.randn(2, 6), torch.randn(2, 8)
    paths = network.paths
    text = sentence @ paths.text.weight.T + paths.text.bias
    placed, inside_placed = torch.zeros(2, 16, 16, 16), torch.zeros(2, 8, 16, 16)
    starts = torch.cat([noise @ paths.local_noise.weight.T + paths.local_noise.bias, text], dim=1)
    inside = paths.local(starts.clamp_min(0)[:, :, None, None])  # 16x16, no activation at its end
    for picture, (x, y, width, height) in enumerate(BOXES.tolist()):
        for row in range(16):
            for column in range(16):
                down = ((2 * row / 15 - 1) - 2 * (y + height / 2 - 0.5)) / height
                across = ((2 * column / 15 - 1) - 2 * (x + width / 2 - 0.5)) / width
                source = (down + 1) * 7.5, (across + 1) * 7.5
                tiled = text[picture, :, None, None].expand(-1, 16, 16)
                placed[picture, :, row, column] = sampled(tiled, *source)
                inside_placed[picture, :, row, column] = sampled(inside[picture], *source)
    code = run(paths.where, placed)
    spoken = (noise @ paths.noise.weight.T + paths.noise.bias).clamp_min(0)
    whole = run(paths.whole, torch.cat([spoken[:, :, None, None], code], dim=1))
    picture = run(paths.join, torch.cat([whole, inside_placed.clamp_min(0)], dim=1)).tanh()
    torch.testing.assert_close(drawn(network, BOXES, noise, sentence), picture, atol=1e-4, rtol=1e-4)
    assert not isinstance(list(paths.local)[-1], nn.ReLU)  # its ReLU comes after the paste
    bottlenecks = [module for module in paths.modules() if type(module).__name__ == "Bottleneck"]
    assert [b.block[0].in_channels for b in bottlenecks] == [32, 16]
    assert all(
        m.bias is not None for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d | nn.ConvTranspose2d)
    )


def test_a_generator_by_keypoints_is_its_two_ways_written_as_loops():
    network = built("keypoints")
    noise, sentence = torch.randn(2, 6), torch.randn(2, 8)
    paths = network.paths
    start = torch.cat([paths.noise(noise), paths.text(sentence)], dim=1).clamp_min(0)
    maps = part_maps(PLACES, 16)
    region = torch.zeros(2, 16, 16, 16)
    spoken = run(paths.region_start, start)
    for picture in range(2):
        for row in range(16):
            for column in range(16):
                if maps[picture, :, row, column].any():
                    region[picture, :, row, column] = spoken[picture]
    region = run(paths.region, region)
    code = torch.cat([run(paths.whole_start, start)[:, :, None, None], run(paths.where, maps)], dim=1)
    picture = run(paths.join, torch.cat([run(paths.whole, code), region, maps], dim=1)).tanh()
    torch.testing.assert_close(drawn(network, PLACES, noise, sentence), picture, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("place", ["box", "keypoints"])
@pytest.mark.parametrize("size", [16, 32, 64, 128, 256])
def test_pictures_of_every_size_hear_their_place(place, size):
    network = built(place, size, channels=16)
    places = BOXES if place == "box" else PLACES
    one, other = drawn(network, places), drawn(network, places.flip(0))
    assert one.shape == (2, 3, size, size)
    torch.testing.assert_close(other, one.flip(0), atol=1e-4, rtol=1e-3)
    assert not torch.allclose(one[0], one[1], atol=1e-4)
    assert network.location == place and places.shape[1] == network.location_dim


@pytest.mark.parametrize("place", ["box", "keypoints"])
def test_told_nothing_it_draws_at_the_usual_place(place):
    network = built(place, usual_box=(0.0, 0.5, 0.5, 0.25))
    usual = torch.tensor([[0.0, 0.5, 0.5, 0.25] if place == "box" else [0.0] * 9])
    told = drawn(network, usual)
    assert torch.equal(drawn(network, None, torch.ones(1, 6), torch.ones(1, 8)), told)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"location": "tree"}, "location must be 'box' or 'keypoints', not 'tree'"),
        ({"part_names": ("a", "a")}, "name each part once"),
        ({"part_names": ()}, "name each part once"),
        ({"usual_box": (0.5, 0.5, 0.6, 0.1)}, "usual_box cannot be: The box from"),
        ({"channels": (6,)}, "multiple of 4"),
        ({"first_size": 48}, "power of two"),
    ],
)
def test_configurations_that_cannot_be_are_refused_in_words(options, message):
    with pytest.raises(ValueError, match=message):
        gawwn.Config(**options)


# ------------------------------------------------------------------------------------------- discriminators


@pytest.mark.parametrize(
    ("text_dim", "place", "parameters"),
    [
        (1024, "box", 16_763_137),
        (256, "box", 16_664_833),
        (1024, "keypoints", 14_667_905),
        (256, "keypoints", 14_569_601),
    ],
)
def test_discriminators_have_as_many_parameters_as_the_released_ones(text_dim, place, parameters):
    with torch.device("meta"):
        network = judges.Discriminator(judges.Config(image_size=128, text_dim=text_dim, location=place))
    assert counted(network) == parameters


def judge_of(place, size=32):
    config = judges.Config(image_size=size, text_dim=8, channels=4, condition_dim=5, location=place, part_names=PARTS)
    return woken(judges.Discriminator(config))


@pytest.mark.parametrize("place", ["box", "keypoints"])
def test_a_discriminator_is_its_two_looks_written_as_loops(place):
    network = judge_of(place)
    images, sentence, places = torch.randn(2, 3, 32, 32), torch.randn(2, 8), BOXES if place == "box" else PLACES
    seen = run(network.trunk, images)
    told = sentence @ network.project[0].weight.T + network.project[0].bias
    told = torch.where(told > 0, told, 0.2 * told)
    tiled = torch.stack([told] * 256, dim=2).unflatten(2, (16, 16))
    local = run(network.local_look, torch.cat([seen, tiled], dim=1))
    if place == "box":
        cut, told_cut = torch.zeros_like(local), torch.zeros_like(tiled)
        for picture, (x, y, width, height) in enumerate(BOXES.tolist()):
            for row in range(16):
                for column in range(16):
                    source = [
                        (length * (2 * at / 15 - 1) + 2 * (start + length / 2 - 0.5) + 1) * 7.5
                        for at, start, length in ((row, y, height), (column, x, width))
                    ]
                    cut[picture, :, row, column] = sampled(local[picture], *source)
                    told_cut[picture, :, row, column] = sampled(tiled[picture], *source)
        local, code = cut, run(network.told_code, told_cut)
    else:
        maps = part_maps(PLACES, 16)
        for row in range(16):
            for column in range(16):
                local[:, :, row, column] *= maps[:, :, row, column].any(dim=1, keepdim=True)
        local, code = torch.cat([local, maps], dim=1), tiled[:, :, :4, :4]
    local = run(network.local, local).mean(dim=(2, 3))
    local = torch.where(local > 0, local, 0.2 * local)
    whole = run(network.whole_join, torch.cat([run(network.whole, seen), code], dim=1)).flatten(1)
    expected = run(network.head, torch.cat([local, whole], dim=1))
    found = network(images, torch.cat([sentence, places], dim=1))
    torch.testing.assert_close(found.conditional, expected, atol=1e-4, rtol=1e-4)
    assert found.unconditional is None


@pytest.mark.parametrize("place", ["box", "keypoints"])
@pytest.mark.parametrize("size", [16, 32, 64, 128])
def test_discriminators_of_every_size_hear_their_place(place, size):
    network = judge_of(place, size)
    images, sentence, places = torch.randn(2, 3, size, size), torch.randn(2, 8), BOXES if place == "box" else PLACES
    logits = [network(images, torch.cat([sentence, p], dim=1)).conditional for p in (places, places.flip(0))]
    assert logits[0].shape == (2, 1) and not torch.equal(*logits)


def test_of_a_sentence_alone_the_place_is_the_whole_picture_or_no_part():
    images, sentence = torch.randn(2, 3, 32, 32), torch.randn(2, 8)
    for place, usual in (("box", [0.0, 0, 1, 1]), ("keypoints", [0.0] * 9)):
        network = judge_of(place)
        told = torch.cat([sentence, torch.tensor([usual] * 2)], dim=1)
        torch.testing.assert_close(network(images, sentence).conditional, network(images, told).conditional)


def test_a_discriminator_s_place_is_one_of_two():
    with pytest.raises(ValueError, match="location must be 'box' or 'keypoints', not 'tree'"):
        judges.Config(image_size=32, location="tree")


# ------------------------------------------------------------------------------------------------ keypoints


def test_the_networks_of_keypoints_have_as_many_parameters_as_the_released_ones():
    with torch.device("meta"):
        networks = KeypointGenerator(KeypointConfig()), KeypointDiscriminator(KeypointConfig())
    assert [counted(network) for network in networks] == [2_715_949, 946_177]


@pytest.fixture
def completing():
    config = KeypointConfig(text_dim=8, noise_dim=6, channels=4, part_names=PARTS)
    return KeypointGenerator(config).eval(), KeypointDiscriminator(config).eval()


def test_given_parts_come_out_as_they_went_in_and_the_others_are_made(completing):
    generator, _ = completing
    noise, sentence = torch.randn(2, 6), torch.randn(2, 8)
    out = generator(noise, sentence, PLACES)
    made = generator.join(torch.cat([generator.noise(noise), generator.text(sentence), generator.given(PLACES)], dim=1))
    for picture in range(2):
        for part in range(3):
            for number in range(3 * part, 3 * part + 3):
                seen = PLACES[picture, 3 * part + 2]
                expected = PLACES[picture, number] if seen else 1 / (1 + torch.exp(-made[picture, number]))
                torch.testing.assert_close(out[picture, number], expected)
    assert out.min() >= 0 and out.max() <= 1


def test_everything_of_keypoints_learns(completing):
    generator, discriminator = completing
    for network in (generator.train(), discriminator.train()):
        network.zero_grad()
    logits = discriminator(generator(torch.randn(4, 6), torch.randn(4, 8), PLACES.repeat(2, 1)), torch.randn(4, 8))
    logits.square().mean().backward()
    for network in (generator, discriminator):
        assert not [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]


def test_what_is_seen_is_seen_wholly_and_what_is_not_has_no_place():
    made = torch.tensor([[0.3, 0.4, 0.6, 0.1, 0.2, 0.4, 0.9, 0.8, 0.5]])
    np.testing.assert_allclose(seen_parts(made), [[0.3, 0.4, 1, 0, 0, 0, 0, 0, 0]])
    np.testing.assert_allclose(seen_parts(made, 0.1), [[0.3, 0.4, 1, 0.1, 0.2, 1, 0.9, 0.8, 1]])


def test_a_configuration_is_plain_data():
    assert dataclasses.asdict(KeypointConfig())["part_names"] == locations.BIRD_PARTS
