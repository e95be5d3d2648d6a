"""Curate phantom videos and print agreement with their ground truth, de-identification and speed.

python benchmarks/curation.py [--quick] [--check] [--json FILE] [--patients 8] [--seed 7]
                              [--workers 1] [--speech-share 0.2]
"""

import argparse
import os
import resource
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from goals import Goal, make_parser, report, share
from ophora_curation.evaluation import CurationScore, score
from ophora_curation.phantom.make import make_phantoms
from ophora_curation.phantom.request import PhantomRequest
from ophora_curation.pipeline import curate
from ophora_curation.settings import CurationPaths, CurationSettings
from ophora_curation.store.manifest import Manifest

# Least shares. What protects a patient is asked for in full, what yields training clips is not.
_LEAST = {
    "phase_match": 0.95,
    "clip_precision": 0.95,
    "clip_recall": 0.80,
    "tier_match": 0.95,
    "personal_held": 1.0,
    "faults_found": 0.90,
    "planted_absent": 1.0,
}


def main() -> int:
    """Make, curate, compare, print; the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("--patients", type=int, help="default 8, quick 2")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--speech-share", type=float, default=0.2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        videos, site = Path(name) / "videos", Path(name) / "site"
        site.mkdir()
        make_phantoms(_request(videos, arguments))
        speed = measure_speed(videos, site, arguments.workers)
        found = score(site, videos)
    tiers = {
        f"overlay {overlay} -> {tier}": count
        for (overlay, tier), count in sorted(found.tiers.items())
    }
    return report([*agreement(found), speed], arguments, tiers)


def measure_speed(videos: Path, site: Path, workers: int) -> Goal:
    """Curate the folder; seconds of video for each second of CPU, the workers' included."""
    settings = CurationSettings(min_width=160, min_height=96, workers=workers)
    paths = CurationPaths(manifest=site / "manifest.sqlite", clips=site / "clips")
    start_s = _cpu_s()
    curate(videos, out=paths, settings=settings, key=os.urandom(32))
    spent_s = _cpu_s() - start_s
    with Manifest.open(paths.manifest) as manifest:
        footage_s = sum(video.duration_s for video in manifest.videos())
    return Goal(
        what="seconds of video per CPU second",
        measured=footage_s / spent_s,
        at_least=2.0,
        samples=round(footage_s),
    )


def agreement(found: CurationScore) -> list[Goal]:
    """A goal for every share."""
    return [
        share(
            name.replace("_", " "),
            getattr(found, name).hits,
            getattr(found, name).total,
            at_least=least,
        )
        for name, least in _LEAST.items()
    ]


def _request(videos: Path, arguments: argparse.Namespace) -> PhantomRequest:
    """Overlays and faults occur more often in a small sample, so that each goal has one."""
    request = PhantomRequest(
        out=videos,
        patients=arguments.patients or (2 if arguments.quick else 8),
        seed=arguments.seed,
        speech_share=arguments.speech_share,
        workers=arguments.workers,
    )
    if arguments.quick:
        return replace(request, personal_overlay_share=0.2, fault_share=0.2)
    return request


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


if __name__ == "__main__":
    sys.exit(main())
