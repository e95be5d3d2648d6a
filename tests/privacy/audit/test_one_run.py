"""The one-run bound: the paper's printed values, the research table, a mechanism of known cost."""

import math

import numpy as np
import pytest

from ophora_privacy.audit.errors import AuditInvalid
from ophora_privacy.audit.one_run import (
    canary_figures,
    epsilon_lower_bound,
    right_guess_chance,
)


@pytest.mark.parametrize(
    ("canaries", "guesses", "right", "delta", "bound"),
    [  # arXiv 2305.08846: appendix D and section 7
        (100, 100, 75, 0.0, 0.702),
        (100, 100, 75, 1e-4, 0.699),
        (1000, 100, 75, 1e-4, 0.673),
        (100_000, 1510, 1439, 1e-5, 2.675),
    ],
)
def test_the_papers_values(
    canaries: int, guesses: int, right: int, delta: float, bound: float
) -> None:
    found = epsilon_lower_bound(canaries, guesses, right, delta=delta)
    assert found == pytest.approx(bound, abs=1e-3)


@pytest.mark.parametrize(
    ("guesses", "right", "bound"),
    [
        *((50, 50, 2.78), (100, 100, 3.49), (250, 250, 4.42), (500, 500, 5.11)),
        *((1000, 1000, 5.81), (1000, 900, 2.02), (1000, 700, 0.73)),
    ],
)
def test_what_so_many_canaries_can_certify(guesses: int, right: int, bound: float) -> None:
    found = epsilon_lower_bound(guesses, guesses, right, delta=0.0)
    assert found == pytest.approx(bound, abs=0.01)


def test_the_papers_chance() -> None:
    chance = right_guess_chance(100, 100, 75, epsilon=math.log(3), delta=0.0)
    assert chance == pytest.approx(0.553, abs=1e-3)


def test_guessing_shows_nothing() -> None:
    assert epsilon_lower_bound(100, 100, 50, delta=1e-5) == 0
    assert epsilon_lower_bound(100, 0, 0, delta=1e-5) == 0


def test_the_bound_grows_with_right_guesses_and_falls_with_delta() -> None:
    bounds = [epsilon_lower_bound(200, 100, right, delta=1e-5) for right in range(50, 101, 5)]
    assert bounds == sorted(bounds)
    loose = [epsilon_lower_bound(200, 100, 90, delta=delta) for delta in (0.0, 1e-4, 1e-2)]
    assert loose == sorted(loose, reverse=True)
    assert loose[0] > loose[-1]


def _gaussian_delta(epsilon: float, noise: float) -> float:
    """Of one Gaussian mechanism of sensitivity 1 (Balle and Wang 2018)."""
    from scipy.stats import norm

    half, shift = 1 / (2 * noise), epsilon * noise
    return float(norm.cdf(half - shift) - math.exp(epsilon) * norm.cdf(-half - shift))


@pytest.mark.parametrize("noise", [0.5, 1.0, 3.0])
def test_the_bound_stays_below_the_true_epsilon_of_a_gaussian(noise: float) -> None:
    delta, canaries, runs = 1e-5, 200, 400
    low, high = 0.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _gaussian_delta(middle, noise) > delta else (low, middle)
    rng = np.random.default_rng(3)
    bounds = []
    for _ in range(runs):
        coins = rng.random(canaries) < 0.5
        scores = coins + rng.normal(0, noise, canaries)
        bounds.append(canary_figures(scores, coins, delta=delta).epsilon_at_least)
    beyond = sum(bound > high for bound in bounds)
    assert beyond <= 0.05 * runs
    assert noise > 1 or np.median(bounds) > 0.5  # a bound of 0 would pass the line above


def test_the_bound_fails_where_the_coins_are_known() -> None:
    coins = np.arange(200) % 2 == 0
    found = canary_figures(coins.astype(float), coins, delta=1e-5)
    assert (found.guesses, found.right) == (200, 200)
    assert found.epsilon_at_least > 3.5
    assert found.refutes(2.0)
    assert not found.refutes(8.0)


@pytest.mark.parametrize(
    ("scores", "coins", "message"),
    [
        ([0.0, 1.0], [True], "one each"),
        ([0.0, math.nan], [True, False], "finite"),
        ([0.0, 1.0], [True, True], "2 of 2"),
    ],
)
def test_bad_canaries_are_refused(scores: list[float], coins: list[bool], message: str) -> None:
    with pytest.raises(AuditInvalid, match=message):
        canary_figures(scores, coins, delta=1e-5)


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(AuditInvalid, match="must not decrease"):
        epsilon_lower_bound(10, 20, 5, delta=0.0)
    with pytest.raises(AuditInvalid, match="shares"):
        canary_figures([0.0, 1.0], [True, False], delta=0.0, shares=(1.5,))
