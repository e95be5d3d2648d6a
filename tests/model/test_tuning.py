"""Tuning: what one patient can change is bounded, draws are the site's secret, NaN stops it."""

import dataclasses
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from ophora_model import tuning
from ophora_model.adapter import attach_adapter
from ophora_model.base import load_base
from ophora_model.errors import Cancelled, NonFiniteLoss, PlanInvalid
from ophora_model.patient_gradients import PatientGradients
from ophora_model.presets import find_preset
from ophora_model.proximal import Proximal
from ophora_model.tuning import tune
from ophora_privacy.errors import PatientsMiscounted
from ophora_privacy.performance import PerformanceSettings


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

    def spy(self, **drawn):
        mean = noisy_mean(self, **drawn)
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


@pytest.fixture
def drawn(monkeypatch):
    """The places of every step, each step a list of patients."""
    steps = []
    rows = PatientGradients.rows

    def spy(self, patients):
        steps.append(patients)
        return rows(self, patients)

    monkeypatch.setattr(PatientGradients, "rows", spy)
    return steps


def test_what_is_drawn_for_a_patient_depends_on_no_other(
    cached_clips, round_plan, privacy, small_spec, drawn
):
    clips = cached_clips(["p1", "p1", "p1", "p2", "p2", "p2"])
    setting = privacy(steps_per_round=1)
    for chosen in (clips, clips[3:]):
        _tuned(chosen, round_plan(), setting, small_spec, secret=b"a" * 32)
    (_, of_both), (alone,) = drawn
    for one, other in zip(of_both, alone, strict=True):
        assert one.timestep == other.timestep
        assert torch.equal(one.noise_TCHW, other.noise_TCHW)
        assert torch.equal(one.clean_TCHW, other.clean_TCHW)


def test_draws_of_a_clip_share_its_patients_gradient_and_stay_in_the_interval(
    cached_clips, round_plan, privacy, small_spec, drawn
):
    tuning_plan = dataclasses.replace(round_plan().tuning, timestep_intervals=4)
    _tuned(
        cached_clips(["p1", "p1", "p2"]),
        round_plan(tuning=tuning_plan, interval=(3, 4)),
        privacy(steps_per_round=1),
        small_spec,
        performance=PerformanceSettings(draws_per_clip=3),
    )
    ((first, second),) = drawn
    assert (len(first), len(second)) == (6, 3)
    times = [place.timestep for place in (*first, *second)]
    assert len(set(times)) > 1
    assert all(750 <= time < 1000 for time in times)


@pytest.mark.parametrize("path", ["one-by-one", "vectorised"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_passes_are_lean_with_the_gradients_of_plain_ones(
    cached_clips, round_plan, privacy, small_spec, monkeypatch, path, checkpointing
):
    base = load_base(find_preset("tiny"), parts=("transformer",))
    base = dataclasses.replace(base, compute=torch.float32)
    adapter = attach_adapter(base.transformer, small_spec)
    start = {n: np.full(s, 0.02, np.float32) for n, s in adapter.shapes().items()}
    adjusted = dataclasses.replace(round_plan().tuning, gradient_checkpointing=checkpointing)
    plan, setting = round_plan(tuning=adjusted), privacy(steps_per_round=1)
    rows, lean_blocks, found = PatientGradients.rows, set(), []

    def spy(self, patients):
        lean_blocks.update("forward" in vars(b) for b in base.transformer.transformer_blocks)
        made = list(rows(self, patients))
        found.append(torch.cat([value.flatten() for each in made for value in each.tensors]))
        return made

    monkeypatch.setattr(PatientGradients, "rows", spy)
    settings = PerformanceSettings(path=path)
    for leanly in (True, False):
        if not leanly:
            monkeypatch.setattr(tuning, "lean", lambda *_: nullcontext())
        adapter.write(start)
        clips = cached_clips(["p1", "p1", "p2"])
        tune(base, adapter, clips, plan, setting, secret=b"a" * 32, performance=settings)
        assert lean_blocks == {leanly}
        lean_blocks.clear()
    lean_rows, plain_rows = found
    assert plain_rows.any()
    assert float((lean_rows - plain_rows).norm() / plain_rows.norm()) < 1e-5


def test_a_round_that_stops_leaves_the_base_as_it_was(
    cached_clips, round_plan, privacy, small_spec
):
    base = load_base(find_preset("tiny"), parts=("transformer",))
    base = dataclasses.replace(base, compute=torch.bfloat16)
    adapter = attach_adapter(base.transformer, small_spec)
    inside = []

    def cancelled():
        inside.append({p.dtype for p in base.transformer.parameters()})
        return True

    with pytest.raises(Cancelled):
        tune(base, adapter, cached_clips(["p1"]), round_plan(), privacy(), cancelled=cancelled)
    assert torch.bfloat16 in inside[0]
    assert {p.dtype for p in base.transformer.parameters()} == {torch.float32}
    assert not any("forward" in vars(block) for block in base.transformer.transformer_blocks)


def test_a_lost_row_stops_the_step_and_leaves_the_adapter(
    cached_clips, round_plan, privacy, small_spec, monkeypatch
):
    rows = PatientGradients.rows
    monkeypatch.setattr(PatientGradients, "rows", lambda self, found: rows(self, found[1:]))
    base = load_base(find_preset("tiny"), parts=("transformer",))
    adapter = attach_adapter(base.transformer, small_spec)
    with pytest.raises(PatientsMiscounted, match="1 patients for 2 drawn"):
        tune(base, adapter, cached_clips(["p1", "p2"]), round_plan(), privacy(noise_multiplier=1.0))
    assert not any(value.any() for value in adapter.read().values())


def test_a_step_without_a_patient_is_noise_alone(round_plan, privacy, small_spec):
    tuned, result = _tuned(
        [], round_plan(), privacy(noise_multiplier=1.0, steps_per_round=1), small_spec
    )
    assert result.losses == ()
    assert all(value.any() for value in tuned.values())


def test_the_average_of_the_iterates_is_what_the_adapter_ends_as(
    cached_clips, round_plan, privacy, small_spec
):
    clips, plan = cached_clips(["p1"]), round_plan()
    ends = [
        _tuned(clips, plan, privacy(steps_per_round=steps), small_spec, secret=b"a" * 32)[0]
        for steps in (1, 2)
    ]
    average, _ = _tuned(
        clips, plan, privacy(steps_per_round=2), small_spec, secret=b"a" * 32, average_decay=0.9
    )
    for name, value in average.items():
        assert np.allclose(value, (ends[0][name] + ends[1][name]) / 2, atol=1e-7)
    with pytest.raises(PlanInvalid, match="average_decay"):
        _tuned(clips, plan, privacy(), small_spec, average_decay=1.5)


def test_the_proximal_term_is_that_of_the_distance_to_the_adapter_that_was_sent(
    cached_clips, round_plan, privacy, small_spec
):
    clips, plan = cached_clips(["p1", "p2"]), round_plan()

    def moved(strength):
        tuning = dataclasses.replace(plan.tuning, proximal=strength)
        asked = dataclasses.replace(plan, tuning=tuning)
        one = privacy(steps_per_round=8, sampling_rate=1.0)
        adapter, _ = _tuned(clips, asked, one, small_spec, secret=b"a" * 32)
        return sum(float((value**2).sum()) for value in adapter.values()) ** 0.5

    free, pulled, held = moved(0.0), moved(0.3), moved(1000.0)
    assert held < pulled < free


def test_the_proximal_gradient_is_exact():
    layer = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    pull = Proximal([layer], 0.5)
    with torch.no_grad():
        layer.add_(torch.tensor([2.0, -4.0]))
    layer.grad = torch.tensor([10.0, 10.0])
    pull.add()
    assert torch.equal(layer.grad, torch.tensor([11.0, 8.0]))
