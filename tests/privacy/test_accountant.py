"""Epsilon against published and independently computed figures, at the edges and over a history."""

import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ophora_privacy import accountant
from ophora_privacy.accountant import CrossCheck, cross_check, epsilon_by, epsilon_of, noise_for
from ophora_privacy.errors import InvalidPlan
from ophora_privacy.plan import GaussianEvent

REFERENCE = [  # (noise, rate, steps) of a history, and dp-accounting's figure on its finest grid
    ([(1.0, 0.016, 500)], 2.185),
    ([(1.0, 0.16, 500)], 29.002),
    ([(2.0, 0.16, 500)], 9.643),
    ([(4.0, 0.16, 500)], 3.981),
    ([(6.0, 0.16, 500)], 2.474),
    ([(0.8, 0.04, 500)], 9.493),
    ([(1.0, 0.04, 500)], 5.879),
    ([(1.5, 0.04, 500)], 2.947),
    ([(2.0, 0.04, 500)], 1.975),
    ([(1.0, 0.016, 300), (0.8, 0.032, 200)], 5.267),
]


def _event(noise: float, rate: float, steps: int) -> GaussianEvent:
    return GaussianEvent(noise_multiplier=noise, sampling_rate=rate, steps=steps)


@pytest.mark.parametrize(("history", "expected"), REFERENCE)
def test_three_accountants_agree_on_the_reference_scenarios(
    history: list[tuple[float, float, int]], expected: float
) -> None:
    events = [_event(*mechanism) for mechanism in history]
    found = cross_check(events, 1e-5)
    assert found.agrees
    assert found.pld <= found.rdp
    assert found.pld == pytest.approx(found.prv, rel=0.01)
    assert found.pld == pytest.approx(expected, abs=0.002)
    assert epsilon_of(events, 1e-5).method == "pld"
    assert epsilon_of(events, 1e-5).value == found.pld == epsilon_by("pld", events, 1e-5)


def test_a_single_gaussian_costs_what_its_closed_form_says() -> None:
    # delta(epsilon) of one Gaussian release (Balle and Wang 2018) at noise 2
    epsilon, noise = epsilon_of([_event(2.0, 1.0, 1)], 1e-5).value, 2.0

    def phi(x: float) -> float:
        return (1 + math.erf(x / math.sqrt(2))) / 2

    a, b = 1 / (2 * noise), epsilon * noise
    assert phi(a - b) - math.exp(epsilon) * phi(-a - b) == pytest.approx(1e-5, rel=0.01)


def test_where_the_accountants_differ_the_larger_figure_counts() -> None:
    assert CrossCheck(pld=5.0, prv=5.01, rdp=6.0).epsilon(1e-5).method == "pld"
    low = CrossCheck(pld=4.0, prv=5.0, rdp=6.0)
    assert (low.agrees, low.epsilon(1e-5).value) == (False, 5.0)
    assert low.epsilon(1e-5).method == "prv above pld"
    high = CrossCheck(pld=7.0, prv=5.0, rdp=6.0)
    assert (high.agrees, high.epsilon(1e-5).value) == (False, 7.0)
    assert high.epsilon(1e-5).method == "pld above rdp"
    failed = CrossCheck(pld=4.0, prv=9.0, rdp=6.0)  # above the Renyi bound: PRV's own failure
    assert (failed.agrees, failed.epsilon(1e-5).value) == (False, 4.0)
    for broken in (math.nan, -0.5, math.inf):
        epsilon = CrossCheck(pld=broken, prv=5.0, rdp=6.0).epsilon(1e-5)
        assert (epsilon.value, epsilon.method) == (6.0, "rdp upper bound")


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


def test_the_order_of_events_does_not_matter() -> None:
    events = [_event(1.0, 0.1, 5), _event(3.0, 0.2, 7), _event(1.0, 0.1, 2)]
    assert epsilon_of(events, 1e-5) == epsilon_of(events[::-1], 1e-5)


def test_tiny_noise_falls_back_to_an_upper_bound_at_once_and_says_so() -> None:
    epsilon_of([_event(1.0, 0.1, 1)], 1e-5)  # loads the accountants
    start_s = time.process_time()
    epsilon = epsilon_of([_event(2e-4, 0.4, 96)], 1e-3)
    assert time.process_time() - start_s < 2
    assert epsilon.method == "rdp upper bound"
    assert epsilon.value > 1e8
    assert "no bound worth the name" in epsilon.in_words()


def test_many_different_mechanisms_are_composed_without_the_slow_cross_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> float:
        raise AssertionError("PRV was asked")

    monkeypatch.setattr(accountant, "_prv", refuse)
    events = [_event(2.0, 0.01 * number, 3) for number in range(1, 13)]
    assert epsilon_of(events, 1e-5).method == "pld"
    assert math.isnan(cross_check(events, 1e-5).prv)


def test_no_noise_is_unbounded_and_no_event_is_free() -> None:
    assert epsilon_of([_event(9.0, 0.1, 1), _event(0.0, 0.1, 1)], 1e-5).value == math.inf
    assert epsilon_of([], 1e-5).value == 0.0
    assert cross_check([], 1e-5) == CrossCheck(pld=0.0, prv=0.0, rdp=0.0)
    for delta in (0.0, 1.0, math.nan):
        with pytest.raises(InvalidPlan, match="delta"):
            epsilon_of([], delta)


def test_noise_for_a_target_does_not_overshoot_it() -> None:
    noise = noise_for(8.0, 1e-5, 0.04, 500)
    assert noise == pytest.approx(0.864, abs=0.003)
    assert epsilon_of([_event(noise, 0.04, 500)], 1e-5).value <= 8.0
    assert epsilon_of([_event(noise * 0.998, 0.04, 500)], 1e-5).value > 8.0


@settings(deadline=None, max_examples=4)
@given(
    target=st.floats(0.3, 30.0),
    rate=st.floats(0.01, 1.0),
    steps=st.integers(1, 30),
    spent=st.sampled_from([[], [_event(8.0, 0.05, 20)]]),
)
def test_calibrated_noise_is_never_too_little(
    target: float, rate: float, steps: int, spent: list[GaussianEvent]
) -> None:
    noise = noise_for(target, 1e-5, rate, steps, spent=spent)
    assert epsilon_of([*spent, _event(noise, rate, steps)], 1e-5).value <= target


def test_noise_for_a_target_counts_what_was_spent() -> None:
    spent = [_event(1.0, 0.04, 200)]
    noise = noise_for(8.0, 1e-5, 0.04, 300, spent=spent)
    assert noise > noise_for(8.0, 1e-5, 0.04, 300)
    with pytest.raises(InvalidPlan, match="no noise reaches it"):
        noise_for(0.5, 1e-5, 0.04, 300, spent=spent)
    with pytest.raises(InvalidPlan, match="no noise reaches it"):
        noise_for(8.0, 1e-5, 0.04, 300, spent=[_event(0.0, 0.1, 1)])


@pytest.mark.parametrize("target", [0.0, -1.0, math.inf, math.nan])
def test_a_target_that_is_no_budget_is_refused(target: float) -> None:
    with pytest.raises(InvalidPlan, match="target_epsilon"):
        noise_for(target, 1e-5, 0.04, 500)
