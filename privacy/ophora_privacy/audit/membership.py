"""Membership inference: how well scores tell patients who trained from patients who did not.

    scores of clips by patient -> AUC over clips, AUC over patients, true positives at 1 % false

A clip's score is higher the more the clip looks like a member. All clips of a patient are one
cluster: intervals resample patients, never clips. The rate of true positives at a low rate of false
ones says what an average hides (Carlini et al. 2022, arXiv 2112.03570).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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

Scores = Mapping[str, Sequence[float]]  # patient -> one score a clip
MIN_PATIENTS = 5  # in each group: below, an aggregate says too much of one patient
LOW_RATE = 0.01
ROC_RATES = tuple(step / 10 for step in range(11))
_REPEATS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class MembershipFigures:
    """One attack's outcome over two groups of patients; intervals are of 95 % unless asked.

    `auc` is over clips with an interval by patient; `patient_auc` over patients' mean scores, which
    also is what `true_positives` and `roc` count. `false_positives` is the largest observed rate
    that does not pass 1 %, with the upper bound of the rate that it may stand for.
    """

    member_patients: int
    other_patients: int
    member_clips: int
    other_clips: int
    auc: float
    auc_interval: Interval
    patient_auc: float
    true_positives: float
    true_positives_interval: Interval
    false_positives: float
    false_positives_at_most: float
    roc: tuple[float, ...]  # true positives at ROC_RATES

    @property
    def resolves_low_rate(self) -> bool:
        """Whether there are enough non-members for a rate of 1 % to be observed at all."""
        return self.other_patients >= 1 / LOW_RATE

    def in_words(self) -> str:
        """What was found, with its limits, in a sentence or two."""
        low, high = self.auc_interval
        found = f"AUC {self.auc:.2f} [{low:.2f}, {high:.2f}]"
        rate = f"{self.true_positives:.2f} of members found"
        if self.resolves_low_rate:
            return f"{found}; {rate} at a false-positive rate of {self.false_positives:.3f}"
        return (
            f"{found}; {rate} above every non-member. {self.other_patients} non-members can't show"
            f" a rate of 1 %: the true one may be up to {self.false_positives_at_most:.2f}"
        )


def membership_figures(
    members: Scores, others: Scores, *, confidence: float = 0.95, seed: int = 0
) -> MembershipFigures:
    """The figures of one attack. Deterministic.

    Raises GroupTooSmall under MIN_PATIENTS patients in either group and AuditInvalid on a patient
    in both, without scores or with one that is not finite.
    """
    check_confidence(confidence)
    _check_groups(members, others)
    inside, outside = _clips(members), _clips(others)
    inside_means, outside_means = _means(inside), _means(outside)
    strict = math.floor(LOW_RATE * len(others))
    threshold = np.sort(outside_means)[::-1][strict]
    false = int((outside_means > threshold).sum())
    true = int((inside_means > threshold).sum())
    return MembershipFigures(
        member_patients=len(members),
        other_patients=len(others),
        member_clips=sum(map(len, inside)),
        other_clips=sum(map(len, outside)),
        auc=auc(np.concatenate(inside), np.concatenate(outside)),
        auc_interval=_auc_interval(inside, outside, confidence, seed),
        patient_auc=auc(inside_means, outside_means),
        true_positives=true / len(members),
        true_positives_interval=clopper_pearson(true, len(members), confidence=confidence),
        false_positives=false / len(others),
        false_positives_at_most=clopper_pearson(false, len(others), confidence=confidence)[1],
        roc=tuple(_true_rate(inside_means, outside_means, rate) for rate in ROC_RATES),
    )


def auc(members: Floats, others: Floats) -> float:
    """The chance that a member scores higher than a non-member; a tie counts half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, members, side="left")
    up_to = np.searchsorted(ordered, members, side="right")
    return float((below + up_to).sum() / (2 * len(members) * len(others)))


def _auc_interval(
    inside: list[Floats], outside: list[Floats], confidence: float, seed: int
) -> Interval:
    """By patient; never narrower than what so few patients allow where they don't overlap.

    Resampling groups that don't overlap gives the same 1 (or 0) every time. The variance of an AUC
    is at most auc (1 - auc) / fewer patients, that of a share, whose exact interval is used there.
    """

    wins = np.array(
        [[auc(one, other) * one.size * other.size for other in outside] for one in inside]
    )
    sizes = np.array([each.size for each in inside]), np.array([each.size for each in outside])
    rng = np.random.default_rng(seed)
    drawn = [_times_drawn(rng, len(group)) for group in (inside, outside)]
    won = np.einsum("rm,mo,ro->r", drawn[0], wins, drawn[1], optimize=True)
    values = won / ((drawn[0] @ sizes[0]) * (drawn[1] @ sizes[1]))
    low, high = percentile_interval(values, confidence=confidence)
    fewer = min(len(inside), len(outside))
    if low >= 1 - 1e-9:
        return clopper_pearson(fewer, fewer, confidence=confidence)
    if high <= 1e-9:
        return clopper_pearson(0, fewer, confidence=confidence)
    return low, high


def _times_drawn(rng: np.random.Generator, patients: int) -> Floats:
    """[repeats, patients]: how often each patient is in a resample with replacement."""
    return rng.multinomial(patients, np.full(patients, 1 / patients), _REPEATS).astype(np.float64)


def _true_rate(members: Floats, others: Floats, rate: float) -> float:
    allowed = math.floor(rate * len(others) + 1e-9)
    if allowed >= len(others):
        return 1.0
    threshold = np.sort(others)[::-1][allowed]
    return float((members > threshold).mean())


def _clips(scores: Scores) -> list[Floats]:
    return [np.asarray(scores[patient], np.float64) for patient in sorted(scores)]


def _means(clips: list[Floats]) -> Floats:
    return np.array([values.mean() for values in clips])


def _check_groups(members: Scores, others: Scores) -> None:
    both = len(set(members) & set(others))
    if both:
        raise AuditInvalid(f"patients in both groups: {both}, must be 0; one who trained is none")
    for name, group in (("members", members), ("non-members", others)):
        if len(group) < MIN_PATIENTS:
            raise GroupTooSmall(
                f"{name}: {len(group)} patients, must be at least {MIN_PATIENTS};"
                " curate more, or hold out a larger share"
            )
        for values in group.values():
            if not len(values) or not np.isfinite(np.asarray(values, np.float64)).all():
                raise AuditInvalid(f"{name}: a patient without finite scores; score every clip")
