"""The sum over the fewest honest survivors carries the whole noise, and only clipped patients."""

from __future__ import annotations

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from ophora_privacy.distributed_noise import (
    SMOOTHING,
    DistributedNoisePlan,
    PatientTotal,
    add_noise_share,
)
from ophora_privacy.errors import InvalidPlan
from ophora_privacy.mechanism import clip_gradient
from ophora_privacy.plan import PrivacyPlan
from ophora_privacy.secure_sum import (
    FixedPoint,
    Layout,
    Roster,
    SecureSumCoordinator,
    SecureSumPlan,
    SecureSumSite,
    SiteIdentity,
)

PRIVACY = PrivacyPlan(
    clip_norm=0.5,
    noise_multiplier=1.5,
    sampling_rate=0.5,
    steps_per_round=1,
    delta=1e-5,
    clips_per_patient=1,
    normaliser=20.0,
)
SIZE = 40_000
NOISE = DistributedNoisePlan(
    privacy=PRIVACY,
    coordinate_bound=0.5,
    size=SIZE,
    max_sites=10,
    min_sites=6,
    colluding_sites=2,
)
IDENTITIES = {f"s{n}": SiteIdentity(f"s{n}", Ed25519PrivateKey.generate()) for n in range(10)}
ROSTER = Roster({name: identity.public_key() for name, identity in IDENTITIES.items()})


def _sum_plan(noise: DistributedNoisePlan, **changed: object) -> SecureSumPlan:
    values = {
        "round_id": "round 1",
        "layout": Layout(tensors=(("a", (noise.size - 1,)), ("b", (1,)))),
        "grid": noise.grid,
        "min_sites": noise.min_sites,
        "neighbours": noise.max_sites - 1,
        "roster_digest": ROSTER.digest(),
    }
    return SecureSumPlan(**(values | changed))  # type: ignore[arg-type]


def _steps(vector: object) -> np.ndarray:
    return vector.words.view(np.int32).astype(np.float64)  # type: ignore[attr-defined]


def _patient(value: float) -> list[torch.Tensor]:
    return [torch.full((SIZE - 1,), value), torch.full((1,), value)]


@settings(deadline=None, max_examples=60)
@given(
    multiplier=st.floats(0.1, 20),
    clip_norm=st.floats(1e-3, 100),
    size=st.integers(1, 10**8),
    sites=st.integers(3, 50),
    data=st.data(),
)
def test_the_fewest_honest_survivors_always_carry_the_whole_noise(
    multiplier: float, clip_norm: float, size: int, sites: int, data: st.DataObject
) -> None:
    least = data.draw(st.integers(3, sites))
    privacy = dataclasses.replace(PRIVACY, noise_multiplier=multiplier, clip_norm=clip_norm)
    plan = DistributedNoisePlan(
        privacy=privacy,
        coordinate_bound=clip_norm,
        size=size,
        max_sites=sites,
        min_sites=least,
        colluding_sites=data.draw(st.integers(0, least - 1)),
    )
    step = plan.grid.step
    assert plan.sensitivity >= clip_norm + 0.999999 * step * math.sqrt(size)
    carried = plan.honest_sites * plan.share_std**2 - (SMOOTHING * step) ** 2
    assert math.sqrt(carried) >= multiplier * plan.sensitivity
    assert math.sqrt(carried) <= 1.0001 * multiplier * plan.sensitivity
    assert plan.event().noise_multiplier == multiplier
    lone = plan.lone_event().noise_multiplier
    assert lone == pytest.approx(multiplier / math.sqrt(plan.honest_sites), rel=1e-3)


def test_dropouts_and_colluders_raise_every_share() -> None:
    small = dataclasses.replace(NOISE, min_sites=10, colluding_sites=0)
    fewer = dataclasses.replace(NOISE, min_sites=6, colluding_sites=0)
    assert small.share_std < fewer.share_std < NOISE.share_std
    assert fewer.share_std**2 * 6 == pytest.approx(small.share_std**2 * 10, rel=1e-3)
    assert NOISE.sum_std(10) == pytest.approx(NOISE.share_std * math.sqrt(10))


def test_the_event_is_the_plans_and_that_of_a_lone_site_says_less_noise() -> None:
    assert NOISE.event() == PRIVACY.event()
    alone = NOISE.lone_event()
    assert (alone.sampling_rate, alone.steps) == (PRIVACY.sampling_rate, 1)
    assert alone.noise_multiplier == pytest.approx(PRIVACY.noise_multiplier / 2, rel=1e-3)


def test_measured_noise_has_the_planned_deviation() -> None:
    vector = add_noise_share(NOISE.grid.encode(np.zeros(SIZE)))
    found = _steps(vector).std() * NOISE.grid.step
    assert found / NOISE.share_std == pytest.approx(1, abs=5 / math.sqrt(2 * SIZE))
    total = sum(_steps(add_noise_share(NOISE.grid.encode(np.zeros(SIZE)))) for _ in range(4))
    whole = PRIVACY.noise_multiplier * PRIVACY.clip_norm
    assert total.std() * NOISE.grid.step / whole > 1 - 5 / math.sqrt(2 * SIZE)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10**6), scale=st.floats(1e-6, 1e3))
def test_one_patient_moves_the_rounded_sum_by_at_most_the_stated_sensitivity(
    seed: int, scale: float
) -> None:
    """With the same random thresholds, which is what the proof conditions on."""
    rng = np.random.default_rng(seed)
    coarse = FixedPoint(bound=1.0, max_sites=2**21)  # where rounding matters
    others, thresholds = rng.uniform(-0.5, 0.5, 400), rng.uniform(0, 1, 400)
    tensor = torch.from_numpy(rng.normal(size=400) * scale).float()
    patient = clip_gradient([tensor], 0.5).tensors[0].double().numpy()

    def rounded(values: np.ndarray) -> np.ndarray:
        return np.floor(np.clip(values, -1, 1) / coarse.step + thresholds)

    moved = np.linalg.norm(rounded(others + patient) - rounded(others)) * coarse.step
    assert moved <= 0.5 + coarse.step * math.sqrt(400)


def test_a_site_without_patients_sends_noise_alone() -> None:
    vector = PatientTotal(_sum_plan(NOISE), NOISE).noisy_input()
    assert vector.noise_std == NOISE.share_std
    assert np.abs(_steps(vector).mean()) * NOISE.grid.step < 5 * NOISE.share_std / math.sqrt(SIZE)
    assert _steps(vector).std() > 0


def test_patients_are_added_once_and_the_total_starts_over() -> None:
    total = PatientTotal(_sum_plan(NOISE), NOISE)
    for _ in range(50):
        total.add(clip_gradient(_patient(1.0), PRIVACY.clip_norm))
    expected = 50 * PRIVACY.clip_norm / math.sqrt(SIZE)
    margin = 5 * NOISE.share_std / math.sqrt(SIZE)
    first, second = (_steps(total.noisy_input()).mean() * NOISE.grid.step for _ in range(2))
    assert expected > 10 * margin
    assert abs(first - expected) < margin
    assert abs(second) < margin


def test_a_sum_past_the_bound_is_projected_and_not_refused() -> None:
    narrow = dataclasses.replace(NOISE, coordinate_bound=0.4, size=2)
    plan = _sum_plan(narrow)
    total = PatientTotal(plan, narrow)
    for _ in range(50):
        total.add(clip_gradient([torch.tensor([0.5]), torch.tensor([0.0])], PRIVACY.clip_norm))
    values = _steps(total.noisy_input()) * narrow.grid.step
    assert abs(values[0] - 0.4) < 12 * narrow.share_std


def test_only_clipped_patients_of_the_announced_shapes_are_added() -> None:
    total = PatientTotal(_sum_plan(NOISE), NOISE)
    with pytest.raises(TypeError, match="clip_gradient"):
        total.add(_patient(0.0))  # type: ignore[arg-type]
    with pytest.raises(InvalidPlan, match="clip_norm"):
        total.add(clip_gradient(_patient(1.0), 5.0))
    with pytest.raises(InvalidPlan, match="shapes"):
        total.add(clip_gradient(_patient(1.0)[:1], PRIVACY.clip_norm))


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"privacy": dataclasses.replace(PRIVACY, steps_per_round=2)}, "steps_per_round"),
        ({"privacy": dataclasses.replace(PRIVACY, noise_multiplier=0.0)}, "noise_multiplier"),
        ({"colluding_sites": 6}, "colluding_sites"),
        ({"colluding_sites": -1}, "colluding_sites"),
        ({"min_sites": 2}, "min_sites"),
        ({"max_sites": 5}, "max_sites"),
        ({"size": 0}, "size"),
        ({"size": 2.0}, "size"),
        ({"coordinate_bound": 0.0}, "bound"),
        ({"coordinate_bound": math.nan}, "bound"),
        ({"coordinate_bound": 1e9}, "coordinate_bound"),
        ({"privacy": dataclasses.replace(PRIVACY, noise_multiplier=1e7)}, "max_sites"),
    ],
)
def test_what_cannot_be_honoured_is_refused_at_construction(
    changed: dict[str, object], named: str
) -> None:
    with pytest.raises(InvalidPlan, match=named):
        dataclasses.replace(NOISE, **changed)  # type: ignore[arg-type]


def test_a_secure_sum_that_does_not_fit_the_noise_is_refused() -> None:
    for changed in (
        {"grid": FixedPoint(bound=0.5, max_sites=10)},
        {"layout": Layout(tensors=(("a", (SIZE + 1,)),))},
        {"min_sites": 5},
    ):
        with pytest.raises(InvalidPlan):
            PatientTotal(_sum_plan(NOISE, **changed), NOISE)
    many = dataclasses.replace(NOISE, colluding_sites=4)
    with pytest.raises(InvalidPlan, match="colluding_sites=4"):
        PatientTotal(_sum_plan(many), many)
    with pytest.raises(InvalidPlan, match="noise_std=0"):
        add_noise_share(FixedPoint(bound=0.5, max_sites=10).encode(np.zeros(3)))


def test_the_plan_is_json() -> None:
    assert json.loads(json.dumps(NOISE.to_dict()))["privacy"]["clip_norm"] == 0.5


def test_a_whole_round_carries_the_clipped_sum_and_the_noise_of_its_survivors() -> None:
    plan = _sum_plan(NOISE)
    sites = {name: SecureSumSite(plan, who, ROSTER) for name, who in IDENTITIES.items()}
    coordinator = SecureSumCoordinator(plan, ROSTER)
    for site in sites.values():
        coordinator.receive(site.advertise())
    keys = coordinator.close_adverts()
    for site in sites.values():
        coordinator.receive(site.share_keys(keys))
    relayed = coordinator.close_shares()
    survivors = sorted(sites)[:7]
    for name in survivors:
        total = PatientTotal(plan, NOISE)
        total.add(clip_gradient(_patient(1.0), PRIVACY.clip_norm))
        coordinator.receive(sites[name].masked_input(relayed[name], total.noisy_input()))
    listed = coordinator.close_inputs()
    for name in survivors:
        coordinator.receive(sites[name].confirm(listed))
    request = coordinator.close_confirmations()
    for name in survivors:
        coordinator.receive(sites[name].unmask(request))
    found = np.concatenate([array.ravel() for array in coordinator.result().values.values()])
    expected = 7 * PRIVACY.clip_norm / math.sqrt(SIZE)
    deviation = NOISE.sum_std(7)
    assert abs(found.mean() - expected) < 5 * deviation / math.sqrt(SIZE)
    assert found.std() / deviation == pytest.approx(1, abs=5 / math.sqrt(2 * SIZE))
    assert found.std() > PRIVACY.noise_multiplier * PRIVACY.clip_norm
