"""Means of adapters: exact where promised, and how wrong the mean of free factors is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ophora_model.aggregation import Factors, factor_mean, ffa_mean, product_mean
from ophora_model.errors import AdapterMismatch, PlanInvalid
from ophora_model.update import Update

OUT, WIDTH = 12, 9
seeds = st.integers(0, 2**32 - 1)
weightings = st.lists(st.floats(0.01, 100.0), min_size=1, max_size=5)
quick = settings(deadline=None, max_examples=60)


def _updates(seed: int, num: int) -> list[Update]:
    rng = np.random.default_rng(seed)
    sizes = {"a": (5, 3), "b": (2, 3)}
    return [
        Update(tensors={k: rng.normal(size=s).astype(np.float32) for k, s in sizes.items()})
        for _ in range(num)
    ]


def _pair(rng: np.random.Generator, rank: int, out: int = OUT, width: int = WIDTH) -> Factors:
    return Factors(
        up={"a": rng.normal(size=(out, rank)).astype(np.float32)},
        down={"a": rng.normal(size=(rank, width)).astype(np.float32)},
    )


def _product(pair: Factors) -> np.ndarray:
    return pair.up["a"].astype(np.float64) @ pair.down["a"].astype(np.float64)


def _dense_mean(pairs: list[Factors], weights: list[float]) -> np.ndarray:
    products = [weight * _product(pair) for pair, weight in zip(pairs, weights, strict=True)]
    return sum(products) / sum(weights)


def _relative(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


@quick
@given(seeds, weightings, st.floats(-8, 8, width=32))
def test_the_ffa_mean_is_linear(seed: int, weights: list[float], factor: float) -> None:
    ones, others = _updates(seed, len(weights)), _updates(seed ^ 1, len(weights))
    sums = [one.scaled(factor) + other for one, other in zip(ones, others, strict=True)]
    apart = ffa_mean(ones, weights).scaled(factor) + ffa_mean(others, weights)
    for name, value in ffa_mean(sums, weights).tensors.items():
        assert np.allclose(value, apart.tensors[name], atol=1e-4)


@quick
@given(seeds, weightings, st.randoms(use_true_random=False))
def test_no_mean_depends_on_the_order(seed, weights, draw) -> None:
    rng = np.random.default_rng(seed)
    updates = _updates(seed, len(weights))
    pairs = [_pair(rng, 2) for _ in weights]
    order = list(range(len(weights)))
    draw.shuffle(order)
    shuffled = [weights[i] for i in order]
    mean, again = ffa_mean(updates, weights), ffa_mean([updates[i] for i in order], shuffled)
    assert (mean - again).l2_norm() < 1e-6
    mixed = [pairs[i] for i in order]
    for take in (factor_mean, lambda pairs, weights: product_mean(pairs, weights, 12)):
        assert np.allclose(
            _product(take(pairs, weights)), _product(take(mixed, shuffled)), atol=1e-4
        )


@quick
@given(seeds, weightings)
def test_over_a_shared_frozen_factor_the_mean_of_b_is_the_mean_of_the_products(seed, weights):
    rng = np.random.default_rng(seed)
    down = rng.normal(size=(3, WIDTH)).astype(np.float32)
    ups = [rng.normal(size=(OUT, 3)).astype(np.float32) for _ in weights]
    mean = ffa_mean([Update(tensors={"a": up}) for up in ups], weights).tensors["a"]
    pairs = [Factors(up={"a": up}, down={"a": down}) for up in ups]
    assert (
        _relative(_product(Factors(up={"a": mean}, down={"a": down})), _dense_mean(pairs, weights))
        < 1e-5
    )


@quick
@given(seeds, weightings, st.integers(1, 4), st.integers(1, 20))
def test_the_product_mean_is_the_dense_svd_cut_to_its_rank(seed, weights, rank, kept) -> None:
    rng = np.random.default_rng(seed)
    pairs = [_pair(rng, rank) for _ in weights]
    dense = _dense_mean(pairs, weights)
    left, values, right = np.linalg.svd(dense, full_matrices=False)
    best = left[:, :kept] * values[:kept] @ right[:kept]
    found = product_mean(pairs, weights, kept)
    assert found.up["a"].shape == (OUT, kept)
    assert found.down["a"].shape == (kept, WIDTH)
    # at a tie of singular values the cut is not unique, its error is
    assert np.linalg.norm(_product(found) - dense) == pytest.approx(
        np.linalg.norm(best - dense), abs=1e-5 * np.linalg.norm(dense)
    )


@quick
@given(seeds, st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_the_product_mean_is_exact_at_the_sum_of_the_ranks(seed: int, ranks: list[int]) -> None:
    rng = np.random.default_rng(seed)
    pairs = [_pair(rng, rank) for rank in ranks]
    weights = [1.0 + i for i in range(len(ranks))]
    assert (
        _relative(_product(product_mean(pairs, weights, sum(ranks))), _dense_mean(pairs, weights))
        < 1e-5
    )


def test_the_product_mean_splits_the_singular_values_evenly() -> None:
    found = product_mean([_pair(np.random.default_rng(1), 3)], [1.0], 3)
    assert np.linalg.norm(found.up["a"]) == pytest.approx(np.linalg.norm(found.down["a"]), rel=1e-5)


def test_zero_products_have_a_zero_mean() -> None:
    pair = _pair(np.random.default_rng(0), 2)
    zero = Factors(up={"a": pair.up["a"] * 0}, down=pair.down)
    assert not _product(product_mean([zero, zero], [1.0, 1.0], 3)).any()


@pytest.mark.parametrize(("num", "at_least"), [(2, 0.6), (4, 0.8)])
def test_averaging_the_factors_is_more_than_half_wrong(num: int, at_least: float) -> None:
    rng = np.random.default_rng(7)
    pairs = [_pair(rng, 8, out=192, width=192) for _ in range(num)]
    wanted = _dense_mean(pairs, [1.0] * num)
    assert _relative(_product(factor_mean(pairs, [1.0] * num)), wanted) > at_least > 0.5
    assert _relative(_product(product_mean(pairs, [1.0] * num, 8 * num)), wanted) < 1e-5


@pytest.mark.parametrize(
    ("weights", "named"),
    [
        ([], "0 weights for 2"),
        ([1.0], "1 weights for 2"),
        ([1.0, 0.0], r"weights\[1\]=0\.0"),
        ([-1.0, 1.0], r"weights\[0\]=-1\.0"),
        ([float("nan"), 1.0], r"weights\[0\]=nan"),
        ([1.0, float("inf")], r"weights\[1\]=inf"),
        ([True, 1.0], r"weights\[0\]=True"),
    ],
)
def test_bad_weights_are_refused_with_their_value(weights, named) -> None:
    rng = np.random.default_rng(0)
    pairs = [_pair(rng, 2), _pair(rng, 2)]
    with pytest.raises(PlanInvalid, match=named):
        ffa_mean(_updates(0, 2), weights)
    with pytest.raises(PlanInvalid, match=named):
        factor_mean(pairs, weights)
    with pytest.raises(PlanInvalid, match=named):
        product_mean(pairs, weights, 2)


def test_no_update_has_no_mean() -> None:
    with pytest.raises(PlanInvalid, match="0 weights for 0"):
        ffa_mean([], [])


def test_huge_weights_do_not_overflow() -> None:
    (update,) = _updates(3, 1)
    assert (ffa_mean([update, update], [1e308, 1e308]) - update).l2_norm() < 1e-6


def test_other_names_or_sizes_are_refused() -> None:
    rng = np.random.default_rng(0)
    one, two = _updates(0, 2)
    with pytest.raises(AdapterMismatch, match="missing"):
        ffa_mean([one, Update(tensors={"a": two.tensors["a"]})], [1.0, 1.0])
    with pytest.raises(AdapterMismatch, match="layers: 1 differ"):
        product_mean([_pair(rng, 2), _pair(rng, 2, out=13)], [1.0, 1.0], 4)
    with pytest.raises(AdapterMismatch, match="must be float32"):
        factor_mean([_pair(rng, 2), _pair(rng, 3)], [1.0, 1.0])
    with pytest.raises(AdapterMismatch, match="one side only"):
        Factors(up=_pair(rng, 2).up, down={})
    with pytest.raises(AdapterMismatch, match=r"\[out, rank\] and \[rank, in\]"):
        Factors(up=_pair(rng, 2).up, down=_pair(rng, 3).down)


def test_updates_refuse_what_is_not_finite_on_either_side() -> None:
    one, two = _updates(0, 2)
    bad = Update(tensors={k: v * np.float32("nan") for k, v in two.tensors.items()})
    for left, right in ((one, bad), (bad, one)):
        with pytest.raises(AdapterMismatch, match="not finite"):
            left + right
    with pytest.raises(PlanInvalid, match="weight=nan"):
        one.scaled(float("nan"))
