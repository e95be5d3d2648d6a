"""What can go wrong with the registry, shaped by what the caller can do next.

ServerError
  RegistryError
    RegistryBusy         another writer held the database for the whole wait: try again
    RegistryUnavailable  disk full, I/O error, no connection: mend that; what was there still is
    RegistryTooNew       a newer version of this software made the schema: install that one
    RegistryCorrupt      audit log, rounds or blobs are not what was written: put a copy back
    UnknownEntry         no such run, round, site or release: correct the name
    EntryRefused         it contradicts what is there: correct what is entered
    RoundClosed          the round is finished, or was begun again since: go on after the last one
    SiteRefused          the site is not approved, or revoked: leave it out
    UpdateReplayed       an update of another attempt, or a second one of a site: leave it out

A value outside the allow-list is `PlanInvalid` of ophora_model, as everywhere.
"""

from ophora_server.errors import ServerError


class RegistryError(ServerError):
    """Base of what the registry raises."""


class RegistryBusy(RegistryError):
    """The database stayed locked for the whole wait; nothing was changed."""


class RegistryUnavailable(RegistryError):
    """The database or the folder can't be read or written; what was committed before stays."""


class RegistryTooNew(RegistryError):
    """The schema is of a version that this one doesn't know."""


class RegistryCorrupt(RegistryError):
    """What is stored is not what was written, or is an older copy of it."""


class UnknownEntry(RegistryError):
    """Nothing has this name."""


class EntryRefused(RegistryError):
    """What is entered contradicts what is there."""


class RoundClosed(RegistryError):
    """This attempt can't be written to any more."""


class SiteRefused(RegistryError):
    """The site `site` may not take part."""

    def __init__(self, site: str, message: str) -> None:
        super().__init__(message)
        self.site = site


class UpdateReplayed(RegistryError):
    """A second receipt of `site`, or one that belongs to another attempt; it is not counted."""

    def __init__(self, site: str, message: str) -> None:
        super().__init__(message)
        self.site = site
