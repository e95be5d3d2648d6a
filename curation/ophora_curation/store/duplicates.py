"""Near-duplicates: of clips whose pictures are nearly the same, one stays.

Clips that an earlier run compared stay before new ones, so that what was trained on or reviewed is
not withdrawn for a newcomer; among new ones the order is by video and start.
"""

from dataclasses import replace

from ophora_curation.footage.fingerprint import distance
from ophora_curation.settings import CurationPaths
from ophora_curation.store.manifest import Manifest
from ophora_curation.store.review import settle_files

REASON = "near-duplicate"


def reject_duplicates(manifest: Manifest, out: CurationPaths, *, max_distance: float) -> int:
    """Compare the clips that no run has compared yet; the number that was rejected.

    One transaction; the files go after their rows. A distance below 0 compares nothing.
    """
    new = manifest.uncompared()
    if max_distance < 0 or not new:
        return 0
    kept = [clip.fingerprint for clip in manifest.compared() if clip.fingerprint]
    rejected: dict[str, str] = {}
    for clip in new:
        if not clip.fingerprint:
            continue
        if any(distance(clip.fingerprint, other) <= max_distance for other in kept):
            rejected[clip.clip_id] = REASON
        else:
            kept.append(clip.fingerprint)
    manifest.set_compared([clip.clip_id for clip in new], rejected)
    losers = [replace(clip, tier="rejected") for clip in new if clip.clip_id in rejected]
    settle_files(losers, clips=out.clips, held=out.held)
    return len(rejected)
