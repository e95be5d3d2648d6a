"""The roster of the federation that this site has pinned, and the site's own place on it.

    coordinator's roster.toml -> a person compares the digest -> SITE/roster.toml -> secure sums

The roster holds each site's code and public identity key (Ed25519) under `[sites]`. Messages of a
secure sum are checked against it, so whoever puts a key onto it takes part as a site: it changes by
this file only, never by a message.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ophora_client.errors import SiteInvalid
from ophora_model.draft import write_whole
from ophora_privacy.errors import InvalidPlan
from ophora_privacy.secure_sum import Roster, SiteIdentity

_FILE = "roster.toml"
_MOST_BYTES = 2**24


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """Who this site is among the others."""

    identity: SiteIdentity
    roster: Roster


def read_roster(path: Path) -> Roster:
    """From TOML. Raises `SiteInvalid`."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError
        given = tomllib.loads(path.read_text(encoding="utf-8"))
        if set(given) != {"sites"}:
            raise ValueError
        return Roster({code: bytes.fromhex(key) for code, key in given["sites"].items()})
    except (OSError, ValueError, TypeError, AttributeError, InvalidPlan) as error:
        raise SiteInvalid(
            f"{path.name}: must map each site's code to its public key of 64 hexadecimal digits"
            " under [sites]; ask the coordinator for it again"
        ) from error


def pin_roster(folder: Path, roster: Roster, *, code: str) -> None:
    """Keep `roster` as this site's. Raises `SiteInvalid` unless the site's own key is on it."""
    _membership(folder, roster, code)
    write_whole(folder / _FILE, _to_toml(roster.keys))


def open_membership(folder: Path, *, code: str) -> Membership | None:
    """What was pinned; None where nothing was. Raises `SiteInvalid`."""
    if not (folder / _FILE).exists():
        return None
    return _membership(folder, read_roster(folder / _FILE), code)


def _membership(folder: Path, roster: Roster, code: str) -> Membership:
    from ophora_client.approval import IdentityKey

    IdentityKey.open(folder)
    identity = SiteIdentity.from_private_bytes(code, (folder / "identity.key").read_bytes())
    if roster.keys.get(code) != identity.public_key():
        raise SiteInvalid(
            f"roster: must hold site {code} with the key in identity.pub; send that file to the"
            " coordinator and pin the roster that comes back"
        )
    return Membership(identity=identity, roster=roster)


def _to_toml(keys: Mapping[str, bytes]) -> bytes:
    lines = [f'{code} = "{key.hex()}"\n' for code, key in keys.items()]
    return ("[sites]\n" + "".join(lines)).encode()
