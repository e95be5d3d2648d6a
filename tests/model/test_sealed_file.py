"""Sealed files: what is on the disk tells nothing, and opens only whole, in place, with its key."""

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ophora_model.errors import CacheUnreadable, PlanInvalid
from ophora_model.sealed_file import Seal

KEY = bytes(range(32))


@pytest.fixture
def seal() -> Seal:
    return Seal.derive(KEY, "test")


def test_what_is_written_is_read_and_is_not_on_the_disk(tmp_path: Path, seal: Seal) -> None:
    path, payload = tmp_path / "a.sealed", b"a narrow pupil " * 50
    seal.write(path, payload)
    assert seal.read(path) == payload
    assert b"narrow" not in path.read_bytes()
    assert len(path.read_bytes()) == len(payload) + 44  # magic, nonce and tag
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.sealed"]


def test_the_same_payload_is_never_sealed_to_the_same_bytes(tmp_path: Path, seal: Seal) -> None:
    path = tmp_path / "a.sealed"
    seal.write(path, b"x")
    first = path.read_bytes()
    seal.write(path, b"x")
    assert path.read_bytes() != first
    assert seal.read(path) == b"x"


def test_every_single_changed_or_missing_byte_is_refused(tmp_path: Path, seal: Seal) -> None:
    path = tmp_path / "a.sealed"
    seal.write(path, b"twelve bytes")
    whole = path.read_bytes()
    spoilt = [whole[:n] for n in range(len(whole))] + [whole + b"\0"]
    spoilt += [whole[:n] + bytes([whole[n] ^ 1]) + whole[n + 1 :] for n in range(len(whole))]
    for content in spoilt:
        path.write_bytes(content)
        with pytest.raises(CacheUnreadable, match="delete the cache folder and encode again"):
            seal.read(path)


def test_a_file_under_another_name_is_refused(tmp_path: Path, seal: Seal) -> None:
    seal.write(tmp_path / "a.sealed", b"x")
    (tmp_path / "a.sealed").rename(tmp_path / "b.sealed")
    with pytest.raises(CacheUnreadable, match="renamed"):
        seal.read(tmp_path / "b.sealed")


def test_a_missing_file_is_refused_as_a_spoilt_one_is(tmp_path: Path, seal: Seal) -> None:
    with pytest.raises(CacheUnreadable, match="FileNotFoundError"):
        seal.read(tmp_path / "a.sealed")


@pytest.mark.parametrize(
    "other", [Seal.derive(KEY, "tests"), Seal.derive(bytes(32), "test")], ids=["purpose", "key"]
)
def test_another_purpose_or_key_opens_nothing_and_names_otherwise(
    tmp_path: Path, seal: Seal, other: Seal
) -> None:
    seal.write(tmp_path / "a.sealed", b"x")
    with pytest.raises(CacheUnreadable, match="another key"):
        other.read(tmp_path / "a.sealed")
    assert other.name("text", "incision") != seal.name("text", "incision")


def test_the_derived_keys_differ_from_one_another_and_are_not_shown(seal: Seal) -> None:
    assert len({KEY, seal.cipher, seal.names}) == 3
    assert {len(seal.cipher), len(seal.names)} == {32}
    assert repr(seal) == "Seal()"


@given(st.text(), st.text())
def test_names_are_stable_and_tell_identities_apart(one: str, two: str) -> None:
    seal = Seal.derive(KEY, "test")
    assert (seal.name("text", one) == seal.name("text", two)) == (one == two)
    assert seal.name("text", one) != seal.name("clip", one)


@pytest.mark.parametrize("key", [b"", bytes(31), None, "0" * 32])
def test_without_a_whole_key_there_is_no_seal(key: bytes) -> None:
    with pytest.raises(PlanInvalid, match="must be 32 bytes or more"):
        Seal.derive(key, "test")


def test_the_refusal_of_a_key_does_not_repeat_it() -> None:
    with pytest.raises(PlanInvalid) as refused:
        Seal.derive(b"secret", "test")
    assert "secret" not in str(refused.value)
