"""What leaves a site after an audit: a closed schema of rounded figures."""

import json
import math
from typing import Any

import numpy as np
import pytest

from ophora_privacy.audit.errors import AuditInvalid, GroupTooSmall
from ophora_privacy.audit.membership import membership_figures
from ophora_privacy.audit.one_run import canary_figures
from ophora_privacy.audit.replication import replication_figures
from ophora_privacy.audit.site_audit import OverlayFigures, SiteAudit


@pytest.fixture
def audit() -> SiteAudit:
    rng = np.random.default_rng(0)
    members = {f"patient-{n}": list(rng.normal(size=3)) for n in range(13)}
    others = {f"stranger-{n}": list(rng.normal(size=3)) for n in range(7)}
    coins = rng.random(100) < 0.5
    return SiteAudit(
        site="site-a",
        release_sha256="0" * 64,
        epsilon=7.98765,
        delta=1e-5,
        membership={"loss": membership_figures(members, others)},
        replication={
            "content": replication_figures(
                rng.random((9, 13)), rng.random((9, 7)), rng.random((7, 13))
            )
        },
        canaries=canary_figures(coins + rng.normal(size=100), coins, delta=1e-5),
        overlay=OverlayFigures(videos=9, codes=4, videos_with_code=0),
        missing={"pia": "not-asked"},
    )


def _sent(audit: SiteAudit) -> dict[str, Any]:
    sent: dict[str, Any] = json.loads(json.dumps(audit.to_dict(), allow_nan=False))
    return sent


def _leaves(value: object) -> list[object]:
    if isinstance(value, dict):
        return [leaf for each in value.values() for leaf in _leaves(each)]
    if isinstance(value, list):
        return [leaf for each in value for leaf in _leaves(each)]
    return [value]


def test_it_comes_back_as_it_was_sent(audit: SiteAudit) -> None:
    sent = _sent(audit)
    assert SiteAudit.from_dict(sent).to_dict() == sent


def test_no_patient_and_no_score_is_in_it(audit: SiteAudit) -> None:
    text = json.dumps(_sent(audit))
    assert "patient-" not in text
    assert "stranger-" not in text
    figures = [leaf for leaf in _leaves(_sent(audit)) if isinstance(leaf, float)]
    assert all(leaf == round(leaf, 2) or leaf == 1e-5 for leaf in figures)


def test_counts_of_patients_are_rounded_down_and_bounds_too(audit: SiteAudit) -> None:
    sent = _sent(audit)
    found = sent["membership"]["loss"]
    counts = ("member_patients", "other_patients", "member_clips", "other_clips")
    assert [found[name] for name in counts] == [10, 5, 35, 20]
    assert audit.canaries is not None
    assert sent["canaries"]["epsilon_at_least"] <= audit.canaries.epsilon_at_least
    assert sent["canaries"]["canaries"] == 100  # invented patients


def test_without_noise_epsilon_is_said_to_be_infinite(audit: SiteAudit) -> None:
    given = {**_sent(audit), "epsilon": "inf"}
    assert SiteAudit.from_dict(given).epsilon == math.inf


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("scores",), [0.1]),
        (("schema",), 2),
        (("site",), "St. Mary's"),
        (("release_sha256",), "x"),
        (("epsilon",), -1.0),
        (("epsilon",), None),
        (("delta",), 0),
        (("membership", "other"), {}),
        (("membership", "loss", "scores"), [0.1]),
        (("membership", "loss", "auc"), 0.123456),
        (("membership", "loss", "auc"), "0.5"),
        (("membership", "loss", "auc"), float("nan")),
        (("membership", "loss", "auc"), 1.5),
        (("membership", "loss", "auc"), True),
        (("membership", "loss", "roc"), [0.5]),
        (("membership", "loss", "member_patients"), 13),
        (("membership", "loss", "member_clips"), 10.0),
        (("membership",), []),
        (("canaries", "right"), -1),
        (("overlay",), {"videos": 1}),
        (("missing", "pia"), "the patient's name"),
        (("missing", "a name"), "not-asked"),
    ],
)
def test_anything_else_is_refused(audit: SiteAudit, path: tuple[str, ...], value: object) -> None:
    sent = _sent(audit)
    place = sent
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(AuditInvalid) as refused:
        SiteAudit.from_dict(sent)
    assert "name" not in str(refused.value).replace("names", "")


def test_a_missing_part_is_refused(audit: SiteAudit) -> None:
    sent = _sent(audit)
    del sent["canaries"]
    with pytest.raises(AuditInvalid, match="1 missing"):
        SiteAudit.from_dict(sent)


def test_a_small_group_is_refused(audit: SiteAudit) -> None:
    sent = _sent(audit)
    sent["replication"]["content"]["held_out_patients"] = 0
    with pytest.raises(GroupTooSmall):
        SiteAudit.from_dict(sent)
