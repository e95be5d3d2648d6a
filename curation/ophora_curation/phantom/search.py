"""Are planted strings left anywhere in a folder: in names, texts, databases, tables, archives?

Every byte is looked at, in any case of letters, and packed files are unpacked. Chance is kept out
by what stands around a hit: a hash holds no figures and no "Baba", figures of a decimal fraction or
a longer number are no record number, and a short word counts in compressed media only among
readable text.
"""

from __future__ import annotations

import base64
import gzip
import importlib
import importlib.util
import json
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

_KEY = 4  # bytes of a string that are looked up at once
_SHORT = 6  # bytes; shorter strings occur by chance in megabytes of compressed data
_BLOCK = 1 << 22
_MEDIA: Final = frozenset({".mp4", ".mov", ".mkv", ".tar", ".png", ".jpg", ".webp", ".npz"})
_READABLE = re.compile(rb"[ -~]{16,}")
_INLINE = re.compile(rb"base64,([A-Za-z0-9+/=\s]{64,})")
_HASH = re.compile(rb"[0-9a-f]{16,}")


def find_strings(folder: Path, strings: Iterable[str]) -> set[str]:
    """Those of the strings that occur under a folder. A string has at least four bytes."""
    finder = StringFinder(strings)
    found: set[str] = set()
    for path in folder.rglob("*"):
        found |= finder.find(str(path.relative_to(folder)).encode())
        if path.is_file():
            for content, compressed in _contents(path):
                found |= finder.find(content, compressed=compressed)
    return found


class StringFinder:
    """Looks for many strings in one go; raises ValueError for one that is too short to mean
    anything."""

    def __init__(self, strings: Iterable[str]) -> None:
        self._by_key: defaultdict[int, list[tuple[bytes, str]]] = defaultdict(list)
        self._maybe = np.zeros(1 << 16, dtype=np.bool_)
        for string in strings:
            for form in _forms(string):
                if len(form) < _KEY:
                    message = f"a string of {len(form)} bytes: must have at least {_KEY}"
                    raise ValueError(message)
                self._by_key[int.from_bytes(form[:_KEY], "little")].append((form, string))
                self._maybe[int.from_bytes(form[:2], "little")] = True
        self._keys = np.array(sorted(self._by_key), dtype=np.uint32)

    def find(self, content: bytes, *, compressed: bool = False) -> set[str]:
        """The strings in these bytes."""
        text = content.lower()
        found: set[str] = set()
        for begin in range(0, len(text), _BLOCK):
            found |= self._find_in(text, begin, compressed)
        return found

    def _find_in(self, text: bytes, begin: int, compressed: bool) -> set[str]:
        block = np.frombuffer(text[begin : begin + _BLOCK + _KEY - 1], dtype=np.uint8)
        if len(block) < _KEY:
            return set()
        wide = block.astype(np.uint32)
        pairs = wide[:-1] | wide[1:] << 8
        spots = np.flatnonzero(self._maybe[pairs[: -_KEY + 2]])
        keys = pairs[spots] | pairs[spots + 2] << 16
        hits = np.isin(keys, self._keys)
        found: set[str] = set()
        for spot, key in zip(spots[hits].tolist(), keys[hits].tolist(), strict=True):
            for form, string in self._by_key[key]:
                at = begin + spot
                if text.startswith(form, at) and _counts(text, at, form, compressed):
                    found.add(string)
        return found


def _forms(string: str) -> set[bytes]:
    """As bytes of a text and of an escaped JSON text."""
    low = string.lower()
    return {low.encode(), json.dumps(low)[1:-1].encode()}


def _counts(text: bytes, at: int, form: bytes, compressed: bool) -> bool:
    """Whether a hit is more than chance."""
    end = at + len(form)
    around = text[max(0, at - 80) : end + 80]
    inside = at - max(0, at - 80)
    if _within(_HASH, around, inside, len(form)):
        return False
    if form.isdigit():
        if text[at - 1 : at].isdigit() or text[end : end + 1].isdigit():
            return False
        return not re.search(rb"\d\.\d*$", around[:inside])
    if compressed and len(form) < _SHORT:
        return _within(_READABLE, around, inside, len(form))
    return True


def _within(pattern: re.Pattern[bytes], around: bytes, start: int, length: int) -> bool:
    return any(
        match.start() <= start and start + length <= match.end()
        for match in pattern.finditer(around)
    )


def _contents(path: Path) -> Iterator[tuple[bytes, bool]]:
    """What a file holds: its bytes without inlined pictures, those pictures, and what is packed."""
    content = path.read_bytes()
    compressed = path.suffix.lower() in _MEDIA | {".parquet", ".gz", ".zip"}
    for match in _INLINE.finditer(content):
        yield base64.b64decode(match[1], validate=False), True
    yield _INLINE.sub(b"", content), compressed
    match path.suffix.lower():
        case ".gz":
            yield gzip.decompress(content), False
        case ".zip":
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    yield archive.read(name), False
        case ".parquet":
            yield _rows(path), True


def _rows(path: Path) -> bytes:
    """A table's cells as bytes. Raises RuntimeError where they can't be read: not searched."""
    if importlib.util.find_spec("pyarrow") is None:
        message = "a Parquet file can't be searched: install pyarrow"
        raise RuntimeError(message)
    parquet = importlib.import_module("pyarrow.parquet")
    cells: list[bytes] = []
    for row in parquet.read_table(path).to_pylist():
        for name, cell in row.items():
            cells += [str(name).encode(), *_flat(cell)]
    return b"\n".join(cells)


def _flat(cell: object) -> Iterator[bytes]:
    """A cell's bytes, those inside a struct or list one by one."""
    match cell:
        case bytes():
            yield cell
        case dict():
            for name, inner in cell.items():
                yield str(name).encode()
                yield from _flat(inner)
        case list():
            for inner in cell:
                yield from _flat(inner)
        case _:
            yield str(cell).encode()
