"""Curate phantom videos and print agreement with their ground truth, de-identification and speed.

python benchmarks/curation.py [--patients 8] [--seed 7] [--workers 1] [--speech-share 0.2]
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from ophora_curation.evaluation import score
from ophora_curation.manifest import Manifest
from ophora_curation.phantom.make import make_phantoms
from ophora_curation.phantom.request import PhantomRequest
from ophora_curation.pipeline import curate
from ophora_curation.settings import CurationPaths, CurationSettings


def main() -> None:
    """Make, curate, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--speech-share", type=float, default=0.2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        videos, site = Path(name) / "videos", Path(name) / "site"
        site.mkdir()
        make_phantoms(
            PhantomRequest(
                out=videos,
                patients=arguments.patients,
                seed=arguments.seed,
                speech_share=arguments.speech_share,
                workers=arguments.workers,
            )
        )
        report(videos, site, arguments.workers)


def report(videos: Path, site: Path, workers: int) -> None:
    """Curate one folder and print its figures."""
    settings = CurationSettings(min_width=160, min_height=96, workers=workers)
    paths = CurationPaths(manifest=site / "manifest.sqlite", clips=site / "clips")
    start = time.monotonic()
    curate(videos, out=paths, settings=settings, key=os.urandom(32))
    seconds = time.monotonic() - start
    with Manifest.open(paths.manifest) as manifest:
        footage = sum(video.duration_s for video in manifest.videos())
    sys.stdout.write(
        f"speed            {footage:.0f} s of video in {seconds:.1f} s, {workers} worker(s)\n"
    )
    result = score(site, videos)
    for field in result.__dataclass_fields__:
        if field != "tiers":
            sys.stdout.write(f"{field:16} {getattr(result, field)}\n")
    for (overlay, tier), count in sorted(result.tiers.items()):
        sys.stdout.write(f"overlay {overlay:9} -> {tier:10} {count}\n")


if __name__ == "__main__":
    main()
