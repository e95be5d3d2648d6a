"""The site's half of an audit on the real tiny base: small clips, a made-up release."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from ophora_client.audit import AuditOptions, audit_site, plant_canaries
from ophora_client.clip_sources import clip_sources, hold_out_patients
from ophora_client.errors import SiteInvalid
from ophora_client.site import Site, init_site
from ophora_curation.store.manifest import Manifest
from ophora_curation.store.records import ClipRow, VideoRow
from ophora_model.adapter_spec import AdapterSpec
from ophora_model.base import base_fingerprint
from ophora_model.errors import AdapterMismatch
from ophora_model.presets import find_preset
from ophora_model.release import write_release
from ophora_model.video import Frames
from ophora_privacy.audit.errors import AuditInvalid
from ophora_privacy.audit.site_audit import ATTACKS, LIKENESSES, SiteAudit
from reviewed_site import write_clip

PATIENTS = 22
SPEC = AdapterSpec(rank=2, alpha=2.0, targets=("attn1.to_q",), seed=1)
SMALL = AuditOptions(videos=2, steps=1, clips_per_patient=1)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = init_site(tmp_path_factory.mktemp("hospital") / "site", code="site-a")
    with Manifest.open(made.manifest_path) as manifest:
        for number in range(PATIENTS):
            name = f"{number:016x}"
            path = made.clips_dir / f"{name}.mp4"
            video = VideoRow(
                video_id=name, patient_id=name, sha256=name, recipe="r", status="curated"
            )
            manifest.add_video(video)
            manifest.add_clip(
                ClipRow(
                    clip_id=name,
                    video_id=name,
                    patient_id=name,
                    tier="p2ft",
                    reasons=(),
                    instruction=f"Incision: cut the cornea, eye {number % 5}.",
                    phase=None,
                    start_s=0.0,
                    end_s=2.0,
                    sha256=write_clip(path, number, size=(96, 64)),
                )
            )
    plant_canaries(made, 12)
    hold_out_patients(made.manifest_path, key=bytes(32), share=0.5)
    clip_sources(made.manifest_path, made.clips_dir, "tpt")
    return made


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from ophora_model.adapter import adapter_shapes
    from ophora_model.base import empty_transformer

    preset = find_preset("tiny")
    rng = np.random.default_rng(0)
    return write_release(
        tmp_path_factory.mktemp("release"),
        preset="tiny",
        base_fingerprint=base_fingerprint(preset),
        adapter=SPEC,
        tensors={
            name: 0.05 * rng.normal(size=shape).astype(np.float32)
            for name, shape in adapter_shapes(empty_transformer(preset), SPEC).items()
        },
        stage="tpt",
        round=1,
    )


@pytest.mark.slow
def test_every_part_is_measured_and_only_aggregates_come_out(
    site: Site, release: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    parts: set[str] = set()

    def read(_: Frames) -> list[str]:
        return ["nothing"]

    found = audit_site(
        site, release, SMALL, read_text=read, progress=lambda part, *_: parts.add(part)
    )
    sent = found.to_dict()
    assert SiteAudit.from_dict(json.loads(json.dumps(sent))).to_dict() == sent
    assert set(found.membership) == set(ATTACKS)
    loss = found.membership["loss"]
    assert loss.member_patients + loss.other_patients == PATIENTS
    assert set(found.replication) | set(found.missing) == set(LIKENESSES)
    assert found.canaries is not None
    assert found.canaries.canaries == 12
    assert found.overlay is not None
    assert (found.overlay.videos, found.overlay.videos_with_code) == (3, 0)
    assert found.epsilon == 0.0  # nothing was ever reserved
    assert {"scores", "videos", "irises"} <= parts
    text = json.dumps(sent) + caplog.text
    assert not any(f"{number:016x}" in text for number in range(PATIENTS))
    assert "Incision" not in text
    again = audit_site(site, release, AuditOptions(videos=0, clips_per_patient=1))
    assert (again.membership, again.canaries) == (found.membership, found.canaries)


def _names(site: Site) -> list[str]:
    return sorted(path.name for path in site.folder.rglob("*") if path.is_file())


@pytest.mark.slow
def test_a_site_without_groups_says_what_is_missing(tmp_path: Path, release: Path) -> None:
    empty = init_site(tmp_path / "site", code="site-b")
    found = audit_site(empty, release, AuditOptions(videos=0))
    assert found.membership == {}
    assert found.missing == {
        **dict.fromkeys(ATTACKS, "few-trained"),
        **dict.fromkeys((*LIKENESSES, "overlay"), "not-asked"),
        "canaries": "no-canaries",
    }
    assert found.to_dict()["canaries"] is None
    assert not any(name.endswith(".mp4") for name in _names(empty))


def test_canaries_are_planted_once(site: Site) -> None:
    with pytest.raises(SiteInvalid, match="planted already"):
        plant_canaries(site, 4)


def test_half_of_the_canaries_train(site: Site) -> None:
    sources = clip_sources(site.manifest_path, site.clips_dir, "p2ft")
    planted = [source for source in sources if source.clip_id.startswith("canary-")]
    assert 0 < len(planted) < 12
    assert all(source.path.is_file() for source in planted)


def test_a_spoilt_release_is_refused(site: Site, release: Path, tmp_path: Path) -> None:
    spoilt = tmp_path / "adapter.safetensors"
    spoilt.write_bytes((release / "adapter.safetensors").read_bytes()[:-4])
    with pytest.raises(AdapterMismatch):
        audit_site(site, spoilt, SMALL)


@pytest.mark.parametrize(("name", "value"), [("videos", -1), ("patients", 4), ("patients", 5.0)])
def test_options_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(AuditInvalid, match=name):
        AuditOptions(**{name: value})  # type: ignore[arg-type]
