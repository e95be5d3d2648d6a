"""The coordinator's half of an audit: the sites' aggregates as one report and as evidence.

    SiteAudit of each site -> checked to be of one release -> `AuditReport` -> evidence for the gate

What an audit shows is said in words (`Finding`); whether a release may go out is for the release
gate alone. A finding is `alarming` where chance doesn't explain it: canaries refute the stated
epsilon, members can be told from others, videos are nearest to those who trained.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ophora_privacy.audit.intervals import clopper_pearson
from ophora_privacy.audit.membership import MembershipFigures
from ophora_privacy.audit.one_run import CanaryFigures, epsilon_lower_bound
from ophora_privacy.audit.replication import ReplicationFigures
from ophora_privacy.audit.site_audit import OverlayFigures, SiteAudit
from ophora_server.errors import InvalidFederation
from ophora_server.evidence import Evidence, Figure

_ALL = "all"
_ERROR = 0.05
_SHARES_TRIED = 3  # of one_run.GUESSED_SHARES, by each site
_MOST_POOLED = 10  # sites: with more, paying for each site's choice leaves nothing


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One part at one site, or of all sites together (`site` is then "all"), in words."""

    site: str
    part: str
    words: str
    alarming: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """Audits of one release by different sites. Made by `combine_audits`."""

    release_sha256: str
    audits: tuple[SiteAudit, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Every part of every site, and the sites' canaries together."""
        return tuple(
            finding
            for audit in self.audits
            for finding in (*_measured(audit), *_not_measured(audit))
        ) + tuple(
            _canary_finding(_ALL, *pooled)
            for pooled in [_pooled_canaries(self.audits)]
            if pooled is not None
        )

    @property
    def alarming(self) -> bool:
        """Whether any finding is."""
        return any(finding.alarming for finding in self.findings)

    def to_evidence(
        self,
        *,
        command: str,
        parameters: Mapping[str, bool | int | float | str],
        seed: int,
        code_version: str,
        made_on: str,
    ) -> Evidence:
        """The figures that the gate looks for; parts that a site lacks have none.

        Names are "site.attack.auc" and ".tpr" (membership), "site.likeness.rate" (replication),
        "site.rate" (iris), "site.epsilon_lower" (canary), "site.readable" (overlay).
        """

        def figure(kind: str, name: str, value: float, samples: int, **ends: float) -> Figure:
            return Figure(
                kind=kind,
                name=name,
                value=value,
                samples=samples,
                command=command,
                parameters=parameters,
                seed=seed,
                code_version=code_version,
                made_on=made_on,
                **ends,
            )

        found = [
            figure(kind, f"{audit.site}.{name}", value, samples, **_ends(interval))
            for audit in self.audits
            for kind, name, value, samples, interval in _rows(audit)
        ]
        pooled = _pooled_canaries(self.audits)
        if pooled is not None:
            bound, count = pooled[0].epsilon_at_least, pooled[0].canaries
            found.append(figure("canary", f"{_ALL}.epsilon_lower", bound, count))
        return Evidence(adapter_sha256=self.release_sha256, figures=tuple(found))


def combine_audits(given: Sequence[Mapping[str, Any]]) -> AuditReport:
    """One report from what sites sent (`SiteAudit.to_dict`), each read strictly.

    Raises AuditInvalid or GroupTooSmall on a message outside the schema, InvalidFederation without
    audits, with two of one site or of different releases.
    """
    audits = tuple(sorted((SiteAudit.from_dict(each) for each in given), key=lambda a: a.site))
    releases = {audit.release_sha256 for audit in audits}
    if len(releases) != 1:
        raise InvalidFederation(f"audits of {len(releases)} releases: must be of one")
    if len({audit.site for audit in audits}) != len(audits):
        raise InvalidFederation("audits: two of one site; send one of each")
    if _ALL in {audit.site for audit in audits}:
        raise InvalidFederation(f"audits: site code {_ALL!r} is taken; give the site another")
    return AuditReport(release_sha256=releases.pop(), audits=audits)


_Row = tuple[str, str, float, int, tuple[float, float] | None]  # kind, name, value, samples, ends


def _rows(audit: SiteAudit) -> Iterator[_Row]:
    for attack, figures in audit.membership.items():
        patients = min(figures.member_patients, figures.other_patients)
        ends = figures.true_positives_interval
        yield "membership", f"{attack}.auc", figures.auc, patients, figures.auc_interval
        yield "membership", f"{attack}.tpr", figures.true_positives, patients, ends
    for likeness, found in audit.replication.items():
        rate, ends = found.copies / found.videos, clopper_pearson(found.copies, found.videos)
        kind, prefix = ("iris", "") if likeness == "iris" else ("replication", f"{likeness}.")
        yield kind, f"{prefix}rate", rate, found.videos, ends
        yield kind, f"{prefix}nearer", found.nearer, found.videos, None
        yield kind, f"{prefix}nearer_by_chance", found.chance_interval[1], found.videos, None
    if audit.canaries is not None:
        bound = audit.canaries.epsilon_at_least
        yield "canary", "epsilon_lower", bound, audit.canaries.canaries, None
    if audit.overlay is not None:
        shown = audit.overlay.videos_with_code
        yield "overlay", "readable", shown, audit.overlay.videos, None


def _ends(interval: tuple[float, float] | None) -> dict[str, float]:
    return {} if interval is None else {"low": interval[0], "high": interval[1]}


def _measured(audit: SiteAudit) -> Iterator[Finding]:
    for attack, figures in audit.membership.items():
        yield _membership_finding(audit.site, attack, figures)
    for likeness, found in audit.replication.items():
        yield _replication_finding(audit.site, likeness, found)
    if audit.canaries is not None:
        yield _canary_finding(audit.site, audit.canaries, audit.epsilon)
    if audit.overlay is not None:
        yield _overlay_finding(audit.site, audit.overlay)


def _not_measured(audit: SiteAudit) -> Iterator[Finding]:
    for part, reason in audit.missing.items():
        yield Finding(site=audit.site, part=part, words=f"not measured: {reason}")


def _membership_finding(site: str, attack: str, figures: MembershipFigures) -> Finding:
    return Finding(
        site=site,
        part=f"membership, {attack}",
        words=figures.in_words(),
        alarming=figures.auc_interval[0] > 0.5,
    )


def _replication_finding(site: str, likeness: str, figures: ReplicationFigures) -> Finding:
    low, high = figures.chance_interval
    words = (
        f"{figures.nearer:.2f} of {figures.videos} videos are nearest to a patient who trained,"
        f" by chance [{low:.2f}, {high:.2f}]; nearer than strangers ever are:"
        f" {figures.copies} to those who trained, {figures.control_copies} to those held out"
    )
    return Finding(site=site, part=likeness, words=words, alarming=figures.flags)


def _canary_finding(site: str, figures: CanaryFigures, epsilon: float) -> Finding:
    words = (
        f"{figures.right} of {figures.guesses} guesses right about {figures.canaries} canaries:"
        f" epsilon is at least {figures.epsilon_at_least:.2f} (95 %), the ledger says {epsilon:.2f}"
    )
    return Finding(site=site, part="canaries", words=words, alarming=figures.refutes(epsilon))


def _overlay_finding(site: str, figures: OverlayFigures) -> Finding:
    words = f"{figures.videos_with_code} of {figures.videos} videos show a planted code"
    return Finding(site=site, part="overlay", words=words, alarming=figures.videos_with_code > 0)


def _pooled_canaries(audits: Sequence[SiteAudit]) -> tuple[CanaryFigures, float] | None:
    """All sites' canaries as one audit of the largest epsilon that any of them states.

    Each site threw its own coins, so the guesses add up. Each site has chosen the best of its
    shares, so the error is divided among all their choices.
    """
    found = [audit.canaries for audit in audits if audit.canaries is not None]
    if not 2 <= len(found) <= _MOST_POOLED:
        return None
    canaries, guesses = sum(f.canaries for f in found), sum(f.guesses for f in found)
    right, delta = sum(f.right for f in found), max(f.delta for f in found)
    error = _ERROR / _SHARES_TRIED ** len(found)
    pooled = CanaryFigures(
        canaries=canaries,
        included=sum(f.included for f in found),
        guesses=guesses,
        right=right,
        delta=delta,
        confidence=1 - _ERROR,
        epsilon_at_least=epsilon_lower_bound(
            canaries, guesses, right, delta=delta, confidence=1 - error
        ),
    )
    return pooled, max(audit.epsilon for audit in audits if audit.canaries is not None)
