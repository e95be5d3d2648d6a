"""One site for a part of the benchmark: curated, exported and reported, with its log beside."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ophora_curation.pipeline import Progress, curate
from ophora_curation.settings import CurationPaths, CurationSettings
from ophora_curation.store.export import FORMATS, export_clips
from ophora_curation.store.manifest import Manifest


def curate_site(videos: Path, site: Path, settings: CurationSettings) -> None:
    """Curate a folder into `site` and make every export; the log is part of what is left there."""
    site.mkdir()
    paths = CurationPaths(
        manifest=site / "manifest.sqlite",
        clips=site / "clips",
        held=site / "held",
        certificates=site / "certificates",
    )
    with _logged(site / "curation.log"):
        curate(videos, out=paths, settings=settings, key=os.urandom(32), progress=_show)
    with Manifest.open(paths.manifest) as manifest:
        for kind in FORMATS:
            export_clips(
                manifest, clips=paths.clips, out=site / f"export-{kind}", kind=kind,
                with_lineage=True,
            )  # fmt: skip


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
