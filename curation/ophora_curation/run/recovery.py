"""What a run does before it begins: put right what a kill, a full disk or a stray hand left.

    files follow their rows -> drafts and nameless files go -> every file's bytes against its row

A clip whose file is lost or changed is rejected at once, so that nobody trains on it, and its
video is curated again.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from ophora_curation.errors import StoreFull
from ophora_curation.run.faults import READ_ONLY, store_full
from ophora_curation.settings import CurationPaths
from ophora_curation.store.clip_file import remove_orphans
from ophora_curation.store.identity import content_hash
from ophora_curation.store.manifest import Manifest
from ophora_curation.store.records import ClipRow
from ophora_curation.store.review import settle_files

LOST = "lost-file"
_READERS = 2  # threads; hashing leaves the interpreter free


def check_writable(out: CurationPaths) -> None:
    """Make the folders and try to write into each. Raises `StoreFull`."""
    for folder in (out.manifest.parent, out.clips, out.held, out.certificates):
        trial = folder / f".part-trial-{os.getpid()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            trial.write_bytes(b"x")
            trial.unlink()
        except OSError as error:
            with suppress(OSError):
                trial.unlink()
            raise (store_full(error) or StoreFull(READ_ONLY)) from error


def tidy(manifest: Manifest, out: CurationPaths) -> None:
    """Files where their rows say, and no others; drafts of a killed run are deleted."""
    with manifest.locked():
        settle_files(manifest.clips(), clips=out.clips, held=out.held)
        remove_orphans(out.clips, manifest.clip_ids("p2ft", "tpt"))
        remove_orphans(out.held, manifest.clip_ids("quarantine"))


def verify(manifest: Manifest, out: CurationPaths, tell: Callable[[int, int], None]) -> set[str]:
    """Check every clip file's bytes; the ids of videos that must be curated again.

    `tell(checked, total)` is called as it goes on.
    """
    rows = [clip for clip in manifest.clips("p2ft", "tpt", "quarantine") if clip.sha256]
    with ThreadPoolExecutor(_READERS) as pool:
        checks = pool.map(lambda clip: _is_whole(clip_path(clip, out), clip.sha256), rows)
        for number, (clip, is_whole) in enumerate(zip(rows, checks, strict=True), 1):
            if not is_whole:
                manifest.retier(clip.clip_id, "rejected", (LOST,))
                clip_path(clip, out).unlink(missing_ok=True)
            tell(number, len(rows))
    return {clip.video_id for clip in manifest.clips("rejected") if LOST in clip.reasons}


def clip_path(clip: ClipRow, out: CurationPaths) -> Path:
    """Where a clip's file lies."""
    folder = out.held if clip.tier == "quarantine" else out.clips
    return folder / f"{clip.clip_id}.mp4"


def _is_whole(path: Path, sha256: str) -> bool:
    try:
        return content_hash(path) == sha256
    except OSError:
        return False
