"""Mistakes of published code that claim less epsilon than is spent; each is shut out here.

The source of each stands at its test: an issue of a public repository, or a paper.
"""

import inspect
import math
import random
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch

from ophora_privacy import accountant
from ophora_privacy.accountant import epsilon_by, epsilon_of, noise_for
from ophora_privacy.errors import InvalidPlan
from ophora_privacy.ledger import Ledger
from ophora_privacy.mechanism import PatientSum, clip_gradient, sample_patients
from ophora_privacy.performance import PerformanceSettings
from ophora_privacy.plan import GaussianEvent, PrivacyPlan

PLAN = PrivacyPlan(
    clip_norm=1.0,
    noise_multiplier=1.0,
    sampling_rate=0.016,
    steps_per_round=25,
    delta=1e-5,
    clips_per_patient=4,
    normaliser=3.5,
)


def _event(noise: float, rate: float, steps: int) -> GaussianEvent:
    return GaussianEvent(noise_multiplier=noise, sampling_rate=rate, steps=steps)


def test_a_new_accountant_each_round_would_claim_a_third(tmp_path: Path) -> None:
    # pytorch/opacus#688, adap/flower#2216: each round reports 0.78 where 2.2 is spent
    path = tmp_path / "ledger.sqlite"
    plan = replace(PLAN, steps_per_round=125)
    for number in range(1, 5):  # as if every round were a process of its own
        ledger = Ledger(path, site="a", cap=math.inf, delta=1e-5)
        total = ledger.reserve(plan, run_id="run", stage="tpt", round=number).epsilon.value
    assert total == pytest.approx(2.19, abs=0.02)
    assert total > 2 * epsilon_of([PLAN.event()], 1e-5).value  # 25 steps: 0.78


def test_epsilon_is_composed_and_not_added_up() -> None:
    # adap/flower#605 adds up epsilons: over rounds that over-counts, over sites it has no meaning
    one = epsilon_of([PLAN.event()], 1e-5).value
    assert one < epsilon_of([PLAN.event()] * 20, 1e-5).value < 20 * one


def test_a_patient_counts_once_whatever_the_number_of_clips_and_draws() -> None:
    # pytorch/opacus#686: frames or timesteps as rows; 5 clips moved the sum by 6.02 clip norms
    generator = torch.Generator().manual_seed(0)
    total = PatientSum([(3,)], replace(PLAN, noise_multiplier=0.0, normaliser=1.0), generator)
    rows = torch.ones(5 * 4, 3) * 7.0  # 5 clips of 4 frames of one patient
    total.add(clip_gradient([rows.mean(0)], PLAN.clip_norm))
    assert float(total.noisy_mean()[0].norm()) <= PLAN.clip_norm * (1 + 1e-6)
    assert PLAN.unit == "patient"
    many = replace(PLAN, clips_per_patient=100)
    assert many.event() == PLAN.event()


def test_the_normaliser_is_a_public_constant_and_not_floored() -> None:
    # pytorch/opacus#571, #819: int(len(data) * rate) leaks the size and gives 3 for 7 patients
    generator = torch.Generator().manual_seed(0)
    total = PatientSum([(1,)], replace(PLAN, noise_multiplier=0.0), generator)
    results = []
    for patients in (1, 3, 7):
        for _ in range(patients):
            total.add(clip_gradient([torch.tensor([0.5])], PLAN.clip_norm))
        results.append(float(total.noisy_mean()[0]) / patients)
    assert results == pytest.approx([0.5 / 3.5] * 3)
    assert "num_patients" not in {field.name for field in fields(PrivacyPlan)}


@pytest.mark.parametrize("sampling", ["shuffled", "fixed-size", "weighted", "anything"])
def test_only_poisson_sampling_is_accounted_for(sampling: str) -> None:
    # pytorch/opacus#813 (weights: the rate is off 45,000 times); Chua et al. 2024 (shuffling)
    with pytest.raises(InvalidPlan, match=f"sampling='{sampling}': must be one of poisson"):
        GaussianEvent(noise_multiplier=1.0, sampling_rate=0.1, steps=1, sampling=sampling)


def test_a_shuffled_epoch_without_amplification_is_what_it_says() -> None:
    # the same noise: 8 whole passes are 15.5, and not the 2.2 of 500 Poisson samples at 1.6 %
    passes = epsilon_of([_event(1.0, 1.0, 8)], 1e-5).value
    assert passes == pytest.approx(15.46, abs=0.02)
    assert passes > 7 * epsilon_of([_event(1.0, 0.016, 500)], 1e-5).value


def test_each_patient_is_drawn_independently_at_the_rate_accounted_for() -> None:
    rng = random.Random(5)
    ids = [str(number) for number in range(20)]
    draws = [set(sample_patients(ids, 0.25, rng)) for _ in range(4000)]
    shares = [sum(one in drawn for drawn in draws) / 4000 for one in ids]
    assert min(shares) > 0.21
    assert max(shares) < 0.29
    both = sum({"0", "1"} <= drawn for drawn in draws) / 4000
    assert both == pytest.approx(0.0625, abs=0.015)  # a fixed-size batch of 5 has 0.053
    assert any(len(drawn) == 0 for drawn in draws)


def test_a_clip_norm_that_adapts_has_no_place_in_a_plan() -> None:
    # pytorch/opacus#779, #807: the noise of the quantile that adapts it is not accounted for
    with pytest.raises(InvalidPlan, match="adaptive_clipping"):
        PrivacyPlan.from_dict({**PLAN.to_dict(), "adaptive_clipping": True})
    total = PatientSum([(1,)], PLAN, torch.Generator())
    with pytest.raises(InvalidPlan, match="clip_norm"):
        total.add(clip_gradient([torch.ones(1)], 2.0))


@pytest.mark.parametrize("target", [0.7, 3.0])
def test_the_search_ends_on_the_safe_side(target: float) -> None:
    # pytorch/opacus#308, #346: the binary search returns noise whose epsilon is above the target
    plan = PLAN.calibrate(target, 1e-5, rounds=4)
    assert epsilon_of([plan.event()] * 4, 1e-5).value <= target
    loose = noise_for(target, 1e-5, PLAN.sampling_rate, 100, tolerance=0.2)
    assert epsilon_of([_event(loose, PLAN.sampling_rate, 100)], 1e-5).value <= target


@pytest.mark.parametrize("noise", [50.0, 1e3, 1e4])
def test_a_tiny_cost_is_never_negative(noise: float) -> None:
    # pytorch/opacus PR#844
    assert 0 <= epsilon_of([_event(noise, 1e-3, 1)], 1e-5).value < 0.1


def test_a_numerical_failure_ends_in_the_upper_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    # pytorch/opacus#601, #604, #606: PRV gives infinity, NaN or an error at a large epsilon
    def broken(*_: object) -> float:
        return math.nan

    monkeypatch.setattr(accountant, "_prv", broken)
    assert epsilon_of([_event(0.7, 0.21, 17)], 1e-5).method == "pld"
    monkeypatch.setattr(accountant, "_pld", broken)
    fallen = epsilon_of([_event(0.7, 0.21, 18)], 1e-5)
    assert fallen.method == "rdp upper bound"
    assert fallen.value > 5


def test_parts_of_a_batch_are_no_steps_of_their_own() -> None:
    # pytorch/opacus#320: accumulation that noises or accounts for each part of a Poisson batch
    assert not {field.name for field in fields(PerformanceSettings)} & {
        field.name for field in fields(PrivacyPlan)
    }
    assert "micro_batch" not in inspect.signature(epsilon_of).parameters


@pytest.mark.parametrize(
    ("name", "reason"), [("gdp", "1.86"), ("classical", "below 1"), ("group", "delta")]
)
def test_accountants_that_claim_too_little_are_refused_with_the_reason(
    name: str, reason: str
) -> None:
    with pytest.raises(InvalidPlan, match=reason):
        epsilon_by(name, [PLAN.event()], 1e-5)


def test_the_classical_formula_would_claim_less_than_is_spent() -> None:
    # flwr LocalDpMod, londonaicentre/FLIP#833: epsilon above 1, and nothing composed over rounds
    noise = math.sqrt(2 * math.log(1.25 / 1e-5)) / 15.0
    assert epsilon_of([_event(noise, 1.0, 1)], 1e-5).value > 17.0
    assert epsilon_of([_event(noise, 1.0, 20)], 1e-5).value > 150.0


def test_gdp_would_claim_less_than_is_spent() -> None:
    from opacus.accountants import GaussianAccountant

    with pytest.warns(UserWarning, match="underestimate"):
        gdp = GaussianAccountant()
    gdp.history = [(1.0, 0.016, 500)]
    assert gdp.get_epsilon(1e-5) < 0.9 * epsilon_of([_event(1.0, 0.016, 500)], 1e-5).value
