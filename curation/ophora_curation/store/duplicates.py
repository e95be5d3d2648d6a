"""Near-duplicates: of clips whose pictures are nearly the same, one stays.

Clips that an earlier run compared stay before new ones, so that what was trained on or reviewed is
not withdrawn for a newcomer; among new ones the order is by video and start.
"""

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ophora_curation.footage.fingerprint import distance
from ophora_curation.settings import CurationPaths
from ophora_curation.store.manifest import Manifest
from ophora_curation.store.review import settle_files

REASON = "near-duplicate"

_Hashes = npt.NDArray[np.uint64]


def reject_duplicates(manifest: Manifest, out: CurationPaths, *, max_distance: float) -> int:
    """Compare the clips that no run has compared yet; the number that was rejected.

    One transaction; the files go after their rows. A distance below 0 compares nothing.
    """
    new = manifest.uncompared()
    if max_distance < 0 or not new:
        return 0
    kept = _Kept()
    for clip in manifest.compared():
        kept.add(clip.fingerprint)
    rejected: dict[str, str] = {}
    for clip in new:
        if kept.nearest(clip.fingerprint) <= max_distance:
            rejected[clip.clip_id] = REASON
        else:
            kept.add(clip.fingerprint)
    manifest.set_compared([clip.clip_id for clip in new], rejected)
    losers = [replace(clip, tier="rejected") for clip in new if clip.clip_id in rejected]
    settle_files(losers, clips=out.clips, held=out.held)
    return len(rejected)


class _Kept:
    """Fingerprints of the clips that stay, in one array for each length.

    `nearest` is the least `distance`, for all of them at once: a site has tens of thousands.
    """

    def __init__(self) -> None:
        self._rows: dict[int, list[_Hashes]] = {}

    def add(self, fingerprint: str) -> None:
        """Keep it; an empty one is like no other."""
        hashes = _hashes(fingerprint)
        if len(hashes):
            self._rows.setdefault(len(hashes), []).append(hashes[None, :])

    def nearest(self, fingerprint: str) -> float:
        """Mean number of bits to the nearest; infinite without any."""
        mine = _hashes(fingerprint)
        least = math.inf
        for length, rows in self._rows.items():
            if len(mine) and _comparable(len(mine), length):
                rows[:] = [np.concatenate(rows)]
                least = min(least, _least(mine, rows[0]))
        return least


def _least(mine: _Hashes, rows: _Hashes) -> float:
    """Over the rows and the alignments of the shorter within the longer."""
    short = min(len(mine), rows.shape[1])
    return min(
        float(
            np.bitwise_count(rows[:, there : there + short] ^ mine[here : here + short])
            .mean(1)
            .min()
        )
        for there in range(rows.shape[1] - short + 1)
        for here in range(len(mine) - short + 1)
    )


def _comparable(one: int, two: int) -> bool:
    return math.isfinite(distance("0" * 16 * one, "0" * 16 * two))


def _hashes(fingerprint: str) -> _Hashes:
    return np.frombuffer(bytes.fromhex(fingerprint), ">u8").astype(np.uint64)
