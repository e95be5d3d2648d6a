"""`ophora site report`: what the site has curated, as one HTML file of counts and plots."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    site: Annotated[Path, typer.Option("--site", help="The site's folder.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="The file; default: SITE/curation-report.html.")
    ] = None,
    with_frames: Annotated[
        bool, typer.Option("--with-frames", help="Add thumbnails; such a report is not mailed.")
    ] = False,
) -> None:
    """Write a report: tiers, reasons, measures with thresholds, decisions, certificates."""
    from datetime import UTC, datetime

    from ophora_client.report.figures import collect_figures
    from ophora_client.report.page import make_thumbnails, render_report
    from ophora_client.review.signing import verify_site
    from ophora_client.site import Site
    from ophora_curation.store.manifest import Manifest
    from ophora_model.draft import write_whole

    opened = Site.open(site)
    if not opened.manifest_path.is_file():
        typer.echo("nothing curated yet: run `ophora site curate VIDEO_DIR --site DIR`")
        raise typer.Exit(1)
    with Manifest.open(opened.manifest_path) as manifest:
        faults = verify_site(opened.folder, manifest)
        figures = collect_figures(manifest, opened.settings.curation, faults)
        accepted = manifest.clips("p2ft", "tpt") if with_frames else []
    html = render_report(
        figures,
        code=opened.settings.site.code,
        made_on=datetime.now(UTC).date(),
        thumbnails=make_thumbnails(accepted, opened.clips_dir),
    )
    path = out or opened.folder / "curation-report.html"
    write_whole(path, html.encode())
    typer.echo(f"report: {path}")
    if with_frames:
        typer.echo("it holds frames of patients' videos: do not mail it")
