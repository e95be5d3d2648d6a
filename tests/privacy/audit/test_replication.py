"""Paired comparison of the nearest training with the nearest held-out patient."""

import numpy as np
import pytest

from ophora_privacy.audit.errors import AuditInvalid, GroupTooSmall
from ophora_privacy.audit.replication import (
    ReplicationFigures,
    replication_figures,
)


def _distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.linalg.norm(one[:, None] - other[None], axis=2)


def _figures(videos: np.ndarray, training: np.ndarray, held_out: np.ndarray) -> ReplicationFigures:
    return replication_figures(
        _distances(videos, training), _distances(videos, held_out), _distances(held_out, training)
    )


def test_strangers_are_not_flagged_however_unequal_the_groups() -> None:
    flagged = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        videos, training, held_out = (rng.normal(size=(n, 6)) for n in (16, 40, 8))
        found = _figures(videos, training, held_out)
        flagged += found.flags
        assert found.chance_interval[0] < 40 / 48 < found.chance_interval[1] + 1e-9
    assert flagged <= 4  # 2.5 % are expected


def test_copies_of_training_patients_are_flagged() -> None:
    rng = np.random.default_rng(0)
    training, held_out = rng.normal(size=(40, 6)), rng.normal(size=(20, 6))
    videos = training[rng.permutation(40)[:24]] + 0.05 * rng.normal(size=(24, 6))
    found = _figures(videos, training, held_out)
    assert found.flags
    assert found.nearer == 1.0
    assert found.copies == 24
    assert found.copies_at_most == 1.0
    assert found.control_copies == 0


def test_a_tie_is_shared() -> None:
    training = np.array([[1.0, 2, 3, 4, 5], [1, 2, 3, 4, 5]])
    held_out = np.array([[1.0, 3, 3, 3, 3], [0, 3, 3, 3, 3]])
    assert replication_figures(training, held_out, np.ones((5, 5))).nearer == 0.25


def test_small_groups_and_wrong_shapes_are_refused() -> None:
    ones = np.ones
    with pytest.raises(GroupTooSmall, match="held out: 4"):
        replication_figures(ones((2, 5)), ones((2, 4)), ones((4, 5)))
    with pytest.raises(AuditInvalid, match="between groups"):
        replication_figures(ones((2, 5)), ones((2, 5)), ones((4, 5)))
    with pytest.raises(AuditInvalid, match="must be \\[videos"):
        replication_figures(ones((3, 5)), ones((2, 5)), ones((5, 5)))
    with pytest.raises(AuditInvalid, match="finite"):
        replication_figures(np.full((2, 5), np.nan), ones((2, 5)), ones((5, 5)))
    with pytest.raises(AuditInvalid, match="videos=0"):
        replication_figures(ones((0, 5)), ones((0, 5)), ones((5, 5)))
