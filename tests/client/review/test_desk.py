import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ophora_client.review import desk as desk_module
from ophora_client.review.desk import DecisionRefused, Request, ReviewDesk, UnknownClip
from ophora_client.review.signing import ReviewKey, read_head, verify_reviews
from ophora_client.site import Site
from ophora_curation.settings import CurationPaths
from ophora_curation.store.identity import content_hash
from ophora_curation.store.manifest import Manifest
from ophora_curation.store.records import ClipRow
from ophora_curation.store.review import Decision
from reviewed_site import paths_of


def open_desk(site: Site, reviewer: str = "r-1") -> ReviewDesk:
    paths = paths_of(site)
    return ReviewDesk.open(
        paths,
        key=ReviewKey.open(site.folder),
        reviewer=reviewer,
    )


def ask(desk: ReviewDesk, clip: ClipRow, decision: Decision, **change: Any) -> Request:
    seen = {
        "clip_id": clip.clip_id,
        "decision": decision,
        "sha256": clip.sha256,
        "tier": clip.tier,
        "num_reviews": len(desk.reviews(clip.clip_id)),
    }
    return Request(**{**seen, **change})


@pytest.fixture
def desk(site: Site) -> ReviewDesk:
    return open_desk(site)


def where(paths: CurationPaths, clip: ClipRow) -> list[str]:
    name = f"{clip.clip_id}.mp4"
    return [folder.name for folder in (paths.clips, paths.held) if (folder / name).exists()]


def test_approval_moves_the_file_and_sets_the_tier(site: Site, desk: ReviewDesk) -> None:
    overlaid, clean, _ = desk.queue("quarantine")
    assert desk.decide(ask(desk, overlaid, "approve")).tier_after == "tpt"
    assert desk.decide(ask(desk, clean, "approve")).tier_after == "p2ft"
    for clip in (overlaid, clean):
        assert where(paths_of(site), clip) == ["clips"]
        assert desk.clip(clip.clip_id).reasons == ("approved",)
    assert {clip.clip_id for clip in desk.queue("p2ft")} > {clean.clip_id}


def test_rejection_deletes_the_file(site: Site, desk: ReviewDesk) -> None:
    clip = desk.queue("quarantine")[0]
    desk.decide(ask(desk, clip, "reject", reason="overlay"))
    assert where(paths_of(site), clip) == []
    assert desk.clip(clip.clip_id).tier == "rejected"
    assert desk.clip(clip.clip_id).reasons == ("reviewed",)
    assert desk.reviews(clip.clip_id)[0].reason == "overlay"
    with pytest.raises(DecisionRefused, match="rejected and its file is gone"):
        desk.decide(ask(desk, desk.clip(clip.clip_id), "approve"))


def test_return_takes_an_accepted_clip_back(site: Site, desk: ReviewDesk) -> None:
    clip = desk.queue("p2ft")[0]
    desk.decide(ask(desk, clip, "return"))
    assert where(paths_of(site), clip) == ["held"]
    back = desk.clip(clip.clip_id)
    assert (back.tier, back.reasons) == ("quarantine", ("returned",))
    desk.decide(ask(desk, back, "approve"))
    assert where(paths_of(site), clip) == ["clips"]


def test_what_is_left_in_a_clip_bars_its_approval(site: Site, desk: ReviewDesk) -> None:
    clip = desk.queue("quarantine")[2]
    with pytest.raises(DecisionRefused, match="left in the written clip: 1"):
        desk.decide(ask(desk, clip, "approve"))
    assert desk.clip(clip.clip_id) == clip
    assert desk.reviews(clip.clip_id) == []


def test_the_second_of_two_reviewers_is_told(site: Site, desk: ReviewDesk) -> None:
    other = open_desk(site, "r-2")
    clip = desk.queue("quarantine")[0]
    late = ask(other, clip, "reject")
    desk.decide(ask(desk, clip, "approve"))
    with pytest.raises(DecisionRefused, match="decided meanwhile"):
        other.decide(late)
    desk.decide(ask(desk, desk.clip(clip.clip_id), "return"))
    with pytest.raises(DecisionRefused, match="decided meanwhile"):  # same tier as then, not same
        other.decide(late)


def test_a_changed_file_is_not_decided_on(site: Site, desk: ReviewDesk) -> None:
    clip = desk.queue("quarantine")[0]
    path = paths_of(site).held / f"{clip.clip_id}.mp4"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(DecisionRefused, match="was changed"):
        desk.decide(ask(desk, clip, "approve"))
    assert desk.clip(clip.clip_id) == clip
    with pytest.raises(DecisionRefused, match="curated again"):
        desk.decide(ask(desk, clip, "approve", sha256="0" * 64))


def test_an_unknown_clip_is_named_as_such(desk: ReviewDesk) -> None:
    clip = desk.queue("quarantine")[0]
    with pytest.raises(UnknownClip, match="not in the manifest"):
        desk.decide(ask(desk, clip, "approve", clip_id="nothing"))


def test_a_disk_that_refuses_the_move_leaves_all_as_it_was(
    site: Site, desk: ReviewDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Path) -> None:
        raise OSError(28, "No space left on device")

    clip = desk.queue("quarantine")[0]
    monkeypatch.setattr(desk_module, "move_file", refuse)
    with pytest.raises(OSError, match="No space"):
        desk.decide(ask(desk, clip, "approve"))
    assert desk.clip(clip.clip_id) == clip
    assert desk.reviews(clip.clip_id) == []
    assert where(paths_of(site), clip) == ["held"]


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def before_move(desk: ReviewDesk) -> None:
    desk._move = die  # type: ignore[method-assign]


def after_move(desk: ReviewDesk) -> None:
    move = desk._move

    def move_and_die(*arguments: Any) -> None:
        move(*arguments)
        die()

    desk._move = move_and_die  # type: ignore[method-assign]


def after_row(desk: ReviewDesk) -> None:
    desk._settle = die  # type: ignore[method-assign]


def before_head(desk: ReviewDesk) -> None:
    desk._key.note_head = die  # type: ignore[method-assign]


@pytest.mark.parametrize("moment", [before_move, after_move, after_row, before_head])
@pytest.mark.parametrize("decision", ["approve", "reject", "return"])
def test_a_kill_at_any_moment_loses_nothing(
    site: Site, desk: ReviewDesk, decision: Decision, moment: Callable[[ReviewDesk], None]
) -> None:
    clip = desk.queue("p2ft" if decision == "return" else "quarantine")[0]
    pid = os.fork()
    if pid == 0:
        moment(desk)
        desk.decide(ask(desk, clip, decision))
        os._exit(0)
    os.waitpid(pid, 0)
    paths = paths_of(site)
    after = open_desk(site).clip(clip.clip_id)
    homes = {"p2ft": "clips", "tpt": "clips", "quarantine": "held", "rejected": None}
    home = homes[after.tier]
    assert where(paths, clip) == ([home] if home else [])
    if home:
        assert content_hash(paths.clips.parent / home / f"{clip.clip_id}.mp4") == clip.sha256
    with Manifest.open(paths.manifest) as manifest:
        key = ReviewKey.open(site.folder).public_key
        assert verify_reviews(manifest, key, head=read_head(site.folder)) == ()
        is_decided = len(manifest.reviews()) == 1
    assert is_decided == (after.tier != clip.tier)


def test_a_decision_makes_the_certificate_anew(site: Site, desk: ReviewDesk) -> None:
    clip = desk.queue("quarantine")[1]
    desk.decide(ask(desk, clip, "approve"))
    path = paths_of(site).certificates / f"{clip.video_id}.json"
    told = {each["id"]: each for each in json.loads(path.read_bytes())["clips"]}
    assert told[clip.clip_id]["tier"] == "p2ft"
    assert told[clip.clip_id]["decisions"] == [{"number": 1, "decision": "approve", "tier": "p2ft"}]
