"""Every message that left the site, as the site can show it: one chained line each.

    Outgoing -> `SentLog.note` -> on the disk -> the message goes out

    SITE/logs/sent.jsonl   the lines, each with the hash of the one before
    SITE/logs/sent.head    number and hash of the last, which tells a cut-off end

What cannot be noted is not sent. A line holds the fields of the message, the numbers in it, its
size and the SHA-256 of its tensors or bytes; the hashes have no key, so who may write both files
can write others.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ophora_client.egress import Outgoing
from ophora_client.errors import SentLogBroken
from ophora_model.draft import write_whole
from ophora_model.update import tensors_digest

_GENESIS = "0" * 64
_LOG, _HEAD = "sent.jsonl", "sent.head"


@dataclass(frozen=True, slots=True, kw_only=True)
class SentMessage:
    """One message that left. `asked` is what it answers: "train", or an exchange of a secure sum.

    `about` is run, stage and round, or the attempt of a secure sum. `digest` is over the tensors in
    the order of their names, or over the bytes of a secure sum's message; empty where there are
    neither.
    """

    seq: int
    time: float
    asked: str
    about: dict[str, str | int]
    code: str
    metrics: dict[str, float | str]
    tensors: int
    num_bytes: int
    digest: str
    has_receipt: bool
    previous: str
    hash: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


class SentLog:
    """The log in one folder; safe across processes."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._log, self._head = folder / _LOG, folder / _HEAD

    def note(self, asked: str, about: dict[str, str | int], outgoing: Outgoing) -> None:
        """Add a message that is about to leave; it is on the disk when this returns.

        Raises OSError, and SentLogBroken where the log's end is not as it was left.
        """
        with self._locked():
            last = self._last()
            body = {
                "seq": 1 if last is None else last.seq + 1,
                "time": round(time.time(), 3),
                "asked": asked,
                "about": about,
                "code": outgoing.code,
                "metrics": {name: _plain(value) for name, value in outgoing.metrics.items()},
                "tensors": len(outgoing.tensors),
                "num_bytes": sum(value.nbytes for value in outgoing.tensors.values())
                + len(outgoing.message),
                "digest": _digest(outgoing),
                "has_receipt": bool(outgoing.receipt),
                "previous": _GENESIS if last is None else last.hash,
            }
            digest = _hash(body)
            line = json.dumps({**body, "hash": digest}, sort_keys=True, allow_nan=False) + "\n"
            with self._log.open("a+b") as file:
                file.truncate(self._whole())
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
            write_whole(self._head, f"{body['seq']} {digest}\n".encode())

    def messages(self) -> list[SentMessage]:
        """All of them, checked from the first to the last.

        Raises SentLogBroken where a line was changed, moved or taken away.
        """
        found: list[SentMessage] = []
        previous = _GENESIS
        for number, line in enumerate(self._lines(), start=1):
            message = _read(line, number)
            if message.seq != number or message.previous != previous:
                raise SentLogBroken(f"{_LOG}: line {number} doesn't follow the one before it")
            found.append(message)
            previous = message.hash
        self._check_head(len(found), previous)
        return found

    def _lines(self) -> list[str]:
        if not self._log.exists():
            return []
        return self._log.read_bytes()[: self._whole()].decode("ascii", "replace").splitlines()

    def _whole(self) -> int:
        """Bytes up to the last line's end: what was torn after it never left."""
        return self._log.read_bytes().rfind(b"\n") + 1 if self._log.exists() else 0

    def _last(self) -> SentMessage | None:
        """The last line, held against the head; the whole chain is for `messages`."""
        lines = self._lines()
        last = _read(lines[-1], len(lines)) if lines else None
        self._check_head(len(lines), last.hash if last is not None else _GENESIS)
        return last

    def _check_head(self, seq: int, digest: str) -> None:
        """A crash between line and head leaves the head one behind, which is no fault."""
        if not self._head.exists():
            if seq > 1:
                raise SentLogBroken(f"{_HEAD}: missing; put it back from the backup")
            return
        try:
            held, _, known = self._head.read_text(encoding="ascii").strip().partition(" ")
            int(held)
        except ValueError as error:
            raise SentLogBroken(f"{_HEAD}: can't be read; put it back from the backup") from error
        if seq < int(held) or (seq == int(held) and digest != known) or seq > int(held) + 1:
            raise SentLogBroken(
                f"{_LOG}: ends at line {seq} where {held} were written; put the newest copy back"
            )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._log.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _read(line: str, number: int) -> SentMessage:
    try:
        values = json.loads(line)
        message = SentMessage(**values)
    except (ValueError, TypeError) as error:
        raise SentLogBroken(f"{_LOG}: line {number} can't be read") from error
    body = {name: value for name, value in asdict(message).items() if name != "hash"}
    if _hash(body) != message.hash:
        raise SentLogBroken(f"{_LOG}: line {number} was changed")
    return message


def _hash(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _plain(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def _digest(outgoing: Outgoing) -> str:
    if outgoing.message:
        return hashlib.sha256(outgoing.message).hexdigest()
    if not outgoing.tensors:
        return ""
    return tensors_digest(outgoing.tensors)
