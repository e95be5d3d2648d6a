"""Training is exact: resumed, repeated or shared by two processes, it gives the same adapter."""

import dataclasses
import errno
import multiprocessing
import os
import socket

import numpy as np
import pytest
import torch

from ophora_model.errors import AdapterMismatch, Cancelled, NonFiniteLoss, PlanInvalid
from ophora_model.training import Checkpointing, train, validation_loss
from small_training import STEPS, prepared, small_plan, train_as_one_of_two


def trained(clips, spec, plan=None, **options):
    base, adapter = prepared(spec)
    return train(base, adapter, clips, plan or small_plan(), **options)


def same(one, other):
    return all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("stop", [1, 3])
def test_an_interrupted_run_goes_on_bit_for_bit(cached_clips, small_spec, tmp_path, stop):
    clips = cached_clips(["p1", "p2", "p3"])
    whole = trained(clips, small_spec)
    saved = Checkpointing(folder=tmp_path / "run", every=1)
    met = []
    with pytest.raises(Cancelled, match=f"step {stop} of {STEPS}"):
        trained(
            clips, small_spec, checkpointing=saved, on_step=met.append,
            cancelled=lambda: len(met) == stop,
        )  # fmt: skip
    rest = trained(clips, small_spec, checkpointing=saved)
    assert len(rest.losses) == STEPS - stop
    assert same(whole.tensors, rest.tensors)
    assert same(whole.average, rest.average)
    assert whole.losses[stop:] == rest.losses


def test_training_changes_the_adapter_and_lowers_the_loss(cached_clips, small_spec):
    clips = cached_clips(["p1", "p2"])
    base, adapter = prepared(small_spec)
    before = validation_loss(base, clips)
    result = train(base, adapter, clips, small_plan(steps=12, accumulation=1, intervals=1))
    assert any(np.any(value) for value in result.tensors.values())
    assert validation_loss(base, clips) < before
    assert validation_loss(base, clips) == validation_loss(base, clips)


def test_checkpointed_blocks_give_the_adapter_of_whole_passes(cached_clips, small_spec):
    clips = cached_clips(["p1", "p2"])
    whole = trained(clips, small_spec, small_plan(steps=2))
    parts = trained(clips, small_spec, small_plan(steps=2, gradient_checkpointing=True))
    assert parts.losses == pytest.approx(whole.losses, rel=1e-6)
    for name, value in whole.tensors.items():
        assert np.allclose(parts.tensors[name], value, rtol=1e-4, atol=1e-6)


def test_another_seed_gives_another_adapter(cached_clips, small_spec):
    clips = cached_clips(["p1", "p2", "p3"])
    one = trained(clips, small_spec, small_plan(steps=1))
    other = trained(clips, small_spec, small_plan(steps=1, seed=43))
    assert not same(one.average, other.average) or one.losses != other.losses


def test_a_checkpoint_of_other_clips_is_refused_and_stays(cached_clips, small_spec, tmp_path):
    saved = Checkpointing(folder=tmp_path, every=1)
    trained(cached_clips(["p1", "p2"]), small_spec, small_plan(steps=2), checkpointing=saved)
    kept = sorted(tmp_path.iterdir())
    with pytest.raises(AdapterMismatch, match="another plan, adapter or set of clips"):
        trained(cached_clips(["p1"]), small_spec, small_plan(steps=2), checkpointing=saved)
    assert sorted(tmp_path.iterdir()) == kept
    assert len(kept) == 2


def test_a_full_disk_leaves_the_checkpoint_before(cached_clips, small_spec, tmp_path, monkeypatch):
    clips, saved = cached_clips(["p1"]), Checkpointing(folder=tmp_path, every=1)
    trained(clips, small_spec, small_plan(steps=2), checkpointing=saved)
    with pytest.MonkeyPatch.context() as patch:

        def full(*_, **__):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        patch.setattr("ophora_model.training_state.save_file", full)
        base, adapter = prepared(small_spec)
        with pytest.raises(OSError, match="No space"):
            train(
                base,
                adapter,
                clips,
                small_plan(steps=3),
                checkpointing=Checkpointing(folder=tmp_path / "new", every=1),
            )
    assert not list((tmp_path / "new").glob("*"))
    again = trained(clips, small_spec, small_plan(steps=2), checkpointing=saved)
    assert again.losses == ()


def test_the_first_loss_that_is_no_number_stops(cached_clips, small_spec, tmp_path):
    clips = cached_clips(["p1"])
    broken = dataclasses.replace(
        clips[0], mean_TCHW=torch.full_like(clips[0].mean_TCHW, float("nan"))
    )
    with pytest.raises(NonFiniteLoss, match="loss at step 1 is nan"):
        trained([broken], small_spec, checkpointing=Checkpointing(folder=tmp_path, every=1))
    assert not list(tmp_path.iterdir())


def test_no_clip_is_refused(small_spec):
    with pytest.raises(PlanInvalid, match="clips=0"):
        trained([], small_spec)


def test_a_damaged_checkpoint_is_refused(cached_clips, small_spec, tmp_path):
    (tmp_path / "step-00000001.safetensors").write_bytes(b"\x80\x04not tensors")
    saved = Checkpointing(folder=tmp_path)
    with pytest.raises(AdapterMismatch, match="not a checkpoint of training"):
        trained(cached_clips(["p1"]), small_spec, checkpointing=saved)


def test_two_processes_give_the_result_of_one(cached_clips, small_spec, tmp_path):
    clips = cached_clips(["p1", "p2", "p3"])
    base, adapter = prepared(small_spec)
    alone = train(dataclasses.replace(base, compute=torch.float32), adapter, clips, small_plan())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    out = tmp_path / "shared.npz"
    context = multiprocessing.get_context("spawn")
    workers = [
        context.Process(target=train_as_one_of_two, args=(rank, port, clips, small_spec, str(out)))
        for rank in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(180)
        assert worker.exitcode == 0
    shared = dict(np.load(out))
    assert shared.pop("loss") == pytest.approx(np.array(alone.losses), rel=1e-5)
    off = np.sqrt(sum(np.square(shared[k] - v).sum() for k, v in alone.tensors.items()))
    size = np.sqrt(sum(np.square(v).sum() for v in alone.tensors.values()))
    assert off <= 1e-5 * size
