"""Files that are there whole or not at all: a hidden draft beside them, synced, then renamed.

A power cut or a killed process leaves the earlier file, or none, and never half of one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def draft_of(path: Path) -> Iterator[Path]:
    """The draft to write; renamed to `path` on leaving, dropped where the body raised."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        sync(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: Path, payload: bytes) -> None:
    """Replaces the file by this content."""
    with draft_of(path) as part:
        part.write_bytes(payload)


def write_private(path: Path, payload: bytes) -> None:
    """A new file that its owner alone may read, from its first moment; on the disk on return.

    Raises FileExistsError where there is one: a key is never written over.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(payload)
        file.flush()
        os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Waits until a file's content, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
