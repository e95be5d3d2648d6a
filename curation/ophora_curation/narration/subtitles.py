"""What the surgeon says, with times: from subtitles beside the video, cut into sentences.

Narration is still identifiable here. It lives in memory only and its text is kept out of every
`repr`, so no log or traceback shows it. The file may be hostile: its size, its cues, its text and
the length of a sentence are limited, and reading takes time in proportion to its size.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ophora_curation.errors import VideoRefused

SIDECARS = (".srt", ".vtt", ".json")
MAX_BYTES = 10_000_000
MAX_CUES = 20_000
MAX_CHARACTERS = 500_000  # of all cues together
MAX_SENTENCE = 400  # characters; a longer one is cut at a word
_TIME = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_TIMES = re.compile(rf"{_TIME}\s{{0,9}}-->\s{{0,9}}{_TIME}")
_MAX_TIMES_LINE = 500  # characters: positions and alignment may follow
_FULL_STOPS = (".", "!", "?")
_TITLE_END = re.compile(r"\b(?:mr|mrs|ms|dr|prof)\.$", re.IGNORECASE)
_MAX_BREAK_S = 1.0
_MAX_SENTENCE_S = 15.0
_TAG = re.compile(r"</?[A-Za-z0-9.:][^<>]*>|\{\\[^{}]*\}")  # "< 20 mmHg" is none
# not after a title: "Dr." and the name must stay together for the guards in deidentify.py
_SENTENCE_END = re.compile(r"(?<=[.!?])(?<!\b[MD][rs]\.)(?<!\bMrs\.)(?<!\bProf\.)\s+(?=\S)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """A sentence and when it is said."""

    start_s: float
    end_s: float
    text: str = field(repr=False)  # still identifiable


def find_sidecar(video: Path) -> Path | None:
    """What was written down beside a video, if anything was: SRT before WebVTT before JSON."""
    for suffix in SIDECARS:
        sidecar = video.with_suffix(suffix)
        if sidecar.is_file():
            return sidecar
    return None


def read_sidecar(path: Path) -> list[Utterance]:
    """The sentences of an SRT, WebVTT or JSON file in order, each of at most `MAX_SENTENCE`.

    Empty when the file holds none, as does a JSON of another purpose. Raises `VideoRefused`
    ("bad-sidecar") when the file can't be read, is larger than the limits, or is a transcript
    with a malformed part.
    """
    text = _decode(_read(path))
    if path.suffix.lower() == ".json":
        from ophora_curation.narration.transcript import read_transcript

        found = read_transcript(text)
    else:
        found = _cues(text.splitlines())
    cues = sorted(_limited(found), key=lambda cue: (cue.start_s, cue.end_s))
    return _shortened(_join_broken(split_sentences(_merged(cues))))


def split_sentences(cues: Iterable[Utterance]) -> list[Utterance]:
    """Cut cues at sentence ends; time is shared out by length."""
    return [part for cue in cues for part in _shared_out(cue, _SENTENCE_END.split(cue.text))]


def _shared_out(cue: Utterance, texts: Sequence[str]) -> Iterator[Utterance]:
    texts = [text.strip() for text in texts if text.strip()]
    total = sum(map(len, texts))
    start = cue.start_s
    for text in texts:
        end = start + (cue.end_s - cue.start_s) * len(text) / total
        yield Utterance(start_s=start, end_s=end, text=text)
        start = end


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise VideoRefused("bad-sidecar") from error
    if len(data) > MAX_BYTES:
        raise VideoRefused("bad-sidecar")
    return data


def _decode(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _limited(cues: Iterable[Utterance]) -> Iterator[Utterance]:
    """Cues with their white space made even. Raises past the limits."""
    characters = 0
    for number, cue in enumerate(cues, start=1):
        characters += len(cue.text)
        if number > MAX_CUES or characters > MAX_CHARACTERS:
            raise VideoRefused("bad-sidecar")
        text = " ".join(cue.text.split())
        if text:
            yield replace(cue, text=text)


def _merged(cues: Iterable[Utterance]) -> list[Utterance]:
    """Cues in order; one that repeats the words of another that it overlaps is joined to it."""
    merged: list[Utterance] = []
    last_with: dict[str, int] = {}
    for cue in cues:
        at = last_with.get(cue.text)
        if at is not None and cue.start_s < merged[at].end_s:
            merged[at] = replace(merged[at], end_s=max(merged[at].end_s, cue.end_s))
        else:
            last_with[cue.text] = len(merged)
            merged.append(cue)
    return merged


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
            and len(last.text) < MAX_SENTENCE
            and part.start_s - last.end_s <= _MAX_BREAK_S
            and part.end_s - last.start_s <= _MAX_SENTENCE_S
        ):
            text = f"{last.text} {part.text}"
            end_s = max(last.end_s, part.end_s)
            joined[-1] = Utterance(start_s=last.start_s, end_s=end_s, text=text)
        else:
            joined.append(part)
    return joined


def _ends(text: str) -> bool:
    return text.endswith(_FULL_STOPS) and not _TITLE_END.search(text[-8:])


def _shortened(sentences: Iterable[Utterance]) -> list[Utterance]:
    return [part for whole in sentences for part in _shared_out(whole, _pieces(whole.text))]


def _pieces(text: str) -> list[str]:
    """A text cut at white space into pieces of at most `MAX_SENTENCE` characters."""
    pieces = []
    start = 0
    while len(text) - start > MAX_SENTENCE:
        end = text.rfind(" ", start + 1, start + MAX_SENTENCE + 1)
        end = end if end > start else start + MAX_SENTENCE
        pieces.append(text[start:end])
        start = end
    return [*pieces, text[start:]]


def _cues(lines: Sequence[str]) -> Iterator[Utterance]:
    times: tuple[float, float] | None = None
    words: list[str] = []
    for line in (*lines, ""):
        match = _TIMES.search(line[:_MAX_TIMES_LINE]) if "-->" in line else None
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
