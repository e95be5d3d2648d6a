"""`ophora site`: a hospital's own commands, from videos to reviewed clips, all on its machines."""

from pathlib import Path
from typing import Annotated

import typer

from ophora_client.approve_cli import approve
from ophora_client.budget_cli import app as budget_app
from ophora_client.deidentify_cli import deidentify
from ophora_client.export_cli import export
from ophora_client.page_cli import page
from ophora_client.review_cli import review
from ophora_client.sent_cli import sent
from ophora_client.site_report import report
from ophora_client.tune_cli import tune

app = typer.Typer(no_args_is_help=True)

SiteFolder = Annotated[Path, typer.Option("--site", help="The site's folder.")]


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="New folder for the site.")],
    code: Annotated[str, typer.Option("--code", help="Opaque code, not the hospital's name.")],
) -> None:
    """Make a new site: settings with their defaults, a secret key and empty folders."""
    from ophora_client.site import init_site

    site = init_site(folder, code=code)
    typer.echo(f"site {site.settings.site.code} is ready; settings: {folder / 'site.toml'}")
    typer.echo("keep a backup of site.key: without it patients can't be told from new ones")


@app.command()
def curate(
    video_dir: Annotated[Path, typer.Argument(help="Folder of videos: one folder per patient.")],
    site: SiteFolder,
    executor: Annotated[
        str | None, typer.Option(help="process or ray; default: [execution] of site.toml.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Videos at a time; default: [execution] of site.toml.")
    ] = None,
) -> None:
    """Turn narrated videos into de-identified clips with instructions, in tiers."""
    from dataclasses import replace

    from ophora_client.site import Site
    from ophora_client.site_view import CurationProgress, log_to, show_counts
    from ophora_curation.pipeline import curate as run

    opened = Site.open(site)
    execution = opened.settings.execution
    execution = replace(
        execution, executor=executor or execution.executor, workers=workers or execution.workers
    )
    with log_to(opened.logs_dir / "curation.log"), CurationProgress() as progress:
        summary = run(
            video_dir,
            out=opened.curation_paths,
            settings=opened.settings.curation,
            key=opened.key(),
            refine=opened.settings.refine,
            execution=execution,
            progress=progress.update,
        )
    typer.echo(
        f"{summary.found} files: {summary.curated} curated, {summary.refused} refused, "
        f"{summary.skipped} done before"
    )
    if summary.uncertified:
        typer.echo(f"{summary.uncertified} videos have no certificate: see logs/curation.log")
    show_counts(opened.manifest_path)


@app.command()
def status(site: SiteFolder) -> None:
    """Show tiers, reasons and phases of what the site has curated."""
    from ophora_client.site import Site
    from ophora_client.site_view import show_counts

    opened = Site.open(site)
    typer.echo(f"site {opened.settings.site.code}")
    show_counts(opened.manifest_path)


app.command()(review)
app.command()(page)
app.command()(report)
app.command()(export)
app.command()(deidentify)
app.command()(tune)
app.command()(approve)
app.command()(sent)
app.add_typer(budget_app, name="budget")
