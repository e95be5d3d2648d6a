"""Figures of membership inference, with patients as clusters."""

import numpy as np
import pytest

from ophora_privacy.audit.errors import AuditInvalid, GroupTooSmall
from ophora_privacy.audit.intervals import clopper_pearson
from ophora_privacy.audit.membership import auc, membership_figures


def _group(
    name: str, patients: int, clips: int, *, shift: float = 0.0, between: float = 0.0, seed: int = 0
) -> dict[str, list[float]]:
    rng = np.random.default_rng(seed)
    return {
        f"{name}{number}": list(shift + between * rng.normal() + rng.normal(size=clips))
        for number in range(patients)
    }


def test_the_auc_counts_pairs_and_halves_ties() -> None:
    assert auc(np.array([1.0, 2.0]), np.array([0.0, 1.0])) == pytest.approx(3.5 / 4)


def test_groups_that_are_alike_hold_a_half_and_shifted_ones_do_not() -> None:
    others = _group("o", 40, 3, seed=1)
    alike = membership_figures(_group("m", 40, 3, seed=2), others)
    assert alike.auc_interval[0] < 0.5 < alike.auc_interval[1]
    shifted = membership_figures(_group("m", 40, 3, shift=1.5, seed=2), others)
    assert shifted.auc_interval[0] > 0.6
    assert shifted.patient_auc > shifted.auc  # means over clips are less noisy
    assert shifted.roc[0] <= shifted.roc[5] <= shifted.roc[-1] == 1.0


def test_many_clips_of_few_patients_don_t_narrow_the_interval() -> None:
    """Clips of one patient are alike; taken as independent they'd promise too much."""
    wide = membership_figures(
        _group("m", 10, 30, between=3, seed=4), _group("o", 10, 30, between=3, seed=5)
    )
    low, high = wide.auc_interval
    assert high - low > 0.3


def test_the_interval_covers_the_truth() -> None:
    """Two groups drawn alike: 0.5 lies within in at least 19 of 20 trials, but for chance."""
    covered = 0
    for seed in range(40):
        figures = membership_figures(
            _group("m", 20, 4, between=1, seed=2 * seed),
            _group("o", 20, 4, between=1, seed=2 * seed + 1),
        )
        covered += figures.auc_interval[0] <= 0.5 <= figures.auc_interval[1]
    assert covered >= 34


def test_perfect_separation_of_few_patients_is_not_certain() -> None:
    figures = membership_figures(
        {f"m{n}": [1.0 + n] for n in range(6)}, {f"o{n}": [-1.0 - n] for n in range(6)}
    )
    assert figures.auc == 1.0
    assert figures.auc_interval == clopper_pearson(6, 6)
    assert figures.true_positives == 1.0
    assert figures.true_positives_interval[0] < 0.6


def test_too_few_non_members_for_a_rate_of_one_percent_are_named() -> None:
    members = _group("m", 50, 2, shift=3, seed=1)
    few = membership_figures(members, _group("o", 20, 2, seed=2))
    assert not few.resolves_low_rate
    assert few.false_positives == 0
    assert few.false_positives_at_most == pytest.approx(1 - 0.025 ** (1 / 20))
    assert "20 non-members can't show a rate of 1 %" in few.in_words()
    many = membership_figures(members, _group("o", 200, 2, seed=2))
    assert many.resolves_low_rate
    assert many.false_positives == pytest.approx(0.01)
    assert "can't show" not in many.in_words()


def test_same_scores_same_figures() -> None:
    groups = _group("m", 8, 2, seed=1), _group("o", 8, 2, seed=2)
    assert membership_figures(*groups) == membership_figures(*groups)


def test_small_groups_and_bad_scores_are_refused() -> None:
    good = _group("o", 5, 1)
    with pytest.raises(GroupTooSmall, match="members: 4 patients"):
        membership_figures(_group("m", 4, 1), good)
    with pytest.raises(GroupTooSmall, match="non-members: 4 patients"):
        membership_figures(good, _group("m", 4, 1))
    with pytest.raises(AuditInvalid, match="in both groups: 5"):
        membership_figures(good, good)
    for bad in ([], [float("nan")]):
        with pytest.raises(AuditInvalid, match="without finite scores"):
            membership_figures({**_group("m", 5, 1), "x": bad}, good)


def test_exact_intervals_of_shares() -> None:
    assert clopper_pearson(0, 300)[1] == pytest.approx(0.0122, abs=1e-4)
    assert clopper_pearson(300, 300)[0] == pytest.approx(0.9878, abs=1e-4)
    assert clopper_pearson(5, 10) == pytest.approx((0.1871, 0.8129), abs=1e-4)
    assert clopper_pearson(0, 0) == (0.0, 1.0)
    with pytest.raises(AuditInvalid, match="hits=4"):
        clopper_pearson(4, 3)
