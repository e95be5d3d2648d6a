"""`ophora site export`: accepted clips for other data loaders of the site."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    site: Annotated[Path, typer.Option("--site", help="The site's folder.")],
    out: Annotated[Path, typer.Option("--out", help="A new or empty folder inside the hospital.")],
    kind: Annotated[str, typer.Option("--format", help="webdataset or parquet.")],
    tier: Annotated[
        list[str] | None, typer.Option("--tier", help="p2ft or tpt; both if not given.")
    ] = None,
    shard_mb: Annotated[int, typer.Option("--shard-mb", min=1, max=65536)] = 256,
    with_lineage: Annotated[
        bool,
        typer.Option("--with-lineage", help="Also the recordings' hashes and the fingerprints."),
    ] = False,
) -> None:
    """Write accepted clips with instructions and certificates as WebDataset or Parquet."""
    from rich.progress import Progress

    from ophora_client.review.signing import describe_faults, verify_site
    from ophora_client.site import Site
    from ophora_curation.store.export import EXPORTED_TIERS, ExportRefused, export_clips
    from ophora_curation.store.manifest import Manifest

    opened = Site.open(site)
    if not opened.manifest_path.is_file():
        typer.echo("nothing curated yet: run `ophora site curate VIDEO_DIR --site DIR`")
        raise typer.Exit(1)
    with Manifest.open(opened.manifest_path) as manifest:
        faults = verify_site(opened.folder, manifest)
        if faults:
            message = (
                f"the manifest's tiers are not as they were decided ({describe_faults(faults)}): "
                "restore the manifest from a backup"
            )
            raise ExportRefused(message)
        with Progress() as bar:
            task = bar.add_task("exporting clips", total=None)
            made = export_clips(
                manifest,
                clips=opened.clips_dir,
                out=out,
                kind=kind,
                tiers=tuple(tier) if tier else EXPORTED_TIERS,  # type: ignore[arg-type]
                shard_bytes=shard_mb << 20,
                with_lineage=with_lineage,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
    typer.echo(
        f"{made.clips} clips of {made.videos} videos in {len(made.files)} files, "
        f"{made.num_bytes / 1e6:.1f} MB; certificates beside them"
    )
    typer.echo("an export stays at the site: its clips are de-identified, not anonymous")
