"""A person's decision on a clip: what it says, what it may do, and where the clip's file goes.

    decision -> (signed) row of `reviews` + tier of the clip, in one transaction -> file moved

The row is the truth and the file follows it: `settle_files` puts right what a kill in between left.
Decisions are chained, each signs the signature before it, so none can be changed, taken out or
put elsewhere unseen. Signatures are made and checked where the key is (`ophora_client.review`).
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from ophora_curation.store.identity import content_hash
from ophora_curation.store.records import ClipRow, Tier

Decision = Literal["approve", "reject", "return"]
DECISIONS: tuple[Decision, ...] = ("approve", "reject", "return")
# why, in closed words: a free comment could name somebody
REASONS = (
    *("personal", "face", "overlay", "out-of-field"),
    *("poor-picture", "wrong-instruction", "incomplete", "mistake"),
)
_REVIEWER = re.compile(r"[a-z][a-z0-9-]{0,31}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_NEEDS_MASK = frozenset({"personal", "face"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """One decision. `signature` is "" until it is signed; `previous` is "" for the first."""

    number: int  # 1, 2, ...: its place in the chain
    clip_id: str
    clip_sha256: str
    instruction_sha256: str  # the text was decided on together with the picture
    decision: Decision
    tier_before: Tier
    tier_after: Tier
    reviewer: str  # a code, not a name
    decided_at: str  # UTC, 2026-01-31T09:30:00Z
    previous: str  # signature of the decision before
    reason: str = ""
    signature: str = ""

    def __post_init__(self) -> None:
        if self.decision not in DECISIONS:
            message = f'decision="{self.decision}": must be one of {", ".join(DECISIONS)}'
            raise ValueError(message)
        if self.reason and self.reason not in REASONS:
            message = f"reason of {len(self.reason)} letters: must be one of {', '.join(REASONS)}"
            raise ValueError(message)
        check_reviewer(self.reviewer)
        if not _TIME.fullmatch(self.decided_at):
            message = f'decided_at="{self.decided_at}": must be UTC as 2026-01-31T09:30:00Z'
            raise ValueError(message)

    def signed_bytes(self) -> bytes:
        """What the signature is over: every field but itself, always in the same bytes."""
        fields = asdict(self)
        del fields["signature"]
        return json.dumps(fields, sort_keys=True, separators=(",", ":")).encode("ascii")


def check_reviewer(code: str) -> None:
    """Raises `ValueError` for what is not an opaque code."""
    if not _REVIEWER.fullmatch(code):
        message = (
            f'reviewer="{code}": must be 1 to 32 lower-case letters, digits or "-", '
            "beginning with a letter, and must not be a name"
        )
        raise ValueError(message)


def instruction_hash(clip: ClipRow) -> str:
    """SHA-256 of the instruction that a decision is about."""
    return hashlib.sha256(clip.instruction.encode("utf-8")).hexdigest()


def concerns(review: Review, clip: ClipRow) -> bool:
    """Whether the decision is about this very clip and text, not what the id once named."""
    return (review.clip_id, review.clip_sha256, review.instruction_sha256) == (
        clip.clip_id,
        clip.sha256,
        instruction_hash(clip),
    )


def tier_after(clip: ClipRow, decision: Decision) -> Tier:
    """Where a decision takes a clip: an approved one is `p2ft` only with nothing on screen."""
    if decision == "reject":
        return "rejected"
    if decision == "return":
        return "quarantine"
    return "tpt" if clip.findings else "p2ft"


def reasons_after(decision: Decision) -> tuple[str, ...]:
    """The row's reasons once decided."""
    return {"approve": ("approved",), "reject": ("reviewed",), "return": ("returned",)}[decision]


def obstacle(clip: ClipRow, decision: Decision) -> str:
    """Why this decision can't be taken, for a person to read; "" when it can."""
    if clip.tier == "rejected":
        return "the clip is rejected and its file is gone"
    if decision == "reject":
        return ""
    if decision == "return":
        return "the clip is in quarantine already" if clip.tier == "quarantine" else ""
    if clip.tier != "quarantine":
        return f"the clip is in {clip.tier} already"
    return _bar_to_approval(clip)


def _bar_to_approval(clip: ClipRow) -> str:
    if not clip.sha256:
        return "no clip was written, so there is nothing to approve"
    if clip.residual < 0:
        return "the written clip was not searched again, so nobody knows what is left in it"
    if clip.residual > 0:
        return f"findings left in the written clip: {clip.residual}"
    if any(found.kind in _NEEDS_MASK and not found.masked for found in clip.findings):
        return "something personal or a face was found and is not masked"
    if not clip.instruction:
        return "the clip has no instruction"
    return ""


def settle_files(rows: Iterable[ClipRow], *, clips: Path, held: Path) -> int:
    """Make the files follow their rows after a kill; how many were moved or deleted.

    A file is moved only if its content is what the row says. Call it before files that no row
    names are removed, while nothing else decides (inside `Manifest.locked`).
    """
    settled = 0
    for row in rows:
        if not row.sha256:
            continue
        name = f"{row.clip_id}.mp4"
        if row.tier == "rejected":
            settled += sum(_delete(folder / name) for folder in (clips, held))
            continue
        home, other = (held, clips) if row.tier == "quarantine" else (clips, held)
        stray = other / name
        if stray.is_file() and not (home / name).exists() and content_hash(stray) == row.sha256:
            move_file(stray, home / name)
            settled += 1
    return settled


def move_file(source: Path, target: Path) -> None:
    """Rename within the site's disk; durable once it returns."""
    source.replace(target)
    for folder in (target.parent, source.parent):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _delete(path: Path) -> bool:
    if not path.exists():
        return False
    path.unlink()
    return True
