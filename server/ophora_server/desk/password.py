"""The page's password: a salted scrypt hash in RUN/page.password, readable by its owner alone."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from ophora_model.draft import draft_of, write_private
from ophora_server.desk.errors import PageRefused

PASSWORD_FILE = "page.password"
MIN_CHARACTERS, MAX_BYTES = 12, 1024
_SALT_BYTES, _HASH_BYTES = 16, 32
_COST, _BLOCK, _LANES = 2**15, 8, 1  # 32 MiB and about a tenth of a second a guess
_MOST_MEMORY = 2**27
_REMEDY = "set it with `ophora federation page-password --run RUN`"


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordHash:
    """Salt and hash in hexadecimal digits, with the cost that they were made at."""

    n: int
    r: int
    p: int
    salt: str
    hash: str

    @classmethod
    def of(cls, password: str) -> PasswordHash:
        """With a fresh salt. Raises PageRefused on one that is too short or too long."""
        if len(password) < MIN_CHARACTERS or len(password.encode()) > MAX_BYTES:
            raise PageRefused(
                f"password of {len(password)} characters: must have {MIN_CHARACTERS} or more,"
                f" in {MAX_BYTES} bytes at most"
            )
        salt = secrets.token_bytes(_SALT_BYTES)
        made = _scrypt(password, salt, _COST, _BLOCK, _LANES)
        return cls(n=_COST, r=_BLOCK, p=_LANES, salt=salt.hex(), hash=made.hex())

    @classmethod
    def read(cls, path: Path) -> PasswordHash:
        """From the file that `write` wrote. Raises PageRefused, naming the command to set one."""
        if not path.is_file():
            raise PageRefused(f"{path.name}: not there, the page needs a password; {_REMEDY}")
        if path.stat().st_mode & 0o077:
            raise PageRefused(f"{path.name}: others may read it; {_REMEDY} again, a new one")
        try:
            read = cls(**json.loads(path.read_bytes()))
            read.matches("")
        except (ValueError, TypeError, OSError) as error:
            raise PageRefused(f"{path.name}: not as it was written; {_REMEDY} again") from error
        return read

    def write(self, path: Path) -> None:
        """Replace the file whole; it never lies there readable by others."""
        with draft_of(path) as part:
            part.unlink(missing_ok=True)  # of a process that died
            write_private(part, json.dumps(asdict(self), sort_keys=True).encode())

    def matches(self, password: str) -> bool:
        """Whether it is this password, in a time that doesn't tell how much of it is right."""
        made = _scrypt(password[:MAX_BYTES], bytes.fromhex(self.salt), self.n, self.r, self.p)
        return hmac.compare_digest(made, bytes.fromhex(self.hash))


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(
        password.encode(), salt=salt, n=n, r=r, p=p, maxmem=_MOST_MEMORY, dklen=_HASH_BYTES
    )
