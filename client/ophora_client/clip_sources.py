"""The curated clips of a stage, as the latents cache wants them, and which patients train at all.

    manifest -> patients -> cohort: held out (by a keyed hash) or trained -> clips of the latter
    canaries that the site planted -> the included half trains like any other patient

    SITE/cohorts.sqlite    patient id -> "held-out" or "trained", for good
    SITE/canaries/        clips of invented patients, canaries.json (holds the coins)

An audit compares patients who trained with patients who never did, so both are for good: the first
entry of a patient stands. Whoever asks for clips to train on gets none of a held-out patient, and
the patients of those that are given are noted as trained before they are given.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ophora_client.errors import SiteInvalid

if TYPE_CHECKING:
    from ophora_model.latents import ClipSource

HOLD_OUT_FROM = 20  # patients; below, everyone trains: a tenth of fewer could not be audited
_HELD_OUT, _TRAINED = "held-out", "trained"
_COHORTS, _CANARIES = "cohorts.sqlite", "canaries"
_WAIT_S = 30.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS patients (
    patient_id TEXT PRIMARY KEY,
    role TEXT NOT NULL CHECK (role IN ('held-out', 'trained')));
CREATE TRIGGER IF NOT EXISTS no_update BEFORE UPDATE ON patients
    BEGIN SELECT RAISE(ABORT, 'a role is for good'); END;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditTable:
    """`[audit]`: `held_out_share` of the patients are kept out of training, 0 keeps out none.

    It applies to patients whom no training has met yet, from HOLD_OUT_FROM patients on. At least
    five held-out patients are needed for any figure: about 50 patients at the default.
    """

    held_out_share: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.held_out_share <= 0.5:
            message = f"held_out_share={self.held_out_share}: must be in [0, 0.5]"
            raise SiteInvalid(message)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSources:
    """Clips of patients who trained, of patients held out, and canaries with their coins."""

    trained: list[ClipSource]
    held_out: list[ClipSource]
    canaries: list[ClipSource]
    coins: list[bool]
    codes: list[str]


def clip_sources(manifest: Path, clips: Path, stage: str) -> list[ClipSource]:
    """Every clip of the stage's tiers that may be trained on now; files lie in `clips` by id.

    No clip of a held-out patient; included canaries where the site planted any.
    """
    found = _curated(manifest, clips, stage)
    cohorts = _Cohorts(manifest.with_name(_COHORTS))
    cohorts.note({source.patient_id for source in found}, _TRAINED)
    held_out = cohorts.patients(_HELD_OUT)
    training = [source for source in found if source.patient_id not in held_out]
    planted = zip(*read_canaries(manifest), strict=True)
    return training + [source for source, entry in planted if entry["included"]]


def hold_out_patients(manifest: Path, *, key: bytes, share: float) -> int:
    """Holds out `share` of the patients whom no training has met; how many are held out now.

    By a hash keyed with the site's key, so nobody chooses them and they stay the same. Call it
    before anything trains. Below HOLD_OUT_FROM patients nobody new is held out.
    """
    from ophora_curation.store.manifest import Manifest

    AuditTable(held_out_share=share)
    with Manifest.open(manifest) as opened:
        patients = {row.patient_id for row in opened.clips("tpt", "p2ft")}
    cohorts = _Cohorts(manifest.with_name(_COHORTS))
    if len(patients) >= HOLD_OUT_FROM:
        cohorts.note({each for each in patients if _keyed_share(key, each) < share}, _HELD_OUT)
    return len(cohorts.patients(_HELD_OUT))


def audit_sources(manifest: Path, clips: Path, stage: str) -> AuditSources:
    """What an audit compares; patients whom neither training nor the draw has met are left out."""
    found = _curated(manifest, clips, stage)
    cohorts = _Cohorts(manifest.with_name(_COHORTS))
    trained, held_out = cohorts.patients(_TRAINED), cohorts.patients(_HELD_OUT)
    canaries, entries = read_canaries(manifest)
    return AuditSources(
        trained=[source for source in found if source.patient_id in trained],
        held_out=[source for source in found if source.patient_id in held_out],
        canaries=canaries,
        coins=[bool(entry["included"]) for entry in entries],
        codes=[str(entry["code"]) for entry in entries],
    )


def canaries_folder(manifest: Path) -> Path:
    """Where the site's canaries lie."""
    return manifest.with_name(_CANARIES)


def read_canaries(manifest: Path) -> tuple[list[ClipSource], list[dict[str, Any]]]:
    """The planted canaries with the entries of canaries.json; two empty lists without any.

    Raises `SiteInvalid` where the file is not what planting wrote: training without the canaries
    that the coins say would make an audit worthless.
    """
    from ophora_model.latents import ClipSource

    folder = canaries_folder(manifest)
    path = folder / "canaries.json"
    if not path.is_file():
        return [], []
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["canaries"]
        sources = [
            ClipSource(
                clip_id=entry["clip_id"],
                patient_id=entry["patient_id"],
                path=folder / f"{entry['clip_id']}.mp4",
                instruction=entry["instruction"],
                sha256=entry["sha256"],
            )
            for entry in entries
            if type(entry["included"]) is bool and type(entry["code"]) is str
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = f"canaries.json: can't be used ({type(error).__name__}); restore it from backup"
        raise SiteInvalid(message) from error
    if len(sources) != len(entries):
        raise SiteInvalid("canaries.json: an entry without its coin; restore it from backup")
    return sources, entries


def _curated(manifest: Path, clips: Path, stage: str) -> list[ClipSource]:
    from ophora_curation.store.manifest import Manifest
    from ophora_model.latents import ClipSource

    with Manifest.open(manifest) as opened:
        rows = opened.clips_for_stage(stage)
    return [
        ClipSource(
            clip_id=row.clip_id,
            patient_id=row.patient_id,
            path=clips / f"{row.clip_id}.mp4",
            instruction=row.instruction,
            sha256=row.sha256,
        )
        for row in rows
    ]


def _keyed_share(key: bytes, patient_id: str) -> float:
    """In [0, 1), evenly over patients."""
    digest = hmac.new(key, f"held-out/{patient_id}".encode(), hashlib.sha256).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


class _Cohorts:
    """Who trains and who is held out; the first entry of a patient stands."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, patients: Iterable[str], role: str) -> None:
        """Give the role to those who have none yet."""
        rows = [(patient, role) for patient in sorted(patients)]
        with self._connection() as connection:
            connection.executemany("INSERT OR IGNORE INTO patients VALUES (?, ?)", rows)

    def patients(self, role: str) -> set[str]:
        """Everyone with this role."""
        with self._connection() as connection:
            rows = connection.execute("SELECT patient_id FROM patients WHERE role = ?", (role,))
            return {str(row[0]) for row in rows}

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        try:
            connection = sqlite3.connect(self._path, timeout=_WAIT_S)
            try:
                connection.execute("PRAGMA synchronous = FULL")
                connection.executescript(_SCHEMA)
                with connection:
                    yield connection
            finally:
                connection.close()
        except sqlite3.Error as error:
            message = f"{_COHORTS}: {error}; mend that, or restore it from backup"
            raise SiteInvalid(message) from error
