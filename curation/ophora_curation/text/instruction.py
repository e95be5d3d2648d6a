"""From safe clauses to a generation instruction, by rule (the embedded default).

The paper lets a 72-billion-parameter model drop what is not about the picture and rewrite the
rest. Here rules do it: clauses that name nothing of eye surgery or greet somebody go, lead-ins
("now we are") are cut off, and the phase is named in front. What stays is the surgeon's own safe
wording, so instructions vary as narration does.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from ophora_curation.phases import PHASE_TITLES, PHASES
from ophora_curation.text.deidentify import SafeText
from ophora_curation.text.vocabulary import surgical_words

_MAX_CLAUSES = 3
_MAX_WORDS = 40
_VISCO = re.compile(r"\bvisco\w*\b|\bovd\b|\bhealon\b|\bgel\b")
_REMOVAL = re.compile(
    r"\b(?:remov\w*|aspirat\w*|suck\w*|suction\w*|evacuat\w*|clear\w*|take out|wash\w*"
    r"|out of|behind)\b"
)
_LEAD_IN = re.compile(
    r"^(?:(?:and|so|now|then|next|here|first|finally|also|but|again|once|at this point|"
    r"you can see|you see|as you can see|we can see|see|notice|watch|observe|that|how|is|are|we|i|"
    r"am|being|will|going to|it|there|let|us|with this|in this|the next step|step|just)\s+)+"
)
_GREETING = re.compile(
    r"\b(?:hello|hi|welcome|goodbye|bye|thanks|thank you|see you|subscribe|channel|comments"
    r"|viewers?|audience|congratulations|happy days)\b"
)
_MARGIN = 0.5  # by which the best phase must lead
_CLEAR_SCORE = 3.0  # evidence from which a phase is as clear as it gets: one word of its own


@cache
def _evidence() -> tuple[tuple[str, float, re.Pattern[str]], ...]:
    """Phase, weight and pattern of every line of the data file."""
    text = (files("ophora_curation") / "data" / "phase_evidence.txt").read_text(encoding="ascii")
    rows = [line.split(" ", 2) for line in text.splitlines() if not line.startswith("#")]
    return tuple((phase, float(weight), re.compile(pattern)) for phase, weight, pattern in rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    """A sentence to generate from, and the phase that it names; None when that is not clear.

    `confidence` is 0-1: how clearly the phase leads in what was said, times the share of clauses
    that the guards let through; 0 where no phase leads.
    """

    text: str
    phase: str | None
    confidence: float = 0.0
    written_by: str = "rules"  # "rules" | "endpoint"


def write_instruction(texts: Sequence[SafeText]) -> Instruction | None:
    """The instruction for a clip, or None when nothing said in it describes surgery."""
    clauses = surgical_clauses(texts)
    if not clauses:
        return None
    phase = recognise_phase(clauses)
    ranked = sorted(clauses, key=lambda clause: -_score(clause).get(phase or "", 0.0))
    chosen = [clause for clause in clauses if clause in ranked[:_MAX_CLAUSES]]
    wording = _join([_LEAD_IN.sub("", clause) for clause in chosen])
    if not wording:
        return None
    confidence = phase_confidence(texts, phase)
    return Instruction(text=titled(phase, wording), phase=phase, confidence=confidence)


def titled(phase: str | None, wording: str) -> str:
    """The instruction's text: the phase's title in front, a full stop behind."""
    title = PHASE_TITLES[phase] if phase else "Cataract surgery"
    return f"{title}: {wording}."


def surgical_clauses(texts: Sequence[SafeText]) -> list[str]:
    """The clauses that name anything of eye surgery, in the order in which they were said."""
    return [clause for text in texts for clause in text.clauses if is_surgical(clause)]


def is_surgical(clause: str) -> bool:
    """Whether the clause (lower case) names anything of eye surgery, and greets nobody."""
    if _GREETING.search(clause):
        return False
    words = [part for word in clause.split() for part in (word, *word.split("-"))]
    return any(word in surgical_words() for word in words)


def recognise_phase(clauses: Sequence[str]) -> str | None:
    """The phase that the clauses speak of, when one leads clearly."""
    totals = _totals(clauses)
    first, second = sorted(totals.values(), reverse=True)[:2]
    if first <= 0 or first - second < _MARGIN:
        return None
    return max(totals, key=lambda phase: totals[phase])


def phase_confidence(texts: Sequence[SafeText], phase: str | None) -> float:
    """How far the clauses speak for this phase rather than another, 0-1 (see `Instruction`)."""
    kept = sum(len(text.clauses) for text in texts)
    withheld = sum(count for text in texts for _, count in text.dropped)
    if phase is None or not kept:
        return 0.0
    totals = _totals(surgical_clauses(texts))
    score = totals.pop(phase)
    if score <= 0:
        return 0.0
    lead = max(score - max(totals.values()), 0.0) / score
    return lead * min(score / _CLEAR_SCORE, 1.0) * kept / (kept + withheld)


def _totals(clauses: Sequence[str]) -> dict[str, float]:
    totals = dict.fromkeys(PHASES, 0.0)
    for clause in clauses:
        for phase, score in _score(clause).items():
            totals[phase] += score
    return totals


def _score(clause: str) -> dict[str, float]:
    text = clause.lower()
    scores = dict.fromkeys(PHASES, 0.0)
    for phase, weight, pattern in _evidence():
        if pattern.search(text):
            scores[phase] += weight
    if _VISCO.search(text) and _REMOVAL.search(text):
        scores["viscoelastic_suction"] = scores["viscoelastic"] + 3.0
        scores["viscoelastic"] = scores["irrigation_aspiration"] = 0.0
    return scores


def _join(clauses: Sequence[str]) -> str:
    words: list[str] = []
    for clause in dict.fromkeys(clauses):
        part = clause.split()
        if words and len(words) + len(part) > _MAX_WORDS:
            break
        words += [*part[:-1], f"{part[-1]},"] if part else []
    return " ".join(words[:_MAX_WORDS]).rstrip(",")
