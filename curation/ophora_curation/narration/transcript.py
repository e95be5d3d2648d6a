"""Transcripts as speech recognisers write them: Whisper, WhisperX, faster-whisper, or a plain list.

    {"segments": [{"start": 1.0, "end": 2.5, "text": "..."}, ...], ...}   or just the list

Times are in seconds. Other keys, words among them, are not needed and not looked at.
"""

import json
import math
from collections.abc import Iterator
from typing import Any

from ophora_curation.errors import VideoRefused
from ophora_curation.narration.subtitles import Utterance

_KEYS = ("start", "end", "text")
_MAX_TIME_S = 1e6


def read_transcript(text: str) -> Iterator[Utterance]:
    """The segments of a JSON transcript in its order; none when it is no transcript.

    Raises `VideoRefused` ("bad-sidecar") when it is no JSON, or a segment is malformed.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise VideoRefused("bad-sidecar") from error
    for segment in _segments(found):
        utterance = _utterance(segment)
        if utterance.end_s > utterance.start_s:
            yield utterance


def _segments(found: Any) -> list[Any]:
    """What the file claims are segments; a tool's other data claims none."""
    if isinstance(found, dict) and "segments" in found:
        segments = found["segments"]
        if not isinstance(segments, list):
            raise VideoRefused("bad-sidecar")
        return segments
    if isinstance(found, list) and any(_is_like_segment(part) for part in found):
        return found
    return []


def _is_like_segment(part: Any) -> bool:
    return isinstance(part, dict) and "text" in part and ("start" in part or "end" in part)


def _utterance(segment: Any) -> Utterance:
    if not isinstance(segment, dict) or any(key not in segment for key in _KEYS):
        raise VideoRefused("bad-sidecar")
    text = segment["text"]
    start_s, end_s = _seconds(segment["start"]), _seconds(segment["end"])
    if not isinstance(text, str) or end_s < start_s:
        raise VideoRefused("bad-sidecar")
    return Utterance(start_s=start_s, end_s=end_s, text=text)


def _seconds(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= _MAX_TIME_S or not math.isfinite(value):
        raise VideoRefused("bad-sidecar")
    return float(value)
