"""Each patient alone: drawn once, from the adapter as sent, clipped, and nothing left behind."""

import numpy as np
import pytest
import torch

from ophora_model.adapter import attach_adapter
from ophora_model.base import load_base
from ophora_model.errors import Cancelled, NonFiniteLoss
from ophora_model.patient_tuning import tune_patients
from ophora_model.presets import find_preset

SECRET = b"a" * 32


def _given(clips, plan, privacy, spec, *, start=None, **options):
    """What each patient gave, and the adapter after it."""
    base = load_base(find_preset("tiny"), parts=("transformer",))
    adapter = attach_adapter(base.transformer, spec)
    start = start if start is not None else adapter.read()
    given = []
    result = tune_patients(
        base,
        adapter,
        start,
        clips,
        plan,
        privacy,
        given.append,
        **{"steps": 2, "secret": SECRET, **options},
    )
    return given, adapter.read(), result


def _norm(gradient):
    return float(torch.cat([tensor.flatten() for tensor in gradient.tensors]).norm())


def test_every_patient_gives_one_clipped_change_and_the_adapter_ends_as_sent(
    cached_clips, round_plan, privacy, small_spec
):
    clips = cached_clips(["p1", "p1", "p1", "p2"])
    setting = privacy(sampling_rate=1.0, clip_norm=1e-3)
    given, after, _ = _given(clips, round_plan(), setting, small_spec)
    assert len(given) == 2
    assert all(0 < _norm(each) <= 1e-3 * (1 + 1e-5) for each in given)
    assert all(each.norm_before > 1e-3 for each in given)
    assert not any(tensor.any() for tensor in after.values())


def test_what_a_patient_gives_depends_on_no_other(cached_clips, round_plan, privacy, small_spec):
    clips = cached_clips(["p1", "p2", "p3"])
    setting = privacy(sampling_rate=1.0, clip_norm=10.0)
    together, _, _ = _given(clips, round_plan(), setting, small_spec)
    alone, _, _ = _given(
        [clip for clip in clips if clip.patient_id == "p3"], round_plan(), setting, small_spec
    )
    for one, other in zip(together[2].tensors, alone[0].tensors, strict=True):
        assert torch.allclose(one, other, atol=1e-7)


def test_more_steps_move_further_and_down_the_loss(cached_clips, round_plan, privacy, small_spec):
    clips = cached_clips(["p1"])
    setting = privacy(sampling_rate=1.0, clip_norm=100.0)
    few, _, _ = _given(clips, round_plan(), setting, small_spec, steps=1)
    many, _, result = _given(clips, round_plan(), setting, small_spec, steps=30)
    assert _norm(many[0]) > 3 * _norm(few[0])
    assert result.steps == 30
    start = {
        name: tensor.numpy()
        for name, tensor in zip(sorted(_shapes(small_spec)), many[0].tensors, strict=True)
    }
    _, _, before = _given(clips, round_plan(), setting, small_spec, steps=8)
    _, _, after = _given(clips, round_plan(), setting, small_spec, steps=8, start=start)
    assert after.losses[0] < before.losses[0]


def _shapes(spec):
    base = load_base(find_preset("tiny"), parts=("transformer",))
    return attach_adapter(base.transformer, spec).shapes()


def test_the_draw_is_the_secrets(cached_clips, round_plan, privacy, small_spec):
    clips = cached_clips([f"p{number}" for number in range(8)])
    setting = privacy(sampling_rate=0.5)
    one, _, _ = _given(clips, round_plan(), setting, small_spec, steps=1)
    same, _, _ = _given(clips, round_plan(), setting, small_spec, steps=1)
    others = [
        len(_given(clips, round_plan(), setting, small_spec, steps=1, secret=bytes([n]) * 32)[0])
        for n in range(4)
    ]
    assert [each.norm_before for each in one] == [each.norm_before for each in same]
    assert len(set(others) | {len(one)}) > 1


def test_nobody_drawn_gives_nothing(cached_clips, round_plan, privacy, small_spec):
    given, _, result = _given([], round_plan(), privacy(), small_spec)
    assert (given, result.losses) == ([], ())


def test_cancelled_between_patients_leaves_the_adapter_as_sent(
    cached_clips, round_plan, privacy, small_spec
):
    base = load_base(find_preset("tiny"), parts=("transformer",))
    adapter = attach_adapter(base.transformer, small_spec)
    start = {name: np.full_like(value, 0.01) for name, value in adapter.read().items()}
    given = []
    with pytest.raises(Cancelled, match="patient 1 of 2"):
        tune_patients(
            base,
            adapter,
            start,
            cached_clips(["p1", "p2"]),
            round_plan(),
            privacy(sampling_rate=1.0),
            given.append,
            steps=1,
            secret=SECRET,
            cancelled=lambda: bool(given),
        )
    assert len(given) == 1
    assert all(np.array_equal(value, start[name]) for name, value in adapter.read().items())


def test_a_loss_that_is_no_number_stops_it(cached_clips, round_plan, privacy, small_spec):
    spec = small_spec
    start = {name: np.full(shape, 3e38, np.float32) for name, shape in _shapes(spec).items()}
    with pytest.raises(NonFiniteLoss, match="step 1"):
        _given(cached_clips(["p1"]), round_plan(), privacy(sampling_rate=1.0), spec, start=start)
