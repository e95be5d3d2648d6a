"""Search folders for strings that must never be there: the proof that nothing planted got out.

Planted names, numbers and dates are looked for in every file, whatever it is, as UTF-8, UTF-16,
base64 in all three alignments, hexadecimal and percent-encoding, in any letter case where the
encoding keeps it, and with the separators that file names put in place of spaces.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

_SHORTEST = 4  # shorter strings occur by chance in megabytes of weights
_CHUNK_BYTES = 8 * 2**20


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


def find_canaries(canaries: Iterable[str], places: Sequence[Path]) -> list[CanaryHit]:
    """Every canary in any file of `places` (folders, recursively, or files) and in file names.

    Raises ValueError on a canary of fewer than four characters and on a place that is not there:
    a search that looked nowhere must not pass for one that found nothing.
    """
    needles = [needle for canary in sorted(set(canaries)) for needle in _needles(canary)]
    hits: dict[tuple[str, Path], CanaryHit] = {}
    for path in _files(places):
        for hit in (*_in_name(needles, path), *_in_content(needles, path)):
            hits.setdefault((hit.canary, hit.path), hit)
    return list(hits.values())


def _needles(canary: str) -> Iterator[_Needle]:
    text = canary.strip()
    if len(text) < _SHORTEST:
        raise ValueError(f"canary of {len(text)} characters: must have at least {_SHORTEST}")
    spellings = {text, *(text.replace(" ", mark) for mark in "_-.")} | {text.replace(" ", "")}
    for spelling in sorted(spellings):
        raw = spelling.encode()
        plain = {
            "utf-8": raw,
            "utf-16-le": spelling.encode("utf-16-le"),
            "utf-16-be": spelling.encode("utf-16-be"),
            "hex": binascii.hexlify(raw),
            "percent": quote(spelling).encode(),
        }
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


def _in_name(needles: Sequence[_Needle], path: Path) -> Iterator[CanaryHit]:
    # the folder that holds a place may be named by anyone; what is in it is what we wrote
    yield from _search(needles, path.name.encode(), path, "file name")


def _in_content(needles: Sequence[_Needle], path: Path) -> Iterator[CanaryHit]:
    overlap = max((len(needle.pattern) for needle in needles), default=1)
    with path.open("rb") as file:
        tail = b""
        while block := file.read(_CHUNK_BYTES):
            yield from _search(needles, tail + block, path)
            tail = (tail + block)[-overlap:]
    if path.suffix == ".gz":
        yield from _search(needles, zlib.decompress(path.read_bytes(), 31), path)


def _search(
    needles: Sequence[_Needle], content: bytes, path: Path, where: str = ""
) -> Iterator[CanaryHit]:
    lowered = content.lower()
    for needle in needles:
        if needle.pattern in (lowered if needle.any_case else content):
            encoding = where or needle.encoding
            yield CanaryHit(canary=needle.canary, path=path, encoding=encoding)
