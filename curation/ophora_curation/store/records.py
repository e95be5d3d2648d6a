"""The rows that curation leaves behind: one per video and one per clip.

Everything in a row may be shown to the site's own people; nothing in it is raw narration, a file
name or a path.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Tier = Literal["p2ft", "tpt", "quarantine", "rejected"]
TIERS: tuple[Tier, ...] = ("p2ft", "tpt", "quarantine", "rejected")


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRow:
    """One recording and what became of it."""

    video_id: str
    patient_id: str  # "" when the file lies in no patient's folder
    sha256: str
    recipe: str  # settings, sidecar and detectors: the same recipe is not curated twice
    status: Literal["curated", "refused"]
    reasons: tuple[str, ...] = ()
    duration_s: float = 0.0
    width: int = 0
    height: int = 0
    fps: float = 0.0
    frames: int = 0
    num_damaged: int = 0
    narration: str = ""  # "sidecar" | "speech" | ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRow:
    """One clip: its tier, why, and where it came from. `sha256` is "" when no file was written."""

    clip_id: str
    video_id: str
    patient_id: str
    tier: Tier
    reasons: tuple[str, ...]
    instruction: str
    phase: str | None
    start_s: float
    end_s: float
    frames: int = 0
    width: int = 0
    height: int = 0
    fps: float = 0.0
    sha256: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    lineage: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoOutcome:
    """A video's row with the rows of its clips: what one worker hands back."""

    video: VideoRow
    clips: tuple[ClipRow, ...] = ()
