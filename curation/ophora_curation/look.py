"""The first stage: a video is opened, checked and watched once. No model, little memory.

file -> probe -> one pass over its planes -> Look (numbers only) -> video.py
"""

from dataclasses import dataclass

from ophora_curation.errors import VideoRefused
from ophora_curation.footage.observation import Observation, observe
from ophora_curation.job import VideoJob
from ophora_curation.settings import CurationSettings
from ophora_curation.source.probe import Probe, probe_video
from ophora_curation.source.reader import open_reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one pass saw of a video; small enough to hand to another process."""

    probe: Probe
    seen: Observation
    num_damaged: int
    num_lost: int

    @property
    def duration_s(self) -> float:
        """Length of what was decoded."""
        return self.seen.duration_s


def look(job: VideoJob, settings: CurationSettings) -> Look:
    """Watch one video. Raises `VideoRefused` where it can't be used."""
    probe = probe_video(job.path, settings=settings)
    reader = open_reader(job.path, probe, decoder=settings.decoder, fast=True)
    seen = observe(reader, fps=float(probe.fps), settings=settings)
    found = Look(probe=probe, seen=seen, num_damaged=reader.num_damaged, num_lost=reader.num_lost)
    _check_whole(found, settings)
    return found


def _check_whole(found: Look, settings: CurationSettings) -> None:
    num_bad = max(found.num_damaged, found.num_lost)
    if num_bad > settings.max_damaged_share * max(1, found.seen.num_frames + found.num_lost):
        raise VideoRefused("damaged")
    if found.duration_s < settings.min_clip_s:
        raise VideoRefused("too-short")
