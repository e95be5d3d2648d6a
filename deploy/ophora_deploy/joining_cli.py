"""The commands of joining, and both doctors: `ophora federation` and `ophora site` mount them.

Both sides of joining: the coordinator sets a run up and invites; a hospital joins with the kit and
sends its request back; two people compare a fingerprint on the phone; the coordinator approves.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ophora_deploy.doctor import Check
    from ophora_server.run_folder import RunFolder

RunPath = Annotated[Path, typer.Option("--run", help="Folder of the run.")]
SitePath = Annotated[Path, typer.Option("--site", help="The site's folder.")]
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def init(
    folder: RunPath,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="Name or address that sites will use; repeatable."),
    ] = None,
) -> None:
    """Set a run up: authority, server certificate, the coordinator's signing key."""
    from ophora_deploy.joining.members import Members
    from ophora_deploy.provisioning import make_server_identity
    from ophora_server.release_policy import CoordinatorKey
    from ophora_server.run_folder import RunFolder

    opened = RunFolder(path=folder)
    folder.mkdir(parents=True, exist_ok=True)
    make_server_identity(opened.tls, hosts=("localhost", "127.0.0.1", *(name or ())))
    members = Members(run=opened)
    key = CoordinatorKey.make(members.key_file)
    typer.echo(f"federation: {members.federation()}")
    typer.echo(f"coordinator's key, for the phone: {_grouped(key.public_key)}")
    if not opened.settings_file.exists():
        typer.echo(f"next: write {opened.settings_file}, then `ophora federation invite`")


def invite(
    code: Annotated[str, typer.Argument(help="Code of the site; not the hospital's name.")],
    folder: RunPath,
    address: Annotated[str, typer.Option(help="HOST:PORT that the site will connect to.")],
    out: Annotated[Path | None, typer.Option("--out", help="Default: CODE.kit here.")] = None,
) -> None:
    """Write a site kit: address, authority, the app's hash, a one-time code."""
    from ophora_deploy.joining.members import VALID, Members
    from ophora_model.draft import write_whole
    from ophora_server.run_folder import RunFolder

    members = Members(run=RunFolder(path=folder))
    path = out or Path(f"{code}.kit")
    write_whole(path, members.invite(code, address=address))
    path.chmod(0o600)
    typer.echo(f"{path}: give it to the site by a way that only it reads; {VALID.days} days valid")


def approve_site(
    request: Annotated[Path, typer.Argument(help="CODE.join from the site.")],
    folder: RunPath,
    yes: Annotated[bool, typer.Option("--yes", help="The fingerprint was compared.")] = False,
) -> None:
    """Let a site in, after its fingerprint was compared by phone."""
    from ophora_deploy.joining.members import Members
    from ophora_deploy.joining.request import JoinRequest
    from ophora_server.run_folder import RunFolder

    members = Members(run=RunFolder(path=folder))
    read = JoinRequest.read(request)
    members.check(read)
    typer.echo(f"site {read.site}; fingerprint: {_grouped(read.fingerprint())}")
    if not yes and not typer.confirm("Does the site read the same fingerprint?"):
        typer.echo("nobody was let in")
        raise typer.Exit(1)
    members.approve(read)
    _enter(members.run)
    typer.echo(f"site {read.site}: approved; it takes part from the next start on")
    typer.echo("with secure aggregation: run `ophora federation roster` and have all sites pin it")


def revoke(
    code: Annotated[str, typer.Argument(help="Code of the site.")],
    folder: RunPath,
) -> None:
    """Put a site out from the next start on; its keys don't come back."""
    from ophora_deploy.joining.members import Members
    from ophora_server.run_folder import RunFolder

    opened = RunFolder(path=folder)
    Members(run=opened).revoke(code)
    _enter(opened)
    typer.echo(f"site {code}: revoked; nothing of it counts from now on, in an open round too")
    typer.echo("stop and resume the federation to end its connection")
    typer.echo("with secure aggregation: run `ophora federation roster` and have the others pin it")


def sites(folder: RunPath) -> None:
    """Show the members and the open invitations."""
    import json
    from datetime import UTC, datetime

    from rich.console import Console
    from rich.table import Table

    from ophora_deploy.joining.request import fingerprint_of
    from ophora_server.run_folder import RunFolder

    opened = RunFolder(path=folder)
    table = Table("site", "state", "fingerprint or expiry")
    for code, key in opened.site_keys().items():
        identity = opened.identities / f"{code}.pub"
        shown = "no identity key"
        if identity.is_file():
            shown = _grouped(fingerprint_of(key.read_text(), identity.read_text().strip()))
        table.add_row(code, "approved", shown)
    for path in sorted((folder / "invitations").glob("*.json")):
        until = datetime.fromtimestamp(json.loads(path.read_text())["expires"], UTC)
        table.add_row(path.stem, "invited", f"until {until:%Y-%m-%d}")
    for path in sorted((folder / "revoked").glob("*.json")):
        table.add_row(json.loads(path.read_text())["site"], "revoked", "")
    Console().print(table)


def join(
    kit: Annotated[Path, typer.Argument(help="CODE.kit from the coordinator.")],
    site: SitePath,
    out: Annotated[Path | None, typer.Option("--out", help="Default: CODE.join here.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="The coordinator's key was compared.")] = False,
) -> None:
    """Join a federation: keep the kit, make this site's keys, write the request to send back."""
    from ophora_client.site import Site
    from ophora_deploy.joining.joined import join as join_federation
    from ophora_deploy.joining.kit import SiteKit
    from ophora_model.draft import write_whole

    opened = Site.open(site)
    read, key = SiteKit.read(kit)
    typer.echo(f"federation {read.federation} at {read.address}")
    typer.echo(f"coordinator's key: {_grouped(key)}")
    if not yes and not typer.confirm("Does the coordinator read the same key?"):
        typer.echo("nothing was kept")
        raise typer.Exit(1)
    payload, request = join_federation(opened, read, key)
    path = out or Path(f"{read.site}.join")
    write_whole(path, payload)
    typer.echo(f"{path}: send it to the coordinator, and read this fingerprint out by phone:")
    typer.echo(_grouped(request.fingerprint()))


def site_doctor(site: SitePath) -> None:
    """Check what this site needs for rounds; exit 1 where something is missing."""
    from ophora_deploy.doctor import check_site

    _show_checks(check_site(site))


def federation_doctor(folder: RunPath) -> None:
    """Check what the coordinator needs for rounds; exit 1 where something is missing."""
    from ophora_deploy.doctor import check_run

    _show_checks(check_run(folder))


def _enter(run: "RunFolder") -> None:
    """Who may take part, into the registry too: what is revoked stops to count at once."""
    from ophora_server.run_record import admit_sites, open_registry

    with open_registry(run) as registry:
        admit_sites(registry, run)


def _show_checks(checks: "Iterable[Check]") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("check", "", "found", "what to do")
    failed = False
    for check in checks:
        failed |= check.state == "fail"
        colour = _COLOURS[check.state]
        state = f"[{colour}]{check.state}[/{colour}]"
        table.add_row(check.name, state, escape(check.said), escape(check.remedy))
    Console().print(table)
    if failed:
        raise typer.Exit(1)


def _grouped(key: str) -> str:
    from ophora_deploy.rosters import in_groups

    return in_groups(key)
