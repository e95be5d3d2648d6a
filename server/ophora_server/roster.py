"""The roster of the federation: each site's code and its public identity key, in one file.

RUN/roster.toml: [sites], code = "64 hexadecimal digits"
    -> the secure sum's plan and checks; the release gate's count of approvals
    -> sent to the sites, where a person compares `digest` and pins it
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ophora_model.draft import write_whole
from ophora_privacy.errors import InvalidPlan
from ophora_privacy.secure_sum import Roster
from ophora_server.errors import InvalidFederation, RecordInvalid
from ophora_server.release_policy import Roster as SignersRoster


def read_roster(path: Path) -> Roster:
    """Raises InvalidFederation where there is none or it is not one."""
    if not path.is_file():
        raise InvalidFederation(
            f"{path.name}: not found; secure aggregation needs each site's key: put their"
            " identity.pub into RUN/identities/ and run `ophora federation roster`"
        )
    try:
        keys = SignersRoster.read(path).keys
        return Roster({code: bytes.fromhex(key) for code, key in keys.items()})
    except (RecordInvalid, InvalidPlan) as error:
        raise InvalidFederation(f"{error}") from error


def write_roster(path: Path, keys: Mapping[str, str]) -> Roster:
    """From site code to public key in hexadecimal digits.

    Raises InvalidFederation, with what was there before still there.
    """
    try:
        made = Roster({code: bytes.fromhex(key) for code, key in keys.items()})
    except (ValueError, InvalidPlan) as error:
        raise InvalidFederation(f"{path.name}: {error}") from error
    lines = [f'{code} = "{key}"\n' for code, key in sorted(keys.items())]
    write_whole(path, ("[sites]\n" + "".join(lines)).encode())
    return made
