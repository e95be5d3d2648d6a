"""Which identifiers a video carries, by kind and by the channel they are planted in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ophora_curation.phantom.identity import Person

KINDS: Final = ("name", "record_number", "date", "age_over_89", "hospital", "phone")
CHANNELS: Final = ("speech", "overlay", "file_name", "tags")
Planted = dict[str, dict[str, list[str]]]


def find_planted(people: tuple[Person, ...], channels: Mapping[str, str]) -> Planted:
    """Identifiers by kind and channel, each as it is written there; `channels` hold all text."""
    forms: dict[str, set[str]] = {kind: set() for kind in KINDS}
    for person in people:
        for kind, written in _forms(person).items():
            forms[kind].update(written)
    return {
        kind: {
            channel: sorted(form for form in forms[kind] if form in text)
            for channel, text in channels.items()
        }
        for kind in KINDS
    }


def in_file_name(text: str) -> str:
    """As it is written into a file's name."""
    return text.replace(" ", "-")


def _forms(person: Person) -> dict[str, set[str]]:
    """How each kind may be written. An age is only told from other figures with its unit."""
    facts = person.facts()
    age = int(facts["age"])
    days = (person.born, person.visit)
    dates = {day.strftime(form) for day in days for form in ("%d.%m.%Y", "%Y%m%d", "%Y-%m-%d")}
    ages = {f"Age {age}", in_file_name(f"Age {age}"), f"{age} years"} if age > 89 else set()
    return {
        "name": {person.last, person.last.upper(), person.doctor, f"{person.first} {person.last}"},
        "record_number": {person.mrn},
        "date": {*dates, facts["birth_words"], facts["visit_words"]},
        "age_over_89": ages,
        "hospital": {person.hospital, in_file_name(person.hospital)},
        "phone": {person.phone, in_file_name(person.phone)},
    }
