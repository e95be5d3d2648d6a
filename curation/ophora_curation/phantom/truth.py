"""The ground truth beside each video: what was planted, and where, as one JSON object."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ophora_curation.phantom.identity import Person
from ophora_curation.phantom.overlay import Drawn
from ophora_curation.phantom.planted import find_planted
from ophora_curation.phantom.script import Script

SCHEMA = 1


def describe(
    people: Sequence[Person],
    script: Script,
    drawn: Sequence[Drawn],
    *,
    fps: int,
    size: tuple[int, int],
    tags: Mapping[str, str],
    name: str,
    sidecar: bool,
) -> str:
    """Canonical JSON text; never read by curation itself, only by what measures it.

    `people` are the video's patient and whoever else is named in it; `name` is the file's with its
    folder. Boxes are left, top, right, bottom in pixels of the upright picture.
    """
    channels = {
        "speech": "\n".join(item.sentence.text for item in script.narration),
        "overlay": "\n".join(
            overlay.text
            for segment, overlay in zip(script.segments, drawn, strict=True)
            if segment.overlay == "personal"
        ),
        "file_name": name,
        "tags": "\n".join(tags.values()),
    }
    truth = {
        "schema": SCHEMA,
        "simulated": True,
        "patient": dict(sorted(people[0].facts().items())),
        "sidecar": sidecar,
        "size": list(size),
        "segments": _segments(script, drawn, fps),
        "cuts": [
            segment.first / fps
            for segment in script.segments[1:]
            if segment.first not in script.passages
        ],
        "blends": [
            {
                "kind": passage.kind,
                "start_s": (passage.at - passage.half) / fps,
                "end_s": (passage.at + passage.half) / fps,
            }
            for passage in script.passages.values()
        ],
        "narration": _narration(script),
        "planted": list(dict.fromkeys(text for person in people for text in person.planted())),
        "planted_by_kind": find_planted(tuple(people), channels),
        "metadata": dict(tags),
    }
    return json.dumps(truth, indent=1, sort_keys=True, ensure_ascii=True) + "\n"


def _segments(script: Script, drawn: Sequence[Drawn], fps: int) -> list[dict[str, Any]]:
    return [
        {
            "phase": segment.phase,
            "start_s": segment.first / fps,
            "end_s": (segment.first + segment.frames) / fps,
            "overlay": segment.overlay,
            "overlay_text": overlay.text,
            "overlay_boxes": [list(box) for box in overlay.boxes],
            "overlay_start_s": (segment.first + overlay.frames[0]) / fps,
            "overlay_end_s": (segment.first + overlay.frames[1]) / fps,
            "faults": list(segment.faults),
        }
        for segment, overlay in zip(script.segments, drawn, strict=True)
    ]


def _narration(script: Script) -> list[dict[str, Any]]:
    return [
        {
            "start_s": item.start_s,
            "end_s": item.end_s,
            "text": item.sentence.text,
            "phase": item.sentence.phase,
            "kind": item.sentence.kind,
            "personal": list(item.sentence.personal),
        }
        for item in script.narration
    ]
