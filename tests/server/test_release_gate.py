"""The gate: every threshold has to hold, and what is missing, strange or unsigned does not."""

import itertools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gating import (
    ROSTER,
    SITE_KEYS,
    SITES,
    complete,
    make_evidence,
    make_figure,
    make_policy,
    say,
    write_plain_release,
)
from ophora_client.approval import Candidate, Word, sign_approval
from ophora_model.adapter_card import AdapterCard
from ophora_model.release import read_release
from ophora_server.evidence import Evidence, Figure
from ophora_server.release_gate import Decision, Row, decide
from ophora_server.release_policy import ReleasePolicy, Roster


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return complete(write_plain_release(tmp_path_factory.mktemp("gate") / "release"))


class Gate:
    """Decides on evidence and a policy that all wanted approvals are about."""

    def __init__(self, release: Path) -> None:
        self._release = release
        read = read_release(release)
        self.adapter, self.card = read.sha256, read.card

    def __call__(
        self,
        *figures: Figure,
        without: str = "",
        policy: ReleasePolicy | None = None,
        card: AdapterCard | None = None,
        evidence: Evidence | None = None,
        approvals: Mapping[str, bytes] | None = None,
        roster: Roster = ROSTER,
    ) -> Decision:
        policy = policy or make_policy()
        evidence = evidence or make_evidence(self.adapter, *figures, without=without)
        if approvals is None:
            approvals = self.signed(evidence, policy, site_a="approve", site_b="approve")
        return decide(
            policy,
            evidence,
            approvals,
            card or self.card,
            adapter_sha256=self.adapter,
            roster=roster,
        )

    def candidate(self, evidence: Evidence, policy: ReleasePolicy) -> Candidate:
        return replace(
            Candidate.read(self._release),
            evidence_sha256=evidence.sha256,
            policy_sha256=policy.sha256,
        )

    def signed(self, evidence: Evidence, policy: ReleasePolicy, **words: Word) -> dict[str, bytes]:
        """What sites say about exactly this evidence and policy; site_a="approve"."""
        candidate = self.candidate(evidence, policy)
        said = {name.replace("_", "-"): word for name, word in words.items()}
        return {
            site: sign_approval(candidate, site=site, word=word, key=SITE_KEYS[site])
            for site, word in said.items()
        }


@pytest.fixture(scope="module")
def gate(release: Path) -> Gate:
    return Gate(release)


def failing(decision: Decision) -> list[str]:
    assert decision.holds == (not decision.failing)
    return [row.name for row in decision.failing]


def row_of(decision: Decision, name: str) -> Row:
    return next(row for row in decision.rows if row.name == name)


def test_figures_within_every_threshold_hold(gate: Gate) -> None:
    decision = gate()
    assert decision.holds
    assert failing(decision) == []
    assert [row.name for row in decision.rows] == [
        "kinds of evidence",
        "membership AUC",
        "membership TPR at 1 % FPR",
        "replicated videos",
        "re-identified irises",
        "epsilon shown by canaries",
        "readable overlays",
        "epsilon stated",
        "delta stated",
        "contributing sites",
        "approvals",
        "rejections",
    ]
    assert decision.approved == ("site-a", "site-b")


@pytest.mark.parametrize(
    ("figure", "row"),
    [
        (make_figure("membership", "auc", 0.61), "membership AUC"),
        (make_figure("membership", "auc", 0.55, low=0.5, high=0.601), "membership AUC"),
        (make_figure("membership", "auc", 0.61, low=0.5, high=0.59), "membership AUC"),
        (make_figure("membership", "tpr", 0.031), "membership TPR at 1 % FPR"),
        (make_figure("canary", "epsilon_lower", 4.01), "epsilon shown by canaries"),
        (make_figure("replication", "rate", 0.0095), "replicated videos"),
        (make_figure("iris", "rate", 0.011), "re-identified irises"),
        (make_figure("overlay", "readable", 1), "readable overlays"),
        (make_figure("quality", "phase_match", 0.49), "phase match"),
        (make_figure("quality", "frechet", 40.1), "Frechet distance"),
    ],
)
def test_one_figure_beyond_its_threshold_holds_the_release(
    gate: Gate, figure: Figure, row: str
) -> None:
    decision = gate(figure)
    assert failing(decision) == [row]
    assert "must be at" in row_of(decision, row).why


@pytest.mark.parametrize(
    "figure",
    [
        make_figure("membership", "auc", 0.55, low=0.5, high=0.6),
        make_figure("canary", "epsilon_lower", 4.0),
        make_figure("quality", "phase_match", 0.5),
        make_figure("quality", "frechet", 40),
    ],
)
def test_a_threshold_itself_still_holds(gate: Gate, figure: Figure) -> None:
    assert gate(figure).holds


NEEDED = [
    ("membership", "auc", "membership AUC"),
    ("membership", "tpr", "membership TPR at 1 % FPR"),
    ("canary", "epsilon_lower", "epsilon shown by canaries"),
    ("replication", "rate", "replicated videos"),
    ("iris", "rate", "re-identified irises"),
    ("overlay", "readable", "readable overlays"),
]


@pytest.mark.parametrize(("kind", "name", "row"), NEEDED)
def test_a_figure_that_is_missing_does_not_hold(gate: Gate, kind: str, name: str, row: str) -> None:
    decision = gate(without=f"{kind} {name}")
    assert row in failing(decision)
    assert "not measured" in row_of(decision, row).why


@pytest.mark.parametrize(("kind", "name", "row"), NEEDED)
def test_a_figure_without_a_value_does_not_hold(gate: Gate, kind: str, name: str, row: str) -> None:
    decision = gate(make_figure(kind, name, None))
    assert row in failing(decision)
    assert "no value" in row_of(decision, row).why


@pytest.mark.parametrize(("kind", "name", "row"), NEEDED)
def test_a_figure_of_too_few_samples_does_not_hold(
    gate: Gate, kind: str, name: str, row: str
) -> None:
    value = 0 if name in ("readable", "epsilon_lower") else 0.001
    decision = gate(make_figure(kind, name, value, samples=99))
    assert row in failing(decision)
    assert "99 samples: at least 100 needed" in row_of(decision, row).why
    assert gate(make_figure(kind, name, value, low=0.0, high=0.002, samples=100)).holds


@pytest.mark.parametrize(("kind", "name", "row"), NEEDED[:2] + NEEDED[3:5])
def test_a_share_without_an_interval_does_not_hold(
    gate: Gate, kind: str, name: str, row: str
) -> None:
    decision = gate(make_figure(kind, name, 0.001, low=None, high=None))
    assert failing(decision) == [row]
    assert "no interval" in row_of(decision, row).why


@pytest.mark.parametrize(("kind", "name", "row"), NEEDED)
def test_a_figure_that_can_not_be_does_not_hold(gate: Gate, kind: str, name: str, row: str) -> None:
    decision = gate(make_figure(kind, name, -0.5, low=-0.6, high=-0.4))
    assert failing(decision) == [row]


def test_evidence_of_another_adapter_holds_nothing(gate: Gate) -> None:
    decision = gate(evidence=make_evidence("b" * 64))
    for _, _, row in NEEDED:
        assert "another adapter" in row_of(decision, row).why
    assert "kinds of evidence" in failing(decision)


def test_the_worst_of_several_sites_and_attacks_counts(gate: Gate) -> None:
    decision = gate(
        make_figure("membership", "site-a.pia.auc", 0.75),
        make_figure("membership", "site-a.loss.auc", 0.58),
        make_figure("membership", "site-b.pia.auc", 0.7),
    )
    row = row_of(decision, "membership AUC")
    assert (row.figure, row.measured) == ("membership site-a.pia.auc", 0.75)
    assert "2 of 4 figures fail" in row.why
    one_without_value = gate(make_figure("membership", "site-a.pia.auc", None))
    assert row_of(one_without_value, "membership AUC").measured is None


def test_quality_counts_where_it_was_measured_and_where_it_must_be(gate: Gate) -> None:
    assert "phase match" not in [row.name for row in gate().rows]
    assert gate(make_figure("quality", "phase_match", 0.8)).holds
    wanted = make_policy(required=(*make_policy().required, "quality"))
    assert failing(gate(policy=wanted)) == ["kinds of evidence", "phase match", "Frechet distance"]


def test_a_kind_beyond_the_five_can_be_required(gate: Gate) -> None:
    usual = make_policy()
    wanted = make_policy(
        required=(*usual.required, "poisoning"), min_samples={**usual.min_samples, "poisoning": 5}
    )
    assert failing(gate(policy=wanted)) == ["kinds of evidence"]
    assert failing(gate(make_figure("poisoning", "x", None), policy=wanted)) == [
        "kinds of evidence"
    ]
    assert gate(make_figure("poisoning", "x", 1.0), policy=wanted).holds


@pytest.mark.parametrize(
    ("changed", "rows"),
    [
        (
            {"epsilon": None, "delta": None},
            ["epsilon shown by canaries", "epsilon stated", "delta stated"],
        ),
        ({"epsilon": 8.01}, ["epsilon stated"]),
        ({"delta": 2e-3}, ["delta stated"]),
        ({"epsilon": 0.5}, ["epsilon shown by canaries"]),
        ({"contributors": ("site-a",)}, ["contributing sites"]),
        ({"contributors": ()}, ["contributing sites"]),
    ],
)
def test_what_the_card_states_is_held_against_the_policy(
    gate: Gate, changed: dict[str, Any], rows: list[str]
) -> None:
    assert failing(gate(card=replace(gate.card, **changed))) == rows


def test_one_site_alone_does_not_release(gate: Gate) -> None:
    evidence, policy = make_evidence(gate.adapter), make_policy()
    alone = gate.signed(evidence, policy, site_a="approve")
    assert failing(gate(approvals=alone)) == ["approvals"]
    assert failing(gate(approvals={})) == ["approvals"]


def test_a_rejection_holds_whatever_the_others_say(gate: Gate) -> None:
    evidence, policy = make_evidence(gate.adapter), make_policy()
    said = gate.signed(evidence, policy, site_a="approve", site_b="approve", site_c="reject")
    decision = gate(approvals=said)
    assert failing(decision) == ["rejections"]
    assert decision.rejected == ("site-c",)


def test_one_site_under_two_names_counts_once(gate: Gate) -> None:
    evidence, policy = make_evidence(gate.adapter), make_policy()
    said = gate.signed(evidence, policy, site_a="approve")
    said["site-b"] = said["site-a"]
    decision = gate(approvals=said)
    assert failing(decision) == ["approvals"]
    assert decision.approved == ("site-a",)


def test_a_coordinator_can_not_speak_for_a_site(gate: Gate) -> None:
    evidence, policy = make_evidence(gate.adapter), make_policy()
    said = gate.signed(evidence, policy, site_a="approve")
    candidate, other = gate.candidate(evidence, policy), SITE_KEYS["site-c"]
    said["site-b"] = sign_approval(candidate, site="site-b", word="approve", key=other)
    assert "roster's key" in row_of(gate(approvals=said), "approvals").why
    known = Roster(keys={"site-a": ROSTER.keys["site-a"]})
    both = gate.signed(evidence, policy, site_a="approve", site_b="approve")
    assert failing(gate(approvals=both, roster=known)) == ["approvals"]


def test_a_site_can_not_speak_in_the_name_of_another(gate: Gate) -> None:
    evidence, policy = make_evidence(gate.adapter), make_policy()
    said = gate.signed(evidence, policy, site_a="approve")
    candidate, own = gate.candidate(evidence, policy), SITE_KEYS["site-b"]
    said["site-b"] = sign_approval(candidate, site="site-a", word="approve", key=own)
    assert "its own site" in row_of(gate(approvals=said), "approvals").why


@pytest.mark.parametrize("subject", ["adapter", "evidence", "policy"])
def test_an_approval_of_something_else_is_not_counted(gate: Gate, subject: str) -> None:
    evidence, policy = make_evidence(gate.adapter), make_policy()
    said = gate.signed(evidence, policy, site_a="approve", site_b="approve")
    if subject == "evidence":
        decision = gate(make_figure("iris", "rate", 0.0001), approvals=said)
    elif subject == "policy":
        decision = gate(policy=make_policy(max_epsilon=7.9), approvals=said)
    else:
        decision = decide(
            policy,
            make_evidence("b" * 64),
            said,
            gate.card,
            adapter_sha256="b" * 64,
            roster=ROSTER,
        )
    assert failing(decision) == ["approvals"]
    assert decision.approved == ()
    assert f"of another {subject}_sha256" in row_of(decision, "approvals").why


def test_a_changed_word_is_found(gate: Gate) -> None:
    evidence, policy = make_evidence(gate.adapter), make_policy()
    said = gate.signed(evidence, policy, site_a="approve", site_b="reject")
    said["site-b"] = said["site-b"].replace(b'"reject"', b'"approve"')
    decision = gate(approvals=said)
    assert "signature does not fit" in row_of(decision, "approvals").why
    assert decision.approved == ("site-a",)


def test_a_third_approval_that_can_not_be_read_holds_the_release(gate: Gate) -> None:
    evidence, policy = make_evidence(gate.adapter), make_policy()
    said = gate.signed(evidence, policy, site_a="approve", site_b="approve")
    assert failing(gate(approvals={**said, "site-c": b"{}"})) == ["approvals"]


def test_the_same_records_lead_to_the_same_decision(gate: Gate) -> None:
    assert gate().to_dict() == gate().to_dict()
    evidence, policy = make_evidence(gate.adapter), make_policy()
    said = gate.signed(evidence, policy, site_a="approve", site_b="approve", site_c="approve")
    orders = [dict(order) for order in itertools.permutations(said.items())]
    decisions = [gate(approvals=order).to_dict() for order in orders]
    assert all(decision["approved"] == list(SITES) for decision in decisions)


def test_a_decision_without_rows_holds_nothing(gate: Gate) -> None:
    assert not replace(gate(), rows=()).holds


def test_what_a_site_writes_is_what_the_gate_reads(tmp_path: Path) -> None:
    folder = complete(write_plain_release(tmp_path / "release"))
    said = {path.stem: path.read_bytes() for path in (say(folder, site) for site in SITES)}
    read = read_release(folder)
    decision = decide(
        make_policy(),
        Evidence.read(folder / "evidence.json"),
        said,
        read.card,
        adapter_sha256=read.sha256,
        roster=ROSTER,
    )
    assert decision.holds
    assert decision.approved == SITES
