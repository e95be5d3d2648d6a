"""Narration from the sound track, with a speech model that runs at the site (faster-whisper).

    sound -> stretches of speech (VAD, once) -> windows of <= 29 s -> words -> sentences -> phrases

A voice-activity filter comes first: without one Whisper invents text on noise. Windows are heard
one by one, so an hour needs little more memory than half a minute. A sentence in which a word is
doubtful is left out whole: half of it could say the opposite.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np

from ophora_curation.errors import DetectorMissing
from ophora_curation.narration.speech_model import find_model
from ophora_curation.narration.subtitles import Utterance
from ophora_curation.settings import CurationSettings
from ophora_curation.source.sound import RATE, Sound

HOTWORDS = (
    "keratome, paracentesis, side port, viscoelastic, capsulorhexis, rhexis, cystotome, Utrata, "
    "hydrodissection, hydrodelineation, phacoemulsification, phaco, nucleus, quadrant, chop, "
    "irrigation, aspiration, cortex, posterior capsule, polish, intraocular lens, injector, "
    "haptic, capsular bag, toric, anterior chamber, stromal hydration, cefuroxime, moxifloxacin"
)
_MAX_COMPRESSION = 2.4  # of a segment's text; more is a loop
_LONG_GAP_S = 0.5
_BLOCK_S = 300  # that the voice-activity filter takes at once
_WINDOW_S = 29.0  # Whisper's own is 30
_CHOICE_S = 6.0  # at a window's end, within which the longest silence becomes its end
_PAD_S = 0.4  # of sound kept round speech
_TAIL_S = 1.0  # at a window's end, in which no sentence is
_MIN_ECHO = 4  # words in the order of the list
_UNFINISHED = frozenset(
    {"mr.", "mrs.", "ms.", "dr.", "prof.", "doctor", "not", "no", "never", "don't", "without"}
    | {"avoid", "the", "a", "an", "to", "of", "and", "or"}
)  # no sentence ends with these: a name or a denial would lose what belongs to it
_WORD = re.compile(r"[a-z']+")

Stretch = tuple[int, int]  # samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A word that was heard, in seconds of the whole sound."""

    start_s: float
    end_s: float
    text: str = field(repr=False)  # still identifiable
    is_sure: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """What is cut out of the sound, low to high, and the speech in it; in samples."""

    low: int
    high: int
    begin: int
    end: int


class SpeechRecognizer:
    """Holds the speech model; it is loaded at first use."""

    def __init__(self, settings: CurationSettings, *, threads: int = 1) -> None:
        self._settings = settings
        self._threads = threads
        self._model: Any = None

    def listen(self, sound: Sound) -> list[Utterance]:
        """The sentences heard in mono int16 sound at 16 kHz; empty when there is no speech.

        Raises `DetectorMissing`, but only when there is speech to recognise.
        """
        stretches = find_speech(sound)
        words = [word for window in pack(stretches) for word in self._hear(sound, window)]
        pauses = [(before[1] + after[0]) / 2 / RATE for before, after in pairwise(stretches)]
        said = [
            join(phrase)
            for sentence in _sentences(words)
            if all(word.is_sure for word in sentence)
            for phrase in _phrases(sentence, pauses)
        ]
        return [utterance for utterance in said if not is_echo(utterance.text)]

    def _hear(self, sound: Sound, window: Sequence[Stretch]) -> Iterator[Word]:
        """The words in some stretches of speech, which are heard without what lies between."""
        pieces = _padded(window, len(sound))
        heard = np.concatenate([sound[piece.low : piece.high] for piece in pieces])
        clock = _Clock(pieces)
        for segment in self._segments(heard):
            is_trusted = self._is_trusted(segment)
            for word in segment.words or ():
                start_s, end_s = clock.times(word.start, word.end)
                sure = is_trusted and word.probability >= self._settings.min_word_probability
                yield Word(start_s=start_s, end_s=end_s, text=word.word, is_sure=sure)

    def _segments(self, heard: Sound) -> Iterator[Any]:
        segments, _ = self._load().transcribe(
            heard.astype(np.float32) / 32768.0,
            language="en",
            beam_size=1,
            hotwords=HOTWORDS,
            condition_on_previous_text=False,
            temperature=0.0,
            word_timestamps=True,
            without_timestamps=True,
        )
        for segment in segments:
            yield segment
            if segment.words and segment.words[-1].end > len(heard) / RATE - _TAIL_S:
                return  # Whisper would listen once more to the silence after the last word

    def _is_trusted(self, segment: Any) -> bool:
        return bool(
            segment.no_speech_prob < self._settings.max_no_speech
            and segment.avg_logprob > self._settings.min_speech_logprob
            and segment.compression_ratio < _MAX_COMPRESSION
        )

    def _load(self) -> Any:
        if self._model is None:
            folder = find_model(self._settings)
            from faster_whisper import WhisperModel

            try:
                self._model = WhisperModel(
                    str(folder),
                    device="cpu",
                    compute_type="int8",
                    cpu_threads=self._threads,
                    num_workers=1,
                    local_files_only=True,
                )
            except Exception as error:  # ctranslate2 and tokenizers have no common base
                message = "speech model can't be loaded: its folder must hold a CTranslate2 Whisper"
                raise DetectorMissing(message) from error
        return self._model


def find_speech(sound: Sound) -> list[Stretch]:
    """Stretches of speech in order, cut at silences of 0.16 s; none is longer than a window."""
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    options = VadOptions(
        min_silence_duration_ms=160, speech_pad_ms=60, max_speech_duration_s=_WINDOW_S - 2 * _PAD_S
    )
    stretches: list[Stretch] = []
    start = 0
    while start < len(sound):
        block = sound[start : start + _BLOCK_S * RATE].astype(np.float32) / 32768.0
        found = [(part["start"], part["end"]) for part in get_speech_timestamps(block, options)]
        after = start + len(block)
        if after < len(sound) and found and len(block) - found[-1][1] < RATE and found[-1][0] > 0:
            after = start + found.pop()[0]  # it may go on: the next block begins with it
        stretches += [(start + low, start + high) for low, high in found]
        start = after
    return stretches


def pack(stretches: Sequence[Stretch]) -> Iterator[Sequence[Stretch]]:
    """Groups of stretches that fit a window together; a group ends at a long silence."""
    first = 0
    while first < len(stretches):
        last, room = first, _WINDOW_S * RATE - _cost(stretches, first)
        while last + 1 < len(stretches) and room >= _cost(stretches, last + 1, follows=True):
            last += 1
            room -= _cost(stretches, last, follows=True)
        if last + 1 < len(stretches):
            last = _best_end(stretches, first, last)
        yield stretches[first : last + 1]
        first = last + 1


def _cost(stretches: Sequence[Stretch], at: int, *, follows: bool = False) -> float:
    """Samples that a stretch takes in a window, with what is kept of the silence before it."""
    low, high = stretches[at]
    pad = 2 * _PAD_S * RATE
    return high - low + (min(pad, low - stretches[at - 1][1]) if follows else pad)


def _best_end(stretches: Sequence[Stretch], first: int, last: int) -> int:
    """The stretch before the longest silence among a full group's last ones."""
    lowest = last
    while lowest > first and stretches[last][1] - stretches[lowest][0] < _CHOICE_S * RATE:
        lowest -= 1
    return max(
        range(lowest, last + 1), key=lambda at: (stretches[at + 1][0] - stretches[at][1], at)
    )


def _padded(window: Sequence[Stretch], size: int) -> list[Piece]:
    """What is cut out: stretches with some sound round them, joined where they meet."""
    pad = int(_PAD_S * RATE)
    pieces: list[Piece] = []
    for begin, end in window:
        low, high = max(0, begin - pad), min(size, end + pad)
        if pieces and low <= pieces[-1].high:
            pieces[-1] = replace(pieces[-1], high=high, end=end)
        else:
            pieces.append(Piece(low=low, high=high, begin=begin, end=end))
    return pieces


class _Clock:
    """From seconds of what was cut out to seconds of the whole sound."""

    def __init__(self, pieces: Sequence[Piece]) -> None:
        self._pieces = pieces
        self._starts = [0.0]
        for piece in pieces:
            self._starts.append(self._starts[-1] + (piece.high - piece.low) / RATE)

    def times(self, start_s: float, end_s: float) -> tuple[float, float]:
        """A word lies in the speech of one piece: the one in which its middle is."""
        number = bisect_right(self._starts, (start_s + end_s) / 2) - 1
        number = min(max(number, 0), len(self._pieces) - 1)
        piece = self._pieces[number]
        shift_s = piece.low / RATE - self._starts[number]
        begin_s, last_s = piece.begin / RATE, piece.end / RATE
        start_s = min(max(start_s + shift_s, begin_s), last_s)
        return start_s, min(max(end_s + shift_s, start_s), last_s)


def _sentences(words: Sequence[Word]) -> Iterator[Sequence[Word]]:
    """Words up to a full stop or a long gap."""
    return _cut(words, _ends_sentence)


def _phrases(sentence: Sequence[Word], pauses: Sequence[float]) -> Iterator[Sequence[Word]]:
    """A sentence cut at its pauses, for speech that is recognised without full stops."""
    return _cut(sentence, lambda last, word: _pauses_between(last, word, pauses))


def _cut(words: Sequence[Word], ends: Any) -> Iterator[Sequence[Word]]:
    first = 0
    for at in range(1, len(words)):
        if ends(words[at - 1], words[at]) and words[at - 1].text.strip().lower() not in _UNFINISHED:
            yield words[first:at]
            first = at
    if words:
        yield words[first:]


def _ends_sentence(last: Word, word: Word) -> bool:
    return last.text.rstrip().endswith((".", "!", "?")) or word.start_s - last.end_s > _LONG_GAP_S


def _pauses_between(last: Word, word: Word, pauses: Sequence[float]) -> bool:
    low, high = (last.start_s + last.end_s) / 2, (word.start_s + word.end_s) / 2
    at = bisect_right(pauses, low)
    return at < len(pauses) and pauses[at] < high


def join(words: Sequence[Word]) -> Utterance:
    """One utterance of a phrase's words."""
    text = "".join(word.text for word in words).strip()
    return Utterance(start_s=words[0].start_s, end_s=words[-1].end_s + 0.05, text=text)


def is_echo(text: str) -> bool:
    """Whether a text is mostly the list of hot words read back, which Whisper does on noise."""
    words = _WORD.findall(text.lower())
    run = _longest_common_run(words, _WORD.findall(HOTWORDS.lower()))
    return run >= _MIN_ECHO and 2 * run >= len(words)


def _longest_common_run(words: Sequence[str], others: Sequence[str]) -> int:
    longest = 0
    before = [0] * (len(others) + 1)
    for word in words:
        row = [0] + [before[at] + 1 if word == other else 0 for at, other in enumerate(others)]
        longest = max(longest, *row)
        before = row
    return longest
