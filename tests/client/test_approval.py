"""A site's word: about exactly what was read, with a key that is made once."""

import json
import stat
from pathlib import Path

import pytest

from gating import SITE_KEYS, complete, make_evidence, write_plain_release
from ophora_client.approval import Candidate, IdentityKey, sign_approval, write_approval
from ophora_client.errors import SiteInvalid
from ophora_model.errors import AdapterMismatch, BaseMissing, PlanInvalid
from ophora_model.release import read_release
from ophora_server.errors import RecordInvalid
from ophora_server.evidence import Evidence
from ophora_server.release_policy import open_signed, read_policy

KEY = SITE_KEYS["site-a"]


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return complete(write_plain_release(tmp_path / "p2ft"))


def test_the_key_is_made_at_its_first_use_and_kept(tmp_path: Path) -> None:
    made = IdentityKey.open(tmp_path)
    assert stat.S_IMODE((tmp_path / "identity.key").stat().st_mode) == 0o600
    assert (tmp_path / "identity.pub").read_text() == f"{made.public_key}\n"
    assert IdentityKey.open(tmp_path).public_key == made.public_key


def test_a_key_that_is_gone_is_not_replaced(tmp_path: Path) -> None:
    IdentityKey.open(tmp_path)
    (tmp_path / "identity.key").unlink()
    with pytest.raises(SiteInvalid, match=r"identity\.key is gone"):
        IdentityKey.open(tmp_path)
    assert not (tmp_path / "identity.key").exists()


def test_a_damaged_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "identity.key").write_bytes(b"x" * 31)
    with pytest.raises(SiteInvalid, match="31 bytes: must be 32"):
        IdentityKey.open(tmp_path)


def test_the_word_names_the_hashes_that_the_coordinator_finds(release: Path) -> None:
    record = sign_approval(Candidate.read(release), site="site-a", word="approve", key=KEY)
    signed = open_signed("site-a.json", "approval", record)
    said = dict(signed.document)
    assert said.pop("signed_at").endswith("Z")
    trusted = (json.loads((release / "policy.json").read_text())["public_key"],)
    assert said == {
        "site": "site-a",
        "decision": "approve",
        "adapter_sha256": read_release(release).sha256,
        "evidence_sha256": Evidence.read(release / "evidence.json").sha256,
        "policy_sha256": read_policy(release / "policy.json", trusted).sha256,
    }
    assert signed.public_key == KEY.public_key


def test_any_changed_byte_of_a_word_is_refused(release: Path) -> None:
    record = sign_approval(Candidate.read(release), site="site-a", word="reject", key=KEY)
    for place in range(0, len(record), 5):
        other = record[:place] + bytes([record[place] ^ 0x20]) + record[place + 1 :]
        with pytest.raises(RecordInvalid):
            open_signed("site-a.json", "approval", other)


def test_a_word_beyond_the_two_is_not_signed(release: Path) -> None:
    with pytest.raises(PlanInvalid, match="decision='maybe'"):
        sign_approval(Candidate.read(release), site="site-a", word="maybe", key=KEY)  # type: ignore[arg-type]


def test_a_later_word_replaces_the_earlier(release: Path) -> None:
    candidate = Candidate.read(release)
    for word in ("approve", "reject"):
        record = sign_approval(candidate, site="site-a", word=word, key=KEY)  # type: ignore[arg-type]
        path = write_approval(release, "site-a", record)
    assert json.loads(path.read_text())["approval"]["decision"] == "reject"
    assert [each.name for each in path.parent.iterdir()] == ["site-a.json"]


def test_evidence_of_another_adapter_is_refused(release: Path) -> None:
    make_evidence("b" * 64).write(release / "evidence.json")
    with pytest.raises(AdapterMismatch, match="another adapter"):
        Candidate.read(release)


@pytest.mark.parametrize("name", ["evidence.json", "policy.json", "adapter.safetensors"])
def test_a_release_without_its_records_is_refused(release: Path, name: str) -> None:
    (release / name).unlink()
    with pytest.raises(BaseMissing, match=name.replace(".", r"\.")):
        Candidate.read(release)


@pytest.mark.parametrize("name", ["evidence.json", "policy.json"])
@pytest.mark.parametrize("text", [b"{}\n", b"[]", b'{"a": NaN}', b"\xff", b'{"policy": 3}\n'])
def test_a_record_that_is_none_is_refused(release: Path, name: str, text: bytes) -> None:
    (release / name).write_bytes(text)
    with pytest.raises(PlanInvalid, match=name.replace(".", r"\.")):
        Candidate.read(release)


@pytest.mark.parametrize("name", ["evidence.json", "policy.json"])
def test_a_record_in_another_form_is_refused(release: Path, name: str) -> None:
    path = release / name
    path.write_text(json.dumps(json.loads(path.read_text())))
    with pytest.raises(PlanInvalid, match="not as it was written"):
        Candidate.read(release)
