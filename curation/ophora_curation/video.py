"""The second stage: what is said joins what was seen, and clips that are worth it are written.

    Look + narration -> spans -> judgement -> instruction -> clips (clip_maker.py) -> rows

A video is decoded at most twice: once to see it (look.py), once here, and here only where a clip
is wanted. What is handed back holds ids, numbers and instructions, never raw narration.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

from ophora_curation.detectors import Detectors
from ophora_curation.errors import DetectorMissing, RefinerFailed, VideoRefused
from ophora_curation.footage.fingerprint import clip_fingerprint
from ophora_curation.footage.quality import Quality, judge
from ophora_curation.footage.spans import ClipSpan, plan_spans
from ophora_curation.grid import FrameQueue, Grid, Picture, pick_pictures
from ophora_curation.job import VideoJob
from ophora_curation.look import Look
from ophora_curation.narration.subtitles import Utterance, find_sidecar, read_sidecar
from ophora_curation.picture.clip_maker import ClipMaker, MadeClip
from ophora_curation.settings import CurationPaths, CurationSettings
from ophora_curation.source.reader import open_reader
from ophora_curation.source.sound import read_sound
from ophora_curation.store.clip_file import place
from ophora_curation.store.identity import keyed_id
from ophora_curation.store.records import ClipRow, VideoOutcome, VideoRow
from ophora_curation.text.instruction import Instruction

_SEEK_S = 12.0  # a gap worth a jump: longer than the distance between key frames usually is


class VideoCurator:
    """Holds what every video of a worker shares: settings, key, detectors and folders."""

    def __init__(
        self, *, settings: CurationSettings, key: bytes, out: CurationPaths, detectors: Detectors
    ) -> None:
        self._settings = settings
        self._key = key
        self._out = out
        self._detectors = detectors

    def curate(self, job: VideoJob, look: Look) -> VideoOutcome:
        """Curate one video. A video that can't be used gives a refused row, not an exception.

        Raises `StoreFull` when clips can't be written.
        """
        try:
            narration, source = self._narration(job.path, look)
            spans = plan_spans(look.seen, narration, self._settings)
            drafts = [self._draft(job, span, look) for span in spans]
            clips = tuple(self._write(job, look, spans, drafts))
        except VideoRefused as refusal:
            return job.refused(refusal.reason)
        return VideoOutcome(video=_video_row(job, look, source), clips=clips)

    def _narration(self, path: Path, look: Look) -> tuple[list[Utterance], str]:
        sidecar = find_sidecar(path)
        if sidecar is not None:
            said = read_sidecar(sidecar)
            if said:
                return said, "sidecar"
        if not look.probe.has_audio:
            raise VideoRefused("no-narration")
        try:
            said = self._detectors.speech.listen(read_sound(path, look.probe))
        except DetectorMissing as error:
            raise VideoRefused("no-speech-model") from error
        if not said:
            raise VideoRefused("no-narration")
        return said, "speech"

    def _draft(self, job: VideoJob, span: ClipSpan, look: Look) -> ClipRow:
        """A clip's row before its frames are looked at: rejected, held or still `p2ft`."""
        quality = judge(span, look.seen, self._settings)
        times = (f"{span.start_s:.3f}", f"{span.end_s:.3f}")
        draft = ClipRow(
            clip_id=keyed_id(self._key, "clip", job.video_id, job.recipe, *times),
            video_id=job.video_id,
            patient_id=job.patient_id,
            tier="p2ft",
            reasons=(),
            instruction="",
            phase=None,
            start_s=round(span.start_s, 3),
            end_s=round(span.end_s, 3),
            fingerprint=clip_fingerprint(look.seen, span.start_s, span.end_s),
            scores=quality.scores,
            lineage=self._lineage(job),
        )
        return self._describe(draft, span, quality)

    def _describe(self, draft: ClipRow, span: ClipSpan, quality: Quality) -> ClipRow:
        """The draft with its instruction, or with the reasons why it has none."""
        if quality.reasons:
            return replace(draft, tier="rejected", reasons=quality.reasons)
        if not span.narration:
            return replace(draft, tier="rejected", reasons=("no-narration",))
        try:
            safe = [self._detectors.text.clean(part.text) for part in span.narration]
            written = self._detectors.refiner.write(safe)
        except DetectorMissing:
            return replace(draft, tier="quarantine", reasons=("no-text-detector",))
        except RefinerFailed:
            return replace(draft, tier="quarantine", reasons=("no-refiner",))
        dropped = Counter[str]()
        for text in safe:
            dropped.update(dict(text.dropped))
        if written is None:
            reasons = ("no-instruction",)
            return replace(draft, tier="rejected", reasons=reasons, dropped=dict(dropped))
        return _instructed(replace(draft, dropped=dict(dropped)), written)

    def _lineage(self, job: VideoJob) -> dict[str, str]:
        return {
            "source_sha256": job.sha256,
            "settings": self._settings.recipe(),
            "recipe": job.recipe,
            "code": version("ophora-federated"),
            **self._detectors.versions(),
        }

    def _write(
        self, job: VideoJob, look: Look, spans: Sequence[ClipSpan], drafts: Sequence[ClipRow]
    ) -> Iterator[ClipRow]:
        """Second pass: make the clips that are still wanted; the others' rows are as they are."""
        maker = ClipMaker(
            folder=self._out.held,
            text=lambda: self._detectors.overlay,
            faces=lambda: self._detectors.faces,
            settings=self._settings,
            vision=self._detectors.vision,
        )
        source = _SecondPass(job.path, look, self._settings)
        for span, draft in zip(spans, drafts, strict=True):
            if draft.tier != "p2ft":
                yield draft
                continue
            grid = source.grid(span)
            made = maker.make(
                source.pictures(grid),
                clip_id=draft.clip_id,
                fps=grid.fps,
                brightest=look.seen.brightest_of(span.first),
                source_size=(look.probe.width, look.probe.height),
            )
            yield self._placed(draft, made, grid.fps)

    def _placed(self, draft: ClipRow, made: MadeClip, fps: Fraction) -> ClipRow:
        """Move a finished clip to where its tier belongs; its row afterwards."""
        if made.path is None:
            return replace(draft, tier=made.tier, reasons=made.reasons)
        folder = self._out.held if made.tier == "quarantine" else self._out.clips
        place(made.path, folder, draft.clip_id)
        return replace(
            draft,
            tier=made.tier,
            reasons=made.reasons,
            findings=made.findings,
            residual=made.residual,
            sha256=made.sha256,
            width=made.width,
            height=made.height,
            frames=made.frames,
            fps=float(fps),
        )


@dataclass(slots=True)
class _SecondPass:
    """Goes through a video once more, in order, and jumps where no clip is wanted."""

    path: Path
    look: Look
    settings: CurationSettings
    _frames: FrameQueue | None = None

    def grid(self, span: ClipSpan) -> Grid:
        """When the span's pictures are taken."""
        return Grid.over(
            span.start_s, span.end_s, self.look.probe.fps, most_fps=self.settings.clip_fps
        )

    def pictures(self, grid: Grid) -> Iterator[Picture]:
        """The span's pictures, RGB, upright, at source size."""
        jumps = self.look.probe.can_seek
        if self._frames is None or (jumps and self._is_far(grid.start_s)):
            reader = open_reader(self.path, self.look.probe, decoder=self.settings.decoder)
            self._frames = FrameQueue(reader.frames_from(grid.start_s))
        return pick_pictures(self._frames, grid)

    def _is_far(self, start_s: float) -> bool:
        """Whether a jump saves work; a frame is not decoded a third time for it."""
        assert self._frames is not None
        ahead = self._frames.peek()
        return ahead is not None and start_s - ahead.time_s > _SEEK_S


def _instructed(draft: ClipRow, written: Instruction) -> ClipRow:
    return replace(
        draft,
        instruction=written.text,
        phase=written.phase,
        confidence=round(written.confidence, 3),
        lineage={**draft.lineage, "instruction_by": written.written_by},
    )


def _video_row(job: VideoJob, look: Look, source: str) -> VideoRow:
    seen, probe = look.seen, look.probe
    return VideoRow(
        video_id=job.video_id,
        patient_id=job.patient_id,
        sha256=job.sha256,
        recipe=job.recipe,
        status="curated",
        duration_s=round(look.duration_s, 3),
        width=probe.width,
        height=probe.height,
        fps=float(probe.fps),
        frames=seen.num_frames,
        num_damaged=look.num_damaged,
        num_lost=look.num_lost,
        codec=probe.codec,
        rotation=probe.rotation,
        variable_rate=seen.variable_rate,
        repeated_share=round(float(seen.repeated.mean()), 4) if seen.num_frames else 0.0,
        narration=source,
    )
