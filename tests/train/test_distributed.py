import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from tests.train.systems import SYSTEMS
from tests.train.test_gan import CROPS
from train.adversarial.loader import BatchLoader
from train.adversarial.networks import build_generator, build_networks
from train.runtime.distributed import (
    SINGLE_PROCESS,
    SharedBatchNorm,
    World,
    gather_rows,
    joined,
    share_batch_norms,
    sum_over_processes,
)
from train.runtime.options import as_json, with_options
from train.runtime.state import load_state


@pytest.fixture
def group():
    """A group of one process: what is summed over all processes is summed over this one."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5, 2)])
def test_a_shared_batch_norm_is_a_batch_norm(group, shape, affine):
    kind = nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d
    plain = kind(3, affine=affine)
    shared = SharedBatchNorm(3, affine=affine)
    if affine:
        nn.init.normal_(plain.weight)
        nn.init.normal_(plain.bias)
    shared.load_state_dict(plain.state_dict())
    outputs, gradients = [], []
    images = torch.randn(shape) * 3 + 5
    for norm in (plain, shared):
        given = images.clone().requires_grad_()
        for _ in range(2):
            seen = norm(given)
        (seen * torch.arange(seen.numel()).view(shape).sin()).sum().backward()
        outputs.append(seen.detach())
        gradients.append([given.grad, *(p.grad for p in norm.parameters())])
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(dict(plain.state_dict()), dict(shared.state_dict()), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(plain.eval()(images), shared.eval()(images))


@pytest.mark.parametrize("kind", ["mirrorgan", *SYSTEMS])
def test_standardized_captions_are_drawn_the_same_by_a_generator_whose_batch_norms_are_shared(group, config, kind):
    config = with_options(config, SYSTEMS.get(kind, {}))
    if not hasattr(config.generator_config(6), "standardize_text"):
        return
    config = with_options(config, {"generator.standardize_text": True})
    generators = [build_generator(config, 6) for _ in range(2)]
    generators[1].load_state_dict(generators[0].state_dict())
    share_batch_norms(generators[1], World(0, 2))
    assert isinstance(generators[1].standardize, SharedBatchNorm)
    noise, sentence, words = torch.randn(4, generators[0].noise_dim), torch.randn(4, 6) * 2 + 1, torch.randn(4, 3, 6)
    mask = torch.ones(4, 3, dtype=torch.bool)
    for training in (True, False):
        one, other = (g.train(training)(noise, sentence, words, mask).images[-1] for g in generators)
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_sharing_keeps_weights_names_and_modes():
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.BatchNorm2d(4)), nn.BatchNorm2d(4, affine=False))
    module[2].eval()
    before, weights = module.state_dict(), [id(p) for p in module.parameters()]
    shared = share_batch_norms(module, World(0, 2))
    assert isinstance(shared[1][0], SharedBatchNorm) and isinstance(shared[2], SharedBatchNorm)
    assert shared.state_dict().keys() == before.keys()
    assert [id(p) for p in shared.parameters()] == weights
    assert shared[1].training and not shared[2].training


def test_alone_nothing_is_shared():
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    assert type(share_batch_norms(module, SINGLE_PROCESS)[1]) is nn.BatchNorm2d
    values = torch.rand(3, 2)
    assert gather_rows(values, SINGLE_PROCESS) is values
    with joined("cpu") as world:
        assert world == SINGLE_PROCESS and world.leader and world.any(True) and not world.any(False)


def test_gradients_are_summed_as_the_values_are(group):
    values = torch.rand(4, requires_grad=True)
    sum_over_processes(values).square().sum().backward()
    torch.testing.assert_close(values.grad, 2 * values.detach())


def test_every_row_belongs_to_one_process():
    owned = [row for rank in range(4) for row in range(12)[World(rank, 4).rows(12)]]
    assert owned == list(range(12))
    with pytest.raises(ValueError, match="a batch of 10 cannot be shared evenly by 4 processes"):
        World(0, 4).rows(10)


@pytest.mark.parametrize("options", [{}, CROPS])
def test_the_processes_parts_together_are_one_process_s_batch(config, split, monkeypatch, options):
    config = with_options(config, {"losses.redescription_share": 0.5, **options})
    nets = build_networks(config, split.vocabulary)
    monkeypatch.setattr(World, "one_a_host_first", lambda self, make: make())
    feeds = [BatchLoader(split, config, nets.text_encoder, 200, world=World(rank, 2)) for rank in range(2)]
    whole = BatchLoader(split, config, nets.text_encoder, 200)
    for step in range(3):
        parts, batch = [loader.read(step) for loader in feeds], whole.read(step)
        for name in ("tokens", "mask", "words", "sentence", "wrong", "groups", "noise"):
            together = torch.cat([getattr(part, name) for part in parts])
            torch.testing.assert_close(together, getattr(batch, name), msg=name)
        assert torch.equal(torch.cat([part.images[-1] for part in parts]), batch.images[-1])
        assert torch.equal(torch.cat([part.changes for part in parts], dim=1), batch.changes)
        if options:
            assert torch.equal(torch.cat([part.crop.corners for part in parts]), batch.crop.corners)
        assert [*parts[0].read, *(row + 2 for row in parts[1].read)] == batch.read and len(batch.read) == 2
        assert parts[0].read_tokens == parts[1].read_tokens == batch.read_tokens / 2
        assert parts[0].read_count == parts[1].read_count == batch.read_count / 2 == 1
        torch.testing.assert_close(batch.wrong, batch.sentence.roll(1, dims=0))


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def run_processes(config, folder, count):
    """Runs a training in `count` processes, as torchrun starts them."""
    folder.mkdir()
    (folder / "options.json").write_text(json.dumps(as_json(config) | {"init_from": None}), encoding="utf-8")
    script = Path(__file__).parent / "run_gan.py"
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(count)}
    running = [
        subprocess.Popen(
            [sys.executable, str(script), "options.json"],
            cwd=folder,
            env=os.environ | place | {"RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        for rank in range(count)
    ]
    for process in running:
        _, errors = process.communicate(timeout=280)
        assert process.returncode == 0, errors[-3000:]
    lines = (folder / "runs/small/log.jsonl").read_text(encoding="utf-8").splitlines()
    return load_state(folder / "runs/small"), [json.loads(line) for line in lines]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pyramid", "projected", "frechet", "crops", *SYSTEMS])
def test_two_processes_with_half_the_batch_each_are_one_with_all_of_it(config, tmp_path, kind):
    config = with_options(
        config, {"steps": 3, "report_every": 1, "precision": "float32", "losses.redescription_share": 0.75}
    )
    if kind in ("projected", "frechet"):
        config = with_options(
            config,
            {
                "discriminator": "projected",
                "discriminator.backbone": "tiny",
                "losses.objective": "hinge",
                "pictures.augment": 1.0,
                "disc_input_sizes": (0, 64),
                "generator.skip_images": False,
                "generator.standardize_text": True,
                "losses.frechet": float(kind == "frechet"),
                "losses.frechet_pooled": ("tiny",),
                "losses.frechet_size": 32,
            },
        )
    elif kind == "crops":
        config = with_options(config, CROPS)
    elif kind in SYSTEMS:
        config = with_options(config, SYSTEMS[kind])
    one, log = run_processes(config, tmp_path / "one", 1)
    two, logs = run_processes(config, tmp_path / "two", 2)
    assert two["step"] == 3 and len(logs) == len(log)
    for line, other in zip(log, logs, strict=True):  # a line a step: written by the first process alone
        for name in line.keys() - {"seconds", "pictures a second", "time"}:
            assert other[name] == pytest.approx(line[name], rel=2e-3, abs=2e-4), name
    # The transport divides by the variances of few drawings, which makes more of rounding.
    near = 1e-2 if kind == "frechet" else 1e-3
    # Gradients as Adam remembers them; the weights follow them, but where a gradient is nothing but rounding.
    for player in ("generator optimizer", "discriminator optimizer"):
        for number, moments in one[player]["state"].items():
            mean, other = moments["exp_avg"], two[player]["state"][number]["exp_avg"]
            assert (other - mean).norm() < near * mean.norm() + 1e-6, f"{player} {number}"
    # Of a bias that a batch norm takes away again there is nothing but rounding, and Adam makes whole steps of it.
    steps = 2 * config.steps * config.optimizer.generator_lr if kind in (*SYSTEMS, "frechet") else 1e-4
    for name, value in one["average"].items():  # statistics of batch norms too
        torch.testing.assert_close(two["average"][name], value, rtol=1e-3, atol=steps, msg=name)
