"""Kill a run at random moments, run it again, and tell whether the site differs in anything.

A moment is drawn over the whole length of an undisturbed run, so that start-up, the loading of
models, both stages and the last steps are all met.
"""

import hashlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

FOLDERS = ("clips", "held", "certificates")
_LIMIT_S = 900.0


@dataclass(slots=True, kw_only=True)
class Killing:
    """What happened: `differences` names sites that differ, `halves` rows without a whole file."""

    kills: int = 0
    sites: int = 0
    unfinished: int = 0  # kills that left the run with something to do
    differences: list[str] = field(default_factory=list)
    halves: int = 0
    drafts: int = 0  # met right after a kill; proof that it hit the writing of a clip


def kill_and_compare(
    command: Sequence[str], folder: Path, *, kills: int, seed: int, length_s: float | None = None
) -> Killing:
    """Run `[*command, SITE]` undisturbed, then killed `kills` times over fresh sites."""
    rng = random.Random(seed)
    start_s = time.monotonic()
    _run(command, folder / "whole")
    length_s = length_s or time.monotonic() - start_s
    wanted, result = site_contents(folder / "whole"), Killing()
    while result.kills < kills:
        site = folder / f"site{result.sites}"
        while result.kills < kills and _killed(command, site, rng.uniform(0, length_s)):
            result.kills += 1
            result.unfinished += not _is_same(site, wanted)
            result.halves += num_halves(site)
            result.drafts += bool(list(site.rglob(".part-*")))
        _run(command, site)
        result.sites += 1
        found = site_contents(site)
        result.differences += [f"{site.name}:{key}" for key in wanted if found[key] != wanted[key]]
        shutil.rmtree(site)
    return result


def _run(command: Sequence[str], site: Path) -> None:
    subprocess.run([*command, str(site)], check=True, timeout=_LIMIT_S)


def _killed(command: Sequence[str], site: Path, after_s: float) -> bool:
    """Start, and kill the whole group after a while; False where it had ended before."""
    process = subprocess.Popen([*command, str(site)], start_new_session=True)
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return True
    return False


def _is_same(site: Path, wanted: dict[str, object]) -> bool:
    try:
        return site_contents(site) == wanted
    except (OSError, sqlite3.Error):
        return False


def site_contents(site: Path) -> dict[str, object]:
    """Every row of the manifest in the order of its ids, and every file's hash."""
    found: dict[str, object] = {}
    with closing(_copy_of(site)) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
            rows = connection.execute(f"SELECT * FROM {table}").fetchall()
            found[f"table {table}"] = sorted(rows, key=repr)
    for name in FOLDERS:
        files = sorted((site / name).iterdir()) if (site / name).exists() else []
        found[f"folder {name}"] = {path.name: _hash(path) for path in files}
    return found


def num_halves(site: Path) -> int:
    """Rows that name a file which is not there or not whole."""
    if not (site / "manifest.sqlite").exists():
        return 0
    hashes = {
        path.stem: _hash(path) for name in FOLDERS[:2] for path in (site / name).glob("*.mp4")
    }
    query = "SELECT clip_id, sha256 FROM clips WHERE sha256 != '' AND tier != 'rejected'"
    with closing(_copy_of(site)) as connection:
        try:
            rows = connection.execute(query).fetchall()
        except sqlite3.OperationalError:  # killed before it had tables
            return 0
    return sum(hashes.get(clip_id) != sha256 for clip_id, sha256 in rows)


def _copy_of(site: Path) -> sqlite3.Connection:
    """The manifest as it lies there, with its journal, read without touching it."""
    memory = sqlite3.connect(":memory:")
    copy = site.with_name(f"{site.name}-copy")
    copy.mkdir(exist_ok=True)
    for path in site.glob("manifest.sqlite*"):
        shutil.copy(path, copy)
    with closing(sqlite3.connect(copy / "manifest.sqlite")) as connection:
        connection.backup(memory)
    shutil.rmtree(copy)
    return memory


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
