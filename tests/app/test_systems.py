"""Every system of the field on the page, with tiny networks that have learnt nothing and no reader."""

import dataclasses
import json

import pytest
import torch

from app import callbacks
from app import tools_tab as play
from app.callbacks import AppContext, Visitor
from app.export import MEDIA, keep
from app.limits import RateLimiter
from app.models import ModelRegistry
from mirrorgan import MirrorGAN
from mirrorgan.drawing import CheckpointInfo
from mirrorgan.generators import available_generators, find_generator
from mirrorgan.text_encoder import TextEncoder, TextEncoderConfig
from mirrorgan.torch_networks import TorchNetworks
from mirrorgan.vocabulary import Vocabulary

CAPTION = "a small red bird with a long beak"
LISTENING = {"mirrorgan", "attngan", "dmgan"}
MASKED = {"ssagan"}
TINY = {"first_size": 16, "channels": (4, 4, 4), "residual_blocks": 1, "condition_dim": 5, "noise_dim": 6}
ME = Visitor("here", "me")


def untrained(system):
    torch.manual_seed(0)
    module = find_generator(system)
    fields = {field.name for field in dataclasses.fields(module.Config)}
    small = TINY | {"channels": TINY["channels"][: len(module.Config().channels)]}
    config = module.Config(text_dim=8, **{name: value for name, value in small.items() if name in fields})
    words = Vocabulary.from_captions([CAPTION, "a blue bird with a white belly"])
    text = TextEncoder(TextEncoderConfig(vocabulary_size=len(words), text_dim=8, embedding_dim=5)).eval()
    generator = module.Generator(config).eval().requires_grad_(False)
    info = CheckpointInfo(system, 64 * "0", False, "random weights", (CAPTION,), 12, generator.sizes)
    return MirrorGAN(info, words, TorchNetworks(text.requires_grad_(False), generator))


@pytest.fixture
def context():
    registry = ModelRegistry({system: (lambda system=system: untrained(system)) for system in available_generators()})
    for key in registry.keys:
        registry[key].load()
    return AppContext(registry, RateLimiter(most=10**6))


@pytest.mark.parametrize("system", available_generators())
def test_a_system_shows_what_it_has_and_nothing_else(context, system):
    assert context.registry[system].trouble is None
    *_, (shown, hint) = callbacks.draw(context, CAPTION, 3, system, ME)
    shown = json.loads(json.dumps(shown, allow_nan=False))
    assert hint == "" and shown["done"] and shown["read"] is None and shown["scores"] == []
    assert [stage["size"] for stage in shown["stages"]] == shown["sizes"]
    assert any(stage["words"] for stage in shown["stages"]) == (system in LISTENING)
    assert any(stage["masks"] for stage in shown["stages"]) == (system in MASKED)
    state, examples = callbacks.about(context, system)
    assert "Untrained weights" in state and [card["caption"] for card in examples["cards"]] == [CAPTION]
    assert callbacks.show_inside(context, system)["boxes"]
    answer = callbacks.draw_for_programs(context, CAPTION, 3, system, ME)
    assert answer["redescription"] is None and answer["words"] == [] and len(answer["images"]) == len(shown["sizes"])


@pytest.mark.parametrize("system", [*sorted(LISTENING), *sorted(MASKED), "dfgan"])
def test_a_drawing_that_was_not_read_back_can_be_kept_in_every_kind(context, system):
    drawing = context.registry[system].draw(CAPTION, 3)
    shown = callbacks.shown_of(context, drawing, system)
    assert all(keep(kind, drawing, shown).content for kind in MEDIA)


def test_four_systems_stand_side_by_side(context):
    *_, board = play.compare_models(context, CAPTION, 3, "mirrorgan", ["attngan", "ssagan", "dfgan"], ME)
    assert [side["model"] for side in board["sides"]] == ["mirrorgan", "attngan", "ssagan", "dfgan"]
    assert all(side["drawing"]["seed"] == 3 and side["trouble"] is None for side in board["sides"])
    assert board["judge"] is None


@pytest.mark.parametrize("system", [*sorted(LISTENING), *sorted(MASKED), "dfgan"])
def test_without_noise_all_seeds_draw_one_picture(context, system):
    first, second = (list(play.less_noise(context, CAPTION, seed, system, ME))[-1]["frames"] for seed in (3, 4))
    assert first[0] == second[0]
    for one, other in zip(first[1:], second[1:], strict=True):
        assert one["title"] == other["title"] and one["image"] != other["image"]


def test_change_and_walks_need_no_reader(context):
    *_, board = play.change_caption(context, CAPTION, 3, "ssagan", "a blue bird", ME)
    assert board["right"]["caption"] == "a blue bird" and board["moved"] == []
    *_, board = play.walk(context, CAPTION, 3, "dfgan", "a blue bird", "", ME)
    assert len(board["frames"]) == play.FRAMES
