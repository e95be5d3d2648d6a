"""Tuning: what one patient can change is bounded, draws are the site's secret, NaN stops it."""

import numpy as np
import pytest
import torch

from ophora_model import tuning
from ophora_model.adapter import attach_adapter
from ophora_model.base import load_base
from ophora_model.errors import Cancelled, NonFiniteLoss
from ophora_model.presets import find_preset
from ophora_model.tuning import tune


def _tuned(clips, plan, privacy, spec, **options):
    base = load_base(find_preset("tiny"), parts=("transformer",))
    adapter = attach_adapter(base.transformer, spec)
    result = tune(base, adapter, clips, plan, privacy, **options)
    return adapter.read(), result


def test_same_secret_same_result_and_another_secret_another(
    cached_clips, round_plan, privacy, small_spec
):
    clips = cached_clips(["p1", "p1", "p2", "p3"])
    plan, setting = round_plan(), privacy(sampling_rate=0.6, steps_per_round=3)
    one, _ = _tuned(clips, plan, setting, small_spec, secret=b"a" * 32)
    same, _ = _tuned(clips, plan, setting, small_spec, secret=b"a" * 32)
    other, _ = _tuned(clips, plan, setting, small_spec, secret=b"b" * 32)
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert any(not np.array_equal(one[name], other[name]) for name in one)


def test_removing_a_patient_moves_the_sum_by_at_most_the_clip_norm(
    cached_clips, round_plan, privacy, small_spec, monkeypatch
):
    setting = privacy(steps_per_round=1, clip_norm=0.05, normaliser=1.0, clips_per_patient=8)
    sums = []
    noisy_mean = tuning.PatientSum.noisy_mean

    def spy(self):
        mean = noisy_mean(self)
        sums.append([tensor.clone() for tensor in mean])
        return mean

    monkeypatch.setattr(tuning.PatientSum, "noisy_mean", spy)
    clips = cached_clips(["p1", "p1", "p1", "p2"])
    _tuned(clips, round_plan(), setting, small_spec, secret=b"a" * 32)
    _tuned([c for c in clips if c.patient_id == "p2"], round_plan(), setting, small_spec)
    _tuned([], round_plan(), setting, small_spec)
    both, alone, nobody = sums
    norm = float(torch.cat([t.flatten() for t in both]).norm())
    assert 0 < norm <= 2 * setting.clip_norm * (1 + 1e-5)
    assert float(torch.cat([t.flatten() for t in alone]).norm()) <= setting.clip_norm * (1 + 1e-5)
    assert all(not tensor.any() for tensor in nobody)


def test_noise_differs_between_two_runs_with_the_same_secret(
    cached_clips, round_plan, privacy, small_spec
):
    clips = cached_clips(["p1", "p2"])
    setting = privacy(noise_multiplier=1.0)
    one, _ = _tuned(clips, round_plan(), setting, small_spec, secret=b"a" * 32)
    two, _ = _tuned(clips, round_plan(), setting, small_spec, secret=b"a" * 32)
    assert all(not np.array_equal(one[name], two[name]) for name in one)


def test_loss_falls_on_a_clip_that_it_is_tuned_on(cached_clips, round_plan, privacy, small_spec):
    clips = cached_clips(["p1"])
    setting = privacy(steps_per_round=40, clip_norm=10.0, normaliser=1.0)
    _, result = _tuned(clips, round_plan(), setting, small_spec, secret=b"a" * 32)
    assert np.mean(result.losses[-10:]) < np.mean(result.losses[:10])


def test_a_non_finite_loss_stops_the_round(cached_clips, round_plan, privacy, small_spec):
    clips = cached_clips(["p1"])
    clips[0].mean_TCHW[:] = float("nan")
    with pytest.raises(NonFiniteLoss, match="step 1"):
        _tuned(clips, round_plan(), privacy(), small_spec)


def test_cancelling_stops_between_two_steps(cached_clips, round_plan, privacy, small_spec):
    steps = []
    with pytest.raises(Cancelled):
        _tuned(
            cached_clips(["p1"]),
            round_plan(),
            privacy(steps_per_round=50),
            small_spec,
            on_step=lambda step, steps_, loss: steps.append(step),
            cancelled=lambda: len(steps) >= 2,
        )
    assert steps == [1, 2]
