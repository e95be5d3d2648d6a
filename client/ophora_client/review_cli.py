"""`ophora site review`: a person looks at clips and decides, on this machine only."""

from pathlib import Path
from typing import Annotated

import typer

TIERS_TO_REVIEW = ("quarantine", "p2ft", "tpt")


def review(
    site: Annotated[Path, typer.Option("--site", help="The site's folder.")],
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0: any free.")] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the link.")] = False,
    tier: Annotated[str, typer.Option("--tier", help="Shown first.")] = "quarantine",
    reviewer: Annotated[
        str, typer.Option("--reviewer", help="Your opaque code, not your name; it is signed.")
    ] = "reviewer",
) -> None:
    """Open the page where clips are approved, rejected or returned; decisions are signed."""
    import webbrowser

    from ophora_client.loopback.server import serve
    from ophora_client.review.desk import ReviewDesk
    from ophora_client.review.server import make_app
    from ophora_client.review.signing import ReviewKey
    from ophora_client.site import Site
    from ophora_client.site_view import log_to
    from ophora_curation.store.review import check_reviewer

    if tier not in TIERS_TO_REVIEW:
        raise typer.BadParameter(f'"{tier}": must be one of {", ".join(TIERS_TO_REVIEW)}')
    try:
        check_reviewer(reviewer)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    opened = Site.open(site)
    if not opened.manifest_path.is_file():
        typer.echo("nothing curated yet: run `ophora site curate VIDEO_DIR --site DIR`")
        raise typer.Exit(1)

    def announce(link: str) -> None:
        typer.echo(f"review page, for one browser on this machine: {link}")
        typer.echo("Ctrl-C ends it; decisions are kept as they are made")
        if not no_browser:
            webbrowser.open(link)

    paths = opened.curation_paths
    with log_to(opened.logs_dir / "review.log"):
        desk = ReviewDesk.open(
            paths,
            key=ReviewKey.open(opened.folder),
            reviewer=reviewer,
        )
        app = make_app(
            desk,
            tier=tier,  # type: ignore[arg-type]
            code=opened.settings.site.code,
            reviewer=reviewer,
        )
        try:
            serve(app, port=port, announce=announce)
        except OSError as error:
            message = f"port {port} can't be opened ({error.strerror}): give another, or 0"
            raise typer.BadParameter(message) from error
