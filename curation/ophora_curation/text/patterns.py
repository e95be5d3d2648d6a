"""Numbers in speech: which measure something in the eye, and which may point to a person.

A number with a unit ("2.4 millimeters", "three hundred and fifty millimeters of mercury"), a
setting of the machine ("vacuum at 350") and a small count ("two paracenteses") say nothing of a
person. Any other number may be an age, a date or an identifier.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CONTACT = re.compile(r"\S+@\S+|\bhttps?:|\bwww\.|\b\w+\.(?:com|org|net|edu)\b", re.IGNORECASE)
_DATE = re.compile(
    r"\b\d{1,4}\s*[-./]\s*\d{1,2}\s*[-./]\s*\d{1,4}\b(?!\s*(?:mm|cm|millim|micron|diopt|per|%))|\b\d{1,2}:\d{2}\b|\b\d{1,2}(?:st|nd|rd|th)\b"
)
_RECORD = re.compile(
    r"\b([A-Z]{1,4})(?:-?\d{2,}[-\d]*|\s\d{4,}[-\d]*)\b|\b\d+-\d{2,}\b(?!\s*[a-z])"
)
GASES = r"\b(?:sf6|c3f8|c2f6)\b"  # figures that count nothing
FIGURES = r"(?:\d{1,3}(?:,\d{3})+\b|\d+(?:\.\d+)?)"
_ATOM = re.compile(rf"{GASES}|{FIGURES}|%|[^\W\d_]+(?:'[^\W\d_]+)*", re.IGNORECASE)
_SMALL = _words("zero one two three four five six seven eight nine ten eleven twelve")
_DIGITS = _words("zero oh o one two three four five six seven eight nine")
_MAX_DIGITS = 3
_LARGE = _words(
    "thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty"
    " seventy eighty ninety hundred thousand fifth sixth seventh eighth ninth tenth eleventh"
    " twelfth"
    " thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth twentieth"
    " thirtieth"
)
NUMBER_WORDS = _SMALL | _LARGE
_JOINTS = frozenset(("point", "and", "to", "or", "by", "oh", "o", "a", "x", "half", "times"))
_UNITS = _words(
    "mm millimeter millimeters millimetre millimetres cm centimeter centimeters centimetre centimetres micron microns"
    " micrometer micrometers gauge diopter diopters dioptre dioptres degree degrees percent mmhg"
    " cc ccs per ml milliliter milliliters millilitre millilitres mg milligram milligrams microgram"
    " micrograms second seconds minute minutes millisecond milliseconds microsecond microseconds mil mils"
    " nanometers nanometres times fold hundredths tenths nerve cranial o'clock oclock clock hertz kilohertz joules"
    " millijoules milliwatt milliwatts watts units cuts cpm rpm g d % cells pulses centistoke centistokes"
    " nylon vicryl"
    " prolene polypropylene silk suture sutures microliter microliters atmospheres torr mercury"
    " shots spots burns clicks bites throws blade shot spot bite throw pulse row rows"
)
_SETTINGS = _words(
    "vacuum flow rate aspiration power pressure bottle height phaco torsional ultrasound iop"
    " setting settings keratometry diameter width thickness length depth graft size axis energy"
    " magnification speed amplitude linear meridian irrigation infusion air oxygen count reading readings"
)
_COUNTED = _words("sutures incisions cuts stitches millimeters microns degrees spots shots bites")
_SETTING_REACH = 6
_STRETCHES = _words(
    "hour hours day days week weeks month months"
)  # of healing; an age has "old" after it
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
_MOST_DECIMAL_WORDS = 5  # "twenty one point two five"
_FRACTIONS = _words("half quarter third")
_PARTS = _words("fifth sixth seventh eighth tenth twentieth hundredth")
_ARTICLES = _words("a an one")
_SOME = _words("few several of some many")
_DATING = _words("on since from until dated born by")
_ROUND = (("three", "hundred", "and", "sixty"), ("three", "sixty"), ("360",), ("fifty", "fifty"))
_FIRST_NUMBERS = (["one"], ["two"], ["three"])  # "rule number one"; more may be a record's
_RANKS = _words("grade step stage phase level type plus zone")
_PLACES = _words("room bed ward floor number case patient house box suite apartment")
_LIFETIMES = _words("year years yrs month months week weeks day days hour hours am pm children")
_MAX_MEASURE_ATOMS = 8
_MAX_COUNTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number in a sentence: characters [start, end); `use` is "measure", "count" or "bare"."""

    start: int
    end: int
    use: str


def find_pattern(text: str, numbers: list[Number], known: frozenset[str]) -> str:
    """What in the text may point to a person: "contact", "date", "number", or "" for nothing.

    `numbers` are those of the text, `known` the words that may stand before a value.
    """
    if _CONTACT.search(text):
        return "contact"
    if _DATE.search(text):
        return "date"
    records = (mark.group(1) for mark in _RECORD.finditer(text))
    if any(letters is None or letters.lower() not in known for letters in records):
        return "number"
    counts = sum(number.use == "count" for number in numbers)
    if counts > _MAX_COUNTS or any(number.use == "bare" for number in numbers):
        return "number"
    return ""


def find_numbers(sentence: str) -> list[Number]:
    """Every number of the sentence, in figures or in words, with what it is used for."""
    atoms = [(mark.group().lower(), *mark.span()) for mark in _ATOM.finditer(sentence)]
    words = [word for word, _, _ in atoms]
    return [
        Number(start=atoms[first][1], end=atoms[last - 1][2], use=_use(words, first, last))
        for first, last in _runs(words)
    ]


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
        if tuple(words[last : last + 2]) == ("and", "a") and words[last + 2 : last + 3]:
            last += 3 if words[last + 2] in _FRACTIONS else 0
        yield index, last
        index = last


def _is_number(word: str) -> bool:
    return word in NUMBER_WORDS or word[0].isdigit()


def _speaks_for_itself(number: list[str], previous: str, follower: str, after: str) -> bool:
    """Measures that need no unit: a suture's size, a full turn, a decimal, a part, days of healing.

    None is a date, an age of years or a record: those have other forms.
    """
    if len(number) == 2 and number[1] in ("oh", "0") and _is_small(number[0]):
        return True
    if tuple(number) in _ROUND or (previous == "point" and _all_digits(number[:_MAX_DIGITS])):
        return len(number) <= len(_ROUND[0])
    if number[1:] == ["thirty"] and follower in ("position", "o'clock"):
        return _is_small(number[0])
    if len(number) == 1 and number[0] in _PARTS:
        return previous in _ARTICLES and follower == "of"
    if number in _DAYS_IN_HOURS and follower in ("hours", "hour"):
        return True
    if follower in _STRETCHES and after not in _PERSONAL_STRETCH:
        values = [_value(word) for word in number if word not in _JOINTS]
        return len(values) <= 2 and all(0 < value <= _LONGEST_STRETCH for value in values)
    if previous in _DATING or follower in _LIFETIMES:
        return False
    if tuple(number[1:3]) == ("and", "a"):  # "two and a half"
        return _is_small(number[0])
    if number in (["hundred"], ["thousand"]):  # "a few hundred"; "a hundred" may be an age
        return previous in _SOME
    if number.count("point") == 1:  # two would be a date
        rest = number[number.index("point") + 1 :]
        return len(number) <= _MOST_DECIMAL_WORDS and 1 <= len(rest) <= 2 and _all_digits(rest)
    figures = [word for word in number if word not in ("by", "x", "to", "or")]
    return len(figures) <= 2 and all(re.fullmatch(r"\d{1,2}\.\d{1,2}", word) for word in figures)


def _all_digits(words: list[str]) -> bool:
    return all(word in _DIGITS for word in words)


def _value(word: str) -> int:
    """What a figure or a small word says; 0 for any other."""
    if word.isdigit():
        return int(word)
    small = (
        "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    ).split()
    return small.index(word) + 1 if word in small else 0


def _use(words: list[str], first: int, last: int) -> str:
    before = words[max(0, first - _SETTING_REACH) : first]
    if before[-2:] == ["one", "in"] or before[-3:] == ["one", "in", "a"]:
        return "measure"  # how often something happens
    previous = before[-1] if before else ""
    follower = words[last] if last < len(words) else ""
    after = words[last + 1] if last + 1 < len(words) else ""
    length = last - first
    if _speaks_for_itself(words[first:last], previous, follower, after):
        return "measure"
    figures = [word for word in words[first:last] if word[0].isdigit()]
    if follower == "blade" and length <= _MAX_COUNTS:
        return "measure"
    if _is_identifier(words[first:last]):
        return "bare"
    if words[first:last] in _FIRST_NUMBERS and previous == "number":
        return "count"
    if previous in _PLACES or follower in _LIFETIMES or any(len(word) > 5 for word in figures):
        return "bare"
    if length <= _MAX_MEASURE_ATOMS and (
        follower in _UNITS
        or after in _COUNTED
        or (follower in ("to", "or", "point") and after in _UNITS)
    ):
        return "measure"
    if (
        (
            _SETTINGS & set(before)
            or follower in _SETTINGS
            or (follower == "of" and after in _SETTINGS)
        )
        and length <= 4
        and not _is_year(words[first:last])
    ):
        return "measure"
    if length == 1 and words[first] == "one":
        return "measure"
    small = all(_is_small(word) or word in _JOINTS for word in words[first:last])
    pair = length == 3 and words[first + 1] in ("to", "or", "and", "by")
    if (small and pair) or (
        small
        and length == 1
        and (words[first] in _SMALL or previous in _RANKS or len(follower) > 2)
    ):
        return "count"
    return "bare"


def _is_identifier(words: list[str]) -> bool:
    """Digits one after another, as records and telephone numbers are read out."""
    run = 0
    for word in words:
        run = run + 1 if word in _DIGITS else 0
        if run > _MAX_DIGITS:
            return True
    groups = [word.isdigit() and len(word) >= 3 for word in words]
    return any(one and other for one, other in itertools.pairwise(groups))


def _is_small(word: str) -> bool:
    return word in _SMALL or (word.isdigit() and int(word) <= 12)


def _is_year(words: list[str]) -> bool:
    return any(word[:2] in ("19", "20") and len(word) == 4 for word in words)
