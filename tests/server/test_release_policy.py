"""Policies: strict thresholds, signed; keys and rosters that can't be mistaken."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from gating import COORDINATOR, ROSTER, SITE_KEYS, STRANGER, make_policy
from ophora_model.errors import PlanInvalid
from ophora_privacy.signed_record import canonical_bytes
from ophora_server.errors import InvalidFederation, RecordInvalid
from ophora_server.release_policy import (
    AUDITS,
    CoordinatorKey,
    ReleasePolicy,
    Roster,
    open_signed,
    read_policy,
    read_public_key,
    sign_policy,
)

TRUSTED = (COORDINATOR.public_key,)
TOML = """
max_membership_auc = 0.6
max_membership_tpr = 0.03
max_replication_rate = 0.01
max_iris_rate = 0.01
max_readable_overlays = 0
max_epsilon = 8
max_delta = 1e-3
min_sites = 2
min_approvals = 2
required = ["membership", "canary", "replication", "iris", "overlay"]

[min_samples]
membership = 100
canary = 250
replication = 100
iris = 100
overlay = 50
"""


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    path = tmp_path / "policy.json"
    path.write_bytes(sign_policy(make_policy(), COORDINATOR))
    return path


def test_a_signed_policy_is_read_back(signed: Path) -> None:
    assert read_policy(signed, TRUSTED) == make_policy()
    assert read_policy(signed, TRUSTED).sha256 == make_policy().sha256


def test_a_policy_in_toml_is_signed_without_a_change_of_its_hash(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text(TOML)
    policy = ReleasePolicy.read(tmp_path / "policy.toml")
    assert (policy.max_epsilon, policy.min_phase_match, policy.max_frechet) == (8, None, None)
    (tmp_path / "policy.json").write_bytes(sign_policy(policy, COORDINATOR))
    assert read_policy(tmp_path / "policy.json", TRUSTED).sha256 == policy.sha256


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"min_approvals": 1}, "min_approvals=1"),
        ({"min_approvals": 0}, "min_approvals=0"),
        ({"min_approvals": 2.0}, r"min_approvals=2\.0"),
        ({"min_sites": 0}, "min_sites=0"),
        ({"max_membership_auc": float("nan")}, "max_membership_auc=nan"),
        ({"max_membership_tpr": 1.5}, "max_membership_tpr"),
        ({"max_replication_rate": -0.1}, "max_replication_rate"),
        ({"max_iris_rate": "0.1"}, "max_iris_rate"),
        ({"max_readable_overlays": 0.0}, "max_readable_overlays"),
        ({"max_epsilon": float("inf")}, "max_epsilon=inf"),
        ({"max_epsilon": 0}, "max_epsilon=0"),
        ({"max_delta": 0.5}, "max_delta"),
        ({"min_phase_match": 2}, "min_phase_match"),
        ({"max_frechet": float("nan")}, "max_frechet=nan"),
        ({"required": (*AUDITS, "Quality!")}, "required='Quality!'"),
        ({"min_samples": dict.fromkeys(AUDITS[1:], 10)}, r"min_samples\.membership: missing"),
        ({"min_samples": dict.fromkeys(AUDITS, 0)}, r"min_samples\.membership=0"),
        ({"min_samples": 5}, "min_samples=5"),
    ],
)
def test_a_threshold_out_of_its_range_is_refused(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(PlanInvalid, match=named):
        make_policy(**changed)


@pytest.mark.parametrize("kind", AUDITS)
def test_no_audit_can_be_left_out(kind: str) -> None:
    with pytest.raises(PlanInvalid, match=f"lacks {kind}"):
        make_policy(required=tuple(each for each in AUDITS if each != kind))


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("max_epsilon = 8\n", "", r"policy\.max_epsilon: missing"),
        ("max_epsilon = 8\n", "max_epsilon = 8\nmax_epsilom = 9\n", r"policy\.max_epsilom=9"),
        ("max_epsilon = 8\n", "max_epsilon = nan\n", "max_epsilon=nan"),
        ("max_epsilon = 8\n", "max_epsilon = \n", r"policy\.toml"),
        ('["membership", "canary", "replication", "iris", "overlay"]', "3", "required=3"),
    ],
)
def test_toml_is_read_strictly(tmp_path: Path, old: str, new: str, named: str) -> None:
    (tmp_path / "policy.toml").write_text(TOML.replace(old, new))
    with pytest.raises(RecordInvalid, match=named):
        ReleasePolicy.read(tmp_path / "policy.toml")


def test_a_policy_of_another_key_is_refused(signed: Path) -> None:
    with pytest.raises(RecordInvalid, match="whom you don't trust"):
        read_policy(signed, (STRANGER.public_key,))
    with pytest.raises(RecordInvalid, match="whom you don't trust"):
        read_policy(signed, ())


def test_any_changed_byte_of_a_signed_policy_is_refused(signed: Path) -> None:
    whole = signed.read_bytes()
    for place in range(0, len(whole), 7):
        signed.write_bytes(whole[:place] + bytes([whole[place] ^ 0x20]) + whole[place + 1 :])
        with pytest.raises(RecordInvalid):
            read_policy(signed, TRUSTED)


def test_a_signature_serves_for_one_kind_of_document_alone(signed: Path) -> None:
    given = json.loads(signed.read_bytes())
    given["files"] = given.pop("policy")
    with pytest.raises(RecordInvalid, match="signature does not fit"):
        open_signed("x.json", "files", canonical_bytes(given))


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "coordinator.key"
    made = CoordinatorKey.make(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert CoordinatorKey.make(path).public_key == made.public_key
    assert read_public_key(path.with_suffix(".pub")) == made.public_key
    path.unlink()
    with pytest.raises(InvalidFederation, match="is gone"):
        CoordinatorKey.make(path)
    assert not path.exists()


def test_a_damaged_or_missing_key_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "coordinator.key"
    with pytest.raises(InvalidFederation, match="can't be read"):
        CoordinatorKey.open(path)
    path.write_bytes(b"short")
    with pytest.raises(InvalidFederation, match="5 bytes"):
        CoordinatorKey.make(path)
    assert path.read_bytes() == b"short"


def test_a_public_key_is_hexadecimal_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "key.pub"
    for text in ("", "ab", "A" * 64, "ssh-ed25519 AAAA", "a" * 65):
        path.write_text(text)
        with pytest.raises(RecordInvalid, match="64 lower-case"):
            read_public_key(path)


def test_a_roster_is_read_from_toml(tmp_path: Path) -> None:
    path = tmp_path / "roster.toml"
    path.write_text(
        "[sites]\n" + "".join(f'{site} = "{key}"\n' for site, key in ROSTER.keys.items())
    )
    assert Roster.read(path) == ROSTER


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (f'[sites]\na = "{"1" * 64}"\nb = "{"1" * 64}"\n', "one key"),
        (f'[sites]\n"St. Elsewhere" = "{"1" * 64}"\n', "site code"),
        ('[sites]\na = "12"\n', r"roster\.a"),
        ("sites = 3\n", "must be a table"),
        ("[hospitals]\n", r"roster\.hospitals"),
        ("[sites\n", r"roster\.toml"),
    ],
)
def test_a_roster_that_is_ambiguous_is_refused(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "roster.toml"
    path.write_text(text)
    with pytest.raises(RecordInvalid, match=named):
        Roster.read(path)


def test_sites_sign_with_keys_of_their_own() -> None:
    assert COORDINATOR.public_key not in {key.public_key for key in SITE_KEYS.values()}
