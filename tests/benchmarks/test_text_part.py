from types import SimpleNamespace

import numpy as np
import pytest

from curation_parts import held_out_a, text
from curation_parts.held_out_people import KINDS, invent
from ophora_curation.text.deidentify import TextDeidentifier


def remark(said: str, kind: str, *words: str) -> text.Remark:
    return text.Remark(text=said, entities=((kind, frozenset(words)),))


def test_one_word_of_an_entity_left_in_a_clause_is_a_miss() -> None:
    said = [
        remark("Thank you Anna", "name", "anna"),
        remark("Call Pérez", "name", "perez", "jose"),
    ]
    keeps_all = SimpleNamespace(clean=lambda line: SimpleNamespace(clauses=(line,)))
    drops_all = SimpleNamespace(clean=lambda line: SimpleNamespace(clauses=()))
    kept = {goal.what: goal.measured for goal in text.recall(keeps_all, iter(said))}
    dropped = {goal.what: goal.measured for goal in text.recall(drops_all, iter(said))}
    assert kept["recall of name"] == 0.0
    assert dropped["recall of name"] == 1.0


def test_the_full_set_has_at_least_300_entities_of_each_kind_from_60_remarks() -> None:
    rng = np.random.default_rng(3)
    kinds = [
        kind
        for item in text.fill(held_out_a.REMARKS, rng, quick=False)
        for kind, _ in item.entities
    ]
    assert len(set(held_out_a.REMARKS)) >= 60
    assert len(set(held_out_a.HARMLESS)) >= 100
    assert min(kinds.count(kind) for kind in KINDS) >= 300


@pytest.mark.parametrize("words", [False, True])
def test_an_invented_person_has_identifying_words_of_every_kind(words: bool) -> None:
    for seed in range(40):
        values = invent(np.random.default_rng(seed), words=words)
        assert {value.kind for value in values.values()} == set(KINDS)
        for slot in ("full", "last", "mrn", "date", "age", "hospital", "phone"):
            assert text.identifying(values[slot])


def test_the_quick_measurement_withholds_entities_of_every_kind() -> None:
    remarks = text.fill(held_out_a.REMARKS[::3], np.random.default_rng(5), quick=True)
    goals = text.recall(TextDeidentifier(), remarks)
    assert len(goals) == len(KINDS)
    assert all(goal.samples > 0 and goal.measured >= 0.9 for goal in goals)
