"""What the run's release folders hold beside the adapter: audit evidence and pictures.

A folder belongs to a release by the SHA-256 in its card or evidence; its name is never shown.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from ophora_server.errors import RecordInvalid
from ophora_server.evidence import Evidence, Figure
from ophora_server.published_release import EVIDENCE

PICTURE_TYPES = {".jpeg": "image/jpeg", ".jpg": "image/jpeg", ".png": "image/png"}
_CARD = "release.json"
_MOST_PICTURES, _MOST_PICTURE_BYTES = 12, 2**23
_MOST_CARD_BYTES = 2**24


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseFolder:
    """Figures that were measured of a release, and its pictures in order."""

    digest: str
    figures: tuple[Figure, ...] = ()
    pictures: tuple[Path, ...] = ()


def read_folders(releases: Path) -> dict[str, ReleaseFolder]:
    """By the SHA-256 of the adapter; a folder whose card can't be read is left out."""
    found: dict[str, ReleaseFolder] = {}
    for folder in sorted(releases.glob("[!.]*")):
        digest = _digest_of(folder / _CARD)
        if digest:
            found[digest] = ReleaseFolder(
                digest=digest, figures=_figures(folder, digest), pictures=_pictures(folder)
            )
    return found


def _digest_of(card: Path) -> str:
    try:
        if card.stat().st_size > _MOST_CARD_BYTES:
            return ""
        given = json.loads(card.read_bytes())
    except (OSError, ValueError):
        return ""
    return str(given.get("sha256", "")) if isinstance(given, dict) else ""


def _figures(folder: Path, digest: str) -> tuple[Figure, ...]:
    try:
        evidence = Evidence.read(folder / EVIDENCE)
    except RecordInvalid:
        return ()
    if evidence.adapter_sha256 != digest:
        return ()  # measured on another adapter
    return tuple(sorted(evidence.figures, key=lambda figure: (figure.kind, figure.name)))


def _pictures(folder: Path) -> tuple[Path, ...]:
    found = [path for path in sorted(folder.iterdir()) if _is_picture(path)]
    return tuple(found[:_MOST_PICTURES])


def _is_picture(path: Path) -> bool:
    if path.suffix.lower() not in PICTURE_TYPES or path.is_symlink():
        return False  # a link may lead out of the folder
    return path.is_file() and path.stat().st_size <= _MOST_PICTURE_BYTES
