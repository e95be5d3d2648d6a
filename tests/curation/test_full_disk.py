"""A full disk or a read-only folder stops the run cleanly; nothing that was finished is lost."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from film_fakes import CLIP_BYTES, curate_films, make_films
from killing import num_halves, site_contents
from ophora_curation.errors import StoreFull
from ophora_curation.pipeline import CurationSummary
from ophora_curation.store.manifest import Manifest


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A file system of its own in `folder`; only root may mount one."""
    folder.mkdir(exist_ok=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], capture_output=True
    )
    if made.returncode:
        pytest.skip("not possible here: mounting a small file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    return make_films(tmp_path / "videos")


def wanted(videos: Path, tmp_path: Path) -> tuple[CurationSummary, dict[str, object]]:
    summary = curate_films(videos, tmp_path / "whole")
    return summary, site_contents(tmp_path / "whole")


@pytest.mark.parametrize("num_clips", [1, 6])
def test_a_full_disk_stops_the_run_and_room_lets_it_finish(
    videos: Path, tmp_path: Path, num_clips: int
) -> None:
    """Filled up at several moments: by clips as much as by the manifest."""
    _, contents = wanted(videos, tmp_path)
    site = tmp_path / "site"
    with small_disk(site, f"{250_000 + num_clips * CLIP_BYTES}"):
        with pytest.raises(StoreFull, match="make room and run again"):
            curate_films(videos, site)
        assert num_halves(site) == 0
        remount(site, "size=50m")
        assert curate_films(videos, site).found == 9
        assert site_contents(site) == contents


def test_not_a_byte_left_is_said_at_the_start(videos: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with small_disk(site, "300k"):
        filler = site / "filler"
        with pytest.raises(OSError, match="No space"), filler.open("wb") as file:  # noqa: PT012
            while True:
                file.write(bytes(4096))
                file.flush()
        with pytest.raises(StoreFull, match="make room"):
            curate_films(videos, site)


def test_a_read_only_site_is_said_at_the_start(videos: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with small_disk(site, "10m"):
        remount(site, "ro")
        with pytest.raises(StoreFull, match="make it writable and run again"):
            curate_films(videos, site)


@pytest.mark.skipif(os.geteuid() == 0, reason="not possible here: root may write anywhere")
def test_a_folder_of_somebody_else_is_said_at_the_start(videos: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    curate_films(videos, site)
    (site / "held").chmod(0o500)
    with pytest.raises(StoreFull, match="make it writable"):
        curate_films(videos, site)
    with Manifest.open(site / "manifest.sqlite") as manifest:
        assert manifest.videos()
