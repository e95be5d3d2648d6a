"""A worker process: takes one task after another from its pipe and sends back the answers.

    limits -> stage's imports -> "begun" -> task -> answer -> task ...

Nothing that a native library prints goes anywhere (the process has no terminal), because it could
name a file. A worker ends when its pipe or its parent does.
"""

import contextlib
import ctypes
import os
import pickle
import signal
import sys
from multiprocessing.connection import Connection
from types import ModuleType
from typing import cast

from ophora_curation.run.stages import Begin, answer_task
from ophora_curation.run.task import Stage, Task, WorkerSetup
from ophora_curation.source.sandbox import Confinement, limit_process

_PR_SET_PDEATHSIG = 1
# spaCy and Presidio load these when they are there; curation needs neither, and they cost seconds
_UNNEEDED = ("torch", "transformers")


def main(descriptor: int, parent: int) -> None:
    """The life of a worker."""
    with contextlib.closing(Connection(descriptor)) as connection:
        stage, setup, begin = cast(tuple[Stage, WorkerSetup, Begin], connection.recv())
        confinement = _settle(stage, setup, parent)
        work = begin(stage, setup)
        connection.send(confinement)
        with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
            while True:
                task = connection.recv()
                assert isinstance(task, Task)
                answer = answer_task(work, task, stage)
                del task
                connection.send_bytes(pickle.dumps(answer, protocol=5))
                if answer.is_spent:
                    return


def _settle(stage: Stage, setup: WorkerSetup, parent: int) -> Confinement:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    looks = stage == "look"
    writes = not looks or setup.settings.decoder == "decord"  # which copies what DICOM encapsulates
    execution = setup.execution
    confinement = limit_process(
        memory_mb=execution.analysis_memory_mb if looks else execution.memory_mb,
        network=bool(setup.refine.endpoint) and not looks,
        writes_mb=None if writes else 0,
    )
    # after the namespaces: entering one forgets it
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit()
    for name in _UNNEEDED:
        sys.modules.setdefault(name, cast(ModuleType, None))
    import cv2

    cv2.setNumThreads(1)
    return confinement
