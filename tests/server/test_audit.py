"""The coordinator's half: sites' aggregates to findings and evidence."""

from typing import Any

import numpy as np
import pytest

from ophora_privacy.audit.errors import AuditInvalid
from ophora_privacy.audit.membership import membership_figures
from ophora_privacy.audit.one_run import canary_figures
from ophora_privacy.audit.replication import replication_figures
from ophora_privacy.audit.site_audit import OverlayFigures, SiteAudit
from ophora_server.audit import AuditReport, combine_audits
from ophora_server.errors import InvalidFederation


def sent(
    site: str = "site-a", *, leak: float = 0.0, epsilon: float = 8.0, seed: int = 0, **changed: Any
) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    members = {f"m{n}": list(leak + rng.normal(size=2)) for n in range(30)}
    others = {f"o{n}": list(rng.normal(size=2)) for n in range(10)}
    coins = rng.random(200) < 0.5
    videos = replication_figures(rng.random((12, 30)), rng.random((12, 10)), rng.random((10, 30)))
    values: dict[str, Any] = {
        "site": site,
        "release_sha256": "0" * 64,
        "epsilon": epsilon,
        "delta": 1e-5,
        "membership": {"loss": membership_figures(members, others)},
        "replication": {"content": videos, "iris": videos},
        "canaries": canary_figures(leak * coins + rng.normal(size=200), coins, delta=1e-5),
        "overlay": OverlayFigures(videos=12, codes=100, videos_with_code=int(leak > 0)),
        "missing": {"motion": "not-asked"},
    }
    return SiteAudit(**{**values, **changed}).to_dict()


def alarms(report: AuditReport) -> set[tuple[str, str]]:
    return {(each.site, each.part) for each in report.findings if each.alarming}


def test_sites_that_leak_nothing_raise_no_alarm() -> None:
    report = combine_audits([sent("site-b", seed=5), sent("site-a", seed=2)])
    assert not report.alarming
    assert [audit.site for audit in report.audits] == ["site-a", "site-b"]
    words = {(each.site, each.part): each.words for each in report.findings}
    assert words["site-a", "motion"] == "not measured: not-asked"
    assert "10 non-members can't show" in words["site-a", "membership, loss"]
    assert ("all", "canaries") in words


def test_a_leak_is_named_by_site_and_part() -> None:
    report = combine_audits([sent("site-a", seed=2), sent("site-b", leak=5, epsilon=0.5, seed=5)])
    found = alarms(report)
    assert {("site-b", "membership, loss"), ("site-b", "canaries"), ("site-b", "overlay")} <= found
    assert not {part for site, part in found if site == "site-a"}


def test_an_epsilon_that_canaries_don_t_refute_is_no_alarm() -> None:
    report = combine_audits([sent(leak=5, epsilon=50.0)])
    assert ("site-a", "canaries") not in alarms(report)


def test_the_evidence_has_what_the_gate_looks_for() -> None:
    report = combine_audits([sent("site-a", seed=2), sent("site-b", leak=5, seed=5)])
    evidence = report.to_evidence(
        command="ophora federation audit RELEASE",
        parameters={"videos": 12},
        seed=0,
        code_version="0.1.0",
        made_on="2026-01-31",
    )
    assert evidence.adapter_sha256 == "0" * 64
    assert evidence.kinds == {"membership", "canary", "replication", "iris", "overlay"}
    for kind, measure in (
        *(("membership", "auc"), ("membership", "tpr"), ("replication", "rate")),
        *(("iris", "rate"), ("canary", "epsilon_lower"), ("overlay", "readable")),
    ):
        found = evidence.figures_of(kind, measure)
        assert {figure.name.partition(".")[0] for figure in found} >= {"site-a", "site-b"}
        assert all(figure.samples > 0 for figure in found)
    bounded = [*evidence.figures_of("membership", "auc"), *evidence.figures_of("iris", "rate")]
    assert all(figure.low is not None and figure.high is not None for figure in bounded)
    pooled = [f for f in evidence.figures_of("canary", "epsilon_lower") if f.name.startswith("all")]
    assert [figure.samples for figure in pooled] == [400]


def test_other_messages_are_refused() -> None:
    with pytest.raises(InvalidFederation, match="of 0 releases"):
        combine_audits([])
    with pytest.raises(InvalidFederation, match="of 2 releases"):
        combine_audits([sent("site-a"), sent("site-b", release_sha256="1" * 64)])
    with pytest.raises(InvalidFederation, match="two of one site"):
        combine_audits([sent("site-a"), sent("site-a")])
    with pytest.raises(InvalidFederation, match="'all' is taken"):
        combine_audits([sent("all")])
    with pytest.raises(AuditInvalid):
        combine_audits([{**sent(), "scores": [0.1]}])
