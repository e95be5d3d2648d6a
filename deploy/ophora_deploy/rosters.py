"""The roster of identity keys: made at the coordinator, compared by people, pinned at the sites.

    SITE/identity.pub -> RUN/identities/CODE.pub -> RUN/roster.toml -> SITE/roster.toml

Sites on other machines are sent the file and pin it by hand. Those on this machine are pinned when
they have no roster yet; one that they have is never replaced here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ophora_client.approval import IdentityKey
from ophora_client.roster import open_membership, pin_roster
from ophora_deploy.errors import ProvisioningFailed
from ophora_model.draft import write_whole
from ophora_privacy.secure_sum import Roster
from ophora_server.roster import read_roster, write_roster
from ophora_server.run_folder import RunFolder

_KEY_TEXT = 64


def collect_roster(run: RunFolder) -> Roster:
    """RUN/roster.toml from the keys in RUN/identities. Raises ProvisioningFailed."""
    return write_roster(run.roster_file, _identities(run))


def _identities(run: RunFolder) -> dict[str, str]:
    keys: dict[str, str] = {}
    for path in sorted(run.identities.glob("*.pub")):
        text = path.read_text(encoding="ascii", errors="replace").strip()
        if len(text) != _KEY_TEXT:
            raise ProvisioningFailed(
                f"identities/{path.name}: must be the site's identity.pub, 64 hexadecimal digits"
            )
        keys[path.stem] = text
    if not keys:
        raise ProvisioningFailed("identities: no key in it; put each site's identity.pub there")
    return keys


def pin_local(run: RunFolder, folders: Mapping[str, Path]) -> Roster:
    """The roster with the sites on this machine on it, pinned at each of them.

    Made here where there is none yet, and never changed: the others have pinned it. Raises
    ProvisioningFailed where it lacks a member, or a site has pinned another one.
    """
    run.identities.mkdir(parents=True, exist_ok=True)
    for code, folder in folders.items():
        key = IdentityKey.open(folder).public_key
        write_whole(run.identities / f"{code}.pub", f"{key}\n".encode())
    roster = read_roster(run.roster_file) if run.roster_file.exists() else collect_roster(run)
    if {code: key.hex() for code, key in roster.keys.items()} != _identities(run):
        raise ProvisioningFailed(
            "roster.toml: holds other keys than RUN/identities; run `ophora federation roster`, and"
            " have every site pin it"
        )
    for code, folder in folders.items():
        pinned = open_membership(folder, code=code)
        if pinned is None:
            pin_roster(folder, roster, code=code)
        elif pinned.roster.digest() != roster.digest():
            raise ProvisioningFailed(
                f"site {code}: has pinned another roster; compare the two, then run"
                " `ophora site pin-roster`"
            )
    return roster


def in_groups(digest: str) -> str:
    """A digest as it is read out on the phone: the first 32 digits in groups of four."""
    return " ".join(digest[start : start + 4] for start in range(0, 32, 4))
