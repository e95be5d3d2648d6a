"""The list of a round's protections: what it may hold, how it travels, what each half does."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ophora_privacy.errors import InvalidPlan
from ophora_privacy.features import DistributedNoise, Features, LocalNoise, SecureAggregation
from ophora_privacy.plan import PrivacyPlan
from ophora_privacy.secure_sum import Layout
from ophora_privacy.secure_sum.coordinator import SecureSum

PRIVACY = PrivacyPlan(
    clip_norm=1.0,
    noise_multiplier=0.7,
    sampling_rate=0.5,
    steps_per_round=1,
    delta=1e-5,
    clips_per_patient=1,
    normaliser=4.0,
)
SECURE = SecureAggregation(coordinate_bound=0.5, min_sites=3, max_sites=5, roster_digest="ab" * 32)
NOISE = DistributedNoise(colluding_sites=1, steps_per_patient=2)
LAYOUT = Layout(tensors=(("a", (2, 3)),))


def _plan(features: Features, **changes: Any) -> Any:
    assert features.secure is not None
    values = {"attempt": "one", "layout": LAYOUT, "context": "cd" * 32}
    return features.secure.plan(features.noise, PRIVACY, **{**values, **changes})


@pytest.mark.parametrize(
    "features",
    [
        Features(noise=LocalNoise()),
        Features(noise=LocalNoise(), secure=SECURE),
        Features(noise=NOISE, secure=SECURE),
    ],
)
def test_a_list_survives_the_wire(features: Features) -> None:
    assert Features.from_list(features.to_list()) == features


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "one kind of noise"),
        ([{"kind": "gossip"}], "kind one of"),
        (["local-noise"], "must be a table"),
        ([{"kind": "local-noise", "more": 1}], "more: unknown key"),
        ([{"kind": "distributed-noise", "colluding_sites": 1}], "steps_per_patient: missing"),
        ([SECURE, LocalNoise()], "one kind of noise"),
        ([LocalNoise(), LocalNoise()], "one kind of noise"),
        ([NOISE], "needs secure-aggregation"),
        ([replace(NOISE, colluding_sites=3), SECURE], "colluding_sites=3"),
    ],
)
def test_another_list_is_refused_with_its_reason(given: list[Any], said: str) -> None:
    listed = [
        {"kind": each.kind, **{name: getattr(each, name) for name in each.__slots__}}
        if hasattr(each, "kind")
        else each
        for each in given
    ]
    with pytest.raises(InvalidPlan, match=said):
        Features.from_list(listed)


@pytest.mark.parametrize(
    "change",
    [{"min_sites": 2}, {"max_sites": 2}, {"coordinate_bound": 0.0}, {"min_sites": True}],
)
def test_a_secure_sum_out_of_range_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidPlan):
        replace(SECURE, **change)


def test_both_sides_make_the_same_plan_and_another_attempt_another() -> None:
    features = Features(noise=LocalNoise(), secure=SECURE)
    again = Features.from_list(features.to_list())
    assert _plan(features).tag() == _plan(again).tag()
    assert _plan(features).tag() != _plan(features, attempt="two").tag()
    assert _plan(features).tag() != _plan(features, context="ce" * 32).tag()
    assert _plan(features).tag() != _plan(Features(noise=NOISE, secure=SECURE)).tag()


def test_local_noise_is_accounted_by_the_plan_and_averaged_over_survivors() -> None:
    features = Features(noise=LocalNoise(), secure=SECURE)
    assert features.accounted(PRIVACY) is None
    update = {"a": np.array([[0.1, -0.2, 0.3], [9.0, -9.0, 0.0]], np.float32)}
    plan = _plan(features)
    given = features.noise.site_half(plan, update)  # type: ignore[arg-type]
    held = plan.grid.decode(given.words)
    assert np.allclose(held, [0.1, -0.2, 0.3, 0.5, -0.5, 0.0], atol=plan.grid.step)
    total = SecureSum(values={"a": np.full((2, 3), 6.0, np.float32)}, survivors=("x", "y", "z"))
    assert np.array_equal(features.noise.coordinator_half(total, PRIVACY)["a"], np.full((2, 3), 2))


def test_distributed_noise_is_accounted_as_shared_and_divided_by_the_normaliser() -> None:
    features = Features(noise=NOISE, secure=SECURE)
    shared = features.accounted(PRIVACY)
    assert shared is not None
    assert (shared.noise_multiplier, shared.honest_sites) == (0.7, 2)
    plan = _plan(features)
    assert plan.grid.noise_std > 0.7 / np.sqrt(2)  # a share of what two must carry
    contribution = features.noise.site_half(plan, PRIVACY).noisy_input()  # type: ignore[arg-type]
    assert contribution.noise_std == plan.grid.noise_std
    total = SecureSum(values={"a": np.full((2, 3), 6.0, np.float32)}, survivors=("x", "y", "z"))
    mean = features.noise.coordinator_half(total, PRIVACY)["a"]
    assert np.array_equal(mean, np.full((2, 3), 1.5))
