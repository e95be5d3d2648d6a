"""Certificates that say what the manifest says now: written, renewed, withdrawn with its rows."""

import logging
from pathlib import Path

from ophora_curation.store.certificate import (
    CertificateRefused,
    certificate_bytes,
    write_certificate,
)
from ophora_curation.store.manifest import Manifest

_LOG = logging.getLogger("ophora.curation")


def certify(manifest: Manifest, folder: Path, video_id: str) -> bool:
    """Write one video's certificate; False (and a line in the log) where it gets none."""
    try:
        write_certificate(folder, manifest, video_id)
    except CertificateRefused as refusal:
        _LOG.warning("video=%s certificate refused: %s", video_id, refusal)
        return False
    return True


def renew_certificates(manifest: Manifest, folder: Path) -> int:
    """Make every curated video's certificate say what its rows say; how many get none.

    Certificates of other videos, and drafts, are deleted.
    """
    curated = [video.video_id for video in manifest.videos() if video.status == "curated"]
    known = {f"{video_id}.json" for video_id in curated}
    for path in folder.iterdir():
        if path.name not in known:
            path.unlink(missing_ok=True)
    return sum(
        not (_is_current(manifest, folder, video_id) or certify(manifest, folder, video_id))
        for video_id in curated
    )


def _is_current(manifest: Manifest, folder: Path, video_id: str) -> bool:
    try:
        return (folder / f"{video_id}.json").read_bytes() == certificate_bytes(manifest, video_id)
    except (CertificateRefused, FileNotFoundError):
        return False
