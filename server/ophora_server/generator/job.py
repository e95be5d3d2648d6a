"""One video's way through the host: queued -> in_progress -> completed or failed."""

from dataclasses import dataclass
from enum import StrEnum

from ophora_server.generator.order import VideoOrder


class Status(StrEnum):
    """States of a job, spelled as the OpenAI videos API spells them."""

    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobError:
    """Why a job failed: a code for programs and a sentence for people, neither with prompt text."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as it was when it was read. Times are Unix seconds; `progress` is 0 to 100."""

    video_id: str
    order: VideoOrder
    status: Status
    progress: int
    created_at: float
    completed_at: float | None
    error: JobError | None
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPage:
    """A page of jobs and whether more follow."""

    jobs: tuple[Job, ...]
    has_more: bool
