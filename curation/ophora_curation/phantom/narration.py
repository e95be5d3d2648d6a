"""The script of a video: what is said when, with its truth, and its SubRip form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ophora_curation.phantom.identity import Person
from ophora_curation.phantom.phrases import (
    DIGRESSIONS,
    GREETINGS,
    INSTRUCTIONS,
    MIXED,
    PERSONAL,
)

WORDS_PER_SECOND = 2.7
PAUSE_S = 0.25
MIXED_SHARE = 0.12
LONGEST_S = 7.4  # of speech in one segment
EXTRA_SHARE = 0.35  # of the segments with a second sentence that is not an instruction


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """One spoken sentence before it has a time."""

    text: str
    kind: str  # instruction | digression | greeting | personal
    phase: str | None = None
    personal: tuple[str, ...] = ()

    def length_s(self) -> float:
        return max(1.4, len(self.text.split()) / WORDS_PER_SECOND)


@dataclass(frozen=True, slots=True, kw_only=True)
class Utterance:
    """A sentence with its place in the video."""

    start_s: float
    end_s: float
    sentence: Sentence


def choose_sentences(
    rng: np.random.Generator, phase: str | None, person: Person, *, first: bool
) -> list[Sentence]:
    """What is said over one segment; `phase` None says nothing about surgery.

    An instruction stays what it is; a second sentence that would not fit is left unsaid.
    """
    sentences: list[Sentence] = []
    if first:
        sentences.append(_personal(rng, person) if rng.random() < 0.75 else _greeting(rng))
    elif phase is None or rng.random() < EXTRA_SHARE:
        sentences.append(_personal(rng, person) if rng.random() < 0.4 else _digression(rng))
    if phase is not None:
        sentences.append(_instruction(rng, phase, person, mixed=not sentences))
        if len(sentences) > 1 and not first and rng.random() < 0.5:
            sentences.reverse()
        if len(sentences) == 1 and sentences[0].length_s() < 3.6 and rng.random() < 0.35:
            more = _instruction(rng, phase, person, mixed=False)
            if more.text != sentences[0].text:
                sentences.append(more)
    while len(sentences) > 1 and spoken_length(sentences) > LONGEST_S:
        sentences = [item for item in sentences if item.kind == "instruction"][:1]
    return sentences


def spoken_length(sentences: Sequence[Sentence]) -> float:
    """Seconds the sentences take with their pauses."""
    return sum(sentence.length_s() + PAUSE_S for sentence in sentences)


def place_sentences(
    rng: np.random.Generator,
    sentences: Sequence[Sentence],
    *,
    start_s: float,
    end_s: float,
    not_before_s: float,
) -> list[Utterance]:
    """Spread the sentences over a segment, often a little early or late at the cut."""
    slack = max(0.0, end_s - start_s - spoken_length(sentences))
    cursor = start_s + float(rng.uniform(-0.3, min(0.6, 0.3 + slack)))
    placed: list[Utterance] = []
    for sentence in sentences:
        begin = round(max(cursor, not_before_s, 0.1), 3)
        finish = round(begin + sentence.length_s(), 3)
        placed.append(Utterance(start_s=begin, end_s=finish, sentence=sentence))
        not_before_s = finish + 0.05
        cursor = finish + PAUSE_S + float(rng.uniform(0.0, 0.4 * slack + 0.01))
    return placed


def to_srt(utterances: Sequence[Utterance]) -> str:
    """SubRip text."""
    blocks = [
        f"{number}\n{_stamp(item.start_s)} --> {_stamp(item.end_s)}\n{item.sentence.text}\n"
        for number, item in enumerate(utterances, start=1)
    ]
    return "\n".join(blocks)


def _stamp(time_s: float) -> str:
    milliseconds = round(time_s * 1000)
    hours, rest = divmod(milliseconds, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    seconds, rest = divmod(rest, 1000)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d},{rest:03d}"


def _pick(rng: np.random.Generator, texts: Sequence[str]) -> str:
    return texts[int(rng.integers(len(texts)))]


def _greeting(rng: np.random.Generator) -> Sentence:
    return Sentence(text=_pick(rng, GREETINGS), kind="greeting")


def _digression(rng: np.random.Generator) -> Sentence:
    return Sentence(text=_pick(rng, DIGRESSIONS), kind="digression")


def _personal(rng: np.random.Generator, person: Person) -> Sentence:
    template = _pick(rng, PERSONAL)
    return Sentence(
        text=template.format(**person.facts()),
        kind="personal",
        personal=_mentioned(template, person),
    )


def _instruction(rng: np.random.Generator, phase: str, person: Person, *, mixed: bool) -> Sentence:
    text = _pick(rng, INSTRUCTIONS[phase])
    if not mixed or rng.random() >= MIXED_SHARE:
        return Sentence(text=text, kind="instruction", phase=phase)
    template = _pick(rng, MIXED)
    keep = text.startswith(("I ", "Healon", "Viscoelastic removal"))
    clause = text if keep else text[0].lower() + text[1:]
    return Sentence(
        text=template.format(instruction=clause, **person.facts()),
        kind="instruction",
        phase=phase,
        personal=_mentioned(template, person),
    )


def _mentioned(template: str, person: Person) -> tuple[str, ...]:
    """The planted strings a template names."""
    return tuple(
        value
        for key, value in person.facts().items()
        if f"{{{key}}}" in template and key not in ("title", "age")
    )
