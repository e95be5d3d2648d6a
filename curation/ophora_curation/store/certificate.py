"""One certificate a video: what was searched for, by which detectors, and what is left (nothing).

Made from the manifest alone, so the same rows give the same bytes. It is for the site's privacy
officer and holds nothing that identifies: the video is named by its id, which is a keyed hash of
patient and content. The plain SHA-256 of the recording stays in the manifest and is left out here,
since whoever holds a copy of the recording could find its certificate by it.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ophora_curation.errors import CurationError
from ophora_curation.store.manifest import Manifest
from ophora_curation.store.records import ClipRow, VideoRow
from ophora_curation.store.review import Review

SCHEMA = "ophora-certificate-1"
_ACCEPTED = frozenset({"p2ft", "tpt"})
# of a clip's lineage; everything else in it names a detector
_ABOUT_THE_RUN = frozenset({"settings", "recipe", "code"})
_NOT_DETECTORS = _ABOUT_THE_RUN | {"source_sha256", "instruction_by"}


class CertificateRefused(CurationError):
    """Something that must not be there is left in an accepted clip, or nobody looked."""


def certificate(manifest: Manifest, video_id: str) -> dict[str, Any]:
    """The certificate of a curated video.

    Raises `CertificateRefused` when an accepted clip has anything left or was not searched after
    writing, `KeyError` for a video that the manifest does not hold as curated.
    """
    video = manifest.video(video_id)
    if video is None or video.status != "curated":
        message = f"video {video_id} is not curated: there is nothing to certify"
        raise KeyError(message)
    clips = manifest.clips_of(video_id)
    for clip in clips:
        if clip.tier in _ACCEPTED and clip.residual != 0:
            left = "was not searched after writing" if clip.residual < 0 else "has findings left"
            message = f"clip {clip.clip_id} is in {clip.tier} and {left}: curate its video again"
            raise CertificateRefused(message)
    return {
        "schema": SCHEMA,
        "video": _video(video),
        "run": _shared(clips, _ABOUT_THE_RUN.__contains__),
        "detectors": _shared(clips, lambda name: name not in _NOT_DETECTORS),
        "clips": [_clip(clip, manifest.reviews(clip.clip_id)) for clip in clips],
        "tiers": dict(sorted(Counter(clip.tier for clip in clips).items())),
        "residual": sum(clip.residual for clip in clips if clip.tier in _ACCEPTED),
    }


def certificate_bytes(manifest: Manifest, video_id: str) -> bytes:
    """The certificate as JSON; the same rows give the same bytes. Raises as `certificate`."""
    document = certificate(manifest, video_id)
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=True).encode() + b"\n"


def write_certificate(folder: Path, manifest: Manifest, video_id: str) -> Path:
    """Write `folder/<video_id>.json`, whole or not at all; an earlier one that is refused goes.

    Raises as `certificate`.
    """
    path = folder / f"{video_id}.json"
    try:
        text = certificate_bytes(manifest, video_id)
    except (CertificateRefused, KeyError):
        path.unlink(missing_ok=True)  # it would vouch for what is so no longer
        raise
    draft = folder / f".part-{video_id}.json"
    try:
        with draft.open("wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path


def _video(video: VideoRow) -> dict[str, Any]:
    return {
        "id": video.video_id,
        "id_is": "HMAC-SHA256 of patient and content under the site's key, shortened",
        "duration_s": video.duration_s,
        "frames": video.frames,
        "frames_damaged": video.num_damaged,
        "frames_lost": video.num_lost,
        "narration": video.narration,
        "recipe": video.recipe,
    }


def _clip(clip: ClipRow, reviews: list[Review]) -> dict[str, Any]:
    found = Counter(
        (item.detector, item.kind, "masked" if item.masked else "left") for item in clip.findings
    )
    return {
        "id": clip.clip_id,
        "sha256": clip.sha256,
        "tier": clip.tier,
        "reasons": list(clip.reasons),
        "residual": clip.residual,
        "findings": {" ".join(words): count for words, count in sorted(found.items())},
        "clauses_withheld": dict(sorted(clip.dropped.items())),
        "instruction_by": clip.lineage.get("instruction_by", ""),
        "decisions": [
            {"number": each.number, "decision": each.decision, "tier": each.tier_after}
            for each in reviews
        ],
    }


def _shared(clips: list[ClipRow], keep: Callable[[str], bool]) -> Mapping[str, str]:
    """What the clips' lineage says; values that differ between clips are all named."""
    said: dict[str, set[str]] = {}
    for clip in clips:
        for name, value in clip.lineage.items():
            if keep(name):
                said.setdefault(name, set()).add(value)
    return {name: " | ".join(sorted(values)) for name, values in sorted(said.items())}
