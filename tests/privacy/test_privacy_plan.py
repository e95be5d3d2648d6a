"""A plan is one value: out-of-range settings and unknown keys are refused by name."""

import math

import pytest

from ophora_privacy.errors import InvalidPlan
from ophora_privacy.plan import PrivacyPlan

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
