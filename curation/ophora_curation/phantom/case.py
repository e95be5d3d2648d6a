"""One operation as files: a script and people in; MP4, subtitles and ground truth out.

script -> frames of each segment (action, faults, round field, overlay) -> blends -> uneven rate
-> MP4 with sound; now and then a second file of the same operation in another size.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from ophora_curation.phantom.brush import Image
from ophora_curation.phantom.camera import mask_field, turn, uneven
from ophora_curation.phantom.faults import apply_fault
from ophora_curation.phantom.identity import Person, spoken_date
from ophora_curation.phantom.look import EyeLook
from ophora_curation.phantom.mux import write_mp4
from ophora_curation.phantom.narration import Utterance, to_srt
from ophora_curation.phantom.overlay import Drawn, draw_overlay
from ophora_curation.phantom.passage import join
from ophora_curation.phantom.patient_overlay import draw_patient
from ophora_curation.phantom.planted import in_file_name
from ophora_curation.phantom.request import PhantomRequest
from ophora_curation.phantom.scene import Shot
from ophora_curation.phantom.script import Script, Segment
from ophora_curation.phantom.speech import load_voice
from ophora_curation.phantom.truth import describe

SILENT_RATE = 22_050  # samples per second without a voice
COPY_SCALE, COPY_CRF = 0.75, 27


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What is filmed of whom. `named` are the people in each segment's overlay, if not `person`."""

    person: Person
    look: EyeLook
    script: Script
    sidecar: bool
    named: tuple[Person, ...] = ()

    def people(self) -> tuple[Person, ...]:
        """The patient of every segment."""
        return self.named or (self.person,) * len(self.script.segments)


def write_case(
    request: PhantomRequest, case: Case, rng: np.random.Generator, folder: Path, *, copy: bool
) -> list[Path]:
    """Write the video with its companions into `folder`, and its copy where one is asked for."""
    path = folder / f"{_stem(request, case.person)}.mp4"
    tags = _tags(request, case.person)
    drawn: list[Drawn] = []
    sound, sample_rate = _sound(rng, case.script, request)
    frames = join(_stacks(request, case, drawn), dict(case.script.passages))
    turned = turn(frames, request.rotation)
    numbered = uneven(turned, rng) if request.variable_rate else enumerate(turned)
    width, height = request.size
    write_mp4(
        path,
        numbered,
        fps=request.fps,
        size=(height, width) if request.rotation % 180 else (width, height),
        sound=sound,
        sample_rate=sample_rate,
        tags=tags,
        rotation=request.rotation,
        bit_rate=request.bit_rate,
    )
    truth = describe(
        list(dict.fromkeys((case.person, *case.people()))),
        case.script,
        drawn,
        fps=request.fps,
        size=request.size,
        tags=tags,
        name=f"{folder.name}/{path.name}",
        sidecar=case.sidecar,
    )
    _write_companions(path, case, truth)
    if not copy:
        return [path]
    second = path.with_name(f"{path.stem}_copy.mp4")
    size = _write_copy(path, second, request, sound, sample_rate, tags)
    _write_companions(second, case, _copied(truth, path.name, size))
    return [path, second]


def _stem(request: PhantomRequest, person: Person) -> str:
    if request.identities == "plain":
        return f"{person.last}_{person.visit:%Y%m%d}_OD"
    place, phone = in_file_name(person.hospital), in_file_name(person.phone)
    age = in_file_name(f"Age {person.facts()['age']}")
    return f"{person.last}_{person.visit:%Y%m%d}_{place}_{phone}_{age}_OD"


def _tags(request: PhantomRequest, person: Person) -> dict[str, str]:
    tags = {
        "title": f"{person.title} {person.first} {person.last} cataract OD",
        "comment": f"MRN {person.mrn} DOB {person.born:%d.%m.%Y} Dr. {person.doctor}",
        "location": f"{person.hospital}, {person.city}",
        "creation_time": f"{person.visit:%Y-%m-%d}T09:30:00.000000Z",
        "description": f"{person.hospital} {spoken_date(person.visit)}",
    }
    if request.identities == "full":
        tags["comment"] += f" Tel {person.phone} {person.facts()['age']} years"
    return tags


def _stacks(request: PhantomRequest, case: Case, drawn: list[Drawn]) -> Iterator[Image]:
    """The segments' frames, one segment in memory at a time; notes what is burned in."""
    for segment, person in zip(case.script.segments, case.people(), strict=True):
        rng = np.random.default_rng(segment.seed)
        stack = _segment_frames(request, segment, case.look, rng)
        if request.field == "circle":
            mask_field(stack, np.random.default_rng([segment.seed, 1]))
        if request.identities == "full" and segment.overlay == "personal":
            drawn.append(draw_patient(stack, rng, person, fps=request.fps))
        else:
            drawn.append(draw_overlay(stack, segment.overlay, rng, person))
        yield stack


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


def _write_copy(
    path: Path,
    second: Path,
    request: PhantomRequest,
    sound: NDArray[np.int16],
    sample_rate: int,
    tags: Mapping[str, str],
) -> tuple[int, int]:
    """Encode a video's pictures once more, smaller and coarser; the upright size."""
    width, height = (round(side * COPY_SCALE / 2) * 2 for side in request.size)
    stored = (height, width) if request.rotation % 180 else (width, height)

    def shrunk() -> Iterator[tuple[int, Image]]:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                picture = cv2.resize(
                    frame.to_ndarray(format="rgb24"), stored, interpolation=cv2.INTER_AREA
                )
                yield round(float(frame.time or 0.0) * request.fps), picture.astype(np.uint8)

    write_mp4(
        second,
        shrunk(),
        fps=request.fps,
        size=stored,
        sound=sound,
        sample_rate=sample_rate,
        tags=tags,
        rotation=request.rotation,
        crf=COPY_CRF,
    )
    return width, height


def _copied(truth: str, original: str, size: tuple[int, int]) -> str:
    """The truth of a copy: boxes in its own pixels."""
    content: dict[str, Any] = json.loads(truth)
    scale = size[1] / content["size"][1]
    content |= {"copy_of": original, "size": list(size)}
    for segment in content["segments"]:
        segment["overlay_boxes"] = [_scaled(box, scale) for box in segment["overlay_boxes"]]
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=True) + "\n"


def _scaled(box: Sequence[int], scale: float) -> list[int]:
    left, top, right, bottom = box
    return [int(left * scale), int(top * scale), -int(-right * scale), -int(-bottom * scale)]


def _write_companions(path: Path, case: Case, truth: str) -> None:
    if case.sidecar:
        _write_text(path.with_suffix(".srt"), to_srt(case.script.narration))
    _write_text(path.with_suffix(".truth.json"), truth)


def _write_text(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
