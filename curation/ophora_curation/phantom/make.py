"""Make the phantom's videos: a request in, folders of MP4, SRT and ground truth out.

seed + patient index -> person and look -> per case a script -> frames and sound -> files.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from datetime import timedelta
from pathlib import Path

import cv2
import numpy as np

from ophora_curation.phantom.case import Case, write_case
from ophora_curation.phantom.identity import grow_old, invent_person
from ophora_curation.phantom.look import draw_eye_look
from ophora_curation.phantom.request import PhantomRequest
from ophora_curation.phantom.script import write_script
from ophora_curation.phantom.speech import load_voice
from ophora_curation.process_pool import process_pool

__all__ = ["PhantomRequest", "make_phantoms"]

Progress = Callable[[int, int], None]


def make_phantoms(request: PhantomRequest, progress: Progress | None = None) -> list[Path]:
    """Write all videos of `request` and return their paths, in order of patient and case.

    Frames, subtitles and truth depend on the seed and the patient's index only, not on the
    workers. `progress(done, total)` counts patients. Raises SpeechUnavailable before any file
    is written when a voice is asked for and there is none.
    """
    if request.voice:
        load_voice()
    request.out.mkdir(parents=True, exist_ok=True)
    done: dict[int, list[Path]] = {}
    for index, paths in _run(request):
        done[index] = paths
        if progress is not None:
            progress(len(done), request.patients)
    return [path for index in sorted(done) for path in done[index]]


def _run(request: PhantomRequest) -> Iterator[tuple[int, list[Path]]]:
    if request.workers == 1 or request.patients == 1:
        for index in range(request.patients):
            yield index, make_patient(request, index)
        return
    workers = min(request.workers, request.patients)
    with process_pool(workers) as pool:
        jobs = {
            pool.submit(make_patient, request, index): index for index in range(request.patients)
        }
        for job in as_completed(jobs):
            yield jobs[job], job.result()


def make_patient(request: PhantomRequest, index: int) -> list[Path]:
    """All cases of patient number `index`."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng([request.seed, index, 1])
    person = invent_person(rng)
    if _has(request, index, request.elderly_share, 6):
        person = grow_old(person, np.random.default_rng([request.seed, index, 6]))
    look = draw_eye_look(rng)
    folder = request.out / f"{person.last}_{person.first}_MRN{person.mrn}"
    folder.mkdir(parents=True, exist_ok=True)
    sidecar = not _has(request, index, request.speech_share, 5)
    paths: list[Path] = []
    for number in range(request.cases_per_patient):
        rng = np.random.default_rng([request.seed, index, 2, number])
        filmed = dataclasses.replace(person, visit=person.visit + timedelta(days=97 * number))
        script = write_script(rng, request, filmed)
        case = Case(person=filmed, look=look, script=script, sidecar=sidecar)
        copied = _has(request, index * request.cases_per_patient + number, request.copy_share, 8)
        paths += write_case(request, case, rng, folder, copy=copied)
    return paths


def _has(request: PhantomRequest, index: int, share: float, stream: int) -> bool:
    """Spread a share evenly over what is counted, so that a few already have it."""
    start = float(np.random.default_rng([request.seed, stream]).random())
    return int(start + (index + 1) * share) > int(start + index * share)
