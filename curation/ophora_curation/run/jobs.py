"""From a folder to jobs: which files there are, whose they are, and what identifies each.

    folder -> regular files, in a fixed order -> content hash (ahead, in a thread) -> `Found`

The first folder under the video folder is the patient; only its keyed hash is kept. Nothing but a
regular file is ever opened: a pipe would block for ever, and a link may lead anywhere.
"""

import hashlib
import os
import stat
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from ophora_curation.detectors import versions
from ophora_curation.job import VideoJob
from ophora_curation.narration.subtitles import SIDECARS, find_sidecar
from ophora_curation.settings import CurationSettings
from ophora_curation.store.identity import content_hash, keyed_id, patient_id
from ophora_curation.text.refining import RefineSettings

_NOT_VIDEOS = frozenset({*SIDECARS, ".json", ".txt", ".csv"})  # companions of a recording
_AHEAD = 3  # files hashed before they are asked for
_MAX_SIDECAR_BYTES = 64 << 20  # hours of words with their times take less


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoFile:
    """A file that may be a video."""

    path: Path = field(repr=False)
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A job with its size, and the reason where it is refused before anybody opens it."""

    job: VideoJob
    size: int
    refusal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobMaker:
    """What ids and recipes depend on."""

    folder: Path = field(repr=False)
    settings: CurationSettings
    refine: RefineSettings
    key: bytes = field(repr=False)

    def jobs(self, files: list[VideoFile]) -> Iterator[Found]:
        """One for each file, in order; contents are read a few files ahead."""
        reading: deque[Future[Found]] = deque()
        pool = ThreadPoolExecutor(1)
        try:
            for file in files:
                reading.append(pool.submit(self._found, file))
                if len(reading) > _AHEAD:
                    yield reading.popleft().result()
            while reading:
                yield reading.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _found(self, file: VideoFile) -> Found:
        inside = file.path.relative_to(self.folder).parts
        patient = patient_id(self.key, inside[0]) if len(inside) > 1 else ""
        said: str | None = ""
        sha256, refusal = "", "" if patient else "no-patient"
        try:
            if not _is_regular(file.path):
                refusal = refusal or "not-a-file"
            else:
                sha256 = content_hash(file.path)
                said = _sidecar_hash(file.path)
                refusal = refusal or ("bad-sidecar" if said is None else "")
        except OSError:  # gone or unreadable since it was listed
            refusal = refusal or "unreadable"
        name = (sha256,) if sha256 else ("unreadable", *inside)
        job = VideoJob(
            path=file.path,
            video_id=keyed_id(self.key, "video", patient, *name),
            patient_id=patient,
            sha256=sha256,
            recipe=self._recipe(said or refusal),
        )
        return Found(job=job, size=file.size, refusal=refusal)

    def _recipe(self, said: str) -> str:
        """Settings, detectors and sidecar: whatever changes the outcome for the same video."""
        parts = [self.settings.recipe(self.refine), *sorted(versions(self.settings).values()), said]
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]


def find_videos(folder: Path) -> list[VideoFile]:
    """Every file but hidden ones and the companions of a recording, in a fixed order."""
    found = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        links = [name for name in folders if (Path(root) / name).is_symlink()]
        for name in sorted([*names, *links]):
            path = Path(root) / name
            if not name.startswith(".") and path.suffix.lower() not in _NOT_VIDEOS:
                found.append(VideoFile(path=path, size=_size(path)))
    return found


def _size(path: Path) -> int:
    try:
        found = path.lstat()
    except OSError:
        return 0
    return found.st_size if stat.S_ISREG(found.st_mode) else 0


def _is_regular(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def _sidecar_hash(path: Path) -> str | None:
    """Of the recording's narration file: "" without one, None where it can't be one."""
    sidecar = find_sidecar(path)
    if sidecar is None:
        return ""
    if not _is_regular(sidecar) or sidecar.lstat().st_size > _MAX_SIDECAR_BYTES:
        return None
    return content_hash(sidecar)
