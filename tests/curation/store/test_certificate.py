import json
from dataclasses import replace
from pathlib import Path

import pytest

from ophora_curation.store.certificate import (
    CertificateRefused,
    certificate,
    certificate_bytes,
    write_certificate,
)
from ophora_curation.store.manifest import Manifest
from ophora_curation.store.records import VideoOutcome
from reviewed_site import make_site


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return Manifest.open(make_site(tmp_path / "site").manifest_path)


@pytest.fixture
def video_id(manifest: Manifest) -> str:
    return manifest.videos()[0].video_id


def with_residual(manifest: Manifest, tier: str, residual: int) -> None:
    video, clips = manifest.videos()[0], manifest.clips()
    changed = tuple(
        replace(clip, residual=residual) if clip.tier == tier else clip for clip in clips
    )
    manifest.commit(VideoOutcome(video=video, clips=changed))


def test_it_says_what_was_searched_for_and_that_nothing_is_left(
    manifest: Manifest, video_id: str
) -> None:
    made = certificate(manifest, video_id)
    assert made["residual"] == 0
    assert made["tiers"] == {"p2ft": 1, "quarantine": 3, "rejected": 1, "tpt": 1}
    assert set(made["detectors"]) == {"overlay_detector", "face_detector"}
    assert made["run"] == {"settings": "settings-1", "recipe": "recipe-1", "code": "0.1.0"}
    first = made["clips"][0]
    assert first["findings"] == {"text device left": 1, "text personal masked": 1}
    assert made["clips"][1]["clauses_withheld"] == {"name": 1, "vocabulary": 2}
    assert first["sha256"] == manifest.clip(first["id"]).sha256  # type: ignore[union-attr]


def test_nothing_in_it_leads_to_the_recording(manifest: Manifest, video_id: str) -> None:
    text = certificate_bytes(manifest, video_id).decode()
    assert manifest.videos()[0].sha256 not in text
    assert manifest.videos()[0].patient_id not in text
    assert "keratome" not in text


@pytest.mark.parametrize("tier", ["p2ft", "tpt"])
@pytest.mark.parametrize("residual", [1, -1])
def test_an_accepted_clip_with_something_left_is_not_certified(
    manifest: Manifest, video_id: str, tier: str, residual: int, tmp_path: Path
) -> None:
    write_certificate(tmp_path, manifest, video_id)
    with_residual(manifest, tier, residual)
    with pytest.raises(CertificateRefused, match="curate its video again"):
        write_certificate(tmp_path, manifest, video_id)
    assert list(tmp_path.glob("*.json")) == []  # the earlier one would still vouch for it


def test_what_a_held_clip_holds_bars_no_certificate(manifest: Manifest, video_id: str) -> None:
    with_residual(manifest, "quarantine", 4)
    assert certificate(manifest, video_id)["residual"] == 0


def test_the_same_rows_give_one_file(manifest: Manifest, video_id: str, tmp_path: Path) -> None:
    path = write_certificate(tmp_path, manifest, video_id)
    first = path.read_bytes()
    video, clips = manifest.videos()[0], manifest.clips()
    manifest.commit(VideoOutcome(video=video, clips=tuple(reversed(clips))))
    assert write_certificate(tmp_path, manifest, video_id).read_bytes() == first
    assert json.loads(first)["schema"] == "ophora-certificate-1"
    assert [each.name for each in tmp_path.glob(".part*")] == []


def test_a_video_that_was_not_curated_has_none(manifest: Manifest, video_id: str) -> None:
    manifest.add_video(replace(manifest.videos()[0], status="refused", reasons=("not-a-video",)))
    for asked in (video_id, "unknown"):
        with pytest.raises(KeyError, match="nothing to certify"):
            certificate(manifest, asked)
