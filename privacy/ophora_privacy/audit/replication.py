"""Replication: are generated videos nearer to the patients who trained than to those held out?

    distances [generated, training patients], [generated, held-out patients] -> paired comparison

A larger group holds the nearest neighbour more often by chance alone. How often is found by
shuffling who counts as trained, which changes nothing where nothing is replicated; so the interval
of chance is exact for any sizes and any likeness among patients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ophora_privacy.audit.errors import AuditInvalid, GroupTooSmall
from ophora_privacy.audit.intervals import (
    Floats,
    Interval,
    check_confidence,
    clopper_pearson,
    percentile_interval,
)
from ophora_privacy.audit.membership import MIN_PATIENTS

_REPEATS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicationFigures:
    """`nearer` is the share of videos whose nearest patient is one who trained; a tie is shared.

    `chance_interval` is where it lies, in 95 % unless asked, if nothing is replicated. `copies`
    counts videos nearer to a training patient than any held-out patient is: what strangers never
    are. `copies_at_most` is the upper bound of the share that they stand for, and
    `control_copies` the same count for held-out patients, whom nothing can have copied.
    """

    videos: int
    training_patients: int
    held_out_patients: int
    nearer: float
    chance_interval: Interval
    copies: int
    copies_at_most: float
    control_copies: int

    @property
    def flags(self) -> bool:
        """Whether training patients are nearest more often than chance explains."""
        return self.nearer > self.chance_interval[1]


def replication_figures(
    to_training: Floats,
    to_held_out: Floats,
    between: Floats,
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> ReplicationFigures:
    """From distances of videos to patients, and of held-out to training patients. Deterministic.

    `to_training` [videos, training], `to_held_out` [videos, held out], `between` [held out,
    training]; a patient's distance is that of the nearest of the patient's clips. Raises
    GroupTooSmall under MIN_PATIENTS patients in a group, AuditInvalid on shapes or values.
    """
    check_confidence(confidence)
    _check(to_training, to_held_out, between)
    videos, training = to_training.shape
    nearest = _nearest(to_training, to_held_out)
    rng = np.random.default_rng(seed)
    orders = rng.permuted(np.tile(nearest, (_REPEATS, 1)), axis=1)
    shuffled = orders[:, :training].sum(axis=1) / videos
    stranger = between.min()
    copies = int((to_training.min(axis=1) < stranger).sum())
    return ReplicationFigures(
        videos=videos,
        training_patients=training,
        held_out_patients=to_held_out.shape[1],
        nearer=float(nearest[:training].sum() / videos),
        chance_interval=percentile_interval(shuffled, confidence=confidence),
        copies=copies,
        copies_at_most=clopper_pearson(copies, videos, confidence=confidence)[1],
        control_copies=int((to_held_out.min(axis=1) < stranger).sum()),
    )


def _nearest(to_training: Floats, to_held_out: Floats) -> Floats:
    """[patients], those who trained first: how many videos each is nearest to; ties are shared."""
    everyone = np.concatenate([to_training, to_held_out], axis=1)
    is_nearest = everyone == everyone.min(axis=1, keepdims=True)
    return np.asarray((is_nearest / is_nearest.sum(axis=1, keepdims=True)).sum(axis=0))


def _check(to_training: Floats, to_held_out: Floats, between: Floats) -> None:
    if to_training.ndim != 2 or to_held_out.ndim != 2 or len(to_training) != len(to_held_out):
        raise AuditInvalid(
            f"distances {to_training.shape} and {to_held_out.shape}: must be [videos, patients]"
        )
    wanted = (to_held_out.shape[1], to_training.shape[1])
    if between.shape != wanted:
        raise AuditInvalid(f"distances between groups {between.shape}: must be {wanted}")
    for name, number in (("training", wanted[1]), ("held out", wanted[0])):
        if number < MIN_PATIENTS:
            raise GroupTooSmall(
                f"{name}: {number} patients, must be at least {MIN_PATIENTS};"
                " curate more, or hold out a larger share"
            )
    if not len(to_training):
        raise AuditInvalid("videos=0: must be at least 1; generate some")
    if not all(np.isfinite(each).all() for each in (to_training, to_held_out, between)):
        raise AuditInvalid("distances: must be finite; measure them again")
