"""What a kill, a full disk or a stray hand left is put right, and nothing else is touched."""

import hashlib
from pathlib import Path

import pytest

from curation_fakes import paths_in
from ophora_curation.errors import StoreFull
from ophora_curation.run.recovery import check_writable, clip_path, tidy, verify
from ophora_curation.settings import CurationPaths
from ophora_curation.store.manifest import Manifest
from ophora_curation.store.records import ClipRow, Tier, VideoOutcome, VideoRow

TIERS: tuple[Tier, ...] = ("p2ft", "tpt", "quarantine", "rejected")


@pytest.fixture
def out(tmp_path: Path) -> CurationPaths:
    """A site with a clip of every tier, each whole and where it belongs."""
    paths = paths_in(tmp_path)
    check_writable(paths)
    with Manifest.open(paths.manifest) as manifest:
        for tier in TIERS:
            video = VideoRow(
                video_id=f"v-{tier}", patient_id="p", sha256=tier, recipe="r", status="curated"
            )
            content = f"film {tier}".encode()
            written = tier != "rejected"
            clip = ClipRow(
                clip_id=f"c-{tier}",
                video_id=video.video_id,
                patient_id="p",
                tier=tier,
                reasons=(),
                instruction="",
                phase=None,
                start_s=0.0,
                end_s=1.0,
                sha256=hashlib.sha256(content).hexdigest() if written else "",
            )
            manifest.commit(VideoOutcome(video=video, clips=(clip,)))
            if written:
                clip_path(clip, paths).write_bytes(content)
    return paths


def files(out: CurationPaths) -> set[str]:
    return {
        f"{path.parent.name}/{path.name}" for path in (*out.clips.iterdir(), *out.held.iterdir())
    }


WHOLE = {"clips/c-p2ft.mp4", "clips/c-tpt.mp4", "held/c-quarantine.mp4"}


def recover(out: CurationPaths) -> set[str]:
    with Manifest.open(out.manifest) as manifest:
        tidy(manifest, out)
        return verify(manifest, out, lambda done, total: None)


def test_a_whole_site_is_left_as_it_is(out: CurationPaths) -> None:
    assert recover(out) == set()
    assert files(out) == WHOLE


@pytest.mark.parametrize("folder", ["clips", "held"])
def test_drafts_and_nameless_files_go(out: CurationPaths, folder: str) -> None:
    for name in (".part-c-p2ft.mp4", "c-rejected.mp4", "unknown.mp4", ".part-x-1.mp4"):
        (getattr(out, folder) / name).write_bytes(b"half")
    assert recover(out) == set()
    assert files(out) == WHOLE


@pytest.mark.parametrize("damage", ["gone", "cut", "changed"])
@pytest.mark.parametrize("tier", ["p2ft", "quarantine"])
def test_a_lost_clip_is_rejected_at_once_and_its_video_made_again(
    out: CurationPaths, damage: str, tier: str
) -> None:
    path = next(path for path in (out.clips, out.held) if (path / f"c-{tier}.mp4").exists())
    path /= f"c-{tier}.mp4"
    match damage:
        case "gone":
            path.unlink()
        case "cut":
            path.write_bytes(path.read_bytes()[:-1])
        case "changed":
            path.write_bytes(b"X" + path.read_bytes()[1:])
    assert recover(out) == {f"v-{tier}"}
    with Manifest.open(out.manifest) as manifest:
        clip = manifest.clip(f"c-{tier}")
        assert clip is not None
        assert (clip.tier, clip.reasons) == ("rejected", ("lost-file",))
    assert not path.exists()
    assert recover(out) == {f"v-{tier}"}  # until it was made again


def test_a_file_that_a_killed_decision_left_behind_follows_its_row(out: CurationPaths) -> None:
    (out.held / "c-quarantine.mp4").rename(out.clips / "c-quarantine.mp4")
    assert recover(out) == set()
    assert files(out) == WHOLE


def test_checks_are_told_as_they_go(out: CurationPaths) -> None:
    told: list[tuple[int, int]] = []
    with Manifest.open(out.manifest) as manifest:
        verify(manifest, out, lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]


def test_a_folder_that_cannot_be_made_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "held").write_bytes(b"a file where a folder should be")
    with pytest.raises(StoreFull, match="make it writable"):
        check_writable(paths_in(tmp_path))
