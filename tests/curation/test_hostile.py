"""Two hundred damaged and hostile files in one run: each has its reason, and nothing else happens.

No clip may be as long as these videos are, so a file that is sound after all is refused as too
short once it was decoded to its end, and no model is needed. `benchmarks/curation.py --only
hostile` curates them with models as well.
"""

import hashlib
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from curation_fakes import paths_in
from hostile import PATIENT, make_corpus
from ophora_curation.execution import ExecutionSettings
from ophora_curation.pipeline import CurationSummary, curate
from ophora_curation.settings import CurationSettings
from ophora_curation.store.manifest import Manifest
from ophora_curation.store.records import VideoRow
from watching import Watch

pytestmark = pytest.mark.slow
MEMORY_MB = 600
LIMIT_S = 20.0
SETTINGS = CurationSettings(min_width=160, min_height=96, min_clip_s=8.0, target_clip_s=9.0)
SOUND = "too-short"  # said only of what was decoded to its end


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    files: list[Path]
    summary: CurationSummary
    rows: list[VideoRow]
    watch: Watch
    site: Path

    def reasons(self) -> dict[str, str]:
        """By name of the file, for what has content of its own."""
        by_content = {row.sha256: row.reasons[0] for row in self.rows}
        plain = (path for path in self.files if path.is_file() and not path.is_symlink())
        return {path.name: by_content[sha256_of(path)] for path in plain}


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    folder = tmp_path_factory.mktemp("hostile")
    watch = Watch(folder)
    files = make_corpus(folder / "videos", watch.canary)
    with watch:
        summary = curate(
            folder / "videos",
            out=paths_in(folder / "site"),
            settings=SETTINGS,
            key=b"k" * 32,
            execution=ExecutionSettings(
                workers=2, video_timeout_s=LIMIT_S, analysis_memory_mb=MEMORY_MB
            ),
        )
    with Manifest.open(folder / "site" / "manifest.sqlite") as manifest:
        rows = manifest.videos()
    return Ran(files=files, summary=summary, rows=rows, watch=watch, site=folder / "site")


def test_there_are_two_hundred_and_each_has_a_row(ran: Ran) -> None:
    assert len(ran.files) == ran.summary.found == len(ran.rows) == 200
    assert ran.summary.refused == 200
    assert {len(row.reasons) for row in ran.rows} == {1}


def test_none_dies_hangs_or_surprises(ran: Ran) -> None:
    """A worker that dies is survived too, but none of these files should get so far."""
    surprises = {"worker-died", "timed-out", "out-of-memory", "failed"}
    assert [row.reasons for row in ran.rows if surprises & set(row.reasons)] == []
    assert ran.watch.longest_s < LIMIT_S * len(ran.files)


def test_what_is_sound_after_all_is_known_as_such(ran: Ran) -> None:
    """Only the name, the end or an unused number is wrong with these: every frame is there."""
    sound = {name for name, reason in ran.reasons().items() if reason == SOUND}
    assert {"matroska.mp4", "mp4.avi", "film-and-zip.mp4", "claims-16k.mp4"} <= sound
    assert {name for name in sound if name.startswith("sidecar-")}
    bad = ("hls", "concat", "dash", "session", "elsewhere", "zip", "pdf", "wave", "random", "cut2-")
    assert not [name for name in sound if name.startswith(bad)]
    assert len(sound) < 100


def test_no_other_file_is_opened_and_nobody_is_called(ran: Ran) -> None:
    assert not ran.watch.was_read
    assert ran.watch.num_calls == 0
    assert str(ran.watch.canary.path) not in ran.watch.opened
    assert "/etc/passwd" not in ran.watch.opened
    assert [path for path in ran.watch.opened if PATIENT in path]  # so the sampling works


def test_memory_stays_within_the_cap(ran: Ran) -> None:
    assert 20 < ran.watch.most_mb < 300


def test_nothing_is_left_but_the_manifest(ran: Ran) -> None:
    assert [path for name in ("clips", "held") for path in (ran.site / name).iterdir()] == []
    content = (ran.site / "manifest.sqlite").read_bytes().lower()
    assert [word for word in (b"poe", b"990017", b"hls-", b"passwd") if word in content] == []


def test_a_second_run_opens_none_of_them_again(ran: Ran) -> None:
    again = curate(
        ran.files[0].parents[1],
        out=paths_in(ran.site),
        settings=SETTINGS,
        key=b"k" * 32,
        execution=ExecutionSettings(workers=1),
    )
    assert (again.skipped, again.refused) == (200, 0)


def test_a_read_and_a_call_would_be_seen(tmp_path: Path) -> None:
    watch = Watch(tmp_path)
    host, port = watch.canary.address.split(":")
    with watch:
        assert watch.canary.path.read_bytes()
        socket.create_connection((host, int(port)), timeout=5).close()
        child = subprocess.Popen(
            [sys.executable, "-c", "b = bytearray(80 << 20); input()"], stdin=-1
        )
        while watch.most_mb < 80:
            time.sleep(0.02)
        child.communicate(b"\n", timeout=10)
    assert watch.was_read
    assert watch.num_calls == 1
    assert watch.most_mb_of("curate") >= 80  # a process that may write files
