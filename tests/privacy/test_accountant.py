"""Epsilon against published and independently computed figures, at the edges and over a history."""

import math

import pytest

from ophora_privacy.accountant import epsilon_of, noise_for
from ophora_privacy.errors import InvalidPlan
from ophora_privacy.plan import GaussianEvent


def _event(noise: float, rate: float, steps: int) -> GaussianEvent:
    return GaussianEvent(noise_multiplier=noise, sampling_rate=rate, steps=steps)


@pytest.mark.parametrize(
    ("noise", "rate", "steps", "expected"),  # dp-accounting's PLD accountant, delta 1e-5
    [(1.0, 0.16, 500, 29.0), (2.0, 0.16, 500, 9.64), (1.0, 0.04, 500, 5.88)],
)
def test_agrees_with_an_independent_accountant(
    noise: float, rate: float, steps: int, expected: float
) -> None:
    epsilon = epsilon_of([_event(noise, rate, steps)], 1e-5)
    assert epsilon.method == "prv"
    assert epsilon.value == pytest.approx(expected, rel=0.01)


def test_rounds_compose_instead_of_starting_over() -> None:
    one = _event(1.0, 0.016, 25)
    assert epsilon_of([one] * 20, 1e-5) == epsilon_of([_event(1.0, 0.016, 500)], 1e-5)
    assert epsilon_of([one] * 20, 1e-5).value > 2 * epsilon_of([one], 1e-5).value


def test_every_event_adds_whatever_its_noise() -> None:
    events, last = [], 0.0
    for noise in (4.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.02):
        events.append(_event(noise, 0.3, 10))
        value = epsilon_of(events, 1e-5).value
        assert last < value < math.inf
        last = value


def test_tiny_noise_falls_back_to_an_upper_bound_and_says_so() -> None:
    epsilon = epsilon_of([_event(0.05, 0.3, 60)], 1e-5)
    assert epsilon.method == "rdp upper bound"
    assert epsilon.value > 1000
    assert "no bound worth the name" in epsilon.in_words()


def test_no_noise_is_unbounded_and_no_event_is_free() -> None:
    assert epsilon_of([_event(9.0, 0.1, 1), _event(0.0, 0.1, 1)], 1e-5).value == math.inf
    assert epsilon_of([], 1e-5).value == 0.0
    with pytest.raises(InvalidPlan):
        epsilon_of([], 0.0)


def test_noise_for_a_target_does_not_overshoot_it() -> None:
    noise = noise_for(8.0, 1e-5, 0.04, 500)
    assert noise == pytest.approx(0.864, abs=0.01)
    assert epsilon_of([_event(noise, 0.04, 500)], 1e-5).value <= 8.0
    assert epsilon_of([_event(noise * 0.98, 0.04, 500)], 1e-5).value > 8.0


def test_noise_for_a_target_counts_what_was_spent() -> None:
    spent = [_event(1.0, 0.04, 200)]
    noise = noise_for(8.0, 1e-5, 0.04, 300, spent=spent)
    assert noise > noise_for(8.0, 1e-5, 0.04, 300)
    with pytest.raises(InvalidPlan, match="no noise reaches it"):
        noise_for(0.5, 1e-5, 0.04, 300, spent=spent)
