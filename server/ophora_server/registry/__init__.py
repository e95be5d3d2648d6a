"""The coordinator's registry: sites, runs, rounds and releases in one database that survives."""

from ophora_server.registry.adapter_blob import AdapterBlob
from ophora_server.registry.errors import (
    EntryRefused,
    RegistryBusy,
    RegistryCorrupt,
    RegistryError,
    RegistryTooNew,
    RegistryUnavailable,
    RoundClosed,
    SiteRefused,
    UnknownEntry,
    UpdateReplayed,
)
from ophora_server.registry.export import export
from ophora_server.registry.finished import (
    FinishedRound,
    RoundOutcome,
    finish_round,
    last_finished,
    read_adapter,
    withdraw_round,
)
from ophora_server.registry.receipts import Receipt, finite
from ophora_server.registry.registry import Registry
from ophora_server.registry.rounds import RoundAttempt, abandon_round, begin_round, receive
from ophora_server.registry.runs import open_run
from ophora_server.registry.schema import upgrade
from ophora_server.registry.verification import Verification, verify

__all__ = [
    "AdapterBlob",
    "EntryRefused",
    "FinishedRound",
    "Receipt",
    "Registry",
    "RegistryBusy",
    "RegistryCorrupt",
    "RegistryError",
    "RegistryTooNew",
    "RegistryUnavailable",
    "RoundAttempt",
    "RoundClosed",
    "RoundOutcome",
    "SiteRefused",
    "UnknownEntry",
    "UpdateReplayed",
    "Verification",
    "abandon_round",
    "begin_round",
    "export",
    "finish_round",
    "finite",
    "last_finished",
    "open_run",
    "read_adapter",
    "receive",
    "upgrade",
    "verify",
    "withdraw_round",
]
