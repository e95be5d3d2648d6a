"""Which clips train: none of a held-out patient, ever, and the canaries that the coins include."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ophora_client.clip_sources import (
    HOLD_OUT_FROM,
    AuditTable,
    audit_sources,
    canaries_folder,
    clip_sources,
    hold_out_patients,
)
from ophora_client.errors import SiteInvalid
from ophora_curation.store.manifest import Manifest
from ophora_curation.store.records import ClipRow, VideoRow

KEY = bytes(range(32))


def add_patients(manifest: Path, names: list[str]) -> None:
    with Manifest.open(manifest) as opened:
        for name in names:
            video = VideoRow(
                video_id=f"v-{name}", patient_id=name, sha256=name, recipe="r", status="curated"
            )
            opened.add_video(video)
            row = ClipRow(
                clip_id=f"c-{name}",
                video_id=video.video_id,
                patient_id=name,
                tier="p2ft",
                reasons=(),
                instruction="incision",
                phase=None,
                start_s=0.0,
                end_s=5.0,
                sha256="0" * 64,
            )
            opened.add_clip(row)
            opened.add_clip(replace(row, clip_id=f"d-{name}", tier="tpt", start_s=6.0))


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    path = tmp_path / "manifest.sqlite"
    add_patients(path, [f"p{number}" for number in range(60)])
    return path


def training(manifest: Path, stage: str = "tpt") -> set[str]:
    return {source.patient_id for source in clip_sources(manifest, manifest.parent, stage)}


def test_without_a_draw_everyone_trains(manifest: Path) -> None:
    assert len(training(manifest)) == 60
    sources = clip_sources(manifest, Path("clips"), "p2ft")
    assert len(sources) == 60
    assert sources[0].path == Path("clips") / f"{sources[0].clip_id}.mp4"


def test_held_out_patients_never_train_in_any_stage(manifest: Path) -> None:
    number = hold_out_patients(manifest, key=KEY, share=0.2)
    assert 4 <= number <= 22
    audited = audit_sources(manifest, manifest.parent, "tpt")
    assert audited.trained == []
    held_out = {source.patient_id for source in audited.held_out}
    assert len(held_out) == number
    for stage in ("tpt", "p2ft"):
        assert not training(manifest, stage) & held_out
        assert len(training(manifest, stage)) == 60 - number
    audited = audit_sources(manifest, manifest.parent, "tpt")
    assert len({source.patient_id for source in audited.trained}) == 60 - number


def test_who_is_held_out_is_the_keys_choice_and_for_good(manifest: Path, tmp_path: Path) -> None:
    hold_out_patients(manifest, key=KEY, share=0.2)
    first = training(manifest)
    hold_out_patients(manifest, key=KEY, share=0.5)
    assert training(manifest) == first  # all have trained by now
    hold_out_patients(manifest, key=KEY, share=0.0)
    assert training(manifest) == first
    other = tmp_path / "other" / "manifest.sqlite"
    other.parent.mkdir()
    add_patients(other, [f"p{number}" for number in range(60)])
    hold_out_patients(other, key=bytes(32), share=0.2)
    assert training(other) != first


def test_who_has_trained_is_not_held_out_later(manifest: Path) -> None:
    assert len(training(manifest)) == 60
    assert hold_out_patients(manifest, key=KEY, share=0.5) == 0
    add_patients(manifest, [f"new{number}" for number in range(60)])
    assert hold_out_patients(manifest, key=KEY, share=0.5) > 10
    assert len([name for name in training(manifest) if not name.startswith("new")]) == 60


def test_a_small_site_trains_on_everyone(tmp_path: Path) -> None:
    path = tmp_path / "manifest.sqlite"
    add_patients(path, [f"p{number}" for number in range(HOLD_OUT_FROM - 1)])
    assert hold_out_patients(path, key=KEY, share=0.5) == 0
    add_patients(path, ["one-more"])
    assert hold_out_patients(path, key=KEY, share=0.5) > 0


@pytest.mark.parametrize("share", [-0.1, 0.6, float("nan")])
def test_a_share_out_of_range_is_refused(manifest: Path, share: float) -> None:
    with pytest.raises(SiteInvalid, match="held_out_share"):
        hold_out_patients(manifest, key=KEY, share=share)
    assert AuditTable().held_out_share == 0.1


def test_included_canaries_train_and_the_others_don_t(manifest: Path) -> None:
    folder = canaries_folder(manifest)
    folder.mkdir()
    entries = [
        {
            "clip_id": f"canary-{number}",
            "patient_id": f"canary-{number}",
            "instruction": "words",
            "code": "KAT349",
            "included": number % 2 == 0,
            "sha256": "1" * 64,
        }
        for number in range(4)
    ]
    (folder / "canaries.json").write_text(json.dumps({"canaries": entries}))
    assert {name for name in training(manifest) if name.startswith("canary")} == {
        "canary-0",
        "canary-2",
    }
    audited = audit_sources(manifest, manifest.parent, "tpt")
    assert audited.coins == [True, False, True, False]
    assert not any(source.patient_id.startswith("canary") for source in audited.trained)
    entries[1]["included"] = "no"
    for text in (json.dumps({"canaries": entries}), "{}", "x"):
        (folder / "canaries.json").write_text(text)
        with pytest.raises(SiteInvalid, match=r"canaries\.json"):
            training(manifest)


def test_a_spoilt_record_of_cohorts_stops_training(manifest: Path) -> None:
    manifest.with_name("cohorts.sqlite").write_bytes(b"no database, whatever it is" * 100)
    with pytest.raises(SiteInvalid, match=r"cohorts\.sqlite"):
        training(manifest)
