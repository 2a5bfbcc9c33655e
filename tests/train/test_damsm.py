import dataclasses

import numpy as np
import pytest
import torch

from mirrorgan.checkpoint import load_part
from mirrorgan.image_encoder import ImageEncoder, ImageEncoderConfig
from mirrorgan.images import from_uint8
from mirrorgan.losses import damsm_loss
from mirrorgan.text_encoder import TextEncoder, TextEncoderConfig
from mirrorgan.vocabulary import Vocabulary, pad
from train.data.features import cached_features
from train.data.packed import load_packed
from train.data.sampling import hold_out
from train.encoders.damsm import DamsmConfig, build, codes, save_encoders, train_step
from train.encoders.pretraining import PretrainData
from train.runtime.state import seed_step


@pytest.fixture
def split(packed):
    return load_packed(packed, "train")


@pytest.fixture
def cached(split, tiny_backbone, tmp_path):
    # In a folder of this test's own: the trunk's weights are of this test as well.
    own = dataclasses.replace(split, folder=tmp_path)
    for path in split.folder.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    return [cached_features(own, tiny_backbone, "tiny", 32, flipped) for flipped in (False, True)]


@pytest.fixture
def config(tiny_backbone):
    return DamsmConfig(name="small", batch=6, device="cpu", backbone="tiny", image_size=32, text_dim=8, pool=1, lr=1e-2)


@pytest.fixture
def data(split, tiny_backbone, cached):
    return PretrainData(split, tiny_backbone, cached, *hold_out(split, 0))


@pytest.fixture
def nets(config, data):
    return build(config, data)


def test_features_on_disk_are_the_trunk_s(split, cached, tiny_backbone):
    images = from_uint8(torch.from_numpy(split.pictures(32).copy()))
    for features, given in zip(cached, (images, images.flip(3)), strict=True):
        with torch.inference_mode():
            levels, pooled, _ = tiny_backbone(given)
        torch.testing.assert_close(torch.from_numpy(features.regional.copy()).float(), levels[2], atol=0.03, rtol=0.03)
        torch.testing.assert_close(torch.from_numpy(features.pooled.copy()).float(), pooled, atol=0.03, rtol=0.03)
        assert features.regional.dtype == np.float16 and isinstance(features.pooled, np.memmap)


def test_a_mirrored_picture_has_the_mirrored_picture_s_features(data, cached):
    rows, flipped = torch.tensor([3, 0, 3]), torch.tensor([False, True, True])
    regional, pooled = data.gather(rows, flipped, "cpu")
    for place, (row, flip) in enumerate(zip(rows.tolist(), flipped.tolist(), strict=True)):
        assert np.array_equal(regional[place].half().numpy(), cached[flip].regional[row])
        assert np.array_equal(pooled[place].half().numpy(), cached[flip].pooled[row])
    assert not torch.equal(pooled[0], pooled[2])
    assert data.gather(rows, flipped, "cpu", regional=False)[0].numel() == 0


def test_a_step_moves_both_encoders_and_not_the_trunk(nets, config, data, tiny_backbone):
    before = {key: value.clone() for key, value in nets.state_dict().items()}
    trunk = {key: value.clone() for key, value in tiny_backbone.state_dict().items()}
    losses = train_step(nets, torch.optim.Adam(nets.parameters(), 1e-2), config, data, 0)
    assert set(losses) == {"words", "sentence"} and not any(loss.requires_grad for loss in losses.values())
    still = {key for key, value in nets.state_dict().items() if torch.equal(value, before[key])}
    assert not still
    assert all(torch.equal(value, trunk[key]) for key, value in tiny_backbone.state_dict().items())


def test_the_text_encoder_s_gradient_is_clipped_and_no_other(nets, config, data):
    config = dataclasses.replace(config, clip=1e-4)
    train_step(nets, torch.optim.SGD(nets.parameters(), 0.0), config, data, 0)
    norms = [torch.stack([p.grad.norm() for p in part.parameters()]).norm().item() for part in (nets.text, nets.image)]
    assert norms[0] <= 1.01e-4 < norms[1]


def test_pairs_find_each_other_when_trained(nets, config, split, data):
    optimizer = torch.optim.Adam(nets.parameters(), config.lr)

    def total():
        rows = torch.arange(len(split))[::3]  # one of each colour
        with torch.no_grad():
            nets.eval()
            regional, pooled = data.gather(rows, torch.zeros(len(rows), dtype=torch.bool), "cpu")
            tokens, mask = pad([split.caption(row, 0) for row in rows.tolist()])
            words, sentence = nets.text(tokens, mask)
            regions, code = nets.image.project(regional, pooled)
            nets.train()
            return float(sum(damsm_loss(words, sentence, regions, code, mask).values()))

    before = total()
    for step in range(40):
        train_step(nets, optimizer, config, data, step)
    assert total() < 0.7 * before


def test_codes_are_those_of_the_networks_in_eval_mode(nets, split, cached):
    rows = torch.tensor([5, 1, 8])
    images, sentences = codes(nets, split, cached[0], rows)
    nets.eval()
    for place, row in enumerate(rows.tolist()):
        pooled = torch.from_numpy(cached[0].pooled[row : row + 1].copy()).float()
        torch.testing.assert_close(images[place], nets.image.to_global(pooled)[0])
        torch.testing.assert_close(sentences[place], nets.text(*pad([split.caption(row, 0)]))[1][0])


def test_a_step_learns_from_its_own_batch_and_from_kept_classes_alone(nets, config, split, data):
    kept, held = hold_out(split, 1, seed=3)
    seed_step(config.seed, 4)
    first = train_step(
        nets, torch.optim.SGD(nets.parameters(), 0.0), config, dataclasses.replace(data, train_rows=kept), 4
    )
    blind = dataclasses.replace(data, cached=[dataclasses.replace(c, regional=c.regional.copy()) for c in data.cached])
    for features in blind.cached:
        features.regional[held.numpy()] = np.nan  # whoever looked there would say so
    seed_step(config.seed, 4)
    again = train_step(
        nets, torch.optim.SGD(nets.parameters(), 0.0), config, dataclasses.replace(blind, train_rows=kept), 4
    )
    assert first == again
    assert all(loss.isfinite() for loss in again.values())


def test_looking_at_the_held_out_classes_leaves_the_encoders_in_training(nets, split, cached):
    codes(nets, split, cached[0], torch.tensor([0, 1]))
    assert nets.text.training and nets.image.training


def test_saved_encoders_are_parts_of_a_checkpoint(nets, split, tiny_backbone, tmp_path):
    save_encoders(nets, split, tmp_path / "best")
    assert Vocabulary.load(tmp_path / "best/vocabulary.json") == split.vocabulary
    text = load_part(tmp_path / "best", "text_encoder", TextEncoderConfig, TextEncoder, split.vocabulary.hash)
    image = load_part(
        tmp_path / "best", "image_encoder", ImageEncoderConfig, lambda c: ImageEncoder(c, tiny_backbone),
        split.vocabulary.hash,
    )  # fmt: skip
    for part, original in ((text, nets.text), (image, nets.image)):
        assert all(torch.equal(value, original.state_dict()[key]) for key, value in part.state_dict().items())
