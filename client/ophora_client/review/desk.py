"""Where decisions are taken: checks that the reviewer saw what is there, signs, and moves the file.

    POST -> the clip's row and file are as the page showed them -> signed row, tier and file move,
    under the manifest's lock -> review.head -> the video's certificate

The file moves before the transaction ends and is deleted only after it, so a kill at any moment
leaves a file that `settle_files` can put where the row says.
"""

import contextlib
import logging
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from ophora_client.errors import ClientError
from ophora_client.review.signing import ReviewKey
from ophora_curation.settings import CurationPaths
from ophora_curation.store.certificate import CertificateRefused, write_certificate
from ophora_curation.store.identity import content_hash
from ophora_curation.store.manifest import Manifest
from ophora_curation.store.records import ClipRow, Tier
from ophora_curation.store.review import (
    Decision,
    Review,
    check_reviewer,
    instruction_hash,
    move_file,
    obstacle,
    reasons_after,
    settle_files,
    tier_after,
)

_LOG = logging.getLogger("ophora.curation.review")


class UnknownClip(ClientError):
    """No clip of this id, or none with a file."""


class DecisionRefused(ClientError):
    """Nothing was decided: the clip changed, somebody else was first, or it may not be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a reviewer asks for, with what the page had shown."""

    clip_id: str
    decision: Decision
    sha256: str
    tier: Tier
    num_reviews: int  # of this clip
    reason: str = ""


class ReviewDesk:
    """The manifest, the two clip folders and the key of one site."""

    def __init__(self, paths: CurationPaths, *, key: ReviewKey, reviewer: str) -> None:
        check_reviewer(reviewer)
        self._path = paths.manifest
        self._clips = paths.clips
        self._held = paths.held
        self._certificates = paths.certificates
        self._key = key
        self._reviewer = reviewer
        self._one_at_a_time = threading.Lock()

    @classmethod
    def open(cls, paths: CurationPaths, *, key: ReviewKey, reviewer: str) -> Self:
        """As the constructor; files that a kill left in the wrong folder are put right."""
        desk = cls(paths, key=key, reviewer=reviewer)
        for folder in (paths.clips, paths.held, paths.certificates):
            folder.mkdir(exist_ok=True, mode=0o700)
        with Manifest.open(paths.manifest) as opened, opened.locked():
            desk._settle(opened.clips())
        return desk

    def queue(self, *tiers: Tier) -> list[ClipRow]:
        """Clips with a file, by video and start."""
        with Manifest.open(self._path) as manifest:
            return [clip for clip in manifest.clips(*tiers) if clip.sha256]

    def clip(self, clip_id: str) -> ClipRow:
        """One clip. Raises `UnknownClip`."""
        with Manifest.open(self._path) as manifest:
            clip = manifest.clip(clip_id)
        if clip is None:
            message = f"clip {clip_id} is not in the manifest: reload the page"
            raise UnknownClip(message)
        return clip

    def reviews(self, clip_id: str) -> list[Review]:
        """Decisions on a clip so far."""
        with Manifest.open(self._path) as manifest:
            return manifest.reviews(clip_id)

    def file(self, clip: ClipRow) -> Path:
        """The clip's file, with the content that its row names.

        Raises `UnknownClip` where there is none, `DecisionRefused` for another content.
        """
        path = self._home(clip.tier) / f"{clip.clip_id}.mp4"
        if not clip.sha256 or not path.is_file():
            message = f"clip {clip.clip_id} has no file"
            raise UnknownClip(message)
        if content_hash(path) != clip.sha256:
            message = f"the file of clip {clip.clip_id} was changed: curate its video again"
            raise DecisionRefused(message)
        return path

    def decide(self, request: Request) -> Review:
        """Take, sign and carry out one decision.

        Raises `UnknownClip`, or `DecisionRefused` with nothing changed.
        """
        with self._one_at_a_time:
            review = self._record(request)
            if review.decision == "reject":
                self._settle([self.clip(review.clip_id)])
            self._key.note_head(review)
            self._certify(review.clip_id)
        _LOG.info(
            "review=%d clip=%s decision=%s tier=%s",
            *(review.number, review.clip_id, review.decision, review.tier_after),
        )
        return review

    def _record(self, request: Request) -> Review:
        with Manifest.open(self._path) as manifest, manifest.locked():
            clip = manifest.clip(request.clip_id)
            if clip is None:
                message = f"clip {request.clip_id} is not in the manifest: reload the page"
                raise UnknownClip(message)
            self._check(clip, manifest.reviews(clip.clip_id), request)
            review = self._key.sign(self._review(clip, manifest.reviews(), request))
            manifest.record_review(
                review, tier=review.tier_after, reasons=reasons_after(review.decision)
            )
            self._move(clip, review)
        return review

    def _check(self, clip: ClipRow, made: list[Review], request: Request) -> None:
        if len(made) != request.num_reviews or clip.tier != request.tier:
            message = "decided meanwhile: somebody else was first; the page shows what holds now"
            raise DecisionRefused(message)
        if clip.sha256 != request.sha256:
            message = f"clip {clip.clip_id} was curated again meanwhile: look at it once more"
            raise DecisionRefused(message)
        refusal = obstacle(clip, request.decision)
        if refusal:
            message = f"can't {request.decision}: {refusal}"
            raise DecisionRefused(message)
        self.file(clip)

    def _review(self, clip: ClipRow, chain: list[Review], request: Request) -> Review:
        return Review(
            number=chain[-1].number + 1 if chain else 1,
            clip_id=clip.clip_id,
            clip_sha256=clip.sha256,
            instruction_sha256=instruction_hash(clip),
            decision=request.decision,
            tier_before=clip.tier,
            tier_after=tier_after(clip, request.decision),
            reviewer=self._reviewer,
            decided_at=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            previous=chain[-1].signature if chain else "",
            reason=request.reason,
        )

    def _move(self, clip: ClipRow, review: Review) -> None:
        if review.decision == "reject":
            return
        name = f"{clip.clip_id}.mp4"
        source, target = self._home(clip.tier) / name, self._home(review.tier_after) / name
        if source != target:
            move_file(source, target)

    def _certify(self, clip_id: str) -> None:
        """Make the video's certificate anew: it names tiers and decisions."""
        with Manifest.open(self._path) as manifest:
            clip = manifest.clip(clip_id)
            if clip is not None:
                with contextlib.suppress(CertificateRefused):  # it is gone then
                    write_certificate(self._certificates, manifest, clip.video_id)

    def _home(self, tier: Tier) -> Path:
        return self._clips if tier in ("p2ft", "tpt") else self._held

    def _settle(self, rows: Iterable[ClipRow]) -> None:
        settled = settle_files(rows, clips=self._clips, held=self._held)
        if settled:
            _LOG.info("files put where their rows say: %d", settled)
