"""Merging and comparing adapters by what they add to the layers."""

from dataclasses import replace

import numpy as np
import pytest

from ophora_model.adapter_card import AdapterCard
from ophora_model.adapter_file import AdapterFile, adapter_bytes, parse_adapter, seeded_adapter
from ophora_model.aggregation import Factors
from ophora_model.comparison import diff_adapters, merge_adapters
from ophora_model.errors import AdapterMismatch, PlanInvalid

LAYERS = {"blocks.0.to_q": (14, 10), "blocks.1.to_q": (14, 10)}
FIRST = "blocks.0.to_q"


def _card(**changed) -> AdapterCard:
    values = {
        "preset": "tiny",
        "base_fingerprint": "a" * 64,
        "targets": ("to_q",),
        "rank": 3,
        "alpha": 6.0,
        "seed": 1,
        "stage": "p2ft",
        "round": 2,
        "contributors": ("site-a",),
        "epsilon": 2.0,
        "delta": 1e-4,
        "code_version": "0.1.0",
    }
    return AdapterCard(**{**values, **changed})


def _adapter(draw: int, **changed) -> AdapterFile:
    rng, card = np.random.default_rng(draw), _card(**changed)
    trained = {
        name: rng.normal(size=(out, card.rank)).astype(np.float32)
        for name, (out, _) in LAYERS.items()
    }
    return seeded_adapter(card, trained, LAYERS)


def _added(file: AdapterFile, name: str = FIRST) -> np.ndarray:
    up, down = file.factors.up[name], file.factors.down[name]
    return file.card.alpha / file.card.rank * (up.astype(np.float64) @ down)


def _relative(found: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


def test_merging_over_one_seed_is_an_exact_ffa_adapter() -> None:
    a, b = _adapter(1), _adapter(2)
    merged = merge_adapters([a, b], [3.0, 1.0])
    assert (merged.card.seed, merged.card.rank, merged.card.alpha) == (1, 3, 6.0)
    assert _relative(_added(merged), (3 * _added(a) + _added(b)) / 4) < 1e-6
    assert np.array_equal(merged.factors.down[FIRST], a.factors.down[FIRST])


def test_merging_over_one_seed_takes_each_alpha_into_account() -> None:
    a, b = _adapter(1), _adapter(2, alpha=1.5)
    assert _relative(_added(merge_adapters([a, b], [1, 1])), (_added(a) + _added(b)) / 2) < 1e-6


def test_merging_over_different_seeds_and_ranks_is_exact_at_the_sum_of_ranks() -> None:
    a, b = _adapter(1), _adapter(2, seed=8, rank=2, alpha=1.0)
    merged = merge_adapters([a, b], [1.0, 3.0])
    assert (merged.card.seed, merged.card.rank, merged.card.alpha) == (None, 5, 5.0)
    for name in LAYERS:
        wanted = (_added(a, name) + 3 * _added(b, name)) / 4
        assert _relative(_added(merged, name), wanted) < 1e-5


def test_a_smaller_rank_gives_the_best_of_that_rank() -> None:
    a, b = _adapter(1), _adapter(2, seed=8)
    wanted = (_added(a) + _added(b)) / 2
    values = np.linalg.svd(wanted, compute_uv=False)
    found = merge_adapters([a, b], [1.0, 1.0], rank=2)
    assert found.factors.up[FIRST].shape == (14, 2)
    error = np.linalg.norm(_added(found) - wanted)
    assert error == pytest.approx(float(np.linalg.norm(values[2:])), rel=1e-4)


def test_a_merged_adapter_is_written_read_and_merged_again() -> None:
    merged = merge_adapters([_adapter(1), _adapter(2, seed=8)], [1.0, 1.0])
    again = parse_adapter(adapter_bytes(merged))
    assert again.card == merged.card
    twice = merge_adapters([again, again], [1.0, 2.0], rank=6)
    assert _relative(_added(twice), _added(merged)) < 1e-5


def test_a_merged_card_names_all_and_adds_up_the_privacy_loss() -> None:
    a = _adapter(1, sampler={"seed": 1})
    b = _adapter(2, stage="tpt", round=5, contributors=("site-b", "site-a"), epsilon=1.5)
    card = merge_adapters([a, b], [1.0, 1.0]).card
    assert card.contributors == ("site-a", "site-b")
    assert (card.stage, card.round, card.sampler) == ("merged", 5, {})
    assert (card.epsilon, card.delta) == (pytest.approx(3.5), pytest.approx(2e-4))


def test_a_merge_with_one_that_states_no_guarantee_states_none() -> None:
    card = merge_adapters([_adapter(1), _adapter(2, epsilon=None, delta=None)], [1.0, 1.0]).card
    assert (card.epsilon, card.delta) == (None, None)


def test_only_adapters_of_one_base_and_the_same_layers_merge() -> None:
    a = _adapter(1)
    with pytest.raises(AdapterMismatch, match="merge adapters of one base"):
        merge_adapters([a, _adapter(2, base_fingerprint="b" * 64)], [1.0, 1.0])
    part = Factors(
        up={FIRST: a.factors.up[FIRST]},
        down={FIRST: a.factors.down[FIRST]},
    )
    with pytest.raises(AdapterMismatch, match=r"1 differ in name or size \(blocks\.1"):
        merge_adapters([a, AdapterFile(card=a.card, factors=part)], [1.0, 1.0])


def test_bad_weights_and_ranks_are_refused() -> None:
    a, b = _adapter(1), _adapter(2, seed=8)
    with pytest.raises(PlanInvalid, match=r"weights\[1\]=-1"):
        merge_adapters([a, b], [1.0, -1.0])
    with pytest.raises(PlanInvalid, match="0 weights for 0"):
        merge_adapters([], [])
    with pytest.raises(PlanInvalid, match="rank=2: adapters of one seed keep their rank 3"):
        merge_adapters([a, a], [1.0, 1.0], rank=2)
    with pytest.raises(PlanInvalid, match=r"rank=1200.*give a smaller rank"):
        merge_adapters([a, b], [1.0, 1.0], rank=1200)


def test_an_adapter_does_not_differ_from_itself() -> None:
    found = diff_adapters(_adapter(1), _adapter(1))
    assert found.whole.relative < 1e-12
    assert found.whole.cosine == pytest.approx(1.0)
    assert (found.only_in_a, found.only_in_b, found.card) == ((), (), {})


@pytest.mark.parametrize("other", [{}, {"seed": 8, "rank": 2, "alpha": 5.0}])
def test_differences_are_those_of_the_dense_products(other) -> None:
    a, b = _adapter(1), _adapter(2, **other)
    found = diff_adapters(a, b)
    assert [layer.name for layer in found.layers] == sorted(LAYERS)
    for layer in found.layers:
        one, two = _added(a, layer.name), _added(b, layer.name)
        norms = np.linalg.norm(one), np.linalg.norm(two)
        assert (layer.norm_a, layer.norm_b) == pytest.approx(norms, rel=1e-5)
        assert layer.relative == pytest.approx(np.linalg.norm(one - two) / max(norms), rel=1e-5)
        assert layer.cosine == pytest.approx(np.sum(one * two) / np.prod(norms), abs=1e-5)
    norm = np.sqrt(sum(layer.norm_a**2 for layer in found.layers))
    assert found.whole.norm_a == pytest.approx(norm)


def test_the_same_product_from_other_factors_is_no_difference() -> None:
    a = _adapter(1)
    doubled = Factors(
        up={k: v * 2 for k, v in a.factors.up.items()},
        down={k: v / 2 for k, v in a.factors.down.items()},
    )
    same = AdapterFile(card=replace(a.card, seed=None), factors=doubled)
    assert diff_adapters(a, same).whole.relative < 1e-12


def test_a_zero_layer_has_no_angle() -> None:
    a = _adapter(1)
    zero = AdapterFile(
        card=a.card,
        factors=Factors(up={k: v * 0 for k, v in a.factors.up.items()}, down=a.factors.down),
    )
    assert (diff_adapters(a, zero).whole.relative, diff_adapters(a, zero).whole.cosine) == (1, None)
    assert diff_adapters(zero, zero).whole.relative == 0


def test_layers_on_one_side_and_unlike_cards_are_listed() -> None:
    a, b = _adapter(1), _adapter(2, round=9, epsilon=1.0)
    part = Factors(up={FIRST: b.factors.up[FIRST]}, down={FIRST: b.factors.down[FIRST]})
    found = diff_adapters(a, AdapterFile(card=b.card, factors=part))
    assert (found.only_in_a, found.only_in_b) == (("blocks.1.to_q",), ())
    assert found.card == {"round": (2, 9), "epsilon": (2.0, 1.0)}
    assert [layer.name for layer in found.layers] == [FIRST]


def test_layers_of_other_sizes_do_not_compare() -> None:
    a = _adapter(1)
    wide = Factors(
        up=a.factors.up,
        down={k: np.zeros((3, 11), np.float32) for k in LAYERS},
    )
    with pytest.raises(AdapterMismatch, match=r"\[14, 10\] in a, \[14, 11\] in b"):
        diff_adapters(a, AdapterFile(card=replace(a.card, seed=None), factors=wide))
