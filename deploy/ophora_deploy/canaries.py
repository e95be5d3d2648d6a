"""Search folders for strings that must never be there: the proof that nothing planted got out.

Planted names, numbers and dates are looked for in every file, whatever it is, as UTF-8, UTF-16,
base64 in all three alignments, hexadecimal and percent-encoding, in any letter case where the
encoding keeps it, and with the separators that file names put in place of spaces. Digits inside
a longer number or a hash, and a short word inside a longer one, are not counted: they occur by
chance in megabytes of logs.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

_SHORTEST = 4  # shorter strings occur by chance in megabytes of weights
_CHUNK_BYTES = 8 * 2**20
_SHORT_WORD = 5
_HASH_LENGTH = 16  # from here on a run of hexadecimal digits is a hash or an id
_HEX_RUN = re.compile(rb"[0-9a-f]+")
_HEX_TAIL = re.compile(rb"[0-9a-f]+$")


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryHit:
    """One planted string in one file. `encoding` says how it was written."""

    canary: str
    path: Path
    encoding: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Needle:
    canary: str
    encoding: str
    pattern: bytes
    any_case: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CanarySearch:
    """What a search found, and how much it looked at."""

    hits: tuple[CanaryHit, ...]
    num_files: int
    num_bytes: int


def find_canaries(canaries: Iterable[str], places: Sequence[Path]) -> list[CanaryHit]:
    """The hits of `search_canaries`."""
    return list(search_canaries(canaries, places).hits)


def search_canaries(canaries: Iterable[str], places: Sequence[Path]) -> CanarySearch:
    """Every canary in any file of `places` (folders, recursively, or files) and in file names.

    Raises ValueError on a canary of fewer than four characters and on a place that is not there:
    a search that looked nowhere must not pass for one that found nothing.
    """
    needles = [needle for canary in sorted(set(canaries)) for needle in _needles(canary)]
    any_case = _Index([needle for needle in needles if needle.any_case])
    exact = _Index([needle for needle in needles if not needle.any_case])
    hits: dict[tuple[str, Path], CanaryHit] = {}
    num_files = num_bytes = 0
    for path in _files(places):
        num_files += 1
        # the folder that holds a place may be named by anyone; what is in it is what we wrote
        blocks = chain([path.name.encode()], _blocks(path, max(any_case.longest, exact.longest)))
        for number, block in enumerate(blocks):
            num_bytes += len(block) if number else 0
            for needle in chain(any_case.find(block.lower()), exact.find(block)):
                encoding = needle.encoding if number else "file name"
                hit = CanaryHit(canary=needle.canary, path=path, encoding=encoding)
                hits.setdefault((needle.canary, path), hit)
    return CanarySearch(hits=tuple(hits.values()), num_files=num_files, num_bytes=num_bytes)


class _Index:
    """Thousands of patterns against megabytes: candidates by their first four bytes, then exact.

    One pattern after the other would read the content once for each of them.
    """

    _BITS = 22

    def __init__(self, needles: Sequence[_Needle]) -> None:
        self.longest = max((len(needle.pattern) for needle in needles), default=_SHORTEST)
        self._by_start: dict[bytes, list[_Needle]] = {}
        for needle in needles:
            self._by_start.setdefault(needle.pattern[:_SHORTEST], []).append(needle)
        self._is_start = np.zeros(2**self._BITS, np.bool_)
        starts = np.frombuffer(b"".join(self._by_start), "<u4")
        self._is_start[self._slots(starts)] = True

    def find(self, content: bytes) -> Iterator[_Needle]:
        """The needles in `content`, each at least once."""
        if len(content) < _SHORTEST:
            return
        octets = np.frombuffer(content, np.uint8).astype(np.uint32)
        words = octets[:-3] | octets[1:-2] << 8 | octets[2:-1] << 16 | octets[3:] << 24
        slots = self._slots(words.astype(np.uint32, copy=False))
        for place in np.flatnonzero(self._is_start[slots]).tolist():
            for needle in self._by_start.get(content[place : place + _SHORTEST], ()):
                if content.startswith(needle.pattern, place) and (
                    needle.encoding != "utf-8" or _stands_alone(content, place, needle.pattern)
                ):
                    yield needle

    def _slots(self, words: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Multiplicative hashing: the product's high bits, modulo 2^32 by the type."""
        return words * np.uint32(2654435761) >> np.uint32(32 - self._BITS)


def _needles(canary: str) -> Iterator[_Needle]:
    text = canary.strip()
    if len(text) < _SHORTEST:
        raise ValueError(f"canary of {len(text)} characters: must have at least {_SHORTEST}")
    spellings = {text, *(text.replace(" ", mark) for mark in "_-.")} | {text.replace(" ", "")}
    for spelling in sorted(spellings):
        if len(spelling) < _SHORTEST:
            continue
        raw = spelling.encode()
        plain = {
            "utf-8": raw,
            "utf-16-le": spelling.encode("utf-16-le"),
            "utf-16-be": spelling.encode("utf-16-be"),
            "hex": binascii.hexlify(raw),
            "percent": quote(spelling).encode(),
        }
        if plain["percent"] == raw:
            del plain["percent"]
        for encoding, pattern in plain.items():
            yield _Needle(canary=canary, encoding=encoding, pattern=pattern.lower(), any_case=True)
        for written in {spelling, spelling.lower(), spelling.upper()}:
            for pattern in _base64_forms(written.encode()):
                yield _Needle(canary=canary, encoding="base64", pattern=pattern, any_case=False)


def _base64_forms(raw: bytes) -> Iterator[bytes]:
    """The characters that `raw` alone decides, for each place where it may begin in a triple."""
    for lead in range(3):
        encoded = base64.b64encode(b"\0" * lead + raw)
        first = (0, 2, 3)[lead]
        last = (lead + len(raw)) * 8 // 6
        if last - first >= _SHORTEST:
            yield encoded[first:last]
            yield encoded[first:last].replace(b"+", b"-").replace(b"/", b"_")


def _files(places: Sequence[Path]) -> Iterator[Path]:
    for place in places:
        if not place.exists():
            raise ValueError(f"{place}: not there; a search must look somewhere")
        if place.is_file():
            yield place
        else:
            yield from sorted(path for path in place.rglob("*") if path.is_file())


def _stands_alone(content: bytes, place: int, pattern: bytes) -> bool:
    """Whether this is the canary and not a part of something that holds it by chance.

    Six digits occur in any long number, decimal fraction or hash; a short word in longer words.
    """
    end = place + len(pattern)
    before, after = content[max(0, place - 1) : place], content[end : end + 1]
    if pattern.isdigit():
        is_fraction = before == b"." and content[max(0, place - 2) : place - 1].isdigit()
        if before.isdigit() or after.isdigit() or is_fraction:
            return False
        left = _HEX_TAIL.search(content[max(0, place - _HASH_LENGTH) : place])
        right = _HEX_RUN.match(content[place : end + _HASH_LENGTH])
        return len(left.group() if left else b"") + len(right.group() if right else b"") < (
            _HASH_LENGTH
        )
    if pattern.isalpha() and len(pattern) <= _SHORT_WORD:
        return not (before.isalpha() or after.isalpha())
    return True


def _blocks(path: Path, overlap: int) -> Iterator[bytes]:
    """The file in blocks that overlap, and what a gzip file holds."""
    with path.open("rb") as file:
        tail = b""
        while block := file.read(_CHUNK_BYTES):
            yield tail + block
            tail = (tail + block)[-overlap:]
    if path.suffix == ".gz":
        yield zlib.decompress(path.read_bytes(), 31)
