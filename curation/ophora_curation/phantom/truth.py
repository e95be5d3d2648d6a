"""The ground truth beside each video: what was planted, and where, as one JSON object."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ophora_curation.phantom.identity import Person
from ophora_curation.phantom.script import Script

SCHEMA = 1


def describe(
    person: Person,
    script: Script,
    overlay_texts: Sequence[str],
    *,
    fps: int,
    tags: Mapping[str, str],
    sidecar: bool,
) -> str:
    """Canonical JSON text; never read by curation itself, only by what measures it."""
    segments: list[dict[str, Any]] = [
        {
            "phase": segment.phase,
            "start_s": segment.first / fps,
            "end_s": (segment.first + segment.frames) / fps,
            "overlay": segment.overlay,
            "overlay_text": text,
            "faults": list(segment.faults),
        }
        for segment, text in zip(script.segments, overlay_texts, strict=True)
    ]
    narration = [
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
    truth = {
        "schema": SCHEMA,
        "simulated": True,
        "patient": dict(sorted(person.facts().items())),
        "sidecar": sidecar,
        "segments": segments,
        "cuts": [segment.first / fps for segment in script.segments[1:]],
        "narration": narration,
        "planted": list(person.planted()),
        "metadata": dict(tags),
    }
    return json.dumps(truth, indent=1, sort_keys=True, ensure_ascii=True) + "\n"
