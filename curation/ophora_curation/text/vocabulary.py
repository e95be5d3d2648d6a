"""The words that may leave a narration: everything that is not in here is left out.

Default-deny is what found every planted entity where recognisers and patterns missed some. The
lists are data files; a surname that names an instrument counts only inside that name.
"""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache
from importlib.resources import files


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SHORTEST_MISHEARD = 7
_LIKENESS = 0.82
_ARTICLES = frozenset(("the", "a", "an", "my", "our", "your"))
_SHADES = _words("very slightly bright dark light pale more some this that")
_NO_THINGS = _words("we i you he she they it is are was were has have who will now so and then")
_MAY_AFTER = _words(
    "i you we it they this that there which one lens speculum haptic tip suture sutures patients"
    " capsule pupil iris nucleus cortex wound bubble"
    " cornea graft bleb retina tear chamber surgeon eye instrument fragment vitreous zonules"
)
_MAY_BEFORE = _words(
    "be have need see also not use want help cause become lead occur require result tear extend"
    " make lose take still sometimes even find happen come get move rotate leak go start feel"
    " notice"
)
_SHORTENED = re.compile(r"(?<=[a-z])'(?:s|re|ve|ll|d)?$")  # of "is", "are", a genitive: "the bag's"
_FOLDER = files("ophora_curation") / "data"


@cache
def allowed_words() -> frozenset[str]:
    """Every word that may stay, in lower case."""
    return frozenset(
        word
        for name in (
            "plain_words.txt",
            "surgical_words.txt",
            "dictionary_words.txt",
            "double_words.txt",
        )
        for line in _lines(name)
        for word in line.split()
    )


@cache
def double_words() -> frozenset[str]:
    """Everyday words that are names as well: allowed, but not where one stands as a name."""
    return frozenset(word for line in _lines("double_words.txt") for word in line.split())


@cache
def cased_words() -> frozenset[str]:
    """Words that are names as well, and none where written small in a text that has capitals."""
    return frozenset(word for line in _lines("cased_words.txt") for word in line.split())


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
    word = unshortened(words[position])
    if word in allowed_words():
        return True
    parts = word.split("-")
    if len(parts) > 1 and all(part in allowed_words() for part in parts):
        return True
    before = words[position - 1] if position else ""
    if word in ("g", "d", "x") and before[:1].isdigit():  # gauge, dioptres, times
        return True
    return is_eponym(words, position) or _is_helping_may(words, position)


def unshortened(word: str) -> str:
    """The word without a genitive's or a shortened verb's end."""
    return _SHORTENED.sub("", word)


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
    """Whether a surname stands here as the name of a thing ("Sinskey hook", "a Sinskey")."""
    stem = words[position].removesuffix("'s")
    things = eponyms().get(stem) or eponyms().get(stem.removesuffix("s"))
    if things is None:
        return False
    follower = words[position + 1] if position + 1 < len(words) else ""
    before = words[position - 1] if position else ""
    if follower in things or f"{before}-" in things:
        return True
    if "~" in things and before in ("a", "an"):
        return True
    if "+" in things and before in (*_ARTICLES, *_SHADES):
        return follower in allowed_words() and follower not in _NO_THINGS
    return "*" in things and before in _ARTICLES


def _is_helping_may(words: Sequence[str], position: int) -> bool:
    """Whether "may" is the verb here, and neither month nor name."""
    before = words[position - 1] if position else ""
    follower = words[position + 1] if position + 1 < len(words) else ""
    return words[position] == "may" and before in _MAY_AFTER and follower in _MAY_BEFORE


def _lines(name: str) -> list[str]:
    text = (_FOLDER / name).read_text(encoding="ascii")
    return [line for line in text.splitlines() if line and not line.startswith("#")]
