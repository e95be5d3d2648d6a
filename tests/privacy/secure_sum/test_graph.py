"""The graph: regular, symmetric, the same for all, and dense enough for what is promised."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ophora_privacy.secure_sum.graph import neighbours_of, smallest_degree, threshold_of


@given(
    number=st.integers(3, 60),
    half=st.integers(1, 30),
    seed=st.binary(min_size=32, max_size=32),
)
def test_neighbours_are_mutual_distinct_and_as_many_as_planned(
    number: int, half: int, seed: bytes
) -> None:
    names = [f"s{index:02d}" for index in range(number)]
    graph = neighbours_of(names, 2 * half, seed)
    for name, others in graph.items():
        assert len(others) == len(set(others)) == min(2 * half, number - 1)
        assert name not in others
        assert list(others) == sorted(others)
        assert all(name in graph[other] for other in others)
    assert graph == neighbours_of(names[::-1], 2 * half, seed)


def test_the_sparse_graph_is_connected_and_drawn_anew_by_the_seed() -> None:
    names = [f"s{index:02d}" for index in range(40)]
    first, second = (neighbours_of(names, 6, bytes([seed])) for seed in (1, 2))
    assert first != second
    reached, edge = {"s00"}, ["s00"]
    while edge:
        edge = [other for name in edge for other in first[name] if other not in reached]
        reached.update(edge)
    assert len(reached) == 40


@pytest.mark.parametrize("degree", range(2, 100))
def test_the_threshold_is_above_half_and_leaves_room_for_thirty_percent(degree: int) -> None:
    threshold = threshold_of(degree)
    assert degree / 2 < threshold <= degree
    sites = degree + 1
    assert degree - math.floor(0.3 * sites) >= threshold


def test_the_proposed_degree_is_enough_and_no_more_than_all_others() -> None:
    assert smallest_degree(3) == 2
    assert smallest_degree(10) == 9
    assert smallest_degree(100, dropout=0.1) == 30
    for sites in (20, 50, 200):
        degree = smallest_degree(sites, dropout=0.1)
        assert degree % 2 == 0 or degree == sites - 1
        assert smallest_degree(sites, dropout=0.2) >= degree
        assert smallest_degree(sites, dropout=0.1, colluding=0.3) >= degree
