"""A folder of narrated videos becomes clips, instructions and a manifest (paper: "Comprehensive
Data Curation", with de-identification at the source).

    folder -> one job a video -> workers (video.py: all stages) -> one transaction a video

A video that an earlier run finished with the same recipe is skipped, so a run that was killed goes
on where it was. The first folder under the video folder is the patient; only
its keyed hash is kept.
"""

import fcntl
import hashlib
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ophora_curation.detectors import VERSIONS
from ophora_curation.errors import CurationBusy, NotAFolder
from ophora_curation.narration.subtitles import SIDECARS, find_sidecar
from ophora_curation.pool import WorkerPool
from ophora_curation.settings import CurationPaths, CurationSettings
from ophora_curation.store.clip_file import remove_orphans
from ophora_curation.store.identity import content_hash, keyed_id, patient_id
from ophora_curation.store.manifest import Manifest
from ophora_curation.store.records import VideoOutcome, VideoRow
from ophora_curation.video import VideoJob
from ophora_curation.worker import WorkerSetup

_LOG = logging.getLogger("ophora.curation")
_NOTHING = hashlib.sha256(b"").hexdigest()
_NOT_VIDEOS = frozenset({*SIDECARS, ".json", ".txt", ".csv"})  # companions of a recording


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a run is; safe to show."""

    done: int
    total: int
    clips: int
    refused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CurationSummary:
    """What a run did: videos by fate, and the manifest's counts after it."""

    found: int
    skipped: int  # finished by an earlier run
    curated: int
    refused: int
    counts: dict[str, int]


def curate(
    video_dir: Path,
    *,
    out: CurationPaths,
    settings: CurationSettings,
    key: bytes,
    progress: Callable[[Progress], None] | None = None,
) -> CurationSummary:
    """Curate every video under a folder; a bad video only refuses itself.

    Raises `NotAFolder`, and `CurationBusy` while another run works on the same site: each would
    take the other's unfinished clips for what a killed run left.
    """
    if not video_dir.is_dir():
        message = "the folder of videos does not exist: give an existing folder"
        raise NotAFolder(message)
    out.clips.mkdir(parents=True, exist_ok=True)
    files = find_videos(video_dir)
    with _only_one(out.manifest), Manifest.open(out.manifest) as manifest:
        remove_orphans(out.clips, manifest.clip_ids())
        run = _Run(manifest, len(files), progress)
        setup = WorkerSetup(settings=settings, clips=out.clips, key=key)
        jobs = _jobs(video_dir, files, settings, key)
        with WorkerPool(setup, settings.workers, timeout_s=settings.video_timeout_s) as pool:
            for outcome, kind in pool.run(run.wanted(jobs)):
                run.record(outcome, kind)
        remove_orphans(out.clips, manifest.clip_ids())  # of recipes that were replaced
        return CurationSummary(
            found=len(files),
            skipped=run.skipped,
            curated=run.curated,
            refused=run.refused,
            counts=manifest.counts(),
        )


@contextmanager
def _only_one(manifest: Path) -> Iterator[None]:
    """Hold the site's curation lock; the system frees it when the process dies."""
    with manifest.with_name(f"{manifest.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            message = "another curation of this site is running: wait, or stop it"
            raise CurationBusy(message) from error
        yield


def find_videos(folder: Path) -> list[Path]:
    """Every file but the companions of a recording, in a fixed order; links are not followed."""
    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(root) / name
            for name in sorted(names)
            if not name.startswith(".") and Path(name).suffix.lower() not in _NOT_VIDEOS
        ]
    return [path for path in found if path.is_file() and not path.is_symlink()]


def _jobs(
    folder: Path, files: list[Path], settings: CurationSettings, key: bytes
) -> Iterator[VideoJob]:
    for path in files:
        inside = path.relative_to(folder).parts
        patient = patient_id(key, inside[0]) if len(inside) > 1 else ""
        try:
            sha256, recipe = content_hash(path), _recipe(path, settings)
        except OSError:  # gone or unreadable since it was listed; the probe says so
            sha256, recipe = "", settings.recipe()
        name = (sha256,) if sha256 else ("unreadable", *inside)
        yield VideoJob(
            path=path,
            video_id=keyed_id(key, "video", patient, *name),
            patient_id=patient,
            sha256=sha256,
            recipe=recipe,
        )


def _recipe(path: Path, settings: CurationSettings) -> str:
    """Settings, detectors and sidecar: whatever changes the outcome for the same video."""
    sidecar = find_sidecar(path)
    parts = [settings.recipe(), *sorted(VERSIONS.values())]
    parts.append(content_hash(sidecar) if sidecar else "")
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]


class _Run:
    """One run's tally, its manifest and who is told about progress."""

    def __init__(
        self,
        manifest: Manifest,
        total: int,
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self._manifest = manifest
        self._total = total
        self._progress = progress
        self._num_clips = 0
        self._seen: set[str] = set()
        self._owners: dict[str, str] = {}  # content -> the first patient it was met under
        self.skipped = self.curated = self.refused = 0

    def wanted(self, jobs: Iterator[VideoJob]) -> Iterator[VideoJob]:
        """The jobs that need a worker; the others are recorded here."""
        self._tell()
        for job in jobs:
            twin = job.video_id in self._seen  # a second copy in the same patient's folder
            self._seen.add(job.video_id)
            owner = self._owners.setdefault(job.sha256, job.patient_id)
            if twin or self._manifest.is_done(job.video_id, job.recipe):
                self.skipped += 1
                self._tell()
            elif not job.patient_id:
                self.record(job.refused("no-patient"), "")
            elif self._is_anothers(job, owner):
                self.record(job.refused("duplicate"), "")
            else:
                yield job

    def _is_anothers(self, job: VideoJob, owner: str) -> bool:
        """Whether this content was met under another patient, in this run or an earlier one."""
        if job.sha256 in ("", _NOTHING):
            return False
        met = owner not in ("", job.patient_id)
        return met or self._manifest.other_patient(job.sha256, job.patient_id)

    def record(self, outcome: VideoOutcome, kind: str) -> None:
        """Write one video's outcome; log its ids and counts."""
        video = outcome.video
        self._manifest.commit(outcome)
        if video.status == "curated":
            self.curated += 1
        else:
            self.refused += 1
        kept = sum(clip.sha256 != "" for clip in outcome.clips)
        self._num_clips += kept
        _log(video, len(outcome.clips), kept, kind)
        self._tell()

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(
                Progress(
                    done=self.skipped + self.curated + self.refused,
                    total=self._total,
                    clips=self._num_clips,
                    refused=self.refused,
                )
            )


def _log(video: VideoRow, num_clips: int, kept: int, kind: str) -> None:
    _LOG.info(
        "video=%s patient=%s status=%s reasons=%s error=%s clips=%d kept=%d",
        video.video_id,
        video.patient_id or "-",
        video.status,
        ",".join(video.reasons) or "-",
        kind or "-",
        num_clips,
        kept,
    )
