"""What a worker is told of one video."""

from dataclasses import dataclass, field
from pathlib import Path

from ophora_curation.store.records import VideoOutcome, VideoRow


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoJob:
    """One video to curate. Its path may name a patient, so it is in no `repr`."""

    path: Path = field(repr=False)
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
