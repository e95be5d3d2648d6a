"""Shares: any threshold of them gives the secret, fewer or others do not."""

from __future__ import annotations

import itertools
import os

import pytest

from ophora_privacy.secure_sum.seed_share import join_seed, split_seed


def test_any_threshold_of_the_shares_gives_the_seed_back() -> None:
    seed = os.urandom(32)
    shares = dict(enumerate(split_seed(seed, threshold=3, holders=5), start=1))
    for places in itertools.combinations(shares, 3):
        assert join_seed({place: shares[place] for place in places}, threshold=3) == seed
    assert join_seed(shares, threshold=3) == seed


def test_fewer_shares_or_a_wrong_one_do_not() -> None:
    seed = os.urandom(32)
    shares = dict(enumerate(split_seed(seed, threshold=3, holders=5), start=1))
    with pytest.raises(ValueError, match="at least 3"):
        join_seed({1: shares[1], 2: shares[2]}, threshold=3)
    assert join_seed({1: shares[1], 2: shares[2]}, threshold=2) != seed
    assert join_seed({**shares, 2: os.urandom(32)}, threshold=3) != seed
    assert join_seed({1: shares[2], 2: shares[1], 4: shares[4]}, threshold=3) != seed


def test_a_share_does_not_repeat_the_seed_or_itself() -> None:
    seed = bytes(32)
    shares = split_seed(seed, threshold=2, holders=4)
    assert len({*shares, seed}) == 5
    assert set(shares).isdisjoint(split_seed(seed, threshold=2, holders=4))
