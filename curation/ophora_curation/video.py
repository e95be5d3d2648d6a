"""One video through every stage: probe, narration, observation, spans, judgement, clips.

This runs inside a worker. It decodes a video twice: once to see it, once to write the clips that
are worth it. What it hands back holds ids, numbers and instructions, never raw narration.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

from ophora_curation.detectors import Detectors
from ophora_curation.errors import CurationError, DetectorMissing, VideoRefused
from ophora_curation.footage.observation import Observation, observe
from ophora_curation.footage.quality import Quality, judge
from ophora_curation.footage.spans import ClipSpan, SpanRule, plan_spans
from ophora_curation.narration.subtitles import Utterance, find_sidecar, read_sidecar
from ophora_curation.picture.overlay import MeanPictures, judge_overlay
from ophora_curation.settings import CurationSettings
from ophora_curation.source.probe import Probe, probe_video
from ophora_curation.source.reader import Frame, FrameReader
from ophora_curation.store.clip_file import ClipWriter
from ophora_curation.store.identity import keyed_id
from ophora_curation.store.records import ClipRow, Tier, VideoOutcome, VideoRow
from ophora_curation.text.instruction import Instruction, write_instruction

_HELD = {
    "personal": "overlay-personal",
    "unread": "overlay-unread",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoJob:
    """What a worker needs to know of one video. `path` may name a patient: keep it out of logs."""

    path: Path
    video_id: str
    patient_id: str
    sha256: str
    recipe: str

    def refused(self, reason: str) -> VideoOutcome:
        """The outcome where the video is not used."""
        row = VideoRow(
            video_id=self.video_id,
            patient_id=self.patient_id,
            sha256=self.sha256,
            recipe=self.recipe,
            status="refused",
            reasons=(reason,),
        )
        return VideoOutcome(video=row)


class VideoCurator:
    """Holds what every video of a worker shares: settings, key, detectors and the clip folder."""

    def __init__(
        self, *, settings: CurationSettings, key: bytes, clips: Path, detectors: Detectors
    ) -> None:
        self._settings = settings
        self._key = key
        self._clips = clips
        self._detectors = detectors

    def curate(self, job: VideoJob) -> VideoOutcome:
        """Curate one video. A video that can't be used gives a refused row, not an exception."""
        try:
            return self._curate(job)
        except VideoRefused as refusal:
            return job.refused(refusal.reason)

    def _curate(self, job: VideoJob) -> VideoOutcome:
        settings = self._settings
        probe = probe_video(job.path, min_width=settings.min_width, min_height=settings.min_height)
        reader = FrameReader(job.path, probe)
        fps = float(probe.fps)
        seen = observe(reader, fps=fps, shot_threshold=settings.shot_threshold)
        self._check_whole(seen, reader, fps)
        narration, source = self._narration(job.path, probe)
        spans = plan_spans(
            seen.times_s.tolist(),
            seen.cuts,
            narration,
            SpanRule(
                min_s=settings.min_clip_s,
                target_s=settings.target_clip_s,
                max_s=settings.max_clip_s,
            ),
        )
        row = VideoRow(
            video_id=job.video_id,
            patient_id=job.patient_id,
            sha256=job.sha256,
            recipe=job.recipe,
            status="curated",
            duration_s=round(seen.num_frames / fps, 3),
            width=probe.width,
            height=probe.height,
            fps=fps,
            frames=seen.num_frames,
            num_damaged=reader.num_damaged,
            narration=source,
        )
        drafts = [self._draft(job, span, judge(span, seen, settings, fps)) for span in spans]
        return VideoOutcome(video=row, clips=tuple(self._write(job, probe, spans, drafts)))

    def _check_whole(self, seen: Observation, reader: FrameReader, fps: float) -> None:
        if reader.num_damaged > self._settings.max_damaged_share * max(1, seen.num_frames):
            raise VideoRefused("damaged")
        if seen.num_frames / fps < self._settings.min_clip_s:
            raise VideoRefused("too-short")

    def _narration(self, path: Path, probe: Probe) -> tuple[list[Utterance], str]:
        sidecar = find_sidecar(path)
        if sidecar is not None:
            said = read_sidecar(sidecar)
            if said:
                return said, "sidecar"
        if not probe.has_audio:
            raise VideoRefused("no-narration")
        try:
            said = self._detectors.speech.listen(path, probe)
        except DetectorMissing as error:
            raise VideoRefused("no-speech-model") from error
        if not said:
            raise VideoRefused("no-narration")
        return said, "speech"

    def _draft(self, job: VideoJob, span: ClipSpan, quality: Quality) -> ClipRow:
        """A clip's row before its frames are looked at: rejected, held or still p2ft."""
        tier: Tier = "p2ft"
        reasons = quality.reasons
        instruction = Instruction(text="", phase=None)
        try:
            cleaner = self._detectors.text
            written = write_instruction([cleaner.clean(part.text) for part in span.narration])
            instruction = written or instruction
            if written is None:
                reasons = (*reasons, "no-instruction" if span.narration else "no-narration")
        except CurationError:
            tier, reasons = "quarantine", (*reasons, "no-text-detector")
        if quality.reasons or (tier == "p2ft" and reasons):
            tier = "rejected"
        times = (f"{span.start_s:.3f}", f"{span.end_s:.3f}")
        return ClipRow(
            clip_id=keyed_id(self._key, "clip", job.video_id, job.recipe, *times),
            video_id=job.video_id,
            patient_id=job.patient_id,
            tier=tier,
            reasons=reasons,
            instruction=instruction.text,
            phase=instruction.phase,
            start_s=round(span.start_s, 3),
            end_s=round(span.end_s, 3),
            frames=span.num_frames,
            scores=quality.scores,
            lineage={
                "source_sha256": job.sha256,
                "settings": self._settings.recipe(),
                "recipe": job.recipe,
                "code": version("ophora-federated"),
                **self._detectors.versions(),
            },
        )

    def _write(
        self, job: VideoJob, probe: Probe, spans: Sequence[ClipSpan], drafts: Sequence[ClipRow]
    ) -> Iterator[ClipRow]:
        """Second pass: encode the clips that are still wanted; judge their burned-in text."""
        frames = iter(FrameReader(job.path, probe))
        for span, draft in zip(spans, drafts, strict=True):
            if draft.tier == "p2ft":
                yield self._write_clip(frames, span, draft, probe.fps)
            else:
                yield draft

    def _write_clip(
        self, frames: Iterator[Frame], span: ClipSpan, draft: ClipRow, fps: Fraction
    ) -> ClipRow:
        means = MeanPictures(span.num_frames, float(fps))
        with ClipWriter(self._clips, draft.clip_id, fps=fps) as writer:
            for frame in frames:
                if frame.index >= span.first:
                    means.add(frame.picture)
                    writer.add(frame.picture)
                if frame.index == span.last:
                    break
            width, height = writer.size
            sized = replace(draft, width=width, height=height, fps=float(fps))
            tier, reason = self._judge_text(means)
            if tier == "quarantine":
                return replace(sized, tier=tier, reasons=(reason,))
            return replace(
                sized, tier=tier, reasons=(reason,) if reason else (), sha256=writer.finish()
            )

    def _judge_text(self, means: MeanPictures) -> tuple[Tier, str]:
        """Tier by burned-in text; a detector that is missing or fails holds the clip."""
        try:
            verdict = judge_overlay(
                self._detectors.overlay, means.means(), self._settings.harmless_words
            )
        except Exception:  # fail closed, whatever broke inside the detector
            return "quarantine", "overlay-detector-failed"
        if verdict.kind in _HELD:
            return "quarantine", _HELD[verdict.kind]
        if verdict.kind == "none":
            return "p2ft", ""
        return "tpt", f"overlay-{verdict.kind}"
