"""Make the phantom's videos: a request in, folders of MP4, SRT and ground truth out.

seed + patient index -> person and look -> per case a script -> frames and sound -> files.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ophora_curation.phantom.brush import Image
from ophora_curation.phantom.faults import apply_fault
from ophora_curation.phantom.identity import Person, invent_person, spoken_date
from ophora_curation.phantom.look import EyeLook, draw_eye_look
from ophora_curation.phantom.mux import write_mp4
from ophora_curation.phantom.narration import Utterance, to_srt
from ophora_curation.phantom.overlay import draw_overlay
from ophora_curation.phantom.request import PhantomRequest
from ophora_curation.phantom.scene import Shot
from ophora_curation.phantom.script import Script, Segment, write_script
from ophora_curation.phantom.speech import load_voice
from ophora_curation.phantom.truth import describe

SILENT_RATE = 22_050  # samples per second without a voice

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
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        jobs = {
            pool.submit(make_patient, request, index): index for index in range(request.patients)
        }
        try:
            for job in as_completed(jobs):
                yield jobs[job], job.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def make_patient(request: PhantomRequest, index: int) -> list[Path]:
    """All cases of patient number `index`."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng([request.seed, index, 1])
    person = invent_person(rng)
    look = draw_eye_look(rng)
    folder = request.out / f"{person.last}_{person.first}_MRN{person.mrn}"
    folder.mkdir(parents=True, exist_ok=True)
    spoken_only = _spoken_only(request, index)
    paths = []
    for case in range(request.cases_per_patient):
        visit = person.visit + timedelta(days=97 * case)
        paths.append(
            _make_case(
                request,
                dataclasses.replace(person, visit=visit),
                look,
                np.random.default_rng([request.seed, index, 2, case]),
                folder,
                sidecar=not spoken_only,
            )
        )
    return paths


def _spoken_only(request: PhantomRequest, index: int) -> bool:
    """Spread the share evenly over the patients, so that a few patients already have it."""
    share = request.speech_share
    start = float(np.random.default_rng([request.seed, 5]).random())
    return int(start + (index + 1) * share) > int(start + index * share)


def _make_case(
    request: PhantomRequest,
    person: Person,
    look: EyeLook,
    rng: np.random.Generator,
    folder: Path,
    *,
    sidecar: bool,
) -> Path:
    script = write_script(rng, request, person)
    path = folder / f"{person.last}_{person.visit:%Y%m%d}_OD.mp4"
    tags = {
        "title": f"{person.title} {person.first} {person.last} cataract OD",
        "comment": f"MRN {person.mrn} DOB {person.born:%d.%m.%Y} Dr. {person.doctor}",
        "location": f"{person.hospital}, {person.city}",
        "creation_time": f"{person.visit:%Y-%m-%d}T09:30:00.000000Z",
        "description": f"{person.hospital} {spoken_date(person.visit)}",
    }
    overlay_texts: list[str] = []
    sound, sample_rate = _sound(rng, script, request)
    write_mp4(
        path,
        _frames(request, script, look, person, overlay_texts),
        fps=request.fps,
        size=request.size,
        sound=sound,
        sample_rate=sample_rate,
        tags=tags,
    )
    if sidecar:
        _write_text(path.with_suffix(".srt"), to_srt(script.narration))
    truth = describe(person, script, overlay_texts, fps=request.fps, tags=tags, sidecar=sidecar)
    _write_text(path.with_suffix(".truth.json"), truth)
    return path


def _frames(
    request: PhantomRequest,
    script: Script,
    look: EyeLook,
    person: Person,
    overlay_texts: list[str],
) -> Iterator[Image]:
    """All frames of a video, one segment in memory at a time; notes the overlays' texts."""
    for segment in script.segments:
        rng = np.random.default_rng(segment.seed)
        stack = _segment_frames(request, segment, look, rng)
        overlay_texts.append(draw_overlay(stack, segment.overlay, rng, person))
        yield from stack


def _segment_frames(
    request: PhantomRequest, segment: Segment, look: EyeLook, rng: np.random.Generator
) -> Image:
    width, height = request.size
    stack = np.zeros((segment.frames, height, width, 3), dtype=np.uint8)
    if segment.phase is not None and "black" not in segment.faults:
        shot = Shot(
            segment.phase,
            look,
            rng,
            frames=segment.frames,
            height=height,
            width=width,
            fps=request.fps,
        )
        for index in range(segment.frames):
            stack[index] = shot.frame(index)
    for fault in segment.faults:
        apply_fault(stack, fault, rng)
    return stack


def _sound(
    rng: np.random.Generator, script: Script, request: PhantomRequest
) -> tuple[NDArray[np.int16], int]:
    """A quiet theatre hum, and over it the voice when one is asked for."""
    voice = load_voice() if request.voice else None
    rate = voice.sample_rate if voice is not None else SILENT_RATE
    length = script.frames * rate // request.fps
    time_s = np.arange(length, dtype=np.float32) / rate
    hum = 60.0 * np.sin(2 * np.pi * 100.0 * time_s) + rng.normal(0, 25.0, length)
    if voice is not None:
        for item in script.narration:
            _speak(hum, voice.say_within(item.sentence.text, _room_s(item)), item, rate)
    return np.clip(hum, -32768, 32767).astype(np.int16), rate


def _room_s(item: Utterance) -> float:
    return item.end_s - item.start_s + 0.04


def _speak(
    track: NDArray[np.float64], samples: NDArray[np.int16], item: Utterance, rate: int
) -> None:
    start = int(item.start_s * rate)
    part = samples[: max(0, len(track) - start)]
    track[start : start + len(part)] += 0.8 * part


def _write_text(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="ascii")
    partial.replace(path)
