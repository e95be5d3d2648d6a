"""Whole rounds: the secure sum is the plain sum over the survivors, and shows no single input."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

PHASES = ("advertise", "share_keys", "masked_input", "confirm", "unmask")
SUMMED = ("confirm", "unmask")  # who is lost from then on is in the sum already


def _plain_sum(plan: Any, values: Any, survivors: Any) -> np.ndarray:
    return sum(plan.layout.flatten(values[name]).astype(np.float64) for name in survivors)


def _relative_error(round_: Any, values: Any, outcome: Any) -> float:
    expected = _plain_sum(round_.plan, values, outcome.survivors)
    found = round_.plan.layout.flatten(outcome.values)
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def _expected_survivors(names: list[str], lost: dict[str, list[str]]) -> list[str]:
    gone = {name for phase, some in lost.items() if phase not in SUMMED for name in some}
    return [name for name in names if name not in gone]


@settings(deadline=None, max_examples=20)
@given(data=st.data(), number=st.integers(3, 11))
def test_the_sum_is_right_whoever_of_thirty_percent_drops_out_and_when(
    federation: Callable[..., Any], data: Any, number: int
) -> None:
    most = math.floor(0.3 * number)
    round_ = federation(number=number, size=300, min_sites=max(3, number - most))
    leavers = data.draw(st.permutations(round_.names))[: data.draw(st.integers(0, most))]
    lost: dict[str, list[str]] = {}
    for name in leavers:
        lost.setdefault(data.draw(st.sampled_from(PHASES)), []).append(name)
    values = round_.values(seed=number)
    outcome = round_.run(values, lost)
    assert list(outcome.survivors) == _expected_survivors(round_.names, lost)
    assert _relative_error(round_, values, outcome) < 1e-4


@pytest.mark.parametrize("phase", PHASES)
def test_thirty_percent_may_drop_out_at_any_one_phase(
    federation: Callable[..., Any], phase: str
) -> None:
    round_ = federation(number=10, size=200, min_sites=7)
    lost = {phase: ["s00", "s04", "s09"]}
    values = round_.values(seed=1)
    outcome = round_.run(values, lost)
    assert list(outcome.survivors) == _expected_survivors(round_.names, lost)
    assert _relative_error(round_, values, outcome) < 1e-4


@pytest.mark.parametrize("number", [24, pytest.param(50, marks=pytest.mark.slow)])
def test_many_sites_on_the_regular_graph_without_five(
    federation: Callable[..., Any], number: int
) -> None:
    round_ = federation(number=number, size=200, min_sites=number - 5, neighbours=16)
    lost = {"share_keys": ["s07"], "masked_input": ["s11", "s12"], "unmask": ["s20", "s21"]}
    values = round_.values(seed=2)
    outcome = round_.run(values, lost)
    assert list(outcome.survivors) == _expected_survivors(round_.names, lost)
    assert _relative_error(round_, values, outcome) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["masked_input", "unmask"])
def test_fifty_sites_without_thirty_percent(federation: Callable[..., Any], phase: str) -> None:
    round_ = federation(number=50, size=200, min_sites=35)
    lost = {phase: [f"s{index:02d}" for index in range(0, 45, 3)]}
    values = round_.values(seed=3)
    outcome = round_.run(values, lost)
    assert list(outcome.survivors) == _expected_survivors(round_.names, lost)
    assert _relative_error(round_, values, outcome) < 1e-4


def test_the_names_and_shapes_come_back(federation: Callable[..., Any]) -> None:
    round_ = federation(number=3, size=5)
    outcome = round_.run(round_.values(seed=4))
    assert {name: array.shape for name, array in outcome.values.items()} == {
        "a": (4,),
        "b": (1, 1),
    }
    assert all(array.dtype == np.float32 for array in outcome.values.values())


def _masked_words(federation: Callable[..., Any], fill: float, size: int) -> np.ndarray:
    """What the coordinator gets from one site whose update is `fill` everywhere."""
    round_ = federation(number=3, size=size)
    flat = np.full(size, fill, np.float32)
    values = {name: round_.plan.layout.unflatten(flat) for name in round_.names}
    relayed = round_.shares(round_.keys(round_.names), round_.names)
    message = round_.sites["s01"].masked_input(relayed["s01"], round_.vector(values["s01"]))
    return np.frombuffer(message.words, "<u4")


def _chi_square(words: np.ndarray) -> float:
    counts = np.bincount(words.view(np.uint8), minlength=256)
    expected = counts.sum() / 256
    return float(((counts - expected) ** 2 / expected).sum())


@pytest.mark.parametrize("fill", [0.0, 1.0, -0.37])
def test_one_masked_update_looks_uniform(federation: Callable[..., Any], fill: float) -> None:
    size = 1 << 16
    words = _masked_words(federation, fill, size)
    # 255 degrees of freedom: mean 255, deviation 22.6; six of those are one failure in 10^7.
    assert 255 - 6 * 22.6 < _chi_square(words) < 255 + 6 * 22.6
    ranks = np.sort(words) / 2.0**32
    away = np.abs(ranks - (np.arange(size) + 0.5) / size).max()
    assert away * math.sqrt(size) < 2.7  # Kolmogorov-Smirnov: one failure in 10^6
    neighbours = np.corrcoef(words[:-1].astype(float), words[1:].astype(float))[0, 1]
    assert abs(neighbours) * math.sqrt(size) < 6


def test_the_uniformity_test_sees_an_unmasked_update(federation: Callable[..., Any]) -> None:
    round_ = federation(number=3, size=1 << 12)
    flat = np.linspace(-1, 1, 1 << 12, dtype=np.float32)
    assert _chi_square(round_.plan.grid.encode(flat).words) > 255 + 6 * 22.6


def test_two_different_updates_are_masked_to_the_same_distribution(
    federation: Callable[..., Any],
) -> None:
    size = 1 << 15
    first = np.sort(_masked_words(federation, 0.0, size))
    second = np.sort(_masked_words(federation, 1.0, size))
    at = np.concatenate([first, second])
    gap = np.abs(
        np.searchsorted(first, at, side="right") - np.searchsorted(second, at, side="right")
    ).max()
    assert gap / size * math.sqrt(size / 2) < 2.7  # two-sample Kolmogorov-Smirnov


def test_the_same_update_is_masked_anew_in_each_round(federation: Callable[..., Any]) -> None:
    first, second = (_masked_words(federation, 0.5, 1 << 12) for _ in range(2))
    assert (first == second).mean() < 0.01


def test_without_one_survivors_mask_the_sum_stays_uniform(federation: Callable[..., Any]) -> None:
    size = 1 << 15
    round_ = federation(number=4, size=size)
    zeros = round_.plan.layout.unflatten(np.zeros(size, np.float32))
    round_.to_unmask(dict.fromkeys(round_.names, zeros))
    words = round_.coordinator._total  # all inputs added, no mask taken off
    assert abs(_chi_square(words) - 255) < 6 * 22.6
