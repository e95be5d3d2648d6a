from dataclasses import replace
from pathlib import Path

import pytest

from ophora_curation.errors import ManifestError
from ophora_curation.store.manifest import Manifest
from ophora_curation.store.records import TIERS, ClipRow, VideoOutcome, VideoRow

VIDEO = VideoRow(video_id="v1", patient_id="p1", sha256="s1", recipe="r1", status="curated")


def clip(number: int, tier: str) -> ClipRow:
    assert tier in TIERS
    return ClipRow(
        clip_id=f"c{number}",
        video_id="v1",
        patient_id="p1",
        tier=tier,
        reasons=("because",),
        instruction="Incision: cut the cornea.",
        phase="incision",
        start_s=number * 5.0,
        end_s=number * 5.0 + 5.0,
        sha256="x",
        scores={"motion": 1.5},
        lineage={"code": "1"},
    )


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    made = Manifest.open(tmp_path / "manifest.sqlite")
    clips = tuple(clip(number, tier) for number, tier in enumerate(TIERS))
    made.commit(VideoOutcome(video=VIDEO, clips=clips))
    return made


def test_rows_come_back_as_they_went_in(manifest: Manifest) -> None:
    assert manifest.videos() == [VIDEO]
    assert manifest.clips("tpt") == [clip(1, "tpt")]


def test_stages_take_their_tiers(manifest: Manifest) -> None:
    assert {row.tier for row in manifest.clips_for_stage("tpt")} == {"tpt", "p2ft"}
    assert {row.tier for row in manifest.clips_for_stage("p2ft")} == {"p2ft"}
    with pytest.raises(ValueError, match=r'stage="sft": must be one of tpt, p2ft'):
        manifest.clips_for_stage("sft")
    with pytest.raises(ValueError, match="must be one of p2ft"):
        manifest.clips("gold")  # type: ignore[arg-type]


def test_counts(manifest: Manifest) -> None:
    assert manifest.counts() == {
        **dict.fromkeys(TIERS, 1), "videos-curated": 1, "videos-refused": 0
    }  # fmt: skip


def test_a_video_is_done_for_its_own_recipe_only(manifest: Manifest) -> None:
    assert manifest.is_done("v1", "r1")
    assert not manifest.is_done("v1", "r2")
    manifest.add_video(replace(VIDEO, status="refused", reasons=("worker-died",)))
    assert not manifest.is_done("v1", "r1")  # tried again
    assert manifest.clips() == []  # replaced with its clips


def test_a_clip_that_waits_for_a_detector_is_tried_again(manifest: Manifest) -> None:
    held = replace(clip(0, "quarantine"), reasons=("overlay-detector-failed",), sha256="")
    manifest.commit(VideoOutcome(video=VIDEO, clips=(held,)))
    assert not manifest.is_done("v1", "r1")
    manifest.commit(VideoOutcome(video=VIDEO, clips=(replace(held, reasons=("overlay-unread",)),)))
    assert manifest.is_done("v1", "r1")  # a person decides, not another run


def test_a_failed_commit_changes_nothing(manifest: Manifest) -> None:
    twice = (clip(7, "tpt"), clip(7, "tpt"))
    with pytest.raises(Exception, match="UNIQUE"):
        manifest.commit(VideoOutcome(video=replace(VIDEO, recipe="r9"), clips=twice))
    assert manifest.videos() == [VIDEO]
    assert len(manifest.clips()) == 4


def test_the_same_content_of_another_patient_is_seen(manifest: Manifest) -> None:
    assert manifest.other_patient("s1", "p2")
    assert not manifest.other_patient("s1", "p1")


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "manifest.sqlite"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(ManifestError):
        Manifest.open(path)
