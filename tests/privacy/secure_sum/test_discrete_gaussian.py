"""The sampler draws the discrete Gaussian, of any deviation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ophora_privacy.errors import InvalidPlan
from ophora_privacy.secure_sum.discrete_gaussian import discrete_gaussian
from ophora_privacy.secure_sum.keystream import Keystream

STREAM_KEY = bytes(range(32))  # fixed, so that the statistics below can't fail by chance


@pytest.mark.parametrize("std", [0.7, 1.0, 3.3, 8.0])
def test_each_integer_has_its_probability(std: float) -> None:
    count = 400_000
    draws = discrete_gaussian(std, count, Keystream(STREAM_KEY))
    reach = math.ceil(4 * std)
    values = np.arange(-reach, reach + 1)
    weights = np.exp(-(values**2) / (2 * std**2))
    expected = count * weights / weights.sum()
    found = np.array([(draws == value).sum() for value in values])
    statistic = float(((found - expected) ** 2 / np.maximum(expected, 1e-9))[expected > 10].sum())
    freedom = int((expected > 10).sum())
    assert statistic < freedom + 6 * math.sqrt(2 * freedom)


@pytest.mark.parametrize("std", [64.0, 1000.5, 2.0**20, 2.0**31])
def test_a_wide_one_is_gaussian(std: float) -> None:
    count = 200_000
    draws = np.sort(discrete_gaussian(std, count, Keystream(STREAM_KEY)) / std)
    normal = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in draws[::50]])
    ranks = (np.arange(count) + 0.5)[::50] / count
    assert np.abs(normal - ranks).max() * math.sqrt(count) < 2.2 + 64 / std
    assert abs(draws.mean()) * math.sqrt(count) < 5
    assert abs(draws.var() - 1) * math.sqrt(count / 2) < 5
    assert abs((draws**4).mean() - 3) * math.sqrt(count / 96) < 5


def test_gives_as_many_as_asked_and_refuses_a_bad_deviation() -> None:
    for count in (0, 1, 1000):
        assert discrete_gaussian(5.0, count, Keystream.fresh()).shape == (count,)
    for bad in (0.0, -1.0, math.nan, math.inf, 2.0**32):
        with pytest.raises(InvalidPlan):
            discrete_gaussian(bad, 1, Keystream.fresh())
