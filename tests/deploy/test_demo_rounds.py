"""The demo's budget: what it asks of the sites is what `EPSILON` said, over both stages."""

import math

from ophora_deploy.demo.plan import DELTA, DemoPlan
from ophora_deploy.demo.rounds import federation_settings, noise_multiplier, privacy_words
from ophora_privacy.accountant import epsilon_of


def _spent(plan: DemoPlan):
    events = [
        stage.privacy.event()
        for stage in federation_settings(plan, 3).stages
        for _ in range(stage.rounds)
    ]
    return epsilon_of(events, DELTA)


def test_a_target_is_used_up_by_all_rounds_and_never_passed() -> None:
    plan = DemoPlan(seed=1, epsilon=8.0)
    spent = _spent(plan)
    assert 7.9 < spent.value <= 8.0
    assert "asked to keep every patient within epsilon 8" in privacy_words(plan, spent, 10)


def test_the_default_says_that_it_is_no_protection() -> None:
    plan = DemoPlan(seed=1, epsilon=None)
    spent = _spent(plan)
    assert 1000 < spent.value < math.inf
    assert "no bound worth the name" in privacy_words(plan, spent, 10)


def test_all_sites_and_rounds_share_one_noise() -> None:
    plan = DemoPlan(seed=1, epsilon=None)
    noises = {stage.privacy.noise_multiplier for stage in federation_settings(plan, 3).stages}
    assert noises == {noise_multiplier(plan)}
