"""A folder of narrated videos becomes clips, instructions and a manifest (paper: "Comprehensive
Data Curation", with de-identification at the source).

    recovery -> one job a video -> look -> curate -> one transaction a video -> near-duplicates
             -> certificates

A video that an earlier run finished with the same recipe is skipped, so a run that was killed goes
on where it was and ends with the same manifest.
"""

import fcntl
import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ophora_curation.errors import CurationBusy, NotAFolder
from ophora_curation.execution import ExecutionSettings
from ophora_curation.job import VideoJob
from ophora_curation.pool import Finished, Looked, SeatMaker, StageCounts, WorkerPool
from ophora_curation.run.certificates import certify, renew_certificates
from ophora_curation.run.faults import store_full
from ophora_curation.run.jobs import Found, JobMaker, VideoFile, find_videos
from ophora_curation.run.progress import Progress, WorkLeft
from ophora_curation.run.recovery import check_writable, tidy, verify
from ophora_curation.run.task import WorkerSetup
from ophora_curation.settings import CurationPaths, CurationSettings
from ophora_curation.store.duplicates import reject_duplicates
from ophora_curation.store.manifest import Manifest
from ophora_curation.store.records import VideoOutcome
from ophora_curation.text.endpoint import Endpoint
from ophora_curation.text.refining import RefineSettings

__all__ = ["CurationSummary", "Progress", "curate", "find_videos"]

_LOG = logging.getLogger("ophora.curation")
_NOTHING = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class CurationSummary:
    """What a run did: videos by fate, and the manifest's counts after it."""

    found: int
    skipped: int  # finished by an earlier run
    curated: int
    refused: int
    counts: dict[str, int]
    duplicates: int = 0  # clips that this run rejected as near-duplicates
    lost: int = 0  # videos curated again because a clip's file was lost or changed
    uncertified: int = 0  # videos without a certificate; the log says why


def curate(
    video_dir: Path,
    *,
    out: CurationPaths,
    settings: CurationSettings,
    key: bytes,
    refine: RefineSettings | None = None,
    execution: ExecutionSettings | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> CurationSummary:
    """Curate every video under a folder; a bad video only refuses itself.

    Raises `NotAFolder`; `EndpointRefused` for an address outside the site's network;
    `CurationBusy` while another run works on the same site (each would take the other's
    unfinished clips for what a killed run left); `StoreFull` when the site's folders
    can't be written: what was finished is kept, and the next run goes on from there.
    """
    if not video_dir.is_dir():
        message = "the folder of videos does not exist: give an existing folder"
        raise NotAFolder(message)
    refine, execution = refine or RefineSettings(), execution or ExecutionSettings()
    if refine.endpoint:
        Endpoint(refine)  # an address outside the site's network stops before any work
    setup = WorkerSetup(settings=settings, refine=refine, execution=execution, out=out, key=key)
    maker = JobMaker(folder=video_dir, settings=settings, refine=refine, key=key)
    with _clear_when_full():
        check_writable(out)
        with _only_one(out.manifest), Manifest.open(out.manifest) as manifest:
            run = _Run(manifest=manifest, out=out, settings=settings, tell=progress)
            run.recover()
            run.expect(find_videos(video_dir))
            with WorkerPool(make_seats(setup), execution) as pool:
                run.work(pool, maker)
            return run.complete()


def make_seats(setup: WorkerSetup) -> SeatMaker:
    """Where the workers are: processes of this machine or Ray's actors."""
    if setup.execution.executor == "ray":
        from ophora_curation.run.ray_seat import RaySeats

        return RaySeats(setup)
    from ophora_curation.run.process_seat import ProcessSeats

    return ProcessSeats(setup)


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


@contextmanager
def _clear_when_full() -> Iterator[None]:
    """Errors of a full or read-only disk, wherever they come from, become `StoreFull`."""
    try:
        yield
    except Exception as error:
        full = store_full(error)
        if full is None or full is error:
            raise
        raise full from error


@dataclass(slots=True, kw_only=True)
class _Run:
    """One run's tally, its manifest and who is told about progress."""

    manifest: Manifest
    out: CurationPaths
    settings: CurationSettings
    tell: Callable[[Progress], None] | None
    left: WorkLeft = field(default_factory=WorkLeft)
    files: list[VideoFile] = field(default_factory=list, repr=False)
    counts: StageCounts = field(default_factory=StageCounts)
    lost: set[str] = field(default_factory=set)  # videos whose clips must be made again
    seen: set[str] = field(default_factory=set)
    owners: dict[str, str] = field(default_factory=dict)  # content -> first patient met
    num_clips: int = 0
    num_lost: int = 0
    checks: tuple[int, int] = (0, 0)
    footage_s: float = 0.0
    skipped: int = 0
    curated: int = 0
    refused: int = 0

    def recover(self) -> None:
        """Put right what the run before left."""
        tidy(self.manifest, self.out)
        self.lost = verify(self.manifest, self.out, self._checked)

    def expect(self, files: list[VideoFile]) -> None:
        """What there is to go through."""
        self.files = files
        for file in files:
            self.left.expect(file.size)
        self._say()

    def work(self, pool: WorkerPool, maker: JobMaker) -> None:
        """Bring every video to its outcome."""
        for event in pool.run(self._wanted(maker)):
            self.counts = pool.counts
            match event:
                case Looked(job=job, footage_s=footage_s):
                    self.left.look(job.video_id, footage_s)
                    self._say()
                case Finished(job=job, outcome=outcome, kind=kind):
                    self._record(job, outcome, kind)
        self.counts = StageCounts()

    def complete(self) -> CurationSummary:
        """What can only be done when all videos are there."""
        duplicates = reject_duplicates(
            self.manifest, self.out, max_distance=self.settings.max_duplicate_distance
        )
        tidy(self.manifest, self.out)  # files of recipes and clips that were replaced
        uncertified = renew_certificates(self.manifest, self.out.certificates)
        return CurationSummary(
            found=len(self.files),
            skipped=self.skipped,
            curated=self.curated,
            refused=self.refused,
            counts=self.manifest.counts(),
            duplicates=duplicates,
            lost=self.num_lost,
            uncertified=uncertified,
        )

    def _wanted(self, maker: JobMaker) -> Iterator[VideoJob]:
        """The jobs that need a worker; the others are recorded here."""
        for found in maker.jobs(self.files):
            job = found.job
            twin = job.video_id in self.seen  # a second copy in the same patient's folder
            self.seen.add(job.video_id)
            if twin or self._is_done(job):
                self.skipped += 1
                self.left.skip(found.size)
                self._say()
            elif refusal := self._refusal(found):
                self.left.skip(found.size)
                self._record(job, job.refused(refusal), "")
            else:
                self.num_lost += job.video_id in self.lost
                self.left.begin(job.video_id, found.size)
                yield job

    def _is_done(self, job: VideoJob) -> bool:
        done = self.manifest.is_done(job.video_id, job.recipe)
        self.owners.setdefault(job.sha256, job.patient_id)
        return done and job.video_id not in self.lost

    def _refusal(self, found: Found) -> str:
        """Why nobody needs to open it."""
        job = found.job
        if found.refusal:
            return found.refusal
        if job.sha256 == _NOTHING:
            return "empty"
        met = self.owners[job.sha256] not in ("", job.patient_id)
        return "duplicate" if met or self._is_anothers(job) else ""

    def _is_anothers(self, job: VideoJob) -> bool:
        """Whether an earlier run curated this content under another patient."""
        return self.manifest.other_patient(job.sha256, job.patient_id)

    def _record(self, job: VideoJob, outcome: VideoOutcome, kind: str) -> None:
        """Write one video's outcome; log its ids and counts."""
        self.manifest.commit(outcome)
        footage_s = self.left.finish(job.video_id)
        if outcome.video.status == "curated":
            self.curated += 1
            self.footage_s += footage_s
            certify(self.manifest, self.out.certificates, job.video_id)
        else:
            self.refused += 1
        kept = sum(clip.sha256 != "" for clip in outcome.clips)
        self.num_clips += kept
        _log(outcome, kept, kind)
        self._say()

    def _checked(self, number: int, total: int) -> None:
        self.checks = (number, total)
        self._say()

    def _say(self) -> None:
        if self.tell is None:
            return
        self.tell(
            Progress(
                done=self.skipped + self.curated + self.refused,
                total=len(self.files),
                clips=self.num_clips,
                refused=self.refused,
                verified=self.checks[0],
                to_verify=self.checks[1],
                looking=self.counts.looking,
                waiting=self.counts.waiting,
                curating=self.counts.curating,
                footage_s=self.footage_s,
                footage_total_s=self.left.footage_total_s,
                left_s=self.left.left_s,
            )
        )


def _log(outcome: VideoOutcome, kept: int, kind: str) -> None:
    video = outcome.video
    _LOG.info(
        "video=%s patient=%s status=%s reasons=%s error=%s clips=%d kept=%d",
        video.video_id,
        video.patient_id or "-",
        video.status,
        ",".join(video.reasons) or "-",
        kind or "-",
        len(outcome.clips),
        kept,
    )
