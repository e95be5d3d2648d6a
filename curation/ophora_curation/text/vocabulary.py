"""The words that may leave a narration: everything that is not in here is left out.

Default-deny is what found every planted entity where recognisers and patterns missed some. The
lists are data files; a surname that names an instrument counts only inside that name.
"""

from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache
from importlib.resources import files

_SHORTEST_MISHEARD = 7
_LIKENESS = 0.82
_FOLDER = files("ophora_curation") / "data"


@cache
def allowed_words() -> frozenset[str]:
    """Every word that may stay, in lower case."""
    return frozenset(
        word
        for name in ("plain_words.txt", "surgical_words.txt")
        for line in _lines(name)
        for word in line.split()
    )


@cache
def surgical_words() -> frozenset[str]:
    """The words of eye surgery alone: a sentence without any says nothing about the picture."""
    return frozenset(word for line in _lines("surgical_words.txt") for word in line.split())


@cache
def eponyms() -> dict[str, frozenset[str]]:
    """Surnames that name a thing, with the words that may follow them."""
    table: dict[str, frozenset[str]] = {}
    for line in _lines("eponyms.txt"):
        name, _, things = line.partition(":")
        table[name.strip()] = frozenset(thing.strip() for thing in things.split(","))
    return table


def is_allowed(words: Sequence[str], position: int) -> bool:
    """Whether the word at this position (words in lower case) may stay."""
    word = words[position]
    if word in allowed_words():
        return True
    parts = word.split("-")
    if len(parts) > 1 and all(part in allowed_words() for part in parts):
        return True
    return is_eponym(words, position)


@cache
def heard_as(word: str) -> str | None:
    """The surgical word that a recogniser probably misheard as this one, or None.

    Safe whatever the word was: only a word of the vocabulary can come out.
    """
    if len(word) < _SHORTEST_MISHEARD:
        return None
    long_words = [known for known in surgical_words() if len(known) >= _SHORTEST_MISHEARD]
    close = get_close_matches(word, sorted(long_words), n=1, cutoff=_LIKENESS)
    return close[0] if close else None


def is_eponym(words: Sequence[str], position: int) -> bool:
    """Whether a surname stands here as the name of a thing ("Sinskey hook")."""
    stem = words[position].removesuffix("'s")
    things = eponyms().get(stem) or eponyms().get(stem.removesuffix("s"))
    follower = words[position + 1] if position + 1 < len(words) else ""
    return things is not None and follower in things


def _lines(name: str) -> list[str]:
    text = (_FOLDER / name).read_text(encoding="ascii")
    return [line for line in text.splitlines() if line and not line.startswith("#")]
