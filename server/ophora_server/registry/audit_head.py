"""The last entry of the audit log, kept a second time: a file beside the blobs.

A log whose tail was cut off, or an old copy of it, has a chain that holds; only a head kept
elsewhere tells. It is written after the commit: after a crash it is behind the log, never ahead.
"""

from __future__ import annotations

import fcntl
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ophora_model.draft import sync, write_whole
from ophora_server.evidence import HASH
from ophora_server.registry.errors import RegistryCorrupt, RegistryUnavailable

GENESIS = "0" * 64
HEAD_FILE = "audit.head"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditHead:
    """How many entries, and the last one's hash. Raises ValueError."""

    seq: int
    hash: str

    def __post_init__(self) -> None:
        if type(self.seq) is not int or self.seq < 0 or not HASH.fullmatch(str(self.hash)):
            raise ValueError("seq and hash: must be a count and 64 hexadecimal digits")


EMPTY = AuditHead(seq=0, hash=GENESIS)


def read_head(folder: Path) -> AuditHead | None:
    """The head; None where there is none. Raises RegistryCorrupt, RegistryUnavailable."""
    try:
        return AuditHead(**json.loads((folder / HEAD_FILE).read_bytes()))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unavailable(error) from error
    except (ValueError, TypeError) as error:
        raise RegistryCorrupt(f"{HEAD_FILE}: holds no head; put the newest copy back") from error


def write_head(folder: Path, head: AuditHead) -> None:
    """Keep it unless a later one is there already. Raises RegistryUnavailable."""
    try:
        with (folder / f"{HEAD_FILE}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            kept = read_head(folder)
            if kept is None or kept.seq < head.seq:
                write_whole(folder / HEAD_FILE, json.dumps(asdict(head)).encode())
                sync(folder)
    except OSError as error:
        raise _unavailable(error) from error


def _unavailable(error: OSError) -> RegistryUnavailable:
    return RegistryUnavailable(f"{HEAD_FILE}: {error.strerror}; mend that and start again")
