"""`ophora site`: the client's commands, and what takes more than it: keys, rounds, canaries."""

import time
from pathlib import Path
from typing import Annotated

import typer

from ophora_client.site_cli import app as client_app
from ophora_deploy.audit_cli import plant
from ophora_deploy.joining_cli import join, site_doctor

app = typer.Typer(no_args_is_help=True)
app.add_typer(client_app)
app.command("plant-canaries")(plant)
app.command()(join)
app.command("doctor")(site_doctor)

SiteFolder = Annotated[Path, typer.Option("--site", help="The site's folder.")]

_POLL_S = 1.0


@app.command()
def key(site: SiteFolder) -> None:
    """Make the site's key at the first call; show the public half, for the coordinator."""
    from ophora_client.site import Site
    from ophora_deploy.site_processes import site_key

    typer.echo(site_key(Site.open(site).folder).public.read_text().strip())


@app.command()
def identity(site: SiteFolder) -> None:
    """Show the site's public identity key, for the coordinator's roster; made at the first call."""
    from ophora_client.approval import IdentityKey
    from ophora_client.site import Site

    typer.echo(IdentityKey.open(Site.open(site).folder).public_key)


@app.command("pin-roster")
def pin(
    site: SiteFolder,
    roster: Annotated[Path, typer.Argument(help="roster.toml from the coordinator.")],
    yes: Annotated[bool, typer.Option("--yes", help="The digest was compared already.")] = False,
) -> None:
    """Keep the federation's roster: who takes part in secure sums with this site."""
    from ophora_client.roster import pin_roster, read_roster
    from ophora_client.site import Site
    from ophora_deploy.rosters import in_groups

    opened = Site.open(site)
    read = read_roster(roster)
    typer.echo(f"{len(read)} sites: {', '.join(read.keys)}")
    typer.echo(f"digest: {in_groups(read.digest())}")
    if not yes and not typer.confirm("Did the coordinator read the same digest to you?"):
        typer.echo("nothing was pinned")
        raise typer.Exit(1)
    pin_roster(opened.folder, read, code=opened.settings.site.code)
    typer.echo("pinned")


@app.command("approve-run")
def approve_run(
    run: Annotated[str, typer.Argument(help="run_id of the coordinator's federation.toml.")],
    site: SiteFolder,
) -> None:
    """Let a run of the coordinator's take part, where policy.toml has approve_runs = true."""
    from ophora_client.site import Site

    Site.open(site).approve_run(run)
    typer.echo(f"run {run}: may ask this site for rounds, within policy.toml")


@app.command()
def serve(
    site: SiteFolder,
    coordinator: Annotated[
        str | None, typer.Option(help="HOST:PORT of the front; default: the kit's.")
    ] = None,
    authority: Annotated[
        Path | None, typer.Option(help="The coordinator's ca.crt; default: the kit's.")
    ] = None,
    metrics_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Serve metrics here, to this machine; default: not."),
    ] = None,
) -> None:
    """Load the base, then take part in rounds until Ctrl-C; what ends is started again."""
    from ophora_client.site import Site
    from ophora_client.trace_rule import trace_rule
    from ophora_deploy.joining.joined import JoinedFederation
    from ophora_deploy.processes import ProcessSet
    from ophora_deploy.site_processes import SiteProcesses
    from ophora_privacy.watch.spans import trace_address

    opened = Site.open(site)
    if address := trace_address():  # refused here, where somebody reads it
        trace_rule(opened.folder)(address)
    code, bundle = opened.settings.site.code, ""
    if coordinator is None or authority is None:
        member = JoinedFederation.read(opened.folder)
        coordinator, bundle = coordinator or member.address, member.bundle
        authority = authority or JoinedFederation.authority(opened.folder)
    with ProcessSet() as processes:
        running = SiteProcesses(processes, code=code, folder=opened.folder, bundle=bundle)
        running.start_trainer(metrics_port=metrics_port)
        typer.echo(f"site {code}: loading the base")
        running.connect(coordinator, authority)
        typer.echo(f"site {code}: connected to {coordinator}; Ctrl-C stops")
        while True:
            for name in running.restart_ended():
                typer.echo(f"{name}: ended and was started again")
            time.sleep(_POLL_S)
