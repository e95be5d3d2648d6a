"""Runs that are killed or stopped go on where they were and end with the same site.

Most of it with fake stages, which make a run of two seconds of what takes minutes; the whole
pipeline with its models is killed by `benchmarks/curation.py --only restart`.
"""

import sys
from pathlib import Path

import pytest

import film_fakes
from curation_fakes import paths_in
from film_fakes import curate_films, make_films
from killing import kill_and_compare, num_halves, site_contents
from ophora_curation.pipeline import Progress
from ophora_curation.store.manifest import Manifest


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_films(tmp_path_factory.mktemp("videos"))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    return tmp_path / "site"


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_site(videos: Path, tmp_path: Path) -> None:
    command = (sys.executable, film_fakes.__file__, str(videos))
    result = kill_and_compare(command, tmp_path, kills=15, seed=1)
    assert result.differences == []
    assert result.halves == 0
    assert result.kills == 15
    assert result.unfinished > 5
    assert result.drafts > 0


def test_a_difference_would_be_seen(videos: Path, tmp_path: Path) -> None:
    curate_films(videos, tmp_path / "a")
    before = site_contents(tmp_path / "a")
    clip = next((tmp_path / "a" / "clips").iterdir())
    clip.write_bytes(clip.read_bytes() + b"x")
    assert num_halves(tmp_path / "a") == 1
    after = site_contents(tmp_path / "a")
    assert [key for key in before if before[key] != after[key]] == ["folder clips"]
    with Manifest.open(tmp_path / "a" / "manifest.sqlite") as manifest:
        manifest.retier(clip.stem, "rejected", ("x",))
    changed = site_contents(tmp_path / "a")
    assert [key for key in after if after[key] != changed[key]] == ["table clips"]


def test_damaged_and_lost_clips_are_made_again(videos: Path, site: Path) -> None:
    curate_films(videos, site)
    whole = site_contents(site)
    first = next((site / "clips").iterdir())
    first.write_bytes(first.read_bytes()[:100])
    next((site / "held").iterdir()).unlink()
    summary = curate_films(videos, site)
    assert summary.lost == summary.curated >= 1
    assert site_contents(site) == whole
    assert curate_films(videos, site).curated == 0


def test_a_lost_clip_whose_video_is_gone_trains_nobody(videos: Path, site: Path) -> None:
    curate_films(videos, site)
    lost = next((site / "clips").iterdir())
    lost.unlink()
    other = make_films(site / "other", patients=1)
    curate_films(other, site)
    with Manifest.open(paths_in(site).manifest) as manifest:
        assert lost.stem not in {clip.clip_id for clip in manifest.clips_for_stage("tpt")}


def test_rows_lost_before_they_were_written_leave_no_file(videos: Path, site: Path) -> None:
    curate_films(videos, site)
    whole = site_contents(site)
    with Manifest.open(paths_in(site).manifest) as manifest:
        manifest._delete(manifest.videos()[0].video_id)  # killed between its files and its row
    (site / "clips" / ".part-0123.mp4").write_bytes(b"half")
    curate_films(videos, site)
    assert site_contents(site) == whole


@pytest.mark.parametrize("damage", ["gone", "cut", "stray"])
def test_certificates_say_what_the_rows_say(videos: Path, site: Path, damage: str) -> None:
    assert curate_films(videos, site).uncertified == 0
    whole = site_contents(site)
    found = sorted((site / "certificates").iterdir())
    assert len(found) == 6
    match damage:
        case "gone":
            found[0].unlink()
        case "cut":
            found[0].write_bytes(found[0].read_bytes()[:9])
        case "stray":
            (site / "certificates" / "0123.json").write_text("{}")
    curate_films(videos, site)
    assert site_contents(site) == whole


def test_near_duplicates_go_once_all_videos_are_there(videos: Path, site: Path) -> None:
    summary = curate_films(videos, site)
    assert summary.duplicates > 0
    kept = summary.counts["p2ft"] + summary.counts["tpt"]
    assert 0 < kept == len(list((site / "clips").iterdir()))
    assert curate_films(videos, site).duplicates == 0


def test_progress_counts_up_and_says_what_is_left(videos: Path, site: Path) -> None:
    told: list[Progress] = []
    summary = curate_films(videos, site, progress=told.append)
    assert told[0].done == 0
    assert told[-1].done == told[-1].total == summary.found == 9
    assert told[-1].refused == summary.refused == 3
    assert told[0].left_s is None
    assert [each.done for each in told] == sorted(each.done for each in told)
    assert max(each.curating for each in told) == 2
    assert told[-1].footage_s == pytest.approx(6 * 4.0)
    assert told[-1].footage_total_s == pytest.approx(6 * 4.0)
    again: list[Progress] = []
    curate_films(videos, site, progress=again.append)
    assert again[-1].verified == again[-1].to_verify == len(list(site.glob("[ch]*/*.mp4")))
