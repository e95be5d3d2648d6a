"""Whole runs over phantom videos: real files, real detectors, real workers."""

import json
import logging
import shutil
from pathlib import Path

import pytest

from curation_fakes import paths_in
from killing import site_contents
from ophora_curation.evaluation import find_strings, score
from ophora_curation.execution import ExecutionSettings
from ophora_curation.phantom.make import make_phantoms
from ophora_curation.phantom.request import PhantomRequest
from ophora_curation.pipeline import CurationSummary, curate
from ophora_curation.settings import CurationSettings
from ophora_curation.store.manifest import Manifest

pytestmark = pytest.mark.slow
SETTINGS = CurationSettings(min_width=160, min_height=96)
EXECUTION = ExecutionSettings(workers=2)


def run(videos: Path, site: Path, settings: CurationSettings = SETTINGS) -> CurationSummary:
    return curate(videos, out=paths_in(site), settings=settings, key=b"k" * 32, execution=EXECUTION)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three patients: one without subtitles, plus every kind of bad file for a fourth."""
    folder = tmp_path_factory.mktemp("videos")
    make_phantoms(
        PhantomRequest(
            out=folder,
            patients=3,
            seed=5,
            segments=(3, 4),
            speech_share=0.3,
            overlay_share=0.3,
            personal_overlay_share=0.3,
        )
    )
    good = min(folder.rglob("*.srt")).with_suffix(".mp4")
    bad = folder / "Poe_Edgar_MRN990017"
    bad.mkdir()
    (bad / "Poe_empty.mp4").touch()
    (bad / "Poe_text.mp4").write_text("#EXTM3U\n/etc/passwd\n" * 40)
    (bad / "Poe_cut.mp4").write_bytes(good.read_bytes()[:400])
    shutil.copy(good, good.with_name("twin.mp4"))
    shutil.copy(good.with_suffix(".srt"), good.with_name("twin.srt"))
    shutil.copy(good, bad / "Poe_copy.mp4")
    (folder / "nobody.mp4").write_bytes(good.read_bytes() + b"\0\0\0\x08free")
    return folder


@pytest.fixture(scope="module")
def site(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    log = logging.FileHandler(folder / "curation.log")
    logger = logging.getLogger("ophora.curation")
    logger.addHandler(log)
    logger.setLevel(logging.INFO)
    run(videos, folder)
    logger.removeHandler(log)
    log.close()
    return folder


def test_every_bad_file_has_its_reason_and_the_run_goes_on(site: Path) -> None:
    with Manifest.open(site / "manifest.sqlite") as manifest:
        rows = manifest.videos()
    refused = sorted(row.reasons for row in rows if row.status == "refused")
    wanted = [("duplicate",), ("empty",), ("no-decoder",), ("no-patient",), ("not-a-video",)]
    assert refused == wanted
    assert sum(row.status == "curated" for row in rows) == 3  # and not the twin


def test_clips_agree_with_the_truth(videos: Path, site: Path) -> None:
    result = score(site, videos)
    assert result.phase_match.hits >= 0.8 * result.phase_match.total > 0
    assert result.clip_precision.hits == result.clip_precision.total


def test_nothing_planted_is_left_in_the_site(videos: Path, site: Path) -> None:
    truths = [json.loads(path.read_text()) for path in videos.rglob("*.truth.json")]
    planted = {string for truth in truths for string in truth["planted"]}
    names = {part for path in videos.rglob("*") for part in (path.name, path.stem)}
    assert planted
    assert find_strings(site, sorted(planted | names | {"Poe_", "990017"})) == set()


def test_a_planted_string_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "row").write_bytes(b"\x00...mary WEISS...")
    assert find_strings(tmp_path, ["Weiss", "Smith"]) == {"Weiss"}


def test_every_curated_video_has_its_certificate(site: Path) -> None:
    with Manifest.open(site / "manifest.sqlite") as manifest:
        curated = {row.video_id for row in manifest.videos() if row.status == "curated"}
    assert {path.stem for path in (site / "certificates").iterdir()} == curated


def test_a_second_run_does_nothing_again(videos: Path, site: Path) -> None:
    before = site_contents(site)
    summary = run(videos, site)
    assert (summary.curated, summary.refused) == (0, 0)
    assert summary.skipped == summary.found > 0
    assert site_contents(site) == before


def test_a_lost_row_is_made_again_just_the_same(videos: Path, site: Path) -> None:
    before = site_contents(site)
    with Manifest.open(site / "manifest.sqlite") as manifest:
        first = manifest.clips("p2ft", "tpt", "quarantine")[0]
        manifest._delete(first.video_id)  # as if killed between the files and their rows
    assert run(videos, site).curated == 1
    assert site_contents(site) == before
