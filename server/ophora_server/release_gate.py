"""The release gate: one row a threshold, and every row has to hold.

    policy + evidence + the adapter's card + approvals of sites -> `decide` -> Decision

`decide` is a pure function of what it is given, so anyone who holds the records takes the same
decision again. It fails closed: a figure that is missing, without a value or an interval, of too
few samples or of another adapter does not hold, whatever its size. Where several sites or attacks
measured the same thing, the worst figure counts.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ophora_model.adapter_card import AdapterCard
from ophora_model.errors import PlanInvalid
from ophora_model.strict import check_choice, check_keys
from ophora_server.errors import RecordInvalid
from ophora_server.evidence import Evidence, Figure
from ophora_server.release_policy import ReleasePolicy, Roster, open_signed

Relation = Literal["at most", "at least"]
_APPROVAL_KEYS = (
    *("site", "adapter_sha256", "evidence_sha256", "policy_sha256"),
    *("decision", "signed_at"),
)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One threshold. `figure` is the evidence's name for what was held against it, "" for none.

    `measured` and `limit` are None where there is no number; `why` is "" where it holds fully.
    """

    name: str
    figure: str = ""
    measured: float | None = None
    low: float | None = None
    high: float | None = None
    relation: Relation
    limit: float | None
    holds: bool
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What the gate found about one adapter, and the hashes and keys that it rests on."""

    adapter_sha256: str
    evidence_sha256: str
    policy_sha256: str
    roster: Mapping[str, str]
    approved: tuple[str, ...]
    rejected: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def holds(self) -> bool:
        """Whether every row holds; no rows hold nothing."""
        return bool(self.rows) and all(row.holds for row in self.rows)

    @property
    def failing(self) -> tuple[Row, ...]:
        """Rows that don't hold."""
        return tuple(row for row in self.rows if not row.holds)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; the content of decision.json."""
        return {
            "adapter_sha256": self.adapter_sha256,
            "evidence_sha256": self.evidence_sha256,
            "policy_sha256": self.policy_sha256,
            "roster": dict(self.roster),
            "approved": list(self.approved),
            "rejected": list(self.rejected),
            "rows": [asdict(row) for row in self.rows],
            "holds": self.holds,
        }


def decide(
    policy: ReleasePolicy,
    evidence: Evidence,
    approvals: Mapping[str, bytes],
    card: AdapterCard,
    *,
    adapter_sha256: str,
    roster: Roster,
) -> Decision:
    """The decision on the adapter file of this SHA-256, whose own card is `card`.

    `approvals` are the signed records by site code, as they lie in files; each is verified here. A
    rejection by any site of the roster blocks, and so does an approval that can't be counted.
    """
    voices = _Voices.of(approvals, roster, _subject(adapter_sha256, evidence, policy))
    rows = [_kinds_row(policy, evidence, adapter_sha256)]
    for rule in _rules(policy, card):
        row = _judge(rule, policy, evidence, adapter_sha256)
        if row is not None:
            rows.append(row)
    rows += _card_rows(policy, card)
    rows += voices.rows(policy.min_approvals)
    return Decision(
        adapter_sha256=adapter_sha256,
        evidence_sha256=evidence.sha256,
        policy_sha256=policy.sha256,
        roster=dict(roster.keys),
        approved=voices.approved,
        rejected=voices.rejected,
        rows=tuple(rows),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """Which figures are held against what: their value and, where `bounded`, the interval's end."""

    name: str
    kind: str
    measure: str
    limit: float | None
    bounded: bool = False
    share: bool = False  # values lie in [0, 1]
    relation: Relation = "at most"
    needed: bool = True

    def ends(self, figure: Figure) -> tuple[float | None, ...]:
        """All that has to hold."""
        return (figure.value, figure.high) if self.bounded else (figure.value,)

    def badness(self, figure: Figure) -> float:
        """Larger is worse; a figure without a number is worst of all."""
        sign = 1 if self.relation == "at most" else -1
        return max(math.inf if end is None else sign * end for end in self.ends(figure))


def _rules(policy: ReleasePolicy, card: AdapterCard) -> list[_Rule]:
    return [*_leakage_rules(policy, card), *_quality_rules(policy)]


def _leakage_rules(policy: ReleasePolicy, card: AdapterCard) -> list[_Rule]:
    shares = (
        ("membership AUC", "membership", "auc", policy.max_membership_auc),
        ("membership TPR at 1 % FPR", "membership", "tpr", policy.max_membership_tpr),
        ("replicated videos", "replication", "rate", policy.max_replication_rate),
        ("re-identified irises", "iris", "rate", policy.max_iris_rate),
    )
    return [
        *(
            _Rule(name=name, kind=kind, measure=measure, limit=limit, bounded=True, share=True)
            for name, kind, measure, limit in shares
        ),
        _Rule(
            name="epsilon shown by canaries",
            kind="canary",
            measure="epsilon_lower",
            limit=card.epsilon,
        ),
        _Rule(
            name="readable overlays",
            kind="overlay",
            measure="readable",
            limit=policy.max_readable_overlays,
        ),
    ]


def _quality_rules(policy: ReleasePolicy) -> list[_Rule]:
    needed = "quality" in policy.required
    phases = _Rule(
        name="phase match",
        kind="quality",
        measure="phase_match",
        limit=policy.min_phase_match,
        relation="at least",
        share=True,
        needed=needed,
    )
    frechet = _Rule(
        name="Frechet distance",
        kind="quality",
        measure="frechet",
        limit=policy.max_frechet,
        needed=needed,
    )
    return [rule for rule in (phases, frechet) if rule.limit is not None]


def _judge(
    rule: _Rule, policy: ReleasePolicy, evidence: Evidence, adapter_sha256: str
) -> Row | None:
    """The row of the worst figure; None where none is needed and none was measured."""
    found = evidence.figures_of(rule.kind, rule.measure)
    if not found:
        why = f"not measured: no figure {rule.kind} {rule.measure}"
        row = Row(name=rule.name, relation=rule.relation, limit=rule.limit, holds=False, why=why)
        return row if rule.needed else None
    faults = {
        figure.name: _unusable(figure, policy, evidence, adapter_sha256) or _fault(rule, figure)
        for figure in found
    }
    worst = max(found, key=lambda figure: (bool(faults[figure.name]), rule.badness(figure)))
    failing = sum(bool(fault) for fault in faults.values())
    count = f"; {failing} of {len(found)} figures fail" if failing and len(found) > 1 else ""
    return Row(
        name=rule.name,
        figure=f"{worst.kind} {worst.name}",
        measured=worst.value,
        low=worst.low,
        high=worst.high,
        relation=rule.relation,
        limit=rule.limit,
        holds=not failing,
        why=f"{faults[worst.name]}{count}",
    )


def _unusable(
    figure: Figure, policy: ReleasePolicy, evidence: Evidence, adapter_sha256: str
) -> str:
    """Why this figure says nothing about this adapter, or ""."""
    least = policy.min_samples.get(figure.kind, 1)
    if evidence.adapter_sha256 != adapter_sha256:
        return "the evidence is of another adapter: audit this one"
    if figure.value is None:
        return "the audit gave no value: measure again"
    if figure.samples < least:
        return f"{figure.samples} samples: at least {least} needed"
    return ""


def _fault(rule: _Rule, figure: Figure) -> str:
    """Why this figure does not hold, or ""."""
    if rule.limit is None:
        return "nothing to hold it against: the release states no epsilon"
    for end in rule.ends(figure):
        if end is None:
            return "no interval: its upper end counts"
        if end < 0 or (rule.share and end > 1):
            return f"{end:g}: no such figure can be; measure again"
        if not (end <= rule.limit if rule.relation == "at most" else end >= rule.limit):
            return f"{end:g}: must be {rule.relation} {rule.limit:g}"
    return ""


def _kinds_row(policy: ReleasePolicy, evidence: Evidence, adapter_sha256: str) -> Row:
    """Every kind that is required has at least one figure of use."""
    wanted = sorted(set(policy.required))
    there = {
        figure.kind
        for figure in evidence.figures
        if not _unusable(figure, policy, evidence, adapter_sha256)
    }
    lacking = [kind for kind in wanted if kind not in there]
    return Row(
        name="kinds of evidence",
        measured=len(wanted) - len(lacking),
        relation="at least",
        limit=len(wanted),
        holds=not lacking,
        why=f"nothing usable of: {', '.join(lacking)}" if lacking else "",
    )


def _card_rows(policy: ReleasePolicy, card: AdapterCard) -> list[Row]:
    stated = "the release states none"
    rows = []
    for name, value, limit in (
        ("epsilon stated", card.epsilon, policy.max_epsilon),
        ("delta stated", card.delta, policy.max_delta),
    ):
        holds = value is not None and value <= limit
        why = stated if value is None else "" if holds else f"must be at most {limit:g}"
        rows.append(
            Row(name=name, measured=value, relation="at most", limit=limit, holds=holds, why=why)
        )
    sites = len(card.contributors)
    few = sites < policy.min_sites
    rows.append(
        Row(
            name="contributing sites",
            measured=sites,
            relation="at least",
            limit=policy.min_sites,
            holds=not few,
            why=f"at least {policy.min_sites} needed" if few else "",
        )
    )
    return rows


def _subject(adapter_sha256: str, evidence: Evidence, policy: ReleasePolicy) -> dict[str, str]:
    """What an approval has to be about."""
    return {
        "adapter_sha256": adapter_sha256,
        "evidence_sha256": evidence.sha256,
        "policy_sha256": policy.sha256,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class _Voices:
    """The sites that approve, those that reject, and why others can't be counted."""

    approved: tuple[str, ...]
    rejected: tuple[str, ...]
    faults: Sequence[str]

    @classmethod
    def of(
        cls, approvals: Mapping[str, bytes], roster: Roster, subject: Mapping[str, str]
    ) -> _Voices:
        said: dict[str, list[str]] = {"approve": [], "reject": []}
        faults = []
        for site, payload in sorted(approvals.items()):
            try:
                said[_verify(site, payload, roster, subject)].append(site)
            except RecordInvalid as error:
                faults.append(str(error))
        return cls(
            approved=tuple(said["approve"]), rejected=tuple(said["reject"]), faults=tuple(faults)
        )

    def rows(self, least: int) -> list[Row]:
        few = "" if len(self.approved) >= least else f"at least {least} sites needed"
        return [
            Row(
                name="approvals",
                measured=len(self.approved),
                relation="at least",
                limit=least,
                holds=not few and not self.faults,
                why="; ".join([few, *self.faults] if few else self.faults),
            ),
            Row(
                name="rejections",
                measured=len(self.rejected),
                relation="at most",
                limit=0,
                holds=not self.rejected,
                why=f"rejected by {', '.join(self.rejected)}" if self.rejected else "",
            ),
        ]


def _verify(site: str, payload: bytes, roster: Roster, subject: Mapping[str, str]) -> str:
    """What this site decided. Raises `RecordInvalid` unless it is its own word on this subject."""
    file = f"approvals/{site[:32]}.json"
    signed = open_signed(file, "approval", payload)
    said = signed.document
    try:
        check_keys("approval", said, _APPROVAL_KEYS)
        check_choice("decision", said["decision"], ("approve", "reject"))
    except PlanInvalid as error:
        raise RecordInvalid(f"{file}: {error}") from error
    if said["site"] != site or not _TIME.fullmatch(str(said["signed_at"])):
        raise RecordInvalid(f"{file}: must name its own site and a time of UTC")
    if roster.keys.get(site) != signed.public_key:
        raise RecordInvalid(f"{file}: not signed with the roster's key of this site")
    for name, wanted in subject.items():
        if said[name] != wanted:
            raise RecordInvalid(f"{file}: is of another {name}; ask the site again")
    return str(said["decision"])
