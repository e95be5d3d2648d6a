"""Invented people of many countries, with their data in the forms in which it is said and written.

Names, towns and phone numbers come from Faker's locales; a share of surnames are eponyms of eye
surgery or everyday words, which no allow-list may wave through. Nobody is real.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from faker import Faker

LOCALES = (
    *("en_US", "en_GB", "en_IN", "es_ES", "de_DE", "pl_PL", "fr_FR", "tr_TR", "vi_VN", "it_IT"),
    *("nl_NL", "pt_BR", "sv_SE", "cs_CZ", "ro_RO", "id_ID", "hu_HU", "es_MX", "hr_HR", "fi_FI"),
)
HARD_SURNAMES = (
    *("Kelman", "Sinskey", "Ahmed", "Weiss", "Fuchs", "Simcoe", "Akahoshi", "Chang", "Goldmann"),
    *("Barraquer", "Schlemm", "Tenon", "Malyugin", "Utrata", "Seibel", "Nagahara", "Bowman"),
    *("Young", "Price", "Sharp", "Bell", "White", "Green", "Black", "Brown", "Cook", "Hook"),
    *("Long", "Small", "Wells", "Field", "Waters", "Banks", "Day", "Grant", "Rose", "Hill"),
)
HARD_SHARE = 0.15
KINDS = ("name", "record_number", "date", "age_over_89", "hospital", "phone")

# Words of an entity that say nothing about anybody; "Le" may be an article, or a surname.
TITLES = frozenset({"mr", "mrs", "dr", "doctor", "professor"})
GENERIC = frozenset(
    re.findall(
        r"\w+",
        """
        mr mrs ms miss dr doctor professor prof sister the of and at in on for de da del della di
        du la le les el los van von der den st saint hospital clinic clinica clinique klinik
        infirmary eye centre center medical general university universitario institute surgical
        department health ophthalmology augenklinik hopital ziekenhuis szpital trust memorial
        mrn id no number nhs years year old oh double plus
        """,
    )
)

_ONES = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen"),
    "nineteen",
)
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_ORDINALS = {1: "first", 2: "second", 3: "third", 5: "fifth", 8: "eighth", 9: "ninth"}
_ORDINALS |= {12: "twelfth", 20: "twentieth", 30: "thirtieth"}
_MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August", "September"),
    *("October", "November", "December"),
)
_HOSPITALS = (
    "{last} Memorial Hospital",
    "{city} General",
    "{city} Eye Clinic",
    "the {city} Infirmary",
    "St. {saint}'s Hospital",
    "Klinikum {city}",
    "Hospital Universitario de {city}",
    "Clinique {last}",
    "{city} University Medical Centre",
    "{last} and {other} Eye Centre",
    "Mount {saint} Medical Center",
    "the {last} Institute",
)
_SAINTS = ("Brendan", "Agatha", "Cuthbert", "Columba", "Ursula", "Anselm", "Bridget", "Isidore")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """One value for a slot, of the kind it is counted under."""

    kind: str
    text: str


def invent(rng: np.random.Generator, *, words: bool) -> Mapping[str, Spoken]:
    """A value for every slot; `words` says numbers as a recogniser spells them out."""
    fake = _faker(rng)
    female = bool(rng.random() < 0.5)
    first = fake.first_name_female() if female else fake.first_name_male()
    last = _surname(rng, fake)
    title = "Mrs." if female else "Mr."
    names = {
        "full": f"{first} {last}",
        "titled": f"{title} {last}",
        "first": first.split()[0],
        "last": last,
        "doctor": f"{('Dr.', 'Doctor', 'Professor')[int(rng.integers(3))]} {_surname(rng, fake)}",
    }
    others = {
        "mrn": ("record_number", _record_number(rng, words)),
        "date": ("date", _date(rng, words)),
        "age": ("age_over_89", _age(rng, words)),
        "hospital": ("hospital", _hospital(rng, fake)),
        "phone": ("phone", _phone(rng, fake, words)),
    }
    return {slot: Spoken(kind="name", text=text) for slot, text in names.items()} | {
        slot: Spoken(kind=kind, text=text) for slot, (kind, text) in others.items()
    }


def plain(text: str) -> str:
    """Without the marks on letters, as recognisers write names."""
    spread = unicodedata.normalize("NFKD", text.translate(str.maketrans("łŁđĐıßøØ", "lLdDisoO")))
    return "".join(char for char in spread if not unicodedata.combining(char))


_FAKERS: dict[str, Faker] = {}


def _faker(rng: np.random.Generator) -> Faker:
    locale = LOCALES[int(rng.integers(len(LOCALES)))]
    if locale not in _FAKERS:
        _FAKERS[locale] = Faker(locale)
    fake = _FAKERS[locale]
    fake.seed_instance(int(rng.integers(2**31)))
    return fake


def _surname(rng: np.random.Generator, fake: Faker) -> str:
    if rng.random() < HARD_SHARE:
        return str(rng.choice(HARD_SURNAMES))
    return str(fake.last_name())


def _record_number(rng: np.random.Generator, words: bool) -> str:
    length = int(rng.integers(6, 11))
    digits = "".join(str(digit) for digit in rng.integers(0, 10, length))
    if words:
        return _say_digits(digits) if rng.random() < 0.5 else digits
    letter = "ABCHKMRX"[int(rng.integers(8))]
    forms: tuple[Callable[[], str], ...] = (
        lambda: digits,
        lambda: f"{letter}{digits}",
        lambda: f"{letter}-{digits}",
        lambda: f"{digits[:3]}-{digits[3:]}",
        lambda: f"{digits[:3]} {digits[3:6]} {digits[6:]}".strip(),
        lambda: f"{digits}/{letter}",
        lambda: f"{letter}{letter} {digits}",
    )
    return forms[int(rng.integers(len(forms)))]()


def _date(rng: np.random.Generator, words: bool) -> str:
    day = date(1928, 1, 1) + timedelta(days=int(rng.integers(0, 36_000)))
    month = _MONTHS[day.month - 1]
    if words:
        ordinal, year = _ordinal(day.day), _say_year(day.year)
        spoken = (f"the {ordinal} of {month} {year}", f"{month} {ordinal} {year}")
        return (*spoken, f"{month} {day.day} {day.year}")[int(rng.integers(3))]
    forms = (
        f"{day.day} {month} {day.year}",
        f"{month} {day.day}, {day.year}",
        f"{month[:3]} {day.day} {day.year}",
        f"{day:%d/%m/%Y}",
        f"{day:%m/%d/%y}",
        f"{day:%d.%m.%Y}",
        f"{day:%Y-%m-%d}",
        f"the {day.day}{_suffix(day.day)} of {month}",
        f"{month} {day.day}{_suffix(day.day)}",
    )
    return forms[int(rng.integers(len(forms)))]


def _age(rng: np.random.Generator, words: bool) -> str:
    age = int(rng.integers(90, 106))
    return _say_number(age) if words and rng.random() < 0.7 else str(age)


def _hospital(rng: np.random.Generator, fake: Faker) -> str:
    form = _HOSPITALS[int(rng.integers(len(_HOSPITALS)))]
    saint = _SAINTS[int(rng.integers(len(_SAINTS)))]
    last, other = fake.last_name(), fake.last_name()
    return form.format(city=fake.city(), last=last, other=other, saint=saint)


def _phone(rng: np.random.Generator, fake: Faker, words: bool) -> str:
    number = str(fake.phone_number())
    if not words or rng.random() < 0.4:
        return number
    return _say_digits("".join(char for char in number if char.isdigit()))


def _say_digits(digits: str) -> str:
    return " ".join("oh" if digit == "0" else _ONES[int(digit)] for digit in digits)


def _say_number(number: int) -> str:
    if number < 20:
        return _ONES[number]
    if number >= 100:
        rest = number - 100
        return "a hundred" if rest == 0 else f"a hundred and {_say_number(rest)}"
    return f"{_TENS[number // 10]} {_ONES[number % 10]}" if number % 10 else _TENS[number // 10]


def _say_year(year: int) -> str:
    if 2000 <= year < 2010:
        return f"two thousand and {_ONES[year - 2000]}" if year > 2000 else "two thousand"
    half = _say_number(year % 100) if year % 100 > 9 else f"oh {_ONES[year % 100]}"
    return f"{_say_number(year // 100)} {half}"


def _ordinal(day: int) -> str:
    if day in _ORDINALS:
        return _ORDINALS[day]
    if day < 20:
        return f"{_ONES[day]}th"
    return f"{_TENS[day // 10]} {_ordinal(day % 10)}"


def _suffix(day: int) -> str:
    if 10 < day < 14:
        return "th"
    return {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
