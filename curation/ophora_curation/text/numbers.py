"""Numbers in speech: which measure something in the eye, and which may point to a person.

A number with a unit ("2.4 millimeters"), a setting of the machine ("vacuum at 350"), a small count
("two paracenteses") and forms that only measures have ("two point four", "a 10-0", "20/40") say
nothing of a person. Any other may be an age, a date or an identifier, unless it is one plain number
(below 90, or of three figures) in a sentence that has few of them and speaks of nobody.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


GASES = r"\b(?:sf6|c3f8|c2f6)\b"  # figures that count nothing
FIGURES = r"(?:\d{1,3}(?:,\d{3})+\b|\d+(?:\.\d+)?)"
RATIOS = r"\b(?:20/\d{2,3}|1:\d{1,3}(?:,?000)?|\d{1,2}:1)\b"  # acuities and dilutions
_ATOM = re.compile(rf"{GASES}|{RATIOS}|{FIGURES}|%|[^\W\d_]+(?:'[^\W\d_]+)*", re.IGNORECASE)
_RATIO = re.compile(RATIOS)
_DECIMAL = re.compile(r"\d{1,3}\.\d{1,2}")
_SMALL = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve"),
)
_TEENS = ("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_RANKED = _words(
    "fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth"
    " sixteenth seventeenth eighteenth nineteenth twentieth thirtieth"
)
NUMBER_WORDS = frozenset((*_SMALL, *_TEENS, *_TENS, "hundred", "thousand")) | _RANKED
_VALUES = {word: value for value, word in enumerate((*_SMALL, *_TEENS))} | {
    word: 10 * value for value, word in enumerate(_TENS, start=2)
}
_DIGITS = frozenset(("oh", "o", *_SMALL[:10]))
_JOINTS = frozenset(("point", "and", "to", "or", "by", "oh", "o", "a", "x", "half", "times"))
_UNITS = _words(
    "mm millimeter millimeters millimetre millimetres cm centimeter centimeters centimetre"
    " centimetres micron microns micrometer micrometers nanometers nanometres gauge g diopter"
    " diopters dioptre dioptres d degree degrees percent per % mmhg psi atmospheres torr mercury"
    " cc ccs cc's ml mls mil mils milliliter milliliters millilitre millilitres microliter"
    " microliters mg milligram milligrams microgram micrograms millisecond milliseconds microsecond"
    " microseconds second seconds minute minutes o'clock oclock clock hertz kilohertz joules"
    " millijoules milliwatt milliwatts watts units cuts cpm rpm pulse pulses prism pd centistoke"
    " centistokes nylon vicryl prolene polypropylene silk suture sutures shot shots spot spots"
    " burns clicks bite bites throw throws row rows cells times fold hundredths tenths nerve"
    " cranial blade"
)
_SETTINGS = _words(
    "vacuum flow rate aspiration power pressure bottle height phaco torsional ultrasound iop"
    " setting settings keratometry diameter width thickness length depth graft size axis energy"
    " magnification speed amplitude linear meridian irrigation infusion air oxygen count reading"
    " readings limit"
)
_SETTING_REACH = 6  # words before the number
_MOST_SETTING_WORDS = 4
_COUNTED = _words("sutures incisions cuts stitches millimeters microns degrees spots shots bites")
_STRETCHES = _words("hour hours day days week weeks month months")  # of healing
_PERSONAL_STRETCH = _words("old ago of pregnant premature")
_LONGEST_STRETCH = 31
_DAYS_IN_HOURS = (
    ["twenty", "four"],
    ["forty", "eight"],
    ["seventy", "two"],
    ["24"],
    ["48"],
    ["72"],
)
_FULL_TURNS = (
    ["three", "hundred", "and", "sixty"],
    ["three", "sixty"],
    ["360"],
    ["fifty", "fifty"],
)
_FRACTIONS = _words("half quarter third")
_PARTS = _words("fifth sixth seventh eighth tenth twentieth hundredth")
_ARTICLES = _words("a an one")
_SOME = _words("few several of some many")
_DATING = _words("on since from until dated born by in year")
_FIRST_NUMBERS = (["one"], ["two"], ["three"])  # "rule number one"; more may be a record's
_RANKS = _words("grade step stage phase level type plus zone")
_PLACES = _words("room bed ward floor number case patient house box suite apartment")
_LIFETIMES = _words("year years yrs month months week weeks day days hour hours am pm children")
_MOST_MEASURE_WORDS = 8
_MOST_DECIMAL_WORDS = 5  # "twenty one point two five"
_MOST_DIGITS = 3
_OLD, _OLDEST = 90, 120  # ages that point at few people; no plain number is taken for harmless here
_MOST_PLAIN = 2  # numbers in a sentence

Use = Literal["measure", "count", "plain", "bare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number in a sentence: characters [start, end).

    Its use: a `measure`, a small `count`, `plain` (one number that says nothing of itself), or
    `bare`: it may point to a person.
    """

    start: int
    end: int
    use: Use


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    """A number's words with those around it, in lower case; "" where there is none."""

    words: list[str]
    before: list[str]
    follower: str
    after: str

    @property
    def previous(self) -> str:
        return self.before[-1] if self.before else ""


def find_numbers(sentence: str, *, of_somebody: bool = False) -> list[Number]:
    """Every number of the sentence, in figures or in words, with what it is used for.

    `of_somebody`: the sentence speaks of a person, so a plain number may be that person's.
    """
    atoms = [(mark.group().lower(), *mark.span()) for mark in _ATOM.finditer(sentence)]
    words = [word for word, _, _ in atoms]
    numbers = [
        Number(start=atoms[first][1], end=atoms[last - 1][2], use=_use(_around(words, first, last)))
        for first, last in _runs(words)
    ]
    uses = [number.use for number in numbers]
    if of_somebody or "bare" in uses or uses.count("plain") > _MOST_PLAIN:
        return [replace(item, use="bare") if item.use == "plain" else item for item in numbers]
    return numbers


def _runs(words: list[str]) -> Iterator[tuple[int, int]]:
    """Stretches [first, last) of number words, with the words that join them."""
    index = 0
    while index < len(words):
        if not _is_number(words[index]):
            index += 1
            continue
        last = index + 1
        while last < len(words):
            joined = words[last] in _JOINTS and last + 1 < len(words)
            if _is_number(words[last]) or (words[last] in ("oh", "o") and words[last - 1] != "to"):
                last += 1
            elif joined and _is_number(words[last + 1]):
                last += 2
            else:
                break
        tail = words[last : last + 3]
        if tail[:2] == ["and", "a"] and tail[2:] and tail[2] in _FRACTIONS:
            last += 3
        yield index, last
        index = last


def _around(words: list[str], first: int, last: int) -> _Said:
    return _Said(
        words=words[first:last],
        before=words[max(0, first - _SETTING_REACH) : first],
        follower=words[last] if last < len(words) else "",
        after=words[last + 1] if last + 1 < len(words) else "",
    )


def _use(said: _Said) -> Use:
    if _has_a_measures_form(said):
        return "measure"
    if said.words in _FIRST_NUMBERS and said.previous == "number":
        return "count"
    if _is_identifier(said.words) or said.previous in _PLACES or said.follower in _LIFETIMES:
        return "bare"
    if any(len(word) > 5 for word in said.words if word[0].isdigit()):
        return "bare"
    if _has_unit(said) or _is_setting(said) or said.words == ["one"]:
        return "measure"
    if _is_count(said):
        return "count"
    return "plain" if _is_plain(said) else "bare"


def _has_a_measures_form(said: _Said) -> bool:
    """A suture's size, a full turn, a decimal, a part, a ratio, days of healing: no date, age of
    years or record is said so."""
    words = said.words
    if all(map(_RATIO.fullmatch, words)) or words in _FULL_TURNS:
        return True
    if said.before[-2:] == ["one", "in"] or said.before[-3:] == ["one", "in", "a"]:
        return True  # how often something happens
    if len(words) == 2 and words[1] in ("oh", "0") and _is_small(words[0]):
        return True  # ten-oh
    if said.follower == "blade" and len(words) <= 2:
        return True
    if words[1:] == ["thirty"] and said.follower in ("position", "o'clock"):
        return _is_small(words[0])
    if len(words) == 1 and words[0] in _PARTS:
        return said.previous in _ARTICLES and said.follower == "of"
    if words in (["hundred"], ["thousand"]):  # "a few hundred"; "a hundred" may be an age
        return said.previous in _SOME
    return _is_stretch(said) or _is_decimal(said)


def _is_stretch(said: _Said) -> bool:
    """A time of healing; an age has "old" after it."""
    if said.words in _DAYS_IN_HOURS and said.follower in ("hours", "hour"):
        return True
    if said.follower not in _STRETCHES or said.after in _PERSONAL_STRETCH:
        return False
    values = [_value([word]) for word in said.words if word not in _JOINTS]
    return len(values) <= 2 and all(value and value <= _LONGEST_STRETCH for value in values)


def _is_decimal(said: _Said) -> bool:
    words = said.words
    if said.previous in _DATING or said.follower in _LIFETIMES:
        return False
    if said.previous == "point":
        return len(words) <= _MOST_DIGITS and _all_digits(words)
    if words[1:3] == ["and", "a"]:  # "two and a half"
        return _value(words[:1]) is not None
    if words.count("point") == 1:  # two would be a date
        rest = words[words.index("point") + 1 :]
        return len(words) <= _MOST_DECIMAL_WORDS and 1 <= len(rest) <= 2 and _all_digits(rest)
    figures = [word for word in words if word not in ("by", "x", "to", "or", "and")]
    return len(figures) <= 2 and all(map(_DECIMAL.fullmatch, figures))


def _is_identifier(words: list[str]) -> bool:
    """Digits one after another, as records and telephone numbers are read out."""
    run = 0
    for word in words:
        run = run + 1 if word in _DIGITS else 0
        if run > _MOST_DIGITS:
            return True
    groups = [word.isdigit() and len(word) >= 3 for word in words]
    return any(one and other for one, other in itertools.pairwise(groups))


def _has_unit(said: _Said) -> bool:
    return len(said.words) <= _MOST_MEASURE_WORDS and (
        said.follower in _UNITS
        or said.after in _COUNTED
        or (said.follower in ("to", "or", "point") and said.after in _UNITS)
    )


def _is_setting(said: _Said) -> bool:
    named = said.follower in _SETTINGS or (said.follower == "of" and said.after in _SETTINGS)
    near = named or not _SETTINGS.isdisjoint(said.before)
    return near and len(said.words) <= _MOST_SETTING_WORDS and not _is_year(said.words)


def _is_count(said: _Said) -> bool:
    words = said.words
    if not all(_is_small(word) or word in _JOINTS for word in words):
        return False
    if len(words) == 3:
        return words[1] in ("to", "or", "and", "by")
    in_words = words[0] in _SMALL or said.previous in _RANKS or len(said.follower) > 2
    return len(words) == 1 and in_words


def _is_plain(said: _Said) -> bool:
    """One number, or two joined, that is no great age, no year and no rank."""
    if said.previous in _DATING:
        return False
    parts: list[list[str]] = [[]]
    for word in said.words:
        if word in ("to", "or") or (word == "and" and parts[-1][-1:] != ["hundred"]):
            parts.append([])
        else:
            parts[-1].append(word)
    values = [_value(part) for part in parts]
    return len(values) <= 2 and all(
        value is not None and (value < _OLD or _OLDEST < value < 1000) for value in values
    )


def _value(words: list[str]) -> int | None:
    """The number that these words say; None where they say none, or more than one."""
    if len(words) == 1 and words[0].isdigit():
        return int(words[0])
    if not words or any(word not in _VALUES and word not in ("hundred", "and") for word in words):
        return None
    if words[1:2] == ["hundred"]:
        rest = words[3:] if words[2:3] == ["and"] else words[2:]
        below = _value(rest) if rest else 0
        return None if below is None or below > 99 else 100 * _VALUES[words[0]] + below
    if len(words) > 1 and words[1] in _TENS and words[0] in _SMALL[1:10]:  # "three fifty"
        below = _value(words[1:])
        return None if below is None else 100 * _VALUES[words[0]] + below
    if len(words) == 2 and words[0] in _TENS and words[1] in _SMALL[1:10]:
        return _VALUES[words[0]] + _VALUES[words[1]]
    return _VALUES.get(words[0]) if len(words) == 1 else None


def _all_digits(words: list[str]) -> bool:
    return all(word in _DIGITS for word in words)


def _is_number(word: str) -> bool:
    return word in NUMBER_WORDS or word[0].isdigit()


def _is_small(word: str) -> bool:
    return word in _SMALL or (word.isdigit() and int(word) <= 12)


def _is_year(words: list[str]) -> bool:
    return any(word[:2] in ("19", "20") and len(word) == 4 for word in words)
