"""`ophora site page`: status, budget and messages, for the hospital's IT and privacy officer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def page(
    site: Annotated[Path, typer.Option("--site", help="The site's folder.")],
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any free.")] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the link.")] = False,
) -> None:
    """Open a page that shows the trainer, the policy, the budget and every message sent."""
    import webbrowser

    from ophora_client.loopback.server import serve
    from ophora_client.page.board import Board
    from ophora_client.page.server import make_app
    from ophora_client.site import Site

    app = make_app(Board(Site.open(site)))

    def announce(link: str) -> None:
        typer.echo(f"the site's page, for one browser on this machine: {link}")
        typer.echo("it changes nothing; Ctrl-C ends it")
        if not no_browser:
            webbrowser.open(link)

    try:
        serve(app, port=port, announce=announce)
    except OSError as error:
        message = f"port {port} can't be opened ({error.strerror}): give another, or 0"
        raise typer.BadParameter(message) from error
