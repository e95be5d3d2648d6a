"""`ophora federation`: set up, invite, run, simulate, look at, audit and publish: the coordinator.

`run` starts the SuperLink, its executor and the front, registers the public keys in RUN/sites/,
runs what is left of the rounds and stops everything. Sites on other machines connect with
`ophora site serve`; those on this machine can be named and are started too.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ophora_deploy.audit_cli import audit
from ophora_deploy.gate_cli import gate, policy_app, publish, verify
from ophora_deploy.joining_cli import (
    approve_site,
    federation_doctor,
    init,
    invite,
    revoke,
    sites,
)
from ophora_deploy.page_cli import MetricsPort, page, page_password
from ophora_deploy.registry_cli import export, rounds, show, status, verify_log, withdraw_round
from ophora_deploy.simulation.cli import simulate
from ophora_server.run_folder import RunFolder

if TYPE_CHECKING:
    from ophora_deploy.federation import LocalSite

app = typer.Typer(no_args_is_help=True)
app.add_typer(policy_app, name="policy", help="Sign and show the thresholds of a release.")
app.command()(init)
app.command()(invite)
app.command("approve")(approve_site)
app.command()(revoke)
app.command()(sites)
app.command("doctor")(federation_doctor)
app.command()(status)
app.command()(rounds)
app.command()(show)
app.command()(export)
app.command("verify-log")(verify_log)
app.command("withdraw-round")(withdraw_round)
app.command()(audit)
app.command()(gate)
app.command()(publish)
app.command()(verify)
app.command()(simulate)
app.command()(page)
app.command("page-password")(page_password)

RunPath = Annotated[Path, typer.Option("--run", help="Folder of the run, with federation.toml.")]


@app.command()
def run(
    folder: RunPath,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on after the last finished round.")
    ] = False,
    local_site: Annotated[
        list[str] | None,
        typer.Option("--local-site", help="CODE=FOLDER of a site on this machine; repeatable."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address that the front listens on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the front; 0 takes a free one.")] = 0,
    name: Annotated[
        list[str] | None,
        typer.Option("--name", help="Name or address in a new server certificate; repeatable."),
    ] = None,
    metrics_port: MetricsPort = None,
) -> None:
    """Run the rounds that federation.toml asks for and write a release for each stage."""
    from ophora_deploy.federation import FrontAddress, run_federation
    from ophora_server.errors import InvalidFederation
    from ophora_server.federation_settings import FederationSettings
    from ophora_server.metrics import serving_run
    from ophora_server.run_record import rounds_done

    opened = RunFolder(path=folder)
    done = rounds_done(opened, FederationSettings.read(opened.settings_file))
    if done and not resume:
        raise InvalidFederation(
            f"{folder}: {done} rounds are done; add --resume, or name another folder"
        )
    with serving_run(opened, metrics_port):
        run_federation(
            opened,
            [_local_site(text) for text in local_site or ()],
            _show,
            front=FrontAddress(host=host, port=port, names=tuple(name or ())),
        )


@app.command()
def roster(folder: RunPath) -> None:
    """Write roster.toml from RUN/identities/ and show the digest that each site compares."""
    from rich.console import Console
    from rich.table import Table

    from ophora_deploy.rosters import collect_roster, in_groups

    opened = RunFolder(path=folder)
    made = collect_roster(opened)
    table = Table("site", "identity key")
    for code, key in made.keys.items():
        table.add_row(code, in_groups(key.hex()))
    console = Console()
    console.print(table)
    console.print(f"digest: {in_groups(made.digest())}", highlight=False)
    console.print(f"send {opened.roster_file.name} to every site: `ophora site pin-roster`")


def _local_site(text: str) -> "LocalSite":
    from ophora_deploy.errors import ProvisioningFailed
    from ophora_deploy.federation import LocalSite

    code, mark, folder = text.partition("=")
    if not mark or not code or not Path(folder, "site.toml").is_file():
        raise ProvisioningFailed(f"--local-site {text}: must be CODE=FOLDER of a curated site")
    return LocalSite(code=code, folder=Path(folder))


def _show(event: Mapping[str, Any]) -> None:
    """One line for what a person waits for; where JSON is asked for, the lines of the log."""
    from ophora_privacy.watch.log import log_format
    from ophora_server.event_lines import tell_event

    if log_format() == "json":
        tell_event(str(event["event"]), event)
        return
    match event["event"]:
        case "coordinator-ready":
            typer.echo(f"sites connect to {event['address']}")
        case "site-ready":
            typer.echo(f"site {event['site']}: started")
        case "round-started":
            typer.echo(f"round {event['round']} ({event['stage']}): {', '.join(event['sites'])}")
        case "progress":
            typer.echo(f"  {event['site']}: step {event['step']}/{event['steps']}")
        case "reply":
            typer.echo(f"  {event['site']}: {event['code']}, {event['bytes']:,} bytes")
        case "round-finished":
            typer.echo(f"round {event['round']}: done in {event['seconds']:.0f} s")
        case "release":
            typer.echo(f"release {event['stage']}: written")
        case "restarted":
            typer.echo(f"{event['process']}: ended and was started again")
        case _:
            pass
