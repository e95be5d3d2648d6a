"""The coordinator's page: `ophora federation page` and the password that it asks for."""

from pathlib import Path
from typing import Annotated

import typer

RunPath = Annotated[Path, typer.Option("--run", help="Folder of the run.")]
MetricsPort = Annotated[
    int | None,
    typer.Option(min=0, max=65535, help="Serve metrics here, to this machine; default: not."),
]


def page(
    folder: RunPath,
    host: Annotated[str, typer.Option(help="Address that the page listens on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the page; 0 takes a free one.")] = 0,
    certificate: Annotated[
        Path | None, typer.Option(help="PEM certificate with its names, for TLS.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="PEM key of the certificate.")] = None,
    metrics_port: MetricsPort = None,
) -> None:
    """Serve a page that shows sites, rounds, releases and the audit log, until Ctrl-C."""
    from ophora_server.desk.board import Board
    from ophora_server.desk.password import PASSWORD_FILE, PasswordHash
    from ophora_server.desk.server import Listening, serve
    from ophora_server.errors import InvalidFederation
    from ophora_server.federation_settings import FederationSettings
    from ophora_server.metrics import serving_run
    from ophora_server.run_folder import RunFolder

    if not folder.is_dir():
        raise InvalidFederation(f"{folder}: no such folder; name that of a run")
    run = RunFolder(path=folder)
    listening = Listening(host=host, port=port, certificate=certificate, key=key)
    password = PasswordHash.read(folder / PASSWORD_FILE)
    run_id = ""
    if run.settings_file.is_file():
        run_id = FederationSettings.read(run.settings_file).run_id
    with serving_run(run, metrics_port):
        serve(Board(run, run_id=run_id), password, listening, announce=typer.echo)


def page_password(folder: RunPath) -> None:
    """Set the page's password, asked for twice; a page that runs keeps the one it started with."""
    from ophora_server.desk.password import MIN_CHARACTERS, PASSWORD_FILE, PasswordHash
    from ophora_server.errors import InvalidFederation

    if not folder.is_dir():
        raise InvalidFederation(f"{folder}: no such folder; name that of a run")
    given = typer.prompt(
        f"password, {MIN_CHARACTERS} characters or more", hide_input=True, confirmation_prompt=True
    )
    PasswordHash.of(given).write(folder / PASSWORD_FILE)
    typer.echo(f"{PASSWORD_FILE}: written; start `ophora federation page` anew for it to count")
