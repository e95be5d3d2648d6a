"""The grid: unbiased, bounded error, no overflow for as many sites as planned."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ophora_privacy.errors import InputRefused, InvalidPlan
from ophora_privacy.secure_sum.fixed_point import FixedPoint, RingVector


@settings(deadline=None, max_examples=200)
@given(
    sites=st.integers(1, 2000),
    bound=st.floats(1e-6, 1e6),
    share=st.floats(-1, 1),
)
def test_no_coordinate_of_a_sum_is_further_off_than_promised(
    sites: int, bound: float, share: float
) -> None:
    grid = FixedPoint(bound=bound, max_sites=sites)
    flat = np.full(sites, share * bound)  # the sites' inputs, one coordinate each
    total = np.array([grid.encode(flat).words.sum(dtype=np.uint32)], np.uint32)
    error = abs(float(grid.decode(total)[0]) - float(flat.sum()))
    float32 = 2.0**-23 * sites * bound  # decode() answers in it
    assert error <= grid.worst_error(sites) + float32


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("sites", [1, 3, 50, 1000, 100_000])
def test_the_planned_number_of_sites_at_the_bound_does_not_overflow(sites: int, sign: int) -> None:
    grid = FixedPoint(bound=0.1, max_sites=sites)
    words = grid.encode(np.array([sign * np.float32(0.1)], np.float32)).words
    steps = int(words.view(np.int32)[0]) * sites
    assert abs(steps) < 2**31
    total = np.array([steps], np.int32).view(np.uint32)
    assert grid.decode(total)[0] == pytest.approx(sign * 0.1 * sites, rel=1e-4)


def test_noise_of_twelve_deviations_still_fits() -> None:
    grid = FixedPoint(bound=1.0, max_sites=10, noise_std=3.0)
    most = 10 * math.ceil(1.0 / grid.step) + 12 * math.sqrt(10) * 3.0 / grid.step
    assert 0.999 * 2**31 < most < 2**31


def test_rounding_is_right_on_average_and_random() -> None:
    grid = FixedPoint(bound=1.0, max_sites=2**22)
    flat = np.full(40_000, 0.3 * grid.step, np.float64)
    first, second = grid.encode(flat).words, grid.encode(flat).words
    assert set(first.tolist()) == {0, 1}
    # 40,000 draws of 0.3: deviation 0.0023
    assert abs(first.mean() - 0.3) < 6 * 0.0023
    assert (first != second).any()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1.001, -1.001, 1e30])
def test_values_outside_the_bound_are_refused(bad: float) -> None:
    grid = FixedPoint(bound=1.0, max_sites=3)
    with pytest.raises(InputRefused):
        grid.encode(np.array([0.0, bad], np.float32))


def test_a_ring_vector_comes_from_the_grid_and_gets_noise_once() -> None:
    grid = FixedPoint(bound=1.0, max_sites=3, noise_std=0.1)
    with pytest.raises(TypeError):
        RingVector(np.zeros(2, np.uint32), grid, 0.0, object())
    vector = grid.encode(np.zeros(2))
    with pytest.raises(ValueError, match="read-only"):
        vector.words[0] = 1
    noised = vector.shifted(np.array([-1, 5]), 0.1)
    assert noised.words.tolist() == [2**32 - 1, 5]
    for bad in (noised, vector):
        with pytest.raises(InputRefused, match="noise share"):
            bad.shifted(np.zeros(2 if bad is noised else 3, np.int64), 0.1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"bound": 0.0},
        {"bound": math.nan},
        {"bound": math.inf},
        {"max_sites": 0},
        {"max_sites": 2.0},
        {"max_sites": 2**23},  # fewer than 256 steps to the bound
        {"max_sites": 2**31},
        {"noise_std": -1.0},
        {"noise_std": math.nan},
        {"noise_std": 1e6},
    ],
)
def test_a_grid_that_could_overflow_or_is_too_coarse_is_refused_at_once(wrong: dict) -> None:
    with pytest.raises(InvalidPlan):
        FixedPoint(**({"bound": 1.0, "max_sites": 10} | wrong))
