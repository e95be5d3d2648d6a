"""The numbers of a site's report, from its manifest: counts, never an id, a name or a frame."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ophora_client.report.plot import Histogram, histogram
from ophora_client.review.signing import Fault
from ophora_curation.phases import PHASES
from ophora_curation.settings import CurationSettings
from ophora_curation.store.certificate import CertificateRefused, certificate
from ophora_curation.store.manifest import Manifest
from ophora_curation.store.records import TIERS, ClipRow, VideoRow
from ophora_curation.store.review import DECISIONS, Review

# what of a clip's lineage is no detector's version
_NOT_DETECTORS = frozenset({"source_sha256", "settings", "recipe", "instruction_by"})
_GROUPS = {"accepted": ("p2ft", "tpt"), "held": ("quarantine",), "rejected": ("rejected",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """Frames of the curated recordings, and what was wrong with them."""

    read: int
    lost: int
    damaged: int
    repeated: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """What the certificates say together."""

    videos: int
    residual: int  # in accepted clips
    refused: int  # videos that can't be certified


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Everything a report shows."""

    videos: int
    refused_videos: Mapping[str, int]
    patients: int
    source_hours: float
    tiers: Mapping[str, int]
    accepted_minutes: float
    phases: Sequence[tuple[str | None, Mapping[str, int]]]
    reasons: Sequence[tuple[str, str, int]]  # tier, reason, clips
    plots: Sequence[Histogram]
    withheld: Mapping[str, int]
    findings: Sequence[tuple[str, str, int, int]]  # detector, kind, masked, left
    frames: Frames
    decisions: Mapping[str, int]
    faults: Sequence[Fault]
    detectors: Mapping[str, Sequence[str]]
    certified: Certified


def collect_figures(
    manifest: Manifest, settings: CurationSettings, faults: Sequence[Fault]
) -> Figures:
    """Count what the manifest holds; `faults` are those of `verify_site`."""
    videos, clips = manifest.videos(), manifest.clips()
    curated = [video for video in videos if video.status == "curated"]
    accepted = [clip for clip in clips if clip.tier in ("p2ft", "tpt")]
    refused = [reason for v in videos if v.status == "refused" for reason in v.reasons]
    return Figures(
        videos=len(curated),
        refused_videos=dict(Counter(refused).most_common()),
        patients=len({video.patient_id for video in curated}),
        source_hours=sum(video.duration_s for video in curated) / 3600,
        tiers={tier: sum(clip.tier == tier for clip in clips) for tier in TIERS},
        accepted_minutes=sum(clip.end_s - clip.start_s for clip in accepted) / 60,
        phases=_phases(clips),
        reasons=_reasons(clips),
        plots=_plots(clips, settings),
        withheld=dict(_withheld(clips).most_common()),
        findings=_findings(clips),
        frames=_frames(curated),
        decisions=_decisions(manifest.reviews()),
        faults=tuple(faults),
        detectors=_detectors(clips),
        certified=_certified(manifest, curated),
    )


def _phases(clips: Sequence[ClipRow]) -> list[tuple[str | None, Mapping[str, int]]]:
    counts = Counter((clip.phase, clip.tier) for clip in clips)
    rows: list[tuple[str | None, Mapping[str, int]]] = [
        (phase, {tier: counts[phase, tier] for tier in TIERS}) for phase in (*PHASES, None)
    ]
    return [(phase, row) for phase, row in rows if any(row.values())]


def _reasons(clips: Sequence[ClipRow]) -> list[tuple[str, str, int]]:
    counts = Counter((clip.tier, reason) for clip in clips for reason in clip.reasons)
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    return [(tier, reason, count) for (tier, reason), count in ordered]


def _plots(clips: Sequence[ClipRow], settings: CurationSettings) -> list[Histogram]:
    groups = {
        name: [clip for clip in clips if clip.tier in tiers] for name, tiers in _GROUPS.items()
    }

    def score(name: str) -> dict[str, list[float]]:
        return {
            group: [clip.scores[name] for clip in members if name in clip.scores]
            for group, members in groups.items()
        }

    lengths = {
        group: [clip.end_s - clip.start_s for clip in members] for group, members in groups.items()
    }
    limits = {"shortest": settings.min_clip_s, "longest": settings.max_clip_s}
    motion = {"static below": settings.min_motion, "violent above": settings.max_motion}
    share = {"at most": settings.max_bad_share}
    eye = {"at least": settings.min_field}
    return [
        histogram("Length of clips", "seconds", lengths, thresholds=limits),
        histogram(
            "Motion", "% of width a second", score("motion"), thresholds=motion, log_from=0.1
        ),
        histogram("Blurred frames", "share of a clip", score("blurred"), thresholds=share),
        histogram("Eye in the middle", "share of it", score("field"), thresholds=eye),
    ]


def _withheld(clips: Sequence[ClipRow]) -> Counter[str]:
    tally: Counter[str] = Counter()
    for clip in clips:
        tally.update(dict(clip.dropped))
    return tally


def _findings(clips: Sequence[ClipRow]) -> list[tuple[str, str, int, int]]:
    counts = Counter(
        (found.detector, found.kind, found.masked) for clip in clips for found in clip.findings
    )
    kinds = sorted({(detector, kind) for detector, kind, _ in counts})
    return [(d, k, counts[d, k, True], counts[d, k, False]) for d, k in kinds]


def _frames(videos: Sequence[VideoRow]) -> Frames:
    return Frames(
        read=sum(video.frames for video in videos),
        lost=sum(video.num_lost for video in videos),
        damaged=sum(video.num_damaged for video in videos),
        repeated=round(sum(video.repeated_share * video.frames for video in videos)),
    )


def _decisions(reviews: Sequence[Review]) -> dict[str, int]:
    counts = Counter(review.decision for review in reviews)
    return {decision: counts[decision] for decision in DECISIONS}


def _detectors(clips: Sequence[ClipRow]) -> dict[str, list[str]]:
    said: dict[str, set[str]] = {}
    for clip in clips:
        for name, version in clip.lineage.items():
            if name not in _NOT_DETECTORS:
                said.setdefault(name, set()).add(version)
    return {name: sorted(versions) for name, versions in sorted(said.items())}


def _certified(manifest: Manifest, videos: Sequence[VideoRow]) -> Certified:
    residual = refused = 0
    for video in videos:
        try:
            residual += int(certificate(manifest, video.video_id)["residual"])
        except CertificateRefused:
            refused += 1
    return Certified(videos=len(videos) - refused, residual=residual, refused=refused)
