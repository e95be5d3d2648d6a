"""The rows that curation leaves behind: one per video and one per clip.

Everything in a row may be shown to the site's own people; nothing in it is raw narration, a file
name or a path.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Tier = Literal["p2ft", "tpt", "quarantine", "rejected"]
TIERS: tuple[Tier, ...] = ("p2ft", "tpt", "quarantine", "rejected")
Box = tuple[int, int, int, int]  # left, top, right, bottom, in the clip's pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that a detector saw in a clip's picture: what and where, never what it said."""

    detector: str  # "text" | "face" | "layout" | "field" | "vision"
    kind: str  # "personal" | "unread" | "device" | "logo" | "face" | ...
    box: Box
    score: float
    masked: bool = False


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
    num_damaged: int = 0  # packets that could not be decoded and frames marked as corrupt
    num_lost: int = 0  # frames that the container claims and nobody got
    codec: str = ""
    rotation: int = 0  # degrees that the pictures were turned by
    variable_rate: bool = False
    repeated_share: float = 0.0  # of frames that repeat the one before
    narration: str = ""  # "sidecar" | "speech" | ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipRow:
    """One clip: its tier, why, and where it came from. `sha256` is "" when no file was written.

    A clip in `p2ft` or `tpt` has its file in the clips folder, one in quarantine in the held one.
    """

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
    fingerprint: str = ""  # perceptual hashes of its frames, hex; "" where it was not looked at
    confidence: float = 0.0  # of the instruction, 0-1
    residual: int = -1  # findings in the written file that must not be there; -1: not looked for
    findings: tuple[Finding, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)  # clauses withheld, by guard
    scores: Mapping[str, float] = field(default_factory=dict)
    lineage: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoOutcome:
    """A video's row with the rows of its clips: what one worker hands back."""

    video: VideoRow
    clips: tuple[ClipRow, ...] = ()
