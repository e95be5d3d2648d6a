"""Clip decisions against the ground truth of phantom videos.

Videos of 720 x 480 and 1280 x 720 with overlays of every kind, faults, blends, round fields, turned
and uneven files and re-encoded copies are curated with the default settings.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from curation_parts.site import curate_site
from goals import Goal, share
from ophora_curation.evaluation import CurationScore, score
from ophora_curation.phantom.make import make_phantoms
from ophora_curation.phantom.request import PhantomRequest

# What protects a patient is asked for in full or nearly so, what yields training clips is not.
LEAST = {
    "p2ft_precision": 0.99,
    "p2ft_recall": 0.90,
    "phase_match": 0.95,
    "tier_match": 0.95,
    "clip_precision": 0.99,
    "clip_recall": 0.90,
    "personal_held": 1.0,
    "faults_found": 0.90,
    "planted_absent": 1.0,
}


def measure(*, quick: bool, folder: Path, seed: int) -> list[Goal]:
    """Make, curate, compare."""
    videos, site = folder / "videos", folder / "site"
    for request in requests(videos, seed, quick=quick):
        make_phantoms(request)
    curate_site(videos, site, {})
    return goals(score(site, videos))


def requests(videos: Path, seed: int, *, quick: bool) -> Iterator[PhantomRequest]:
    """Plain recordings mostly, then round fields with an uneven rate, then high definition."""
    plain = PhantomRequest(
        out=videos,
        patients=3 if quick else 44,
        seed=1000 * seed,
        size=(720, 480),
        fps=10,
        segments=(4, 5) if quick else (6, 9),
        identities="full",
        speech_share=0.1,
        overlay_share=0.2,
        personal_overlay_share=0.3 if quick else 0.15,
        fault_share=0.15,
        blend_share=0.15,
        elderly_share=0.2,
        workers=os.cpu_count() or 1,
    )
    yield replace(plain, copy_share=0.05)
    few = replace(plain, patients=1, segments=(2, 3)) if quick else replace(plain, patients=4)
    yield replace(few, seed=plain.seed + 1, field="circle", variable_rate=True, fps=12)
    yield replace(few, seed=plain.seed + 2, size=(1280, 720), fps=12 if quick else 25)
    if not quick:
        yield replace(few, seed=plain.seed + 3, size=(1280, 720), fps=12, rotation=180)


def goals(found: CurationScore) -> list[Goal]:
    """A goal for every share."""
    return [
        share(
            name.replace("_", " "),
            getattr(found, name).hits,
            getattr(found, name).total,
            at_least=least,
            bounded=True,
        )
        for name, least in LEAST.items()
    ]
