"""The curated clips of a stage, as the latents cache wants them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ophora_model.latents import ClipSource


def clip_sources(manifest: Path, clips: Path, stage: str) -> list[ClipSource]:
    """Every clip of the stage's tiers that the manifest has now; files lie in `clips` by id."""
    from ophora_curation.store.manifest import Manifest
    from ophora_model.latents import ClipSource

    with Manifest.open(manifest) as opened:
        rows = opened.clips_for_stage(stage)
    return [
        ClipSource(
            clip_id=row.clip_id,
            patient_id=row.patient_id,
            path=clips / f"{row.clip_id}.mp4",
            instruction=row.instruction,
            sha256=row.sha256,
        )
        for row in rows
    ]
