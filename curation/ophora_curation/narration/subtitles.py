"""What the surgeon says, with times: from subtitles beside the video, cut into sentences.

Narration is still identifiable here. It lives in memory only and its text is kept out of every
`repr`, so no log or traceback shows it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SIDECARS = (".srt", ".vtt")
_MAX_BYTES = 10_000_000
_TIME = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_TIMES = re.compile(rf"{_TIME}\s*-->\s*{_TIME}")
_FULL_STOPS = (".", "!", "?")
_TITLE_END = re.compile(r"\b(?:mr|mrs|ms|dr|prof)\.$", re.IGNORECASE)
_MAX_BREAK_S = 1.0
_MAX_SENTENCE_S = 15.0
_TAG = re.compile(r"<[^>]*>|\{\\[^}]*\}")
# not after a title: "Dr." and the name must stay together for the guards in deidentify.py
_SENTENCE_END = re.compile(r"(?<=[.!?])(?<!\b[MD][rs]\.)(?<!\bMrs\.)(?<!\bProf\.)\s+(?=\S)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """A sentence and when it is said."""

    start_s: float
    end_s: float
    text: str = field(repr=False)  # still identifiable


def find_sidecar(video: Path) -> Path | None:
    """The subtitles beside a video, if there are any: SRT before VTT."""
    for suffix in SIDECARS:
        sidecar = video.with_suffix(suffix)
        if sidecar.is_file():
            return sidecar
    return None


def read_sidecar(path: Path) -> list[Utterance]:
    """The sentences of an SRT or WebVTT file in order; empty when it holds none."""
    with path.open("rb") as file:
        data = file.read(_MAX_BYTES)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    cues = sorted(_cues(text.splitlines()), key=lambda cue: cue.start_s)
    return _join_broken(split_sentences(cues))


def split_sentences(cues: Sequence[Utterance]) -> list[Utterance]:
    """Cut cues at sentence ends; time is shared out by length."""
    sentences: list[Utterance] = []
    for cue in cues:
        parts = [part for part in _SENTENCE_END.split(cue.text.strip()) if part]
        total = sum(map(len, parts))
        start = cue.start_s
        for part in parts:
            end = start + (cue.end_s - cue.start_s) * len(part) / total
            sentences.append(Utterance(start_s=start, end_s=end, text=part))
            start = end
    return sentences


def _join_broken(parts: Sequence[Utterance]) -> list[Utterance]:
    """Join a sentence that subtitles break over several cues: a name may stand in the second half
    and what gives it away in the first. Subtitles without any full stop are left as they are."""
    if not any(_ends(part.text) for part in parts):
        return list(parts)
    joined: list[Utterance] = []
    for part in parts:
        last = joined[-1] if joined else None
        if (
            last is not None
            and not _ends(last.text)
            and part.start_s - last.end_s <= _MAX_BREAK_S
            and part.end_s - last.start_s <= _MAX_SENTENCE_S
        ):
            text = f"{last.text} {part.text}"
            joined[-1] = Utterance(start_s=last.start_s, end_s=part.end_s, text=text)
        else:
            joined.append(part)
    return joined


def _ends(text: str) -> bool:
    return text.endswith(_FULL_STOPS) and not _TITLE_END.search(text)


def _cues(lines: Sequence[str]) -> Iterator[Utterance]:
    times: tuple[float, float] | None = None
    words: list[str] = []
    for line in (*lines, ""):
        match = _TIMES.search(line)
        if match:
            times, words = (_seconds(match.groups()[:4]), _seconds(match.groups()[4:])), []
        elif line.strip() and times:
            words.append(_TAG.sub("", line).strip())
        elif not line.strip():
            if times and words and times[1] > times[0]:
                yield Utterance(start_s=times[0], end_s=times[1], text=" ".join(words))
            times, words = None, []


def _seconds(groups: Sequence[str | None]) -> float:
    hours, minutes, seconds, fraction = (group or "0" for group in groups)
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) + int(fraction.ljust(3, "0")) / 1000
