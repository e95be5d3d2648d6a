"""Recall of text de-identification on personal remarks of many invented people.

Every remark template is filled with every person's data and cleaned; a word of the data that is
still there, and is not a word of the vocabulary, is a leak. Lower case is what some recognisers
give.

    python benchmarks/deidentification.py [--quick] [--check] [--json FILE] [--people 150]
                                          [--seed 1]
"""

import re
import sys
import time
from collections.abc import Iterator

import numpy as np

from goals import Goal, make_parser, report, share
from ophora_curation.phantom.identity import invent_person
from ophora_curation.phantom.phrases import INSTRUCTIONS, MIXED, PERSONAL
from ophora_curation.text.deidentify import TextDeidentifier
from ophora_curation.text.vocabulary import allowed_words

_WORD = re.compile(r"[^\W\d_]{3,}|\d{3,}")
_HARMLESS = [text for texts in INSTRUCTIONS.values() for text in texts]


def main() -> int:
    """Fill, clean, count, print; the exit code."""
    parser = make_parser(__doc__)
    parser.add_argument("--people", type=int, help="default 150, quick 10")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    people = arguments.people or (10 if arguments.quick else 150)
    rng = np.random.default_rng(arguments.seed)
    cleaner = TextDeidentifier()
    cleaner.clean(_HARMLESS[0])  # loads what is loaded once
    goals = []
    for lower in (False, True):
        goals += measure_recall(cleaner, rng, people, lower=lower)
    kept = sum(bool(cleaner.clean(text).clauses) for text in _HARMLESS)
    goals.append(share("harmless sentences kept", kept, len(_HARMLESS), at_least=0.98))
    return report(goals, arguments)


def measure_recall(
    cleaner: TextDeidentifier, rng: np.random.Generator, people: int, *, lower: bool
) -> list[Goal]:
    """Personal words withheld, and how fast."""
    total = leaked = sentences = 0
    start = time.process_time()
    for _ in range(people):
        for said, words in _remarks(rng):
            left = " ".join(cleaner.clean(said.lower() if lower else said).clauses).lower()
            total += len(words)
            leaked += sum(word in left.split() for word in words)
            sentences += 1
    seconds = time.process_time() - start
    case = "lower case" if lower else "as spoken"
    return [
        share(f"words withheld, {case}", total - leaked, total),
        Goal(
            what=f"sentences per CPU second, {case}",
            measured=sentences / seconds,
            at_least=20.0,
            samples=sentences,
        ),
    ]


def _remarks(rng: np.random.Generator) -> Iterator[tuple[str, set[str]]]:
    """Every template with one invented person's data, and the personal words in it."""
    facts = invent_person(rng).facts()
    for template in (*PERSONAL, *MIXED):
        chosen = _HARMLESS[int(rng.integers(len(_HARMLESS)))]
        used = [facts[key] for key in re.findall(r"\{(\w+)\}", template) if key in facts]
        words = {word.lower() for fact in used for word in _WORD.findall(fact)}
        yield template.format(**facts, instruction=chosen), words - allowed_words()


if __name__ == "__main__":
    sys.exit(main())
