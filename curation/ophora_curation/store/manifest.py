"""The site's record of every video and clip: one SQLite file, one transaction a video.

A clip's file is complete and renamed into place before its row is written, so a row never names a
half-written file, and a video without a row is simply curated again.
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from ophora_curation.errors import ManifestError
from ophora_curation.store.records import TIERS, ClipRow, Tier, VideoOutcome, VideoRow

SCHEMA_VERSION = 1
_STAGES: dict[str, tuple[Tier, ...]] = {"tpt": ("tpt", "p2ft"), "p2ft": ("p2ft",)}
# what only failed to be processed, or waits for a detector, is tried again by the next run
RETRIED = frozenset(
    {
        *("worker-died", "timed-out", "failed", "no-speech-model"),
        *("no-text-detector", "overlay-detector-failed"),
    }
)
_SCHEMA = """
CREATE TABLE videos (
    video_id TEXT PRIMARY KEY, patient_id TEXT NOT NULL, sha256 TEXT NOT NULL,
    recipe TEXT NOT NULL, status TEXT NOT NULL CHECK (status IN ('curated', 'refused')),
    reasons TEXT NOT NULL, duration_s REAL NOT NULL, width INTEGER NOT NULL,
    height INTEGER NOT NULL, fps REAL NOT NULL, frames INTEGER NOT NULL,
    num_damaged INTEGER NOT NULL, narration TEXT NOT NULL);
CREATE INDEX videos_by_content ON videos (sha256);
CREATE TABLE clips (
    clip_id TEXT PRIMARY KEY,
    video_id TEXT NOT NULL REFERENCES videos (video_id) ON DELETE CASCADE,
    patient_id TEXT NOT NULL,
    tier TEXT NOT NULL CHECK (tier IN ('p2ft', 'tpt', 'quarantine', 'rejected')),
    reasons TEXT NOT NULL, instruction TEXT NOT NULL, phase TEXT, start_s REAL NOT NULL,
    end_s REAL NOT NULL, frames INTEGER NOT NULL, width INTEGER NOT NULL, height INTEGER NOT NULL,
    fps REAL NOT NULL, sha256 TEXT NOT NULL, scores TEXT NOT NULL, lineage TEXT NOT NULL);
CREATE INDEX clips_by_tier ON clips (tier);
CREATE INDEX clips_by_video ON clips (video_id);
"""


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
            message = f"manifest version {version}: this program writes {SCHEMA_VERSION}"
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
        with self._transaction():
            self._delete(outcome.video.video_id)
            self._insert("videos", _video_values(outcome.video))
            for clip in outcome.clips:
                self._insert("clips", _clip_values(clip))

    def add_video(self, video: VideoRow) -> None:
        """Write one video without clips."""
        self.commit(VideoOutcome(video=video))

    def add_clip(self, clip: ClipRow) -> None:
        """Write one clip of a video that is already there."""
        with self._transaction():
            self._insert("clips", _clip_values(clip))

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

    def clips(self, *tiers: Tier) -> list[ClipRow]:
        """The clips of these tiers (of all without any), by video and start."""
        for tier in tiers:
            if tier not in TIERS:
                message = f'tier="{tier}": must be one of {", ".join(TIERS)}'
                raise ValueError(message)
        wanted = tiers or TIERS
        marks = ", ".join("?" * len(wanted))
        rows = self._connection.execute(
            f"SELECT * FROM clips WHERE tier IN ({marks}) ORDER BY video_id, start_s", wanted
        )
        return [_clip_row(row) for row in rows]

    def clips_for_stage(self, stage: str) -> list[ClipRow]:
        """TPT trains on `tpt` and `p2ft`, P2FT on the visually clean `p2ft` alone."""
        if stage not in _STAGES:
            message = f'stage="{stage}": must be one of {", ".join(_STAGES)}'
            raise ValueError(message)
        return self.clips(*_STAGES[stage])

    def clip_ids(self) -> set[str]:
        """Every clip that has a file."""
        rows = self._connection.execute("SELECT clip_id FROM clips WHERE sha256 != ''")
        return {str(row["clip_id"]) for row in rows}

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
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _delete(self, video_id: str) -> None:
        self._connection.execute("DELETE FROM videos WHERE video_id = ?", (video_id,))

    def _insert(self, table: str, values: dict[str, Any]) -> None:
        names = ", ".join(values)
        marks = ", ".join("?" * len(values))
        self._connection.execute(
            f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(values.values())
        )


def _video_values(video: VideoRow) -> dict[str, Any]:
    return _values(video, VideoRow, json_names=("reasons",))


def _clip_values(clip: ClipRow) -> dict[str, Any]:
    return _values(clip, ClipRow, json_names=("reasons", "scores", "lineage"))


def _values(row: object, kind: type, *, json_names: Sequence[str]) -> dict[str, Any]:
    values = {name: getattr(row, name) for name in kind.__dataclass_fields__}  # type: ignore[attr-defined]
    for name in json_names:
        values[name] = json.dumps(values[name], sort_keys=True)
    return values


def _video_row(row: sqlite3.Row) -> VideoRow:
    values = dict(row)
    values["reasons"] = tuple(json.loads(values["reasons"]))
    return VideoRow(**values)


def _clip_row(row: sqlite3.Row) -> ClipRow:
    values = dict(row)
    values["reasons"] = tuple(json.loads(values["reasons"]))
    values["scores"] = json.loads(values["scores"])
    values["lineage"] = json.loads(values["lineage"])
    return ClipRow(**values)
