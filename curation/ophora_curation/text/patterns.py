"""Written forms that may point to a person: contacts, dates, records, numbers of no known use."""

import re

from ophora_curation.text.numbers import RATIOS, Number

_CONTACT = re.compile(r"\S+@\S+|\bhttps?:|\bwww\.|\b\w+\.(?:com|org|net|edu)\b", re.IGNORECASE)
_RATIO = re.compile(RATIOS)
_DATE = re.compile(
    r"\b\d{1,4}\s*[-./]\s*\d{1,2}\s*[-./]\s*\d{1,4}\b(?!\s*(?:mm|cm|millim|micron|diopt|per|%))"
    r"|\b\d{1,2}:\d{2}\b|\b\d{1,2}(?:st|nd|rd|th)\b"
)
_RECORD = re.compile(
    r"\b([A-Z]{1,4})(?:-?\d{2,}[-\d]*|\s\d{4,}[-\d]*)\b|\b\d+-\d{2,}\b(?!\s*[a-z])"
)
_MAX_COUNTS = 2


def find_pattern(text: str, numbers: list[Number], known: frozenset[str]) -> str:
    """What in the text may point to a person: "contact", "date", "number", or "" for nothing.

    `numbers` are those of the text, `known` the words that may stand before a value.
    """
    if _CONTACT.search(text):
        return "contact"
    if _DATE.search(_RATIO.sub(" ", text)):
        return "date"
    records = (mark.group(1) for mark in _RECORD.finditer(text))
    if any(letters is None or letters.lower() not in known for letters in records):
        return "number"
    uses = [number.use for number in numbers]
    if uses.count("count") > _MAX_COUNTS or "bare" in uses:
        return "number"
    return ""
