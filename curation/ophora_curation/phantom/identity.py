"""Invented people: what the phantom plants in names, speech, overlays and tags. Nobody is real."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final

import numpy as np


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FEMALE: Final[tuple[str, ...]] = _words(
    """
    Anna Maria Ingrid Helga Priya Fatima Margaret Yuki Rosa Olga Edith Carmen
    """
)
MALE: Final[tuple[str, ...]] = _words(
    """
    Peter Hassan Walter Kenji Carlos Victor Samuel Andrzej Thomas Omar George Emil
    """
)
# Several are eponyms of ophthalmology, which a vocabulary must not wave through. None is one that
# INSTRUCTIONS use as a term, so a planted name is never right to keep.
SURNAMES: Final[tuple[str, ...]] = _words(
    """
    Ahmed Weiss Kelman Fuchs Elschnig Castroviejo Barraquer Okonkwo Lindqvist Moreau Tanaka
    Hoffmann Petrov Silva Andersson Kowalski Nakamura Delgado Whitfield Brennan Sorensen
    Haddad Iyer Vasquez Thornbury Maddox Schirmer
    """
)
CITIES: Final[tuple[str, ...]] = (
    "Rotterdam",
    "Leipzig",
    "Bologna",
    "Porto",
    "Uppsala",
    "Zagreb",
    "Nagoya",
    "Mombasa",
    "Cardiff",
    "Winnipeg",
)
HOSPITALS: Final[tuple[str, ...]] = (
    "Saint Lucy Eye Hospital",
    "Harbour View Clinic",
    "Northgate University Hospital",
    "Riverside Eye Institute",
    "Elm Street Infirmary",
)
MONTHS: Final[tuple[str, ...]] = _words(
    """
    January February March April May June July August September October November December
    """
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One invented patient with the surgeon and hospital of the day."""

    title: str
    first: str
    last: str
    doctor: str
    mrn: str
    born: date
    visit: date
    city: str
    hospital: str
    phone: str

    def facts(self) -> dict[str, str]:
        """Everything a remark may mention, as it is spoken or written."""
        return {
            "title": self.title,
            "first": self.first,
            "last": self.last,
            "doctor": self.doctor,
            "mrn": self.mrn,
            "birth": self.born.strftime("%d.%m.%Y"),
            "birth_words": spoken_date(self.born),
            "visit_words": spoken_date(self.visit),
            "city": self.city,
            "hospital": self.hospital,
            "phone": self.phone,
            "age": str(self.visit.year - self.born.year),
        }

    def planted(self) -> tuple[str, ...]:
        """Strings that must occur nowhere downstream."""
        facts = self.facts()
        keys = (
            "last",
            "mrn",
            "birth",
            "birth_words",
            "visit_words",
            "city",
            "hospital",
            "phone",
            "doctor",
        )
        full = f"{self.first} {self.last}"
        return tuple(dict.fromkeys([full, *(facts[key] for key in keys)]))


def spoken_date(day: date) -> str:
    """As "12 March 1948"."""
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def invent_person(rng: np.random.Generator) -> Person:
    """A person with a valid date of birth, aged 50 to 90 at the visit."""
    female = bool(rng.random() < 0.5)
    visit = date(2019, 1, 7) + timedelta(days=int(rng.integers(0, 2000)))
    born = visit - timedelta(days=int(rng.integers(50 * 365, 90 * 365)))
    last, doctor = (str(name) for name in rng.choice(SURNAMES, 2, replace=False))
    digits = "".join(str(digit) for digit in rng.integers(0, 10, 7))
    return Person(
        title="Mrs." if female else "Mr.",
        first=str(rng.choice(FEMALE if female else MALE)),
        last=last,
        doctor=doctor,
        mrn=str(int(rng.integers(100_000, 1_000_000))),
        born=born,
        visit=visit,
        city=str(rng.choice(CITIES)),
        hospital=str(rng.choice(HOSPITALS)),
        phone=f"0{digits[:3]} {digits[3:]}{int(rng.integers(10, 100))}",
    )


def grow_old(person: Person, rng: np.random.Generator) -> Person:
    """The same person, 90 to 104 at the visit: an age that identifies."""
    year = person.visit.year - int(rng.integers(90, 105))
    return replace(person, born=person.born.replace(year=year, day=min(28, person.born.day)))
