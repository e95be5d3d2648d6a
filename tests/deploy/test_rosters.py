"""The roster is made once, compared, and changed by command only."""

from pathlib import Path

import pytest

from ophora_client.roster import open_membership
from ophora_client.site import init_site
from ophora_deploy.errors import ProvisioningFailed
from ophora_deploy.rosters import collect_roster, in_groups, pin_local
from ophora_server.errors import InvalidFederation
from ophora_server.roster import read_roster, write_roster
from ophora_server.run_folder import RunFolder


def _sites(folder: Path, *codes: str) -> dict[str, Path]:
    made = {}
    for code in codes:
        made[code] = folder / code
        if not made[code].exists():
            init_site(made[code], code=code)
    return made


def test_sites_of_this_machine_are_pinned_to_one_roster(tmp_path: Path) -> None:
    run = RunFolder(path=tmp_path / "run")
    folders = _sites(tmp_path, "a", "b", "c")
    roster = pin_local(run, folders)
    assert set(roster.keys) == {"a", "b", "c"}
    for code, folder in folders.items():
        member = open_membership(folder, code=code)
        assert member is not None
        assert member.roster.digest() == roster.digest() == read_roster(run.roster_file).digest()
    assert pin_local(run, folders).digest() == roster.digest()


def test_a_new_site_changes_the_roster_by_command_only(tmp_path: Path) -> None:
    run = RunFolder(path=tmp_path / "run")
    before = pin_local(run, _sites(tmp_path, "a", "b", "c"))
    folders = _sites(tmp_path, "a", "b", "c", "d")
    with pytest.raises(ProvisioningFailed, match="federation roster"):
        pin_local(run, folders)
    assert read_roster(run.roster_file).digest() == before.digest()
    assert set(collect_roster(run).keys) == {"a", "b", "c", "d"}
    with pytest.raises(ProvisioningFailed, match="pin-roster"):
        pin_local(run, folders)


def test_a_bad_key_leaves_the_roster_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "roster.toml"
    write_roster(path, {"a": "ab" * 32})
    before = path.read_bytes()
    for keys in ({"a": "xy" * 32}, {"a": "ab"}, {"a": "ab" * 32, "b": "ab" * 32}):
        with pytest.raises(InvalidFederation):
            write_roster(path, keys)
    assert path.read_bytes() == before


def test_no_keys_make_no_roster(tmp_path: Path) -> None:
    run = RunFolder(path=tmp_path)
    with pytest.raises(ProvisioningFailed, match="no key"):
        collect_roster(run)
    run.identities.mkdir()
    (run.identities / "a.pub").write_text("ssh-ed25519 AAAA")
    with pytest.raises(ProvisioningFailed, match="64 hexadecimal"):
        collect_roster(run)


def test_a_digest_is_read_out_in_groups() -> None:
    assert in_groups("0123456789abcdef" * 4) == "0123 4567 89ab cdef 0123 4567 89ab cdef"
