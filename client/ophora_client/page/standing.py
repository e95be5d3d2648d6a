"""Where the site stands beside its rounds: clips by tier, and the federation it has joined."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryptography import x509

from ophora_client.page.trouble import Trouble
from ophora_curation.errors import CurationError
from ophora_curation.store.manifest import Manifest
from ophora_curation.store.records import TIERS, Tier

_WARN_DAYS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Clips:
    """How many clips are in each tier, and of how many videos."""

    tiers: Mapping[Tier, int]
    videos: int
    refused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """The coordinator's certificate, which the site trusts alone; `tone` is how near its end is."""

    until: datetime.date
    days: int
    tone: Literal["good", "warn", "bad"]


def count_clips(manifest_path: Path) -> Clips | Trouble:
    """Counts alone; reading makes no manifest."""
    if not manifest_path.is_file():
        return Trouble(
            said="Nothing is curated yet.",
            remedy="`ophora site curate VIDEO_DIR --site SITE` makes clips.",
            is_fault=False,
        )
    try:
        with Manifest.open(manifest_path) as manifest:
            counts = manifest.counts()
    except (CurationError, sqlite3.Error):
        return Trouble(
            said="The manifest of clips can't be read.",
            remedy="Put manifest.sqlite back from the backup, or move it away and curate again.",
        )
    return Clips(
        tiers={tier: counts[tier] for tier in TIERS},
        videos=counts["videos-curated"],
        refused=counts["videos-refused"],
    )


def look_at_membership(authority: Path, now: datetime.datetime) -> Joined | Trouble:
    """How long the certificate that came with the kit is still valid."""
    if not authority.is_file():
        return Trouble(
            said="This site has not joined a federation.",
            remedy="`ophora site join CODE.kit --site SITE` does, with the coordinator's kit.",
            is_fault=False,
        )
    try:
        end = x509.load_pem_x509_certificate(authority.read_bytes()).not_valid_after_utc
    except (OSError, ValueError):
        return Trouble(
            said="The coordinator's certificate can't be read, so no round can be reached.",
            remedy="Join again with the kit: `ophora site join CODE.kit --site SITE`.",
        )
    days = (end - now).days
    tone: Literal["good", "warn", "bad"] = "good" if days >= _WARN_DAYS else "warn"
    return Joined(until=end.date(), days=days, tone="bad" if end <= now else tone)
