"""The demo's three sites: phantom videos, made and curated as a hospital would curate its own."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ophora_client.site import Site, init_site
from ophora_curation.phantom.make import make_phantoms
from ophora_curation.phantom.request import PhantomRequest
from ophora_curation.pipeline import curate
from ophora_curation.store.manifest import Manifest
from ophora_deploy.demo.plan import DELTA, DemoPlan, SiteMix

Progress = Callable[[int, int], None]
WORKERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoSite:
    """One site, where its raw videos lie, and the strings that were planted in them."""

    mix: SiteMix
    site: Site
    videos: Path
    planted: frozenset[str]


def make_site(
    plan: DemoPlan, mix: SiteMix, number: int, folder: Path, progress: Progress
) -> DemoSite:
    """Makes the site's phantom videos (`number` is 0, 1, 2) and an empty site beside them."""
    videos = folder / "videos"
    make_phantoms(
        PhantomRequest(
            out=videos,
            patients=plan.patients_per_site,
            seed=plan.seed * 1000 + number,
            size=plan.size,
            weights=mix.weights,
            overlay_share=plan.overlay_share,
            personal_overlay_share=plan.personal_overlay_share,
            fault_share=plan.fault_share,
            speech_share=plan.speech_share,
            segments=plan.segments,
            workers=WORKERS,
        ),
        progress,
    )
    planted: set[str] = set()
    for truth in videos.rglob("*.truth.json"):
        planted.update(json.loads(truth.read_text(encoding="utf-8"))["planted"])
    return DemoSite(
        mix=mix,
        site=init_site(folder / "site", code=mix.code, profile=_profile(plan)),
        videos=videos,
        planted=frozenset(planted),
    )


def curate_site(demo_site: DemoSite, progress: Progress) -> None:
    """Runs the site's own curation over its videos."""
    site = demo_site.site
    curate(
        demo_site.videos,
        out=site.curation_paths,
        settings=site.settings.curation,
        key=site.key(),
        execution=site.settings.execution,
        progress=lambda state: progress(state.done, state.total),
    )


def count_reasons(site: Site) -> tuple[dict[str, int], dict[str, int], int]:
    """Clips by tier, reasons of what was held or refused (most frequent first), and videos."""
    with Manifest.open(site.manifest_path) as manifest:
        clips, videos = manifest.clips(), manifest.videos()
    tiers = Counter(clip.tier for clip in clips)
    reasons: Counter[str] = Counter()
    for clip in clips:
        if clip.tier in {"quarantine", "rejected"}:
            reasons.update(clip.reasons)
    for video in videos:
        if video.status == "refused":
            reasons.update(video.reasons)
    return {str(k): v for k, v in tiers.items()}, dict(reasons.most_common()), len(videos)


def count_patients(site: Site) -> int:
    """Patients with at least one clip in a training tier."""
    with Manifest.open(site.manifest_path) as manifest:
        return len({clip.patient_id for clip in manifest.clips_for_stage("tpt")})


def _profile(plan: DemoPlan) -> dict[str, dict[str, object]]:
    """Small videos are let in, and the budget is what this demo was asked to spend."""
    return {
        "curation": {
            "min_width": plan.size[0],
            "min_height": plan.size[1],
        },
        "execution": {"workers": WORKERS},
        "privacy": {
            "epsilon_cap": math.inf if plan.epsilon is None else plan.epsilon,
            "delta": DELTA,
        },
        "model": {"preset": "tiny"},
    }
