import sqlite3
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ophora_client.errors import SiteInvalid
from ophora_client.review.desk import Request, ReviewDesk
from ophora_client.review.signing import (
    Fault,
    ReviewKey,
    read_head,
    read_public_key,
    verify_reviews,
)
from ophora_client.site import Site
from ophora_curation.store.manifest import Manifest
from ophora_curation.store.records import VideoOutcome
from reviewed_site import make_site, paths_of


@pytest.fixture
def decided(tmp_path: Path) -> Site:
    """A site where four decisions were taken: approve, approve, return, reject."""
    site = make_site(tmp_path / "site")
    paths = paths_of(site)
    desk = ReviewDesk.open(
        paths,
        key=ReviewKey.open(site.folder),
        reviewer="r-1",
    )
    first, second, third = desk.queue("quarantine")
    for clip, decision in (
        (first, "approve"),
        (second, "approve"),
        (first, "return"),
        (third, "reject"),
    ):
        now = desk.clip(clip.clip_id)
        desk.decide(
            Request(
                clip_id=now.clip_id,
                decision=decision,  # type: ignore[arg-type]
                sha256=now.sha256,
                tier=now.tier,
                num_reviews=len(desk.reviews(now.clip_id)),
            )
        )
    return site


def faults(site: Site) -> tuple[Fault, ...]:
    key = read_public_key(site.folder)
    assert key is not None
    with Manifest.open(site.manifest_path) as manifest:
        return verify_reviews(manifest, key, head=read_head(site.folder))


def execute(site: Site, *statements: str) -> None:
    with sqlite3.connect(site.manifest_path) as database:
        for statement in statements:
            assert database.execute(statement).rowcount > 0
    database.close()


def test_untouched_decisions_verify(decided: Site) -> None:
    assert faults(decided) == ()


def test_the_key_is_readable_by_its_owner_only(decided: Site) -> None:
    assert stat.S_IMODE((decided.folder / "review.key").stat().st_mode) == 0o600
    assert ReviewKey.open(decided.folder).public_key == read_public_key(decided.folder)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("clip_id", "'other'"),
        ("clip_sha256", "'00'"),
        ("instruction_sha256", "'00'"),
        ("decision", "'return'"),
        ("tier_before", "'tpt'"),
        ("tier_after", "'tpt'"),
        ("reviewer", "'r-2'"),
        ("decided_at", "'2020-01-01T00:00:00Z'"),
        ("reason", "'mistake'"),
        ("signature", "'zz'"),
    ],
)
def test_a_changed_decision_is_found(decided: Site, column: str, value: str) -> None:
    execute(decided, f"UPDATE reviews SET {column} = {value} WHERE number = 2")
    assert ("signature", 2) in {(fault.what, fault.review) for fault in faults(decided)}


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_removed_decision_is_found(decided: Site, number: int) -> None:
    execute(decided, f"DELETE FROM reviews WHERE number = {number}")
    assert "order" in {fault.what for fault in faults(decided)}


def test_a_cut_off_end_is_found_even_with_its_tier_put_back(decided: Site) -> None:
    with Manifest.open(decided.manifest_path) as manifest:
        last = manifest.reviews()[-1]
    execute(
        decided,
        "DELETE FROM reviews WHERE number = 4",
        f"UPDATE clips SET tier = 'quarantine' WHERE clip_id = '{last.clip_id}'",
    )
    assert [(fault.what, fault.review) for fault in faults(decided)] == [("removed", 4)]


def test_reordered_decisions_are_found(decided: Site) -> None:
    execute(
        decided,
        "UPDATE reviews SET number = 9 WHERE number = 1",
        "UPDATE reviews SET number = 1 WHERE number = 2",
        "UPDATE reviews SET number = 2 WHERE number = 9",
    )
    assert {"order", "signature"} <= {fault.what for fault in faults(decided)}


def test_a_tier_that_nobody_signed_is_found(decided: Site) -> None:
    execute(decided, "UPDATE clips SET tier = 'p2ft' WHERE tier = 'quarantine'")
    assert {fault.what for fault in faults(decided)} == {"tier"}


def test_a_text_changed_after_its_decision_is_found(decided: Site) -> None:
    execute(decided, "UPDATE clips SET instruction = 'Mary Poe' WHERE reasons = '[\"approved\"]'")
    assert "instruction" in {fault.what for fault in faults(decided)}


def test_another_sites_key_verifies_nothing(decided: Site, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = ReviewKey.open(tmp_path / "other")
    with Manifest.open(decided.manifest_path) as manifest:
        found = verify_reviews(manifest, other.public_key)
    assert [fault.what for fault in found] == ["signature"] * 4


def test_a_head_that_was_not_noted_in_time_is_no_fault(decided: Site) -> None:
    with Manifest.open(decided.manifest_path) as manifest:
        ReviewKey.open(decided.folder).note_head(manifest.reviews()[1])
    assert faults(decided) == ()


def test_a_rejection_by_curation_after_an_approval_is_no_fault(decided: Site) -> None:
    with Manifest.open(decided.manifest_path) as manifest:
        approved = next(clip for clip in manifest.clips() if clip.reasons == ("approved",))
        manifest.set_compared([approved.clip_id], {approved.clip_id: "duplicate"})
    assert faults(decided) == ()


def test_curating_a_video_again_keeps_what_was_signed(decided: Site) -> None:
    with Manifest.open(decided.manifest_path) as manifest:
        before = manifest.clips()
        curated = manifest.curated_tiers()
        video = manifest.videos()[0]
        fresh = tuple(replace(clip, tier=curated[clip.clip_id]) for clip in before)
        manifest.commit(VideoOutcome(video=video, clips=fresh))
        assert [clip.tier for clip in manifest.clips()] == [clip.tier for clip in before]
    assert faults(decided) == ()


def spoil_key(folder: Path) -> None:
    (folder / "review.key").write_bytes(b"short")


def lose_key(folder: Path) -> None:
    (folder / "review.key").unlink()


@pytest.mark.parametrize("harm", [spoil_key, lose_key])
def test_a_lost_key_is_not_silently_replaced(decided: Site, harm: Callable[[Path], None]) -> None:
    harm(decided.folder)
    with pytest.raises(SiteInvalid, match="restore it"):
        ReviewKey.open(decided.folder)


def test_damaged_key_files_are_named(decided: Site) -> None:
    (decided.folder / "review.pub").write_text("zz")
    with pytest.raises(SiteInvalid, match=r"review\.pub"):
        read_public_key(decided.folder)
    (decided.folder / "review.head").write_text("{}")
    with pytest.raises(SiteInvalid, match=r"review\.head"):
        read_head(decided.folder)


def test_before_the_first_decision_there_is_no_key(tmp_path: Path) -> None:
    assert read_public_key(tmp_path) is None
    assert read_head(tmp_path) is None
