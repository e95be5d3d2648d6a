"""The site's record of every video and clip: one SQLite file, one transaction a video.

A clip's file is complete and renamed into place before its row is written, so a row never names a
half-written file, and a video without a row is simply curated again.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

from ophora_curation.errors import ManifestError
from ophora_curation.store.records import TIERS, ClipRow, Finding, Tier, VideoOutcome, VideoRow
from ophora_curation.store.review import Review, concerns, reasons_after

SCHEMA_VERSION = 2
_STAGES: dict[str, tuple[Tier, ...]] = {"tpt": ("tpt", "p2ft"), "p2ft": ("p2ft",)}
# what only failed to be processed, or waits for a detector, is tried again by the next run
RETRIED = frozenset(
    {
        *("worker-died", "timed-out", "failed", "out-of-memory", "no-speech-model"),
        *("no-text-detector", "overlay-detector-failed", "face-detector-failed"),
        *("no-refiner", "vision-failed"),
    }
)
_SCHEMA = """
CREATE TABLE videos (
    video_id TEXT PRIMARY KEY, patient_id TEXT NOT NULL, sha256 TEXT NOT NULL,
    recipe TEXT NOT NULL, status TEXT NOT NULL CHECK (status IN ('curated', 'refused')),
    reasons TEXT NOT NULL, duration_s REAL NOT NULL, width INTEGER NOT NULL,
    height INTEGER NOT NULL, fps REAL NOT NULL, frames INTEGER NOT NULL,
    num_damaged INTEGER NOT NULL, num_lost INTEGER NOT NULL, codec TEXT NOT NULL,
    rotation INTEGER NOT NULL, variable_rate INTEGER NOT NULL, repeated_share REAL NOT NULL,
    narration TEXT NOT NULL);
CREATE INDEX videos_by_content ON videos (sha256);
CREATE TABLE clips (
    clip_id TEXT PRIMARY KEY,
    video_id TEXT NOT NULL REFERENCES videos (video_id) ON DELETE CASCADE,
    patient_id TEXT NOT NULL,
    tier TEXT NOT NULL CHECK (tier IN ('p2ft', 'tpt', 'quarantine', 'rejected')),
    reasons TEXT NOT NULL, instruction TEXT NOT NULL, phase TEXT, start_s REAL NOT NULL,
    end_s REAL NOT NULL, frames INTEGER NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
    fps REAL NOT NULL, sha256 TEXT NOT NULL, fingerprint TEXT NOT NULL, confidence REAL NOT NULL,
    residual INTEGER NOT NULL, findings TEXT NOT NULL, dropped TEXT NOT NULL,
    scores TEXT NOT NULL, lineage TEXT NOT NULL,
    curated_tier TEXT NOT NULL, is_compared INTEGER NOT NULL DEFAULT 0);
CREATE INDEX clips_by_tier ON clips (tier);
CREATE INDEX clips_by_video ON clips (video_id);
CREATE TABLE reviews (
    number INTEGER PRIMARY KEY, clip_id TEXT NOT NULL, clip_sha256 TEXT NOT NULL,
    instruction_sha256 TEXT NOT NULL,
    decision TEXT NOT NULL CHECK (decision IN ('approve', 'reject', 'return')),
    tier_before TEXT NOT NULL, tier_after TEXT NOT NULL, reviewer TEXT NOT NULL,
    decided_at TEXT NOT NULL, previous TEXT NOT NULL, reason TEXT NOT NULL,
    signature TEXT NOT NULL);
CREATE INDEX reviews_by_clip ON reviews (clip_id);
"""
_OWN_COLUMNS = ("curated_tier", "is_compared")  # of clips, and of no `ClipRow`
_WITH_FILE: tuple[Tier, ...] = ("p2ft", "tpt", "quarantine")


class Manifest:
    """Open with `Manifest.open(path)`; close it, or use it in a `with`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open, or make, the manifest. Raises `ManifestError` for another version's file."""
        connection = sqlite3.connect(path, timeout=30.0, isolation_level=None)
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if version == 0:
                connection.executescript(
                    f"BEGIN IMMEDIATE;{_SCHEMA}PRAGMA user_version = {SCHEMA_VERSION};COMMIT;"
                )
                version = SCHEMA_VERSION
        except sqlite3.Error as error:
            connection.close()
            message = f"manifest can't be opened ({error}): move it away and curate again"
            raise ManifestError(message) from error
        if version != SCHEMA_VERSION:
            connection.close()
            message = (
                f"manifest version {version}: this program writes {SCHEMA_VERSION}; move the "
                "manifest and the clips folder away and curate again"
            )
            raise ManifestError(message)
        return cls(connection)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def commit(self, outcome: VideoOutcome) -> None:
        """Write a video and its clips in one transaction, in place of what was known of it."""
        with self.locked():
            self._delete(outcome.video.video_id)
            self._insert("videos", _video_values(outcome.video))
            for clip in outcome.clips:
                self._insert_clip(clip)

    def add_video(self, video: VideoRow) -> None:
        """Write one video without clips."""
        self.commit(VideoOutcome(video=video))

    def add_clip(self, clip: ClipRow) -> None:
        """Write one clip of a video that is already there."""
        with self.locked():
            self._insert_clip(clip)

    def is_done(self, video_id: str, recipe: str) -> bool:
        """Whether this very content was curated to an end by this very recipe."""
        row = self._connection.execute(
            "SELECT recipe, reasons FROM videos WHERE video_id = ?", (video_id,)
        ).fetchone()
        if row is None or row["recipe"] != recipe:
            return False
        held = self._connection.execute(
            "SELECT reasons FROM clips WHERE video_id = ? AND tier = 'quarantine'", (video_id,)
        )
        met = {reason for each in (row, *held) for reason in json.loads(each["reasons"])}
        return not RETRIED & met

    def other_patient(self, sha256: str, patient_id: str) -> bool:
        """Whether the same content was already curated for somebody else."""
        row = self._connection.execute(
            "SELECT 1 FROM videos WHERE sha256 = ? AND patient_id != ? AND status = 'curated'",
            (sha256, patient_id),
        ).fetchone()
        return row is not None

    def videos(self) -> list[VideoRow]:
        """All videos, by id."""
        rows = self._connection.execute("SELECT * FROM videos ORDER BY video_id")
        return [_video_row(row) for row in rows]

    def video(self, video_id: str) -> VideoRow | None:
        """One video, or None."""
        query = "SELECT * FROM videos WHERE video_id = ?"
        row = self._connection.execute(query, (video_id,)).fetchone()
        return None if row is None else _video_row(row)

    def clips(self, *tiers: Tier) -> list[ClipRow]:
        """The clips of these tiers (of all without any), by video and start."""
        for tier in tiers:
            if tier not in TIERS:
                message = f'tier="{tier}": must be one of {", ".join(TIERS)}'
                raise ValueError(message)
        wanted = tiers or TIERS
        marks = ", ".join("?" * len(wanted))
        rows = self._connection.execute(
            f"SELECT * FROM clips WHERE tier IN ({marks}) ORDER BY video_id, start_s, clip_id",
            wanted,
        )
        return [_clip_row(row) for row in rows]

    def clips_of(self, video_id: str) -> list[ClipRow]:
        """One video's clips, by start."""
        query = "SELECT * FROM clips WHERE video_id = ? ORDER BY start_s, clip_id"
        return [_clip_row(row) for row in self._connection.execute(query, (video_id,))]

    def clip(self, clip_id: str) -> ClipRow | None:
        """One clip, or None."""
        query = "SELECT * FROM clips WHERE clip_id = ?"
        row = self._connection.execute(query, (clip_id,)).fetchone()
        return None if row is None else _clip_row(row)

    def clips_for_stage(self, stage: str) -> list[ClipRow]:
        """TPT trains on `tpt` and `p2ft`, P2FT on the visually clean `p2ft` alone."""
        if stage not in _STAGES:
            message = f'stage="{stage}": must be one of {", ".join(_STAGES)}'
            raise ValueError(message)
        return self.clips(*_STAGES[stage])

    def clip_ids(self, *tiers: Tier) -> set[str]:
        """The clips of these tiers that have a file; those in `rejected` never have one."""
        wanted = tuple(tier for tier in tiers or _WITH_FILE if tier in _WITH_FILE)
        marks = ", ".join("?" * len(wanted))
        query = f"SELECT clip_id FROM clips WHERE sha256 != '' AND tier IN ({marks})"
        return {str(row["clip_id"]) for row in self._connection.execute(query, wanted)}

    def uncompared(self) -> list[ClipRow]:
        """Accepted clips not yet compared with the others, by video and start."""
        return self._accepted(is_compared=False)

    def compared(self) -> list[ClipRow]:
        """Accepted clips that were compared and stay, by video and start."""
        return self._accepted(is_compared=True)

    def set_compared(self, clip_ids: Iterable[str], rejected: Mapping[str, str]) -> None:
        """In one transaction: these were compared, and some are rejected for a reason each."""
        with self.locked():
            self._connection.executemany(
                "UPDATE clips SET is_compared = 1 WHERE clip_id = ?", [(each,) for each in clip_ids]
            )
            for clip_id, reason in rejected.items():
                self.retier(clip_id, "rejected", (reason,))

    def retier(self, clip_id: str, tier: Tier, reasons: Sequence[str]) -> None:
        """Curation's own change of a tier; a person's goes through `record_review`."""
        with self.locked():
            found = self._connection.execute(
                "UPDATE clips SET tier = ?, curated_tier = ?, reasons = ? WHERE clip_id = ?",
                (tier, tier, json.dumps(list(reasons)), clip_id),
            )
            _must_exist(found.rowcount, clip_id)

    def record_review(self, review: Review, *, tier: Tier, reasons: Sequence[str]) -> None:
        """Add a signed decision and change its clip's tier, in one transaction."""
        with self.locked():
            self._insert("reviews", asdict(review))
            found = self._connection.execute(
                "UPDATE clips SET tier = ?, reasons = ? WHERE clip_id = ?",
                (tier, json.dumps(list(reasons)), review.clip_id),
            )
            _must_exist(found.rowcount, review.clip_id)

    def reviews(self, clip_id: str | None = None) -> list[Review]:
        """Decisions in their order: of one clip, or all."""
        where = "" if clip_id is None else "WHERE clip_id = ?"
        values = () if clip_id is None else (clip_id,)
        query = f"SELECT * FROM reviews {where} ORDER BY number"
        return [Review(**dict(row)) for row in self._connection.execute(query, values)]

    def curated_tiers(self) -> dict[str, Tier]:
        """The tier that curation itself gave to each clip, whatever a person decided since."""
        rows = self._connection.execute("SELECT clip_id, curated_tier FROM clips")
        return {row["clip_id"]: row["curated_tier"] for row in rows}

    def counts(self) -> dict[str, int]:
        """Clips by tier, and videos by status under `videos-curated` and `videos-refused`."""
        tally: Counter[str] = Counter(dict.fromkeys(TIERS, 0))
        tally.update({"videos-curated": 0, "videos-refused": 0})
        for row in self._connection.execute("SELECT tier, count(*) AS n FROM clips GROUP BY tier"):
            tally[row["tier"]] += row["n"]
        query = "SELECT status, count(*) AS n FROM videos GROUP BY status"
        for row in self._connection.execute(query):
            tally[f"videos-{row['status']}"] += row["n"]
        return dict(tally)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One transaction; nobody else writes meanwhile. Inside another it is part of that."""
        if self._connection.in_transaction:
            yield
            return
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _accepted(self, *, is_compared: bool) -> list[ClipRow]:
        rows = self._connection.execute(
            "SELECT * FROM clips WHERE tier IN ('p2ft', 'tpt') AND is_compared = ? "
            "ORDER BY video_id, start_s, clip_id",
            (int(is_compared),),
        )
        return [_clip_row(row) for row in rows]

    def _insert_clip(self, clip: ClipRow) -> None:
        """Write a clip; a decision on this very clip and text still holds."""
        values = {**_clip_values(clip), "curated_tier": clip.tier}
        made = [review for review in self.reviews(clip.clip_id) if concerns(review, clip)]
        if made and clip.tier != "rejected":
            values["tier"] = made[-1].tier_after
            values["reasons"] = json.dumps(list(reasons_after(made[-1].decision)))
        self._insert("clips", values)

    def _delete(self, video_id: str) -> None:
        self._connection.execute("DELETE FROM videos WHERE video_id = ?", (video_id,))

    def _insert(self, table: str, values: dict[str, Any]) -> None:
        names = ", ".join(values)
        marks = ", ".join("?" * len(values))
        self._connection.execute(
            f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(values.values())
        )


def _must_exist(found: int, clip_id: str) -> None:
    if not found:
        message = f"clip {clip_id} is not in the manifest"
        raise KeyError(message)


def _video_values(video: VideoRow) -> dict[str, Any]:
    return _values(asdict(video), "reasons")


def _clip_values(clip: ClipRow) -> dict[str, Any]:
    return _values(asdict(clip), "reasons", "findings", "dropped", "scores", "lineage")


def _values(row: dict[str, Any], *json_names: str) -> dict[str, Any]:
    return {
        name: json.dumps(value, sort_keys=True) if name in json_names else value
        for name, value in row.items()
    }


def _video_row(row: sqlite3.Row) -> VideoRow:
    values = dict(row)
    values["reasons"] = tuple(json.loads(values["reasons"]))
    values["variable_rate"] = bool(values["variable_rate"])
    return VideoRow(**values)


def _clip_row(row: sqlite3.Row) -> ClipRow:
    values = {name: value for name, value in dict(row).items() if name not in _OWN_COLUMNS}
    values["reasons"] = tuple(json.loads(values["reasons"]))
    values["findings"] = tuple(
        Finding(**{**found, "box": tuple(found["box"])}) for found in json.loads(values["findings"])
    )
    for name in ("dropped", "scores", "lineage"):
        values[name] = json.loads(values[name])
    return ClipRow(**values)
