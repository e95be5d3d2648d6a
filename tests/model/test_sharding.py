"""A sharded base gives what a whole one gives, and each process holds only its part."""

import dataclasses
import multiprocessing
import socket
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from ophora_model.adapter import attach_adapter
from ophora_model.base import empty_transformer
from ophora_model.errors import AdapterMismatch, PlanInvalid
from ophora_model.presets import find_preset
from ophora_model.sharding import shard_base
from ophora_model.training import train, validation_loss
from small_sharding import train_sharded
from small_training import prepared, small_plan

TWO: Any = SimpleNamespace(size=lambda: 2)
ONE: Any = SimpleNamespace(size=lambda: 1)


def test_a_base_in_two_parts_trains_the_adapter_of_a_whole_one(cached_clips, small_spec, tmp_path):
    spec = dataclasses.replace(small_spec, targets=(*small_spec.targets, "ff.net.2", "proj_out"))
    clips = cached_clips(["p1", "p2", "p3"])
    base, adapter = prepared(spec)
    base = dataclasses.replace(base, compute=torch.float32)
    alone = train(base, adapter, clips, small_plan())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=train_sharded, args=(rank, port, clips, spec, f"{tmp_path}/"))
        for rank in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(600)  # some 10 s; a busy machine takes much longer
        assert worker.exitcode == 0
    size = np.sqrt(sum(np.square(v).sum() for v in alone.tensors.values()))
    expected = validation_loss(base, clips[:1], draws=1)
    for rank in range(2):
        found = dict(np.load(tmp_path / f"{rank}.npz"))
        whole, part, afterwards = found.pop("bytes")
        assert part < 0.52 * whole
        assert afterwards == part  # what was gathered is dropped again
        assert found.pop("loss") == pytest.approx(np.array(alone.losses), rel=1e-5)
        assert found.pop("after") == pytest.approx(expected, rel=1e-5)
        off = np.sqrt(sum(np.square(found[k] - v).sum() for k, v in alone.tensors.items()))
        assert off <= 1e-5 * size


def test_the_adapter_follows_the_base_to_the_meshs_devices(tiny_base, small_spec, monkeypatch):
    adapter = attach_adapter(tiny_base.transformer, small_spec)
    trained = adapter.parameters()
    named = list(tiny_base.transformer.named_parameters())
    factors = [value for name, value in named if ".lora_" in name]
    asked, there = set(), set()

    def to(value, device):  # there is no GPU here
        asked.add(device)
        there.add(copy := value.clone())
        return copy

    monkeypatch.setattr("torch.distributed.fsdp.fully_shard", lambda module, **how: None)
    monkeypatch.setattr(torch.Tensor, "to", to)
    mesh: Any = SimpleNamespace(size=lambda: 2, device_type="cuda")
    shard_base(tiny_base.transformer, mesh=mesh)
    assert asked == {"cuda"}
    assert {value.data_ptr() for value in factors} == {copy.data_ptr() for copy in there}
    assert all(one is other for one, other in zip(adapter.parameters(), trained, strict=True))


def test_one_process_has_nothing_to_share():
    with pytest.raises(PlanInvalid, match="torchrun"):
        shard_base(empty_transformer(find_preset("tiny")), mesh=ONE)


def test_a_base_without_an_adapter_is_refused():
    with pytest.raises(AdapterMismatch, match="attach the adapter"):
        shard_base(empty_transformer(find_preset("tiny")), mesh=TWO)
