import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from ophora_curation.errors import ManifestError
from ophora_curation.store.manifest import Manifest
from ophora_curation.store.records import TIERS, ClipRow, Finding, VideoOutcome, VideoRow
from ophora_curation.store.review import Review, instruction_hash

VIDEO = VideoRow(
    video_id="v1",
    patient_id="p1",
    sha256="s1",
    recipe="r1",
    status="curated",
    num_lost=3,
    codec="h264",
    variable_rate=True,
)
FOUND = Finding(detector="text", kind="device", box=(1, 2, 30, 40), score=0.9, masked=True)


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
        fingerprint="0f",
        residual=0,
        findings=(FOUND,),
        dropped={"name": 2},
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


def test_an_earlier_versions_file_is_refused_with_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "manifest.sqlite"
    with sqlite3.connect(path) as old:
        old.execute("PRAGMA user_version = 1")
    with pytest.raises(ManifestError, match=r"version 1: this program writes 2; move"):
        Manifest.open(path)


def test_rows_are_the_same_bytes_for_the_same_outcome(tmp_path: Path) -> None:
    dumps = []
    for name in ("a", "b"):
        with Manifest.open(tmp_path / name) as made:
            made.commit(VideoOutcome(video=VIDEO, clips=(clip(0, "p2ft"), clip(1, "tpt"))))
        dumps.append(list(sqlite3.connect(tmp_path / name).iterdump()))
    assert dumps[0] == dumps[1]


def test_files_are_named_by_tier(manifest: Manifest) -> None:
    assert manifest.clip_ids() == {"c0", "c1", "c2"}  # a rejected clip has none
    assert manifest.clip_ids("p2ft", "tpt") == {"c0", "c1"}
    assert manifest.clip_ids("quarantine") == {"c2"}
    assert manifest.clip_ids("rejected") == set()


def test_clips_are_compared_once_and_in_a_fixed_order(manifest: Manifest) -> None:
    assert [row.clip_id for row in manifest.uncompared()] == ["c0", "c1"]
    manifest.set_compared(["c0", "c1"], {"c1": "duplicate"})
    assert manifest.uncompared() == []
    assert [row.clip_id for row in manifest.compared()] == ["c0"]
    assert manifest.clip("c1") == replace(clip(1, "rejected"), reasons=("duplicate",))


def test_a_comparison_that_fails_changes_nothing(manifest: Manifest) -> None:
    with pytest.raises(KeyError, match="c99"):
        manifest.set_compared(["c0", "c1"], {"c1": "duplicate", "c99": "duplicate"})
    assert [row.clip_id for row in manifest.uncompared()] == ["c0", "c1"]


def test_retier_is_curations_own(manifest: Manifest) -> None:
    manifest.retier("c0", "quarantine", ["unsure"])
    assert manifest.clip("c0") == replace(clip(0, "quarantine"), reasons=("unsure",))
    assert manifest.curated_tiers()["c0"] == "quarantine"


def approval(row: ClipRow) -> Review:
    return Review(
        number=1,
        clip_id=row.clip_id,
        clip_sha256=row.sha256,
        instruction_sha256=instruction_hash(row),
        decision="approve",
        tier_before=row.tier,
        tier_after="tpt",
        reviewer="r-1",
        decided_at="2026-01-31T09:30:00Z",
        previous="",
        signature="ab",
    )


def test_a_decision_and_its_tier_are_written_together(manifest: Manifest) -> None:
    review = approval(clip(2, "quarantine"))
    manifest.record_review(review, tier="tpt", reasons=("approved",))
    assert manifest.reviews() == manifest.reviews("c2") == [review]
    assert manifest.reviews("c0") == []
    decided = manifest.clip("c2")
    assert decided is not None
    assert (decided.tier, decided.reasons) == ("tpt", ("approved",))
    assert manifest.curated_tiers()["c2"] == "quarantine"
    lost = replace(review, number=2, clip_id="c99")
    with pytest.raises(KeyError, match="c99"):
        manifest.record_review(lost, tier="tpt", reasons=())
    assert manifest.reviews() == [review]


def test_a_decision_outlives_curating_the_same_clip_again(manifest: Manifest) -> None:
    held = clip(2, "quarantine")
    manifest.record_review(approval(held), tier="tpt", reasons=("approved",))
    manifest.commit(VideoOutcome(video=VIDEO, clips=(held,)))
    assert [row.tier for row in manifest.clips()] == ["tpt"]
    other = replace(held, sha256="y")  # another content: nobody has looked at it
    manifest.commit(VideoOutcome(video=VIDEO, clips=(other,)))
    assert [row.tier for row in manifest.clips()] == ["quarantine"]
    assert len(manifest.reviews()) == 1


def test_nothing_of_an_unfinished_transaction_stays(manifest: Manifest) -> None:
    def retier_and_fail() -> None:
        with manifest.locked():
            manifest.retier("c0", "rejected", ["a"])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        retier_and_fail()
    assert manifest.clip("c0") == clip(0, "p2ft")
