"""Recall of text de-identification on personal remarks of many invented people.

Every remark template is filled with every person's data and cleaned; a word of the data that is
still there, and is not a word of the vocabulary, is a leak. Lower case is what some recognisers
give.

    python benchmarks/deidentification.py [--people 150] [--seed 1]
"""

import argparse
import re
import sys
import time

import numpy as np

from ophora_curation.deidentify import TextDeidentifier
from ophora_curation.phantom.identity import invent_person
from ophora_curation.phantom.phrases import INSTRUCTIONS, MIXED, PERSONAL
from ophora_curation.vocabulary import allowed_words

_WORD = re.compile(r"[^\W\d_]{3,}|\d{3,}")


def main() -> None:
    """Fill, clean, count, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--people", type=int, default=150)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    instructions = [text for texts in INSTRUCTIONS.values() for text in texts]
    cleaner = TextDeidentifier()
    for lower in (False, True):
        total = leaked = sentences = 0
        start = time.process_time()
        for _ in range(arguments.people):
            facts = invent_person(rng).facts()
            for template in (*PERSONAL, *MIXED):
                chosen = instructions[int(rng.integers(len(instructions)))]
                said = template.format(**facts, instruction=chosen)
                used = [facts[key] for key in re.findall(r"\{(\w+)\}", template) if key in facts]
                left = " ".join(cleaner.clean(said.lower() if lower else said).clauses).lower()
                words = {word.lower() for fact in used for word in _WORD.findall(fact)}
                words -= allowed_words()
                total += len(words)
                leaked += sum(word in left.split() for word in words)
                sentences += 1
        milliseconds = (time.process_time() - start) / sentences * 1000
        case = "lower case" if lower else "as spoken"
        sys.stdout.write(
            f"{case:10}  words withheld {total - leaked} of {total}, "
            f"{sentences} sentences, {milliseconds:.1f} ms each\n"
        )
    kept = sum(bool(cleaner.clean(text).clauses) for text in instructions)
    sys.stdout.write(f"harmless    sentences kept {kept} of {len(instructions)}\n")


if __name__ == "__main__":
    main()
