"""Blobs: files named by the SHA-256 of their content, beside the database.

    FOLDER/blobs/aa/aabb...   whole and synced before a row names it

A blob is written before the transaction that names it commits, so a row never names what isn't
there; what a crash leaves unnamed is collected by `Registry.sweep`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from ophora_model.draft import sync, write_whole
from ophora_server.evidence import HASH
from ophora_server.registry.errors import RegistryCorrupt, RegistryUnavailable

_DRAFT_AGE_S = 3600.0  # an older draft has no process that writes it


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What a sweep took away."""

    num_files: int = 0
    num_bytes: int = 0


@dataclass(frozen=True, slots=True)
class BlobStore:
    """Blobs under one folder; any number of processes may write the same one."""

    folder: Path

    def put(self, payload: bytes) -> str:
        """Keep the content; its digest. On the disk when this returns. RegistryUnavailable."""
        digest = hashlib.sha256(payload).hexdigest()
        path = self._path(digest)
        try:
            if not self._is_whole(path, len(payload), digest):
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, payload)
            for folder in (path.parent, self.folder, self.folder.parent):
                sync(folder)  # the names, all the way up
        except OSError as error:
            raise _unavailable(error) from error
        return digest

    def has(self, digest: str) -> bool:
        """Whether a file of this name is there; `get` tells whether it is what it should be."""
        return self._path(digest).is_file()

    def get(self, digest: str) -> bytes:
        """The content, verified. Raises RegistryCorrupt, RegistryUnavailable."""
        try:
            payload = self._path(digest).read_bytes()
        except FileNotFoundError as error:
            raise RegistryCorrupt(_lost(digest, "not there")) from error
        except OSError as error:
            raise _unavailable(error) from error
        if hashlib.sha256(payload).hexdigest() != digest:
            raise RegistryCorrupt(_lost(digest, "not what was written"))
        return payload

    def sweep(self, named: Collection[str]) -> Swept:
        """Take away blobs that are not `named`, and old drafts. Only under the write lock."""
        files, size = 0, 0
        try:
            for path in list(self._files()):
                if path.name in named or not self._is_left_over(path):
                    continue
                size += path.stat().st_size
                path.unlink()
                files += 1
        except OSError as error:
            raise _unavailable(error) from error
        return Swept(num_files=files, num_bytes=size)

    def _path(self, digest: str) -> Path:
        return self.folder / digest[:2] / digest

    def _files(self) -> Iterator[Path]:
        return (path for path in self.folder.glob("[0-9a-f][0-9a-f]/*") if path.is_file())

    @staticmethod
    def _is_left_over(path: Path) -> bool:
        if HASH.fullmatch(path.name):
            return True
        is_draft = path.name.startswith(".") and path.suffix == ".part"
        return is_draft and time.time() - path.stat().st_mtime > _DRAFT_AGE_S

    @staticmethod
    def _is_whole(path: Path, size: int, digest: str) -> bool:
        if not path.is_file() or path.stat().st_size != size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == digest


def _lost(digest: str, what: str) -> str:
    return f"blob={digest[:12]}...: {what}; put the newest copy of the folder back"


def _unavailable(error: OSError) -> RegistryUnavailable:
    return RegistryUnavailable(
        f"registry: its folder can't be used ({error.strerror}); mend that and start again:"
        " what was committed before is kept"
    )
