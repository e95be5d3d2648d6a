"""A worker process: takes one video after another from its pipe and sends back the outcome.

Whatever a native library prints goes nowhere, because it could name a file; an unexpected error
becomes the reason `failed` with the error's kind, never its text. A worker ends when its parent
does.
"""

import contextlib
import ctypes
import os
import signal
import sys
import traceback
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import cast

from ophora_curation.settings import CurationSettings

_PR_SET_PDEATHSIG = 1
# spaCy and Presidio load these when they are there; curation needs neither, and they cost seconds
_UNNEEDED = ("torch", "transformers")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSetup:
    """What a worker is told once."""

    settings: CurationSettings
    clips: Path
    key: bytes = field(repr=False)


def work(connection: Connection, setup: WorkerSetup) -> None:
    """The life of a worker; None instead of a job ends it."""
    _settle()
    from ophora_curation.detectors import Detectors
    from ophora_curation.video import VideoCurator, VideoJob

    curator = VideoCurator(
        settings=setup.settings,
        key=setup.key,
        clips=setup.clips,
        detectors=Detectors(setup.settings.speech_threads),
    )
    with contextlib.suppress(EOFError, BrokenPipeError):
        while isinstance(job := connection.recv(), VideoJob):
            try:
                outcome, kind = curator.curate(job), ""
            except Exception as error:  # the edge of the process: one video never ends the run
                outcome, kind = job.refused("failed"), _kind_of(error)
            connection.send((outcome, kind))


def _kind_of(error: Exception) -> str:
    """The error's type and where it came from; its text could name a file or a patient."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}@{Path(place.filename).name}:{place.lineno}"


def _settle() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    silence = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(silence, descriptor)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    for name in _UNNEEDED:
        sys.modules.setdefault(name, cast(ModuleType, None))
    import cv2

    cv2.setNumThreads(1)
