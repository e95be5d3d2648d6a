import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from ophora_curation.store.records import ClipRow, Finding
from ophora_curation.store.review import (
    Review,
    concerns,
    instruction_hash,
    obstacle,
    settle_files,
    tier_after,
)

HELD = ClipRow(
    clip_id="c1",
    video_id="v1",
    patient_id="p1",
    tier="quarantine",
    reasons=("overlay-unread",),
    instruction="Incision: cut the cornea.",
    phase="incision",
    start_s=0.0,
    end_s=5.0,
    sha256=hashlib.sha256(b"clip").hexdigest(),
    residual=0,
)
DEVICE = Finding(detector="text", kind="device", box=(0, 0, 9, 9), score=0.9)
REVIEW = Review(
    number=1,
    clip_id="c1",
    clip_sha256=HELD.sha256,
    instruction_sha256=instruction_hash(HELD),
    decision="approve",
    tier_before="quarantine",
    tier_after="p2ft",
    reviewer="r-1",
    decided_at="2026-01-31T09:30:00Z",
    previous="",
)


def test_an_approved_clip_is_p2ft_only_with_nothing_on_screen() -> None:
    assert tier_after(HELD, "approve") == "p2ft"
    assert tier_after(replace(HELD, findings=(DEVICE,)), "approve") == "tpt"
    assert tier_after(HELD, "reject") == "rejected"
    assert tier_after(HELD, "return") == "quarantine"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"residual": 2}, "left in the written clip: 2"),
        ({"residual": -1}, "not searched again"),
        ({"sha256": ""}, "no clip was written"),
        ({"instruction": ""}, "no instruction"),
        ({"tier": "tpt"}, "in tpt already"),
        ({"tier": "rejected"}, "rejected and its file is gone"),
        ({"findings": (replace(DEVICE, kind="personal"),)}, "not masked"),
        ({"findings": (replace(DEVICE, kind="face"),)}, "not masked"),
    ],
)
def test_what_may_not_be_approved(change: dict[str, object], said: str) -> None:
    assert said in obstacle(replace(HELD, **change), "approve")


def test_masked_and_harmless_findings_can_be_approved() -> None:
    masked = replace(DEVICE, kind="personal", masked=True)
    assert obstacle(replace(HELD, findings=(DEVICE, masked)), "approve") == ""


def test_only_an_accepted_clip_is_returned_and_a_rejected_one_stays_so() -> None:
    assert "quarantine already" in obstacle(HELD, "return")
    assert obstacle(replace(HELD, tier="tpt"), "return") == ""
    assert obstacle(replace(HELD, residual=3), "reject") == ""
    assert obstacle(replace(HELD, tier="rejected"), "reject") != ""


def test_signed_bytes_are_every_field_but_the_signature() -> None:
    assert REVIEW.signed_bytes() == replace(REVIEW, signature="ab").signed_bytes()
    changed = [
        replace(REVIEW, number=2),
        replace(REVIEW, clip_id="c2"),
        replace(REVIEW, tier_after="tpt"),
        replace(REVIEW, reviewer="r-2"),
        replace(REVIEW, previous="00"),
        replace(REVIEW, reason="mistake"),
    ]
    assert len({REVIEW.signed_bytes(), *(each.signed_bytes() for each in changed)}) == 7


@pytest.mark.parametrize(
    "change",
    [
        {"decision": "maybe"},
        {"reason": "Mary Poe is seen"},
        {"reviewer": "Dr. Poe"},
        {"decided_at": "yesterday"},
    ],
)
def test_a_decision_holds_closed_words_only(change: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="must be") as refusal:
        replace(REVIEW, **change)
    assert "Mary" not in str(refusal.value)


def test_a_decision_is_about_one_content_and_one_text() -> None:
    assert concerns(REVIEW, HELD)
    assert not concerns(REVIEW, replace(HELD, sha256="other"))
    assert not concerns(REVIEW, replace(HELD, instruction="Another."))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("clips", "held"):
        (tmp_path / name).mkdir()
    return tmp_path / "clips", tmp_path / "held"


def test_files_follow_their_rows_after_a_kill(folders: tuple[Path, Path]) -> None:
    clips, held = folders
    (held / "c1.mp4").write_bytes(b"clip")  # killed after the row, before the move
    approved = replace(HELD, tier="p2ft")
    assert settle_files([approved], clips=clips, held=held) == 1
    assert (clips / "c1.mp4").read_bytes() == b"clip"
    assert settle_files([approved], clips=clips, held=held) == 0
    assert settle_files([HELD], clips=clips, held=held) == 1  # moved, and the row never came
    assert (held / "c1.mp4").exists()
    assert not (clips / "c1.mp4").exists()
    assert settle_files([replace(HELD, tier="rejected")], clips=clips, held=held) == 1
    assert not list(held.iterdir())


def test_another_content_never_takes_a_clips_place(folders: tuple[Path, Path]) -> None:
    clips, held = folders
    (held / "c1.mp4").write_bytes(b"something else")
    assert settle_files([replace(HELD, tier="p2ft")], clips=clips, held=held) == 0
    assert not list(clips.iterdir())
