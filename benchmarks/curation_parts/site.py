"""A whole site for a part of the benchmark: initialised, curated, exported and reported on.

All that a hospital's own commands would leave in its folder is there afterwards, the log too.
"""

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from ophora_client.report.figures import collect_figures
from ophora_client.report.page import make_thumbnails, render_report
from ophora_client.review.signing import verify_site
from ophora_client.site import Site, init_site
from ophora_curation.pipeline import Progress, curate
from ophora_curation.store.export import FORMATS, export_clips
from ophora_curation.store.manifest import Manifest


def curate_site(videos: Path, folder: Path, curation: Mapping[str, object]) -> None:
    """Make a site at `folder`, curate `videos` with these settings, export in every format.

    On every core: nothing that is measured here depends on time.
    """
    execution = {"workers": os.cpu_count() or 1}
    profile = {"curation": curation, "execution": execution}
    site = init_site(folder, code="bench", profile=profile)
    with _logged(site.logs_dir / "curation.log"):
        curate(
            videos,
            out=site.curation_paths,
            settings=site.settings.curation,
            execution=site.settings.execution,
            key=site.key(),
            progress=_show,
        )
    with Manifest.open(site.manifest_path) as manifest:
        for kind in FORMATS:
            out = folder / f"export-{kind}"
            export_clips(manifest, clips=site.clips_dir, out=out, kind=kind, with_lineage=True)
        _report(site, manifest)


def _report(site: Site, manifest: Manifest) -> None:
    faults = verify_site(site.folder, manifest)
    accepted = manifest.clips("p2ft", "tpt")
    page = render_report(
        collect_figures(manifest, site.settings.curation, faults),
        code=site.settings.site.code,
        made_on=datetime.now(UTC).date(),
        thumbnails=make_thumbnails(accepted, site.clips_dir),
    )
    (site.folder / "curation-report.html").write_text(page, encoding="utf-8")


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Everything that any logger says goes to a file."""
    handler = logging.FileHandler(path)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
        handler.close()


def _show(progress: Progress) -> None:
    if progress.done % 10 == 0 or progress.done == progress.total:
        sys.stderr.write(f"    {progress.done} of {progress.total} videos\n")
