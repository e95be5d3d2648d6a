"""The site kit: what a hospital needs to reach the coordinator, in one signed file.

    `ophora federation invite` -> CODE.kit -> a person -> `ophora site join`

Nothing in it is secret but the one-time code, which proves to the coordinator that a request comes
from whom the kit was given to. It lets nobody in: that takes the coordinator's approval after the
fingerprint was compared by phone.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from ophora_deploy.errors import JoiningFailed
from ophora_privacy.errors import RecordRefused
from ophora_privacy.signed_record import open_record

NAME = "kit"
_MOST_BYTES = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteKit:
    """An invitation of one site.

    `site` is the code that the coordinator will know it by, `address` host:port of the front,
    `authority` its certificate as PEM, `bundle` the hash of the app that will be sent, `version` of
    the installed package at the coordinator, `one_time_code` 32 hexadecimal digits, `expires` a UTC
    time in seconds.
    """

    federation: str
    site: str
    address: str
    authority: str
    bundle: str
    version: str
    one_time_code: str
    expires: int

    def to_document(self) -> dict[str, Any]:
        """What is signed."""
        return asdict(self)

    @classmethod
    def from_document(cls, given: Mapping[str, Any]) -> Self:
        """Strict. Raises JoiningFailed."""
        names = {field.name for field in fields(cls)}
        texts = names - {"expires"}
        whole = set(given) == names and all(isinstance(given[name], str) for name in texts)
        if not whole or type(given["expires"]) is not int:
            raise JoiningFailed("kit: of another version; install the coordinator's")
        return cls(**given)

    @classmethod
    def read(cls, path: Path, *, now: datetime | None = None) -> tuple[Self, str]:
        """The kit and the key that signed it. Raises JoiningFailed, also on one that has expired.

        The caller compares the key: a kit that came by another way is signed too.
        """
        try:
            if path.stat().st_size > _MOST_BYTES:
                raise RecordRefused("kit: too long")
            signed = open_record(NAME, path.read_bytes())
        except OSError as error:
            raise JoiningFailed(f"{path.name}: can't be read ({type(error).__name__})") from error
        except RecordRefused as error:
            raise JoiningFailed(f"{path.name}: {error}") from error
        kit = cls.from_document(signed.document)
        if kit.expires < (now or datetime.now(UTC)).timestamp():
            raise JoiningFailed(f"{path.name}: has expired; ask the coordinator for a new one")
        installed = importlib.metadata.version("ophora-federated")
        if kit.version != installed:
            raise JoiningFailed(
                f"{path.name}: is of version {kit.version}, installed is {installed};"
                " install the coordinator's"
            )
        return kit, signed.public_key
