"""A plan is one value: out-of-range settings and unknown keys are refused by name."""

import dataclasses
import math

import pytest

from ophora_privacy.accountant import epsilon_of
from ophora_privacy.errors import InvalidPlan
from ophora_privacy.plan import PrivacyPlan, SharedNoise

GOOD = {
    "clip_norm": 1.0,
    "noise_multiplier": 0.5,
    "sampling_rate": 0.25,
    "steps_per_round": 10,
    "delta": 1e-5,
    "clips_per_patient": 2,
    "normaliser": 4.0,
}


def test_round_trips_through_a_dict() -> None:
    plan = PrivacyPlan.from_dict(GOOD)
    assert PrivacyPlan.from_dict(plan.to_dict()) == plan
    assert plan.noise_std == 0.5
    assert plan.event().steps == 10


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("clip_norm", 0.0),
        ("clip_norm", math.nan),
        ("clip_norm", math.inf),
        ("noise_multiplier", -0.1),
        ("noise_multiplier", math.nan),
        ("sampling_rate", 0.0),
        ("sampling_rate", 1.01),
        ("steps_per_round", 0),
        ("steps_per_round", 2.5),
        ("steps_per_round", True),
        ("delta", 1.0),
        ("clips_per_patient", 0),
        ("normaliser", -1.0),
        ("normaliser", "4"),
    ],
)
def test_refuses_what_it_cannot_honour(key: str, value: object) -> None:
    with pytest.raises(InvalidPlan, match=key):
        PrivacyPlan.from_dict({**GOOD, key: value})


def test_names_unknown_and_missing_keys() -> None:
    with pytest.raises(InvalidPlan, match="secure_mode"):
        PrivacyPlan.from_dict({**GOOD, "secure_mode": True})
    with pytest.raises(InvalidPlan, match="delta: missing"):
        PrivacyPlan.from_dict({key: value for key, value in GOOD.items() if key != "delta"})


def test_says_its_unit_and_sampling_and_sends_neither() -> None:
    plan = PrivacyPlan.from_dict(GOOD)
    assert (plan.unit, plan.neighbours, plan.sampling) == (
        "patient",
        "add or remove one",
        "poisson",
    )
    assert plan.to_dict() == GOOD
    assert plan.event().sampling == "poisson"


def test_calibrated_to_a_budget_only_noise_and_delta_change() -> None:
    plan = PrivacyPlan.from_dict({**GOOD, "sampling_rate": 0.1})
    made = plan.calibrate(4.0, 1e-6, rounds=3)
    assert dataclasses.replace(made, noise_multiplier=0.5, delta=1e-5) == plan
    assert 3.9 < epsilon_of([made.event()] * 3, 1e-6).value <= 4.0


def test_calibration_leaves_room_for_what_was_spent() -> None:
    plan = PrivacyPlan.from_dict({**GOOD, "sampling_rate": 0.1, "noise_multiplier": 2.0})
    spent = [plan.event()] * 2
    made = plan.calibrate(4.0, 1e-5, spent)
    assert made.noise_multiplier > plan.calibrate(4.0, 1e-5).noise_multiplier
    assert epsilon_of([*spent, made.event()], 1e-5).value <= 4.0
    with pytest.raises(InvalidPlan, match="rounds"):
        plan.calibrate(4.0, 1e-5, rounds=0)


def test_shared_noise_names_the_assumption_it_rests_on() -> None:
    assert SharedNoise(noise_multiplier=1.0, honest_sites=3).assumes == "3 honest sites"
    for wrong in ({"honest_sites": 0}, {"honest_sites": 1.5}, {"noise_multiplier": math.nan}):
        with pytest.raises(InvalidPlan):
            SharedNoise(**{"noise_multiplier": 1.0, "honest_sites": 3, **wrong})  # type: ignore[arg-type]
