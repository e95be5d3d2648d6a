"""A hospital joins: kit, keys made there, request, approval; and everything that is refused."""

import dataclasses
import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ophora_client.site import Site, init_site
from ophora_deploy.errors import JoiningFailed
from ophora_deploy.joining.joined import JoinedFederation, join
from ophora_deploy.joining.kit import SiteKit
from ophora_deploy.joining.members import Members
from ophora_deploy.joining.request import NAME as REQUEST
from ophora_deploy.joining.request import JoinRequest
from ophora_deploy.provisioning import make_node_key, make_server_identity
from ophora_privacy.signed_record import sign_record
from ophora_server.release_policy import CoordinatorKey
from ophora_server.run_folder import RunFolder

ADDRESS = "coordinator.example:9092"


@pytest.fixture
def members(tmp_path: Path) -> Members:
    run = RunFolder(path=tmp_path / "run")
    make_server_identity(run.tls, hosts=("coordinator.example",))
    made = Members(run=run)
    CoordinatorKey.make(made.key_file)
    return made


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return init_site(tmp_path / "a", code="a")


def _kit(members: Members, folder: Path, code: str = "a") -> Path:
    path = folder / f"{code}.kit"
    path.write_bytes(members.invite(code, address=ADDRESS))
    return path


def _request(site: Site, kit: Path) -> tuple[Path, JoinRequest]:
    read, key = SiteKit.read(kit)
    payload, request = join(site, read, key)
    path = kit.with_suffix(".join")
    path.write_bytes(payload)
    return path, request


def test_a_site_joins_and_only_public_keys_travel(
    members: Members, site: Site, tmp_path: Path
) -> None:
    path, made = _request(site, _kit(members, tmp_path))
    request = JoinRequest.read(path)
    assert request.fingerprint() == made.fingerprint()
    members.approve(request)
    assert set(members.run.site_keys()) == {"a"}
    assert (members.run.identities / "a.pub").read_text().strip() == request.identity_key
    member = JoinedFederation.read(site.folder)
    assert (member.address, len(member.bundle)) == (ADDRESS, 64)
    authority = JoinedFederation.authority(site.folder).read_bytes()
    assert authority == (members.run.tls / "ca.crt").read_bytes()
    for secret in (site.folder / "keys" / "node_key", site.folder / "identity.key"):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
        assert secret.read_bytes() not in path.read_bytes()
    private = (site.folder / "keys" / "node_key").read_text()
    assert "PRIVATE KEY" in private
    assert "PRIVATE KEY" not in path.read_text()


def test_an_invitation_serves_once_and_a_new_one_voids_it(
    members: Members, site: Site, tmp_path: Path
) -> None:
    first, _ = _request(site, _kit(members, tmp_path))
    second, _ = _request(site, _kit(members, tmp_path))
    members.approve(JoinRequest.read(second))
    with pytest.raises(JoiningFailed, match="no invitation is open"):
        members.approve(JoinRequest.read(second))
    _kit(members, tmp_path)
    for old in (first, second):
        with pytest.raises(JoiningFailed, match="not made with the kit"):
            members.approve(JoinRequest.read(old))


def test_an_expired_invitation_is_refused_on_both_sides(
    members: Members, site: Site, tmp_path: Path
) -> None:
    path = tmp_path / "a.kit"
    path.write_bytes(members.invite("a", address=ADDRESS, valid=timedelta(days=1)))
    with pytest.raises(JoiningFailed, match="has expired"):
        SiteKit.read(path, now=datetime.now(UTC) + timedelta(days=2))
    request, _ = _request(site, path)
    opened = members.run.path / "invitations" / "a.json"
    opened.write_text(json.dumps({**json.loads(opened.read_text()), "expires": 1}))
    with pytest.raises(JoiningFailed, match="invitation has expired"):
        members.approve(JoinRequest.read(request))


def test_a_changed_kit_or_request_is_refused(members: Members, site: Site, tmp_path: Path) -> None:
    kit = _kit(members, tmp_path)
    request, made = _request(site, kit)
    for path, read in ((kit, SiteKit.read), (request, JoinRequest.read)):
        spoilt = tmp_path / "spoilt"
        for change in (
            lambda text: text.replace('"a"', '"b"'),
            lambda text: text + "\n",
            lambda text: text[:-9],
            lambda text: "[]",
        ):
            spoilt.write_text(change(path.read_text()))
            with pytest.raises(JoiningFailed):
                read(spoilt)
    stranger = Ed25519PrivateKey.generate()
    request.write_bytes(sign_record(stranger, REQUEST, made.to_document()))
    with pytest.raises(JoiningFailed, match="signed by the identity key"):
        JoinRequest.read(request)


def test_a_request_of_another_code_or_federation_is_refused(
    members: Members, site: Site, tmp_path: Path
) -> None:
    kit, key = SiteKit.read(_kit(members, tmp_path))
    with pytest.raises(JoiningFailed, match="is for site a, this is b"):
        join(init_site(tmp_path / "b", code="b"), kit, key)
    join(site, kit, key)
    with pytest.raises(JoiningFailed, match="another federation"):
        join(site, kit, "ab" * 32)
    guessed = JoinRequest.make(
        federation=kit.federation,
        site="a",
        node_key=_node_key(tmp_path / "guessed"),
        identity_key="ab" * 32,
        one_time_code="00" * 16,
    )
    with pytest.raises(JoiningFailed, match="not made with the kit"):
        members.check(guessed)
    elsewhere = dataclasses.replace(kit, federation="other")
    _, request = join(site, elsewhere, key)
    with pytest.raises(JoiningFailed, match="not made with the kit"):
        members.check(request)


def test_a_revoked_site_does_not_come_back_under_its_code_or_with_its_keys(
    members: Members, site: Site, tmp_path: Path
) -> None:
    path, _ = _request(site, _kit(members, tmp_path))
    members.approve(JoinRequest.read(path))
    members.revoke("a")
    assert members.run.site_keys() == {}
    with pytest.raises(JoiningFailed, match="no member"):
        members.revoke("a")
    with pytest.raises(JoiningFailed, match="under another code"):
        _kit(members, tmp_path)
    settings = site.folder / "site.toml"
    settings.write_text(settings.read_text().replace('code = "a"', 'code = "b"'))
    site = Site.open(site.folder)
    path, _ = _request(site, _kit(members, tmp_path, "b"))
    with pytest.raises(JoiningFailed, match="node key was revoked"):
        members.approve(JoinRequest.read(path))
    for name in ("keys/node_key", "keys/node_key.pub", "identity.key", "identity.pub"):
        (site.folder / name).unlink()
    path, _ = _request(site, _kit(members, tmp_path, "b"))
    members.approve(JoinRequest.read(path))
    assert set(members.run.site_keys()) == {"b"}


def test_a_node_key_is_rotated_under_the_same_identity_only(
    members: Members, site: Site, tmp_path: Path
) -> None:
    path, first = _request(site, _kit(members, tmp_path))
    members.approve(JoinRequest.read(path))
    for name in ("node_key", "node_key.pub"):
        (site.folder / "keys" / name).unlink()
    path, second = _request(site, _kit(members, tmp_path))
    members.approve(JoinRequest.read(path))
    assert first.node_key != second.node_key
    assert members.run.site_keys()["a"].read_text().strip() == second.node_key
    for name in ("identity.key", "identity.pub"):
        (site.folder / name).unlink()
    path, _ = _request(site, _kit(members, tmp_path))
    with pytest.raises(JoiningFailed, match="another identity key"):
        members.approve(JoinRequest.read(path))


@pytest.mark.parametrize(
    ("code", "address"),
    [
        ("St Mary", ADDRESS),
        ("A", ADDRESS),
        ("", ADDRESS),
        ("a", "coordinator.example"),
        ("a", "coordinator.example:"),
        ("a", "coordinator.example:port"),
        ("a", "coordinator.example:70000"),
        ("a", "https://coordinator.example:9092"),
        ("a", "another.example:9092"),
    ],
)
def test_a_bad_code_or_address_is_refused(members: Members, code: str, address: str) -> None:
    with pytest.raises(JoiningFailed):
        members.invite(code, address=address)


def test_nobody_is_invited_before_the_run_is_set_up(tmp_path: Path) -> None:
    with pytest.raises(JoiningFailed, match="not set up"):
        Members(run=RunFolder(path=tmp_path)).invite("a", address=ADDRESS)


def _node_key(folder: Path) -> str:
    return make_node_key(folder).public.read_text(encoding="ascii").strip()


@pytest.mark.parametrize(
    "change",
    [
        {"site": "/tmp/planted"},
        {"site": "../sites"},
        {"identity_key": "AB" * 32},
        {"proof": "\u00e9" * 64},
        {"node_key": "ssh-ed25519 AAAA"},
        {"node_key": "no key"},
    ],
)
def test_a_request_that_names_anything_else_is_refused_before_it_is_read(
    members: Members, site: Site, tmp_path: Path, change: dict[str, str]
) -> None:
    _, request = _request(site, _kit(members, tmp_path))
    with pytest.raises(JoiningFailed):
        dataclasses.replace(request, **change)


def test_a_key_spelled_otherwise_is_refused_so_that_a_revoked_one_stays_out(
    members: Members, site: Site, tmp_path: Path
) -> None:
    _, request = _request(site, _kit(members, tmp_path))
    with pytest.raises(JoiningFailed, match="plain P-384"):
        dataclasses.replace(request, node_key=f"{request.node_key} again")


@pytest.mark.parametrize("taken", ["node_key", "identity_key"])
def test_another_members_key_is_refused(
    members: Members, site: Site, tmp_path: Path, taken: str
) -> None:
    path, request = _request(site, _kit(members, tmp_path))
    members.approve(JoinRequest.read(path))
    kit, _ = SiteKit.read(_kit(members, tmp_path, "b"))
    values = {"node_key": _node_key(tmp_path / "own"), "identity_key": "cd" * 32}
    copied = JoinRequest.make(
        federation=kit.federation,
        site="b",
        one_time_code=kit.one_time_code,
        **{**values, taken: getattr(request, taken)},
    )
    with pytest.raises(JoiningFailed, match="another member's"):
        members.approve(copied)
