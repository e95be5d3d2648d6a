"""Text de-identification on sentences that were not used to write any of its patterns.

Every remark is filled with invented people in four styles of transcript and cleaned. An entity
counts as withheld when no identifying word of it is left in any clause. Harmless narration must
lose nothing: every span that would be removed from it is a false redaction.
"""

import importlib
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from curation_parts.held_out_people import GENERIC, KINDS, TITLES, Spoken, invent, plain
from goals import Goal, share
from ophora_curation.text.deidentify import TextDeidentifier

FEWEST = 300  # entities of each kind: no miss in as many is a lower bound of 0.99
LEAST_RECALL = 0.99
MOST_FALSE = 2.0  # spans in 100 sentences
QUICK_ROUNDS = 4  # of every remark

_WORD = re.compile(r"[^\W_]{2,}")
_SLOT = re.compile(r"\{(\w+)\}")
_STYLES = ("written", "lower", "lower words", "words")


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """One filled remark: what is said, and the words of each entity that must not be left."""

    text: str
    entities: tuple[tuple[str, frozenset[str]], ...]  # kind, identifying words


def measure(*, quick: bool, folder: Path, seed: int, held_out: str = "c") -> list[Goal]:
    """Recall by kind and false redactions, over one of the held-out sets."""
    del folder  # nothing is written
    sentences = importlib.import_module(f"curation_parts.held_out_{held_out}")
    cleaner = TextDeidentifier()
    remarks = fill(sentences.REMARKS, np.random.default_rng(seed), quick=quick)
    return [*recall(cleaner, remarks), false_redactions(cleaner, sentences.HARMLESS)]


def fill(templates: Sequence[str], rng: np.random.Generator, *, quick: bool) -> Iterator[Remark]:
    """Every template again and again with other people, until each kind has enough entities."""
    met = Counter[str]()
    rounds = 0
    while rounds < QUICK_ROUNDS if quick else min(met[kind] for kind in KINDS) < FEWEST:
        for template in templates:
            remark = _filled(template, rng)
            met.update(kind for kind, _ in remark.entities)
            yield remark
        rounds += 1


def recall(cleaner: TextDeidentifier, remarks: Iterator[Remark]) -> list[Goal]:
    """Entities withheld, by kind."""
    hits, total = Counter[str](), Counter[str]()
    for count, remark in enumerate(remarks, start=1):
        left = _words(" ".join(cleaner.clean(remark.text).clauses))
        for kind, words in remark.entities:
            total[kind] += 1
            hits[kind] += not words & left
        if count % 500 == 0:
            sys.stderr.write(f"    {count} remarks\n")
    return [
        share(
            f"recall of {kind.replace('_', ' ')}",
            hits[kind],
            total[kind],
            at_least=LEAST_RECALL,
            bounded=True,
        )
        for kind in KINDS
    ]


def false_redactions(cleaner: TextDeidentifier, harmless: Sequence[str]) -> Goal:
    """Spans that would be removed from narration in which nothing is personal."""
    spans = sum(len(cleaner.explain(sentence)) for sentence in harmless)
    return Goal(
        what="false redactions in 100 harmless sentences",
        measured=100.0 * spans / len(harmless),
        samples=len(harmless),
        at_most=MOST_FALSE,
    )


def _filled(template: str, rng: np.random.Generator) -> Remark:
    style = _STYLES[int(rng.choice(4, p=(0.4, 0.2, 0.2, 0.2)))]
    values = invent(rng, words="words" in style)
    text = template.format(**{slot: value.text for slot, value in values.items()})
    if "lower" in style:  # as some recognisers write: no case, no commas, no marks
        text = re.sub(r"[,.?!](?=\s|$)", "", plain(text).lower())
    around = _words(_SLOT.sub(" ", template))
    used = [values[slot] for slot in _SLOT.findall(template)]
    entities = [(value.kind, identifying(value) - around) for value in used]
    return Remark(
        text=text[0].upper() + text[1:] if "lower" not in style else text,
        entities=tuple((kind, words) for kind, words in entities if words),
    )


def identifying(value: Spoken) -> frozenset[str]:
    """The words of an entity that point at somebody."""
    return frozenset(_words(value.text) - (TITLES if value.kind == "name" else GENERIC))


def _words(text: str) -> set[str]:
    return set(_WORD.findall(plain(text).casefold()))
