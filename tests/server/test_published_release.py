"""Published releases: whole or absent, and any changed byte is found."""

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gating import (
    COORDINATOR,
    ROSTER,
    SITE_KEYS,
    STRANGER,
    complete,
    make_evidence,
    make_figure,
    make_policy,
    say,
    write_candidate,
    write_plain_release,
)
from ophora_model.errors import AdapterMismatch, BaseMissing, PlanInvalid
from ophora_model.release import read_release
from ophora_privacy.signed_record import canonical_bytes
from ophora_server.errors import RecordInvalid, ReleaseHeld, ReleaseUntrusted
from ophora_server.evidence import Evidence
from ophora_server.published_release import judge, publish, verify_release_folder
from ophora_server.release_policy import CoordinatorKey, Roster, sign_policy

TRUSTED = (COORDINATOR.public_key,)
FILES = (
    *("adapter.safetensors", "release.json", "evidence.json", "policy.json", "decision.json"),
    *("MODEL_CARD.md", "SIGNATURE.json", "approvals/site-a.json", "approvals/site-b.json"),
)


@pytest.fixture(scope="module")
def candidate_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_candidate(tmp_path_factory.mktemp("candidate") / "p2ft")


@pytest.fixture(scope="module")
def published_once(candidate_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("published") / "ophora-1"
    publish(candidate_once, out, key=COORDINATOR, roster=ROSTER)
    return out


@pytest.fixture
def candidate(candidate_once: Path, tmp_path: Path) -> Path:
    return shutil.copytree(candidate_once, tmp_path / "p2ft")


@pytest.fixture
def published(published_once: Path, tmp_path: Path) -> Path:
    return shutil.copytree(published_once, tmp_path / "ophora-1")


def _files(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def _sign_again(folder: Path, key: CoordinatorKey = COORDINATOR) -> None:
    """What a coordinator could do who wants a folder to pass that should not."""
    import hashlib

    hashes = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in _files(folder)
        if name != "SIGNATURE.json"
    }
    (folder / "SIGNATURE.json").write_bytes(key.sign("files", hashes))


def test_a_published_release_holds_all_that_shows_it(published: Path, candidate: Path) -> None:
    assert _files(published) == sorted(FILES)
    judged = verify_release_folder(published, TRUSTED, roster=ROSTER)
    assert judged.decision.holds
    assert judged.decision.approved == ("site-a", "site-b")
    recorded = json.loads((published / "decision.json").read_text())
    assert recorded == json.loads(canonical_bytes(judged.decision.to_dict()))
    assert recorded["roster"] == dict(ROSTER.keys)


def test_a_published_release_reads_as_any_release(published: Path, candidate: Path) -> None:
    read, before = read_release(published), read_release(candidate)
    assert read.sha256 == before.sha256
    assert read.card == before.card
    assert read.tensors.keys() == before.tensors.keys()


@pytest.mark.parametrize("name", FILES)
def test_any_changed_byte_is_found(published: Path, name: str) -> None:
    path = published / name
    whole = path.read_bytes()
    for place in range(0, len(whole), max(1, len(whole) // 12)):
        for bit in (0x01, 0x20):  # 0x20 changes the case of a letter
            path.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
            with pytest.raises(ReleaseUntrusted):
                verify_release_folder(published, TRUSTED)
    path.write_bytes(whole)
    verify_release_folder(published, TRUSTED)


@pytest.mark.parametrize("name", FILES)
def test_more_and_fewer_bytes_are_found(published: Path, name: str) -> None:
    path = published / name
    whole = path.read_bytes()
    for other in (whole + b"\n", whole[:-1], b"", b"\n" + whole):
        path.write_bytes(other)
        with pytest.raises(ReleaseUntrusted):
            verify_release_folder(published, TRUSTED)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_found(published: Path, name: str) -> None:
    (published / name).unlink()
    with pytest.raises(ReleaseUntrusted, match=name.rpartition("/")[2].replace(".", r"\.")):
        verify_release_folder(published, TRUSTED)


@pytest.mark.parametrize("name", ["extra.txt", ".hidden", "approvals/site-c.json", "more/a.bin"])
def test_an_added_file_is_found(published: Path, name: str) -> None:
    (published / name).parent.mkdir(exist_ok=True)
    (published / name).write_text("{}")
    with pytest.raises(ReleaseUntrusted):
        verify_release_folder(published, TRUSTED)


def test_a_link_in_place_of_a_file_is_refused(published: Path, tmp_path: Path) -> None:
    (published / "MODEL_CARD.md").rename(tmp_path / "card")
    (published / "MODEL_CARD.md").symlink_to(tmp_path / "card")
    with pytest.raises(ReleaseUntrusted, match="plain file"):
        verify_release_folder(published, TRUSTED)


def test_only_a_trusted_key_counts(published: Path) -> None:
    for trusted in ((), (STRANGER.public_key,)):
        with pytest.raises(ReleaseUntrusted, match="nobody you trust"):
            verify_release_folder(published, trusted)
    _sign_again(published, STRANGER)
    with pytest.raises(ReleaseUntrusted, match="nobody you trust"):
        verify_release_folder(published, TRUSTED)
    with pytest.raises(ReleaseUntrusted, match="whom you don't trust"):  # the policy is not theirs
        verify_release_folder(published, (STRANGER.public_key,))
    verify_release_folder(published, (STRANGER.public_key, *TRUSTED))


def _better_evidence(folder: Path) -> None:
    sha256 = read_release(folder).sha256
    make_evidence(sha256, make_figure("iris", "rate", 0.0)).write(folder / "evidence.json")


def _laxer_policy(folder: Path) -> None:
    (folder / "policy.json").write_bytes(sign_policy(make_policy(max_epsilon=50), COORDINATOR))


def _fewer_approvals(folder: Path) -> None:
    (folder / "approvals" / "site-b.json").unlink()


def _other_rows(folder: Path) -> None:
    decision = json.loads((folder / "decision.json").read_text())
    decision["rows"][1]["measured"] = 0.5
    (folder / "decision.json").write_bytes(canonical_bytes(decision))


def _other_adapter(folder: Path) -> None:
    write_plain_release(folder, seed=2)


@pytest.mark.parametrize(
    "change", [_better_evidence, _laxer_policy, _fewer_approvals, _other_rows, _other_adapter]
)
def test_a_coordinator_that_signs_again_does_not_get_past_the_records(
    published: Path, change: Callable[[Path], None]
) -> None:
    change(published)
    _sign_again(published)
    with pytest.raises(ReleaseUntrusted, match="another decision"):
        verify_release_folder(published, TRUSTED)


def test_a_decision_that_does_not_hold_is_refused_though_it_is_recorded(published: Path) -> None:
    _better_evidence(published)  # the approvals are about other evidence
    judged = judge(published, roster=ROSTER, trusted=TRUSTED)
    (published / "decision.json").write_bytes(canonical_bytes(judged.decision.to_dict()))
    _sign_again(published)
    with pytest.raises(ReleaseUntrusted, match="does not hold"):
        verify_release_folder(published, TRUSTED)


def test_sites_that_the_coordinator_made_up_are_found_by_who_knows_the_sites(
    published: Path,
) -> None:
    real = dict(ROSTER.keys)
    known = Roster(keys={**real, "site-b": SITE_KEYS["site-c"].public_key, "site-c": "1" * 64})
    with pytest.raises(ReleaseUntrusted, match="site-b: approved with another key"):
        verify_release_folder(published, TRUSTED, roster=known)
    with pytest.raises(ReleaseUntrusted, match="site-b: approved with another key"):
        verify_release_folder(published, TRUSTED, roster=Roster(keys={"site-a": real["site-a"]}))


def test_a_signature_must_list_every_file(published: Path) -> None:
    (published / "MODEL_CARD.md").unlink()
    _sign_again(published)
    with pytest.raises(ReleaseUntrusted, match=r"does not list MODEL_CARD\.md"):
        verify_release_folder(published, TRUSTED)


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ReleaseUntrusted, match=r"SIGNATURE\.json"):
            verify_release_folder(folder, TRUSTED)


def test_a_release_that_does_not_hold_is_not_written(candidate: Path, tmp_path: Path) -> None:
    say(candidate, "site-b", "reject")
    with pytest.raises(ReleaseHeld, match="rejected by site-b"):
        publish(candidate, tmp_path / "out", key=COORDINATOR, roster=ROSTER)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p2ft"]


def test_evidence_of_an_earlier_adapter_does_not_publish_the_next(
    candidate: Path, tmp_path: Path
) -> None:
    write_plain_release(candidate, seed=2)
    with pytest.raises(ReleaseHeld, match="another adapter"):
        publish(candidate, tmp_path / "out", key=COORDINATOR, roster=ROSTER)


@pytest.mark.parametrize("name", ["evidence.json", "policy.json", "release.json"])
def test_a_candidate_without_a_record_is_refused(
    candidate: Path, tmp_path: Path, name: str
) -> None:
    (candidate / name).unlink()
    with pytest.raises(RecordInvalid, match=f"{name}: missing"):
        publish(candidate, tmp_path / "out", key=COORDINATOR, roster=ROSTER)
    with pytest.raises((RecordInvalid, BaseMissing)):
        judge(candidate, roster=ROSTER, trusted=TRUSTED)


def test_a_policy_that_another_signed_is_refused(candidate: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordInvalid, match="whom you don't trust"):
        publish(candidate, tmp_path / "out", key=STRANGER, roster=ROSTER)


def test_a_spoilt_adapter_is_refused(candidate: Path, tmp_path: Path) -> None:
    path = candidate / "adapter.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(AdapterMismatch, match="sha256"):
        publish(candidate, tmp_path / "out", key=COORDINATOR, roster=ROSTER)


@pytest.mark.parametrize("name", ["SITE-D.json", "notes.txt", "site-a.json.bak", ".site-a.json"])
def test_a_strange_file_among_the_approvals_is_not_passed_over(candidate: Path, name: str) -> None:
    (candidate / "approvals" / name).write_text("{}")
    with pytest.raises(RecordInvalid, match="take it away"):
        judge(candidate, roster=ROSTER, trusted=TRUSTED)


def test_a_published_release_is_not_replaced(
    candidate: Path, published: Path, tmp_path: Path
) -> None:
    before = {name: (published / name).read_bytes() for name in _files(published)}
    with pytest.raises(PlanInvalid, match="is there already"):
        publish(candidate, published, key=COORDINATOR, roster=ROSTER)
    assert before == {name: (published / name).read_bytes() for name in _files(published)}


def test_files_beside_the_candidate_stay_where_they_are(candidate: Path, tmp_path: Path) -> None:
    (candidate / "notes.txt").write_text("not for others")
    publish(candidate, tmp_path / "out", key=COORDINATOR, roster=ROSTER)
    assert "notes.txt" not in _files(tmp_path / "out")


def test_the_same_candidate_gives_the_same_folder(
    candidate: Path, published: Path, tmp_path: Path
) -> None:
    publish(candidate, tmp_path / "again", key=COORDINATOR, roster=ROSTER)
    for name in FILES:
        assert (tmp_path / "again" / name).read_bytes() == (published / name).read_bytes()


def test_a_full_disk_leaves_nothing(
    candidate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Path.write_bytes

    def fail(path: Path, payload: Any) -> int:
        if path.name.startswith(".SIGNATURE"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return whole(path, payload)

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="No space left"):
        publish(candidate, tmp_path / "out", key=COORDINATOR, roster=ROSTER)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p2ft"]


def test_a_copy_that_a_disk_spoilt_is_not_published(
    candidate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = CoordinatorKey.sign

    def spoil(key: CoordinatorKey, name: str, document: Any) -> bytes:
        next(tmp_path.glob(".out.*.part/MODEL_CARD.md")).write_text("something else")
        return whole(key, name, document)

    monkeypatch.setattr(CoordinatorKey, "sign", spoil)
    with pytest.raises(ReleaseUntrusted, match=r"MODEL_CARD\.md: changed"):
        publish(candidate, tmp_path / "out", key=COORDINATOR, roster=ROSTER)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p2ft"]


def test_a_release_without_a_stated_epsilon_is_held(tmp_path: Path) -> None:
    folder = complete(write_plain_release(tmp_path / "p2ft", epsilon=None, delta=None))
    for site in ("site-a", "site-b"):
        say(folder, site)
    with pytest.raises(ReleaseHeld, match="epsilon stated: the release states none"):
        publish(folder, tmp_path / "out", key=COORDINATOR, roster=ROSTER)


def test_evidence_that_was_edited_is_refused(candidate: Path) -> None:
    path = candidate / "evidence.json"
    path.write_bytes(json.dumps(Evidence.read(path).to_dict()).encode())
    with pytest.raises(RecordInvalid, match="not as it was written"):
        judge(candidate, roster=ROSTER, trusted=TRUSTED)
